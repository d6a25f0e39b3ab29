//! Standing access: there within its window without a request, and only there.
use super::{decide, refusals::ready, scheduled::in_secs, until};
use crate::shared::with_operator;
use anyhow::{Context, Result, ensure};
use curfew::authority::Clock;
use curfew_core::time::Time;
use curfew_testkit::{Component, SOON, World, eventually, path, standing_role};

/// Who may have the standing access of these stories.
const ELIGIBLE: &str =
    "{group: standing-ops}, {user: stan@example.com}, {user: stella@example.com}, {user: sten@example.com}, {user: stig@example.com}";

/// The policy and the role.
fn offered() -> String {
    standing_role(ELIGIBLE, "5m")
}

pub async fn offer(w: &World) -> Result<()> {
    let applied = w.admin()?.apply(&offered()).await?;
    // Another test of the shared cluster may have created it at the same moment.
    if !applied.ok {
        w.admin()?.apply(&offered()).await?.success()?;
    }
    ready(w, &["rtpl", "-n", "payments", "standing"], "True").await
}

pub fn assignment(name: &str, role: &str, subject: &str, window: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: ActiveAssignment, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{roleRef: {{name: {role}}}, subject: {{{subject}}}, scope: {{all: {{}}}}, window: {{{window}}}, justification: on-call rotation}}}}"
    )
}

pub fn between(start: Time, end: Time) -> String {
    format!("between: {{start: '{start}', end: '{end}'}}")
}

fn condition(kind: &str) -> String {
    format!("{{.status.conditions[?(@.type==\"{kind}\")].status}}")
}

async fn suspend(w: &World, name: &str, suspended: bool) -> Result<()> {
    let patch = format!("{{\"spec\": {{\"suspend\": {suspended}}}}}");
    w.admin()?.api(&["patch", "aas", "-n", "payments", name, "--type=merge", "-p", &patch]).await?.success().map(drop)
}

#[tokio::test]
async fn standing_access_is_there_within_its_window_and_ends_with_it() -> Result<()> {
    // A control plane of its own: policies of other tests would be named, and ended access would be that of other tests.
    let (w, _operator) = World::running("standing-window").await?;
    let w = &w;
    offer(w).await?;
    let (admin, stan, olga) = (w.admin()?, w.cp.user("stan@example.com", &[])?, w.cp.user("olga@example.com", &["standing-ops"])?);
    // One that is about to end, for a person; one that is to begin, for a group.
    let (start, end) = (in_secs(10), in_secs(14));
    admin.apply(&assignment("ends", "standing", "user: stan@example.com", &between(in_secs(-300), end))).await?.success()?;
    admin.apply(&assignment("begins", "standing", "group: standing-ops", &between(start, in_secs(900)))).await?.success()?;
    w.access_is(&stan, true, SOON).await?;
    w.access_stays(&olga, "standing-ops", false, until(start)).await?;
    w.access_is(&olga, true, SOON).await?;
    let (ends, begins) = (["aas", "-n", "payments", "ends"], ["aas", "-n", "payments", "begins"]);
    w.field_is(&begins, &condition("Active"), "True").await?;
    let shown = w.field(&begins, "{.status.display.subject}; {.status.display.ends}; {.spec.author.username}").await?;
    ensure!(shown.starts_with("group standing-ops; 2") && shown.ends_with(&format!("; {}", admin.name)), "{shown}");
    w.access_is(&stan, false, SOON * 2).await?;
    ensure!(Clock::default().now() >= end.plus_secs(-1), "it ended early");
    w.field_is(&ends, &condition("Expired"), "True").await?;
    ready(w, &ends, "False").await?;
    // A member of another group has nothing of it, and nobody approved anything.
    ensure!(!w.mallory()?.can_read_secret("payments", "db").await?, "another person has the access");
    // Suspended it ends at once, and comes back; then it ends with the role's permission, and with the object.
    suspend(w, "begins", true).await?;
    w.access_is(&olga, false, SOON).await?;
    ready(w, &begins, "False").await?;
    suspend(w, "begins", false).await?;
    w.access_is(&olga, true, SOON).await?;
    let policy = async |allowed: bool| {
        let patch = format!("{{\"spec\": {{\"allow\": {{\"activeAssignments\": {allowed}}}}}}}");
        admin.api(&["patch", "apol", "standing", "--type=merge", "-p", &patch]).await?.success().map(drop)
    };
    policy(false).await?;
    w.access_is(&olga, false, SOON).await.context("the attack succeeded: standing access that no policy allows")?;
    w.field_fits(&begins, "{.status.conditions[?(@.type==\"Ready\")].message}", "to name the policy", SOON, |told| {
        told.contains("policy standing does not allow standing access") && told.contains("allow.activeAssignments: true")
    })
    .await?;
    policy(true).await?;
    w.access_is(&olga, true, SOON).await?;
    // Its end may move earlier. The present activation ends at once, and another one lasts until the new end.
    admin.apply(&assignment("shortened", "standing", "user: stan@example.com", &between(in_secs(-300), in_secs(900)))).await?.success()?;
    w.access_is(&stan, true, SOON).await?;
    let (shortened, end) = (["aas", "-n", "payments", "shortened"], in_secs(12));
    let shorter = format!("{{\"spec\": {{\"window\": {{\"between\": {{\"end\": \"{end}\"}}}}}}}}");
    admin.api(&["patch", "aas", "-n", "payments", "shortened", "--type=merge", "-p", &shorter]).await?.success()?;
    let ends = "{range .items[?(@.spec.activeAssignment.name==\"shortened\")]}{.status.state} {.status.expiresAt};{end}";
    w.field_fits(&["areq", "-n", "payments"], ends, "an activation until the new end", SOON, |all| all.contains(&format!("Active {end}")))
        .await
        .context("the attack succeeded: standing access outlives its window")?;
    w.access_is(&stan, false, SOON * 2).await?;
    w.field_is(&shortened, &condition("Expired"), "True").await
}

