//! The Kubernetes provider under the contract, on a real API server.
use super::{Target, holds};
use crate::support::{SOON, World};
use anyhow::Result;
use async_trait::async_trait;
use curfew::{
    authority::Clock,
    providers::{
        Provider,
        kubernetes::{Guard, Kubernetes},
    },
};
use curfew_core::{
    principal::Subject,
    resolved::{KubernetesPlan, Plan, PlannedBinding, RoleKind},
};
use std::sync::{Arc, Mutex};

struct Cluster {
    w: World,
    p: Kubernetes,
}

fn who(n: usize) -> String {
    format!("person-{n}@example.com")
}

fn name(plan: &Plan) -> &str {
    let Plan::Kubernetes(p) = plan;
    &p.bindings[0].name
}

impl Cluster {
    /// By hand, past the guard over our names.
    async fn by_hand(&self, args: &[&str], stdin: &str) -> Result<()> {
        let operator = self.w.cp.service_account("curfew-system", "curfew-operator").await?;
        operator.kubectl_stdin(args, stdin).await?.success().map(drop)
    }
}

#[async_trait]
impl Target for Cluster {
    fn provider(&self) -> &dyn Provider {
        &self.p
    }
    fn plan(&self, grant: &str, n: usize) -> Plan {
        let binding = PlannedBinding {
            name: format!("curfew:00000000:{grant}:20300101T000000Z:0"),
            namespace: Some("payments".into()),
            role_kind: RoleKind::ClusterRole,
            role: "payments-admin".into(),
        };
        Plan::Kubernetes(KubernetesPlan { subject: Subject::User(who(n)), bindings: vec![binding] })
    }
    fn overlapping(&self, grant: &str, n: usize) -> Plan {
        self.plan(grant, n)
    }
    async fn used(&self, n: usize, allowed: bool) -> Result<()> {
        self.w.access_is(&self.w.cp.user(&who(n), &[])?, allowed, SOON).await
    }
    async fn occupied(&self, plan: &Plan) -> Result<()> {
        let stranger = format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: '{}', namespace: payments}}, \
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: payments-admin}}}}",
            name(plan)
        );
        self.by_hand(&["create", "-f", "-"], &stranger).await
    }
    async fn removed_by_hand(&self, plan: &Plan) -> Result<()> {
        self.by_hand(&["delete", "rolebinding", "-n", "payments", name(plan)], "").await
    }
    async fn held_by_somebody(&self, plan: &Plan) -> Result<bool> {
        let held = r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#;
        self.by_hand(&["patch", "rolebinding", "-n", "payments", name(plan), "--type=merge", "-p", held], "").await?;
        self.by_hand(&["delete", "rolebinding", "-n", "payments", name(plan), "--wait=false"], "").await?;
        Ok(true)
    }
}

#[tokio::test]
async fn kubernetes_passes() -> Result<()> {
    let w = World::first("contract").await?;
    let client = w.cp.service_account("curfew-system", "curfew-operator").await?.client().await?;
    let p = Kubernetes::new(client, Arc::new(Clock::default()), None, Guard::Probe(Mutex::default()));
    holds(&Cluster { w, p }).await
}
