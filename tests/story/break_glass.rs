//! Break-glass: access without waiting, which another person must review, and a lock until then.
use super::{
    decide,
    plugin::{ends_with, exit},
    refusals::{of, ready, refused, template},
};
use crate::audit::sinks;
use anyhow::{Result, bail, ensure};
use curfew_testkit::{Operator, SOON, User, World, eventually, metric};
use serde_json::Value;
use std::{path::Path, time::Duration};

pub const ROLE: &str = "emergency";
const WHY: &str = "justification: roll back release 2311";

/// A request for break-glass.
pub fn broken(name: &str, duration: &str) -> String {
    of(ROLE, name, duration).replace("duration:", "breakGlass: true, duration:")
}

/// Lets the policy of the example allow break-glass, or not.
pub async fn policy(w: &World, allows: bool) -> Result<()> {
    let patch = format!("{{\"spec\":{{\"allow\":{{\"breakGlass\":{allows}}}}}}}");
    w.admin()?.api(&["patch", "apol", "payments", "--type=merge", "-p", &patch]).await?.success().map(drop)
}

/// Creates a review, about a request or a Grant, and returns its name.
async fn reviewed(who: &User, name: &str, about: &str, comment: &str) -> Result<curfew_testkit::Output> {
    who.apply(&format!(
        "apiVersion: curfew.dev/v1alpha1\nkind: AccessDecision\nmetadata: {{name: {name}, namespace: payments}}\n\
         spec: {{about: {about}, decision: Review{comment}}}"
    ))
    .await
}

fn request(name: &str) -> String {
    format!("{{activationRequest: {{name: {name}}}}}")
}

/// Waits for the verdict on a decision.
async fn counted(w: &World, name: &str, expect: &str) -> Result<()> {
    let path = "{range .status.conditions[?(@.type==\"Counted\")]}{.status} {.reason} {.message}{end}";
    w.field_fits(&["adec", "-n", "payments", name], path, &format!("to be {expect}"), SOON, |now| now.starts_with(expect)).await
}

async fn review_is(w: &World, name: &str, expect: &str) -> Result<()> {
    let path = "{range .status.conditions[?(@.type==\"ReviewRequired\")]}{.status} {.reason} {.message}{end}";
    w.field_fits(&["areq", "-n", "payments", name], path, &format!("to be {expect}"), SOON, |now| now.starts_with(expect)).await
}

async fn locks(w: &World) -> Result<usize> {
    let names = w.field(&["lease", "-n", "curfew-system"], "{.items[*].metadata.name}").await?;
    Ok(names.split(' ').filter(|name| name.starts_with("curfew-slot-lock-")).count())
}

