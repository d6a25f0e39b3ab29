//! `curfew-analytics rightsize` on the recorded cluster. `UPDATE=1 cargo test -p curfew-analytics` writes the golden files.
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
}

fn rightsize(identity: &str, args: &[&str]) -> Output {
    let files = ["rightsize", "--identity", identity, "--kubernetes-rbac", "rbac.json", "--audit-log", "audit.log"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_curfew-analytics"));
    command.args(files).args(args).current_dir(folder().join("data")).output().unwrap()
}

fn printed(identity: &str, args: &[&str]) -> String {
    let output = rightsize(identity, &[&["--window", "1d"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn golden(name: &str, text: &str) {
    let path = folder().join("golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == text, "{name} differs; read the difference after UPDATE=1");
}

#[test]
fn golden_outputs() {
    golden("rightsize-bob.txt", &printed("bob@example.com", &[]));
    golden("rightsize-operator.yaml", &printed("system:serviceaccount:ci:operator", &["-o", "yaml"]));
}

#[test]
fn people_are_made_eligible_and_workloads_keep_standing_access() {
    let documents = |identity: &str, args: &[&str]| -> Vec<Value> {
        let value: Value = serde_json::from_str(&printed(identity, &[&["-o", "json"], args].concat())).unwrap();
        value["documents"].as_array().unwrap().clone()
    };
    let kinds = |documents: &[Value]| documents.iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let of_bob = documents("bob@example.com", &["--approver", "group:payments-leads"]);
    assert_eq!(kinds(&of_bob), ["Role", "Role", "RoleBinding", "RoleTemplate", "EligibleAssignment"]);
    assert_eq!(of_bob[3]["spec"]["activation"]["approval"]["stages"][0]["approvers"][0]["group"], "payments-leads");
    assert_eq!(of_bob[4]["spec"]["subject"]["user"], "bob@example.com");
    let group = documents("payments-devs", &[]);
    assert_eq!(group[4]["spec"]["subject"]["group"], "payments-devs");
    assert_eq!(group[3]["spec"]["activation"]["approval"]["stages"][0]["approvers"][0]["group"], "APPROVERS");
    let deployer = documents("system:serviceaccount:ci:deployer", &[]);
    assert_eq!(kinds(&deployer), ["Role", "Role", "RoleBinding", "RoleBinding"]);
    // Existing roles in place of new ones: nothing but bindings, or the template that names them.
    let existing = documents("system:serviceaccount:ci:deployer", &["--roles", "built-in"]);
    assert!(existing.iter().all(|one| one["kind"] == "RoleBinding" && one["roleRef"]["name"] == "deploy"), "{existing:?}");
    let template = documents("bob@example.com", &["--roles", "built-in"]);
    assert_eq!(template.last().unwrap()["kind"], "EligibleAssignment");
    assert!(template.iter().any(|one| one["spec"]["permissions"]["kubernetes"]["clusterRoles"][0] == "edit"));
}

#[test]
fn what_cannot_be_done_is_said_with_the_next_step() {
    let refused = |identity: &str, args: &[&str]| {
        let output = rightsize(identity, args);
        assert!(!output.status.success());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!told.contains("panicked"), "{told}");
        told
    };
    assert!(
        refused("nobody", &[]).contains("no identity is called nobody; service accounts are called system:serviceaccount:NAMESPACE:NAME")
    );
    assert!(refused("system:serviceaccount:ci:deployer", &["--give", "eligible"]).contains("use --give standing"));
    assert!(refused("alice@example.com", &["--roles", "built-in"]).contains("no existing ClusterRole allows impersonate"));
    assert!(refused("bob@example.com", &["--approver", "system:masters"]).contains("group:NAME or user:NAME"));
}
