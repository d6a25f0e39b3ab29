//! Eligibility that is extended, renewed and given up: who may ask and when, who approves, and what access rests on it.
use super::plugin::curfew;
use crate::{attacks::resisted, shared::with_operator};
use anyhow::{Result, ensure};
use curfew::authority::Clock;
use curfew_core::time::Time;
use curfew_testkit::{SOON, User, World, eventually};
use tokio::sync::OnceCell;

pub const NAMESPACE: &str = "asreq";
pub const DAY: i64 = 86_400;

/// A role without approval of activations, whose assignments the leads extend; and one whose assignments nobody extends.
const ROLES: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: asreq}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: requesters, namespace: asreq}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-requester}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: asreq-leads}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: frank@example.com}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: greta@example.com}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: stan@example.com}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: managers, namespace: asreq}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-manager}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: max@example.com}]
---
apiVersion: curfew.dev/v1alpha1
kind: AccessPolicy
metadata: {name: asreq}
spec:
  namespaces: {names: [asreq]}
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [payments-admin]}}
  scope: {kubernetes: {namespaces: [asreq]}}
  eligible: [{user: erin@example.com}, {user: frank@example.com}, {user: nora@example.com}, {user: stan@example.com}, {group: asreq-devs}, {group: asreq-new}]
  max: {duration: 8h, eligibility: 90d}
  min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {none: {}}}
  allow: {activeAssignments: true}
---
apiVersion: curfew.dev/v1alpha1
kind: RoleTemplate
metadata: {name: asreq, namespace: asreq}
spec:
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [payments-admin]}}
  scope: {kubernetes: {namespaces: [asreq]}}
  activation: {duration: {max: 4h}, justification: Optional, ticket: {none: {}}, mfa: {none: {}}, approval: {none: {}}, limits: {none: {}}}
  assignment:
    eligible: {permanent: false, max: 60d}
    active: {permanent: false, max: 60d}
    approval: {stages: [{name: leads, approvers: [{group: asreq-leads}, {user: greta@example.com}], quorum: 1}]}
---
apiVersion: curfew.dev/v1alpha1
kind: RoleTemplate
metadata: {name: as-it-is, namespace: asreq}
spec:
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [payments-admin]}}
  scope: {kubernetes: {namespaces: [asreq]}}
  activation: {duration: {max: 4h}, justification: Optional, ticket: {none: {}}, mfa: {none: {}}, approval: {none: {}}, limits: {none: {}}}
  assignment: {eligible: {permanent: false}}
"#;

/// Whether an assignment is ready, and why.
const READY: &str = "{.status.conditions[?(@.type==\"Ready\")].status}: {.status.conditions[?(@.type==\"Ready\")].message}";

/// The same, for other files.
pub fn ready_told() -> &'static str {
    READY
}

/// The shared control plane with the roles of these tests.
pub async fn installed() -> Result<&'static World> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let w = with_operator().await?;
    INSTALLED.get_or_try_init(|| install(w)).await?;
    Ok(w)
}

/// A time so many seconds from now, in whole seconds.
pub fn in_secs(secs: i64) -> Time {
    Clock::default().now().floor_secs().plus_secs(secs)
}

/// An assignment from so many seconds from now until so many.
pub async fn assign(w: &World, name: &str, role: &str, subject: &str, (from, until): (i64, i64)) -> Result<()> {
    let window = format!("{{between: {{start: '{}', end: '{}'}}}}", in_secs(from), in_secs(until));
    let yaml = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: EligibleAssignment, metadata: {{name: {name}, namespace: {NAMESPACE}}}, \
         spec: {{roleRef: {{name: {role}}}, subject: {subject}, scope: {{all: {{}}}}, window: {window}}}}}"
    );
    w.admin()?.apply(&yaml).await?.success().map(drop)
}

pub async fn install(w: &World) -> Result<()> {
    let admin = w.admin()?;
    admin.apply(ROLES).await?.success()?;
    admin.api(&["create", "secret", "generic", "db", "-n", NAMESPACE, "--from-literal=password=x"]).await?.success()?;
    let ready = "{.status.conditions[?(@.type==\"Ready\")].status}";
    w.field_is(&["rtpl", "-n", NAMESPACE, "asreq"], ready, "True").await
}

pub fn person(w: &World, name: &str, groups: &[&str]) -> Result<User> {
    w.cp.user(&format!("{name}@example.com"), groups)
}

