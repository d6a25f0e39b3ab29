//! A control plane with Curfew installed as the README says, and people to try it.
use super::{
    ControlPlane, Issuer, Operator, OperatorSpec, SOON, Stage, User,
    arguments::Selection,
    eventually, jsonpath,
    rest::{self, Answer},
    watch::{History, Watch},
};
use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The pause between two uses of an access.
const PAUSE: Duration = Duration::from_millis(100);

/// An installed Curfew.
pub struct World {
    /// What it runs on.
    pub cp: ControlPlane,
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

impl World {
    /// A control plane with CRDs, policies, rights and configuration, all in force. No operator runs yet.
    ///
    /// # Errors
    /// If the control plane does not start.
    pub async fn install(name: &str) -> Result<Self> {
        Ok(World { cp: ControlPlane::start(name, Stage::Installed).await? })
    }

    /// The same with an API server that accepts the tokens of this issuer, beside client certificates.
    ///
    /// # Errors
    /// If the control plane does not start.
    pub async fn install_with_issuer(name: &str, issuer: &Issuer) -> Result<Self> {
        Ok(World { cp: ControlPlane::start_with_issuer(name, Stage::Installed, issuer).await? })
    }

    /// With the example of the README.
    ///
    /// # Errors
    /// If the control plane does not start.
    pub async fn first(name: &str) -> Result<Self> {
        Ok(World { cp: ControlPlane::start(name, Stage::First).await? })
    }

    /// The example, and an operator that is ready to grant.
    ///
    /// # Errors
    /// If one of them does not become ready.
    pub async fn running(name: &str) -> Result<(Self, Operator)> {
        Self::running_with(name, &[]).await
    }
    /// The same on a control plane that obeys ResourceQuotas.
    ///
    /// # Errors
    /// If one of them does not become ready.
    pub async fn running_with_quotas(name: &str) -> Result<(Self, Operator)> {
        let world = World { cp: ControlPlane::start_with_quotas(name, Stage::First).await? };
        let operator = world.operator_with("operator", &[]).await?;
        world.granting().await?;
        Ok((world, operator))
    }
    /// The same on a control plane that accepts the tokens of this issuer.
    ///
    /// # Errors
    /// If one of them does not become ready.
    pub async fn running_with_issuer(name: &str, issuer: &Issuer) -> Result<(Self, Operator)> {
        let world = World { cp: ControlPlane::start_with_issuer(name, Stage::First, issuer).await? };
        let operator = world.operator_with("operator", &[]).await?;
        world.granting().await?;
        Ok((world, operator))
    }
    /// With more in the operator's environment.
    ///
    /// # Errors
    /// If one of them does not become ready.
    pub async fn running_with(name: &str, envs: &[(&str, &str)]) -> Result<(Self, Operator)> {
        let world = Self::first(name).await?;
        let operator = world.operator_with("operator", envs).await?;
        world.granting().await?;
        Ok((world, operator))
    }

    /// A user of the group system:masters.
    ///
    /// # Errors
    /// If its kubeconfig cannot be written.
    pub fn admin(&self) -> Result<User> {
        self.cp.admin_user()
    }
    /// Who asks: a member of payments-devs.
    ///
    /// # Errors
    /// If her kubeconfig cannot be written.
    pub fn alice(&self) -> Result<User> {
        self.cp.user("alice@example.com", &["payments-devs"])
    }
    /// Who approves.
    ///
    /// # Errors
    /// If her kubeconfig cannot be written.
    pub fn carol(&self) -> Result<User> {
        self.cp.user("carol@example.com", &[])
    }
    /// Who has no part in it.
    ///
    /// # Errors
    /// If her kubeconfig cannot be written.
    pub fn mallory(&self) -> Result<User> {
        self.cp.user("mallory@example.com", &[])
    }

