//! `kubectl curfew`, as people type it.
use crate::shared::{with_operator, without_operator};
use anyhow::{Context as _, Result, ensure};
use curfew_testkit::{Output, SOON, User, World, built, eventually, path};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

pub async fn curfew(who: &User, args: &[&str]) -> Result<Output> {
    let plugin = built("kubectl-curfew")?;
    who.run(&plugin, args, None).await
}

/// The same, with the exit code and everything that was printed.
pub async fn exit(who: &User, args: &[&str]) -> Result<(i32, String)> {
    let plugin = built("kubectl-curfew")?;
    let mut command = tokio::process::Command::new(plugin);
    let command = command.args(args).env("KUBECONFIG", &who.kubeconfig).stdin(Stdio::null()).kill_on_drop(true);
    let out = command.output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((out.status.code().context("ended by a signal")?, text(&out.stdout) + &text(&out.stderr)))
}

/// The command ends with this code and prints all of these words.
pub async fn ends_with(who: &User, args: &[&str], code: i32, words: &[&str]) -> Result<String> {
    let (ended, told) = exit(who, args).await?;
    ensure!(ended == code, "{args:?} ended with {ended}, not {code}: {told}");
    let missing: Vec<_> = words.iter().filter(|word| !told.contains(**word)).collect();
    ensure!(missing.is_empty(), "{args:?} does not say {missing:?}: {told}");
    Ok(told)
}

#[tokio::test]
async fn ask_look_approve_revoke() -> Result<()> {
    let w = with_operator().await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    let made =
        curfew(&alice, &["request", "payments-admin", "-n", "payments", "-d", "30m", "-j", "roll back", "--name", "typed", "--no-wait"])
            .await?
            .success()?;
    assert_eq!(made, "activationrequest.curfew.dev/typed created\n");
    w.state_is("typed", "AwaitingApproval").await?;
    let list = curfew(&carol, &["list", "-n", "payments"]).await?.success()?;
    ensure!(list.contains("typed") && list.contains("owners 0/1") && list.contains("alice@example.com"), "{list}");

    let blind = curfew(&carol, &["approve", "typed", "-n", "payments"]).await?.refused()?;
    let digest = w.field(&["areq", "-n", "payments", "typed"], "{.status.digest}").await?;
    ensure!(blind.contains("without a terminal") && blind.contains(&format!("--digest {digest}")), "{blind}");
    let other = curfew(
        &carol,
        &["approve", "typed", "-n", "payments", "--digest", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"],
    )
    .await?
    .refused()?;
    ensure!(other.contains("does not match what would be granted now"), "{other}");
    // The approver is told whether it counts, before the command ends.
    let second = w.cp.user("Alice@example.com", &["payments-leads"])?;
    let own = curfew(&second, &["approve", "typed", "-n", "payments", "--digest", &digest]).await?.refused()?;
    ensure!(own.contains("does not count (SelfDecision)") && own.contains("the user name is the same"), "{own}");
    let counted = curfew(&carol, &["approve", "typed", "-n", "payments", "--digest", &digest, "-c", "go ahead"]).await?.success()?;
    ensure!(counted.contains("created\ncounts as an approval\n"), "{counted}");
    let again = curfew(&carol, &["approve", "typed", "-n", "payments", "--digest", &digest]).await?.refused()?;
    ensure!(again.contains("does not count (AlreadyCounted)"), "{again}");
    let path = "{range .items[?(@.spec.about.activationRequest.name==\"typed\")]}{.spec.decider.extra};{end}";
    let recorded = w.field(&["adec", "-n", "payments"], path).await?;
    ensure!(recorded.matches("authentication.kubernetes.io/credential-id").count() == 3, "recorded by the API server: {recorded}");
    w.access_is(&alice, true, SOON).await?;

    w.state_is("typed", "Active").await?;
    let counted = curfew(&alice, &["revoke", "typed", "-n", "payments", "-c", "done"]).await?.success()?;
    ensure!(counted.contains("counts; the request ends"), "{counted}");
    w.access_is(&alice, false, SOON).await?;
    w.state_is("typed", "Revoked").await?;
    let list = curfew(&carol, &["list", "-n", "payments", "--ended"]).await?.success()?;
    ensure!(list.contains("typed") && list.contains("Revoked"), "{list}");
    Ok(())
}

/// Erin may create requests in namespace payments, and no assignment names her.
async fn erin(w: &World) -> Result<User> {
    let admin = w.admin()?;
    let bind = ["create", "rolebinding", "erin-asks", "-n", "payments", "--clusterrole=curfew-requester", "--user=erin@example.com"];
    let made = admin.api(&bind).await?;
    ensure!(made.ok || made.stderr.contains("already exists"), "{made:?}");
    w.cp.user("erin@example.com", &[])
}

#[tokio::test]
async fn waiting_tells_how_it_ends() -> Result<()> {
    let w = with_operator().await?;
    let alice = w.alice()?;
    let too_long = ["request", "payments-admin", "-n", "payments", "-d", "6h", "-j", "x", "--wait"];
    let (code, told) = exit(&alice, &too_long).await?;
    // Refused at once by admission, or denied by the operator.
    ensure!([1, 4].contains(&code) && told.contains("asked for 6h, but role payments-admin allows at most 4h"), "{code}: {told}");
    let answer = async {
        w.state_is("doomed", "AwaitingApproval").await?;
        curfew(&w.carol()?, &["deny", "doomed", "-n", "payments", "-c", "not today"]).await?.success()
    };
    let words = ["AwaitingApproval: waiting for 1 of", "(until 20", "error: Denied (DeniedByApprover)"];
    let doomed = ["request", "payments-admin", "-n", "payments", "-j", "x", "--name", "doomed"];
    let (told, denied) = tokio::join!(ends_with(&alice, &doomed, 4, &words), answer);
    denied?;
    told?;
    ends_with(&erin(w).await?, &["request", "payments-admin", "-n", "payments", "-j", "x"], 4, &["Denied (NotEligible)"]).await?;
    let impatient = ["request", "payments-admin", "-n", "payments", "-j", "x", "--name", "left", "--timeout", "1s"];
    ends_with(&alice, &impatient, 3, &["not active after 1s; the request goes on", "kubectl delete areq left -n payments"]).await?;
    interrupted(&alice).await?;
    w.state_is("interrupted", "AwaitingApproval").await?;
    w.state_is("left", "AwaitingApproval").await
}

/// What a user may do who creates requests and may not watch them.
const UNSEEN: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: asks-unseen}
rules:
- {apiGroups: [curfew.dev], resources: [activationrequests, assignmentrequests], verbs: [create, get]}
- {apiGroups: [curfew.dev], resources: [roletemplates, eligibleassignments], verbs: [get]}
"#;

