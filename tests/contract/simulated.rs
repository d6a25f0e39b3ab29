//! The simulated directory's row of the contract: as it is, with every delay, and throttled; and what is true of it alone.
use crate::provider_rows::{self, Row, permit};
use anyhow::{Result, ensure};
use async_trait::async_trait;
use curfew::{
    api::system::SimulatedConnection,
    authority::Clock,
    providers::{ApplyOutcome, EnforcedBy, Provider, ProviderError, RevokeOutcome, simulated::Simulated},
    runtime::http::HttpClient,
};
use curfew_core::{
    target::{
        Inventory, Permissions, Plan, Scope, SlotSet,
        simulated::{self, Group},
    },
    time::Time,
};
use curfew_testkit::{DirectoryConfig, SimulatedDirectory, Throttle, eventually};
use std::{sync::Arc, time::Duration};

/// Every plan has two slots, so that half of it can be there.
const GROUPS: [&str; 2] = ["dba", "oncall"];

struct Directory(SimulatedDirectory);

fn member(case: usize) -> String {
    format!("person-{case}@example.com")
}

fn in_an_hour() -> Time {
    Clock::default().now().plus_secs(3600).floor_secs()
}

impl Directory {
    async fn with(config: DirectoryConfig) -> Result<Self> {
        let directory = SimulatedDirectory::start(&GROUPS).await?;
        directory.configure(config);
        Ok(Directory(directory))
    }
    fn connect(&self) -> Simulated {
        Simulated::new(&SimulatedConnection { endpoint: self.0.endpoint() }, HttpClient::default(), Arc::new(Clock::default()))
    }
    fn memberships(&self, case: usize) -> Plan {
        let groups = GROUPS.map(|g| Group { name: g.into(), id: format!("id-of-{g}") }).into();
        Plan::Simulated(simulated::Plan { member: member(case), groups, deadline: in_an_hour() })
    }
    async fn apply(&self, case: usize) -> Result<ApplyOutcome, ProviderError> {
        let until = Clock::default().now().plus_secs(4);
        let permit = permit().map_err(|e| ProviderError::Invalid(e.to_string()))?;
        self.connect().apply("g", &self.memberships(case), SlotSet::NONE, until, &permit).await
    }
}

#[async_trait]
impl Row for Directory {
    fn provider(&self) -> Arc<dyn Provider> {
        self.another()
    }
    fn another(&self) -> Arc<dyn Provider> {
        Arc::new(self.connect())
    }
    fn plan(&self, _: &str, case: usize) -> Plan {
        self.memberships(case)
    }
    async fn has_access(&self, case: usize) -> Result<bool> {
        let of = GROUPS.map(|g| self.0.has_access(g, &member(case)));
        Ok(of.iter().any(|a| *a))
    }
    async fn by_hand(&self, _: &Plan, case: usize, present: bool) -> Result<()> {
        GROUPS.iter().try_for_each(|g| self.0.set_by_hand(g, &member(case), present))
    }
}

#[tokio::test]
async fn a_plain_directory_passes() -> Result<()> {
    provider_rows::holds(&Directory::with(DirectoryConfig::default()).await?).await
}

#[tokio::test]
async fn a_directory_with_every_delay_passes() -> Result<()> {
    let config = DirectoryConfig { min_age_millis: 3_000, ..DirectoryConfig::difficult() };
    provider_rows::holds(&Directory::with(config).await?).await
}

#[tokio::test]
async fn a_directory_that_loses_answers_passes() -> Result<()> {
    provider_rows::holds(&Directory::with(DirectoryConfig { lost_answers: 6, ..DirectoryConfig::difficult() }).await?).await
}

