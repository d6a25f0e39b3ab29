//! The chart on the oldest Kubernetes that it claims, whose API server serves no MutatingAdmissionPolicy: it is installed without them, the
//! plugin sends requester and decider, a plain `kubectl apply` without them is refused with what to do, and forged ones are refused as
//! everywhere. Pods run under the rendered arguments and tokens.
use super::objects::{Objects, directory, objects};
use anyhow::{Context, Result, ensure};
use curfew_core::time::Time;
use curfew_testkit::{ControlPlane, Kubelet, Output, SOON, User, World, built, eventually, path, standing_role};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const RELEASE: [&str; 4] = ["curfew", "--namespace", "curfew-system", "--timeout=4m"];
const CONFIG: [&str; 2] = ["curfewconfig", "curfew"];

struct Oldest {
    // The first field is dropped first: no Pod looks for an API server that is gone.
    kubelet: Kubelet,
    w: World,
    admin: User,
    alice: User,
    carol: User,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_kubernetes_grants_what_the_plugin_requests() -> Result<()> {
    let (old, clock) = (Oldest::install().await?, Instant::now());
    old.the_mode_is_told().await?;
    old.manifests_can_be_applied().await?;
    old.plain_apply_is_refused_with_what_to_do().await?;
    old.forged_records_are_refused().await?;
    old.story().await?;
    old.stamped_manifests_are_accepted().await?;
    old.standing_access().await?;
    old.a_gap_grants_nothing().await?;
    println!("used in {:.0} s", clock.elapsed().as_secs_f32());
    old.helm(&["uninstall", "--wait"]).await.map(drop)
}

fn request(name: &str, more: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{roleRef: {{name: payments-admin}}, duration: 20m, justification: roll back release 2311{more}}}}}"
    )
}

fn decision(name: &str, about: &str, more: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: {about}}}}}, decision: Deny{more}}}}}"
    )
}

const STAN: &str = "{apiVersion: curfew.dev/v1alpha1, kind: ActiveAssignment, metadata: {name: stan, namespace: payments}, \
                    spec: {roleRef: {name: standing}, subject: {user: stan@example.com}, scope: {all: {}}, window: {permanent: {}}, \
                    justification: on-call rotation}}";