#[tokio::test]
async fn deleted_it_ends_at_once() -> Result<()> {
    let w = with_operator().await?;
    offer(w).await?;
    let stig = w.cp.user("stig@example.com", &[])?;
    w.admin()?.apply(&assignment("stig", "standing", "user: stig@example.com", "permanent: {}")).await?.success()?;
    w.access_is(&stig, true, SOON).await?;
    w.admin()?.api(&["delete", "aas", "-n", "payments", "stig"]).await?.success()?;
    w.access_is(&stig, false, SOON).await
}

/// The requests by which an assignment gives its access: this of each.
async fn activations(w: &World, name: &str, of_each: &str) -> Result<String> {
    Ok(w.field(&["areq", "-n", "payments"], &of_activations(name, of_each)).await?.trim().to_owned())
}

pub fn of_activations(name: &str, of_each: &str) -> String {
    format!("{{range .items[?(@.spec.activeAssignment.name==\"{name}\")]}}{{{of_each}}} {{end}}")
}

/// Why no activation is active, as the assignment says.
async fn not_activated(w: &World, name: &str, words: &str) -> Result<()> {
    let why = "{.status.conditions[?(@.type==\"Active\")].message}";
    w.field_fits(&["aas", "-n", "payments", name], why, words, SOON, |told| told.contains(words)).await
}

/// The admission policies are applied again at the moment at which the operator requests the access: the request is not trusted, and nobody
/// has ended it. What a person ends is ended.
#[tokio::test]
async fn an_activation_that_nobody_has_ended_is_requested_again() -> Result<()> {
    let w = World::first("standing-again").await?;
    let operator = w.operator_with("operator", &[("CURFEW_PARK_AT", "before:RequestActivation")]).await?;
    w.granting().await?;
    offer(&w).await?;
    let (admin, stan) = (w.admin()?, w.cp.user("stan@example.com", &[])?);
    let policies = std::fs::read_to_string(path("deploy/30-policies.yaml"))?;
    let is_binding = |d: &&str| d.contains("kind: ValidatingAdmissionPolicyBinding\n") && d.contains("\n  name: curfew-decisions\n");
    let binding = policies.split("\n---\n").find(is_binding).context("no binding of curfew-decisions")?;
    admin.apply(&assignment("again", "standing", "user: stan@example.com", "permanent: {}")).await?.success()?;
    eventually("the operator to be parked", SOON, || async { Ok(operator.is_stopped().then_some(())) }).await?;
    admin.api(&["delete", "validatingadmissionpolicybinding", "curfew-decisions"]).await?.success()?;
    // At once: where the operator stops for longer than its lease lasts, it does not count the assignment as proven any more.
    admin.create(binding).await?.success()?;
    operator.resume();
    w.access_is(&stan, true, SOON).await?;
    let ended = activations(&w, "again", ".status.state}/{.status.reason").await?;
    ensure!(ended.contains("Invalid/AdmissionNotEnforced"), "it was not requested in a gap: {ended}");
    // The access is there a moment before the request says so.
    let name_of_active = "{.items[?(@.status.state==\"Active\")].metadata.name}";
    w.field_fits(&["areq", "-n", "payments"], name_of_active, "to name one", SOON, |name| !name.is_empty()).await?;
    let active = w.field(&["areq", "-n", "payments"], name_of_active).await?;
    decide(&w, &admin, &active, "Revoke").await?;
    w.access_is(&stan, false, SOON).await?;
    not_activated(&w, "again", &format!("activation {active} has ended as Revoked (RevokedByApprover) and is not repeated")).await?;
    let all = activations(&w, "again", ".status.state").await?;
    ensure!(all.split(' ').count() == 2, "something else was requested: {all}");
    Ok(())
}

