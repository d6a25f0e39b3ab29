//! Eligibility that a person asks for, and standing access that is extended and given up: who may ask, who approves, what is created, and what
//! access rests on it.
use super::{
    assignment_requests::{
        DAY, NAMESPACE, activates, asks, counted, decide, ends, in_secs, installed, person, reading_is, ready_told, state_is, until,
    },
    plugin::curfew,
};
use crate::attacks::resisted;
use anyhow::{Result, ensure};
use curfew::authority::Clock;
use curfew_core::time::Time;
use curfew_testkit::{Operator, SOON, User, World, eventually};

/// A request for an assignment of this name that does not exist yet.
fn asks_for(name: &str, assignment: &str, role: &str, subject: &str, more: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AssignmentRequest, metadata: {{name: {name}, namespace: {NAMESPACE}}}, spec: {{justification: \
         on call, action: {{new: {{name: {assignment}, roleRef: {{name: {role}}}, subject: {subject}, scope: {{all: {{}}}}{more}}}}}}}}}"
    )
}

const NORA: &str = "{user: nora@example.com}";

#[tokio::test]
async fn eligibility_is_asked_for_approved_used_and_given_up() -> Result<()> {
    let w = installed().await?;
    // She is one of the approvers, too, and not in her own matter.
    let (nora, lena) = (person(w, "nora", &["asreq-leads"])?, person(w, "lena", &["asreq-leads"])?);
    activates(w, &nora, "nora-not-yet", "10m", "Denied", "NotEligible").await?;
    let stan = person(w, "stan", &[])?;
    let over = standing_is_extended(w, &stan, &lena).await?;
    let end = in_secs(DAY).to_string();
    let ask = [
        "assignment",
        "new",
        "asreq",
        "-n",
        NAMESPACE,
        "--until",
        &end,
        "-j",
        "on call",
        "--assignment",
        "nora",
        "--name",
        "nora-asks",
        "--timeout",
        "90s",
    ];
    let answer = async {
        state_is(w, "nora-asks", "AwaitingApproval").await?;
        let queue = curfew(&lena, &["list", "--waiting-for-me", "-n", NAMESPACE]).await?.success()?;
        let digest = w.field(&["asreq", "-n", NAMESPACE, "nora-asks"], "{.status.digest}").await?;
        ensure!(queue.contains(&format!("asreq/nora-asks -n {NAMESPACE} --digest {digest}")) && queue.contains("new"), "{queue}");
        decide(w, &nora, "nora-asks", "Approve").await?;
        let judged = counted(w, &nora, "nora-asks", "SelfDecision").await;
        resisted(judged.is_ok(), &format!("Nora approves her own assignment: {judged:?}"))?;
        let none = nora.kubectl(&["get", "eas", "-n", NAMESPACE, "nora"]).await?.refused()?;
        ensure!(none.contains("NotFound"), "something is created before the approval: {none}");
        curfew(&lena, &["approve", "asreq/nora-asks", "-n", NAMESPACE, "--digest", &digest]).await?.success()
    };
    let (asked, approved) = tokio::join!(curfew(&nora, &ask), answer);
    ensure!(approved?.contains("counts as an approval"));
    let asked = asked?;
    ensure!(asked.ok && asked.stderr.contains("Applied: assignment nora makes user nora@example.com eligible from"), "{asked:?}");
    let made = ["eas", "-n", NAMESPACE, "nora"];
    w.field_is(&made, ready_told(), "True: makes eligible").await?;
    ensure!(w.field(&made, "{.spec.requestedBy.name} {.spec.window.between.end}").await? == format!("nora-asks {end}"));
    let list = curfew(&nora, &["list", "--eligible", "-n", NAMESPACE, "-o", "wide"]).await?.success()?;
    ensure!(list.contains("nora") && list.contains(&end), "{list}");
    activates(w, &nora, "nora-works", "30m", "Active", "").await?;
    reading_is(&nora, true).await?;

    refused(w, &nora).await?;
    by_a_manager(w, &lena).await?;
    edited_or_unproven(w, &nora).await?;
    // Given up, it ends, also without a proof.
    nora.apply(&asks(w, "nora-leaves", "remove", "nora", "").await?).await?.success()?;
    state_is(w, "nora-leaves", "Applied").await?;
    reading_is(&nora, false).await?;
    w.field_is(&["areq", "-n", NAMESPACE, "nora-works"], "{.status.state}: {.status.reason}", "Revoked: OutsideWindow").await?;
    standing_is_given_up(w, &stan, over).await
}

