//! Access for another identity: who may ask for whom, who holds it, who may approve, and who ends it.
use crate::{
    attacks::{logins::identity, resisted},
    shared::with_operator,
};
use anyhow::{Result, bail, ensure};
use curfew_testkit::{Output, SOON, User, World, eventually};
use serde_json::json;

const NAMESPACE: &str = "behalf";

/// A role for Erin, Frank and a service account, and a desk that may ask for Erin and the service account.
const ROLE: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: behalf}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: deployer, namespace: behalf}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: requesters, namespace: behalf}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: curfew-requester}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: access-desk}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: behalf-leads}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: mallory@example.com}
- {kind: ServiceAccount, name: deployer, namespace: behalf}
---
apiVersion: curfew.dev/v1alpha1
kind: AccessPolicy
metadata: {name: behalf}
spec:
  namespaces: {names: [behalf]}
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [payments-admin]}}
  scope: {kubernetes: {namespaces: [behalf]}}
  eligible: [{user: erin@example.com}, {user: frank@example.com}, {serviceAccount: {namespace: behalf, name: deployer}}]
  max: {duration: 8h, eligibility: 365d}
  min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {none: {}}}
  allow: {permanentEligibility: true}
  requestorAdmins:
  - {subject: {group: access-desk}, for: [{user: erin@example.com}, {serviceAccount: {namespace: behalf, name: deployer}}]}
---
apiVersion: curfew.dev/v1alpha1
kind: RoleTemplate
metadata: {name: behalf, namespace: behalf}
spec:
  systems: {names: [this-cluster]}
  permissions: {kubernetes: {clusterRoles: [payments-admin]}}
  scope: {kubernetes: {namespaces: [behalf]}}
  activation:
    duration: {max: 4h}
    justification: Optional
    ticket: {none: {}}
    mfa: {none: {}}
    approval: {stages: [{name: owners, approvers: [{group: behalf-leads}, {user: dana@example.com}], quorum: 1}]}
    limits: {none: {}}
  assignment: {eligible: {permanent: true}}
"#;

fn eligible(name: &str, subject: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: EligibleAssignment, metadata: {{name: {name}, namespace: {NAMESPACE}}}, \
         spec: {{roleRef: {{name: behalf}}, subject: {subject}, scope: {{all: {{}}}}, window: {{permanent: {{}}}}}}}}"
    )
}

fn asks(name: &str, beneficiary: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {name}, namespace: {NAMESPACE}}}, \
         spec: {{roleRef: {{name: behalf}}, duration: 1h, beneficiary: {beneficiary}}}}}"
    )
}

const ERIN: &str = "{user: erin@example.com}";
const DEPLOYER: &str = "{serviceAccount: {namespace: behalf, name: deployer}}";

/// Installs the role, and waits until it and its assignments are ready.
async fn install(w: &World) -> Result<()> {
    let admin = w.admin()?;
    admin.apply(ROLE).await?.success()?;
    admin.api(&["create", "secret", "generic", "db", "-n", NAMESPACE, "--from-literal=password=x"]).await?.success()?;
    let ready = "{.status.conditions[?(@.type==\"Ready\")].status}";
    for (name, subject) in [("erin", ERIN), ("frank", "{user: frank@example.com}"), ("deployer", DEPLOYER)] {
        admin.apply(&eligible(name, subject)).await?.success()?;
        w.field_is(&["eas", "-n", NAMESPACE, name], ready, "True").await?;
    }
    w.field_is(&["rtpl", "-n", NAMESPACE, "behalf"], ready, "True").await
}

async fn state_is(w: &World, name: &str, state: &str) -> Result<()> {
    w.field_is(&["areq", "-n", NAMESPACE, name], "{.status.state}", state).await
}

async fn ends(w: &World, name: &str, state: &str, words: &str) -> Result<()> {
    state_is(w, name, state).await?;
    let told = w.field(&["areq", "-n", NAMESPACE, name], "{.status.reason}: {.status.message}").await?;
    ensure!(told.contains(words), "{name}: expected {words:?}, got {told}");
    Ok(())
}

async fn decision(w: &World, request: &str, verb: &str) -> Result<String> {
    let digest = w.field(&["areq", "-n", NAMESPACE, request], "{.status.digest}").await?;
    Ok(format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: {NAMESPACE}}}, \
         spec: {{about: {{activationRequest: {{name: {request}}}}}, digest: '{digest}', decision: {verb}}}}}"
    ))
}

async fn decide(w: &World, who: &User, request: &str, verb: &str) -> Result<()> {
    who.create(&decision(w, request, verb).await?).await?.success().map(drop)
}

/// Waits until the decision of this login about a request has this reason.
async fn counted(w: &World, decider: &str, request: &str, reason: &str) -> Result<()> {
    let path = format!(
        "{{range .items[?(@.spec.decider.username==\"{decider}\")]}}{{.spec.about.activationRequest.name}}={{.status.conditions[0].reason}};{{end}}"
    );
    let is = format!("{request}={reason};");
    w.field_fits(&["adec", "-n", NAMESPACE], &path, &format!("to have {is}"), SOON, |now| now.contains(&is)).await
}