/// Without the right to watch nothing is waited for: the rule to ask for is told, and the exit code says that the end is not known.
#[tokio::test]
async fn what_may_not_be_watched_is_told_with_the_rule_to_ask_for() -> Result<()> {
    let w = with_operator().await?;
    let admin = w.admin()?;
    admin.apply(UNSEEN).await?.success()?;
    let bind = ["create", "rolebinding", "asks-unseen", "-n", "payments", "--clusterrole=asks-unseen", "--user=blake@example.com"];
    admin.api(&bind).await?.success()?;
    let blake = w.cp.user("blake@example.com", &[])?;
    let needs = |plural: &str, name: &str| {
        [
            format!("request {name} was created and cannot be followed"),
            format!("resources: [{plural}], verbs: [watch]}} in namespace payments"),
        ]
    };
    let access = ["request", "payments-admin", "-n", "payments", "-j", "x", "--name", "unseen", "--timeout", "30s"];
    let words = needs("activationrequests", "unseen");
    ends_with(&blake, &access, 3, &words.each_ref().map(String::as_str)).await?;
    let until = ["--until", "2027-03-01T00:00:00Z", "-j", "x", "--name", "unseen-too", "--timeout", "30s"];
    let assignment = [&["assignment", "extend", "payments-devs", "-n", "payments"][..], &until].concat();
    let words = needs("assignmentrequests", "unseen-too");
    ends_with(&blake, &assignment, 3, &words.each_ref().map(String::as_str)).await.map(drop)
}