/// A request about an assignment, as its uid is now.
pub async fn asks(w: &World, name: &str, action: &str, assignment: &str, more: &str) -> Result<String> {
    let uid = w.field(&["eas", "-n", NAMESPACE, assignment], "{.metadata.uid}").await?;
    Ok(format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AssignmentRequest, metadata: {{name: {name}, namespace: {NAMESPACE}}}, \
         spec: {{justification: on call, action: {{{action}: {{assignment: {{name: {assignment}, uid: {uid}}}{more}}}}}}}}}"
    ))
}

pub fn until(secs: i64) -> String {
    format!(", until: '{}'", in_secs(secs))
}

pub async fn decide(w: &World, who: &User, request: &str, verb: &str) -> Result<()> {
    let digest = w.field(&["asreq", "-n", NAMESPACE, request], "{.status.digest}").await?;
    let yaml = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: {NAMESPACE}}}, \
         spec: {{about: {{assignmentRequest: {{name: {request}}}}}, digest: '{digest}', decision: {verb}}}}}"
    );
    who.create(&yaml).await?.success().map(drop)
}

pub async fn counted(w: &World, decider: &User, request: &str, reason: &str) -> Result<()> {
    let path = format!(
        "{{range .items[?(@.spec.decider.username==\"{}\")]}}{{.spec.about.assignmentRequest.name}}={{.status.conditions[0].reason}};{{end}}",
        decider.name
    );
    let is = format!("{request}={reason};");
    w.field_fits(&["adec", "-n", NAMESPACE], &path, &format!("to have {is}"), SOON, |now| now.contains(&is)).await
}

pub async fn state_is(w: &World, request: &str, state: &str) -> Result<()> {
    w.field_is(&["asreq", "-n", NAMESPACE, request], "{.status.state}", state).await
}

pub async fn ends(w: &World, request: &str, state: &str, words: &str) -> Result<()> {
    state_is(w, request, state).await?;
    let told = w.field(&["asreq", "-n", NAMESPACE, request], "{.status.reason}: {.status.message}").await?;
    ensure!(told.contains(words), "{request}: expected {words:?}, got {told}");
    Ok(())
}

/// An activation; the role asks for no approval, so eligibility alone decides.
pub async fn activates(w: &World, who: &User, name: &str, duration: &str, state: &str, words: &str) -> Result<()> {
    let yaml = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {name}, namespace: {NAMESPACE}}}, \
         spec: {{roleRef: {{name: asreq}}, duration: {duration}}}}}"
    );
    who.apply(&yaml).await?.success()?;
    w.field_is(&["areq", "-n", NAMESPACE, name], "{.status.state}", state).await?;
    let told = w.field(&["areq", "-n", NAMESPACE, name], "{.status.reason}: {.status.message}").await?;
    ensure!(told.contains(words), "{name}: expected {words:?}, got {told}");
    Ok(())
}

pub async fn reading_is(who: &User, allowed: bool) -> Result<()> {
    let words = format!("{} reading the secret to be {allowed}", who.name);
    eventually(&words, SOON, || async { Ok((who.can_read_secret(NAMESPACE, "db").await? == allowed).then_some(())) }).await
}

