//! Access that is asked for later: not before its start, not after its end, also where an operator dies meanwhile.
use super::{
    decide,
    refusals::{of, ready, refused, template},
    request, until,
};
use crate::shared::with_operator;
use anyhow::{Context, Result, ensure};
use curfew::authority::Clock;
use curfew_core::time::Time;
use curfew_testkit::{SOON, World, eventually};

/// A time so many seconds from now, in whole seconds.
pub fn in_secs(secs: i64) -> Time {
    Clock::default().now().floor_secs().plus_secs(secs)
}

/// A request that starts then.
fn starts(role: &str, name: &str, start: Time, duration: &str) -> String {
    of(role, name, duration).replace("duration:", &format!("startTime: '{start}', duration:"))
}

async fn time(w: &World, request: &str, jsonpath: &str) -> Result<Time> {
    let text = w.field(&["areq", "-n", "payments", request], jsonpath).await?;
    Time::parse(&text).with_context(|| format!("{jsonpath} of {request} is {text:?}"))
}

#[tokio::test]
async fn scheduled_access_is_there_from_its_start_to_its_end() -> Result<()> {
    let w = with_operator().await?;
    let (sven, carol) = (w.cp.user("sven@example.com", &["payments-devs"])?, w.carol()?);
    let start = in_secs(8);
    let end = start.plus_secs(6);
    sven.apply(&starts("payments-admin", "sven-later", start, "6s")).await?.success()?;
    w.state_is("sven-later", "AwaitingApproval").await?;
    decide(w, &carol, "sven-later", "Approve").await?;
    w.state_is("sven-later", "Scheduled").await?;
    let shown = "{.status.waitingFor}; {.status.display.expires}; {.status.expiresAt}; {.status.message}";
    let told = w.field(&["areq", "-n", "payments", "sven-later"], shown).await?;
    let expected = format!("start {start}; {end}; ; approved; the access begins {start} and lasts until {end}; to give it up: ");
    ensure!(told.starts_with(&expected), "expected {expected:?}, got {told:?}");
    w.access_stays(&sven, &sven.name, false, until(start)).await?;
    w.access_is(&sven, true, SOON).await?;
    w.field_fits(&["areq", "-n", "payments", "sven-later"], "{.status.activatedAt}", "to be there", SOON, |at| !at.is_empty()).await?;
    ensure!(time(w, "sven-later", "{.status.activatedAt}").await? >= start, "it was activated before its start");
    ensure!(time(w, "sven-later", "{.status.expiresAt}").await? == end, "it does not end when it was promised to end");
    w.access_is(&sven, false, SOON).await?;
    w.state_is("sven-later", "Expired").await?;
    // A start that is over when it is asked for takes nothing off the end.
    let start = in_secs(-5);
    sven.apply(&starts("payments-admin", "late", start, "20s")).await?.success()?;
    w.state_is("late", "AwaitingApproval").await?;
    decide(w, &carol, "late", "Approve").await?;
    w.state_is("late", "Active").await?;
    ensure!(time(w, "late", "{.status.expiresAt}").await? == start.plus_secs(20), "it lasts longer than was asked for");
    w.access_is(&sven, true, SOON).await?;
    w.access_is(&sven, false, SOON * 2).await
}

#[tokio::test]
async fn a_start_is_refused_by_rule_value_and_limit() -> Result<()> {
    let w = with_operator().await?;
    let suna = w.cp.user("suna@example.com", &["payments-devs"])?;
    w.answers_in_force().await?;
    let far = in_secs(31 * 86_400);
    for args in [&["apply", "-f", "-"][..], &["apply", "--dry-run=server", "-f", "-"]] {
        let told = suna.api_stdin(args, &starts("payments-admin", "far", far, "1h")).await?.refused()?;
        ensure!(told.contains("'curfew-answers'") && told.contains("more than 30 days after the request is made"), "{told}");
    }
    let window = format!("window: {{between: {{start: '{}', end: '{}'}}}}", in_secs(-60), in_secs(2 * 3600));
    template(w, "until-then", &[("window: {permanent: {}}", &window)]).await?;
    ready(w, &["eas", "-n", "payments", "until-then-devs"], "True").await?;
    let hour = in_secs(3600);
    suna.apply(&starts("until-then", "fits", hour, "50m")).await?.success()?;
    w.state_is("fits", "AwaitingApproval").await?;
    suna.apply(&starts("until-then", "outside", hour, "70m")).await?.success()?;
    refused(w, "outside", "Denied", "OutsideWindow", "the whole duration must fit").await?;
    let bounded =
        starts("payments-admin", "bounded", hour, "1h").replace("duration:", &format!("notAfter: '{}', duration:", in_secs(5400)));
    suna.apply(&bounded).await?.success()?;
    refused(w, "bounded", "Denied", "OutsideWindow", "beyond notAfter").await?;
    suna.apply(&starts("payments-admin", "passed", in_secs(-7200), "1h")).await?.success()?;
    refused(w, "passed", "Expired", "WindowPassed", "has passed before the access was activated").await?;
    // Nobody approves it before its window is over.
    suna.apply(&starts("payments-admin", "unanswered", in_secs(1), "2s")).await?.success()?;
    refused(w, "unanswered", "Expired", "WindowPassed", "has passed before the access was activated").await
}