/// What a role comes to hold at its target is nobody's decision about the assignment. And what is deleted gives nothing any more, also while
/// it is there: the garbage collector, which would delete its requests, is stopped.
#[tokio::test]
async fn a_role_that_grows_is_not_granted_again_and_nothing_is_given_by_what_is_being_deleted() -> Result<()> {
    let (w, _operator) = World::running("standing-grown").await?;
    offer(&w).await?;
    let (admin, stan) = (w.admin()?, w.cp.user("stan@example.com", &[])?);
    admin.apply(&assignment("grown", "standing", "user: stan@example.com", "permanent: {}")).await?.success()?;
    w.access_is(&stan, true, SOON).await?;
    let more = r#"[{"op": "add", "path": "/rules/-", "value": {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}}]"#;
    admin.api(&["patch", "clusterrole", "payments-admin", "--type=json", "-p", more]).await?.success()?;
    w.access_is(&stan, false, SOON).await?;
    not_activated(&w, "grown", "has ended as Revoked (TemplateChanged) and is not repeated").await?;
    let all = activations(&w, "grown", ".status.state").await?;
    ensure!(all == "Revoked" && !stan.can_read_secret("payments", "db").await?, "the larger role is granted: {all}");
    // Who edits the assignment gives what the role holds now.
    suspend(&w, "grown", true).await?;
    ready(&w, &["aas", "-n", "payments", "grown"], "False Suspended").await?;
    suspend(&w, "grown", false).await?;
    w.access_is(&stan, true, SOON).await?;
    w.cp.pause(Component::ControllerManager);
    let delete = ["delete", "aas", "-n", "payments", "grown", "--cascade=foreground", "--wait=false"];
    admin.kubectl(&delete).await?.success()?;
    w.access_is(&stan, false, SOON).await?;
    let left = w.field(&["aas", "-n", "payments", "grown"], "{.metadata.deletionTimestamp}{.metadata.finalizers}").await?;
    ensure!(left.contains("foregroundDeletion"), "it is not kept: {left}");
    // The access is gone a moment before the state says so.
    let (states, both) = (of_activations("grown", ".status.state"), |all: &str| all.trim() == "Revoked Revoked");
    w.field_fits(&["areq", "-n", "payments"], &states, "two that were revoked", SOON, both).await?;
    w.cp.resume(Component::ControllerManager);
    Ok(())
}

#[tokio::test]
async fn occurrences_repeat_and_there_is_nothing_between_them() -> Result<()> {
    let w = with_operator().await?;
    offer(w).await?;
    let stella = w.cp.user("stella@example.com", &[])?;
    let (first, second) = (in_secs(10), in_secs(32));
    let time = |at: Time| at.to_string()[11..19].to_owned();
    let window = format!(
        "recurring: {{bounds: {{permanent: {{}}}}, every: {{day: {{}}}}, times: ['{}', '{}'], duration: 10s}}",
        time(first),
        time(second)
    );
    w.admin()?.apply(&assignment("repeats", "standing", "user: stella@example.com", &window)).await?.success()?;
    w.access_stays(&stella, &stella.name, false, until(first)).await?;
    w.access_is(&stella, true, SOON).await?;
    ensure!(Clock::default().now() < first.plus_secs(10), "the first occurrence was over");
    w.access_is(&stella, false, SOON).await?;
    ensure!(Clock::default().now() >= first.plus_secs(9), "the first occurrence ended early");
    w.access_stays(&stella, &stella.name, false, until(second)).await?;
    w.access_is(&stella, true, SOON).await?;
    w.access_is(&stella, false, SOON).await?;
    ensure!(Clock::default().now() >= second.plus_secs(9), "the second occurrence ended early");
    // The next one is tomorrow, and is not requested yet.
    let states =
        w.field(&["areq", "-n", "payments"], "{range .items[?(@.spec.activeAssignment.name==\"repeats\")]}{.status.state} {end}").await?;
    ensure!(!states.contains("Scheduled") && states.matches("Expired").count() <= 2, "{states}");
    ready(w, &["aas", "-n", "payments", "repeats"], "True").await
}