impl Oldest {
    async fn install() -> Result<Self> {
        let cp = ControlPlane::oldest("chart-oldest").await?;
        let kubelet = Kubelet::start(&cp, "curfew-system").await?;
        let w = World { cp };
        let old = Oldest { admin: w.admin()?, alice: w.alice()?, carol: w.carol()?, w, kubelet };
        old.admin.kubectl(&["apply", "-f", &path("deploy/10-namespace.yaml")]).await?.success()?;
        let clock = Instant::now();
        let notes = old.helm(&["install", "--wait", &path("charts/curfew")]).await?;
        println!("installed in {:.0} s", clock.elapsed().as_secs_f32());
        ensure!(notes.contains("does not fill in requester, decider and author") && notes.contains("kubectl curfew stamp"), "{notes}");
        ensure!(old.kubelet.running("curfew-operator-").len() == 2 && old.kubelet.running("curfew-revoker-").len() == 1);
        for file in ["platform", "team"] {
            let file = path(&format!("examples/first/{file}.yaml"));
            old.admin.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file]).await?.success()?;
        }
        old.admin.api(&["create", "secret", "generic", "db", "-n", "payments", "--from-literal=password=s3cret"]).await?.success()?;
        old.w.granting().await?;
        Ok(old)
    }

    async fn helm(&self, command: &[&str]) -> Result<String> {
        let (verb, more) = command.split_at(1);
        let out = self.admin.helm(&[verb, &RELEASE, more].concat()).await?;
        out.success().with_context(|| format!("helm {command:?}"))
    }

    async fn curfew(&self, who: &User, args: &[&str], stdin: Option<&str>) -> Result<Output> {
        who.run(&built("kubectl-curfew")?, args, stdin).await
    }

    /// By helm, in the status, by the plugin; and the doctor finds nothing that is to be mended.
    async fn the_mode_is_told(&self) -> Result<()> {
        let version: Value = serde_json::from_str(&self.admin.kubectl(&["version", "-o", "json"]).await?.success()?)?;
        let running = version["serverVersion"]["gitVersion"].as_str().unwrap_or_default().to_owned();
        ensure!(running == format!("v{}", oldest()?), "{running}");
        let manifest = objects(&self.admin.helm(&["get", "manifest", "curfew", "--namespace", "curfew-system"]).await?.success()?)?;
        ensure!(
            without_stamps(&manifest) == manifest && manifest.keys().any(|id| id.is("ValidatingAdmissionPolicy")),
            "{:?}",
            manifest.keys()
        );
        self.w.field_is(&CONFIG, "{.status.admission.stamping}", "NotServed").await?;
        let told = self.w.field(&CONFIG, "{.status.conditions[?(@.type==\"AdmissionEnforced\")].message}").await?;
        ensure!(told.contains("in force as built; this API server does not serve MutatingAdmissionPolicy"), "{told}");
        let told = self.curfew(&self.alice, &["whoami"], None).await?.success()?;
        ensure!(told.contains("filled in  by kubectl curfew: this API server does not serve MutatingAdmissionPolicy"), "{told}");
        let told = self.curfew(&self.admin, &["doctor"], None).await?.success()?;
        ensure!(told.contains("nothing is wrong") && !told.contains("stamp"), "{told}");
        Ok(())
    }

    /// `deploy/` as docs/install.md says: without one file, or by a kustomization that leaves its kinds out.
    async fn manifests_can_be_applied(&self) -> Result<()> {
        let dry = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f"];
        let mut files: Vec<_> = std::fs::read_dir(path("deploy"))?.map(|entry| anyhow::Ok(entry?.path())).collect::<Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|e| e == "yaml") && !file.ends_with("35-stamps.yaml"));
        ensure!(files.len() > 8, "{files:?}");
        files.push(path("crds").into());
        for file in files {
            self.admin.kubectl(&[&dry[..], &[&file.display().to_string()]].concat()).await?.success()?;
        }
        let page = std::fs::read_to_string(path("docs/install.md"))?;
        let kustomization = page.split("```yaml other=kustomization\n").nth(1).and_then(|rest| rest.split("```").next());
        let overlay = self.w.cp.dir().join("overlay");
        std::fs::create_dir_all(&overlay)?;
        std::os::unix::fs::symlink(path("deploy"), self.w.cp.dir().join("deploy"))?;
        std::fs::write(overlay.join("kustomization.yaml"), kustomization.context("docs/install.md has no kustomization")?)?;
        let built = self.admin.kubectl(&["kustomize", &overlay.display().to_string()]).await?.success()?;
        ensure!(objects(&built)? == without_stamps(&directory("deploy")?), "the kustomization of docs/install.md gives other objects");
        Ok(())
    }

    /// Each of the kinds, by plain kubectl: what is missing, and how to go on.
    async fn plain_apply_is_refused_with_what_to_do(&self) -> Result<()> {
        let next = "kubectl curfew stamp -f FILE | kubectl create -f -";
        for (who, yaml, words) in [
            (
                &self.alice,
                request("plain", ""),
                ["requester is missing or null", "too old to fill it in", "use kubectl curfew request", next],
            ),
            (
                &self.carol,
                decision("plain", "x", ""),
                ["decider is missing or null", "too old to fill it in", "use kubectl curfew approve, deny or revoke", next],
            ),
            (&self.admin, STAN.to_owned(), ["author is missing or null", "too old to fill it in", "Curfew's mutating policies", next]),
        ] {
            let told = who.kubectl_stdin(&["apply", "-f", "-"], &yaml).await?.refused()?;
            ensure!(words.iter().all(|word| told.contains(word)), "{told}");
        }
        Ok(())
    }

    /// Who sends a record sends their own, with each configured key and no other.
    async fn forged_records_are_refused(&self) -> Result<()> {
        let login: Value = serde_json::from_str(&self.alice.kubectl(&["auth", "whoami", "-o", "json"]).await?.success()?)?;
        let (user, key) = (&login["status"]["userInfo"], "authentication.kubernetes.io/credential-id");
        let own = json!({"username": user["username"], "groups": user["groups"], "extra": {key: user["extra"][key]}});
        ensure!(own["extra"][key][0].as_str().is_some_and(|id| id.starts_with("X509SHA256=")), "{own}");
        let with = |change: &dyn Fn(&mut Value)| {
            let mut record = own.clone();
            change(&mut record);
            record.to_string()
        };
        let forged = [
            (with(&|r| r["username"] = json!("carol@example.com")), "requester.username must be your own"),
            (with(&|r| r["uid"] = json!("7")), "requester.uid must be your own"),
            (
                with(&|r| r["groups"] = json!(["payments-devs", "payments-leads", "system:authenticated"])),
                "requester.groups must be your own",
            ),
            (with(&|r| r["groups"] = json!([])), "requester.groups must be your own"),
            (with(&|r| r["extra"][key] = json!(["X509SHA256=0"])), "requester.extra must be your own"),
            (with(&|r| r["extra"] = json!({})), "with every key that CurfewConfig names"),
            (with(&|r| r["extra"]["arn"] = json!([])), "may have no keys but those that CurfewConfig names, and it has arn"),
        ];
        for (record, words) in forged {
            let told =
                self.alice.kubectl_stdin(&["create", "-f", "-"], &request("forged", &format!(", requester: {record}"))).await?.refused()?;
            ensure!(told.contains(words), "{record}: {told}");
        }
        let told =
            self.carol.kubectl_stdin(&["create", "-f", "-"], &decision("forged", "x", &format!(", decider: {own}"))).await?.refused()?;
        ensure!(told.contains("decider.username must be your own"), "{told}");
        // What it is compared with is what a stamp is: the same record is taken.
        let dry = ["create", "--dry-run=server", "-f", "-"];
        self.alice.kubectl_stdin(&dry, &request("own", &format!(", requester: {own}"))).await?.success().map(drop)
    }

    /// The README's story with the plugin: ask, approve, hold, lose.
    async fn story(&self) -> Result<()> {
        let ask = ["request", "payments-admin", "-n", "payments", "-d", "15s", "-j", "roll back", "--name", "asked", "--no-wait"];
        self.curfew(&self.alice, &ask, None).await?.success()?;
        self.w.state_is("asked", "AwaitingApproval").await?;
        ensure!(!self.alice.can_read_secret("payments", "db").await?, "asking is not getting");
        let digest = self.w.field(&["areq", "-n", "payments", "asked"], "{.status.digest}").await?;
        let told = self.curfew(&self.carol, &["approve", "asked", "-n", "payments", "--digest", &digest], None).await?.success()?;
        ensure!(told.contains("counts as an approval"), "{told}");
        self.w.access_is(&self.alice, true, SOON).await?;
        let deadline = self.w.field(&["areq", "-n", "payments", "asked"], "{.status.expiresAt}").await?;
        let deadline = Time::parse(&deadline).with_context(|| format!("{deadline} is not a time"))?;
        let ended = eventually("the access to end", SOON + SOON, || async {
            let asked = now()?;
            Ok((!self.alice.can_read_secret("payments", "db").await?).then_some(asked))
        })
        .await?;
        let late = ended.millis_since(deadline);
        ensure!(now()?.millis_since(deadline) >= 0 && late < 5_000, "ended {late} ms after the deadline");
        self.w.state_is("asked", "Expired").await
    }

    /// `kubectl curfew stamp` between a file and kubectl, also for a decision.
    async fn stamped_manifests_are_accepted(&self) -> Result<()> {
        let pipe = async |who: &User, yaml: &str| {
            let stamped = self.curfew(who, &["stamp", "-f", "-"], Some(yaml)).await?.success()?;
            who.kubectl_stdin(&["create", "--validate=strict", "-f", "-"], &stamped).await
        };
        pipe(&self.alice, &request("stamped", "")).await?.success()?;
        self.w.state_is("stamped", "AwaitingApproval").await?;
        pipe(&self.carol, &decision("denied", "stamped", "")).await?.success()?;
        self.w.state_is("stamped", "Denied").await?;
        // A stamp is worth nothing for another login.
        let stamped = self.curfew(&self.carol, &["stamp", "-f", "-"], Some(&request("borrowed", ""))).await?.success()?;
        let told = self.alice.kubectl_stdin(&["create", "-f", "-"], &stamped).await?.refused()?;
        ensure!(told.contains("requester.username must be your own"), "{told}");
        self.admin
            .kubectl_stdin(&["apply", "--server-side", "-f", "-"], &standing_role("{user: stan@example.com}", "5m"))
            .await?
            .success()?;
        pipe(&self.admin, STAN).await?.success().map(drop)
    }

    /// The requests for it are the operator's own, with its own record.
    async fn standing_access(&self) -> Result<()> {
        let stan = self.w.cp.user("stan@example.com", &[])?;
        self.w.access_is(&stan, true, SOON).await?;
        let requester = "{.items[?(@.spec.activeAssignment.name==\"stan\")].spec.requester.username}";
        let told = self.w.field(&["areq", "-n", "payments"], requester).await?;
        ensure!(told == "system:serviceaccount:curfew-system:curfew-operator", "{told}");
        self.admin.kubectl(&["delete", "activeassignment", "-n", "payments", "stan"]).await?.success()?;
        self.w.access_is(&stan, false, SOON).await
    }

    /// What protects is proven here as everywhere: without it a forged request is stored, and never believed.
    async fn a_gap_grants_nothing(&self) -> Result<()> {
        let enforced = "{.status.conditions[?(@.type==\"AdmissionEnforced\")].status}";
        let binding = ["validatingadmissionpolicybinding", "curfew-requests", "curfew-keys-of-requests"];
        self.admin.kubectl(&[&["delete"][..], &binding].concat()).await?.success()?;
        // The operator looks once a minute; until then it has proofs of before.
        self.w.field_fits(&CONFIG, enforced, "to be False", Duration::from_secs(100), |now| now == "False").await?;
        let mallory = self.w.cp.user("mallory@example.com", &["payments-devs"])?;
        let forged = ", requester: {username: alice@example.com, groups: [payments-devs]}";
        mallory.kubectl_stdin(&["create", "-f", "-"], &request("forged", forged)).await?.success()?;
        let begun = now()?;
        self.helm(&["upgrade", "--wait", "--reuse-values", &path("charts/curfew")]).await?;
        let later = |since: &str| Time::parse(since).is_some_and(|since| since.millis_since(begun) > 0);
        self.w.field_fits(&CONFIG, "{.status.admission.since}", "to be later", Duration::from_secs(100), later).await?;
        self.w.state_is("forged", "Invalid").await?;
        self.w.field_is(&["areq", "-n", "payments", "forged"], "{.status.reason}", "AdmissionNotEnforced").await
    }
}