#[tokio::test]
async fn what_is_scheduled_ends_by_its_own_word_before_it_begins() -> Result<()> {
    let w = with_operator().await?;
    let (sita, carol, admin) = (w.cp.user("sita@example.com", &["payments-devs"])?, w.carol()?, w.admin()?);
    template(w, "planned", &[]).await?;
    ready(w, &["rtpl", "-n", "payments", "planned"], "True").await?;
    let start = in_secs(3600);
    for name in ["planned-denied", "planned-withdrawn", "planned-deleted", "planned-changed", "planned-waits"] {
        sita.apply(&starts("planned", name, start, "1h")).await?.success()?;
        w.state_is(name, "AwaitingApproval").await?;
        if name != "planned-waits" {
            decide(w, &carol, name, "Approve").await?;
            w.state_is(name, "Scheduled").await?;
        }
    }
    decide(w, &carol, "planned-denied", "Deny").await?;
    refused(w, "planned-denied", "Denied", "DeniedByApprover", "").await?;
    decide(w, &sita, "planned-withdrawn", "Revoke").await?;
    refused(w, "planned-withdrawn", "Cancelled", "RevokedByHolder", "").await?;
    sita.api(&["delete", "areq", "-n", "payments", "planned-deleted"]).await?.success()?;
    let words = r#"{"spec": {"description": "other words"}}"#;
    let fewer = r#"{"spec": {"activation": {"approval": {"stages": [{"name": "owners", "approvers": [{"group": "payments-leads"}], "quorum": 1}]}}}}"#;
    let patch = async |change| admin.api(&["patch", "rtpl", "-n", "payments", "planned", "--type=merge", "-p", change]).await?.success();
    patch(words).await?;
    patch(fewer).await?;
    refused(w, "planned-changed", "Invalid", "TemplateChanged", "create a new request").await?;
    refused(w, "planned-waits", "Invalid", "TemplateChanged", "create a new request").await?;
    let grants = w.field(&["grt"], "{.items[*].spec.request.name}").await?;
    ensure!(!grants.contains("planned-"), "something was granted: {grants}");
    Ok(())
}

/// The leader is killed just before the start: the other replica begins what is still in its window, late, and it ends when it was
/// promised to end. What was to be over meanwhile never begins.
#[tokio::test]
async fn an_operator_that_dies_at_the_start_moves_no_end() -> Result<()> {
    let w = World::first("scheduled").await?;
    let leader = w.operator("leader").await?;
    w.granting().await?;
    let _other = w.operator("other").await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    let start = in_secs(12);
    for (name, duration) in [("late", "40s"), ("missed", "2s")] {
        let yaml = request(name, duration).replace("duration:", &format!("startTime: '{start}', duration:"));
        alice.apply(&yaml).await?.success()?;
        w.state_is(name, "AwaitingApproval").await?;
        decide(&w, &carol, name, "Approve").await?;
        w.state_is(name, "Scheduled").await?;
    }
    let (clock, soon) = (Clock::default(), start.plus_secs(-1));
    ensure!(clock.now() < soon, "the machine took longer than the requests wait");
    eventually("the start to be near", SOON, || async { Ok((clock.now() >= soon).then_some(())) }).await?;
    leader.kill();
    w.access_stays(&alice, &alice.name, false, until(start)).await?;
    w.access_is(&alice, true, SOON * 2).await?;
    w.state_is("late", "Active").await?;
    refused(&w, "missed", "Expired", "WindowPassed", "has passed before the access was activated").await?;
    ensure!(time(&w, "late", "{.status.expiresAt}").await? == start.plus_secs(40), "who began late has moved the end");
    w.access_is(&alice, false, SOON * 3).await?;
    w.state_is("late", "Expired").await?;
    ensure!(time(&w, "late", "{.status.endedAt}").await? >= start.plus_secs(40), "it ended early");
    ensure!(w.field(&["grt"], "{.items[*].spec.request.name}").await? == "late", "what was missed was granted");
    Ok(())
}