#[tokio::test]
async fn what_is_not_allowed_is_refused_by_name() -> Result<()> {
    // Policies of other tests would be named.
    let (w, _operator) = World::running("standing-refused").await?;
    let w = &w;
    offer(w).await?;
    let (admin, sten) = (w.admin()?, w.cp.user("sten@example.com", &["payments-devs"])?);
    // What is wrong with the object is refused when it is applied.
    let permanent = assignment("wrong", "standing", "user: sten@example.com", "permanent: {}");
    let forged = permanent.replace("justification:", "author: {username: carol@example.com, groups: []}, justification:");
    let reserved = permanent.replace("user: sten@example.com", "group: 'system:masters'");
    let silent = permanent.replace("on-call rotation", "''");
    let short = assignment("wrong", "standing", "user: sten@example.com", &between(in_secs(0), in_secs(299)));
    let recurring = permanent.replace("ActiveAssignment", "EligibleAssignment").replace("permanent: {}", "recurring: {every: {day: {}}}");
    for (yaml, words) in [
        (&forged, "author.username must be your own"),
        (&reserved, "reserved for Kubernetes"),
        (&silent, "justification"),
        (&short, "at least 5m"),
        (&recurring, "recurring"),
    ] {
        let told = admin.apply(yaml).await?.refused()?;
        ensure!(told.contains(words), "expected {words:?}: {told}");
    }
    // What role or policy do not allow is not Ready, and gives nothing.
    let role = |name: &str, active: &str| {
        let offered = offered();
        let yaml = offered.split("---").nth(1).unwrap_or_default();
        yaml.replace("metadata: {name: standing,", &format!("metadata: {{name: {name},")).replace(", active: {permanent: true}", active)
    };
    admin.apply(&role("no-standing", "")).await?.success()?;
    admin.apply(&role("bounded", ", active: {permanent: false, max: 30d}")).await?.success()?;
    let twice = "recurring: {bounds: {permanent: {}}, every: {day: {}}, times: ['09:00', '10:00'], duration: 2h}";
    let cases = [
        ("not-by-role", "no-standing", "user: sten@example.com", "permanent: {}", "allows no standing access"),
        ("not-permanent", "bounded", "user: sten@example.com", "permanent: {}", "is permanent, and role bounded does not allow that"),
        (
            "too-long",
            "bounded",
            "user: sten@example.com",
            &between(in_secs(0), in_secs(31 * 86_400)),
            "longer than the 30d that role bounded allows",
        ),
        ("not-eligible", "standing", "user: else@example.com", "permanent: {}", "does not let user else@example.com"),
        ("overlaps", "standing", "user: sten@example.com", twice, "the next one begins 1h later"),
    ];
    for (name, role, subject, window, _) in &cases {
        admin.apply(&assignment(name, role, subject, window)).await?.success()?;
    }
    for (name, .., words) in &cases {
        let of = ["aas", "-n", "payments", name];
        w.field_fits(&of, "{.status.conditions[?(@.type==\"Ready\")].message}", words, SOON, |told| told.contains(words)).await?;
        ready(w, &of, "False").await?;
    }
    // Only the operator requests for an assignment: by admission, and by the rules where admission is passed.
    let uid = w.field(&["aas", "-n", "payments", "not-by-role"], "{.metadata.uid}").await?;
    let request = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: forged, namespace: payments}}, spec: {{roleRef: {{name: standing}}, \
         duration: 1m, startTime: '{}', justification: x, activeAssignment: {{name: not-by-role, uid: '{uid}'}}}}}}",
        in_secs(0)
    );
    for who in [&admin, &sten] {
        let told = who.apply(&request).await?.refused()?;
        ensure!(told.contains("'curfew-requests'") && told.contains("activeAssignment is set by the operator alone"), "{told}");
    }
    let taken = crate::story::request("overlaps-0123456789-20270101t000000z", "1m");
    let told = sten.apply(&taken).await?.refused()?;
    ensure!(told.contains("is reserved for the operator"), "{told}");
    // A spec is frozen, and a status is the operator's.
    let edit = r#"{"spec": {"subject": {"user": "mallory@example.com"}}}"#;
    let told = admin.api(&["patch", "aas", "-n", "payments", "overlaps", "--type=merge", "-p", edit]).await?.refused()?;
    ensure!(told.contains("only suspend may change"), "{told}");
    let longer = format!("{{\"spec\": {{\"window\": {{\"between\": {{\"end\": \"{}\"}}}}}}}}", in_secs(40 * 86_400));
    let told = admin.api(&["patch", "aas", "-n", "payments", "too-long", "--type=merge", "-p", &longer]).await?.refused()?;
    ensure!(told.contains("the window may end earlier"), "{told}");
    let proven = r#"{"status": {"conditions": [{"type": "AuthorProven", "status": "True", "reason": "AsExpected", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}"#;
    let told = admin
        .api(&["patch", "aas", "-n", "payments", "overlaps", "--subresource=status", "--type=merge", "-p", proven])
        .await?
        .refused()?;
    ensure!(told.contains("'curfew-ledger'"), "{told}");
    let asked = w.field(&["areq", "-n", "payments"], "{.items[*].spec.activeAssignment.name}").await?;
    ensure!(cases.iter().all(|(name, ..)| !asked.split(' ').any(|asked| asked == *name)), "something was requested: {asked}");
    ensure!(!sten.can_read_secret("payments", "db").await?, "something was granted");
    Ok(())
}

