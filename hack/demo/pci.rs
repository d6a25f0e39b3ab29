//! `make demo-pci`: how much power goes unused, in a cluster and in an AWS account, and what to do about it.
//!
//! The cluster is a real API server that posts its audit events to `curfew-analytics run`. The account is an example of files, as AWS writes
//! them (`examples/analytics/aws`). Every step is printed and checked. The exit code is 0 only if all of them held.
mod teller;

use anyhow::{Context, Result, ensure};
use curfew_testkit::{Analytics, ControlPlane, SOON, Stage, World, eventually, free_port, operator_binary, path, root};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use teller::Teller;
use tokio::process::Command;

/// The token of the API server for its audit events.
const TOKEN: &str = "demo-0123456789abcdef0123456789abcdef";
/// The AuthorizationSystem of the example.
const SYSTEM: &str = "this-cluster";

/// Standing access, as clusters have it.
const STANDING: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: security, namespace: curfew-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads-analytics}
rules: [{apiGroups: [curfew.dev], resources: [authorizationsystems/analytics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reads-analytics}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads-analytics}
subjects: [{kind: ServiceAccount, name: security, namespace: curfew-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: erin-is-admin}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: erin@example.com}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dana-edits, namespace: payments}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dana@example.com}]
"#;

/// The first lines of an answer.
fn beginning(text: &str, lines: usize) -> String {
    let all = text.lines().count();
    let first: Vec<&str> = text.lines().take(lines).collect();
    let more = if all > lines { format!("\n... and {} more lines", all - lines) } else { String::new() };
    first.join("\n") + &more
}

/// The cluster, and where pages are written.
struct Stand {
    world: World,
    url: String,
    pages: PathBuf,
}

impl Stand {
    /// `kubectl curfew …` as the platform's security team.
    async fn asks(&self, t: &Teller, args: &[&str]) -> Result<String> {
        t.run("security", &format!("kubectl curfew {}", args.join(" ")));
        self.ask(args).await
    }

    async fn ask(&self, args: &[&str]) -> Result<String> {
        let ca = self.world.cp.dir().join("ca.crt").display().to_string();
        let server = ["--analytics-url", &self.url, "--analytics-ca", &ca, "--as-service-account", "curfew-system/security"];
        let plugin = operator_binary()?.with_file_name("kubectl-curfew");
        let out = self.world.admin()?.run(&plugin, &[args, &server].concat(), None).await?;
        out.success()
    }

