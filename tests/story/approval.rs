//! Rules of approval, each with the access used: parallel stages, escalation, comments, and approvals that shorten.
use super::{
    decide,
    plugin::curfew,
    refusals::{of, ready, template},
};
use crate::shared::with_operator;
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, User, World};

const OWNERS: &str = "\n      - name: owners\n        approvers: [{group: payments-leads}, {user: carol@example.com}]\n        quorum: 1\n        timeout: 24h";

/// The example's role under another name, with these lines for its approval.
async fn role(w: &World, name: &str, approval: &str) -> Result<()> {
    template(w, name, &[(&format!("\n      stages:{OWNERS}"), approval)]).await?;
    ready(w, &["rtpl", "-n", "payments", name], "True").await
}

/// A member of payments-devs asks, and waits until people decide.
async fn asked(w: &World, who: &str, role: &str, name: &str, duration: &str) -> Result<User> {
    let user = w.cp.user(&format!("{who}@example.com"), &["payments-devs"])?;
    user.apply(&of(role, name, duration)).await?.success()?;
    w.state_is(name, "AwaitingApproval").await?;
    Ok(user)
}

fn lead(w: &World, name: &str) -> Result<User> {
    w.cp.user(&format!("{name}@example.com"), &["payments-leads"])
}

async fn waits_for(w: &World, name: &str, stages: &str) -> Result<()> {
    w.field_is(&["areq", "-n", "payments", name], "{.status.waitingFor}", stages).await
}

/// Waits for the verdict on what a person has decided about a request; of several on one that is this.
async fn judged(w: &World, who: &User, request: &str, verdict: &str) -> Result<()> {
    let selector = format!("--field-selector=spec.about.activationRequest.name={request}");
    let path = format!(
        "{{range .items[?(@.spec.decider.username==\"{}\")]}}{{.status.conditions[0].status}} {{.status.conditions[0].reason}};{{end}}",
        who.name
    );
    let fits = |now: &str| now.split(';').any(|one| one == verdict);
    w.field_fits(&["adec", "-n", "payments", &selector], &path, &format!("to be {verdict}"), SOON, fits).await
}

/// An approval by kubectl with more in its spec.
async fn approve(w: &World, who: &User, request: &str, more: &str) -> Result<()> {
    let digest = w.field(&["areq", "-n", "payments", request], "{.status.digest}").await?;
    let yaml = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: {request}}}}}, digest: '{digest}', decision: Approve{more}}}}}"
    );
    who.create(&yaml).await?.success().map(drop)
}

