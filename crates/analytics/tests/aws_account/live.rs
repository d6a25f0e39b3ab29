//! End to end: an account that was made through MiniStack's API, its details as its API tells them, and the command on these files.
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

const ACCOUNT: &str = "arn:aws:iam::111122223333";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Writes the files of the account into a directory.
fn account(directory: &Path) {
    let build = Command::new(root().join("hack/emulators/build")).stderr(Stdio::inherit()).output().unwrap();
    assert!(build.status.success(), "hack/emulators/build says what is missing");
    let python = Path::new(String::from_utf8(build.stdout).unwrap().trim()).join("bin/python");
    let script = root().join("crates/analytics/tests/aws_account/live.py");
    let status = Command::new(python).args([&script, &root().join("hack/emulators/aws.py"), directory]).status().unwrap();
    assert!(status.success());
}

/// A record of CloudTrail.
fn record(id: u32, user: &str, source: &str, name: &str, resources: &[&str]) -> Value {
    let resources: Vec<Value> = resources.iter().map(|arn| json!({"ARN": arn})).collect();
    json!({"eventVersion": "1.10", "eventID": format!("00000000-0000-4000-8000-{id:012}"), "eventTime": "2099-11-30T12:00:00Z",
        "eventSource": format!("{source}.amazonaws.com"), "eventName": name, "eventType": "AwsApiCall", "eventCategory": "Management",
        "awsRegion": "eu-west-1", "recipientAccountId": "111122223333", "resources": resources,
        "userIdentity": {"type": "IAMUser", "arn": format!("{ACCOUNT}:user/{user}"), "accountId": "111122223333", "userName": user,
            "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}})
}

fn analyze(directory: &Path, details: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_curfew-analytics"))
        .current_dir(directory)
        .args(["analyze", "--aws-authorization-details", details, "--cloudtrail", "trail", "--aws-credential-report", "credentials.json"])
        .args(["--until", "2099-12-01T00:00:00Z"])
        .args(more)
        .output()
        .unwrap()
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    let rows = report["identities"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == format!("{ACCOUNT}:{name}")).unwrap_or_else(|| panic!("no row of {name}"))
}

#[test]
fn the_details_of_a_live_account_are_scored() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    account(path);
    fs::create_dir(path.join("trail")).unwrap();
    let records = [
        record(1, "bob", "s3", "ListBuckets", &[]),
        record(2, "bob", "secretsmanager", "GetSecretValue", &["arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-AbCdEf"]),
        record(3, "carol", "s3", "ListBuckets", &[]),
    ];
    fs::write(path.join("trail/one.json"), json!({"Records": records}).to_string()).unwrap();
    fs::write(path.join("trail/again.json"), json!({"Records": &records[1..]}).to_string()).unwrap();
    let out = analyze(path, "details.json", &["-o", "json", "--system-name", "production"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((report["provider"].as_str(), report["name"].as_str()), (Some("aws"), Some("production")));
    // Page after page it is the same.
    let paged = analyze(path, "pages.json", &["-o", "json", "--system-name", "production"]);
    assert!(out.stdout == paged.stdout, "pages give another report");

    let alice = row(&report, "user/alice");
    assert_eq!((&alice["score"], &alice["band"], &alice["kind"]), (&json!(100), &json!("high"), &json!("human")));
    let bob = row(&report, "user/bob");
    assert_eq!((bob["permissions"]["used"].as_u64(), &bob["liveGrants"]), (Some(2), &json!(["00000000000000a1"])));
    assert!(bob["standingScore"].as_u64() <= bob["score"].as_u64() && bob["score"].as_u64() < Some(68), "{bob}");
    let batch = row(&report, "user/batch");
    assert_eq!((&batch["score"], &batch["kind"], batch["permissions"]["granted"].as_u64()), (&Value::Null, &json!("workload"), Some(1)));
    assert_eq!(row(&report, "user/batch key 1")["kind"], "accessKey");
    // The boundary leaves EC2 alone of everything.
    let worker = row(&report, "role/worker");
    assert_eq!(worker["kind"], "function");
    let granted = worker["grantedShare"].as_f64().unwrap();
    assert!(granted > 0.01 && granted < 0.1, "{granted}");
    assert_eq!(row(&report, "group/developers")["members"], 1);

    let found: Vec<(&str, &str)> =
        report["findings"].as_array().unwrap().iter().map(|f| (f["type"].as_str().unwrap(), f["subject"].as_str().unwrap())).collect();
    for (kind, subject) in [
        ("escalation", "user/alice"),
        ("super", "user/alice"),
        ("noMfa", "user/alice"),
        ("secretAccess", "user/bob"),
        ("externalAccess", "role/partner"),
    ] {
        assert!(found.contains(&(kind, &format!("{ACCOUNT}:{subject}"))), "{kind} {subject}: {found:?}");
    }
    assert!(found.contains(&("fullAdminPolicy", "arn:aws:iam::aws:policy/AdministratorAccess")), "{found:?}");
    let input = &report["input"];
    assert_eq!((&input["files"], &input["events"], &input["uses"]), (&json!(2), &json!(5), &json!(3)));
    let notes = input["notes"].to_string();
    assert!(
        notes.contains("2 records were read before") && notes.contains("not in the account details: arn:aws:iam::111122223333:user/carol"),
        "{notes}"
    );
}

#[test]
fn wrong_command_lines_and_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::create_dir(path.join("trail")).unwrap();
    fs::write(path.join("trail/x.json"), json!({"Records": []}).to_string()).unwrap();
    fs::write(path.join("credentials.csv"), "user\n").unwrap();
    fs::write(path.join("details.json"), "{}").unwrap();
    let run = |args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_curfew-analytics")).current_dir(path).arg("analyze").args(args).output().unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let both = run(&["--aws-authorization-details", "d", "--cloudtrail", "t", "--kubernetes-rbac", "r", "--audit-log", "a"]);
    assert!(both.0 == Some(2) && both.1.contains("cannot be used with"), "{both:?}");
    assert_eq!(run(&[]).0, Some(2));
    assert_eq!(run(&["--aws-authorization-details", "d"]).0, Some(2));
    assert_eq!(run(&["--kubernetes-rbac", "d", "--cloudtrail", "t"]).0, Some(2));
    let read = |why: &str| {
        let (code, error) =
            run(&["--aws-authorization-details", "details.json", "--cloudtrail", "trail", "--aws-credential-report", "credentials.csv"]);
        assert!(code == Some(1) && error.contains(why), "{error}");
    };
    read("details.json is not usable: has neither users nor groups");
    let user = json!({"UserDetailList": [{"UserName": "u", "Arn": format!("{ACCOUNT}:user/u")}]});
    fs::write(path.join("details.json"), user.to_string()).unwrap();
    read("credentials.csv is not usable: is not a credential report: it has no column arn");
    fs::write(path.join("credentials.csv"), "user,arn,password_enabled,mfa_active\n").unwrap();
    read("no record of CloudTrail in trail");
}

/// The recorded attacks of Stratus Red Team (Apache-2.0), in one of its accounts: an administrator, and the role that an attack used.
#[test]
fn recorded_attacks_show_at_the_identities_that_made_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let account = "arn:aws:iam::017622104382";
    let attached = json!([{"PolicyName": "AdministratorAccess", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}]);
    let details = json!({
        "UserDetailList": [
            {"UserName": "christophe", "Arn": format!("{account}:user/christophe"), "CreateDate": "2020-01-01T00:00:00Z", "AttachedManagedPolicies": attached},
            {"UserName": "idle", "Arn": format!("{account}:user/idle"), "CreateDate": "2020-01-01T00:00:00Z", "AttachedManagedPolicies": attached},
        ],
        "GroupDetailList": [], "RoleDetailList": [], "Policies": [],
    });
    fs::write(path.join("details.json"), details.to_string()).unwrap();
    let trail = root().join("crates/analytics/tests/data/stratus-red-team.json.gz");
    let run = |more: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_curfew-analytics"))
            .current_dir(path)
            .args(["analyze", "--aws-authorization-details", "details.json", "--window", "180d", "--cloudtrail"])
            .arg(&trail)
            .args(more)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let report: Value = serde_json::from_str(&run(&["-o", "json"])).unwrap();
    let of = |name: &str| {
        report["identities"].as_array().unwrap().iter().find(|row| row["name"] == format!("{account}:user/{name}")).unwrap().clone()
    };
    let (attacker, idle) = (of("christophe"), of("idle"));
    assert_eq!((&idle["score"], &idle["lastUsed"], idle["permissions"]["used"].as_u64()), (&json!(100), &Value::Null, Some(0)));
    assert!(attacker["permissions"]["used"].as_u64() >= Some(3) && attacker["x"].as_f64() < idle["x"].as_f64(), "{attacker}");
    assert!(attacker["lastUsed"].as_str().unwrap().starts_with("2024-"));
    // The policy of AWS is not in the details: the one that the program was built with is taken, and it is said.
    let notes = report["input"]["notes"].to_string();
    assert!(notes.contains("1 policies of AWS are not in the account details"), "{notes}");
    let table = run(&[]);
    assert!(table.starts_with("Permission Creep Index of 017622104382: ") && table.contains("overprovisioned active"), "{table}");
}
