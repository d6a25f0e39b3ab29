//! The command on a recorded cluster: golden outputs, and inputs that are broken, twice there or in another order.
//! `UPDATE=1 cargo test -p curfew-analytics` writes the golden files.
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Runs `curfew-analytics analyze` beside the recorded files.
fn analyze(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_curfew-analytics")).arg("analyze").args(args).current_dir(data()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const FILES: [&str; 4] = ["--kubernetes-rbac", "rbac.json", "--audit-log", "audit.log"];

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(&analyze(&[args, &["-o", "json"]].concat()))).unwrap()
}

/// The JSON of the recorded cluster with these logs instead.
fn with_logs(paths: &[&Path]) -> Value {
    let logs = paths.iter().flat_map(|path| ["--audit-log", path.to_str().unwrap()]);
    json(&["--kubernetes-rbac", "rbac.json"].into_iter().chain(logs).collect::<Vec<_>>())
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{name} differs; read the difference after UPDATE=1 cargo test -p curfew-analytics");
}

fn row<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["identities"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

fn findings<'a>(report: &'a Value, kind: &str) -> Vec<&'a str> {
    let all = report["findings"].as_array().unwrap().iter().filter(|finding| finding["type"] == kind);
    all.map(|finding| finding["subject"].as_str().unwrap()).collect()
}

#[test]
fn golden_outputs() {
    golden("day.txt", &stdout(&analyze(&[&FILES[..], &["--window", "1d"]].concat())));
    golden("quarter.txt", &stdout(&analyze(&FILES)));
    // Without the rows of Kubernetes itself, which are most of it.
    let mut report = json(&[&FILES[..], &["--window", "1d"]].concat());
    report["identities"].as_array_mut().unwrap().retain(|row| row["builtIn"] == false);
    golden("day.json", &(serde_json::to_string_pretty(&report).unwrap() + "\n"));
    golden("day.csv", &stdout(&analyze(&[&FILES[..], &["--window", "1d", "-o", "csv"]].concat())));
}

#[test]
fn the_html_report_stands_alone_and_escapes_names() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("pci.html");
    stdout(&analyze(&[&FILES[..], &["--window", "1d", "--report", page.to_str().unwrap()]].concat()));
    let text = fs::read_to_string(page).unwrap();
    golden("day.html", &text);
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for outside in ["<script", "src=", "href=", "url(", "@import", "<link", "<img", "<iframe"] {
        assert!(!text.contains(outside), "{outside}");
    }
    for tag in ["svg", "g", "table", "tr", "td", "ul", "li", "details", "div", "text"] {
        let (open, close) = (
            text.matches(&format!("<{tag}>")).count() + text.matches(&format!("<{tag} ")).count(),
            text.matches(&format!("</{tag}>")).count(),
        );
        assert_eq!(open, close, "<{tag}>");
    }
}

#[test]
fn the_company_is_judged_as_it_was_built() {
    let report = json(&[&FILES[..], &["--window", "1d"]].concat());
    assert_eq!(report["window"]["confidence"], 1.0);
    // An idle administrator has the whole score; its tags take it out of the system or out of findings, and not both.
    let [legacy, scanner, bootstrap] =
        ["legacy", "scanner", "bootstrap"].map(|name| row(&report, &format!("system:serviceaccount:ci:{name}")));
    assert_eq!((&legacy["score"], &legacy["counted"]), (&100.into(), &true.into()));
    assert_eq!((&scanner["score"], &scanner["counted"]), (&Value::Null, &false.into()));
    assert_eq!((&bootstrap["score"], &bootstrap["counted"]), (&100.into(), &true.into()));
    assert!(!findings(&report, "super").contains(&"system:serviceaccount:ci:bootstrap"));
    assert!(findings(&report, "super").contains(&"system:serviceaccount:ci:scanner"));
    // Alice is an administrator through a group that only the log shows.
    assert!(findings(&report, "super").contains(&"alice@example.com"));
    assert_eq!((&row(&report, "platform-admins")["members"], &row(&report, "platform-admins")["counted"]), (&1.into(), &false.into()));
    // Carol never logged in: without an event nothing shows that she is in the group.
    assert!(!report["identities"].as_array().unwrap().iter().any(|row| row["name"] == "carol@example.com"));
    assert!(findings(&report, "overprovisionedActive").contains(&"bob@example.com"));
    assert!(findings(&report, "escalation").contains(&"system:serviceaccount:ci:deployer"));
    assert!(findings(&report, "secretAccess").contains(&"bob@example.com"));
    assert_eq!(findings(&report, "inactive").iter().filter(|name| name.contains("legacy")).count(), 1);
    assert!(findings(&report, "unusedBinding").contains(&"ClusterRoleBinding lost"));
    assert!(findings(&report, "unusedRole").contains(&"ClusterRole widgets"));
    assert!(!findings(&report, "unusedRole").contains(&"ClusterRole metrics-base"), "it is collected by metrics-reader");
    // Alice acted as Bob: that used her right to impersonate, and his rights.
    assert!(row(&report, "alice@example.com")["permissions"]["used"].as_u64().unwrap() >= 3);
    // What Kubernetes itself needs does not count.
    assert_eq!((&row(&report, "system:masters")["builtIn"], &row(&report, "system:masters")["counted"]), (&true.into(), &false.into()));
}

