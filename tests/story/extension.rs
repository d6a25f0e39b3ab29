//! Access that goes on: a request that extends another one, used across the old deadline, and what ends or refuses it.
use super::{
    decide,
    plugin::curfew,
    refusals::{of, ready, refused, template},
    until,
};
use crate::shared::with_operator;
use anyhow::{Context, Result, bail, ensure};
use curfew::authority::Clock;
use curfew_core::time::Time;
use curfew_testkit::{SOON, User, World, eventually};
use serde_json::json;
use std::collections::BTreeSet;

/// A request that extends another one, by its uid.
async fn extends(w: &World, role: &str, name: &str, duration: &str, old: &str) -> Result<String> {
    let uid = w.field(&["areq", "-n", "payments", old], "{.metadata.uid}").await?;
    Ok(of(role, name, duration).replace("duration:", &format!("extends: {{name: {old}, uid: '{uid}'}}, duration:")))
}

async fn time(w: &World, request: &str, jsonpath: &str) -> Result<Time> {
    let text = w.field(&["areq", "-n", "payments", request], jsonpath).await?;
    Time::parse(&text).with_context(|| format!("{jsonpath} of {request} is {text:?}"))
}

/// The example's role under another name, which may be extended.
async fn extendable(w: &World, role: &str, chain: &str, per_day: &str) -> Result<()> {
    let rule = format!("justification: Required\n    extension: {{atMost: {{chain: {chain}, perDay: {per_day}}}}}");
    template(w, role, &[("justification: Required", &rule), ("limits: {none: {}}", "limits: {atMost: {active: 9, perSubject: 1}}")])
        .await?;
    ready(w, &["rtpl", "-n", "payments", role], "True").await
}

/// A request of this user that is approved by carol and active.
async fn active(w: &World, who: &User, yaml: &str, name: &str) -> Result<()> {
    who.apply(yaml).await?.success()?;
    w.state_is(name, "AwaitingApproval").await?;
    decide(w, &w.carol()?, name, "Approve").await?;
    w.state_is(name, "Active").await
}

#[tokio::test]
async fn an_extension_takes_over_without_a_gap_and_moves_no_deadline() -> Result<()> {
    let w = with_operator().await?;
    let (eva, lena) = (w.cp.user("eva@example.com", &["payments-devs"])?, w.cp.user("lena@example.com", &["payments-leads"])?);
    extendable(w, "extendable", "1h", "12h").await?;
    active(w, &eva, &of("extendable", "eva-first", "25s"), "eva-first").await?;
    w.access_is(&eva, true, SOON).await?;
    let (old, began) = (time(w, "eva-first", "{.status.expiresAt}").await?, time(w, "eva-first", "{.status.activatedAt}").await?);
    let explained = ["explain", "extendable", "-n", "payments", "-d", "8s", "--extends", "eva-first"];
    let told = curfew(&eva, &explained).await?.success()?;
    ensure!(told.contains(&format!("request eva-first lasts until {old}, and the extension until {}", old.plus_secs(8))), "{told}");
    curfew(&eva, &["extend", "eva-first", "-n", "payments", "-d", "8s", "-j", "x", "--name", "eva-more", "--no-wait"]).await?.success()?;
    w.state_is("eva-more", "AwaitingApproval").await?;
    let resolved = w.field(&["areq", "-n", "payments", "eva-more"], "{.status.resolved.extends}").await?;
    let resolved: serde_json::Value = serde_json::from_str(&resolved)?;
    ensure!(resolved["until"] == json!(old) && resolved["since"] == json!(began) && resolved["name"] == "eva-first", "{resolved}");
    // Who approved the first one does not approve this one: each has approvals of its own.
    decide(w, &lena, "eva-more", "Approve").await?;
    w.state_is("eva-more", "Active").await?;
    let end = old.plus_secs(8);
    ensure!(Clock::default().now() < old, "the machine took longer than the first access lasts");
    ensure!(time(w, "eva-more", "{.status.expiresAt}").await? == end, "it does not end its duration after what it extends");
    let shown = "{.status.extendedBy.name} {.status.extendedBy.expiresAt} {.status.expiresAt}";
    w.field_is(&["areq", "-n", "payments", "eva-first"], shown, &format!("eva-more {end} {old}")).await?;
    let told = w.field(&["areq", "-n", "payments", "eva-first"], "{.status.message}").await?;
    ensure!(told.contains(&format!("request eva-more extends it until {end}")), "{told}");
    let listed = curfew(&eva, &["list", "--active", "-n", "payments"]).await?.success()?;
    ensure!(listed.contains(&format!("extended by eva-more until {end}")) && listed.contains("extends eva-first"), "{listed}");
    let wide = eva.kubectl(&["get", "areq", "-n", "payments", "eva-first", "-o", "wide"]).await?.success()?;
    ensure!(wide.contains("EXTENDED-BY") && wide.contains("eva-more"), "{wide}");
    // There is one extension at a time.
    eva.apply(&extends(w, "extendable", "eva-second", "8s", "eva-first").await?).await?.success()?;
    refused(w, "eva-second", "Denied", "LimitReached", "request eva-first is extended already, by eva-more").await?;
    // Others count the beneficiary as a holder of the role.
    eva.apply(&of("extendable", "eva-beside", "1h")).await?.success()?;
    refused(w, "eva-beside", "Denied", "LimitReached", "role extendable for eva@example.com allows 1 active request").await?;
    w.access_stays(&eva, &eva.name, true, until(end.plus_secs(-1))).await?;
    ensure!(time(w, "eva-first", "{.status.endedAt}").await? >= old, "the first access ended early");
    w.state_is("eva-first", "Expired").await?;
    w.access_is(&eva, false, SOON).await?;
    w.state_is("eva-more", "Expired").await?;
    ensure!(time(w, "eva-first", "{.status.expiresAt}").await? == old, "the old deadline has moved");
    let grants = w.field(&["grt"], "{range .items[*]}{.spec.request.name}={.spec.request.extends.name}/{.spec.request.role} {end}").await?;
    ensure!(grants.contains("eva-more=eva-first/extendable "), "{grants}");
    // What has ended is not extended any more.
    eva.apply(&extends(w, "extendable", "eva-late", "8s", "eva-first").await?).await?.success()?;
    refused(w, "eva-late", "Invalid", "NothingToExtend", "request eva-first ends or has ended (DeadlinePassed)").await
}