/// What may not be asked for ends with rule, value and limit, and what may not be written is refused at once.
async fn refused(w: &World, nora: &User) -> Result<()> {
    let more = until(DAY);
    let frank = person(w, "frank", &[])?;
    let cases = [
        (nora, "nora", "asreq", NORA, more.clone(), "Invalid", "AlreadyExists: there is an EligibleAssignment nora already"),
        (&frank, "new-1", "asreq", NORA, more.clone(), "Denied", "NotEntitled: frank@example.com cannot ask for assignment new-1"),
        (nora, "new-2", "asreq", "{group: asreq-leads}", more.clone(), "Denied", "NotEntitled"),
        (nora, "new-3", "as-it-is", NORA, more.clone(), "Invalid", "NobodyCanApprove: role as-it-is does not say who approves"),
        (nora, "new-4", "asreq", NORA, until(61 * DAY), "Invalid", "OutsidePolicy: assignment new-4 is longer than the"),
        (nora, "new-5", "asreq", NORA, until(240), "Denied", "at least 5m must be left of it"),
        (nora, "new-6", "asreq", NORA, format!(", start: '{}'{more}", in_secs(-60)), "Denied", "before the request was made"),
        (nora, "new-7", "nothing", NORA, more.clone(), "Invalid", "NoSuchRole"),
    ];
    for (i, (who, assignment, role, subject, more, state, words)) in cases.into_iter().enumerate() {
        let name = format!("new-refused-{i}");
        who.apply(&asks_for(&name, assignment, role, subject, &more)).await?.success()?;
        let judged = ends(w, &name, state, words).await;
        resisted(judged.is_ok(), &format!("{} asks for assignment {assignment}: {judged:?}", who.name))?;
    }
    let reserved = asks_for("reserved", "reserved", "asreq", "{group: 'system:masters'}", &more);
    let told = nora.create(&reserved).await?.refused()?;
    ensure!(told.contains("reserved for Kubernetes"), "{told}");
    let short = format!(", start: '{}', until: '{}'", in_secs(3600), in_secs(3700));
    let told = nora.create(&asks_for("short", "short", "asreq", NORA, &short)).await?.refused()?;
    ensure!(told.contains("an assignment lasts at least 5m"), "{told}");
    // The mark belongs to the operator, also for who may write assignments.
    let mark = format!("requestedBy: {{name: nora-asks, uid: x, digest: '{}'}}", "0".repeat(64));
    let forged = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: EligibleAssignment, metadata: {{name: forged, namespace: {NAMESPACE}}}, spec: {{roleRef: \
         {{name: asreq}}, subject: {NORA}, scope: {{all: {{}}}}, window: {{permanent: {{}}}}, {mark}}}}}"
    );
    let told = w.admin()?.create(&forged).await?.refused()?;
    resisted(told.contains("requestedBy is set by the operator alone"), &format!("a forged mark: {told}"))
}

/// A manager asks for a group; its members do not approve, and then they may use the role.
async fn by_a_manager(w: &World, lena: &User) -> Result<()> {
    let max = w.cp.user("max@example.com", &["asreq-leads"])?;
    let member = person(w, "greta", &["asreq-new"])?;
    activates(w, &member, "member-not-yet", "10m", "Denied", "NotEligible").await?;
    max.apply(&asks_for("for-new", "for-new", "asreq", "{group: asreq-new}", &until(DAY))).await?.success()?;
    state_is(w, "for-new", "AwaitingApproval").await?;
    for who in [&max, &member] {
        decide(w, who, "for-new", "Approve").await?;
        let judged = counted(w, who, "for-new", "SelfDecision").await;
        resisted(judged.is_ok(), &format!("{} approves a new assignment that concerns them: {judged:?}", who.name))?;
    }
    decide(w, lena, "for-new", "Approve").await?;
    state_is(w, "for-new", "Applied").await?;
    activates(w, &member, "member-works", "10m", "Active", "").await?;
    reading_is(&member, true).await
}