/// Ctrl-C while the plugin waits: the request stays.
async fn interrupted(who: &User) -> Result<()> {
    let plugin = built("kubectl-curfew")?;
    let mut command = tokio::process::Command::new(plugin);
    command.args(["request", "payments-admin", "-n", "payments", "-j", "x", "--name", "interrupted"]).env("KUBECONFIG", &who.kubeconfig);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut told = BufReader::new(child.stderr.take().context("standard error")?).lines();
    while let Some(line) = told.next_line().await? {
        if line.starts_with("AwaitingApproval") {
            break;
        }
    }
    let id = child.id().context("it has ended")?.to_string();
    tokio::process::Command::new("kill").args(["-INT", &id]).status().await?;
    let last = told.next_line().await?.unwrap_or_default();
    let code = child.wait().await?.code();
    ensure!(code == Some(3) && last.starts_with("interrupted; the request goes on"), "{code:?}: {last}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_creates_nothing_and_tells_what_would_happen() -> Result<()> {
    let w = with_operator().await?;
    let (alice, erin) = (w.alice()?, erin(w).await?);
    let ask = |more: &[&'static str]| [&["request", "payments-admin", "-n", "payments", "--name", "dry", "--dry-run"], more].concat();
    let words = [
        "nothing was created",
        "alice@example.com may request role payments-admin",
        "eligibility",
        "ClusterRole payments-admin in payments",
    ];
    ends_with(&alice, &ask(&["-j", "x"]), 0, &words).await?;
    ends_with(&erin, &ask(&["-j", "x"]), 4, &["would end Denied", "no EligibleAssignment for role payments-admin names erin@example.com"])
        .await?;
    let (code, told) = exit(&alice, &ask(&["-j", "x", "-d", "6h"])).await?;
    ensure!([1, 4].contains(&code) && told.contains("asked for 6h"), "{code}: {told}");
    let json = ends_with(&alice, &ask(&["-j", "x", "-o", "json"]), 0, &["\"verdict\": \"ok\""]).await?;
    ensure!(json.starts_with('{'), "{json}");
    let there = w.field(&["areq", "-n", "payments"], "{.items[*].metadata.name}").await?;
    ensure!(!there.split(' ').any(|name| name == "dry"), "it was created: {there}");
    Ok(())
}

#[tokio::test]
async fn explain_tells_why_and_why_not() -> Result<()> {
    let w = with_operator().await?;
    let (alice, erin, admin) = (w.alice()?, erin(w).await?, w.admin()?);
    let of = |role: &'static str, more: &[&'static str]| [&["explain", role, "-n", "payments"], more].concat();
    // With the rights of a requester: what may not be read says which rule would show it.
    let words = [
        "alice@example.com may request",
        "resources: [authorizationsystems]",
        "the operator says: allowed by policy payments",
        "owners: 1 of group payments-leads, user carol@example.com",
        "enforcedBy: Target",
        "may outlive",
        "role payments-admin has none (activation.limits)",
        "whether the policy has limits is not known: accesspolicies",
        "no: role payments-admin does not allow break-glass",
        "role payments-admin cannot be extended",
    ];
    ends_with(&alice, &of("payments-admin", &[]), 0, &words).await?;
    ends_with(&alice, &of("payments-admin", &["-d", "6h"]), 4, &["asked for 6h", "would end Denied"]).await?;
    ends_with(&erin, &of("payments-admin", &[]), 4, &["no EligibleAssignment for role payments-admin names erin@example.com"]).await?;
    ends_with(&w.mallory()?, &of("payments-admin", &[]), 3, &["is not known", "resources: [roletemplates], verbs: [get]"]).await?;
    // With all rights every rule is judged, and the administrator is not eligible either.
    ends_with(&admin, &of("payments-admin", &[]), 4, &["system this-cluster grants", "allowed by policy payments, for at most 8h"]).await?;
    ends_with(&alice, &of("payments-admln", &[]), 1, &["there is no RoleTemplate payments-admln in namespace payments", "payments-admin"])
        .await?;
    ends_with(&admin, &["explain", "x", "-n", "nowhere"], 1, &["namespace nowhere does not exist"]).await?;
    ends_with(&alice, &["request", "payments-admln", "-n", "payments"], 1, &["there are:", "payments-admin"]).await?;
    Ok(())
}

#[tokio::test]
async fn lists_tell_what_is_eligible_waiting_and_active() -> Result<()> {
    let w = with_operator().await?;
    let (alice, carol, mallory) = (w.alice()?, w.carol()?, w.mallory()?);
    let list = |more: &[&'static str]| [&["list", "-n", "payments"], more].concat();
    let words = ["payments-admin", "this-cluster", "4h", "1 owners", "justification", "never", "True"];
    ends_with(&alice, &list(&["--eligible"]), 0, &words).await?;
    ends_with(&mallory, &list(&["--eligible"]), 3, &["eligibleassignments of namespace payments cannot be read", "verbs: [list]"]).await?;
    ends_with(&erin(w).await?, &list(&["--eligible"]), 0, &["no EligibleAssignment that you may read names erin@example.com"]).await?;

    curfew(&alice, &["request", "payments-admin", "-n", "payments", "-j", "x", "--name", "queued", "--no-wait"]).await?.success()?;
    w.state_is("queued", "AwaitingApproval").await?;
    let waits = ends_with(&carol, &list(&["--waiting-for-me"]), 0, &["queued", "owners"]).await?;
    let row = waits.lines().find(|line| line.contains("queued")).context("no row")?.to_owned();
    let (_, command) = row.split_once("kubectl curfew ").context("no command")?;
    let (_, own) = exit(&alice, &list(&["--waiting-for-me"])).await?;
    ensure!(!own.contains("queued"), "a requester has no part in the queue: {own}");
    // Of all namespaces carol may read one: it is shown, and what is missing is said.
    let words = ["queued", "activationrequests of all namespaces cannot be read", "ClusterRoleBinding"];
    ends_with(&carol, &list(&["--waiting-for-me", "-A"]), 3, &words).await?;
    ends_with(&carol, &list(&["--waiting-for-me", "-o", "name"]), 0, &["activationrequest.curfew.dev/queued\n"]).await?;

    ends_with(&carol, &command.split_whitespace().collect::<Vec<_>>(), 0, &["counts as an approval"]).await?;
    let (_, after) = exit(&carol, &list(&["--waiting-for-me"])).await?;
    ensure!(!after.contains("queued"), "{after}");
    w.state_is("queued", "Active").await?;
    ends_with(&alice, &list(&["--active"]), 0, &["queued", "Active", "59m", "Target"]).await?;
    let (_, hers) = exit(&carol, &list(&["--active"])).await?;
    ensure!(!hers.contains("queued"), "{hers}");

    // The history as far as alice may read it, and all of it.
    ends_with(&alice, &["audit", "queued", "-n", "payments"], 3, &["requested", "accepted", "Approve", "active", "resources: [grants]"])
        .await?;
    ends_with(&w.admin()?, &["audit", "queued", "-n", "payments"], 0, &["seen at the target", "carol@example.com"]).await?;
    // More time: the role of the example cannot be extended. `story::extension` extends another one.
    w.answers_in_force().await?;
    let more = ["extend", "queued", "-n", "payments", "-d", "30m", "-j", "x", "--no-wait"];
    let told = curfew(&alice, &more).await?.refused()?;
    ensure!(told.contains("role payments-admin cannot be extended"), "{told}");
    curfew(&alice, &["revoke", "queued", "-n", "payments"]).await?.success()?;
    w.state_is("queued", "Revoked").await?;
    ends_with(&alice, &["extend", "queued", "-n", "payments", "-j", "x"], 1, &["request queued is Revoked: it has ended"]).await?;
    Ok(())
}

#[tokio::test]
async fn several_requests_are_decided_at_once() -> Result<()> {
    let w = with_operator().await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    for name in ["one-of-two", "two-of-two"] {
        let ask = ["request", "payments-admin", "-n", "payments", "-j", "x", "--name", name, "--no-wait", "-o", "name"];
        let made = curfew(&alice, &ask).await?.success()?;
        ensure!(made == format!("activationrequest.curfew.dev/{name}\n"), "{made}");
        w.state_is(name, "AwaitingApproval").await?;
    }
    let both = ["activationrequest.curfew.dev/one-of-two", "areq/two-of-two"];
    ends_with(
        &carol,
        &["deny", both[0], "missing", both[1], "-n", "payments"],
        1,
        &["error: missing: ", "\"missing\" not found", "counts"],
    )
    .await?;
    // For programs: one document, also of several.
    let again = curfew(&carol, &["deny", both[0], both[1], "-n", "payments", "--timeout", "20s", "-o", "json"]).await?;
    let list: serde_json::Value = serde_json::from_str(&again.stdout).with_context(|| format!("{again:?}"))?;
    ensure!(list["kind"] == "List" && list["items"].as_array().is_some_and(|items| items.len() == 2), "{list}");
    w.state_is("one-of-two", "Denied").await?;
    w.state_is("two-of-two", "Denied").await?;
    let digest = ["--digest", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"];
    let approve = [&["approve", "one-of-two", "two-of-two", "-n", "payments"], &digest[..]].concat();
    ends_with(&carol, &approve, 1, &["--digest names what you reviewed of one request"]).await?;
    Ok(())
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong() -> Result<()> {
    let (w, operator) = World::running("doctor").await?;
    let admin = w.admin()?;
    let sound = ends_with(&admin, &["doctor"], 0, &["nothing is wrong", "no ResourceQuota limits requests in payments"]).await?;
    ensure!(!sound.contains("error"), "{sound}");
    // Who may read nothing of it is told what to ask for.
    ends_with(&w.alice()?, &["doctor"], 2, &["not everything could be judged", "customresourcedefinitions", "resources: [leases]"]).await?;

    let name = "curfew-decisions";
    admin.kubectl(&["delete", "validatingadmissionpolicybinding", name]).await?.success()?;
    let words = ["ValidatingAdmissionPolicyBinding curfew-decisions is missing", "kubectl apply --server-side -f deploy/30-policies.yaml"];
    ends_with(&admin, &["doctor"], 1, &words).await?;
    admin.kubectl(&["apply", "--server-side", "-f", &path("deploy/30-policies.yaml")]).await?.success()?;
    w.granting().await?;
    let weaker = r#"{"spec": {"failurePolicy": "Ignore"}}"#;
    admin.kubectl(&["patch", "validatingadmissionpolicy", name, "--type=merge", "-p", weaker]).await?.success()?;
    ends_with(&admin, &["doctor"], 1, &["ValidatingAdmissionPolicy curfew-decisions differs", "spec.failurePolicy"]).await?;
    admin.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &path("deploy/30-policies.yaml")]).await?.success()?;

    admin.api(&["delete", "clusterrolebinding", "curfew-bind-payments"]).await?.success()?;
    w.field_is(&["rtpl", "-n", "payments", "payments-admin"], "{.status.conditions[?(@.type==\"Ready\")].status}", "False").await?;
    let json =
        ends_with(&admin, &["doctor", "-o", "json"], 1, &["not Ready (NotBindable): payments/payments-admin", "\"severity\": \"error\""])
            .await?;
    ensure!(json.starts_with('['), "{json}");

    operator.terminate();
    eventually("the doctor to find that no operator runs", SOON, || async {
        let (code, told) = exit(&admin, &["doctor"]).await?;
        Ok((code == 1 && told.contains("no operator holds the lease") && told.contains("deploy/60-operator.yaml")).then_some(()))
    })
    .await?;
    without_assignment_requests(&admin).await
}

/// An older installation does not serve every kind. The queue shows the others, and says what is missing.
async fn without_assignment_requests(admin: &User) -> Result<()> {
    admin.kubectl(&["delete", "crd", "assignmentrequests.curfew.dev"]).await?.success()?;
    eventually("the queue without AssignmentRequests", SOON, || async {
        let (code, told) = exit(admin, &["list", "--waiting-for-me", "-n", "payments"]).await?;
        ensure!(code != 1, "{told}");
        Ok((code == 3 && told.contains("assignmentrequests cannot be read") && told.contains("kubectl apply --server-side -f crds/"))
            .then_some(()))
    })
    .await
}

#[tokio::test]
async fn init_prints_what_applies_and_applies_nothing() -> Result<()> {
    let w = with_operator().await?;
    let admin = w.admin()?;
    let args = ["init", "-n", "shop", "--role", "view", "--eligible", "group:shop-devs", "--approver", "user:carol@example.com"];
    let printed = curfew(&admin, &args).await?.success()?;
    let there = w.field(&["apol"], "{.items[*].metadata.name}").await?;
    ensure!(!there.split(' ').any(|n| n == "shop"), "it was applied: {there}");
    admin.api(&["create", "namespace", "shop"]).await?.success()?;
    admin.apply(&printed).await?.success()?;
    w.field_is(&["rtpl", "-n", "shop", "view"], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
    // A name that a ClusterRole may have and other objects may not.
    admin.api(&["create", "clusterrole", "custom:shop:admin", "--verb=get", "--resource=configmaps"]).await?.success()?;
    let args =
        ["init", "-n", "shop", "--role", "custom:shop:admin", "--eligible", "group:shop-devs", "--approver", "user:carol@example.com"];
    let printed = curfew(&admin, &args).await?.success()?;
    admin.kubectl_stdin(&["apply", "-f", "-"], &printed).await?.success()?;
    let derived = printed.split_whitespace().find(|word| word.starts_with("custom-shop-admin-"));
    let name = derived.context("no object has a name derived from that of the role")?;
    w.field_is(&["rtpl", "-n", "shop", name], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
    the_quota_holds(w).await?;
    let reserved =
        curfew(&admin, &["init", "--role", "view", "--eligible", "group:system:masters", "--approver", "user:c"]).await?.refused()?;
    ensure!(reserved.contains("reserved for Kubernetes"), "{reserved}");
    Ok(())
}

/// The quota that was printed and applied: what is above it is refused by the API server, and what is deleted makes room.
async fn the_quota_holds(w: &World) -> Result<()> {
    let admin = w.admin()?;
    let hard = r#"{"spec":{"hard":{"count/activationrequests.curfew.dev":"1","count/accessdecisions.curfew.dev":"1"}}}"#;
    admin.api(&["patch", "resourcequota", "curfew", "-n", "shop", "--type=merge", "-p", hard]).await?.success()?;
    let quota = ["resourcequota", "-n", "shop", "curfew"];
    let requests = |n: u32| format!("\"count/activationrequests.curfew.dev\":\"{n}\"");
    w.field_fits(&quota, "{.status.hard}", "to allow one request", SOON, |hard| hard.contains(&requests(1))).await?;
    let dora = w.cp.user("dora@example.com", &["shop-devs"])?;
    let bind = ["create", "rolebinding", "asks", "-n", "shop", "--clusterrole=curfew-requester", "--user=dora@example.com"];
    admin.api(&bind).await?.success()?;
    let ask = async |name: &str| curfew(&dora, &["request", "view", "-n", "shop", "-j", "x", "--name", name, "--no-wait"]).await;
    ask("first").await?.success()?;
    let told = ask("second").await?.refused()?;
    ensure!(told.contains("exceeded quota: curfew") && told.contains("count/activationrequests.curfew.dev=1"), "{told}");
    admin.api(&["delete", "areq", "-n", "shop", "first"]).await?.success()?;
    // The quota counts again when the controller has seen the deletion.
    w.field_fits(&quota, "{.status.used}", "to count no request", SOON, |used| used.contains(&requests(0))).await?;
    ask("third").await?.success().map(drop)
}

#[tokio::test]
async fn without_an_operator_a_decision_is_not_known_to_count() -> Result<()> {
    let w = without_operator().await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    curfew(&alice, &["request", "payments-admin", "-n", "payments", "-j", "x", "--name", "unjudged", "--no-wait"]).await?.success()?;
    let words = ["created", "after 1s it is not known whether the decision counts"];
    ends_with(&carol, &["deny", "unjudged", "-n", "payments", "--timeout", "1s"], 3, &words).await?;
    let told = curfew(&alice, &["whoami"]).await?.success()?;
    for line in ["  username  alice@example.com\n", "used for deciderProof\n", "      uids  personal", " decisions  count as proven\n"] {
        ensure!(told.contains(line), "{line:?} is not in {told}");
    }
    Ok(())
}

#[tokio::test]
async fn help_teaches() -> Result<()> {
    let admin = with_operator().await?.admin()?;
    let help = curfew(&admin, &["--help"]).await?.success()?;
    for verb in ["request", "approve", "deny", "revoke", "extend", "list", "explain", "audit", "whoami", "doctor", "init", "completion"] {
        ensure!(help.contains(verb), "{help}");
    }
    let help = curfew(&admin, &["request", "--help"]).await?.success()?;
    ensure!(help.contains("Example:") && help.contains("kubectl get rtpl"), "{help}");
    ends_with(&admin, &["approve", "nothing", "-n", "payments"], 1, &["\"nothing\" not found"]).await?;
    // What kubectl runs to complete a line: names of roles, with the user's rights.
    let told = curfew(&admin, &["__complete", "--", "request", "-n", "payments", "payments-"]).await?.success()?;
    ensure!(told.lines().any(|line| line.starts_with("payments-admin\t")) && told.ends_with(":4\n"), "{told}");
    Ok(())
}