#[tokio::test]
async fn what_ends_early_ends_its_extension() -> Result<()> {
    let w = with_operator().await?;
    let (ewa, carol) = (w.cp.user("ewa@example.com", &["payments-devs"])?, w.carol()?);
    extendable(w, "extendable-ends", "8h", "12h").await?;
    let role = "extendable-ends";
    active(w, &ewa, &of(role, "ewa-first", "1h"), "ewa-first").await?;
    let more = extends(w, role, "ewa-more", "30m", "ewa-first").await?;
    active(w, &ewa, &more, "ewa-more").await?;
    w.access_is(&ewa, true, SOON).await?;
    // An extension that has not outlasted what it extends is not extended itself.
    ewa.apply(&extends(w, role, "ewa-further", "30m", "ewa-more").await?).await?.success()?;
    refused(w, "ewa-further", "Invalid", "NothingToExtend", "request ewa-more extends request ewa-first until").await?;
    decide(w, &carol, "ewa-first", "Revoke").await?;
    w.state_is("ewa-first", "Revoked").await?;
    refused(w, "ewa-more", "Revoked", "ParentEnded", "request ewa-first, which this one extends, ended (RevokedByApprover)").await?;
    w.access_is(&ewa, false, SOON).await?;
    // One that ends by itself leaves what it extends alone, which may be extended again; one that waits ends with what it extends.
    active(w, &ewa, &of(role, "ewa-again", "1h"), "ewa-again").await?;
    let more = extends(w, role, "ewa-given-back", "30m", "ewa-again").await?;
    active(w, &ewa, &more, "ewa-given-back").await?;
    decide(w, &ewa, "ewa-given-back", "Revoke").await?;
    w.state_is("ewa-given-back", "Revoked").await?;
    w.access_is(&ewa, true, SOON).await?;
    ewa.apply(&of(role, "ewa-beside", "1h")).await?.success()?;
    refused(w, "ewa-beside", "Denied", "LimitReached", "allows 1 active request at a time").await?;
    let more = extends(w, role, "ewa-once-more", "30m", "ewa-again").await?;
    active(w, &ewa, &more, "ewa-once-more").await?;
    decide(w, &ewa, "ewa-once-more", "Revoke").await?;
    w.state_is("ewa-once-more", "Revoked").await?;
    ewa.apply(&extends(w, role, "ewa-waits", "30m", "ewa-again").await?).await?.success()?;
    w.state_is("ewa-waits", "AwaitingApproval").await?;
    ewa.api(&["delete", "areq", "-n", "payments", "ewa-again"]).await?.success()?;
    refused(w, "ewa-waits", "Denied", "ParentEnded", "request ewa-again, which this one extends, was deleted").await?;
    w.access_is(&ewa, false, SOON).await
}

