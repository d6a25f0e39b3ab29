//! The life of a release, with the real helm on a real control plane whose Pods run: installation, the README's story under the rights
//! of the chart, an upgrade and an uninstallation with live access, an installation over what was kept, and the deletion of that.
use super::objects::KUBERNETES;
use anyhow::{Context, Result, ensure};
use curfew_core::time::Time;
use curfew_testkit::{ControlPlane, Kubelet, SOON, User, World, eventually, path};
use std::time::{Duration, Instant};

/// The arguments that name the release in each command of helm.
pub const RELEASE: [&str; 4] = ["curfew", "--namespace", "curfew-system", "--timeout=4m"];
/// How long a rollout may take on a busy machine.
const ROLLOUT: Duration = Duration::from_secs(180);

/// A release on a cluster of its own.
pub struct Life {
    // The first field is dropped first: no Pod looks for an API server that is gone.
    pub kubelet: Kubelet,
    pub w: World,
    pub admin: User,
    alice: User,
    carol: User,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_lives_with_its_grants() -> Result<()> {
    let life = Life::install().await?;
    super::manifests::are_valid(&life.admin).await?;
    life.story().await?;
    life.not_ready_without_the_policies().await?;
    life.upgrade_with_a_live_grant().await?;
    life.an_upgrade_that_fails_with_a_live_grant().await?;
    life.uninstall_with_a_live_grant().await?;
    life.install_again().await?;
    life.delete_everything().await
}

impl Life {
    async fn install() -> Result<Self> {
        let cp = ControlPlane::empty("chart").await?;
        let kubelet = Kubelet::start(&cp, "curfew-system").await?;
        let w = World { cp };
        let life = Life { admin: w.admin()?, alice: w.alice()?, carol: w.carol()?, w, kubelet };
        life.admin.kubectl(&["apply", "-f", &path("deploy/10-namespace.yaml")]).await?.success()?;
        let (begun, clock) = (now()?, Instant::now());
        life.helm(&["install"], &["--wait", &path("charts/curfew")]).await?;
        println!("installed in {:.0} s", clock.elapsed().as_secs_f32());
        // Ready replicas have seen the policies in force: helm has waited for that.
        for pod in life.kubelet.running("curfew-operator-") {
            ensure!(life.kubelet.logs(&pod)?.contains("serving"), "{pod}");
        }
        ensure!(life.kubelet.running("curfew-operator-").len() == 2 && life.kubelet.running("curfew-revoker-").len() == 1);
        life.enforced(begun).await?;
        Ok(life)
    }

    /// Runs a command of helm about the release.
    async fn helm(&self, command: &[&str], more: &[&str]) -> Result<String> {
        let out = self.admin.helm(&[command, &RELEASE, more].concat()).await?;
        out.success().with_context(|| format!("helm {command:?}"))
    }

    /// Waits for a proof of admission whose span began after this time. The condition alone may be older, of an earlier release or of
    /// policies from before a change, and what is created before the new span is not trusted.
    pub async fn enforced(&self, after: Time) -> Result<()> {
        let later = |since: &str| Time::parse(since).is_some_and(|since| since.millis_since(after) > 0);
        self.w.field_fits(&["curfewconfig", "curfew"], "{.status.admission.since}", "to be later", ROLLOUT, later).await?;
        let condition = "{.status.conditions[?(@.type==\"AdmissionEnforced\")].status}";
        self.w.field_fits(&["curfewconfig", "curfew"], condition, "AdmissionEnforced to be True", ROLLOUT, |now| now == "True").await
    }

