//! Who is told what, by which channel; and a channel that never answers holds up nobody.
use super::{
    assignment_requests, break_glass, decide,
    plugin::curfew,
    refusals::{ready, template},
    request,
    scheduled::in_secs,
    standing,
};
use anyhow::{Context, Result, bail, ensure};
use curfew_testkit::{Operator, Posted, Receivers, SOON, User, World, eventually};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// Channels for all, for what is critical, for e-mail, and one that takes connections and never answers.
async fn configure(w: &World, received: &Receivers) -> Result<()> {
    let (url, port) = (received.serve_http().await?, received.serve_smtp().await?);
    let admin = w.admin()?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "channels", "namespace": "curfew-system"},
        "stringData": {
            "events": format!("{url}/events"), "chat": format!("{url}/chat"), "silent": format!("{url}/silent"),
            "security": format!("{url}/security"),
            "token": "a-token", "hmac": "a-key",
        },
    });
    admin.apply(&secret.to_string()).await?.success()?;
    let key = |key: &str| json!({"name": "channels", "key": key});
    let events = json!({"urlSecretRef": key("events"), "bearerTokenSecretRef": key("token"), "hmacSecretRef": key("hmac")});
    let notifications = json!({
        "channels": [
            {"name": "siem", "via": {"cloudEvents": events}},
            {"name": "approvals", "via": {"slack": {"urlSecretRef": key("chat")}}, "level": "Critical"},
            {"name": "security", "via": {"slack": {"urlSecretRef": key("security")}}, "recipients": ["Requester"], "level": "Critical"},
            {"name": "silent", "via": {"cloudEvents": {"urlSecretRef": key("silent")}}},
            {"name": "mail", "via": {"smtp": {"host": "127.0.0.1", "port": port, "security": "None", "from": "curfew@example.com"}}},
        ],
        "rules": [{"event": "Activated", "recipient": "Admins", "defaults": false, "additional": ["audit@example.com"]}],
        "addresses": [{"subject": {"group": "payments-leads"}, "to": ["leads@example.com"]}, {"subject": {"group": "payments-devs"}, "to": ["devs@example.com"]}],
        "admins": ["security@example.com"],
        "consoleURL": "https://console.example.com",
    });
    let patch = json!({"spec": {"notifications": notifications}}).to_string();
    admin.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", &patch]).await?.success()?;
    let generation = w.field(&["curfewconfig", "curfew"], "{.metadata.generation}").await?;
    w.field_is(&["curfewconfig", "curfew"], "{.status.observedGeneration}", &generation).await
}

/// Waits for a CloudEvent about an object.
async fn event(received: &Receivers, event: &str, name: &str) -> Result<Posted> {
    let is = |body: &Value| body["data"]["event"] == event && body["data"]["name"] == name;
    received.until_posted("events", &format!("{event} of {name}"), is).await
}

/// Runs a command of a notification exactly as it is printed.
async fn run_printed(who: &User, command: &str) -> Result<String> {
    let words: Vec<&str> = command.split(' ').collect();
    let words = words.strip_prefix(&["kubectl", "curfew"]).with_context(|| format!("a command of the plugin: {command}"))?;
    curfew(who, words).await?.success()
}