#[tokio::test]
async fn an_extension_is_refused_by_rule_value_and_limit() -> Result<()> {
    let w = with_operator().await?;
    let (elif, enno) = (w.cp.user("elif@example.com", &["payments-devs"])?, w.cp.user("enno@example.com", &["payments-devs"])?);
    let role = "extendable-little";
    extendable(w, role, "2h", "90m").await?;
    active(w, &elif, &of(role, "elif-first", "1h"), "elif-first").await?;
    let more = async |name: &str, duration: &str| extends(w, role, name, duration, "elif-first").await;
    template(w, "unextendable", &[]).await?;
    ready(w, &["rtpl", "-n", "payments", "unextendable"], "True").await?;
    w.answers_in_force().await?;
    // At apply time: what needs nothing but the request and its role.
    let later = more("elif-later", "10m").await?.replace("duration:", "startTime: '2030-01-01T00:00:00Z', duration:");
    for args in [&["apply", "-f", "-"][..], &["apply", "--dry-run=server", "-f", "-"]] {
        let told = elif.api_stdin(args, &later).await?.refused()?;
        ensure!(told.contains("leave out startTime"), "{told}");
        let told = elif
            .api_stdin(args, &of("unextendable", "elif-none", "10m").replace("duration:", "extends: {name: other, uid: u1}, duration:"))
            .await?
            .refused()?;
        ensure!(told.contains("'curfew-answers'") && told.contains("role unextendable cannot be extended"), "{told}");
        let told = elif.api_stdin(args, &more("elif-long", "150m").await?).await?.refused()?;
        ensure!(
            told.contains("'curfew-answers'") && told.contains("asked for 150m, but role extendable-little allows 2h in all"),
            "{told}"
        );
        let told = elif
            .api_stdin(args, &of(role, "elif-odd", "10m").replace("duration:", "extends: {name: elif-first}, duration:"))
            .await?
            .refused()?;
        ensure!(told.contains("spec.extends.uid"), "{told}");
        let told = elif.api_stdin(args, &of(role, "elif-all-day", "100m")).await?.refused()?;
        ensure!(told.contains("'curfew-answers'") && told.contains("role extendable-little allows 90m per day"), "{told}");
    }
    for (name, yaml, state, reason, words) in [
        (
            "elif-chain",
            more("elif-chain", "90m").await?,
            "Denied",
            "OverMaximum",
            "but role extendable-little (activation.extension) allows at most 2h",
        ),
        (
            "elif-day",
            more("elif-day", "50m").await?,
            "Denied",
            "OverMaximum",
            " of 24 hours, and role extendable-little (activation.extension) allows at most 90m per day",
        ),
        (
            "elif-nothing",
            of(role, "elif-nothing", "10m").replace("duration:", "extends: {name: nowhere, uid: u}, duration:"),
            "Invalid",
            "NothingToExtend",
            "request nowhere with uid u does not exist",
        ),
        (
            "elif-other",
            of(role, "elif-other", "10m").replace("duration:", "extends: {name: elif-first, uid: u}, duration:"),
            "Invalid",
            "NothingToExtend",
            "request elif-first with uid u does not exist",
        ),
    ] {
        elif.apply(&yaml).await?.success()?;
        refused(w, name, state, reason, words).await?;
    }
    // A new request after the end counts with what was held, and so does one of another login of the same person.
    let start = Clock::default().now().plus_secs(7_200).floor_secs();
    for (who, name) in [(&elif, "elif-again"), (&w.cp.user("Elif@example.com", &["payments-devs"])?, "elif-other-login")] {
        who.apply(&of(role, name, "50m").replace("duration:", &format!("startTime: '{start}', duration:"))).await?.success()?;
        let words = "per day, new requests included; a new request for 50m is possible from";
        refused(w, name, "Denied", "OverMaximum", words).await?;
    }
    enno.apply(&of(role, "enno-own", "50m").replace("duration:", &format!("startTime: '{start}', duration:"))).await?.success()?;
    w.state_is("enno-own", "AwaitingApproval").await?;
    enno.apply(&more("enno-more", "10m").await?).await?.success()?;
    refused(w, "enno-more", "Invalid", "NothingToExtend", "gives access to user elif@example.com, and not to user enno@example.com")
        .await?;
    // A role that allows less ends what waits, and not what is active.
    active(w, &elif, &more("elif-more", "10m").await?, "elif-more").await?;
    let none = json!({"spec": {"activation": {"extension": {"none": {}, "atMost": null}}}}).to_string();
    w.admin()?.api(&["patch", "rtpl", "-n", "payments", role, "--type=merge", "-p", &none]).await?.success()?;
    ready(w, &["rtpl", "-n", "payments", role], "True").await?;
    w.state_is("elif-more", "Active").await?;
    w.access_is(&elif, true, SOON).await
}

