//! What is recorded of a login, and who counts as one person. Part of the tests of `who`, on its control plane.
use super::{asks, resisted, who::counted};
use anyhow::{Result, ensure};
use curfew_testkit::{Output, SOON, User, World, built, eventually};
use serde_json::{Value, json};

/// A login as an admin impersonates it: name, group, uid and extra keys.
pub struct Login<'a> {
    pub name: &'a str,
    pub group: &'a str,
    pub uid: &'a str,
    pub extra: &'a [(&'a str, &'a str)],
}

impl Login<'_> {
    pub async fn create(&self, admin: &User, yaml: &str) -> Result<Output> {
        let mut args = vec![format!("--as={}", self.name), format!("--as-group={}", self.group)];
        args.extend((!self.uid.is_empty()).then(|| format!("--as-uid={}", self.uid)));
        args.extend(self.extra.iter().map(|(key, value)| format!("--as-user-extra={key}={value}")));
        args.extend(["create", "--validate=false", "-f", "-"].map(str::to_owned));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        admin.kubectl_stdin(&args, yaml).await
    }
}

fn approval(request: &str, digest: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: {request}}}}}, digest: '{digest}', decision: Approve}}}}"
    )
}

/// Changes `spec.identity` of CurfewConfig, and waits until the operator has told the API server which keys to record.
pub async fn identity(w: &World, identity: Value) -> Result<()> {
    let patch = json!({"spec": {"identity": identity}}).to_string();
    w.admin()?.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", &patch]).await?.success()?;
    let keys = w.field(&["curfewconfig", "curfew"], "{.spec.identity}").await?;
    let config: curfew::api::config::Identity = serde_json::from_str(&keys)?;
    let expected = config.recorded_keys().join("\n");
    w.field_is(&["configmap", "-n", "curfew-system", "curfew-identity-keys"], "{.data.keys}", &expected).await
}

async fn digest(w: &World, request: &str) -> Result<String> {
    w.state_is(request, "AwaitingApproval").await?;
    w.field(&["areq", "-n", "payments", request], "{.status.digest}").await
}

/// On EKS the uid of a login is that of its role.
pub async fn one_uid_of_a_whole_role(w: &World) -> Result<()> {
    let admin = w.admin()?;
    let none = json!({"keys": null, "none": {}});
    identity(w, json!({"aliases": none, "deciderProof": none})).await?;
    let alice = Login { name: "alice@example.com", group: "payments-devs", uid: "aws-iam:1:AROA", extra: &[] };
    let carol = Login { name: "carol@example.com", group: "payments-leads", ..alice };
    alice.create(&admin, &asks("payments-admin", "one-uid", "1h", "")).await?.success()?;
    carol.create(&admin, &approval("one-uid", &digest(w, "one-uid").await?)).await?.success()?;
    counted(w, "carol@example.com", "one-uid", "SelfDecision").await?;
    let path = "{.items[?(@.spec.about.activationRequest.name==\"one-uid\")].status.conditions[0].message}";
    let told = w.field(&["adec", "-n", "payments"], path).await?;
    ensure!(told.contains("uid aws-iam:1:AROA is the same") && told.contains("set spec.identity.uids of CurfewConfig to shared"), "{told}");

    identity(w, json!({"uids": {"personal": null, "shared": {}}})).await?;
    alice.create(&admin, &asks("payments-admin", "colleagues", "1h", "")).await?.success()?;
    carol.create(&admin, &approval("colleagues", &digest(w, "colleagues").await?)).await?.success()?;
    w.state_is("colleagues", "Active").await?;
    // The name still tells that it is the same person.
    alice.create(&admin, &asks("payments-admin", "own", "1h", "")).await?.success()?;
    let own = Login { name: "Alice@example.com", uid: "aws-iam:1:AROB", ..carol };
    own.create(&admin, &approval("own", &digest(w, "own").await?)).await?.success()?;
    counted(w, "Alice@example.com", "own", "SelfDecision").await
}