/// Activations of a minute, of which each begins 15 s before the one before ends. The operator is killed when the second begins, and started
/// again: who uses the access notices nothing.
#[tokio::test]
async fn permanent_access_is_handed_over_without_a_gap_also_by_an_operator_that_dies() -> Result<()> {
    let (w, operator) = World::running("standing").await?;
    let (admin, stan) = (w.admin()?, w.cp.user("stan@example.com", &[])?);
    let ceiling = r#"{"spec": {"ceilings": {"duration": "60s"}}}"#;
    admin.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", ceiling]).await?.success()?;
    offer(&w).await?;
    admin.apply(&assignment("always", "standing", "user: stan@example.com", "permanent: {}")).await?.success()?;
    w.access_is(&stan, true, SOON).await?;
    let created = w.field(&["aas", "-n", "payments", "always"], "{.metadata.creationTimestamp}").await?;
    let created = Time::parse(&created).unwrap_or_default();
    w.access_stays(&stan, &stan.name, true, until(created.plus_secs(44))).await?;
    operator.kill();
    w.access_stays(&stan, &stan.name, true, until(created.plus_secs(46))).await?;
    let _again = w.operator("again").await?;
    // The first has ended, and another one is there.
    w.access_stays(&stan, &stan.name, true, until(created.plus_secs(75))).await?;
    let requests = ["areq", "-n", "payments"];
    w.field_fits(&requests, "{.items[*].status.state}", "one that has expired", SOON, |states| {
        states.contains("Expired") && states.contains("Active")
    })
    .await?;
    w.access_stays(&stan, &stan.name, true, until(created.plus_secs(112))).await?;
    let expires = w.field(&requests, "{.items[*].status.expiresAt}").await?;
    for number in 0..3 {
        let end = created.plus_secs(60 + number * 45);
        ensure!(expires.contains(&end.to_string()), "no activation ends {end}: {expires}");
    }
    suspend(&w, "always", true).await?;
    w.access_is(&stan, false, SOON).await?;
    // Who revokes an activation ends it; what follows is what the assignment says.
    eventually("every activation to have ended", SOON, || async {
        let states = w.field(&requests, "{.items[*].status.state}").await?;
        Ok(states.split(' ').all(|state| matches!(state, "Expired" | "Revoked" | "Denied")).then_some(()))
    })
    .await?;
    Ok(())
}