/// The names of the slots that exist.
async fn slots(w: &World) -> Result<BTreeSet<String>> {
    let names = w.field(&["lease", "-n", "curfew-system"], "{.items[*].metadata.name}").await?;
    Ok(names.split(' ').filter(|name| name.starts_with("curfew-slot-")).map(str::to_owned).collect())
}

/// The operator is killed when the extension has taken over the slots and nothing of that is stored, and the next one when both are active.
/// The access is there all the time, and nobody else gets the only place until both have ended.
#[tokio::test]
async fn an_operator_that_dies_while_an_extension_takes_over_leaves_no_gap() -> Result<()> {
    let (w, first) = World::running("extension").await?;
    let (alice, bob) = (w.alice()?, w.cp.user("bob@example.com", &["payments-devs"])?);
    w.unapproved_role().await?;
    let rules = json!({"spec": {"activation": {"extension": {"atMost": {"chain": "1h", "perDay": "12h"}},
        "limits": {"none": null, "atMost": {"active": 1, "perSubject": 1}}}}});
    w.admin()?.api(&["patch", "rtpl", "-n", "payments", "unapproved", "--type=merge", "-p", &rules.to_string()]).await?.success()?;
    // With those of the policy, an extension holds a slot of every limit that it can count towards.
    let limits = r#"{"spec": {"limits": {"atMost": {"active": 1, "perSubject": 1}}}}"#;
    w.admin()?.api(&["patch", "apol", "unapproved", "--type=merge", "-p", limits]).await?.success()?;
    w.field_is(&["apol", "unapproved"], "{.status.display.limits}", "1 active, 1 per subject").await?;
    ready(&w, &["rtpl", "-n", "payments", "unapproved"], "True").await?;
    alice.apply(&of("unapproved", "before", "60s")).await?.success()?;
    w.state_is("before", "Active").await?;
    w.access_is(&alice, true, SOON).await?;
    let old = time(&w, "before", "{.status.expiresAt}").await?;
    let lease = ["delete", "lease", "-n", "curfew-system", "curfew-operator"];
    first.kill();
    w.admin()?.api(&lease).await?.success()?;
    let victim = w.operator_with("victim", &[("CURFEW_PARK_AT", "after:TakeOverSlot")]).await?;
    w.granting().await?;
    alice.apply(&extends(&w, "unapproved", "after", "20s", "before").await?).await?.success()?;
    eventually("the operator to be parked with a slot", SOON, || async { Ok(victim.is_stopped().then_some(())) }).await?;
    victim.kill();
    w.admin()?.api(&lease).await?.success()?;
    let heir = w.operator("heir").await?;
    w.state_is("after", "Active").await?;
    ensure!(slots(&w).await?.len() == 5, "one of the role, the policy, and each of alice, and one of the extension");
    let stored = w.field(&["areq", "-n", "payments", "after"], "{.status.slots[*]}").await?;
    ensure!(stored.split(' ').count() == 5, "{stored}");
    bob.apply(&of("unapproved", "behind", "1h")).await?.success()?;
    refused(
        &w,
        "behind",
        "Denied",
        "LimitReached",
        "role unapproved allows 1 active request at a time (activation.limits), held by after;",
    )
    .await?;
    heir.kill();
    w.admin()?.api(&lease).await?.success()?;
    let _last = w.operator("last").await?;
    ensure!(Clock::default().now() < old, "the machine took longer than the first access lasts");
    w.access_stays(&alice, &alice.name, true, until(old.plus_secs(3))).await?;
    w.state_is("before", "Expired").await?;
    bob.apply(&of("unapproved", "behind-both", "1h")).await?.success()?;
    refused(&w, "behind-both", "Denied", "LimitReached", "held by after;").await?;
    w.access_stays(&alice, &alice.name, true, until(old.plus_secs(18))).await?;
    w.access_is(&alice, false, SOON).await?;
    w.state_is("after", "Expired").await?;
    eventually("no slots after both have ended", SOON, || async {
        let left = slots(&w).await?;
        if left.is_empty() { Ok(Some(())) } else { bail!("{left:?}") }
    })
    .await?;
    bob.apply(&of("unapproved", "next", "1h")).await?.success()?;
    w.state_is("next", "Active").await
}
