//! What bad input gets: the table of the API's contract, row by row, each as the person who makes the mistake.
use super::{decide, request};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{Component, Operator, Output, SHIPPED_TIMING, SOON, User, World, eventually, root};

const REASON: &str = "{.status.conditions[0].reason}";

struct Stage {
    w: World,
    _operator: Operator,
    admin: User,
    alice: User,
    carol: User,
    mallory: User,
}

/// The example, an operator, and a user whom RBAC allows everything.
async fn stage(name: &str) -> Result<Stage> {
    let (w, operator) = World::running_with(name, &[SHIPPED_TIMING]).await?;
    let (admin, alice, carol, mallory) = (w.admin()?, w.alice()?, w.carol()?, w.mallory()?);
    admin
        .api(&["create", "clusterrolebinding", "mallory", "--clusterrole=cluster-admin", "--user=mallory@example.com"])
        .await?
        .success()?;
    Ok(Stage { w, _operator: operator, admin, alice, carol, mallory })
}

#[tokio::test]
async fn the_table_row_by_row() -> Result<()> {
    let s = stage("bad-input").await?;
    schema(&s).await.context("row 1: unknown field, wrong type, union, duration")?;
    forgery(&s).await.context("row 2: forged identity, status, Grants, what Curfew made")?;
    edits(&s).await.context("row 3: edits of what is immutable")?;
    role_rules(&s).await.context("row 4: what the role's own rules refuse")?;
    denied(&s).await.context("row 5: what is denied")?;
    invalid(&s).await.context("row 6: what cannot be resolved or trusted")?;
    words(&s).await.context("row 7: words that do not count")?;
    templates(&s).await.context("row 8: templates that are not Ready")
}

#[tokio::test]
async fn a_target_that_refuses_or_does_not_answer() -> Result<()> {
    let s = stage("row-nine").await?;
    unreachable(&s).await.context("row 9: a target that does not answer")
}

/// A refusal that says this.
fn says(out: Output, words: &str) -> Result<()> {
    let told = out.refused()?;
    ensure!(told.contains(words), "expected {words:?} in: {told}");
    Ok(())
}

/// The example's request with something more, or other, in its spec.
fn asks(name: &str, more: &str) -> String {
    request(name, "1h").replace("duration: 1h", &format!("duration: 1h{more}"))
}

/// The example's role and assignment under another name, with changes.
async fn role(s: &Stage, name: &str, changes: &[(&str, &str)]) -> Result<()> {
    let mut yaml = std::fs::read_to_string(root().join("examples/first/team.yaml"))?
        .replace("  name: payments-admin\n  namespace", &format!("  name: {name}\n  namespace"))
        .replace("  name: payments-devs\n  namespace", &format!("  name: {name}-devs\n  namespace"))
        .replace("roleRef: {name: payments-admin}", &format!("roleRef: {{name: {name}}}"));
    for (from, to) in changes {
        ensure!(yaml.contains(from), "the example has no {from:?}");
        yaml = yaml.replace(from, to);
    }
    s.admin.apply(&yaml).await?.success().map(drop)
}

fn of(role: &str, name: &str) -> String {
    request(name, "1h").replace("{name: payments-admin}", &format!("{{name: {role}}}"))
}

async fn patch(who: &User, what: &[&str], patch: &str) -> Result<Output> {
    who.api(&[&["patch", "-n", "payments", "--type=merge", "-p", patch], what].concat()).await
}

/// Waits until a request is over, and checks state, reason and message.
async fn over(s: &Stage, name: &str, state: &str, reason: &str, words: &str) -> Result<()> {
    s.w.state_is(name, state).await?;
    let told = s.w.field(&["areq", "-n", "payments", name], "{.status.reason}: {.status.message}").await?;
    ensure!(told.starts_with(reason) && told.contains(words), "{name}: expected {reason} and {words:?}, got {told}");
    Ok(())
}

async fn ready(s: &Stage, name: &str, expect: &str, words: &str) -> Result<()> {
    let path = "{range .status.conditions[?(@.type==\"Ready\")]}{.status} {.reason}: {.message}{end}";
    let fits = |now: &str| now.starts_with(expect) && now.contains(words);
    s.w.field_fits(&["rtpl", "-n", "payments", name], path, &format!("to be {expect} {words}"), SOON, fits).await
}

async fn schema(s: &Stage) -> Result<()> {
    for (yaml, field) in [
        (asks("bad", ", durration: 1h"), "durration"),
        (request("bad", "[1]"), "spec.duration"),
        (asks("bad", ", beneficiary: {user: a, serviceAccount: {namespace: a, name: b}}"), "spec.beneficiary"),
        (asks("bad", ", beneficiary: {}"), "spec.beneficiary"),
        (request("bad", "90d"), "spec.duration"),
        // Times that the format alone lets through and that no parser reads.
        (asks("bad", ", notAfter: '2026-01-01T00:00:00+99:99'"), "spec.notAfter"),
        (asks("bad", ", startTime: '2026-01-01T00:00:00.0123456789Z'"), "spec.startTime"),
    ] {
        says(s.alice.apply(&yaml).await?, field)?;
    }
    Ok(())
}