    /// The README's story: ask, approve, hold, lose.
    async fn story(&self) -> Result<()> {
        for file in ["platform", "team"] {
            self.admin
                .kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &path(&format!("examples/first/{file}.yaml"))])
                .await?
                .success()?;
        }
        self.admin.api(&["create", "secret", "generic", "db", "-n", "payments", "--from-literal=password=s3cret"]).await?.success()?;
        self.w.granting().await?;
        let ends = self.active("first", "20s").await?;
        self.ends_at(ends).await?;
        self.w.state_is("first", "Expired").await?;
        // The sweep ran, as its CronJob says.
        eventually("a sweep to have run", Duration::from_secs(90), || async {
            Ok(self.kubelet.logs("curfew-sweep-")?.contains("\"install\"").then_some(()))
        })
        .await?;
        // The roles of people: view shows what is offered, and no more of Curfew.
        let can = async |verb: &str, what: &str, group: &str| {
            let out = self
                .admin
                .kubectl(&["auth", "can-i", verb, what, "-n", "payments", "--as=eve@example.com", &format!("--as-group={group}")])
                .await?;
            anyhow::Ok(out.stdout.trim() == "yes")
        };
        for (role, group) in [("view", "viewers"), ("admin", "admins"), ("curfew-author", "authors")] {
            self.admin
                .kubectl(&["create", "rolebinding", group, &format!("--clusterrole={role}"), &format!("--group={group}"), "-n", "payments"])
                .await?
                .success()?;
        }
        eventually("view to be aggregated", SOON, || async { Ok(can("list", "roletemplates.curfew.dev", "viewers").await?.then_some(())) })
            .await?;
        ensure!(
            !can("list", "activationrequests.curfew.dev", "viewers").await?
                && !can("create", "accessdecisions.curfew.dev", "admins").await?
        );
        ensure!(!can("create", "roletemplates.curfew.dev", "admins").await? && can("create", "roletemplates.curfew.dev", "authors").await?);
        Ok(())
    }

    /// A replica that starts while a policy is missing is not ready, so neither a rollout nor helm goes on; an upgrade brings it back.
    async fn not_ready_without_the_policies(&self) -> Result<()> {
        let (binding, deleted) = (["validatingadmissionpolicybinding", "curfew-marks"], now()?);
        self.admin.kubectl(&[&["delete"][..], &binding].concat()).await?.success()?;
        let before = self.kubelet.running("curfew-operator-");
        self.admin.kubectl(&["delete", "pod", "-n", "curfew-system", &before[0]]).await?.success()?;
        let waits = "the admission policies of this version were not seen in force yet";
        eventually("the new replica to wait for the policies", SOON + SOON, || async {
            let new = self.kubelet.running("curfew-operator-").into_iter().find(|pod| !before.contains(pod)).context("no new replica")?;
            let answer = self.kubelet.get(&new, "/readyz").await?;
            Ok((answer.starts_with("HTTP/1.1 503") && answer.contains(waits)).then_some(()))
        })
        .await?;
        self.helm(&["upgrade"], &["--wait", "--reuse-values", &path("charts/curfew")]).await?;
        self.admin.kubectl(&[&["get"][..], &binding].concat()).await?.success()?;
        self.enforced(deleted).await
    }

    /// Alice asks, Carol approves; returns the deadline once Alice uses the access.
    pub async fn active(&self, name: &str, duration: &str) -> Result<Time> {
        let request = format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {name}, namespace: payments}}, \
             spec: {{roleRef: {{name: payments-admin}}, duration: {duration}, justification: roll back release 2311}}}}"
        );
        self.alice.apply(&request).await?.success()?;
        self.w.state_is(name, "AwaitingApproval").await?;
        ensure!(!self.alice.can_read_secret("payments", "db").await?, "asking is not getting");
        let digest = self.w.field(&["areq", "-n", "payments", name], "{.status.digest}").await?;
        let decision = format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{name: carol-{name}, namespace: payments}}, \
             spec: {{about: {{activationRequest: {{name: {name}}}}}, digest: '{digest}', decision: Approve}}}}"
        );
        self.carol.apply(&decision).await?.success()?;
        self.w.access_is(&self.alice, true, SOON).await?;
        self.w.state_is(name, "Active").await?;
        let ends = self.w.field(&["areq", "-n", "payments", name], "{.status.expiresAt}").await?;
        Time::parse(&ends).with_context(|| format!("{ends} is not a time"))
    }

    /// Uses the access until it ends: at its deadline, not before and not five seconds after it.
    pub async fn ends_at(&self, deadline: Time) -> Result<()> {
        let limit = Duration::from_millis(deadline.millis_since(now()?).unsigned_abs()) + SOON;
        let ended = eventually("the access to end", limit, || async {
            // Before the question: an answer may come after the deadline that was true before it.
            let asked = now()?;
            Ok((!self.alice.can_read_secret("payments", "db").await?).then_some(asked))
        })
        .await?;
        let late = now()?.millis_since(deadline);
        ensure!(now()?.millis_since(deadline) >= 0, "ended {} ms before the deadline", -late);
        ensure!(ended.millis_since(deadline) < 5_000, "ended {late} ms after the deadline");
        Ok(())
    }

    /// The Pods are replaced while access is live: it neither ends nor lasts longer for that.
    async fn upgrade_with_a_live_grant(&self) -> Result<()> {
        let before = self.kubelet.running("curfew-");
        let deadline = self.active("upgraded", "60s").await?;
        let upgrade = async {
            self.helm(
                &["upgrade"],
                &[
                    "--wait",
                    "--reuse-values",
                    "--set-string=operator.podAnnotations.example\\.com/round=2",
                    "--set=logLevel=info\\,curfew=debug",
                    &path("charts/curfew"),
                ],
            )
            .await?;
            println!("upgraded with {} ms to the deadline", deadline.millis_since(now()?));
            anyhow::Ok(())
        };
        let (upgraded, ended) = tokio::join!(upgrade, self.ends_at(deadline));
        upgraded?;
        ended?;
        self.w.state_is("upgraded", "Expired").await?;
        let after = self.kubelet.running("curfew-operator-");
        ensure!(after.len() == 2 && after.iter().all(|pod| !before.contains(pod)), "{before:?} and {after:?}");
        ensure!(
            self.w.field(&["authsys", "this-cluster"], "{.spec.mode}").await? == "ReadWrite",
            "an upgrade undoes what people have changed since"
        );
        ensure!(
            !self.w.field(&["configmap", "curfew-identity-keys", "-n", "curfew-system"], "{.data.keys}").await?.is_empty(),
            "an upgrade undoes what the operator has written"
        );
        Ok(())
    }

    /// It refuses, and nothing has happened; after the drain that the message names it succeeds, and what describes access is kept.
    async fn uninstall_with_a_live_grant(&self) -> Result<()> {
        self.active("held", "1h").await?;
        let grant = self.w.field(&["areq", "-n", "payments", "held"], "{.status.grantRef.name}").await?;
        let refusal = self.admin.helm(&[&["uninstall"][..], &RELEASE].concat()).await?.refused()?;
        ensure!(refusal.contains("curfew-no-live-grants"), "{refusal}");
        let log = self.kubelet.logs("curfew-no-live-grants-")?;
        ensure!(log.contains("1 Grant has not ended") && log.contains(&grant) && log.contains("alice@example.com"), "{log}");
        ensure!(
            self.kubelet.running("curfew-operator-").len() == 2 && self.kubelet.running("curfew-revoker-").len() == 1,
            "something was uninstalled"
        );
        ensure!(self.alice.can_read_secret("payments", "db").await?, "the refusal has ended the access");
        // The command of the message.
        let drain = log.lines().find_map(|line| line.trim().strip_prefix("kubectl patch ")).context("no command in the log")?;
        ensure!(drain == r#"authorizationsystem this-cluster --type=merge -p '{"spec":{"suspend":true}}'"#, "{drain}");
        self.admin
            .kubectl(&["patch", "authorizationsystem", "this-cluster", "--type=merge", "-p", r#"{"spec":{"suspend":true}}"#])
            .await?
            .success()?;
        self.w.access_is(&self.alice, false, SOON).await?;
        self.w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
        self.helm(&["uninstall"], &["--wait"]).await?;
        eventually("the Pods to be gone", SOON, || async { Ok(self.kubelet.running("curfew-").is_empty().then_some(())) }).await?;
        for what in [
            &["crd/grants.curfew.dev"][..],
            &["curfewconfig/curfew"],
            &["authorizationsystem/this-cluster"],
            &["grant", &grant],
            &["areq", "held", "-n", "payments"],
        ] {
            self.admin.kubectl(&[&["get"], what].concat()).await?.success().with_context(|| format!("{what:?} was not kept"))?;
        }
        let left = self
            .admin
            .kubectl(&["get", "deployments,cronjobs,jobs,serviceaccounts,networkpolicies", "-n", "curfew-system", "-o", "name"])
            .await?
            .success()?;
        ensure!(left.trim() == "serviceaccount/default", "{left}");
        let cluster = self
            .admin
            .kubectl(&["get", "clusterroles,clusterrolebindings,validatingadmissionpolicies,flowschemas,priorityclasses", "-o", "name"])
            .await?
            .success()?;
        let left: Vec<&str> = cluster.lines().filter(|name| name.contains("/curfew") && !name.contains("bind-payments")).collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    }

    /// Over what the last release has kept.
    async fn install_again(&self) -> Result<()> {
        let (chart, begun) = (path("charts/curfew"), now()?);
        let notes = self
            .helm(
                &["install"],
                &["--wait", "--take-ownership", "--set=thisCluster.mode=ReadWrite", "--set=thisCluster.displayName=Again", &chart],
            )
            .await?;
        ensure!(notes.contains("An earlier installation has left CurfewConfig"), "{notes}");
        ensure!(
            self.w.field(&["authsys", "this-cluster"], "{.spec.displayName}").await? == "Again",
            "--take-ownership sets what the values say"
        );
        self.enforced(begun).await?;
        self.admin
            .kubectl(&["patch", "authorizationsystem", "this-cluster", "--type=merge", "-p", r#"{"spec":{"suspend":false}}"#])
            .await?
            .success()?;
        self.w.granting().await?;
        let ends = self.active("again", "15s").await?;
        self.ends_at(ends).await
    }

    /// As docs/install.md says: systems and Grants that have ended are kept, with finalizers that no operator takes any more.
    async fn delete_everything(&self) -> Result<()> {
        self.helm(&["uninstall"], &["--wait"]).await?;
        let held = self.admin.kubectl(&["get", "grt,authsys", "-o", "name"]).await?.success()?;
        ensure!(held.contains("grant") && held.contains("authorizationsystem"), "not kept: {held}");
        for object in held.lines() {
            let patch = ["patch", object, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#];
            eventually("the API server to forget the deleted policies", SOON, || async {
                let out = self.admin.kubectl(&patch).await?;
                ensure!(out.ok || out.stderr.contains("denied request"), "{}", out.stderr);
                Ok(out.ok.then_some(()))
            })
            .await?;
        }
        self.admin.kubectl(&["delete", "-f", &path("crds"), "--timeout=60s"]).await?.success()?;
        self.admin.kubectl(&["delete", "namespace", "curfew-system", "--timeout=60s"]).await?.success()?;
        Ok(())
    }
}

/// The time of this machine, on which everything runs.
pub fn now() -> Result<Time> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Time::from_millis(i64::try_from(since.as_millis())?))
}

/// `--kube-version` is of no use where helm asks the cluster.
#[test]
fn the_version_that_is_claimed_is_the_one_that_is_run() -> Result<()> {
    let module = std::fs::read_to_string(path("hack/control-plane/go.mod"))?;
    let run = module.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v")).context("no version")?;
    ensure!(KUBERNETES.ends_with(run), "{KUBERNETES} and {run}");
    Ok(())
}