#[tokio::test]
async fn eligibility_is_extended_renewed_and_given_up() -> Result<()> {
    let w = installed().await?;
    // She is one of the approvers, too, and not in her own matter.
    let (erin, lena) = (person(w, "erin", &["asreq-leads"])?, person(w, "lena", &["asreq-leads"])?);
    assign(w, "erin", "asreq", "{user: erin@example.com}", (-3600, 600)).await?;
    activates(w, &erin, "too-long", "30m", "Denied", "OutsideWindow").await?;

    // Extended: nothing changes before another person approves.
    let end = in_secs(7200);
    erin.apply(&asks(w, "longer", "extend", "erin", &format!(", until: '{end}'")).await?).await?.success()?;
    state_is(w, "longer", "AwaitingApproval").await?;
    let shown = w.field(&["asreq", "-n", NAMESPACE, "longer"], "{.status.waitingFor}; {.status.message}").await?;
    ensure!(
        shown.starts_with(
            "leads 0/1; waiting for 1 of asreq-leads, greta@example.com: kubectl curfew approve asreq/longer -n asreq --digest "
        ),
        "{shown}"
    );
    erin.apply(&asks(w, "second", "extend", "erin", &until(9000)).await?).await?.success()?;
    ends(w, "second", "Denied", "LimitReached: request longer about assignment erin waits already").await?;
    decide(w, &erin, "longer", "Approve").await?;
    let judged = counted(w, &erin, "longer", "SelfDecision").await;
    resisted(judged.is_ok(), &format!("Erin approves her own extension: {judged:?}"))?;
    activates(w, &erin, "still-too-long", "30m", "Denied", "OutsideWindow").await?;
    let spec = w.field(&["eas", "-n", NAMESPACE, "erin"], "{.spec}").await?;
    decide(w, &lena, "longer", "Approve").await?;
    state_is(w, "longer", "Applied").await?;
    counted(w, &lena, "longer", "Counted").await?;
    w.field_is(&["eas", "-n", NAMESPACE, "erin"], "{.status.display.ends}", &end.to_string()).await?;
    ensure!(w.field(&["eas", "-n", NAMESPACE, "erin"], "{.spec}").await? == spec, "the spec belongs to Git");
    activates(w, &erin, "extended", "30m", "Active", "").await?;
    reading_is(&erin, true).await?;

    // Given up: by herself alone, without approval, and the access that rests on it ends.
    let frank = person(w, "frank", &[])?;
    frank.apply(&asks(w, "not-his", "remove", "erin", "").await?).await?.success()?;
    ends(w, "not-his", "Denied", "NotEntitled").await?;
    reading_is(&erin, true).await?;
    erin.apply(&asks(w, "leaves", "remove", "erin", "").await?).await?.success()?;
    state_is(w, "leaves", "Applied").await?;
    reading_is(&erin, false).await?;
    w.field_is(&["areq", "-n", NAMESPACE, "extended"], "{.status.state}: {.status.reason}", "Revoked: OutsideWindow").await?;
    activates(w, &erin, "has-left", "1m", "Denied", "OutsideWindow").await?;

    // Renewed, with approval; and the request is the proof: without it the window makes nobody eligible.
    erin.apply(&asks(w, "back", "renew", "erin", &until(7200)).await?).await?.success()?;
    state_is(w, "back", "AwaitingApproval").await?;
    activates(w, &erin, "not-yet-back", "30m", "Denied", "OutsideWindow").await?;
    decide(w, &lena, "back", "Approve").await?;
    state_is(w, "back", "Applied").await?;
    activates(w, &erin, "renewed", "30m", "Active", "").await?;
    reading_is(&erin, true).await?;
    erin.api(&["delete", "asreq", "-n", NAMESPACE, "back"]).await?.success()?;
    let judged = activates(w, &erin, "unproven", "30m", "Denied", "OutsideWindow").await;
    resisted(judged.is_ok(), &format!("a window that no AssignmentRequest proves: {judged:?}"))?;
    ensure!(erin.can_read_secret(NAMESPACE, "db").await?, "what is active rests on what was proven when it began");
    let by_spec = w.field(&["eas", "-n", NAMESPACE, "erin"], "{.spec.window.between.end}").await?;
    w.field_is(&["eas", "-n", NAMESPACE, "erin"], "{.status.display.ends}", &by_spec).await?;
    let told = w.field(&["eas", "-n", NAMESPACE, "erin"], READY).await?;
    ensure!(told.starts_with("True: ") && told.ends_with("because AssignmentRequest back does not exist any more"), "{told}");

    // An edit of the window in Git decides.
    assign(w, "erin", "asreq", "{user: erin@example.com}", (-7200, 900)).await?;
    reading_is(&erin, false).await?;
    refused(w, &erin, &frank).await?;
    shown_as_it_holds(w, &frank, &lena).await?;
    by_a_manager(w, &lena, &frank).await?;
    typed(w, &frank, &lena).await?;
    at_the_same_time(w, &frank).await?;
    forged(w, &erin, &frank).await
}