async fn reading_is(who: &User, allowed: bool) -> Result<()> {
    let words = format!("{} reading the secret to be {allowed}", who.name);
    eventually(&words, SOON, || async { Ok((who.can_read_secret(NAMESPACE, "db").await? == allowed).then_some(())) }).await
}

#[tokio::test]
async fn a_requestor_admin_asks_and_the_beneficiary_holds() -> Result<()> {
    let w = with_operator().await?;
    install(w).await?;
    // All of them are approvers, too, and none of them in this matter but Lena.
    let lead = |name: &str| w.cp.user(name, &["behalf-leads"]);
    let (dana, erin, lena) = (w.cp.user("dana@example.com", &["access-desk"])?, lead("erin@example.com")?, lead("lena@example.com")?);
    let deployer = w.cp.service_account(NAMESPACE, "deployer").await?;

    dana.apply(&asks("for-erin", ERIN)).await?.success()?;
    state_is(w, "for-erin", "AwaitingApproval").await?;
    let wide = lena.kubectl(&["get", "areq", "-n", NAMESPACE, "for-erin", "-o", "wide"]).await?.success()?;
    ensure!(wide.contains("dana@example.com") && wide.contains("user erin@example.com"), "{wide}");
    let events = ["events", "-n", NAMESPACE, "--field-selector", "involvedObject.kind=ActivationRequest,involvedObject.name=for-erin"];
    let told = |notes: &str| notes.contains("dana@example.com has requested this access for user erin@example.com");
    w.field_fits(&events, "{.items[*].message}", "to tell Erin", SOON, told).await?;
    for who in [&dana, &erin, &lead("Erin@example.com")?, &lead("DANA@example.com")?] {
        decide(w, who, "for-erin", "Approve").await?;
        let judged = counted(w, &who.name, "for-erin", "SelfDecision").await;
        resisted(judged.is_ok(), &format!("{} approves access that they have requested or would hold: {judged:?}", who.name))?;
    }
    ensure!(!erin.can_read_secret(NAMESPACE, "db").await?);
    decide(w, &lena, "for-erin", "Approve").await?;
    state_is(w, "for-erin", "Active").await?;
    reading_is(&erin, true).await?;
    ensure!(!dana.can_read_secret(NAMESPACE, "db").await?, "who asks for another gets no access");
    let message = w.field(&["areq", "-n", NAMESPACE, "for-erin"], "{.status.message}").await?;
    ensure!(message.starts_with("user erin@example.com has the access until"), "{message}");
    decide(w, &erin, "for-erin", "Revoke").await?;
    reading_is(&erin, false).await?;
    ends(w, "for-erin", "Revoked", "RevokedByHolder").await?;

    // A service account: it holds the access, and gives it back by deleting the request.
    dana.apply(&asks("for-deployer", DEPLOYER)).await?.success()?;
    state_is(w, "for-deployer", "AwaitingApproval").await?;
    decide(w, &lena, "for-deployer", "Approve").await?;
    reading_is(&deployer, true).await?;
    ensure!(!dana.can_read_secret(NAMESPACE, "db").await? && !erin.can_read_secret(NAMESPACE, "db").await?);
    let other = w.mallory()?.api(&["delete", "areq", "-n", NAMESPACE, "for-deployer"]).await?.refused()?;
    ensure!(other.contains("a request is deleted by its requester, its beneficiary, or a manager"), "{other}");
    deployer.api(&["delete", "areq", "-n", NAMESPACE, "for-deployer"]).await?.success()?;
    reading_is(&deployer, false).await?;
    refused(w, &dana, &erin).await?;

    // What the policy no longer lists is no longer held.
    dana.apply(&asks("listed", DEPLOYER)).await?.success()?;
    state_is(w, "listed", "AwaitingApproval").await?;
    decide(w, &lena, "listed", "Approve").await?;
    reading_is(&deployer, true).await?;
    let unlisted = r#"{"spec": {"requestorAdmins": [{"subject": {"group": "access-desk"}, "for": [{"user": "erin@example.com"}]}]}}"#;
    w.admin()?.api(&["patch", "apol", NAMESPACE, "--type=merge", "-p", unlisted]).await?.success()?;
    reading_is(&deployer, false).await?;
    ends(w, "listed", "Revoked", "NotEligible").await
}