/// A request is made while one alias is asked for, and judged while there are two: what the requester's login has under the second one
/// was not recorded.
pub async fn a_key_that_is_asked_for_later(w: &World) -> Result<()> {
    let admin = w.admin()?;
    identity(w, json!({"aliases": {"none": null, "keys": ["curfew.dev/person"]}})).await?;
    let extra = [("curfew.dev/person", "7"), ("curfew.dev/badge", "B"), ("example.com/token", "secret-7")];
    let alice = Login { name: "alice@example.com", group: "payments-devs", uid: "", extra: &extra };
    alice.create(&admin, &asks("payments-admin", "early", "1h", "")).await?.success()?;
    let recorded = w.field(&["areq", "-n", "payments", "early"], "{.spec.requester.extra}").await?;
    ensure!(serde_json::from_str::<Value>(&recorded)? == json!({"curfew.dev/person": ["7"]}), "recorded: {recorded}");
    let digest = digest(w, "early").await?;
    identity(w, json!({"aliases": {"keys": ["curfew.dev/person", "curfew.dev/badge"]}})).await?;
    let second = Login {
        name: "carol@example.com",
        group: "payments-leads",
        extra: &[("curfew.dev/person", "8"), ("curfew.dev/badge", "B")],
        ..alice
    };
    second.create(&admin, &approval("early", &digest)).await?.success()?;
    let told = w.field_is(&["areq", "-n", "payments", "early"], "{.status.reason}", "UnprovenLogin").await;
    resisted(told.is_ok(), &format!("a second login approves, by a key that was not recorded: {told:?}"))?;
    let told = w.field(&["areq", "-n", "payments", "early"], "{.status.message}").await?;
    ensure!(told.contains("curfew.dev/badge") && told.contains("create it again"), "{told}");
    alice.create(&admin, &asks("payments-admin", "again", "1h", "")).await?.success()?;
    second.create(&admin, &approval("again", &self::digest(w, "again").await?)).await?.success()?;
    counted(w, "carol@example.com", "again", "SelfDecision").await
}

/// As on Kubernetes before 1.36: the plugin sends what it would be recorded with.
pub async fn without_the_stamp(w: &World) -> Result<()> {
    let (admin, alice) = (w.admin()?, w.alice()?);
    let none = json!({"keys": null, "none": {}});
    let proof = json!({"none": null, "keys": ["authentication.kubernetes.io/credential-id", "example.com/absent"]});
    identity(w, json!({"aliases": none, "deciderProof": proof})).await?;
    let (config, proven) = (["curfewconfig", "curfew"], "{.status.admission.digest}");
    let before = w.field(&config, proven).await?;
    admin.kubectl(&["delete", "mutatingadmissionpolicybinding", "curfew-stamp-requests", "curfew-stamp-decisions"]).await?.success()?;
    // What is made before the next proof is not believed: the policies have changed.
    w.field_fits(&config, proven, "to be another one", SOON, |now| !now.is_empty() && now != before).await?;
    w.field_is(&config, "{.status.admission.stamping}", "Missing").await?;
    eventually("the policy to be out of force", SOON, || async {
        let out = alice.api_stdin(&["create", "--dry-run=server", "-f", "-"], &asks("payments-admin", "plain", "1h", "")).await?;
        Ok(out.stderr.contains("use kubectl curfew request").then_some(()))
    })
    .await?;
    let plugin = built("kubectl-curfew")?;
    let args = ["request", "payments-admin", "-n", "payments", "-j", "roll back", "--name", "sent", "--no-wait"];
    alice.run(&plugin, &args, None).await?.success()?;
    w.state_is("sent", "AwaitingApproval").await?;
    let recorded: Value = serde_json::from_str(&w.field(&["areq", "-n", "payments", "sent"], "{.spec.requester.extra}").await?)?;
    ensure!(recorded["example.com/absent"] == json!([]) && recorded.as_object().is_some_and(|all| all.len() == 2), "{recorded}");
    let args = ["approve", "sent", "-n", "payments", "--digest", &digest(w, "sent").await?];
    let told = w.carol()?.run(&plugin, &args, None).await?.refused()?;
    ensure!(told.contains("the decision does not count (UnprovenLogin)"), "{told}");
    let told = w.carol()?.run(&plugin, &["whoami"], None).await?.success()?;
    ensure!(told.contains("decisions  do not count: the login has no value for example.com/absent"), "{told}");
    Ok(())
}