/// What may not be asked for ends with rule, value and limit.
async fn refused(w: &World, erin: &User, frank: &User) -> Result<()> {
    let (user, devs) = ("{user: frank@example.com}", "{group: asreq-devs}");
    for (name, role, subject, window) in [
        ("early", "asreq", user, (-3600, 14 * DAY + 600)),
        ("soon", "asreq", user, (-3600, 14 * DAY - 600)),
        ("over", "asreq", user, (-40 * DAY, -30 * DAY - 600)),
        ("ended", "asreq", user, (-40 * DAY, -29 * DAY)),
        ("fixed", "as-it-is", user, (-3600, 3600)),
        ("devs", "asreq", devs, (-3600, 3600)),
    ] {
        assign(w, name, role, subject, window).await?;
    }
    let greta = person(w, "greta", &["asreq-devs"])?;
    let cases = [
        (frank, "early", "extend", until(20 * DAY), "Denied", "OutsideWindow: assignment early ends"),
        (frank, "over", "renew", until(DAY), "Denied", "may be renewed for 30 days"),
        (frank, "over", "extend", until(DAY), "Denied", "it cannot be extended, but renewed"),
        (frank, "soon", "renew", until(20 * DAY), "Denied", "has not ended; extend it"),
        (frank, "soon", "extend", until(DAY), "Denied", "is not longer"),
        (
            frank,
            "soon",
            "extend",
            until(70 * DAY),
            "Invalid",
            "OutsidePolicy: assignment soon is longer than the 60d that role asreq allows",
        ),
        (frank, "ended", "renew", until(240), "Denied", "at least 5m must be left of it"),
        (
            frank,
            "ended",
            "renew",
            format!(", start: '{}', until: '{}'", in_secs(-3600), in_secs(3600)),
            "Denied",
            "before the request was made",
        ),
        (frank, "fixed", "extend", until(7200), "Invalid", "NobodyCanApprove: role as-it-is does not say who approves"),
        (erin, "soon", "extend", until(20 * DAY), "Denied", "NotEntitled: erin@example.com cannot extend assignment soon"),
        (
            &greta,
            "devs",
            "extend",
            until(7200),
            "Denied",
            "NotEntitled: greta@example.com cannot extend assignment devs: it names group asreq-devs, and its members cannot",
        ),
        (&greta, "devs", "remove", String::new(), "Denied", "NotEntitled: greta@example.com cannot give up assignment devs"),
    ];
    for (i, (who, assignment, action, more, state, words)) in cases.into_iter().enumerate() {
        let name = format!("refused-{i}");
        who.apply(&asks(w, &name, action, assignment, &more).await?).await?.success()?;
        let judged = ends(w, &name, state, words).await;
        resisted(judged.is_ok(), &format!("{} asks to {action} {assignment}: {judged:?}", who.name))?;
    }
    let other = asks(w, "other", "extend", "soon", &until(20 * DAY)).await?;
    let uid = w.field(&["eas", "-n", NAMESPACE, "soon"], "{.metadata.uid}").await?;
    frank.apply(&other.replace(&uid, "another")).await?.success()?;
    ends(w, "other", "Invalid", "NotFound").await?;

    // A denial, and withdrawing it.
    frank.apply(&asks(w, "denied", "extend", "soon", &until(20 * DAY)).await?).await?.success()?;
    state_is(w, "denied", "AwaitingApproval").await?;
    decide(w, &person(w, "lena", &["asreq-leads"])?, "denied", "Deny").await?;
    ends(w, "denied", "Denied", "DeniedByApprover").await?;
    frank.apply(&asks(w, "withdrawn", "extend", "soon", &until(20 * DAY)).await?).await?.success()?;
    state_is(w, "withdrawn", "AwaitingApproval").await?;
    decide(w, frank, "withdrawn", "Revoke").await?;
    ends(w, "withdrawn", "Cancelled", "Withdrawn").await?;
    // A role that is edited while it waits.
    frank.apply(&asks(w, "stricter", "extend", "soon", &until(20 * DAY)).await?).await?.success()?;
    state_is(w, "stricter", "AwaitingApproval").await?;
    let stricter = r#"{"spec": {"assignment": {"eligible": {"max": "15d"}}}}"#;
    w.admin()?.api(&["patch", "rtpl", "-n", NAMESPACE, "asreq", "--type=merge", "-p", stricter]).await?.success()?;
    ends(w, "stricter", "Invalid", "OutsidePolicy").await?;
    let again = r#"{"spec": {"assignment": {"eligible": {"max": "60d"}}}}"#;
    w.admin()?.api(&["patch", "rtpl", "-n", NAMESPACE, "asreq", "--type=merge", "-p", again]).await?.success().map(drop)
}