#[test]
fn new_identities_count_and_have_findings_that_need_no_history() {
    let report = json(&FILES);
    let operator = row(&report, "system:serviceaccount:ci:operator");
    assert_eq!((&operator["new"], &operator["counted"], &report["system"]["new"]), (&true.into(), &true.into(), &1.into()));
    assert!(!findings(&report, "overprovisionedActive").contains(&"system:serviceaccount:ci:operator"));
    // What does not depend on history is found at once.
    assert!(findings(&report, "escalation").contains(&"system:serviceaccount:ci:operator"));
    // One day of ninety proves nothing about the others.
    assert!((report["window"]["confidence"].as_f64().unwrap() - 1.0 / 90.0).abs() < 1e-9);
    let advice: Vec<&str> =
        report["findings"].as_array().unwrap().iter().filter_map(|finding| finding["recommendation"].as_str()).collect();
    assert!(advice.iter().any(|text| text.starts_with("The logs cover 1 % of the window")), "{advice:?}");
    assert!(!advice.contains(&"Remove its bindings."));
}

/// P7: the score of the system is that of a system without the excluded identity.
#[test]
fn an_excluded_identity_is_as_if_it_were_not_there() {
    let legacy = "system:serviceaccount:ci:legacy";
    let excluded = json(&[&FILES[..], &["--window", "1d", "--exclude-from-pci", legacy]].concat());
    assert_eq!(row(&excluded, legacy)["score"], Value::Null);
    assert!(findings(&excluded, "super").contains(&legacy), "the tags are independent");
    let folder = tempfile::tempdir().unwrap();
    let mut dump: Value = serde_json::from_str(&fs::read_to_string(data().join("rbac.json")).unwrap()).unwrap();
    let items = dump["items"].as_array_mut().unwrap();
    items.retain(|item| !(item["kind"] == "ServiceAccount" && item["metadata"]["name"] == "legacy"));
    for subjects in items.iter_mut().filter_map(|item| item["subjects"].as_array_mut()) {
        subjects.retain(|subject| subject["name"] != "legacy");
    }
    let path = folder.path().join("rbac.json");
    fs::write(&path, dump.to_string()).unwrap();
    let without = json(&["--kubernetes-rbac", path.to_str().unwrap(), "--audit-log", "audit.log", "--window", "1d"]);
    assert_eq!(excluded["system"]["x"], without["system"]["x"]);
    assert!(excluded["system"]["x"].as_f64() < json(&[&FILES[..], &["--window", "1d"]].concat())["system"]["x"].as_f64());
    let unknown = analyze(&[&FILES[..], &["--exclude-from-pci", "nobody"]].concat());
    assert!(!unknown.status.success() && stderr(&unknown).contains("no identity is called nobody"), "{}", stderr(&unknown));
}

/// The scores and findings, without how the input was counted.
fn results(mut report: Value) -> Value {
    report["input"] = Value::Null;
    report
}

#[test]
fn twice_in_another_order_and_packed_gives_the_same_report() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(data().join("audit.log")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.reverse();
    let (first, second) = lines.split_at(lines.len() / 2 + 5);
    fs::create_dir(folder.path().join("older")).unwrap();
    fs::write(folder.path().join("b.log"), first.join("\n")).unwrap();
    // Two gzip members in one file, as `cat a.gz b.gz` writes them, and five lines of the other file again.
    let mut packed = Vec::new();
    for part in [second, &first[first.len() - 5..]] {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all((part.join("\n") + "\n").as_bytes()).unwrap();
        packed.extend(gzip.finish().unwrap());
    }
    fs::write(folder.path().join("older/a"), &packed).unwrap();
    let (plain, mixed) = (with_logs(&[&data().join("audit.log")]), with_logs(&[folder.path(), folder.path()]));
    assert_eq!(results(plain.clone()), results(mixed.clone()));
    assert_eq!(mixed["input"]["files"], 2);
    assert_eq!(mixed["input"]["events"].as_u64().unwrap(), plain["input"]["events"].as_u64().unwrap() + 5);
}

