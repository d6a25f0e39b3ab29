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
use futures::future::join_all;
use std::{ops::Range, sync::Arc, time::Duration};

/// Every plan has two slots, so that half of it can be there.
const GROUPS: [&str; 2] = ["dba", "oncall"];

/// A directory, and the provider that the cases of the table share, as all Grants of one system do: it combines their writes.
struct Directory(SimulatedDirectory, Arc<Simulated>);

fn member(case: usize) -> String {
    format!("person-{case}@example.com")
}

fn in_an_hour() -> Time {
    Clock::default().now().plus_secs(3600).floor_secs()
}

fn connect(directory: &SimulatedDirectory) -> Simulated {
    Simulated::new(&SimulatedConnection { endpoint: directory.endpoint() }, HttpClient::default(), Arc::new(Clock::default()))
}

impl Directory {
    async fn with(config: DirectoryConfig) -> Result<Self> {
        let directory = SimulatedDirectory::start(&GROUPS).await?;
        directory.configure(config);
        let shared = Arc::new(connect(&directory));
        Ok(Directory(directory, shared))
    }
    fn connect(&self) -> Simulated {
        connect(&self.0)
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
        self.1.clone()
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
    let d = Directory::with(DirectoryConfig { operation_millis: 2_000, min_age_millis: 4_000, ..DirectoryConfig::default() }).await?;
    let (p, plan) = (d.connect(), d.memberships(1));
    // The first request of a client reads the trusted certificates, which takes long on a busy machine.
    p.identity().await?;
    ensure!(matches!(d.apply(1).await, Ok(ApplyOutcome::Started(..))));
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

/// Memberships of many people at once: what the lane of a system runs together.
impl Directory {
    /// Gives each person of these cases the first group, by the shared provider.
    async fn apply_all(&self, cases: Range<usize>, until: Time) -> Result<Vec<Result<ApplyOutcome, ProviderError>>> {
        let (plans, permit) = (cases.map(|n| self.first(n)).collect::<Vec<_>>(), permit()?);
        Ok(join_all(plans.iter().map(|plan| self.1.apply("g", plan, SlotSet::NONE, until, &permit))).await)
    }
    /// Removes both groups from each.
    async fn revoke_all(&self, cases: Range<usize>) -> Vec<Result<RevokeOutcome, ProviderError>> {
        let plans: Vec<_> = cases.map(|n| self.memberships(n)).collect();
        join_all(plans.iter().map(|plan| self.1.revoke("g", plan, &[], SlotSet::NONE))).await
    }
    /// The plan of a case without its second group.
    fn first(&self, case: usize) -> Plan {
        let Plan::Simulated(mut plan) = self.memberships(case) else { unreachable!("the plan is of a directory") };
        plan.groups.truncate(1);
        Plan::Simulated(plan)
    }
    /// Gives each person of these cases both groups, by hand and this long ago.
    fn give_by_hand(&self, cases: Range<usize>, before: Duration) -> Result<()> {
        cases.into_iter().try_for_each(|n| GROUPS.iter().try_for_each(|g| self.0.set_by_hand_before(g, &member(n), true, before)))
    }
    /// Of these cases, how many have access.
    async fn with_access(&self, cases: Range<usize>) -> Result<usize> {
        let mut with = 0;
        for n in cases {
            with += usize::from(self.has_access(n).await?);
        }
        Ok(with)
    }
    /// How many requests added or removed, and how many memberships.
    fn cost(&self, method: &str) -> (usize, usize) {
        (self.0.requests(method, "/members", 202), self.0.count(method, "/members", 202))
    }
}

/// One call each would be 50 and 100. The first of each kind goes alone, and the others by twenties.
#[tokio::test]
async fn fifty_grants_at_once_cost_four_calls_and_their_revocation_six() -> Result<()> {
    let d = Directory::with(DirectoryConfig::default()).await?;
    let granted = d.apply_all(0..50, Clock::default().now().plus_secs(60)).await?;
    ensure!(granted.iter().all(|g| matches!(g, Ok(ApplyOutcome::Started(..)))), "{granted:?}");
    ensure!(d.with_access(0..50).await? == 50);
    ensure!(d.cost("POST") == (4, 50), "calls, memberships: {:?}", d.cost("POST"));
    d.give_by_hand(0..50, Duration::ZERO)?;
    let revoked = d.revoke_all(0..50).await;
    ensure!(revoked.iter().all(|r| matches!(r, Ok(RevokeOutcome::Started(_)))), "{revoked:?}");
    ensure!(d.with_access(0..50).await? == 0);
    ensure!(d.cost("DELETE") == (6, 100), "calls, memberships: {:?}", d.cost("DELETE"));
    Ok(())
}

#[tokio::test]
async fn a_combined_call_takes_one_token_of_the_throttle_and_its_refusal_holds_for_all_of_it() -> Result<()> {
    let throttle = Some(Throttle { burst: 2.0, per_second: 0.01 });
    let d = Directory::with(DirectoryConfig { throttle, ..DirectoryConfig::default() }).await?;
    let granted = d.apply_all(0..31, Clock::default().now().plus_secs(60)).await?;
    ensure!(granted[..21].iter().all(Result::is_ok), "{granted:?}");
    let throttled = |g: &Result<_, ProviderError>| matches!(g, Err(ProviderError::Transient { retry_after: Some(_), .. }));
    ensure!(granted[21..].iter().all(throttled), "{granted:?}");
    Ok(())
}

#[tokio::test]
async fn one_bad_member_of_fifty_leaves_forty_nine_done() -> Result<()> {
    for all_or_nothing in [false, true] {
        let config = DirectoryConfig { all_or_nothing, unknown_members: vec![member(23)], ..DirectoryConfig::default() };
        let d = Directory::with(config).await?;
        let granted = d.apply_all(0..50, Clock::default().now().plus_secs(60)).await?;
        for (n, outcome) in granted.iter().enumerate() {
            ensure!(if n == 23 { matches!(outcome, Err(ProviderError::Invalid(_))) } else { outcome.is_ok() }, "{n}: {outcome:?}");
        }
        ensure!(d.with_access(0..50).await? == 49 && !d.has_access(23).await?);
        let calls = (d.0.requests("POST", "/members", 202), d.0.requests("POST", "/members", 400));
        // Halves: of 20, 10, 5 and 3 the call fails, and then that of the bad one alone.
        let expected = if all_or_nothing { (7, 5) } else { (4, 1) };
        ensure!(calls == expected, "all or nothing is {all_or_nothing}: {calls:?} calls were accepted and refused");
    }
    Ok(())
}

#[tokio::test]
async fn one_membership_that_is_too_young_to_be_removed_keeps_no_other() -> Result<()> {
    let d = Directory::with(DirectoryConfig { all_or_nothing: true, min_age_millis: 600_000, ..DirectoryConfig::default() }).await?;
    d.give_by_hand(0..49, Duration::from_secs(3600))?;
    d.give_by_hand(49..50, Duration::ZERO)?;
    let revoked = d.revoke_all(0..50).await;
    ensure!(revoked[..49].iter().all(|r| matches!(r, Ok(RevokeOutcome::Started(_)))), "{revoked:?}");
    ensure!(matches!(&revoked[49], Ok(RevokeOutcome::Remains(_))), "{:?}", revoked[49]);
    ensure!(d.with_access(0..49).await? == 0 && d.has_access(49).await?);
    Ok(())
}

/// While the first call is in flight, the others wait for longer than they may.
#[tokio::test]
async fn nothing_is_sent_after_its_time_limit() -> Result<()> {
    let d = Directory::with(DirectoryConfig { answer_millis: 3_000, ..DirectoryConfig::default() }).await?;
    let (soon, later) = (Clock::default().now().plus_secs(1), Clock::default().now().plus_secs(60));
    let (first, late, timely) = tokio::join!(d.apply_all(0..1, later), d.apply_all(1..25, soon), d.apply_all(25..44, later));
    ensure!(first?.iter().chain(&timely?).all(Result::is_ok));
    ensure!(late?.iter().all(|l| matches!(l, Err(ProviderError::Transient { .. }))));
    ensure!(d.0.count("POST", "/members", 202) == 20 && d.with_access(1..25).await? == 0);
    let named = d.0.log().iter().filter(|c| c.method == "POST").all(|c| c.not_after.as_deref() == Some(&later.to_string()));
    ensure!(named, "each item names its own time limit");
    // A removal has the time limit of its caller, which drops it.
    d.give_by_hand(0..50, Duration::ZERO)?;
    let dropped = tokio::time::timeout(Duration::from_secs(1), d.revoke_all(1..25));
    let (first, dropped, timely) = tokio::join!(d.revoke_all(0..1), dropped, d.revoke_all(25..44));
    ensure!(first.iter().chain(&timely).all(Result::is_ok) && dropped.is_err());
    ensure!(d.0.count("DELETE", "/members/", 202) == 40 && d.with_access(1..25).await? == 24);
    Ok(())
}
