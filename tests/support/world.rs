//! A control plane with Curfew installed as the README says, and people to try it.
use super::{ControlPlane, Operator, OperatorSpec, SOON, User, eventually};
use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// An installed Curfew.
pub struct World {
    pub cp: ControlPlane,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl World {
    /// A control plane with CRDs, policies, rights and configuration, all in force. No operator runs yet.
    pub async fn install(name: &str) -> Result<Self> {
        Self::install_on(ControlPlane::start(name).await?).await
    }

    pub async fn install_on(cp: ControlPlane) -> Result<Self> {
        let world = World { cp };
        let admin = world.admin()?;
        admin.kubectl(&["apply", "--server-side", "-f", &path("crds")]).await?.success()?;
        admin.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &path("crds")]).await?.success()?;
        for file in ["10-namespace", "20-rbac", "30-policies", "50-people"] {
            admin.kubectl(&["apply", "--server-side", "-f", &path(&format!("deploy/{file}.yaml"))]).await?.success()?;
        }
        world.in_force().await?;
        admin.kubectl(&["apply", "--server-side", "-f", &path("deploy/40-config.yaml")]).await?.success()?;
        Ok(world)
    }

    /// With the example of the README.
    pub async fn first(name: &str) -> Result<Self> {
        Self::first_on(ControlPlane::start(name).await?).await
    }

    pub async fn first_on(cp: ControlPlane) -> Result<Self> {
        let world = Self::install_on(cp).await?;
        let admin = world.admin()?;
        for file in ["platform", "team"] {
            admin.kubectl(&["apply", "-f", &path(&format!("examples/first/{file}.yaml"))]).await?.success()?;
        }
        admin.kubectl(&["-n", "payments", "create", "secret", "generic", "db", "--from-literal=password=s3cret"]).await?.success()?;
        Ok(world)
    }

    /// The example, and an operator that is ready to grant: for the tests of one file, which share it.
    pub async fn running(name: &str) -> Result<(Self, Operator)> {
        let world = Self::first(name).await?;
        let operator = world.operator("operator").await?;
        world.granting().await?;
        Ok((world, operator))
    }

    /// A policy is in force a few seconds after it is stored. A canary says when.
    async fn in_force(&self) -> Result<()> {
        let client = self.cp.admin().await?;
        eventually("the admission policies to be in force", Duration::from_secs(60), || async {
            let verdict = curfew::identity::admission_check::probe(&client).await?;
            if verdict.enforced() { Ok(Some(())) } else { bail!("{}", verdict.problems.join("; ")) }
        })
        .await
    }

    pub fn admin(&self) -> Result<User> {
        self.cp.admin_user()
    }
    pub fn alice(&self) -> Result<User> {
        self.cp.user("alice@example.com", &["payments-devs"])
    }
    pub fn carol(&self) -> Result<User> {
        self.cp.user("carol@example.com", &[])
    }
    pub fn mallory(&self) -> Result<User> {
        self.cp.user("mallory@example.com", &[])
    }

    /// The built operator, under its own service account.
    pub async fn operator(&self, name: &str) -> Result<Operator> {
        self.operator_with(name, &[]).await
    }
    pub async fn operator_with(&self, name: &str, envs: &[(&str, &str)]) -> Result<Operator> {
        let user = self.cp.service_account("curfew-system", "curfew-operator").await?;
        let envs = envs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        Operator::spawn(&self.cp, &OperatorSpec { binary: operator_binary()?, name: name.into(), user, envs })
    }

    /// Waits until the operator has proven the gate and judged the example: what the README waits for, too.
    pub async fn granting(&self) -> Result<()> {
        self.field_is(&["curfewconfig", "curfew"], "{.status.conditions[?(@.type==\"AdmissionEnforced\")].status}", "True").await?;
        self.field_is(&["rtpl", "-n", "payments", "payments-admin"], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await
    }

    /// A field of an object, by JSONPath, as the admin sees it. Empty if it is not there.
    pub async fn field(&self, what: &[&str], jsonpath: &str) -> Result<String> {
        let output = format!("jsonpath={jsonpath}");
        let args = [&["get"], what, &["-o", &output]].concat();
        self.admin()?.kubectl(&args).await?.success()
    }
    /// Waits for a field to have this value.
    pub async fn field_is(&self, what: &[&str], jsonpath: &str, value: &str) -> Result<()> {
        eventually(&format!("{what:?} {jsonpath} to be {value}"), SOON, || async {
            let now = self.field(what, jsonpath).await?;
            if now == value { Ok(Some(())) } else { bail!("{now}") }
        })
        .await
    }
    /// Waits for a request to be in this state.
    pub async fn state_is(&self, request: &str, state: &str) -> Result<()> {
        self.field_is(&["areq", "-n", "payments", request], "{.status.state}", state).await
    }
    /// Waits until this person can, or cannot, read the secret.
    pub async fn access_is(&self, who: &User, allowed: bool, limit: Duration) -> Result<()> {
        eventually(&format!("{} reading the secret to be {allowed}", who.name), limit, || async {
            Ok((who.can_read_secret("payments", "db").await? == allowed).then_some(()))
        })
        .await
    }
}

/// A file of the repository, for kubectl.
pub fn path(file: &str) -> String {
    root().join(file).display().to_string()
}

/// Where cargo put the operator.
pub fn operator_binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("CURFEW_BIN") {
        return Ok(given.into());
    }
    let mut dir = std::env::current_exe()?;
    dir.pop();
    let found = [dir.join("curfew"), dir.join("../curfew")].into_iter().find(|p| p.is_file());
    found.context("the operator is not built: cargo build --bins --features crash-points")
}