#[test]
fn broken_lines_and_other_versions_are_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(data().join("audit.log")).unwrap();
    let line = text.lines().next().unwrap();
    let old = line.replace("audit.k8s.io/v1", "audit.k8s.io/v1beta1");
    let no_user = line.replace("\"username\"", "\"name\"");
    let broken = format!("{text}not json\n{old}\n{old}\n{}\n\n{no_user}\n{{\"eventVersion\":\"1.08\"}}\n", &line[..line.len() / 2]);
    let path = folder.path().join("audit.log");
    fs::write(&path, &broken).unwrap();
    let output = analyze(&["--kubernetes-rbac", "rbac.json", "--audit-log", path.to_str().unwrap(), "-o", "json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["input"]["unknownVersions"]["apiVersion audit.k8s.io/v1beta1, kind Event"], 2);
    assert_eq!(report["input"]["unknownVersions"]["apiVersion none, kind none"], 1);
    assert_eq!(report["input"]["problemCount"], 3);
    let lines = text.lines().count();
    for number in [lines + 1, lines + 4, lines + 6] {
        assert!(stderr(&output).contains(&format!("audit.log:{number}: not an audit event: ")), "{}", stderr(&output));
    }
    assert_eq!(results(report), results(with_logs(&[&data().join("audit.log")])));
}

/// A reader that closed its end, such as `head`.
#[test]
fn closed_outputs_do_not_panic() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    fs::write(&log, fs::read_to_string(data().join("audit.log")).unwrap() + "not json\n").unwrap();
    let log = log.to_str().unwrap();
    let run = |log: &str, close_stdout: bool| {
        let closed = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_curfew-analytics"));
        command.args(["analyze", "--kubernetes-rbac", "rbac.json", "--audit-log", log]).current_dir(data()).stderr(closed());
        if close_stdout {
            command.stdout(closed());
        }
        command.output().unwrap()
    };
    for close_stdout in [false, true] {
        assert_eq!(run(log, close_stdout).status.code(), Some(0));
        assert_eq!(run("gone", close_stdout).status.code(), Some(1));
    }
}