/// What is not listed is refused by name, and what admission can know, before it is stored.
async fn refused(w: &World, dana: &User, erin: &User) -> Result<()> {
    let listed = "none of its requestorAdmins";
    for (who, name, beneficiary, words) in [
        (
            dana,
            "unlisted",
            "{user: frank@example.com}",
            "policy behalf does not let dana@example.com request access for user frank@example.com",
        ),
        (dana, "spelt", "{user: Erin@example.com}", "names user Erin@example.com itself"),
        (dana, "herself", "{user: dana@example.com}", "names dana@example.com or one of their groups"),
        (&w.mallory()?, "mallorys", ERIN, listed),
        (erin, "erins", DEPLOYER, listed),
    ] {
        who.apply(&asks(name, beneficiary)).await?.success()?;
        let judged = ends(w, name, "Denied", words).await;
        resisted(judged.is_ok(), &format!("{} asks for {beneficiary}, whom no policy lists for them: {judged:?}", who.name))?;
    }
    // Who withdraws: the requester.
    dana.apply(&asks("withdrawn", ERIN)).await?.success()?;
    state_is(w, "withdrawn", "AwaitingApproval").await?;
    decide(w, dana, "withdrawn", "Revoke").await?;
    state_is(w, "withdrawn", "Cancelled").await?;

    for (from, to, words) in [
        ("subject: {group: access-desk}", "subject: {serviceAccount: {namespace: behalf, name: deployer}}", "requestor admins are people"),
        ("subject: {group: access-desk}", "subject: {group: 'system:serviceaccounts'}", "reserved for Kubernetes"),
        ("for: [{user: erin@example.com}", "for: [{user: 'system:admin'}", "reserved for Kubernetes"),
        ("for: [{user: erin@example.com}", "for: [{group: behalf-leads}", "group"),
        ("for: [{user: erin@example.com}, {serviceAccount: {namespace: behalf, name: deployer}}]", "for: []", "requestorAdmins[0].for"),
    ] {
        ensure!(ROLE.contains(from), "the policy has no {from:?}");
        let told = w.admin()?.api_stdin(&["apply", "--dry-run=server", "-f", "-"], &ROLE.replace(from, to)).await?.refused()?;
        ensure!(told.contains(words), "{to}: expected {words:?}, got {told}");
    }
    Ok(())
}

/// As an administrator who may impersonate, with this alias.
async fn as_person(w: &World, name: &str, alias: &str, group: &str, more: &[&str], yaml: &str) -> Result<Output> {
    let login = [format!("--as={name}"), format!("--as-user-extra=curfew.dev/person={alias}"), format!("--as-group={group}")];
    let login: Vec<&str> = login.iter().map(String::as_str).collect();
    // The schema cannot be downloaded under every borrowed name; the server checks it all the same.
    w.admin()?.kubectl_stdin(&[&login[..], &["create", "--validate=false", "-f", "-"], more].concat(), yaml).await
}

#[tokio::test]
async fn a_person_is_asked_for_only_where_their_other_logins_are_recognised() -> Result<()> {
    let (w, _operator) = World::running("behalf").await?;
    install(&w).await?;
    let dana = async |name: &str, more: &[&str]| {
        as_person(&w, "dana@example.com", "dana@example.com", "access-desk", more, &asks(name, ERIN)).await
    };
    let keys = json!(["curfew.dev/person"]);
    let numbers = json!({"aliases": {"none": null, "userNameKeys": null, "keys": keys}, "deciderProof": {"none": {}, "keys": null}});
    identity(&w, numbers.clone()).await?;
    eventually("the API server to record the key", SOON, || async {
        let out = dana("probe", &["--dry-run=server", "-o", "jsonpath={.spec.requester.extra}"]).await?;
        if out.stdout.contains("curfew.dev/person") { Ok(Some(())) } else { bail!("{}{}", out.stdout, out.stderr) }
    })
    .await?;
    dana("numbered", &[]).await?.success()?;
    ends(&w, "numbered", "Denied", "NotEligible: the other logins of erin@example.com are not known").await?;

    identity(&w, json!({"aliases": {"keys": null, "userNameKeys": keys}})).await?;
    dana("named", &[]).await?.success()?;
    state_is(&w, "named", "AwaitingApproval").await?;
    let approval = decision(&w, "named", "Approve").await?;
    let approve = async |login: &str, person: &str| as_person(&w, login, person, "behalf-leads", &[], &approval).await?.success();
    for (login, person) in [("root-erin@example.com", "erin@example.com"), ("root-dana@example.com", "Dana@example.com")] {
        approve(login, person).await?;
        counted(&w, login, "named", "SelfDecision").await?;
    }
    approve("lena@example.com", "lena@example.com").await?;
    state_is(&w, "named", "Active").await?;
    let erin = w.cp.user("erin@example.com", &[])?;
    reading_is(&erin, true).await?;
    // What is active goes on when the configuration says less again.
    identity(&w, numbers).await?;
    dana("again", &[]).await?.success()?;
    ends(&w, "again", "Denied", "NotEligible: the other logins of erin@example.com are not known").await?;
    ensure!(erin.can_read_secret(NAMESPACE, "db").await?);
    state_is(&w, "named", "Active").await
}