fn without_stamps(all: &Objects) -> Objects {
    let kinds = ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"];
    all.iter().filter(|(id, _)| !kinds.iter().any(|kind| id.is(kind))).map(|(id, object)| (id.clone(), object.clone())).collect()
}

fn now() -> Result<Time> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Time::from_millis(i64::try_from(since.as_millis())?))
}

/// The version that the oldest control plane is built from.
fn oldest() -> Result<String> {
    let module = std::fs::read_to_string(path("hack/control-plane/oldest.mod"))?;
    let version = module.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v")).context("no version")?;
    Ok(version.to_owned())
}

/// What the chart, the plugin and the pages claim.
#[test]
fn the_oldest_version_that_is_claimed_is_the_one_that_is_run() -> Result<()> {
    let run = oldest()?;
    let (minor, _) = run.rsplit_once('.').context("no patch version")?;
    for (file, words) in [
        ("charts/curfew/Chart.yaml", format!("kubeVersion: \">={minor}.0-0\"")),
        ("crates/kubectl-curfew/src/doctor/installation.rs", format!("OLDEST: (u32, u32) = ({})", minor.replace('.', ", "))),
        ("README.md", format!("Kubernetes {minor} or newer")),
        ("README.md", run.clone()),
        ("src/generate/chart.md", format!("Kubernetes {minor} or newer")),
        ("docs/install.md", format!("Kubernetes {minor} or newer")),
        ("docs/versions.md", format!("{minor} or newer")),
        ("docs/versions.md", run.clone()),
        ("docs/managed/README.md", format!("Kubernetes {minor} or newer")),
        ("docs/tutorial/kind.md", format!("Kubernetes {minor} or newer")),
    ] {
        ensure!(std::fs::read_to_string(path(file))?.contains(&words), "{file} does not say {words}");
    }
    Ok(())
}
