//! Limits of a role: no more than so many at a time, however many ask at once, and also where an operator dies.
use super::{
    decide,
    refusals::{of, ready, refused, template},
    standing,
};
use anyhow::{Context, Result, bail, ensure};
use curfew_testkit::{Operator, SOON, User, World, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Sets the limits of a role; `None` takes them away.
async fn limit(w: &World, role: &str, limits: Option<(u16, u16)>) -> Result<()> {
    let limits = match limits {
        Some((active, per_subject)) => json!({"none": null, "atMost": {"active": active, "perSubject": per_subject}}),
        None => json!({"none": {}, "atMost": null}),
    };
    let patch = json!({"spec": {"activation": {"limits": limits}}}).to_string();
    w.admin()?.api(&["patch", "rtpl", "-n", "payments", role, "--type=merge", "-p", &patch]).await?.success()?;
    ready(w, &["rtpl", "-n", "payments", role], "True").await
}

/// The names of the slots that exist.
async fn slots(w: &World) -> Result<BTreeSet<String>> {
    let names = w.field(&["lease", "-n", "curfew-system"], "{.items[*].metadata.name}").await?;
    Ok(names.split(' ').filter(|name| name.starts_with("curfew-slot-")).map(str::to_owned).collect())
}

async fn no_slots(w: &World, when: &str) -> Result<()> {
    eventually(&format!("no slots {when}"), SOON, || async {
        let left = slots(w).await?;
        if left.is_empty() { Ok(Some(())) } else { bail!("{left:?}") }
    })
    .await
}

#[tokio::test]
async fn limits_hold_for_many_at_once_and_where_an_operator_dies() -> Result<()> {
    let (w, operator) = World::running("limits").await?;
    w.unapproved_role().await?;
    each_end_makes_room(&w).await?;
    one_subject_has_one(&w).await?;
    what_waits_holds_nothing(&w).await?;
    what_was_active_before_counts(&w).await?;
    a_policy_limits_all_its_roles(&w).await?;
    standing_access_is_not_counted(&w).await?;
    let second = w.operator("second").await?;
    fifty_at_once(&w).await?;
    second.kill();
    killed_between_slot_and_status(&w, operator).await
}

/// Given back, denied, expired, never begun, deleted while scheduled: after each the next one gets it.
async fn each_end_makes_room(w: &World) -> Result<()> {
    let (alice, bob) = (w.alice()?, w.cp.user("bob@example.com", &["payments-devs"])?);
    limit(w, "unapproved", Some((1, 1))).await?;
    let late = curfew::authority::Clock::default().now().floor_secs().plus_secs(3600);
    let ends: [(&str, String); 4] = [
        ("given-back", of("unapproved", "given-back", "1h")),
        ("expires", of("unapproved", "expires", "8s")),
        ("deleted", of("unapproved", "deleted", "1h")),
        ("scheduled", of("unapproved", "scheduled", "1h").replace("duration:", &format!("startTime: '{late}', duration:"))),
    ];
    for (name, yaml) in ends {
        alice.apply(&yaml).await?.success()?;
        w.state_is(name, if name == "scheduled" { "Scheduled" } else { "Active" }).await?;
        ensure!(slots(w).await?.len() == 2, "one slot of the role, and one of alice");
        let other = format!("next-to-{name}");
        bob.apply(&of("unapproved", &other, "1h")).await?.success()?;
        let words = format!("role unapproved allows 1 active request at a time (activation.limits), held by {name};");
        refused(w, &other, "Denied", "LimitReached", &words).await?;
        ensure!(!bob.can_read_secret("payments", "db").await?);
        match name {
            "given-back" => decide(w, &alice, name, "Revoke").await?,
            "expires" => {}
            _ => alice.api(&["delete", "areq", "-n", "payments", name]).await?.success().map(drop)?,
        }
        match name {
            "given-back" => w.state_is(name, "Revoked").await?,
            "expires" => w.state_is(name, "Expired").await?,
            // Its access must be gone first: until then it counts.
            _ => w.access_is(&alice, false, SOON).await?,
        }
        let after = format!("after-{name}");
        gets_it(w, &bob, &after).await?;
        w.access_is(&bob, true, SOON).await?;
        bob.api(&["delete", "areq", "-n", "payments", &after]).await?.success()?;
        w.access_is(&bob, false, SOON).await?;
        no_slots(w, &format!("after {name}")).await?;
    }
    Ok(())
}

/// Asks until the access is there: one that was deleted counts until its Grant has ended.
async fn gets_it(w: &World, who: &User, name: &str) -> Result<()> {
    eventually(&format!("{name} to get the slot that is free"), SOON, || async {
        who.apply(&of("unapproved", name, "1h")).await?.success()?;
        let over = |state: &str| ["Active", "Denied"].contains(&state);
        let asked = ["areq", "-n", "payments", name];
        w.field_fits(&asked, "{.status.state}", "to be judged", SOON, over).await?;
        if w.field(&asked, "{.status.state}").await? == "Active" {
            return Ok(Some(()));
        }
        let told = w.field(&asked, "{.status.message}").await?;
        who.api(&["delete", "areq", "-n", "payments", name]).await?.success()?;
        bail!("{told}")
    })
    .await
}

async fn one_subject_has_one(w: &World) -> Result<()> {
    let (alice, bob) = (w.alice()?, w.cp.user("bob@example.com", &["payments-devs"])?);
    limit(w, "unapproved", Some((5, 1))).await?;
    alice.apply(&of("unapproved", "hers", "1h")).await?.success()?;
    w.state_is("hers", "Active").await?;
    alice.apply(&of("unapproved", "hers-again", "1h")).await?.success()?;
    let words = "role unapproved for alice@example.com allows 1 active request at a time (activation.limits), held by hers;";
    refused(w, "hers-again", "Denied", "LimitReached", words).await?;
    bob.apply(&of("unapproved", "his", "1h")).await?.success()?;
    w.state_is("his", "Active").await?;
    for (who, name) in [(&alice, "hers"), (&bob, "his")] {
        who.api(&["delete", "areq", "-n", "payments", name]).await?.success()?;
        w.access_is(who, false, SOON).await?;
    }
    no_slots(w, "after both are gone").await
}

/// Requests that wait for approval keep nobody out. Where the limit is reached already, no approver is asked.
async fn what_waits_holds_nothing(w: &World) -> Result<()> {
    let (alice, bob, carol) = (w.alice()?, w.cp.user("bob@example.com", &["payments-devs"])?, w.carol()?);
    template(w, "approved", &[]).await?;
    limit(w, "approved", Some((1, 1))).await?;
    for (who, name) in [(&alice, "waits-first"), (&bob, "waits-second")] {
        who.apply(&of("approved", name, "1h")).await?.success()?;
        w.state_is(name, "AwaitingApproval").await?;
    }
    ensure!(slots(w).await?.is_empty(), "what waits holds a slot");
    decide(w, &carol, "waits-second", "Approve").await?;
    w.state_is("waits-second", "Active").await?;
    decide(w, &carol, "waits-first", "Approve").await?;
    refused(w, "waits-first", "Denied", "LimitReached", "held by waits-second;").await?;
    alice.apply(&of("approved", "asks-in-vain", "1h")).await?.success()?;
    // The request that was denied a moment ago may still have the slot of alice; it holds nothing, and is not named.
    refused(w, "asks-in-vain", "Denied", "LimitReached", "held by waits-second;").await?;
    let asked = w.field(&["areq", "-n", "payments", "asks-in-vain"], "{.status.approval.acceptedAt}").await?;
    ensure!(asked.is_empty(), "approvers were asked for what could not be granted: accepted at {asked}");
    // A lower limit, or none, ends nothing.
    limit(w, "approved", None).await?;
    ensure!(bob.can_read_secret("payments", "db").await?);
    bob.api(&["delete", "areq", "-n", "payments", "waits-second"]).await?.success()?;
    w.access_is(&bob, false, SOON).await?;
    no_slots(w, "after it is gone").await
}

/// What was granted before the role had a limit counts towards it, and so does what has lost its slots.
async fn what_was_active_before_counts(w: &World) -> Result<()> {
    let (alice, bob) = (w.alice()?, w.cp.user("bob@example.com", &["payments-devs"])?);
    limit(w, "unapproved", None).await?;
    alice.apply(&of("unapproved", "before", "1h")).await?.success()?;
    w.state_is("before", "Active").await?;
    limit(w, "unapproved", Some((1, 1))).await?;
    bob.apply(&of("unapproved", "behind", "1h")).await?.success()?;
    refused(w, "behind", "Denied", "LimitReached", "held by 1 other active request;").await?;
    ensure!(alice.can_read_secret("payments", "db").await?, "a limit ends what is active");
    alice.api(&["delete", "areq", "-n", "payments", "before"]).await?.success()?;
    w.access_is(&alice, false, SOON).await?;
    alice.apply(&of("unapproved", "slotless", "1h")).await?.success()?;
    w.state_is("slotless", "Active").await?;
    let cleaner = w.cp.user("system:serviceaccount:kube-system:namespace-controller", &[])?;
    for slot in slots(w).await? {
        cleaner.api(&["delete", "lease", "-n", "curfew-system", &slot]).await?.success()?;
    }
    bob.apply(&of("unapproved", "behind-slotless", "1h")).await?.success()?;
    refused(w, "behind-slotless", "Denied", "LimitReached", "held by 1 other active request;").await?;
    alice.api(&["delete", "areq", "-n", "payments", "slotless"]).await?.success()?;
    w.access_is(&alice, false, SOON).await
}

/// The policy that allows both roles counts them together, and each beneficiary once; what was active before it had a limit counts.
async fn a_policy_limits_all_its_roles(w: &World) -> Result<()> {
    let (alice, bob) = (w.alice()?, w.cp.user("bob@example.com", &["payments-devs"])?);
    limit(w, "unapproved", None).await?;
    let yaml = w.field(&["rtpl", "-n", "payments", "unapproved"], "{.spec}").await?;
    let spec: Value = serde_json::from_str(&yaml)?;
    let assigned = json!({"roleRef": {"name": "sibling"}, "subject": {"group": "payments-devs"}, "scope": {"all": {}},
        "window": {"permanent": {}}, "justification": "on-call rotation"});
    for (kind, spec) in [("RoleTemplate", spec), ("EligibleAssignment", assigned)] {
        let metadata = json!({"name": "sibling", "namespace": "payments"});
        let object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        w.admin()?.apply(&object.to_string()).await?.success()?;
    }
    ready(w, &["rtpl", "-n", "payments", "sibling"], "True").await?;
    alice.apply(&of("unapproved", "first-of-two", "1h")).await?.success()?;
    w.state_is("first-of-two", "Active").await?;
    let policy = w.field(&["areq", "-n", "payments", "first-of-two"], "{.status.resolved.policy.name}").await?;
    let limited = async |limits: Value, shown: &str| {
        let patch = json!({"spec": {"limits": limits}}).to_string();
        w.admin()?.api(&["patch", "apol", &policy, "--type=merge", "-p", &patch]).await?.success()?;
        w.field_is(&["apol", &policy], "{.status.display.limits}", shown).await
    };
    limited(json!({"atMost": {"active": 2, "perSubject": 1}}), "2 active, 1 per subject").await?;
    alice.apply(&of("sibling", "second-of-hers", "1h")).await?.success()?;
    let words =
        format!("policy {policy} for alice@example.com allows 1 active request at a time (spec.limits), held by 1 other active request;");
    refused(w, "second-of-hers", "Denied", "LimitReached", &words).await?;
    bob.apply(&of("sibling", "second-of-two", "1h")).await?.success()?;
    w.state_is("second-of-two", "Active").await?;
    let eve = w.cp.user("eve@example.com", &["payments-devs"])?;
    eve.apply(&of("sibling", "third-of-two", "1h")).await?.success()?;
    let words = format!("policy {policy} allows 2 active requests at a time (spec.limits), held by second-of-two and 1 more;");
    refused(w, "third-of-two", "Denied", "LimitReached", &words).await?;
    ensure!(!eve.can_read_secret("payments", "db").await?);
    for (who, name) in [(&alice, "first-of-two"), (&bob, "second-of-two")] {
        who.api(&["delete", "areq", "-n", "payments", name]).await?.success()?;
        w.access_is(who, false, SOON).await?;
    }
    no_slots(w, "after both have ended").await?;
    limited(Value::Null, "none").await
}

/// The limits are about what people request: access that a user has by an ActiveAssignment takes no place.
async fn standing_access_is_not_counted(w: &World) -> Result<()> {
    let (admin, stan, sten) = (w.admin()?, w.cp.user("stan@example.com", &[])?, w.cp.user("sten@example.com", &["payments-devs"])?);
    standing::offer(w).await?;
    limit(w, "standing", Some((1, 1))).await?;
    let policy = json!({"spec": {"limits": {"atMost": {"active": 1, "perSubject": 1}}}}).to_string();
    admin.api(&["patch", "apol", "standing", "--type=merge", "-p", &policy]).await?.success()?;
    admin.apply(&standing::assignment("uncounted", "standing", "user: stan@example.com", "permanent: {}")).await?.success()?;
    w.access_is(&stan, true, SOON).await?;
    let eligible = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": {"name": "sten", "namespace": "payments"},
        "spec": {"roleRef": {"name": "standing"}, "subject": {"user": "sten@example.com"}, "scope": {"all": {}}, "window": {"permanent": {}},
        "justification": "on-call rotation"}});
    admin.apply(&eligible.to_string()).await?.success()?;
    ready(w, &["eas", "-n", "payments", "sten"], "True").await?;
    sten.apply(&of("standing", "beside-standing", "1m")).await?.success()?;
    w.state_is("beside-standing", "Active").await?;
    ensure!(stan.can_read_secret("payments", "db").await? && sten.can_read_secret("payments", "db").await?);
    sten.api(&["delete", "areq", "-n", "payments", "beside-standing"]).await?.success()?;
    admin.api(&["delete", "aas", "-n", "payments", "uncounted"]).await?.success()?;
    w.access_is(&sten, false, SOON).await?;
    w.access_is(&stan, false, SOON).await?;
    no_slots(w, "after both are gone").await
}