/// A window without its AssignmentRequest is shown as what it is, by the operator and by the plugin, and is asked for again.
async fn shown_as_it_holds(w: &World, frank: &User, lena: &User) -> Result<()> {
    let ended = ["eas", "-n", NAMESPACE, "ended"];
    let end = in_secs(3600);
    frank.apply(&asks(w, "regained", "renew", "ended", &format!(", until: '{end}'")).await?).await?.success()?;
    state_is(w, "regained", "AwaitingApproval").await?;
    decide(w, lena, "regained", "Approve").await?;
    state_is(w, "regained", "Applied").await?;
    w.field_is(&ended, READY, "True: makes eligible").await?;
    let explain = ["explain", "asreq", "-n", NAMESPACE, "--duration", "10m"];
    let told = curfew(frank, &explain).await?.success()?;
    ensure!(told.contains(&format!("assignment ended names user frank@example.com, until {end}")), "{told}");
    frank.api(&["delete", "asreq", "-n", NAMESPACE, "regained"]).await?.success()?;
    let why = format!("the window until {end} does not count, because AssignmentRequest regained does not exist any more");
    let is = format!("False: {why}; the window ended ");
    w.field_fits(&ended, READY, &format!("to be {is}"), SOON, |now| now.starts_with(&is)).await?;
    let told = curfew(frank, &explain).await?.success()?;
    ensure!(told.contains(&why), "{told}");
    frank.apply(&asks(w, "once-more", "renew", "ended", &until(3600)).await?).await?.success()?;
    state_is(w, "once-more", "AwaitingApproval").await
}

/// A manager asks for a group; none of its members approves, and neither does the manager. What a manager asks for keeps nobody in.
async fn by_a_manager(w: &World, lena: &User, frank: &User) -> Result<()> {
    let max = w.cp.user("max@example.com", &["asreq-leads"])?;
    let member = person(w, "greta", &["asreq-devs"])?;
    let end = in_secs(9000);
    max.apply(&asks(w, "for-devs", "extend", "devs", &format!(", until: '{end}'")).await?).await?.success()?;
    state_is(w, "for-devs", "AwaitingApproval").await?;
    for who in [&max, &member] {
        decide(w, who, "for-devs", "Approve").await?;
        let judged = counted(w, who, "for-devs", "SelfDecision").await;
        resisted(judged.is_ok(), &format!("{} approves what concerns them: {judged:?}", who.name))?;
    }
    decide(w, lena, "for-devs", "Approve").await?;
    state_is(w, "for-devs", "Applied").await?;
    w.field_is(&["eas", "-n", NAMESPACE, "devs"], "{.status.display.ends}", &end.to_string()).await?;

    assign(w, "kept", "asreq", "{user: frank@example.com}", (-3600, 3600)).await?;
    max.apply(&asks(w, "kept-in", "extend", "kept", &until(9000)).await?).await?.success()?;
    state_is(w, "kept-in", "AwaitingApproval").await?;
    frank.apply(&asks(w, "leaves-kept", "remove", "kept", "").await?).await?.success()?;
    state_is(w, "leaves-kept", "Applied").await?;
    // Of one second, the window had ended when it was asked for; otherwise it is another window.
    let over = |now: &str| ["Invalid: TemplateChanged", "Denied: OutsideWindow"].contains(&now);
    w.field_fits(&["asreq", "-n", NAMESPACE, "kept-in"], "{.status.state}: {.status.reason}", "to have ended", SOON, over).await
}

/// With the plugin: the end is told with the command, the approver finds it in the queue, and each command says how it went.
async fn typed(w: &World, frank: &User, lena: &User) -> Result<()> {
    let list = curfew(frank, &["list", "--eligible", "-n", NAMESPACE]).await?;
    let command = format!("kubectl curfew assignment extend soon -n {NAMESPACE} --until TIME -j REASON");
    ensure!(list.ok && list.stderr.contains(&command), "{list:?}");
    ensure!(!list.stderr.contains(" early -n") && !list.stderr.contains(" fixed -n"), "neither too early nor without approvers: {list:?}");
    let end = in_secs(20 * DAY).to_string();
    let ask = ["assignment", "extend", "soon", "-n", NAMESPACE, "-j", "on call", "--until", &end, "--name", "typed"];
    let answer = async {
        state_is(w, "typed", "AwaitingApproval").await?;
        let queue = curfew(lena, &["list", "--waiting-for-me", "-n", NAMESPACE]).await?.success()?;
        let digest = w.field(&["asreq", "-n", NAMESPACE, "typed"], "{.status.digest}").await?;
        let approve = format!("kubectl curfew approve asreq/typed -n {NAMESPACE} --digest {digest}");
        ensure!(queue.contains(&approve) && queue.contains("extend") && queue.contains("frank@example.com"), "{queue}");
        let own = curfew(frank, &["list", "--waiting-for-me", "-n", NAMESPACE]).await?;
        ensure!(!own.stdout.contains("typed"), "{own:?}");
        let short = ["approve", "asreq/typed", "-n", NAMESPACE, "--digest", &digest, "-d", "5m"];
        let told = curfew(lena, &short).await?.refused()?;
        ensure!(told.contains("an AssignmentRequest is approved as it is"), "{told}");
        curfew(lena, &["approve", "asreq/typed", "-n", NAMESPACE, "--digest", &digest]).await?.success()
    };
    let (asked, approved) = tokio::join!(curfew(frank, &ask), answer);
    ensure!(approved?.contains("counts as an approval"));
    let asked = asked?;
    ensure!(asked.ok && asked.stderr.contains("Applied: assignment soon makes user frank@example.com eligible from"), "{asked:?}");
    let removed = curfew(frank, &["assignment", "remove", "soon", "-n", NAMESPACE, "-j", "left the team"]).await?;
    ensure!(removed.ok && removed.stderr.contains("makes user frank@example.com eligible no longer"), "{removed:?}");
    let again = curfew(frank, &["assignment", "extend", "soon", "-n", NAMESPACE, "-j", "x", "--until", &end]).await?.refused()?;
    ensure!(again.contains("error: Denied (OutsideWindow): assignment soon ended"), "{again}");
    let missing = curfew(frank, &["assignment", "remove", "nothing", "-n", NAMESPACE, "-j", "x"]).await?.refused()?;
    ensure!(missing.contains("kubectl get eas -n asreq lists them"), "{missing}");
    Ok(())
}