/// What was approved is exactly what the assignment says, and only as long as the request exists. What is active goes on.
async fn edited_or_unproven(w: &World, nora: &User) -> Result<()> {
    let (admin, made) = (w.admin()?, ["eas", "-n", NAMESPACE, "nora"]);
    let end = w.field(&made, "{.spec.window.between.end}").await?;
    let lasts = async |until: &str| {
        let patch = format!("{{\"spec\": {{\"window\": {{\"between\": {{\"end\": \"{until}\"}}}}}}}}");
        admin.api(&["patch", "eas", "-n", NAMESPACE, "nora", "--type=merge", "-p", &patch]).await?.success().map(drop)
    };
    lasts(&in_secs(2 * DAY).to_string()).await?;
    let is =
        "False: assignment nora makes nobody eligible: AssignmentRequest nora-asks, which asked for it, was not applied with that subject";
    w.field_fits(&made, ready_told(), &format!("to be {is}"), SOON, |now| now.starts_with(is)).await?;
    activates(w, nora, "nora-longer", "10m", "Denied", "NotEligible: assignment nora makes nobody eligible").await?;
    lasts(&end).await?;
    w.field_is(&made, ready_told(), "True: makes eligible").await?;
    activates(w, nora, "nora-again", "1m", "Active", "").await?;

    nora.api(&["delete", "asreq", "-n", NAMESPACE, "nora-asks"]).await?.success()?;
    let judged = activates(w, nora, "nora-unproven", "10m", "Denied", "NotEligible: assignment nora makes nobody eligible").await;
    resisted(judged.is_ok(), &format!("an assignment that no AssignmentRequest proves: {judged:?}"))?;
    ensure!(nora.can_read_secret(NAMESPACE, "db").await?, "what is active rests on what was proven when it began");
    w.field_fits(&made, ready_told(), "to name the request", SOON, |now| {
        now.starts_with("False: ") && now.contains("nora-asks, which asked for it, does not exist any more")
    })
    .await?;
    let told = curfew(nora, &["explain", "asreq", "-n", NAMESPACE, "--duration", "10m"]).await?;
    ensure!(told.stdout.contains("nora-asks, which asked for it, does not exist any more"), "{told:?}");
    Ok(())
}

/// The uid of an ActiveAssignment, as a request names it.
async fn standing(w: &World, name: &str, action: &str, more: &str) -> Result<String> {
    let uid = w.field(&["aas", "-n", NAMESPACE, "stan"], "{.metadata.uid}").await?;
    Ok(format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AssignmentRequest, metadata: {{name: {name}, namespace: {NAMESPACE}}}, spec: {{justification: \
         on call, action: {{{action}: {{assignment: {{kind: ActiveAssignment, name: stan, uid: {uid}}}{more}}}}}}}}}"
    ))
}

/// Standing access that is about to end, and is extended in time. Returns when it would have ended.
async fn standing_is_extended(w: &World, stan: &User, lena: &User) -> Result<Time> {
    let (over, end) = (in_secs(25), in_secs(7200));
    let yaml = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: ActiveAssignment, metadata: {{name: stan, namespace: {NAMESPACE}}}, spec: {{roleRef: {{name: \
         asreq}}, subject: {{user: stan@example.com}}, scope: {{all: {{}}}}, window: {{between: {{start: '{}', end: '{over}'}}}}, \
         justification: on-call rotation}}}}",
        in_secs(-3600)
    );
    w.admin()?.apply(&yaml).await?.success()?;
    stan.apply(&standing(w, "stan-longer", "extend", &format!(", until: '{end}'")).await?).await?.success()?;
    state_is(w, "stan-longer", "AwaitingApproval").await?;
    decide(w, lena, "stan-longer", "Approve").await?;
    state_is(w, "stan-longer", "Applied").await?;
    w.field_is(&["aas", "-n", NAMESPACE, "stan"], "{.status.display.ends}", &end.to_string()).await?;
    reading_is(stan, true).await?;
    Ok(over)
}