fn ids(received: &Receivers, name: &str) -> Vec<String> {
    let about = received.posted("events").into_iter().filter(|posted| posted.body["data"]["name"] == name);
    about.map(|posted| posted.body["id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn those_who_are_concerned_are_told_and_a_channel_that_never_answers_holds_up_nobody() -> Result<()> {
    let (w, operator) = World::running("notifications").await?;
    let received = Receivers::default();
    configure(&w, &received).await?;
    let (alice, carol) = (w.alice()?, w.carol()?);

    // A request waits: its approvers are told, with a command that works as it is printed.
    received.refuse("leads@example.com");
    alice.apply(&request("told", "1h")).await?.success()?;
    let asked = event(&received, "ApprovalNeeded", "told").await?;
    let command = asked.body["data"]["commands"][0].as_str().context("a command")?.to_owned();
    ensure!(command.starts_with("kubectl curfew approve told -n payments --digest "), "{command}");
    ensure!(asked.body["data"]["link"] == "https://console.example.com/requests/payments/told", "{asked:?}");
    ensure!(asked.headers["authorization"] == "Bearer a-token" && asked.headers.contains_key("webhook-signature"), "{asked:?}");
    ensure!(
        asked.headers["content-type"] == "application/cloudevents+json"
            && asked.headers["webhook-id"] == asked.body["id"].as_str().unwrap_or_default()
    );
    let mail = received.until_mailed("alice@example.com requests payments-admin in payments").await?;
    ensure!(mail.to == ["carol@example.com"], "an address that is refused keeps it from no other: {mail:?}");
    ensure!(mail.text.contains(&format!("\n{command}\n")) && mail.text.contains("justification: roll back release 2311\n"), "{mail:?}");
    let chat =
        received.until_posted("chat", "a chat message", |body| body["text"].as_str().is_some_and(|text| text.contains(&command))).await?;
    ensure!(chat.body["text"].as_str().is_some_and(|text| text.contains("|Open in the console>")), "{chat:?}");

    // A mailbox that is full delays the e-mail to no other.
    received.set_full("audit@example.com", true);
    run_printed(&carol, &command).await?;
    w.access_is(&alice, true, SOON).await?;
    event(&received, "Activated", "told").await?;
    let mail = received.until_mailed("alice@example.com has payments-admin in payments").await?;
    ensure!(mail.to == ["alice@example.com"] || mail.to == ["audit@example.com"] || mail.to == ["carol@example.com"], "{mail:?}");
    let told = || -> BTreeSet<String> {
        received.mails().into_iter().filter(|mail| mail.subject.contains("alice@example.com has")).flat_map(|mail| mail.to).collect()
    };
    let mut expected: BTreeSet<String> = ["alice@example.com", "carol@example.com"].map(str::to_owned).into();
    curfew_testkit::eventually("the others to be told", SOON, || async { Ok((told() == expected).then_some(())) }).await?;
    received.set_full("audit@example.com", false);
    expected.insert("audit@example.com".into());
    curfew_testkit::eventually("the rule to replace the administrators", SOON, || async { Ok((told() == expected).then_some(())) }).await?;

    decide(&w, &alice, "told", "Revoke").await?;
    w.access_is(&alice, false, SOON).await?;
    event(&received, "Ended", "told").await?;
    let mail = received.until_mailed("alice@example.com no longer has payments-admin in payments").await?;
    ensure!(mail.to == ["alice@example.com"], "{mail:?}");

    // What is decided before a channel has taken it is not asked for any more.
    received.set_broken("chat", true);
    alice.apply(&request("denied", "1h")).await?.success()?;
    event(&received, "ApprovalNeeded", "denied").await?;
    decide(&w, &carol, "denied", "Deny").await?;
    received.until_mailed("has ended: DeniedByApprover").await?;
    let failing = |message: &str| message.contains("approvals: it answered 503") && message.contains("silent: no answer");
    let condition = "{.status.conditions[?(@.type==\"NotificationsDelivered\")].message}";
    w.field_fits(&["curfewconfig", "curfew"], condition, "to name both channels", SOON, failing).await?;
    received.set_broken("chat", false);
    alice.apply(&request("short", "15s")).await?.success()?;
    let about = |name: &str| {
        received
            .posted("chat")
            .iter()
            .filter(|post| post.body["text"].as_str().is_some_and(|text| text.contains(&format!("name: {name}\n"))))
            .count()
    };
    curfew_testkit::eventually("the chat to ask for the third", SOON, || async { Ok((about("short") == 1).then_some(())) }).await?;
    ensure!((about("told"), about("denied")) == (1, 0), "only what is critical, and what is still open: {:?}", received.posted("chat"));

    // The silent channel has held up nothing: the access begins and ends on time, and the others hear of it.
    decide(&w, &carol, "short", "Approve").await?;
    w.access_is(&alice, true, SOON).await?;
    w.access_is(&alice, false, SOON).await?;
    ensure!(event(&received, "Ended", "short").await?.body["data"]["reason"] == "DeadlinePassed" || ids(&received, "short").len() == 3);
    ensure!(received.unanswered() > 0, "the silent channel was never asked");

    told_once_across_a_restart(&w, &received, operator).await
}

/// The life of an assignment, an escalation, the digest, and no event twice.
async fn told_once_across_a_restart(w: &World, received: &Receivers, operator: Operator) -> Result<()> {
    let admin = w.admin()?;
    let assignment = "{apiVersion: curfew.dev/v1alpha1, kind: EligibleAssignment, metadata: {name: made, namespace: payments}, spec: {roleRef: {name: payments-admin}, \
        subject: {group: payments-devs}, scope: {all: {}}, window: {permanent: {}}, justification: on call}}";
    admin.apply(assignment).await?.success()?;
    event(received, "Assigned", "made").await?;
    w.field_fits(&["eas", "-n", "payments", "made"], "{.status.told}", "to be stored", SOON, |told| told.contains("Assigned")).await?;
    // With two replicas the leader tells, and the follower nothing.
    let again = w.operator_with("operator-again", &[]).await?;
    eventually("the follower to be ready", SOON, || async { Ok(again.get("/readyz").await.ok()) }).await?;
    w.alice()?.apply(&request("beside", "1h")).await?.success()?;
    event(received, "ApprovalNeeded", "beside").await?;
    decide(w, &w.carol()?, "beside", "Deny").await?;
    event(received, "Refused", "beside").await?;
    let before: Vec<Vec<String>> = ["told", "denied", "short", "beside", "made"].map(|name| ids(received, name)).to_vec();
    ensure!(before[3].len() == 2, "each is told once: {before:?}");
    // It leads when the other one is dead, and tells what comes after.
    operator.kill();
    w.granting().await?;

    // It ends within a day now.
    let (now, day) = (curfew_testkit::unix_now(), 86_400);
    let at = |secs: i64| jiff::Timestamp::from_second(secs).map(|time| time.to_string());
    let window = json!({"spec": {"window": {"permanent": null, "between": {"start": at(now)?, "end": at(now + day / 2)?}}}}).to_string();
    admin.api(&["patch", "eas", "made", "-n", "payments", "--type=merge", "-p", &window]).await?.success()?;
    event(received, "AssignmentEnds", "made").await?;
    received.until_mailed("group payments-devs is eligible for payments-admin in payments only until").await?;

    // Those whom an escalation adds are told when it begins.
    let role = "{apiVersion: curfew.dev/v1alpha1, kind: RoleTemplate, metadata: {name: escalating, namespace: payments}, spec: {systems: {names: [this-cluster]}, \
        permissions: {kubernetes: {clusterRoles: [payments-admin]}}, scope: {kubernetes: {namespaces: [payments]}}, activation: {duration: {default: 1h, max: 4h}, \
        justification: Required, ticket: {none: {}}, mfa: {none: {}}, limits: {none: {}}, approval: {stages: [{name: owners, approvers: [{user: carol@example.com}], \
        quorum: 1, timeout: 1h, escalation: {after: 3s, approvers: [{group: payments-leads}]}}]}}, assignment: {eligible: {permanent: true, max: 365d}}}}";
    let eligible =
        assignment.replace("name: made", "name: escalating").replace("roleRef: {name: payments-admin}", "roleRef: {name: escalating}");
    admin.apply(role).await?.success()?;
    admin.apply(&eligible).await?.success()?;
    event(received, "Assigned", "escalating").await?;
    w.alice()?.apply(&request("slow", "1h").replace("{name: payments-admin}", "{name: escalating}")).await?.success()?;
    let asked = event(received, "ApprovalNeeded", "slow").await?;
    let more = event(received, "Escalated", "slow").await?;
    ensure!(asked.body["data"]["commands"][0] == more.body["data"]["commands"][0], "{more:?}");

    let digest = received.until_posted("events", "the digest", |body| body["data"]["event"] == "Digest").await?;
    ensure!(digest.body["data"]["topRoles"].is_string() && digest.body["data"]["activations"].is_string(), "{digest:?}");
    let mail = received.until_mailed("activations").await?;
    ensure!(mail.to == ["security@example.com"], "{mail:?}");
    let after: Vec<Vec<String>> = ["told", "denied", "short", "beside"].map(|name| ids(received, name)).to_vec();
    ensure!(after == before[..4] && before[4].len() == 1, "another replica sends nothing twice: {before:?} {after:?}");
    let all: Vec<Value> = received.posted("events").into_iter().map(|posted| posted.body["id"].clone()).collect();
    let distinct: BTreeSet<String> = all.iter().map(Value::to_string).collect();
    ensure!(all.len() == distinct.len(), "an event has an id of its own: {all:?}");
    Ok(())
}

/// The ids of what was posted about an object.
fn told_as(received: &Receivers, event: &str, name: &str) -> Vec<String> {
    let is = |body: &Value| body["data"]["event"] == event && body["data"]["name"] == name;
    received.posted("events").into_iter().filter(|posted| is(&posted.body)).map(|posted| posted.body["id"].to_string()).collect()
}

#[tokio::test]
async fn break_glass_is_told_within_ten_seconds_also_if_the_operator_was_killed() -> Result<()> {
    let (w, first) = World::running("notified-break-glass").await?;
    let received = Receivers::default();
    configure(&w, &received).await?;
    let limits = ("    limits: {none: {}}", "    limits: {none: {}}\n    breakGlass: {notify: [security, missing]}");
    template(&w, break_glass::ROLE, &[limits]).await?;
    let role = ["rtpl", "-n", "payments", break_glass::ROLE];
    ready(&w, &role, "True .. breakGlass.notify names missing, which spec.notifications of CurfewConfig does not have").await?;
    break_glass::policy(&w, true).await?;
    let (alice, carol) = (w.alice()?, w.carol()?);

    // Also while a channel takes a connection and never answers.
    alice.apply(&break_glass::broken("first", "1h")).await?.success()?;
    w.state_is("first", "Active").await?;
    let ten = Duration::from_secs(10);
    let told = eventually("break-glass to be told", ten, || async { Ok(told_as(&received, "BreakGlass", "first").pop()) }).await?;
    ensure!(told.contains("/BreakGlass/"), "{told}");
    w.access_is(&alice, true, SOON).await?;
    // The channel that the role names is told of it, and of the review that is outstanding, which it would not take otherwise.
    let mentions = |words: &'static str| move |body: &Value| body["text"].as_str().is_some_and(|text| text.contains(words));
    received.until_posted("security", "break-glass", mentions("break-glass: alice@example.com activates emergency")).await?;
    received
        .until_posted("security", "a reminder", mentions("the review of a break-glass access to emergency in payments is outs"))
        .await?;
    let reminder = event(&received, "ReviewOutstanding", "first").await?;
    let command = reminder.body["data"]["commands"][0].as_str().context("a command")?.to_owned();
    ensure!(command.starts_with("kubectl curfew review first -n payments --comment "), "{command}");
    run_printed(&carol, &command).await?;

    // Killed with a message that no channel has taken: the next operator tells it, once.
    for path in ["events", "chat", "security"] {
        received.set_broken(path, true);
    }
    alice.apply(&break_glass::broken("second", "1h")).await?.success()?;
    w.state_is("second", "Active").await?;
    w.field_fits(&["curfewconfig", "curfew"], FAULTS, "to name the channel", SOON, |told| told.contains("siem: it answered 503")).await?;
    first.kill();
    let again = next_operator(&w, &received, "again").await?;
    eventually("break-glass to be told", ten, || async { Ok(told_as(&received, "BreakGlass", "second").pop()) }).await?;
    received.until_posted("security", "the second", mentions("name: second\n")).await?;
    let uid = w.field(&["areq", "-n", "payments", "second"], "{.metadata.uid}").await?;
    let stored = |lease: &Value| -> Result<Option<()>> {
        let week = lease["metadata"]["annotations"]["curfew.dev/week"].as_str().unwrap_or_default();
        let all = ["siem", "security", "approvals"].iter().all(|channel| week.contains(&format!("{uid}/{channel}")));
        if all { Ok(Some(())) } else { bail!("{lease}") }
    };
    w.until(&["lease", "-n", "curfew-system", "curfew-notifications"], "what was taken to be stored", SOON, stored).await?;
    again.kill();
    let _third = next_operator(&w, &received, "third").await?;

    // It ends, and people are reminded of its review all the same.
    decide(&w, &carol, "second", "Revoke").await?;
    let ended = |body: &Value| {
        let data = &body["data"];
        data["event"] == "ReviewOutstanding"
            && data["name"] == "second"
            && data["state"] == "Revoked"
            && data["requester"] == "alice@example.com"
    };
    received.until_posted("events", "a reminder after the end", ended).await?;
    ensure!(told_as(&received, "BreakGlass", "second").len() == 1, "what was taken is not sent again");
    Ok(())
}

/// What the condition of CurfewConfig says.
const FAULTS: &str = "{.status.conditions[?(@.type==\"NotificationsDelivered\")].message}";

/// Starts an operator after another one was killed, when the channels work again.
async fn next_operator(w: &World, received: &Receivers, name: &str) -> Result<Operator> {
    for path in ["events", "chat", "security"] {
        received.set_broken(path, false);
    }
    w.admin()?.api(&["delete", "lease", "-n", "curfew-system", "curfew-operator"]).await?.success()?;
    let operator = w.operator_with(name, &[]).await?;
    w.granting().await?;
    Ok(operator)
}

#[tokio::test]
async fn standing_access_and_requests_about_assignments_are_told() -> Result<()> {
    let (w, _operator) = World::running("notified-assignments").await?;
    let received = Receivers::default();
    configure(&w, &received).await?;
    standing::offer(&w).await?;

    // Standing access is told of its assignment, and not of the requests by which it is given.
    let admin = w.admin()?;
    let day = assignment_requests::DAY;
    let window = standing::between(in_secs(-300), in_secs(100 * day));
    admin.apply(&standing::assignment("nights", "standing", "user: stan@example.com", &window)).await?.success()?;
    let made = event(&received, "ActiveAssigned", "nights").await?;
    ensure!(made.body["data"]["author"] == w.admin()?.name && made.body["data"]["kind"] == "ActiveAssignment", "{made:?}");
    let stan = w.cp.user("stan@example.com", &[])?;
    w.access_is(&stan, true, SOON).await?;
    for (end, told) in [(day / 2, "only until"), (4, "no longer has")] {
        if end == 4 {
            // The activation of the new window must be active, or its arming would be refused instead of its removal.
            let settled = |now: &str| {
                let mut states: Vec<_> = now.split_whitespace().collect();
                states.sort_unstable();
                states == ["Active", "Revoked"]
            };
            let of_each = standing::of_activations("nights", ".status.state");
            w.field_fits(&["areq", "-n", "payments"], &of_each, "to be settled", SOON, settled).await?;
            keep_bindings(&w).await?;
        }
        let until = json!({"spec": {"window": {"between": {"end": in_secs(end).to_string()}}}}).to_string();
        admin.api(&["patch", "aas", "nights", "-n", "payments", "--type=merge", "-p", &until]).await?.success()?;
        let mail = received.until_mailed(told).await?;
        ensure!(mail.subject.starts_with("user stan@example.com "), "{mail:?}");
    }
    event(&received, "AssignmentEnds", "nights").await?;
    event(&received, "AssignmentEnded", "nights").await?;
    // Its removal does not succeed: that is told of the request behind it, to those who have to act.
    let stuck = |body: &Value| body["data"]["event"] == "RevocationStuck" && body["data"]["beneficiary"] == "stan@example.com";
    received.until_posted("events", "the removal to be stuck", stuck).await?;
    let mail = received.until_mailed("cannot be removed from stan@example.com").await?;
    ensure!(mail.to.iter().all(|to| ["security@example.com", "stan@example.com"].contains(&to.as_str())), "{mail:?}");
    ensure!(stan.can_read_secret("payments", "db").await?, "it was removed, so this test shows less");
    admin.api(&["delete", "validatingadmissionpolicybinding", "keep-bindings"]).await?.success()?;
    w.access_is(&stan, false, SOON * 2).await?;

    // Who may extend an assignment is asked, and the requester is told.
    assignment_requests::install(&w).await?;
    assignment_requests::assign(&w, "devs", "asreq", "{user: erin@example.com}", (-day, 5 * day)).await?;
    let erin = assignment_requests::person(&w, "erin", &["asreq-leads"])?;
    let greta = assignment_requests::person(&w, "greta", &[])?;
    let extend = async |name: &str| {
        let more = assignment_requests::until(30 * day);
        erin.apply(&assignment_requests::asks(&w, name, "extend", "devs", &more).await?).await?.success()?;
        event(&received, "ApprovalNeeded", name).await
    };
    let refused = extend("refused").await?;
    let deny = refused.body["data"]["commands"][1].as_str().context("a command")?.to_owned();
    run_printed(&greta, &deny).await?;
    event(&received, "Refused", "refused").await?;
    let asked = extend("longer").await?;
    let command = asked.body["data"]["commands"][0].as_str().context("a command")?.to_owned();
    ensure!(command.starts_with("kubectl curfew approve asreq/longer -n asreq --digest "), "{command}");
    let mail = received.until_mailed("erin@example.com asks to extend assignment devs in asreq").await?;
    ensure!(mail.to == ["greta@example.com"], "{mail:?}");
    run_printed(&greta, &command).await?;
    event(&received, "AssignmentChanged", "longer").await?;
    let told = || -> BTreeSet<String> {
        received
            .mails()
            .into_iter()
            .filter(|mail| mail.subject.contains("done, as erin@example.com has asked"))
            .flat_map(|mail| mail.to)
            .collect()
    };
    eventually("the requester to be told", SOON, || async {
        let told = told();
        if told.contains("erin@example.com") && told.contains("security@example.com") { Ok(Some(())) } else { bail!("{told:?}") }
    })
    .await?;
    let other = |body: &Value| body["data"]["kind"] == "ActivationRequest" && body["data"]["event"] != "RevocationStuck";
    let of_standing: Vec<_> = received.posted("events").into_iter().filter(|posted| other(&posted.body)).collect();
    ensure!(of_standing.is_empty(), "{of_standing:?}");
    over_tls_to_an_authority_of_its_own(&w).await
}

/// Lets nobody change or delete what Curfew has written in the namespace.
async fn keep_bindings(w: &World) -> Result<()> {
    let admin = w.admin()?;
    let policy = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: keep-bindings}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [rbac.authorization.k8s.io], apiVersions: ["*"], resources: [rolebindings], operations: [UPDATE, DELETE]}]}
  matchConditions: [{name: marked, expression: "oldObject.metadata.name.startsWith('curfew:')"}]
  validations: [{expression: "false", message: nothing is removed today}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: keep-bindings}