/// Fifty requests of five people arrive at the same time, with two replicas, again and again: one of them gets it.
async fn fifty_at_once(w: &World) -> Result<()> {
    limit(w, "unapproved", Some((1, 1))).await?;
    let people: Vec<User> = (0..5).map(|n| w.cp.user(&format!("crowd-{n}@example.com"), &["payments-devs"])).collect::<Result<_>>()?;
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()));
    for round in 0..2u64 {
        println!("fifty at once: SEED={seed}, round {round}");
        let body = |n: u64| {
            json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": format!("crowd-{round}-{n}"), "namespace": "payments"},
                "spec": {"roleRef": {"name": "unapproved"}, "duration": "12s", "justification": "all at once"}})
        };
        // Who comes first differs with the seed.
        let of_person = |person: u64| (0..10u64).map(move |n| (n * 7 + seed.wrapping_mul(13) + round) % 10 + 10 * person);
        let floods = people.iter().zip(0u64..).map(|(who, person)| who.flood("payments", of_person(person).map(body), 10));
        let prefix = format!("crowd-{round}-");
        let watched = one_at_a_time(w, &prefix, 50);
        let (_, winners) = tokio::try_join!(futures::future::try_join_all(floods), watched)?;
        for winner in winners {
            w.state_is(&winner, "Expired").await.with_context(|| format!("SEED={seed}, round {round}"))?;
        }
        no_slots(w, "after the winner has ended").await?;
    }
    Ok(())
}