    /// The built operator, under its own service account.
    ///
    /// # Errors
    /// If it is not built or cannot be started.
    pub async fn operator(&self, name: &str) -> Result<Operator> {
        self.operator_with(name, &[]).await
    }
    /// With more in its environment.
    ///
    /// # Errors
    /// If it is not built or cannot be started.
    pub async fn operator_with(&self, name: &str, envs: &[(&str, &str)]) -> Result<Operator> {
        let user = self.cp.service_account("curfew-system", "curfew-operator").await?;
        let envs = envs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Operator::spawn(&self.cp, &OperatorSpec { binary: operator_binary()?, name: name.into(), user, envs, args: Vec::new() })
    }

    /// The built operator as the process that only revokes, under its own service account.
    ///
    /// # Errors
    /// If it is not built or cannot be started.
    pub async fn revoker(&self, name: &str) -> Result<Operator> {
        self.revoker_with(name, &[]).await
    }
    /// With more in its environment.
    ///
    /// # Errors
    /// If it is not built or cannot be started.
    pub async fn revoker_with(&self, name: &str, envs: &[(&str, &str)]) -> Result<Operator> {
        let user = self.cp.service_account("curfew-system", "curfew-revoker").await?;
        let args = vec!["--revoke-only".to_owned()];
        let envs = envs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Operator::spawn(&self.cp, &OperatorSpec { binary: operator_binary()?, name: name.into(), user, envs, args })
    }

    /// Waits until the operator has proven admission and judged the example: what the README waits for, too.
    ///
    /// # Errors
    /// If that does not happen soon.
    pub async fn granting(&self) -> Result<()> {
        let status = |condition: &str| format!("{{.status.conditions[?(@.type==\"{condition}\")].status}}");
        // The operator starts meanwhile: three times what one change takes.
        for (what, condition) in
            [(&["curfewconfig", "curfew"][..], "AdmissionEnforced"), (&["rtpl", "-n", "payments", "payments-admin"], "Ready")]
        {
            self.field_fits(what, &status(condition), &format!("{condition} to be True"), SOON * 3, |now| now == "True").await?;
        }
        Ok(())
    }

    /// Waits until admission answers what the example's role refuses. That policy fails open, and an API server that started before
    /// it served the CRDs applies it only after half a minute.
    ///
    /// # Errors
    /// If it does not within a minute.
    pub async fn answers_in_force(&self) -> Result<()> {
        let alice = self.alice()?;
        let too_long = "{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: probe, namespace: payments}, \
                        spec: {roleRef: {name: payments-admin}, duration: 99h, justification: probe}}";
        eventually("policy curfew-answers to be in force", SOON * 2, || async {
            let out = alice.api_stdin(&["create", "--dry-run=server", "-f", "-"], too_long).await?;
            if out.stderr.contains("'curfew-answers'") { Ok(Some(())) } else { bail!("{}{}", out.stdout, out.stderr) }
        })
        .await
    }