#[tokio::test]
async fn break_glass_waits_for_nobody_and_locks_until_another_person_reviews() -> Result<()> {
    let w = World::first("break-glass").await?;
    let log = w.cp.dir().join("audit.jsonl");
    sinks(&w, &format!(r#"[{{"file": {{"path": "{}"}}}}]"#, log.display())).await?;
    let _operator = w.operator("operator").await?;
    w.granting().await?;
    let break_glass = ("    limits: {none: {}}", "    limits: {atMost: {active: 5, perSubject: 5}}\n    breakGlass: {notify: [security]}");
    // With those of the policy, it holds a slot of every limit that it can count towards.
    let limits = r#"{"spec": {"limits": {"atMost": {"active": 9, "perSubject": 5}}}}"#;
    w.admin()?.api(&["patch", "apol", "payments", "--type=merge", "-p", limits]).await?.success()?;
    template(&w, ROLE, &[break_glass, ("justification: Required", "justification: Optional")]).await?;
    ready(&w, &["rtpl", "-n", "payments", ROLE], "True").await?;
    w.answers_in_force().await?;
    refused_at_apply(&w).await?;
    // A policy that does not allow it leaves nothing that does.
    let alice = w.alice()?;
    alice.apply(&broken("not-allowed", "1h")).await?.success()?;
    refused(&w, "not-allowed", "Denied", "NotEligible", "policy payments does not allow break-glass").await?;
    ensure!(locks(&w).await? == 0, "what was denied locks nobody");
    policy(&w, true).await?;

    // It waits for nobody, and is used.
    let asks = ["request", ROLE, "-n", "payments", "-d", "1h", "--break-glass", "--name", "first", "-j", "roll back release 2311"];
    ends_with(&alice, &asks, 1, &["without a terminal, confirm break-glass with --yes"]).await?;
    let words = ["It is told at once", "Another person must review it", "first created"];
    ends_with(&alice, &[&asks[..], &["--yes"]].concat(), 0, &words).await?;
    w.state_is("first", "Active").await?;
    let stored = w.field(&["areq", "-n", "payments", "first"], "{.status.slots[*]}").await?;
    ensure!(stored.split(' ').count() == 5, "the lock, and two each of role and policy: {stored}");
    w.access_is(&alice, true, SOON).await?;
    review_is(&w, "first", "True BreakGlass").await?;
    told(&w, "first").await?;
    explained(&w, &alice).await?;
    // What no longer allows it ends nothing that is active.
    policy(&w, false).await?;
    policy(&w, true).await?;
    ensure!(alice.can_read_secret("payments", "db").await?);
    // Nobody is asked, and an approval changes nothing. A decider of the frozen stages ends it.
    decide(&w, &w.carol()?, "first", "Approve").await.ok();
    decide(&w, &w.carol()?, "first", "Revoke").await?;
    w.state_is("first", "Revoked").await?;
    w.access_is(&alice, false, SOON).await?;
    review_is(&w, "first", "True BreakGlass").await?;

    locked_until_reviewed(&w, &alice).await?;
    deleted(&w, &alice).await?;
    recorded(&log).await
}

/// She is told what is in use, and what locks her; the administrator, who sees the policy, too.
async fn explained(w: &World, alice: &User) -> Result<()> {
    let explain = ["explain", ROLE, "-n", "payments"];
    let words = [
        "role emergency for alice@example.com: 1 of 5 in use, 4 free, by payments/first",
        "role emergency allows it; whether the policy does is not known",
        "another person must review it (group payments-leads, user carol@example.com, or a manager)",
        "you used break-glass with request first in namespace payments; another person must review that first: kubectl curfew review first",
    ];
    ends_with(alice, &explain, 0, &words).await?;
    ends_with(alice, &[&explain[..], &["--break-glass"]].concat(), 4, &["would end Denied", "lock", "request first"]).await?;
    let words = ["policy payments: 1 of 9 in use, 8 free, by payments/first"];
    ends_with(&w.admin()?, &explain, 4, &words).await.map(drop)
}

/// What the role says is answered at apply time, and at a dry run.
async fn refused_at_apply(w: &World) -> Result<()> {
    let alice = w.alice()?;
    let cases = [
        (broken("mute", "1h").replace(&format!(", {WHY}"), ""), "break-glass asks for a justification"),
        (broken("ordinary", "1h").replace(ROLE, "payments-admin"), "role payments-admin does not allow break-glass"),
        (broken("later", "1h").replace("duration:", "startTime: '2030-01-01T00:00:00Z', duration:"), "break-glass begins at once"),
        (
            broken("other", "1h").replace("duration:", "beneficiary: {user: bob@example.com}, duration:"),
            "for a person who asks for herself",
        ),
        (broken("longer", "1h").replace("duration:", "extends: {name: first, uid: u1}, duration:"), "an extension needs its own approval"),
    ];
    for (yaml, words) in cases {
        for args in [&["apply", "-f", "-"][..], &["apply", "--dry-run=server", "-f", "-"]] {
            let told = alice.api_stdin(args, &yaml).await?.refused()?;
            ensure!(told.contains(words), "{words:?} is not said: {told}");
        }
    }
    Ok(())
}

/// A Warning on the request, which says who, why, and what to do.
async fn told(w: &World, name: &str) -> Result<()> {
    let selector = format!("involvedObject.kind=ActivationRequest,involvedObject.name={name},reason=BreakGlass");
    let events = ["events", "-n", "payments", "--field-selector", &selector];
    let words = ["Warning", "alice@example.com uses break-glass for role emergency", "roll back release 2311", "kubectl curfew review"];
    let told = |now: &str| words.iter().all(|word| now.contains(word));
    w.field_fits(&events, "{.items[*].type} {.items[*].message}", "to tell of break-glass", Duration::from_secs(10), told).await
}

/// In every role, until another person has reviewed.
async fn locked_until_reviewed(w: &World, alice: &User) -> Result<()> {
    alice.apply(&broken("second", "1h")).await?.success()?;
    refused(w, "second", "Denied", "ReviewOutstanding", "kubectl curfew review first -n payments").await?;
    ensure!(!alice.can_read_secret("payments", "db").await?);
    // A review needs a comment, and is neither the requester's nor a stranger's.
    let refusal = reviewed(&w.carol()?, "mute-review", &request("first"), "").await?.refused()?;
    ensure!(refusal.contains("a review needs a comment"), "{refusal}");
    reviewed(alice, "own-review", &request("first"), ", comment: it was fine").await?.success()?;
    counted(w, "own-review", "False SelfDecision").await?;
    reviewed(&w.carol()?, "premature", &request("second"), ", comment: nothing there").await?.success()?;
    counted(w, "premature", "False NothingToReview").await?;
    review_is(w, "first", "True BreakGlass").await?;
    alice.apply(&broken("third", "1h")).await?.success()?;
    refused(w, "third", "Denied", "ReviewOutstanding", "request first in namespace payments").await?;
    let carol = w.carol()?;
    let waits = ["list", "--waiting-for-me", "-n", "payments"];
    ends_with(&carol, &waits, 0, &["first", "(review)", "kubectl curfew review first -n payments --comment TEXT"]).await?;
    let review = ["review", "first", "-n", "payments"];
    ends_with(&carol, &review, 1, &["a review needs a comment"]).await?;
    ends_with(alice, &[&review[..], &["-c", "fine"]].concat(), 1, &["does not count (SelfDecision)"]).await?;
    ends_with(&carol, &[&review[..], &["-c", "INC-4711, needed"]].concat(), 0, &["the break-glass access is reviewed"]).await?;
    let (_, queue) = exit(&carol, &waits).await?;
    ensure!(!queue.contains("(review)"), "{queue}");
    review_is(w, "first", "False Reviewed reviewed by carol@example.com").await?;
    reviewed(&w.carol()?, "again", &request("first"), ", comment: once more").await?.success()?;
    counted(w, "again", "False AlreadyReviewed").await?;
    no_locks(w).await
}

async fn no_locks(w: &World) -> Result<()> {
    eventually("no locks", SOON, || async { if locks(w).await? == 0 { Ok(Some(())) } else { bail!("a lock is left") } }).await
}

/// The lock outlives the request, and a review about the Grant ends it.
async fn deleted(w: &World, alice: &User) -> Result<()> {
    alice.apply(&broken("vanishes", "1h")).await?.success()?;
    w.state_is("vanishes", "Active").await?;
    w.access_is(alice, true, SOON).await?;
    let grant = w.field(&["areq", "-n", "payments", "vanishes"], "{.status.grantRef.name}").await?;
    let early = format!("{{grant: {{name: {grant}}}}}");
    reviewed(&w.carol()?, "early", &early, ", comment: the request is there").await?.success()?;
    counted(w, "early", "False RequestExists").await?;
    alice.api(&["delete", "areq", "-n", "payments", "vanishes"]).await?.success()?;
    w.access_is(alice, false, SOON).await?;
    w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
    alice.apply(&broken("fourth", "1h")).await?.success()?;
    refused(w, "fourth", "Denied", "ReviewOutstanding", &format!("kubectl curfew review --grant {grant} -n payments")).await?;
    reviewed(alice, "own-late", &early, ", comment: it was fine").await?.success()?;
    counted(w, "own-late", "False SelfDecision").await?;
    // An approver who may not list Grants is told what is not shown, and by which right it would be.
    let (code, queue) = exit(&w.carol()?, &["list", "--waiting-for-me", "-n", "payments"]).await?;
    let words = ["whose request was deleted is not shown", "resources: [grants], verbs: [list]} in the whole cluster"];
    ensure!(code == 0 && words.iter().all(|word| queue.contains(word)) && !queue.contains(&grant), "{code}: {queue}");
    // An approver who may read Grants finds it in the queue.
    let binding = ["create", "clusterrolebinding", "carol-audits", "--clusterrole=curfew-auditor", "--user=carol@example.com"];
    w.admin()?.api(&binding).await?.success()?;
    let command = format!("kubectl curfew review --grant {grant} -n payments --comment TEXT");
    eventually("the Grant in the queue", SOON, || async {
        let (_, queue) = exit(&w.carol()?, &["list", "--waiting-for-me", "-n", "payments"]).await?;
        if queue.contains(&command) { Ok(Some(())) } else { bail!("{queue}") }
    })
    .await?;
    let review = ["review", "--grant", &grant, "-n", "payments", "-c", "INC-4712, needed"];
    ends_with(&w.carol()?, &review, 0, &["the break-glass access is reviewed"]).await?;
    no_locks(w).await?;
    // She may again, and a review while it is active frees the lock at once.
    alice.apply(&broken("fifth", "1h")).await?.success()?;
    w.state_is("fifth", "Active").await?;
    w.access_is(alice, true, SOON).await?;
    reviewed(&w.carol()?, "at-once", &request("fifth"), ", comment: I see it").await?.success()?;
    counted(w, "at-once", "True Counted").await?;
    no_locks(w).await?;
    w.state_is("fifth", "Active").await?;
    ensure!(alice.can_read_secret("payments", "db").await?, "a review ends nothing");
    alice.api(&["delete", "areq", "-n", "payments", "fifth"]).await?.success()?;
    w.access_is(alice, false, SOON).await
}

/// Killed when it has stored that break-glass begins, and before anybody was told: the next operator tells, by an Event and a gauge.
#[tokio::test]
async fn break_glass_is_told_also_if_the_operator_was_killed() -> Result<()> {
    let w = World::first("untold").await?;
    let victim = w.operator_with("victim", &[("CURFEW_PARK_AT", "before:CreateGrant")]).await?;
    w.granting().await?;
    template(&w, ROLE, &[("    limits: {none: {}}", "    limits: {none: {}}\n    breakGlass: {notify: [security]}")]).await?;
    ready(&w, &["rtpl", "-n", "payments", ROLE], "True").await?;
    policy(&w, true).await?;
    let alice = w.alice()?;
    alice.apply(&broken("untold", "1h")).await?.success()?;
    eventually("the operator to be parked", SOON, || async { Ok(victim.is_stopped().then_some(())) }).await?;
    ensure!(w.field(&["areq", "-n", "payments", "untold"], "{.status.state}").await? == "Activating");
    let second = next_operator(&w, &victim, "second").await?;
    w.state_is("untold", "Active").await?;
    w.access_is(&alice, true, SOON).await?;
    told(&w, "untold").await?;
    unreviewed(&second, 1.0).await?;

    // The same where it has ended by then.
    decide(&w, &w.carol()?, "untold", "Revoke").await?;
    w.state_is("untold", "Revoked").await?;
    let third = next_operator(&w, &second, "third").await?;
    told(&w, "untold").await?;
    unreviewed(&third, 1.0).await?;
    // Its lock is counted when the request is deleted, until the review.
    let grant = w.field(&["areq", "-n", "payments", "untold"], "{.status.grantRef.name}").await?;
    alice.api(&["delete", "areq", "-n", "payments", "untold"]).await?.success()?;
    eventually("the request to be gone from the stores", SOON, || async {
        Ok((metric(&third.get("/metrics").await?, "curfew_requests{state=\"Revoked\"}").unwrap_or_default() < 1.0).then_some(()))
    })
    .await?;
    unreviewed(&third, 1.0).await?;
    reviewed(&w.carol()?, "late", &format!("{{grant: {{name: {grant}}}}}"), ", comment: I see it").await?.success()?;
    counted(&w, "late", "True Counted").await?;
    unreviewed(&third, 0.0).await
}

/// Kills an operator, takes away what it has told, as if it had been killed a moment earlier, and starts the next one.
async fn next_operator(w: &World, before: &Operator, name: &str) -> Result<Operator> {
    before.kill();
    let admin = w.admin()?;
    let told = w.field(&["events", "-n", "payments", "--field-selector", "reason=BreakGlass"], "{.items[*].metadata.name}").await?;
    for event in told.split_whitespace() {
        admin.kubectl(&["delete", "event", "-n", "payments", event]).await?.success()?;
    }
    admin.api(&["delete", "lease", "-n", "curfew-system", "curfew-operator"]).await?.success()?;
    w.operator(name).await
}

/// Waits until the operator shows so many uses of break-glass that nobody has reviewed.
async fn unreviewed(operator: &Operator, count: f64) -> Result<()> {
    eventually(&format!("{count} uses of break-glass without a review"), SOON, || async {
        let metrics = operator.get("/metrics").await?;
        let shown = metric(&metrics, "curfew_break_glass_unreviewed");
        if shown == Some(count) { Ok(Some(())) } else { bail!("{shown:?}") }
    })
    .await
}

/// The audit log marks the use, and names reviewer and comment.
async fn recorded(log: &Path) -> Result<()> {
    eventually("the records of break-glass", SOON, || async {
        let text = std::fs::read_to_string(log)?;
        let records: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let has = |words: &[&str]| records.iter().map(Value::to_string).any(|record| words.iter().all(|word| record.contains(word)));
        let used = has(&["\"breakGlass\":true", "first", "alice@example.com"]);
        let reviewed = has(&["Review", "carol@example.com", "INC-4711, needed"]);
        if used && reviewed { Ok(Some(())) } else { bail!("used: {used}, reviewed: {reviewed}") }
    })
    .await
}