async fn forgery(s: &Stage) -> Result<()> {
    let m = &s.mallory;
    says(m.apply(&asks("bad", ", requester: {username: alice@example.com, groups: []}")).await?, "requester.username must be your own")?;
    let word = "{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {name: bad, namespace: payments}, \
                spec: {about: {activationRequest: {name: x}}, decision: Deny, decider: {username: carol@example.com, groups: []}}}";
    says(m.apply(word).await?, "decider.username must be your own")?;
    m.apply(&asks("mallorys", "")).await?.success()?;
    let owner = r#"{"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "1"}]}}"#;
    for (change, words) in [
        (r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#, "finalizers are set by the operator alone"),
        (owner, "ownerReferences are not allowed"),
        (r#"{"metadata": {"labels": {"curfew.dev/x": "y"}}}"#, "labels under curfew.dev/ are set by the operator alone"),
    ] {
        says(patch(m, &["areq", "mallorys"], change).await?, words)?;
    }
    says(
        patch(m, &["areq", "mallorys", "--subresource=status"], r#"{"status": {"state": "Active"}}"#).await?,
        "written by the operator alone",
    )?;
    let grant = "{apiVersion: curfew.dev/v1alpha1, kind: Grant, metadata: {name: bad}, spec: {system: {name: s, uid: u, target: t, connection: {kubernetes: {inCluster: {}}}}, \
                 request: {namespace: payments, name: r, uid: u, requester: m, beneficiary: {user: m}}, principal: {kubernetes: {user: m}}, digest: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, expiresAt: '2099-01-01T00:00:00Z', \
                 plan: {kubernetes: {subject: {user: m}, bindings: [{name: b, roleKind: ClusterRole, role: cluster-admin}]}}}}";
    says(m.create(grant).await?, "written by the operator alone")?;
    let binding = "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: 'curfew:a', namespace: payments}, \
                   roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}";
    says(m.create(binding).await?, "only Curfew may change objects that it created")
}

async fn edits(s: &Stage) -> Result<()> {
    says(patch(&s.mallory, &["areq", "mallorys"], r#"{"spec": {"duration": "2h"}}"#).await?, "a request is immutable")?;
    let word = "{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {name: frozen, namespace: payments}, \
                spec: {about: {activationRequest: {name: mallorys}}, decision: Deny}}";
    s.carol.create(word).await?.success()?;
    says(patch(&s.mallory, &["adec", "frozen"], r#"{"spec": {"comment": "no"}}"#).await?, "a decision is immutable")?;
    let other = r#"{"spec": {"provider": {"kubernetes": {"inCluster": null, "kubeconfigSecretRef": {"name": "a", "key": "b"}}}}}"#;
    says(patch(&s.admin, &["authsys", "this-cluster"], other).await?, "provider is immutable")
}

async fn role_rules(s: &Stage) -> Result<()> {
    s.w.answers_in_force().await?;
    role(s, "with-ticket", &[("ticket: {none: {}}", "ticket: {pattern: '^INC-[0-9]+$'}")]).await?;
    role(s, "asleep", &[("  activation:", "  suspend: true\n  activation:")]).await?;
    ready(s, "with-ticket", "True", "").await?;
    ready(s, "asleep", "False Suspended", "asleep").await?;
    for (yaml, words) in [
        (request("bad", "5h"), "asked for 5h, but role payments-admin allows at most 4h"),
        (asks("bad", "").replace("justification: roll back release 2311", "justification: ''"), "say why in spec.justification"),
        (of("with-ticket", "bad"), "asks for a ticket whose number matches ^INC-[0-9]+$"),
        (of("with-ticket", "bad").replace("duration", "ticket: {system: jira, number: OPS-1}, duration"), "name it in spec.ticket"),
        (of("asleep", "bad"), "role asleep is suspended"),
    ] {
        says(s.alice.apply(&yaml).await?, words)?;
        says(s.alice.api_stdin(&["apply", "--dry-run=server", "-f", "-"], &yaml).await?, words)?;
    }
    // CurfewConfig does not say which keys prove MFA: regardless of the login, the request cannot be resolved.
    role(s, "with-mfa", &[("mfa: {none: {}}", "mfa: {maxAge: 15m}")]).await?;
    ready(s, "with-mfa", "False NotReady", "activation.mfa needs spec.identity.mfa").await?;
    s.alice.apply(&of("with-mfa", "mfa")).await?.success()?;
    over(s, "mfa", "Invalid", "NotReady", "activation.mfa needs spec.identity.mfa").await
}

async fn denied(s: &Stage) -> Result<()> {
    role(s, "generous", &[("max: 4h", "max: 9h")]).await?;
    role(s, "brief", &[("window: {permanent: {}}", "window: {between: {start: '2026-01-01T00:00:00Z', end: '2026-01-02T00:00:00Z'}}")])
        .await?;
    role(s, "limited", &[("limits: {none: {}}", "limits: {atMost: {active: 1, perSubject: 1}}")]).await?;
    ready(s, "generous", "True", "").await?;
    ready(s, "brief", "True", "").await?;
    s.mallory.apply(&asks("stranger", "")).await?.success()?;
    over(s, "stranger", "Denied", "NotEligible", "names mallory@example.com or one of their groups").await?;
    s.alice.apply(&of("generous", "ceiling").replace("duration: 1h", "duration: 510m")).await?.success()?;
    over(s, "ceiling", "Denied", "OverMaximum", "asked for 510m, but policy payments allows at most 8h").await?;
    s.alice.apply(&of("brief", "window")).await?.success()?;
    over(s, "window", "Denied", "OutsideWindow", "ended 2026-01-02T00:00:00Z").await?;
    ready(s, "limited", "True", "").await?;
    s.alice.apply(&of("limited", "the-one")).await?.success()?;
    s.w.state_is("the-one", "AwaitingApproval").await?;
    super::decide(&s.w, &s.carol, "the-one", "Approve").await?;
    s.w.state_is("the-one", "Active").await?;
    s.alice.apply(&of("limited", "one-too-many")).await?.success()?;
    over(s, "one-too-many", "Denied", "LimitReached", "the-one").await
}

async fn invalid(s: &Stage) -> Result<()> {
    s.alice.apply(&of("nowhere", "no-role")).await?.success()?;
    over(s, "no-role", "Invalid", "NoSuchRole", "there is no RoleTemplate nowhere").await?;
    s.alice.apply(&asks("no-system", ", system: mars")).await?.success()?;
    over(s, "no-system", "Invalid", "AmbiguousSystem", "it reaches this-cluster").await?;
    let wider = asks("wider", ", scope: {kubernetes: {clusterWide: {}}}");
    says(s.alice.apply(&wider).await?, "spec.scope is wider than the scope of role payments-admin")?;
    role(s, "weak", &[("[{group: payments-leads}, {user: carol@example.com}]", "[{group: anybody}]")]).await?;
    ready(s, "weak", "False BelowFloor", "policy payments").await?;
    s.alice.apply(&of("weak", "not-ready")).await?.success()?;
    over(s, "not-ready", "Invalid", "NotReady", "role weak is not ready").await?;
    role(s, "moving", &[]).await?;
    ready(s, "moving", "True", "").await?;
    s.alice.apply(&of("moving", "changed")).await?.success()?;
    s.w.state_is("changed", "AwaitingApproval").await?;
    role(s, "moving", &[("approvers: [{group: payments-leads}, {user: carol@example.com}]", "approvers: [{user: carol@example.com}]")])
        .await?;
    over(s, "changed", "Invalid", "TemplateChanged", "create a new request").await
    // Made while admission was not enforced: tests/attacks/admission.rs.
}

async fn words(s: &Stage) -> Result<()> {
    s.alice.apply(&asks("judged", "")).await?.success()?;
    s.w.state_is("judged", "AwaitingApproval").await?;
    for user in ["alice@example.com", "eve@example.com"] {
        let name = format!("decides-{}", user.split('@').next().unwrap_or_default());
        let user = format!("--user={user}");
        s.admin.api(&["create", "rolebinding", "-n", "payments", &name, "--clusterrole=curfew-approver", &user]).await?.success()?;
    }
    let digest = s.w.field(&["areq", "-n", "payments", "judged"], "{.status.digest}").await?;
    let word = |name: &str, about: &str, digest: &str, verb: &str| {
        format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{name: {name}, namespace: payments}}, \
             spec: {{about: {{activationRequest: {{name: {about}}}}}, digest: '{digest}', decision: {verb}}}}}"
        )
    };
    let eve = s.w.cp.user("eve@example.com", &[])?;
    s.alice.create(&word("own-yes", "judged", &digest, "Approve")).await?.success()?;
    s.alice.create(&word("own-no", "judged", &digest, "Deny")).await?.success()?;
    eve.create(&word("stranger", "judged", &digest, "Approve")).await?.success()?;
    s.carol
        .create(&word("blind", "judged", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "Approve"))
        .await?
        .success()?;
    s.admin
        .kubectl_stdin(&["--as=carol@example.com", "create", "-f", "-"], &word("borrowed", "judged", &digest, "Approve"))
        .await?
        .success()?;
    s.carol.create(&word("too-early", "later", &digest, "Approve")).await?.success()?;
    for (name, reason) in [
        ("own-yes", "SelfDecision"),
        ("own-no", "SelfDecision"),
        ("stranger", "NotEntitled"),
        ("blind", "DigestMismatch"),
        ("borrowed", "UnprovenLogin"),
        ("too-early", "NotFound"),
    ] {
        s.w.field_is(&["adec", "-n", "payments", name], REASON, reason).await?;
        s.w.field_is(&["adec", "-n", "payments", name], "{.status.conditions[0].status}", "False").await?;
    }
    s.w.field_is(&["areq", "-n", "payments", "judged"], "{.status.waitingFor}", "owners 0/1").await?;
    decide(&s.w, &s.carol, "judged", "Deny").await?;
    s.w.state_is("judged", "Denied").await?;
    s.carol.create(&word("too-late", "judged", &digest, "Approve")).await?.success()?;
    s.w.field_is(&["adec", "-n", "payments", "too-late"], REASON, "AlreadyEnded").await?;
    s.w.state_is("judged", "Denied").await
}

async fn templates(s: &Stage) -> Result<()> {
    let wide = r#"{"spec": {"permissions": {"kubernetes": {"clusterRoles": ["payments-admin", "view", "not-there"]}}}}"#;
    patch(&s.admin, &["apol", "payments"], wide).await?.success()?;
    let one = "[{group: payments-leads}, {user: carol@example.com}]";
    role(s, "outside", &[("clusterRoles: [payments-admin]", "clusterRoles: [cluster-admin]")]).await?;
    role(s, "nobody", &[(one, "[{user: carol@example.com}]"), ("quorum: 1", "quorum: 2")]).await?;
    role(s, "missing", &[("clusterRoles: [payments-admin]", "clusterRoles: [not-there]")]).await?;
    role(s, "unbindable", &[("clusterRoles: [payments-admin]", "clusterRoles: [view]")]).await?;
    let empty = role(s, "empty", &[(one, "[]")]).await.err().map(|e| e.to_string()).unwrap_or_default();
    ensure!(empty.contains("approvers"), "an empty list of approvers is taken: {empty}");
    for (name, verdict, words) in [
        ("outside", "False OutsidePolicy", "ClusterRole cluster-admin"),
        ("weak", "False BelowFloor", "policy payments asks for a stage of at least 1"),
        ("nobody", "False NobodyCanApprove", "needs 2 approvers and lists 1"),
        ("missing", "False NotReady", "ClusterRole not-there does not exist"),
        ("unbindable", "False NotBindable", "resourceNames: [view], verbs: [bind]"),
    ] {
        ready(s, name, verdict, words).await?;
        let asked = format!("under-{name}");
        s.alice.apply(&of(name, &asked)).await?.success()?;
        s.w.state_is(&asked, "Invalid").await.with_context(|| asked.clone())?;
    }
    Ok(())
}

/// The right to write is taken away before the grant; the API server goes away before the end.
async fn unreachable(s: &Stage) -> Result<()> {
    s.alice.apply(&request("refused", "8s")).await?.success()?;
    s.w.state_is("refused", "AwaitingApproval").await?;
    let right = s.w.may_not_bind().await?;
    // The state lasts for six seconds: every version of the request is recorded.
    let mut seen = s.w.history(&["areq", "-n", "payments", "refused"]).await?;
    decide(&s.w, &s.carol, "refused", "Approve").await?;
    let told = |v: &serde_json::Value| {
        v["status"]["state"] == "Activating" && v["status"]["message"].as_str().is_some_and(|m| m.contains("the target refuses"))
    };
    seen.saw("the request to say what the target refuses", SOON, told).await?;
    over(s, "refused", "Failed", "DeadlinePassed", "the deadline has passed").await?;
    s.admin.apply(&right).await?.success()?;

    ready(s, "payments-admin", "True", "").await?;
    s.alice.apply(&request("cut-off", "15s")).await?.success()?;
    s.w.state_is("cut-off", "AwaitingApproval").await?;
    decide(&s.w, &s.carol, "cut-off", "Approve").await?;
    s.w.state_is("cut-off", "Active").await?;
    let ends = s.w.field(&["areq", "-n", "payments", "cut-off"], "{.status.expiresAt}").await?;
    let ends = curfew_core::time::Time::parse(&ends).context("no deadline")?;
    s.w.cp.kill(Component::ApiServer);
    let clock = curfew::authority::Clock::default();
    eventually("the deadline to pass", SOON, || async { Ok((clock.now() > ends).then_some(())) }).await?;
    s.w.cp.restart(Component::ApiServer).await?;
    s.w.access_is(&s.alice, false, SOON + SOON).await?;
    s.w.state_is("cut-off", "Expired").await
}