    /// A field of an object, by JSONPath, as the admin sees it. Empty if it is not there.
    ///
    /// # Errors
    /// If the object is not there.
    pub async fn field(&self, what: &[&str], jsonpath: &str) -> Result<String> {
        self.admin()?.field(what, jsonpath).await
    }
    /// Offers role `unapproved` in namespace payments to payments-devs, which needs no approval, and waits until it is Ready.
    ///
    /// # Errors
    /// If it is not Ready soon.
    pub async fn unapproved_role(&self) -> Result<()> {
        self.admin()?.apply(UNAPPROVED).await?.success()?;
        self.field_is(&["rtpl", "-n", "payments", "unapproved"], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await
    }
    /// Waits for a field to have this value.
    ///
    /// # Errors
    /// If it does not have it soon.
    pub async fn field_is(&self, what: &[&str], jsonpath: &str, value: &str) -> Result<()> {
        self.field_fits(what, jsonpath, &format!("to be {value}"), SOON, |now| now == value).await
    }
    /// Waits until a field fits; `expected` says in words how. Every version of the object is looked at.
    ///
    /// # Errors
    /// After `limit`, with the last value.
    pub async fn field_fits(
        &self,
        what: &[&str],
        jsonpath: &str,
        expected: &str,
        limit: Duration,
        fits: impl Fn(&str) -> bool,
    ) -> Result<()> {
        self.until(what, &format!("{what:?} {jsonpath} {expected}"), limit, |v| {
            let now = jsonpath::evaluate(jsonpath, v)?;
            if fits(&now) { Ok(Some(())) } else { bail!("{now}") }
        })
        .await
    }
    /// Waits until the selected objects are as wanted: the one object, or `{"items": [..]}` where none is named.
    ///
    /// # Errors
    /// After `limit`, with why the last state did not fit.
    pub async fn until<T>(&self, what: &[&str], words: &str, limit: Duration, fits: impl FnMut(&Value) -> Result<Option<T>>) -> Result<T> {
        Watch::start(&self.admin()?, &Selection::parse(what)?).await?.until(words, limit, fits).await
    }
    /// Records every state of the selected objects from now on.
    ///
    /// # Errors
    /// If they cannot be watched.
    pub async fn history(&self, what: &[&str]) -> Result<History> {
        History::of(&self.admin()?, &Selection::parse(what)?).await
    }

    /// Takes away the operator's right to hand out the example's role, and returns once the API server goes by that: RBAC
    /// follows a change some milliseconds later. What it gives back restores the right with `apply`. Use it with
    /// [`SHIPPED_TIMING`](super::SHIPPED_TIMING): once the operator asks again what it may bind, the role is not Ready any more.
    ///
    /// # Errors
    /// If the right is still there after a while.
    pub async fn may_not_bind(&self) -> Result<String> {
        let (admin, name) = (self.admin()?, "curfew-bind-payments");
        let uri = format!("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{name}");
        let Answer::Ok(mut right) = rest::get(&admin.cached().await?, &uri).await? else { bail!("there is no ClusterRoleBinding {name}") };
        right["metadata"] = json!({"name": name});
        admin.api(&["delete", "clusterrolebinding", name]).await?.success()?;
        let operator = self.cp.service_account("curfew-system", "curfew-operator").await?.cached().await?;
        let what = json!({"verb": "bind", "group": "rbac.authorization.k8s.io", "resource": "clusterroles", "name": "payments-admin"});
        let ask = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": what}});
        let uri = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        eventually("the operator to have lost its right", SOON, || async {
            match rest::send(&operator, Method::POST, uri, "application/json", Some(ask.clone())).await? {
                Answer::Ok(v) => Ok((v["status"]["allowed"] == false).then_some(())),
                Answer::Refused(s) => bail!("{}", s.message),
            }
        })
        .await?;
        Ok(right.to_string())
    }

    /// Waits for a request to be in this state.
    ///
    /// # Errors
    /// If it is not in that state soon.
    pub async fn state_is(&self, request: &str, state: &str) -> Result<()> {
        self.field_is(&["areq", "-n", "payments", request], "{.status.state}", state).await
    }
    /// Waits until this person can, or cannot, read the secret.
    ///
    /// # Errors
    /// If that is not so after `limit`.
    pub async fn access_is(&self, who: &User, allowed: bool, limit: Duration) -> Result<()> {
        eventually(&format!("{} reading the secret to be {allowed}", who.name), limit, || async {
            Ok((who.can_read_secret("payments", "db").await? == allowed).then_some(()))
        })
        .await
    }

    /// Looks on until `until`: the access of this person to namespace payments must be there all the time, or never. `subject` is whom
    /// its binding names: the person, or a group. Every version of the bindings is looked at, so that a gap of a moment is seen, and the
    /// secret is read now and then, which shows that the bindings mean what they say.
    ///
    /// # Errors
    /// At the first state before `until` that is not as it must be.
    pub async fn access_stays(&self, who: &User, subject: &str, allowed: bool, until: SystemTime) -> Result<()> {
        let bindings = Selection::parse(&["rolebindings", "-n", "payments"])?;
        let mut watch = Watch::start(&self.admin()?, &bindings).await?;
        let over = || SystemTime::now() >= until;
        let names = |binding: &Value| binding["subjects"].as_array().is_some_and(|all| all.iter().any(|s| s["name"] == *subject));
        let mut listed = false;
        while !over() {
            if let Some(now) = watch.next(PAUSE).await? {
                listed = true;
                let bound = now.iter().any(|binding| names(binding));
                anyhow::ensure!(bound == allowed || over(), "{subject} is bound: {bound}, which must be {allowed}: {now:?}");
            }
            let found = who.can_read_secret("payments", "db").await?;
            anyhow::ensure!(found == allowed || over(), "the access of {} is {found}, and must be {allowed}", who.name);
        }
        anyhow::ensure!(listed, "the machine was too slow: no binding was looked at");
        Ok(())
    }
}

impl User {
    /// A field of an object, by JSONPath, as this user sees it.
    ///
    /// # Errors
    /// If the object is not there, or this user may not read it.
    pub async fn field(&self, what: &[&str], jsonpath: &str) -> Result<String> {
        let object = rest::read(&self.cached().await?, &Selection::parse(what)?).await?;
        jsonpath::evaluate(jsonpath, &object)
    }
}

/// A policy that allows standing access to the role of the example for these subjects (`{user: NAME}`, separated by commas), and a RoleTemplate
/// `standing` that offers it. A request made for it lasts `longest` at most.
pub fn standing_role(eligible: &str, longest: &str) -> String {
    STANDING.replace("ELIGIBLE", eligible).replace("LONGEST", longest)
}

const STANDING: &str = r#"
apiVersion: curfew.dev/v1alpha1
kind: AccessPolicy
metadata: {name: standing}
spec:
  namespaces: {names: [payments]}
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [payments-admin]}}
  scope: {kubernetes: {namespaces: [payments]}}
  eligible: [ELIGIBLE]
  max: {duration: 1h, eligibility: 365d}
  min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {none: {}}}
  allow: {permanentEligibility: true, activeAssignments: true}