/// Waits until all requests with this prefix are judged: one was active, all others are denied, and at no time were there two. On a slow
/// machine the first may end before the last is judged, which then may be active after it. Returns those that were active.
async fn one_at_a_time(w: &World, prefix: &str, all: usize) -> Result<Vec<String>> {
    let state = |v: &Value| v["status"]["state"].as_str().unwrap_or_default().to_owned();
    let mut most = 0;
    let winners = w
        .until(&["areq", "-n", "payments"], "one to be active and all others to be denied", SOON * 8, |v| {
            let items = v["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let mine: Vec<&Value> =
                items.iter().filter(|item| item["metadata"]["name"].as_str().is_some_and(|n| n.starts_with(prefix))).collect();
            let holds = |item: &&&Value| ["Scheduled", "Activating", "Active", "Revoking"].contains(&state(item).as_str());
            most = most.max(mine.iter().filter(holds).count());
            let denied = mine.iter().filter(|item| item["status"]["reason"] == "LimitReached").count();
            let got = mine.iter().filter(|item| !item["status"]["activatedAt"].is_null());
            let got: Vec<String> = got.map(|item| item["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect();
            if !got.is_empty() && got.len() + denied == all {
                Ok(Some(got))
            } else {
                bail!("{} there, {denied} denied, {got:?} active", mine.len())
            }
        })
        .await?;
    ensure!(most == 1, "{most} held the role at one moment");
    Ok(winners)
}

/// The operator is killed when it has taken a slot and not stored that yet; the request is deleted. The next one gets the slot.
async fn killed_between_slot_and_status(w: &World, operator: Operator) -> Result<()> {
    let alice = w.alice()?;
    operator.kill();
    let lease = ["delete", "lease", "-n", "curfew-system", "curfew-operator"];
    w.admin()?.api(&lease).await?.success()?;
    let victim = w.operator_with("victim", &[("CURFEW_PARK_AT", "after:CreateSlot")]).await?;
    w.granting().await?;
    alice.apply(&of("unapproved", "orphaned", "1h")).await?.success()?;
    eventually("the operator to be parked with a slot", SOON, || async { Ok(victim.is_stopped().then_some(())) }).await?;
    ensure!(!slots(w).await?.is_empty(), "no slot was taken");
    victim.kill();
    alice.api(&["delete", "areq", "-n", "payments", "orphaned"]).await?.success()?;
    w.admin()?.api(&lease).await?.success()?;
    let _heir = w.operator("heir").await?;
    alice.apply(&of("unapproved", "inherits", "1h")).await?.success()?;
    w.field_is(&["areq", "-n", "payments", "inherits"], "{.status.state}", "Active").await?;
    w.access_is(&alice, true, SOON).await?;
    ensure!(slots(w).await?.len() == 2, "a slot is left behind");
    alice.api(&["delete", "areq", "-n", "payments", "inherits"]).await?.success()?;
    w.access_is(&alice, false, SOON).await?;
    no_slots(w, "after the sweep").await
}
