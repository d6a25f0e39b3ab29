//! The Kubernetes provider under the contract, on a real API server: in a namespace and for the whole cluster, in the cluster
//! that Curfew runs in and in one that it reaches from outside with nothing but the rights of `deploy/remote/target.yaml`.
use super::{Target, holds, permit, reserved};
use anyhow::{Result, ensure};
use async_trait::async_trait;
use curfew::{
    authority::Clock,
    providers::{
        EnforcedBy, Provider,
        kubernetes::{Guard, Kubernetes},
    },
};
use curfew_core::{
    principal::Subject,
    target::{
        Inventory, Permissions, Plan, Scope,
        kubernetes::{self, Plan as KubernetesPlan, PlannedBinding, RoleKind, RoleName, names::BindingName},
    },
};
use curfew_testkit::{ControlPlane, SOON, Stage, User, World, eventually, path};
use futures::future::try_join_all;
use std::sync::Arc;

struct Cluster {
    cp: ControlPlane,
    p: Kubernetes,
    /// Plans for the whole cluster rather than for a namespace.
    wide: bool,
}

fn who(n: usize) -> String {
    format!("person-{n}@example.com")
}

/// The bindings of a plan of a cluster.
fn bindings(plan: &Plan) -> &KubernetesPlan {
    let Plan::Kubernetes(plan) = plan else { unreachable!("a plan of a cluster") };
    plan
}

fn first(plan: &Plan) -> &PlannedBinding {
    let p = bindings(plan);
    &p.bindings[0]
}

async fn provider(cp: &ControlPlane) -> Result<Kubernetes> {
    let client = cp.service_account("curfew-system", "curfew-operator").await?.client().await?;
    Ok(Kubernetes::new(client, Arc::new(Clock::default()), None, Guard::probe()))
}

impl Cluster {
    /// Under the operator's own account there.
    async fn of(cp: ControlPlane) -> Result<Self> {
        let p = provider(&cp).await?;
        Ok(Cluster { cp, p, wide: false })
    }

    /// A provider that remembers nothing.
    async fn another(&self) -> Result<Kubernetes> {
        provider(&self.cp).await
    }

    fn kind(&self) -> &'static str {
        if self.wide { "clusterrolebinding" } else { "rolebinding" }
    }

    async fn operator(&self) -> Result<User> {
        self.cp.service_account("curfew-system", "curfew-operator").await
    }

    /// By hand, past the guard over our names.
    async fn by_hand(&self, args: &[&str], stdin: &str) -> Result<()> {
        self.operator().await?.api_stdin(args, stdin).await?.success().map(drop)
    }

    /// What its roles hold is read live, and what does not exist is missing from the answer.
    async fn content(&self) -> Result<()> {
        let role = |name: &str| RoleName { namespace: "payments".into(), name: name.into() };
        let permissions = kubernetes::Permissions {
            cluster_roles: vec!["payments-admin".into(), "not-there".into()],
            roles: vec![role("reader"), role("not-there")],
        };
        let scope = kubernetes::Scope::Namespaces(vec!["payments".into(), "not-there".into()]);
        let found = self.p.inventory(&Permissions::Kubernetes(permissions), &Scope::Kubernetes(scope)).await?;
        let Inventory::Kubernetes(kubernetes::Inventory { roles, namespaces, .. }) = found else { anyhow::bail!("not of a cluster") };
        let names: Vec<&str> = roles.iter().map(|r| r.name.as_str()).collect();
        ensure!(names == ["payments-admin", "reader"] && namespaces.len() == 1, "{names:?}, {namespaces:?}");
        Ok(())
    }
}