---
apiVersion: curfew.dev/v1alpha1
kind: RoleTemplate
metadata: {name: standing, namespace: payments}
spec:
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [payments-admin]}}
  scope: {kubernetes: {namespaces: [payments]}}
  activation: {duration: {max: LONGEST}, ticket: {none: {}}, mfa: {none: {}}, approval: {none: {}}, limits: {none: {}}}
  assignment: {eligible: {permanent: true}, active: {permanent: true}}
"#;

const UNAPPROVED: &str = r#"
apiVersion: curfew.dev/v1alpha1
kind: AccessPolicy
metadata: {name: unapproved}
spec:
  namespaces: {names: [payments]}
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [payments-admin]}}
  scope: {kubernetes: {namespaces: [payments]}}
  eligible: [{group: payments-devs}]
  max: {duration: 8h, eligibility: 365d}
  min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {none: {}}}
  allow: {permanentEligibility: true}
---
apiVersion: curfew.dev/v1alpha1
kind: RoleTemplate
metadata: {name: unapproved, namespace: payments}
spec:
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [payments-admin]}}
  scope: {kubernetes: {namespaces: [payments]}}
  activation: {duration: {max: 4h}, ticket: {none: {}}, mfa: {none: {}}, approval: {none: {}}, limits: {none: {}}}
  assignment: {eligible: {permanent: true}}
---
apiVersion: curfew.dev/v1alpha1
kind: EligibleAssignment
metadata: {name: unapproved, namespace: payments}
spec: {roleRef: {name: unapproved}, subject: {group: payments-devs}, scope: {all: {}}, window: {permanent: {}}}
"#;

/// A file of the repository, for kubectl.
pub fn path(file: &str) -> String {
    root().join(file).display().to_string()
}

/// Where cargo put the operator.
///
/// # Errors
/// If it is not built.
pub fn operator_binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("CURFEW_BIN") {
        return Ok(given.into());
    }
    built("curfew")
}

/// Where cargo put a program of the workspace. `CURFEW_BIN` names another operator alone.
///
/// # Errors
/// If it is not built.
pub fn built(program: &str) -> Result<PathBuf> {
    let mut dir = std::env::current_exe()?;
    dir.pop();
    let found = [dir.join(program), dir.join("..").join(program)].into_iter().find(|p| p.is_file());
    found.with_context(|| format!("{program} is not built: cargo build --workspace --bins --features crash-points,simulated,aws"))
}