/// It lasts beyond its first end; without its request nothing begins by the wider window; and it ends when it is given up.
async fn standing_is_given_up(w: &World, stan: &User, over: Time) -> Result<()> {
    let clock = Clock::default();
    eventually("the first end of the standing access to pass", SOON, || async { Ok((clock.now() > over.plus_secs(1)).then_some(())) })
        .await?;
    ensure!(stan.can_read_secret(NAMESPACE, "db").await?, "extended standing access ended at its first end");
    let frank = person(w, "frank", &[])?;
    frank.apply(&standing(w, "not-stans", "remove", "").await?).await?.success()?;
    ends(w, "not-stans", "Denied", "NotEntitled").await?;
    stan.api(&["delete", "asreq", "-n", NAMESPACE, "stan-longer"]).await?.success()?;
    let told = "does not count, because AssignmentRequest stan-longer does not exist any more";
    w.field_fits(&["aas", "-n", NAMESPACE, "stan"], ready_told(), told, SOON, |now| now.starts_with("False: ") && now.contains(told))
        .await?;
    ensure!(stan.can_read_secret(NAMESPACE, "db").await?, "what is active rests on what was proven when it began");
    let gone = curfew(stan, &["assignment", "remove", "stan", "--active", "-n", NAMESPACE, "-j", "left the team"]).await?;
    ensure!(gone.ok && gone.stderr.contains("it gives user stan@example.com no access any more"), "{gone:?}");
    reading_is(stan, false).await?;
    w.field_is(&["aas", "-n", NAMESPACE, "stan"], "{.status.conditions[?(@.type==\"Expired\")].status}", "True").await
}

/// The leader dies after it has created what was approved, and before it has stored that: the next one finds it and creates nothing twice.
/// `park` is where the leader stops.
pub async fn survives_a_crash(w: &World, leader: Operator) -> Result<()> {
    let (admin, erin, carol) = (w.admin()?, w.cp.user("erin@example.com", &[])?, w.carol()?);
    let approval = "{\"spec\": {\"assignment\": {\"approval\": {\"stages\": [{\"name\": \"owners\", \"approvers\": [{\"user\": \
                    \"carol@example.com\"}], \"quorum\": 1}]}}}}";
    admin.api(&["patch", "rtpl", "-n", "payments", "kept", "--type=merge", "-p", approval]).await?.success()?;
    let asked = asks_for("crash", "crash", "kept", "{user: erin@example.com}", &until(DAY)).replace(NAMESPACE, "payments");
    erin.create(&asked).await?.success()?;
    let request = ["asreq", "-n", "payments", "crash"];
    w.field_is(&request, "{.status.state}", "AwaitingApproval").await?;
    let digest = w.field(&request, "{.status.digest}").await?;
    let approved = curfew(&carol, &["approve", "asreq/crash", "-n", "payments", "--digest", &digest, "--timeout", "1s"]).await?;
    ensure!(approved.stdout.contains("created"), "{approved:?}");
    eventually("the leader to be parked after the creation", SOON, || async { Ok(leader.is_stopped().then_some(())) }).await?;
    let made = ["eas", "-n", "payments", "crash"];
    let uid = w.field(&made, "{.metadata.uid}").await?;
    ensure!(!uid.is_empty() && w.field(&request, "{.status.state}").await? == "AwaitingApproval");
    drop(leader);
    let _next = w.operator("next").await?;
    w.field_is(&request, "{.status.state}", "Applied").await?;
    ensure!(w.field(&made, "{.metadata.uid} {.spec.requestedBy.name}").await? == format!("{uid} crash"), "it was created again");
    w.field_is(&made, "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
    ensure!(w.field(&request, "{.status.assignmentUid}").await? == uid);
    comes_late(w, &made, &uid).await
}

/// The leader's creation arrives once more, after the assignment was created and deleted: what it makes is not proven.
async fn comes_late(w: &World, made: &[&str], uid: &str) -> Result<()> {
    let (admin, operator) = (w.admin()?, w.cp.service_account("curfew-system", "curfew-operator").await?);
    let json = admin.kubectl(&[&["get"], made, &["-o", "json"]].concat()).await?.success()?;
    let mut late: serde_json::Value = serde_json::from_str(&json)?;
    let metadata = late["metadata"].take();
    late["metadata"] = serde_json::json!({"name": metadata["name"], "namespace": metadata["namespace"]});
    admin.api(&[&["delete"], made].concat()).await?.success()?;
    operator.create(&late.to_string()).await?.success()?;
    ensure!(w.field(made, "{.metadata.uid}").await? != uid);
    let told = "AssignmentRequest crash, which asked for it, was applied by another assignment of that name, which was deleted since";
    let judged = w.field_fits(made, ready_told(), told, SOON, |now| now.starts_with("False: ") && now.contains(told)).await;
    resisted(judged.is_ok(), &format!("an assignment that is created once more: {judged:?}"))
}