    /// What is known of an identity, without telling the command.
    async fn known(&self, name: &str) -> Result<Value> {
        serde_json::from_str(&self.ask(&["identity", name, "-o", "json"]).await?).context("not JSON")
    }
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<()> {
    let mut t = Teller::begin();
    println!(
        "How much power goes unused: the Permission Creep Index of a cluster and of an AWS account.\nStarting an API server that posts its audit events ..."
    );
    let port = free_port()?;
    let posting = format!("https://127.0.0.1:{port}/audit/{SYSTEM}");
    let world = World { cp: ControlPlane::start_posting("demo-pci", Stage::First, posting, TOKEN.into()).await? };
    let pages = root().canonicalize()?.join("target/demo-pci");
    std::fs::create_dir_all(&pages)?;
    let stand = Stand { world, url: format!("https://127.0.0.1:{port}"), pages };
    let _operator = stand.world.operator("operator").await?;
    let _analytics = measure(&stand, &mut t, port).await?;
    cluster(&stand, &mut t).await?;
    account(&stand, &mut t).await?;
    look(&stand, &mut t).await?;
    println!("\nEvery step held, in {:.0} s. The pages are in {}.", t.elapsed().as_secs_f32(), stand.pages.display());
    Ok(())
}

/// Installs analytics and standing access, and waits for the first score.
async fn measure(s: &Stand, t: &mut Teller, port: u16) -> Result<Analytics> {
    let admin = s.world.admin()?;
    t.step("platform team", "installs curfew-analytics: an account of its own, which may read roles and bindings and write scores");
    t.run("admin", "kubectl apply -k deploy/analytics");
    t.saw(&admin.kubectl(&["apply", "--server-side", "-f", &path("deploy/analytics/10-rbac.yaml")]).await?.success()?);
    admin.apply(STANDING).await?.success()?;
    let settings = json!({"spec": {"analytics": {"usage": [{"auditWebhook": {}}], "targets": {"system": 40, "human": 67, "guest": 33, "workload": 100, "superIdentities": 1}}}});
    admin.api(&["patch", "authsys", SYSTEM, "--type=merge", "-p", &settings.to_string()]).await?.success()?;
    let analytics = Analytics::start(&s.world, port, (SYSTEM, TOKEN), &[]).await?;
    t.step("dana", "works: she reads a ConfigMap and lists Pods in payments. erin, an administrator of the cluster, does nothing");
    let dana = s.world.cp.user("dana@example.com", &[])?;
    for args in [&["get", "configmap", "-n", "payments", "kube-root-ca.crt"][..], &["get", "pods", "-n", "payments"]] {
        t.run("dana", &format!("kubectl {}", args.join(" ")));
        dana.kubectl(args).await?.success()?;
    }
    Ok(analytics)
}

/// From the score to the finding, to the least role, to a lower score.
async fn cluster(s: &Stand, t: &mut Teller) -> Result<()> {
    t.step("security team", "looks at the system: the score is in its status, and needs no other tool than kubectl");
    let score = s.world.until(&["authsys", SYSTEM], "a score", SOON * 2, |object| Ok(object["status"]["pci"]["score"].as_u64())).await?;
    eventually("dana's work to be counted", SOON * 2, || async {
        Ok((s.known("dana@example.com").await?.to_string().contains("configmaps")).then_some(()))
    })
    .await?;
    t.run("security", "kubectl get authsys");
    t.saw(&s.world.admin()?.kubectl(&["get", "authsys"]).await?.success()?);
    t.saw(&s.asks(t, &["pci", SYSTEM]).await?);
    t.step("security team", "asks who it is, and why");
    t.saw(&beginning(&s.asks(t, &["identity", "erin@example.com", "-s", SYSTEM]).await?, 20));
    let findings = s.asks(t, &["findings", "-s", SYSTEM, "--severity", "high,medium", "--limit", "8"]).await?;
    t.saw(&beginning(&findings, 30));
    ensure!(findings.contains("erin@example.com"), "no finding about erin");
    t.step("security team", "asks for the least role for what dana did, as a RoleTemplate and an EligibleAssignment");
    let proposal = s.asks(t, &["rightsize", "dana@example.com", "-s", SYSTEM]).await?;
    t.saw(&beginning(&proposal, 60));
    ensure!(proposal.contains("configmaps") && proposal.contains("pods"), "the proposal lacks what dana used");
    t.step("platform team", "takes the standing access of erin away; she can ask for it when she needs it");
    t.run("admin", "kubectl delete clusterrolebinding erin-is-admin");
    s.world.admin()?.api(&["delete", "clusterrolebinding", "erin-is-admin"]).await?.success()?;
    let lower = s
        .world
        .until(&["authsys", SYSTEM], "a lower score", SOON * 2, |object| {
            Ok(object["status"]["pci"]["score"].as_u64().filter(|now| *now < score))
        })
        .await?;
    t.saw(&format!("the score of {SYSTEM} was {score} and is {lower}"));
    let page = s.asks(t, &["pci", SYSTEM, "-o", "html"]).await?;
    std::fs::write(s.pages.join("cluster.html"), page)?;
    Ok(())
}

/// The same without a cluster and without credentials, from files.
async fn account(s: &Stand, t: &mut Teller) -> Result<()> {
    t.step("security team", "analyses an AWS account from files: who may do what, 90 days of CloudTrail, and the credential report");
    let at = |name: &str| path(&format!("examples/analytics/aws/{name}"));
    let page = s.pages.join("account.html").display().to_string();
    let args = [
        "analyze",
        "--aws-authorization-details",
        &at("account.json"),
        "--cloudtrail",
        &at("cloudtrail"),
        "--aws-credential-report",
        &at("credential-report.csv"),
        "--report",
        &page,
    ];
    t.run("security", "curfew-analytics analyze --aws-authorization-details account.json --cloudtrail cloudtrail/ --aws-credential-report credential-report.csv --report account.html");
    let binary = operator_binary()?.with_file_name("curfew-analytics");
    let out = Command::new(binary).args(args).output().await?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let table = String::from_utf8_lossy(&out.stdout).into_owned();
    t.saw(&beginning(&table, 60));
    ensure!(table.contains("user/alice") && table.contains("partner-read"), "alice or the partner's role is missing");
    Ok(())
}

/// Opens the pages in a headless browser, if there is one.
async fn look(s: &Stand, t: &mut Teller) -> Result<()> {
    t.step("security team", "opens the pages: one file each, without scripts, offline");
    let Some(browser) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(found) else {
        t.saw(&format!("no browser here; open {} in yours", s.pages.display()));
        return Ok(());
    };
    for name in ["cluster", "account"] {
        let (page, picture) = (s.pages.join(format!("{name}.html")), s.pages.join(format!("{name}.png")));
        let text = std::fs::read_to_string(&page)?;
        ensure!(!text.contains("<script") && !text.contains("src=\"http"), "{} is not one file without scripts", page.display());
        shown(&browser, &page, &picture).await?;
        t.saw(&format!("{} ({} KiB)", picture.display(), std::fs::metadata(&picture)?.len() / 1024));
    }
    Ok(())
}

/// Draws a page into a picture.
async fn shown(browser: &Path, page: &Path, picture: &Path) -> Result<()> {
    let profile = tempfile::tempdir()?;
    let out = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,2400"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--screenshot={}", picture.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .await?;
    ensure!(out.status.success() && picture.is_file(), "the browser failed: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

/// A program of the path.
fn found(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|file| file.is_file())
}