#[tokio::test]
async fn two_parallel_stages_are_filled_in_either_order_by_two_people() -> Result<()> {
    let w = with_operator().await?;
    let security = "\n      - {name: security, approvers: [{user: carol@example.com}, {user: erin@example.com}], quorum: 1}";
    role(w, "two-keys", &format!("\n      parallel:{OWNERS}{security}")).await?;
    let (carol, dave) = (w.carol()?, lead(w, "dave")?);
    // Carol is in both lists, and is not enough, however often she approves. She moves when Dave comes, who is in one.
    let pia = asked(w, "pia", "two-keys", "both-first", "1h").await?;
    waits_for(w, "both-first", "owners 0/1, security 0/1").await?;
    decide(w, &carol, "both-first", "Approve").await?;
    waits_for(w, "both-first", "security 0/1").await?;
    decide(w, &carol, "both-first", "Approve").await?;
    judged(w, &carol, "both-first", "False AlreadyCounted").await?;
    ensure!(!pia.can_read_secret("payments", "db").await?, "one person is enough for two stages");
    decide(w, &dave, "both-first", "Approve").await?;
    w.state_is("both-first", "Active").await?;
    w.access_is(&pia, true, SOON).await?;
    let stages = "{range .status.approval.stages[*]}{.name}={.decisions[*].decider} {end}";
    let is = w.field(&["areq", "-n", "payments", "both-first"], stages).await?;
    ensure!(is == "owners=dave@example.com security=carol@example.com ", "{is}");

    let quin = asked(w, "quin", "two-keys", "both-last", "1h").await?;
    decide(w, &dave, "both-last", "Approve").await?;
    waits_for(w, "both-last", "security 0/1").await?;
    let told = w.field(&["areq", "-n", "payments", "both-last"], "{.status.message}").await?;
    ensure!(told.starts_with("waiting for 1 of carol@example.com, erin@example.com: kubectl curfew approve both-last "), "{told}");
    ensure!(!quin.can_read_secret("payments", "db").await?, "one stage is enough");
    decide(w, &carol, "both-last", "Approve").await?;
    w.access_is(&quin, true, SOON).await?;
    for (who, name) in [(&pia, "both-first"), (&quin, "both-last")] {
        who.api(&["delete", "areq", "-n", "payments", name]).await?.success()?;
        w.access_is(who, false, SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn people_move_between_ordered_stages_and_are_kept_where_they_are_needed() -> Result<()> {
    let w = with_operator().await?;
    let security = "\n      - {name: security, approvers: [{user: erin@example.com}, {user: carol@example.com}], quorum: 1}";
    role(w, "in-turn", &format!("\n      stages:{OWNERS}{security}")).await?;
    let (carol, erin) = (w.carol()?, lead(w, "erin")?);
    let rosa = asked(w, "rosa", "in-turn", "in-turn", "1h").await?;
    waits_for(w, "in-turn", "owners 0/1").await?;
    // Erin is in both lists, too, as a lead: she fills the first stage, and moves when another lead comes.
    decide(w, &erin, "in-turn", "Approve").await?;
    waits_for(w, "in-turn", "security 0/1").await?;
    let security = w.field(&["areq", "-n", "payments", "in-turn"], "{.status.approval.stages[1].deadline}").await?;
    ensure!(!security.is_empty(), "the second stage is open and has no deadline");
    decide(w, &lead(w, "dave")?, "in-turn", "Approve").await?;
    w.access_is(&rosa, true, SOON).await?;
    rosa.api(&["delete", "areq", "-n", "payments", "in-turn"]).await?.success()?;

    let only = "\n      - {name: security, approvers: [{user: carol@example.com}], quorum: 1}";
    role(w, "kept", &format!("\n      stages:{OWNERS}{only}")).await?;
    let sven = asked(w, "sven", "kept", "kept", "1h").await?;
    // Only Carol can fill the second stage, so the first one waits for another lead.
    decide(w, &carol, "kept", "Approve").await?;
    judged(w, &carol, "kept", "Unknown Waiting").await?;
    let waiting = "{.status.waitingFor} {.status.approval.stages[1].waiting[*].decider}";
    w.field_is(&["areq", "-n", "payments", "kept"], waiting, "owners 0/1 carol@example.com").await?;
    decide(w, &erin, "kept", "Approve").await?;
    judged(w, &carol, "kept", "True Counted").await?;
    w.access_is(&sven, true, SOON).await?;
    sven.api(&["delete", "areq", "-n", "payments", "kept"]).await?.success().map(drop)
}

#[tokio::test]
async fn an_escalation_lets_more_people_approve_after_its_time_and_not_before() -> Result<()> {
    let w = with_operator().await?;
    let stage = "\n      stages:\n      - {name: owners, approvers: [{user: carol@example.com}], quorum: 1, timeout: 10m, \
                 escalation: {after: 12s, approvers: [{group: payments-leads}]}}";
    role(w, "escalating", stage).await?;
    let dave = lead(w, "dave")?;
    let toni = asked(w, "toni", "escalating", "escalating", "1h").await?;
    let told = w.field(&["areq", "-n", "payments", "escalating"], "{.status.message}").await?;
    ensure!(told.contains("waiting for 1 of carol@example.com (from ") && told.contains(" on also payments-leads)"), "{told}");
    decide(w, &dave, "escalating", "Approve").await?;
    judged(w, &dave, "escalating", "False NotEscalatedYet").await?;
    ensure!(!toni.can_read_secret("payments", "db").await?, "an approval before the escalation counts");
    // The status changes when it is time, although nothing else does.
    waits_for(w, "escalating", "owners 0/1 (escalated)").await?;
    ensure!(!toni.can_read_secret("payments", "db").await?, "an approval from before the escalation counts later");
    decide(w, &dave, "escalating", "Approve").await?;
    w.access_is(&toni, true, SOON).await?;
    judged(w, &dave, "escalating", "True Counted").await?;
    toni.api(&["delete", "areq", "-n", "payments", "escalating"]).await?.success().map(drop)
}

#[tokio::test]
async fn a_stage_asks_for_a_comment() -> Result<()> {
    let w = with_operator().await?;
    role(w, "commented", &format!("\n      stages:{OWNERS}\n        comment: Required")).await?;
    let carol = w.carol()?;
    let uma = asked(w, "uma", "commented", "commented", "1h").await?;
    for blank in ["", ", comment: ''"] {
        approve(w, &carol, "commented", blank).await?;
    }
    judged(w, &carol, "commented", "False CommentRequired").await?;
    let digest = w.field(&["areq", "-n", "payments", "commented"], "{.status.digest}").await?;
    let args = ["approve", "commented", "-n", "payments", "--digest", &digest];
    let told = curfew(&carol, &args).await?.refused()?;
    ensure!(told.contains("stage owners asks its approvers for a comment; say why with --comment"), "{told}");
    ensure!(!uma.can_read_secret("payments", "db").await?, "an approval without a comment counts");
    curfew(&carol, &[&args[..], &["-c", "release 2311"]].concat()).await?.success()?;
    w.access_is(&uma, true, SOON).await?;
    // A refusal never needs one.
    decide(w, &carol, "commented", "Deny").await?;
    w.access_is(&uma, false, SOON).await
}

#[tokio::test]
async fn an_approver_shortens_the_access_and_never_lengthens_it() -> Result<()> {
    let w = with_operator().await?;
    role(w, "shorter", &format!("\n      stages:{OWNERS}")).await?;
    let carol = w.carol()?;
    let vera = asked(w, "vera", "shorter", "shorter", "1h").await?;
    let digest = w.field(&["areq", "-n", "payments", "shorter"], "{.status.digest}").await?;
    let args = ["approve", "shorter", "-n", "payments", "--digest", &digest, "-d"];
    let told = curfew(&carol, &[&args[..], &["2h"]].concat()).await?.refused()?;
    ensure!(told.contains("2h is longer than the 1h that was requested"), "{told}");
    // What the plugin does not send does not count.
    approve(w, &carol, "shorter", ", duration: 61m").await?;
    judged(w, &carol, "shorter", "False OverMaximum").await?;
    w.state_is("shorter", "AwaitingApproval").await?;
    curfew(&carol, &[&args[..], &["12s"]].concat()).await?.success()?;
    w.access_is(&vera, true, SOON).await?;
    let shown = "{.status.message} {.status.approval.stages[0].decisions[0].duration}";
    let fits = |now: &str| now.contains(" (12s instead of 1h, as carol@example.com approved); to give it back") && now.ends_with(" 12s");
    w.field_fits(&["areq", "-n", "payments", "shorter"], shown, "to say that it is shorter", SOON, fits).await?;
    let grant = w.field(&["areq", "-n", "payments", "shorter"], "{.status.grantRef.name}").await?;
    let (end, promised) = (
        w.field(&["grt", &grant], "{.spec.expiresAt}").await?,
        w.field(&["areq", "-n", "payments", "shorter"], "{.status.expiresAt}").await?,
    );
    ensure!(end == promised, "the Grant ends {end}, and not {promised}");
    // An approval that comes later changes nothing.
    approve(w, &lead(w, "dave")?, "shorter", ", duration: 1s").await?;
    judged(w, &lead(w, "dave")?, "shorter", "False AlreadyCounted").await?;
    w.access_is(&vera, false, SOON).await?;
    w.state_is("shorter", "Expired").await?;
    let ended = w.field(&["areq", "-n", "payments", "shorter"], "{.status.endedAt}").await?;
    let time = |s: &str| s.parse::<jiff::Timestamp>();
    ensure!(time(&ended)? >= time(&promised)?, "it ended {ended}, before {promised}");
    ensure!(time(&ended)?.as_second() - time(&promised)?.as_second() < 60, "it ended {ended}, and not at {promised}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_approved_is_refused_when_it_is_written() -> Result<()> {
    let w = with_operator().await?;
    let refused = |approval: &'static str, words: &'static str| async move {
        let told = template(w, "refused", &[(&format!("\n      stages:{OWNERS}"), approval)]).await.err();
        let told = told.map(|e| format!("{e:#}")).unwrap_or_default();
        ensure!(told.contains(words), "{words:?} is not said: {told:?}");
        anyhow::Ok(())
    };
    let late = "escalation.after must be shorter than the timeout of the stage";
    let reserved = "names that begin with system: are reserved";
    for (approval, words) in [
        (
            "\n      stages: [{name: a, approvers: [{user: c}], quorum: 1, timeout: 2h, escalation: {after: 120m, approvers: [{user: d}]}}]",
            late,
        ),
        ("\n      parallel: [{name: a, approvers: [{user: c}], quorum: 1, escalation: {after: 24h, approvers: [{user: d}]}}]", late),
        ("\n      parallel: [{name: a, approvers: [{group: 'system:masters'}], quorum: 1}]", reserved),
        (
            "\n      stages: [{name: a, approvers: [{user: c}], quorum: 1, escalation: {after: 1h, approvers: [{user: 'system:admin'}]}}]",
            reserved,
        ),
        ("\n      stages: [{name: a, approvers: [{user: c}], quorum: 1, comment: Always}]", "comment"),
    ] {
        refused(approval, words).await?;
    }
    let decision = "{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {generateName: d-, namespace: payments}, \
                    spec: {about: {activationRequest: {name: x}}, decision: Deny, duration: 10m}}";
    let told = w.carol()?.create(decision).await?.refused()?;
    ensure!(told.contains("only an approval has a duration"), "{told}");

    // The floor of the policy holds for everyone who may approve in the end, and people are distinct across parallel stages.
    let not_ready = |name: &'static str, approval: &'static str, expect: &'static str| async move {
        template(w, name, &[(&format!("\n      stages:{OWNERS}"), approval)]).await?;
        ready(w, &["rtpl", "-n", "payments", name], expect).await
    };
    not_ready(
        "below-later",
        "\n      stages: [{name: owners, approvers: [{user: carol@example.com}], quorum: 1, escalation: {after: 1h, approvers: [{user: mallory@example.com}]}}]",
        "False BelowFloor .. policy payments",
    )
    .await?;
    not_ready(
        "one-for-two",
        "\n      parallel: [{name: a, approvers: [{user: carol@example.com}], quorum: 1}, {name: b, approvers: [{user: carol@example.com}], quorum: 1}]",
        "False NobodyCanApprove .. a person counts once",
    )
    .await
}