spec: {policyName: keep-bindings, validationActions: [Deny]}
"#;
    admin.apply(policy).await?.success()?;
    eventually("the removal to be refused", SOON, || async {
        let names = w.field(&["rolebindings", "-n", "payments"], "{.items[*].metadata.name}").await?;
        let Some(binding) = names.split(' ').find(|name| name.starts_with("curfew:")) else { bail!("no binding of Curfew: {names}") };
        let out = admin.kubectl(&["delete", "rolebinding", "-n", "payments", binding, "--dry-run=server"]).await?;
        if out.stderr.contains("nothing is removed today") { Ok(Some(())) } else { bail!("{}{}", out.stdout, out.stderr) }
    })
    .await
}

/// Channels whose servers have certificates of an authority that the platform does not trust: each names it. One that does not gets nothing.
async fn over_tls_to_an_authority_of_its_own(w: &World) -> Result<()> {
    let (hooks, starting, wrapped, stranger) = (Receivers::default(), Receivers::default(), Receivers::default(), Receivers::default());
    let dir = w.cp.dir();
    let (url, other) = (hooks.serve_https(dir).await?, stranger.serve_https(dir).await?);
    let (start_tls, tls) = (starting.serve_secure_smtp(dir, true).await?, wrapped.serve_secure_smtp(dir, false).await?);
    let admin = w.admin()?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secured", "namespace": "curfew-system"},
        "stringData": {
            "url": format!("{url}/events"), "chat": format!("{url}/chat"), "other": format!("{other}/events"),
            "ca.crt": std::fs::read_to_string(dir.join("ca.crt"))?,
        },
    });
    admin.apply(&secret.to_string()).await?.success()?;
    let key = |key: &str| json!({"name": "secured", "key": key});
    let smtp = |port: u16, security: &str| json!({"smtp": {"host": "127.0.0.1", "port": port, "security": security, "from": "curfew@example.com", "caSecretRef": key("ca.crt")}});
    let channels = json!([
        {"name": "siem", "via": {"cloudEvents": {"urlSecretRef": key("url"), "caSecretRef": key("ca.crt")}}},
        {"name": "chat", "via": {"slack": {"urlSecretRef": key("chat"), "caSecretRef": key("ca.crt")}}},
        {"name": "start-tls", "via": smtp(start_tls, "StartTls")},
        {"name": "tls", "via": smtp(tls, "Tls")},
        {"name": "stranger", "via": {"cloudEvents": {"urlSecretRef": key("other")}}},
    ]);
    let patch = json!({"spec": {"notifications": {"channels": channels}}}).to_string();
    admin.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", &patch]).await?.success()?;
    let generation = w.field(&["curfewconfig", "curfew"], "{.metadata.generation}").await?;
    w.field_is(&["curfewconfig", "curfew"], "{.status.observedGeneration}", &generation).await?;
    w.alice()?.apply(&request("secured", "1h")).await?.success()?;
    event(&hooks, "ApprovalNeeded", "secured").await?;
    hooks.until_posted("chat", "a chat message", |body| body["text"].as_str().is_some_and(|text| text.contains("name: secured"))).await?;
    for mails in [&starting, &wrapped] {
        mails.until_mailed("alice@example.com requests payments-admin in payments").await?;
    }
    let refused =
        |told: &str| told.contains("stranger: ") && told.contains("certificate") && !told.contains("start-tls") && !told.contains("siem");
    w.field_fits(&["curfewconfig", "curfew"], FAULTS, "to name the one channel that is not trusted", SOON, refused).await?;
    ensure!(stranger.posted("events").is_empty(), "what is not trusted gets nothing");
    Ok(())
}