#[tokio::test]
async fn a_directory_that_throttles_says_how_long_to_wait() -> Result<()> {
    let d =
        Directory::with(DirectoryConfig { throttle: Some(Throttle { burst: 1.0, per_second: 0.2 }), ..DirectoryConfig::default() }).await?;
    let p = d.connect();
    p.identity().await?;
    let throttled = p.identity().await;
    ensure!(
        matches!(&throttled, Err(ProviderError::Transient { retry_after: Some(t), .. }) if (1..=5).contains(&t.as_secs())),
        "{throttled:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_error_of_the_directory_is_one_of_four_kinds() -> Result<()> {
    let d = Directory::with(DirectoryConfig { unmanageable: vec!["dba".into()], ..DirectoryConfig::default() }).await?;
    let missing = d.connect().missing_right(&d.memberships(1)).await?;
    ensure!(missing.as_deref().is_some_and(|m| m.contains("dba")), "{missing:?}");
    ensure!(matches!(d.apply(1).await, Err(ProviderError::Denied(_))));
    d.0.configure(DirectoryConfig { unavailable: true, ..DirectoryConfig::default() });
    ensure!(matches!(d.apply(1).await, Err(ProviderError::Transient { .. })));
    let nowhere =
        Simulated::new(&SimulatedConnection { endpoint: "http://127.0.0.1:1".into() }, HttpClient::default(), Arc::new(Clock::default()));
    ensure!(matches!(nowhere.identity().await, Err(ProviderError::Transient { retry_after: None, .. })));
    Ok(())
}

#[tokio::test]
async fn groups_are_read_live_and_those_that_are_missing_are_missing() -> Result<()> {
    let d = Directory::with(DirectoryConfig::default()).await?;
    let permissions = Permissions::Simulated(simulated::Permissions { groups: vec!["dba".into(), "not-there".into()] });
    let found = d.connect().inventory(&permissions, &Scope::Simulated(simulated::Scope::default())).await?;
    let group = Group { name: "dba".into(), id: "id-of-dba".into() };
    ensure!(found == Inventory::Simulated(simulated::Inventory { groups: vec![group] }), "{found:?}");
    Ok(())
}

/// A removal that is answered "does not exist" while the addition still runs is passed on as accepted, so the rules go on
/// reading; one that is refused because the membership is young is something that remains.
#[tokio::test]
async fn an_answer_of_the_directory_to_a_removal_is_never_more_than_it_says() -> Result<()> {
    let d = Directory::with(DirectoryConfig { operation_millis: 500, min_age_millis: 2_000, ..DirectoryConfig::default() }).await?;
    let (p, plan) = (d.connect(), d.memberships(1));
    ensure!(matches!(d.apply(1).await, Ok(ApplyOutcome::Started(_))));
    ensure!(p.revoke("g", &plan, &[], SlotSet::NONE).await? == RevokeOutcome::Gone);
    eventually("the addition to take effect all the same", Duration::from_secs(10), || async { Ok(d.has_access(1).await?.then_some(())) })
        .await?;
    ensure!(matches!(p.revoke("g", &plan, &[], SlotSet::NONE).await?, RevokeOutcome::Remains(_)));
    eventually("the removal to be accepted", Duration::from_secs(10), || async {
        Ok(matches!(p.revoke("g", &plan, &[], SlotSet::NONE).await?, RevokeOutcome::Started(_)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn the_end_date_counts_only_where_it_is_obeyed_and_not_too_late() -> Result<()> {
    let d = Directory::with(DirectoryConfig::default()).await?;
    let (p, plan) = (d.connect(), d.memberships(1));
    ensure!(p.enforced_by(&plan).await? == EnforcedBy::Curfew, "nothing is there yet");
    d.apply(1).await?;
    ensure!(p.enforced_by(&plan).await? == EnforcedBy::Target);
    d.0.configure(DirectoryConfig { expiry: false, ..DirectoryConfig::default() });
    ensure!(p.enforced_by(&plan).await? == EnforcedBy::Curfew, "no end date is obeyed");
    d.0.configure(DirectoryConfig::default());
    let Plan::Simulated(earlier) = plan else { unreachable!("the plan is of a directory") };
    let earlier = Plan::Simulated(simulated::Plan { deadline: earlier.deadline.plus_secs(-60), ..earlier });
    ensure!(p.enforced_by(&earlier).await? == EnforcedBy::Curfew, "it ends a minute too late");
    Ok(())
}

#[tokio::test]
async fn a_later_grant_moves_the_end_date_and_a_membership_without_one_keeps_none() -> Result<()> {
    let d = Directory::with(DirectoryConfig::default()).await?;
    let p = d.connect();
    let until = |deadline: Time| {
        let Plan::Simulated(plan) = d.memberships(1) else { unreachable!("the plan is of a directory") };
        Plan::Simulated(simulated::Plan { deadline, ..plan })
    };
    let soon = Clock::default().now().plus_secs(3);
    let write =
        async |plan: &Plan| p.apply("g", plan, SlotSet::NONE, Clock::default().now().plus_secs(4), &permit().expect("a permit")).await;
    write(&until(soon)).await?;
    write(&until(in_an_hour())).await?;
    d.0.set_by_hand("dba", "standing", true)?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    ensure!(d.has_access(1).await?, "the earlier end date has ended it");
    ensure!(d.0.has_access("dba", "standing"));
    Ok(())
}