/// Of requests that are made at the same time one is decided about.
async fn at_the_same_time(w: &World, frank: &User) -> Result<()> {
    assign(w, "busy", "asreq", "{user: frank@example.com}", (-3600, 3600)).await?;
    let mut all = Vec::new();
    for i in 0..6 {
        all.push(asks(w, &format!("busy-{i}"), "extend", "busy", &until(7200 + i)).await?);
    }
    for created in futures::future::join_all(all.iter().map(|yaml| frank.create(yaml))).await {
        created?.success()?;
    }
    w.until(&["asreq", "-n", NAMESPACE], "one of six to wait", SOON, |list| {
        let of = |item: &&serde_json::Value| item["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("busy-"));
        let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let count = |what: &str, field: &str| items.iter().filter(of).filter(|item| item["status"][field] == what).count();
        let (waiting, refused) = (count("AwaitingApproval", "state"), count("LimitReached", "reason"));
        ensure!(waiting + refused == 6, "{waiting} wait, {refused} are refused");
        ensure!(waiting == 1, "{waiting} wait at the same time");
        Ok(Some(()))
    })
    .await
}

/// What only the API server and the operator write.
async fn forged(w: &World, erin: &User, frank: &User) -> Result<()> {
    let admin = w.admin()?;
    let change = r#"{"status": {"change": null}}"#;
    for what in [&["eas", "devs"][..], &["asreq", "for-devs"]] {
        let args = [&["patch"], what, &["-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", change]].concat();
        let told = admin.kubectl(&args).await?.refused()?;
        resisted(told.contains("written by the operator alone"), &format!("the status of {what:?} was written: {told}"))?;
    }
    let honest = asks(w, "forged", "remove", "devs", "").await?;
    let stamped = honest.replace("justification:", "requester: {username: frank@example.com, groups: []}, justification:");
    let told = erin.create(&stamped).await?.refused()?;
    resisted(told.contains("requester.username must be your own"), &format!("a forged requester: {told}"))?;
    let told = frank.api(&["delete", "asreq", "-n", NAMESPACE, "for-devs"]).await?.refused()?;
    resisted(told.contains("an AssignmentRequest is deleted by its requester or a manager"), &format!("Frank deletes it: {told}"))?;
    let edited = r#"{"spec": {"justification": "another"}}"#;
    let told = admin.kubectl(&["patch", "asreq", "-n", NAMESPACE, "for-devs", "--type=merge", "-p", edited]).await?.refused()?;
    ensure!(told.contains("a request is immutable"), "{told}");
    // Nothing is approved for a shorter time than it says.
    let digest = w.field(&["asreq", "-n", NAMESPACE, "for-devs"], "{.status.digest}").await?;
    let shorter = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: {NAMESPACE}}}, spec: {{about: \
         {{assignmentRequest: {{name: for-devs}}}}, digest: '{digest}', decision: Approve, duration: 5m}}}}"
    );
    let told = erin.create(&shorter).await?.refused()?;
    ensure!(told.contains("an AssignmentRequest is approved as it is"), "{told}");
    Ok(())
}
