//! Kubernetes' row of the table that every provider passes: the same cases that the simulated directory passes.
use crate::provider_rows::{self, Row};
use anyhow::{Result, bail};
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
    target::{
        Plan,
        kubernetes::{self, PlannedBinding, RoleKind},
    },
};
use curfew_testkit::World;
use kube::Client;
use std::sync::Arc;

struct Cluster {
    w: World,
    /// Under the operator's own account.
    client: Client,
}

fn person(case: usize) -> String {
    format!("person-{case}@example.com")
}

#[async_trait]
impl Row for Cluster {
    fn provider(&self) -> Arc<dyn Provider> {
        self.another()
    }
    fn another(&self) -> Arc<dyn Provider> {
        Arc::new(Kubernetes::new(self.client.clone(), Arc::new(Clock::default()), None, Guard::probe()))
    }
    fn plan(&self, grant: &str, case: usize) -> Plan {
        let binding = PlannedBinding {
            name: format!("curfew:00000000:{grant}:20300101T000000Z:{case}"),
            namespace: Some("payments".into()),
            role_kind: RoleKind::ClusterRole,
            role: "payments-admin".into(),
        };
        Plan::Kubernetes(kubernetes::Plan { subject: Subject::User(person(case)), bindings: vec![binding], fuse: Default::default() })
    }
    async fn has_access(&self, case: usize) -> Result<bool> {
        self.w.cp.user(&person(case), &[])?.can_read_secret("payments", "db").await
    }
    async fn by_hand(&self, plan: &Plan, _: usize, present: bool) -> Result<()> {
        let Plan::Kubernetes(plan) = plan else { bail!("the plan is of another provider") };
        if present {
            bail!("each grant has bindings of its own, so no access of others can stand in their place");
        }
        let operator = self.w.cp.service_account("curfew-system", "curfew-operator").await?;
        operator.api(&["delete", "rolebinding", "-n", "payments", &plan.bindings[0].name]).await?.success().map(drop)
    }
}

#[tokio::test]
async fn kubernetes_passes_the_table_of_every_provider() -> Result<()> {
    let w = World::first("rows").await?;
    let client = w.cp.service_account("curfew-system", "curfew-operator").await?.client().await?;
    provider_rows::holds(&Cluster { w, client }).await
}