#[tokio::test]
async fn settings_of_channels_that_are_misspelt_or_unsafe_are_refused() -> Result<()> {
    let w = crate::shared::without_operator().await?;
    let admin = w.admin()?;
    let hook = json!({"urlSecretRef": {"name": "channels", "key": "url"}});
    let smtp = |more: Value| {
        let mut smtp = json!({"host": "mail.example.com", "from": "curfew@example.com"});
        more.as_object().into_iter().flatten().for_each(|(key, value)| smtp[key] = value.clone());
        json!({"channels": [{"name": "mail", "via": {"smtp": smtp}}]})
    };
    let password = json!({"username": "curfew", "passwordSecretRef": {"name": "channels", "key": "password"}});
    for (notifications, words) in [
        (json!({"channels": []}), "should have at least 1 items"),
        (json!({"channels": [{"name": "a", "via": {}}]}), "should have at least 1 properties"),
        (json!({"channels": [{"name": "a", "via": {"slack": hook, "cloudEvents": hook}}]}), "must have at most 1 item"),
        (json!({"channels": [{"name": "a", "via": {"slack": hook}, "level": "critical"}]}), "Unsupported value: \"critical\""),
        (json!({"channels": [{"name": "a", "via": {"slack": hook}, "recipient": ["Admins"]}]}), "field not declared in schema"),
        (json!({"channels": [{"name": "a", "via": {"slack": hook}}], "admins": ["a@example.com\r\nBcc: b@example.com"]}), "admins"),
        (json!({"channels": [{"name": "a", "via": {"slack": hook}}], "consoleURL": "javascript:alert(1)"}), "consoleURL"),
        (
            json!({"channels": [{"name": "a", "via": {"slack": hook}}], "rules": [{"event": "Approved", "recipient": "Admins", "defaults": true}]}),
            "Unsupported value",
        ),
        (smtp(json!({"security": "None", "credentials": password})), "a password is not sent over a connection without TLS"),
    ] {
        let config = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "CurfewConfig", "metadata": {"name": "curfew"},
            "spec": {"notifications": notifications},
        });
        // Server-side apply, as GitOps does: it refuses unknown fields, and leaves what others have set.
        let apply = ["apply", "--server-side", "--dry-run=server", "--field-manager=test", "-f", "-"];
        let refused = admin.kubectl_stdin(&apply, &config.to_string()).await?.refused()?;
        ensure!(refused.contains(words), "{config}: {refused}");
    }
    Ok(())
}