#[async_trait]
impl Target for Cluster {
    fn provider(&self) -> &dyn Provider {
        &self.p
    }
    fn plan(&self, grant: &str, n: usize) -> Plan {
        let binding = |(i, namespace): (usize, &&str)| PlannedBinding {
            name: format!("curfew:00000000:{grant}:20300101T000000Z:{i}"),
            namespace: (!self.wide).then(|| (*namespace).into()),
            role_kind: RoleKind::ClusterRole,
            role: "payments-admin".into(),
        };
        Plan::Kubernetes(KubernetesPlan {
            subject: Subject::User(who(n)),
            bindings: PLACES.iter().enumerate().map(binding).collect(),
            fuse: Default::default(),
        })
    }
    fn overlapping(&self, grant: &str, n: usize) -> Plan {
        self.plan(grant, n)
    }
    fn half(&self, plan: &Plan) -> Plan {
        let p = bindings(plan);
        Plan::Kubernetes(KubernetesPlan { bindings: vec![first(plan).clone()], ..p.clone() })
    }
    async fn used(&self, n: usize, allowed: bool) -> Result<()> {
        let user = self.cp.user(&who(n), &[])?;
        eventually(&format!("{} reading the secrets to be {allowed}", user.name), SOON, || async {
            let places = try_join_all(PLACES.map(|ns| user.can_read_secret(ns, "db"))).await?;
            Ok(places.iter().all(|p| *p == allowed).then_some(()))
        })
        .await
    }
    async fn occupied(&self, plan: &Plan) -> Result<()> {
        let (kind, place) = if self.wide { ("ClusterRoleBinding", "") } else { ("RoleBinding", ", namespace: payments") };
        let stranger = format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: '{}'{place}}}, \
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: payments-admin}}}}",
            first(plan).name
        );
        self.by_hand(&["create", "-f", "-"], &stranger).await
    }
    async fn removed_by_hand(&self, plan: &Plan) -> Result<()> {
        self.by_hand(&["delete", self.kind(), "-n", "payments", &first(plan).name], "").await
    }
    async fn held_by_another(&self, plan: &Plan) -> Result<bool> {
        let held = r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#;
        let binding = first(plan);
        self.by_hand(&["patch", self.kind(), "-n", "payments", &binding.name, "--type=merge", "-p", held], "").await?;
        self.by_hand(&["delete", self.kind(), "-n", "payments", &binding.name, "--wait=false"], "").await?;
        if let Some(name) = BindingName::parse(&binding.name).filter(|_| !self.wide) {
            self.by_hand(&["patch", "job", "-n", "payments", &name.fuse(), "--type=merge", "-p", held], "").await?;
        }
        Ok(true)
    }
}

/// A plan reaches two places, so that half of it can be there.
const PLACES: [&str; 2] = ["payments", "payments-too"];

const READER: &str = "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: payments}, \
                      rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]}";

async fn passes(mut c: Cluster) -> Result<()> {
    let admin = c.cp.admin_user()?;
    admin.apply(READER).await?.success()?;
    admin.api(&["create", "namespace", PLACES[1]]).await?.success()?;
    admin.api(&["create", "secret", "generic", "db", "-n", PLACES[1], "--from-literal=password=s3cret"]).await?.success()?;
    c.content().await?;
    holds(&c).await?;
    c.wide = true;
    // What the rows for a namespace have left on purpose, a stranger's object, is in nobody's way here.
    holds(&c).await?;
    c.wide = false;
    claimed(&c).await
}

/// That the target ends it by itself is claimed only where the guard over the fuse is proven: without it a grantee could keep
/// the fuse from burning.
async fn claimed(c: &Cluster) -> Result<()> {
    let (grant, n) = ("00000000000000c1", 99);
    let plan = c.plan(grant, n);
    let held = reserved(&c.p, grant, &plan).await?;
    c.p.arm(grant, &plan, &held, &permit()?).await?;
    let becomes = |p: Kubernetes, expected: EnforcedBy| {
        let plan = &plan;
        async move {
            let now = || async { Ok((p.enforced_by(plan).await? == expected).then_some(())) };
            eventually(&format!("the end to be enforced by {}", expected.as_str()), SOON, now).await
        }
    };
    becomes(c.another().await?, EnforcedBy::Target).await?;
    c.cp.admin_user()?.api(&["delete", "validatingadmissionpolicybinding", "curfew-marks"]).await?.success()?;
    becomes(c.another().await?, EnforcedBy::Curfew).await
}

#[tokio::test]
async fn kubernetes_passes() -> Result<()> {
    passes(Cluster::of(World::first("contract").await?.cp).await?).await
}

#[tokio::test]
async fn kubernetes_reached_from_outside_passes() -> Result<()> {
    let cp = ControlPlane::start("target-contract", Stage::Target).await?;
    let admin = cp.admin_user()?;
    // The role, the right to bind it and the namespace are in the example; Curfew's kinds in it are not installed here.
    let example = std::fs::read_to_string(path("examples/first/platform.yaml"))?;
    for document in example.split("\n---\n").filter(|d| !d.contains("curfew.dev/")) {
        admin.apply(document).await?.success()?;
    }
    passes(Cluster::of(cp).await?).await
}