#[test]
fn broken_objects_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut dump: Value = serde_json::from_str(&fs::read_to_string(data().join("rbac.json")).unwrap()).unwrap();
    dump["items"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({"kind": "Role", "metadata": {"name": "x", "namespace": "n"}, "rules": 3}));
    let path = folder.path().join("rbac.json");
    fs::write(&path, dump.to_string()).unwrap();
    let output = analyze(&["--kubernetes-rbac", path.to_str().unwrap(), "--audit-log", "audit.log", "-o", "json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["input"]["problemCount"], 1);
    assert!(stderr(&output).contains("rbac.json: left out: Role n/x: "), "{}", stderr(&output));
}

#[test]
fn a_truncated_gzip_file_counts_up_to_the_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(&fs::read(data().join("audit.log")).unwrap()).unwrap();
    let packed = gzip.finish().unwrap();
    let path = folder.path().join("audit.log.gz");
    fs::write(&path, &packed[..packed.len() / 2]).unwrap();
    let output = analyze(&["--kubernetes-rbac", "rbac.json", "--audit-log", path.to_str().unwrap(), "-o", "json"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(stderr(&output).contains("the gzip file ends too early: the lines before count; copy the file again"), "{}", stderr(&output));
    let lines = report["input"]["lines"].as_u64().unwrap();
    assert!(lines > 5 && report["input"]["events"] == lines && report["input"]["problemCount"] == 1, "{}", report["input"]);
}

#[test]
fn events_after_the_end_and_uses_before_the_window_do_not_count() {
    let all = json(&FILES);
    let early = json(&[&FILES[..], &["--until", "2036-01-01T00:00:00Z"]].concat());
    assert_eq!((&early["window"]["coveredDays"], &early["input"]["uses"]), (&0.into(), &all["input"]["uses"]));
    assert!(row(&early, "alice@example.com")["lastUsed"].is_null());
    let none = json(&[&FILES[..], &["--until", "2020-01-01T00:00:00Z"]].concat());
    assert_eq!((&none["input"]["uses"], &none["input"]["afterWindow"]), (&0.into(), &all["input"]["events"]));
}

#[test]
fn errors_name_the_file_and_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (empty, pods, nothing) = (file("empty.json", "{}"), file("pods.json", r#"{"kind":"PodList","items":[]}"#), file("empty.log", ""));
    let groups = file("groups.json", r#"{"kind":"APIGroupList","groups":[]}"#);
    let cases: [(&[&str], &[&str]); 7] = [
        (&["--kubernetes-rbac", "gone.json", "--audit-log", "audit.log"], &["cannot read gone.json"]),
        (&["--kubernetes-rbac", &empty, "--audit-log", "audit.log"], &["empty.json is not usable", "kubectl get clusterroles,roles"]),
        (&["--kubernetes-rbac", &pods, "--audit-log", "audit.log"], &["pods.json is not usable", "no ClusterRole or Role in it"]),
        (&["--kubernetes-rbac", "rbac.json", "--audit-log", "gone/"], &["cannot read gone/", "--audit-log takes files and directories"]),
        (&["--kubernetes-rbac", "rbac.json", "--audit-log", &nothing], &["no event of audit.k8s.io/v1 in", "empty.log"]),
        (&[&FILES[..], &["--discovery", groups.as_str()]].concat(), &["groups.json is not usable", "kubectl get --raw /apis/$v"]),
        (&[&FILES[..], &["--window", "90"]].concat(), &["a number needs a unit; write it as 90d"]),
    ];
    for (args, expected) in cases {
        let output = analyze(args);
        assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}");
        for part in expected {
            assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
        }
    }
}

#[test]
fn the_cluster_s_own_discovery_makes_what_nothing_serves_weightless() {
    let own = json(&[&FILES[..], &["--discovery", "../../src/kubernetes/discovery.json", "--window", "1d"]].concat());
    let built_in = json(&[&FILES[..], &["--window", "1d"]].concat());
    assert!(own["catalogue"]["version"].as_str().unwrap().ends_with("kinds of the cluster's discovery"));
    // Frank holds three permissions on widgets, which this cluster does not serve.
    assert_eq!(
        (&row(&own, "frank@example.com")["score"], &row(&own, "frank@example.com")["permissions"]["granted"]),
        (&0.into(), &6.into())
    );
    assert!(row(&built_in, "frank@example.com")["score"].as_u64().unwrap() > 0);
}

/// The HTML report lists the first identities only, so the table does not send anyone there for the others.
#[test]
fn what_is_left_out_of_a_list_is_where_the_list_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut dump: Value = serde_json::from_str(&fs::read_to_string(data().join("rbac.json")).unwrap()).unwrap();
    let subjects: Vec<Value> = (0..80).map(|i| serde_json::json!({"kind": "User", "name": format!("user-{i:02}")})).collect();
    dump["items"].as_array_mut().unwrap().push(serde_json::json!({"kind": "ClusterRoleBinding", "metadata": {"name": "many"},
        "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": subjects}));
    let (rbac, page) = (folder.path().join("rbac.json"), folder.path().join("pci.html"));
    fs::write(&rbac, dump.to_string()).unwrap();
    let files = ["--kubernetes-rbac", rbac.to_str().unwrap(), "--audit-log", "audit.log", "--window", "1d"];
    let text = stdout(&analyze(&[&files[..], &["--report", page.to_str().unwrap()]].concat()));
    let page = fs::read_to_string(page).unwrap();
    let (identities, findings) = text.split_once("\nFindings\n").unwrap();
    assert!(identities.contains(" more: -o csv and -o json list all"), "{identities}");
    let page = page.split_once("<h2>Findings").unwrap().0;
    assert!(!page.contains("user-79") && page.contains(" more have lower scores: -o csv and -o json list all."), "{page}");
    assert!(findings.contains(" more: -o json and the page of --report list all"), "{findings}");
    assert!(stdout(&analyze(&[&files[..], &["-o", "csv"]].concat())).contains("\r\nuser-79,"));
}

#[test]
fn help_teaches() {
    let help = stdout(&analyze(&["--help"]));
    for part in ["kubectl get clusterroles,roles", "0 to 33 low", "kubectl api-versions", "Exit status"] {
        assert!(help.contains(part), "{part}");
    }
}
