//! Logins as the authenticators of managed clusters describe them to the API server, in the form of a TokenReview.
//!
//! Sources: EKS as aws-iam-authenticator answers; GKE as the extra keys that its API server sets; AKS as guard answers, where the groups of
//! a person with more than 200 of them are left out of the token.
use super::{MFA, Stage, answered, verdict};
use crate::{
    attacks::resisted,
    story::{
        decide,
        refusals::{of, ready, refused, template},
    },
};
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, User, eventually};
use serde_json::{Value, json};

/// What is extra in a login of the role `Operators` on EKS: only the session name tells people apart.
fn eks(s: &Stage, session: &str, username: &str, groups: &[&str]) -> Result<User> {
    let role = "AROAEXAMPLEOPERATORS";
    s.w.cp.reviewed_login(
        &s.issuer,
        json!({
            "username": username, "uid": format!("aws-iam-authenticator:111122223333:{role}"), "groups": groups,
            "extra": {
                "accessKeyId": ["ASIAEXAMPLE"], "arn": [format!("arn:aws:sts::111122223333:assumed-role/Operators/{session}")],
                "canonicalArn": ["arn:aws:iam::111122223333:role/Operators"], "principalId": [role], "sessionName": [session],
                "sigs.k8s.io/aws-iam-authenticator/principalId": [role],
            },
        }),
    )
}

fn gke(s: &Stage, username: &str, groups: &[&str]) -> Result<User> {
    let extra = json!({"iam.gke.io/user-assertion": ["AOtherSecret"], "user-assertion.cloud.google.com": ["AVerySecret"]});
    s.w.cp.reviewed_login(&s.issuer, json!({"username": username, "groups": groups, "extra": extra}))
}

fn aks(s: &Stage, username: &str, oid: &str, groups: &[&str]) -> Result<User> {
    s.w.cp.reviewed_login(&s.issuer, json!({"username": username, "groups": groups, "extra": {"oid": [oid]}}))
}

/// Every login that MFA is not read from is refused where a role asks for it.
async fn has_no_mfa(login: &User) -> Result<()> {
    answered(login, &of("managed-mfa", "no-mfa", "1h"), "the login has no value under extra key curfew.dev/amr").await
}

/// Waits until the API server records exactly these keys of a login: it learns of other ones some moments after they are stored.
async fn records(login: &User, keys: &[&str]) -> Result<()> {
    let args = ["create", "--dry-run=server", "-o", "jsonpath={.spec.requester.extra}", "-f", "-"];
    eventually(&format!("{keys:?} to be recorded"), SOON, || async {
        let out = login.kubectl_stdin(&args, &of("managed", "recorded", "1h")).await?;
        let extra: Value = serde_json::from_str(if out.ok && !out.stdout.is_empty() { &out.stdout } else { "{}" })?;
        Ok(extra.as_object().is_some_and(|extra| extra.keys().map(String::as_str).eq(keys.iter().copied())).then_some(()))
    })
    .await
}

async fn recorded(s: &Stage, request: &str) -> Result<Value> {
    let extra = s.w.field(&["areq", "-n", "payments", request], "{.spec.requester.extra}").await?;
    Ok(serde_json::from_str(&extra)?)
}

pub(super) async fn logins_of_managed_clusters(s: &Stage) -> Result<()> {
    let mfa = json!({"methodsKey": "curfew.dev/amr", "methods": ["mfa"], "timeKey": "curfew.dev/auth-time"});
    s.identity(json!({"mfa": mfa})).await?;
    template(&s.w, "managed", &[]).await?;
    template(&s.w, "managed-mfa", &[MFA]).await?;
    for role in ["managed", "managed-mfa"] {
        ready(&s.w, &["rtpl", "-n", "payments", role], "True").await?;
    }
    on_eks(s).await?;
    on_gke(s).await?;
    on_aks(s).await
}

/// One uid is a whole role, and the default proof of a decider's login is absent: the session name takes the place of both.
async fn on_eks(s: &Stage) -> Result<()> {
    let dev = eks(s, "nora@example.com", "nora@example.com", &["payments-devs"])?;
    let lead = eks(s, "olaf@example.com", "olaf@example.com", &["payments-leads"])?;
    records(&dev, &["authentication.kubernetes.io/credential-id", "curfew.dev/amr", "curfew.dev/auth-time"]).await?;
    dev.create(&of("managed", "eks-default", "1h")).await?.success()?;
    s.w.state_is("eks-default", "AwaitingApproval").await?;
    decide(&s.w, &lead, "eks-default", "Approve").await?;
    let told = verdict(s, "olaf@example.com", "eks-default").await?;
    ensure!(told.starts_with("False UnprovenLogin") && told.contains("identity.deciderProof"), "{told}");

    let session = json!({"keys": ["sessionName"], "none": null});
    s.identity(json!({"aliases": session, "deciderProof": session, "uids": {"personal": null, "shared": {}}})).await?;
    records(&dev, &["curfew.dev/amr", "curfew.dev/auth-time", "sessionName"]).await?;
    dev.create(&of("managed", "eks", "1h")).await?.success()?;
    s.w.state_is("eks", "AwaitingApproval").await?;
    let extra = recorded(s, "eks").await?;
    let kept = json!({"curfew.dev/amr": [], "curfew.dev/auth-time": [], "sessionName": ["nora@example.com"]});
    ensure!(extra == kept, "keys that CurfewConfig does not name are not recorded: {extra}");
    let second = eks(s, "nora@example.com", "admin:nora", &["payments-leads"])?;
    decide(&s.w, &second, "eks", "Approve").await?;
    let told = verdict(s, "admin:nora", "eks").await?;
    resisted(told.starts_with("False SelfDecision"), &format!("a second role of one person approves: {told}"))?;
    decide(&s.w, &lead, "eks", "Approve").await?;
    s.w.access_is(&dev, true, SOON).await?;
    dev.api(&["delete", "areq", "-n", "payments", "eks"]).await?.success()?;
    s.w.access_is(&dev, false, SOON).await?;
    has_no_mfa(&dev).await
}

/// There is neither a uid nor an extra key that may be recorded: the assertions are secrets.
async fn on_gke(s: &Stage) -> Result<()> {
    let none = json!({"keys": null, "none": {}});
    s.identity(json!({"aliases": none, "deciderProof": none, "uids": {"personal": {}, "shared": null}})).await?;
    let (dev, lead) = (gke(s, "gina@example.com", &["payments-devs"])?, gke(s, "gus@example.com", &["payments-leads"])?);
    records(&dev, &["curfew.dev/amr", "curfew.dev/auth-time"]).await?;
    dev.create(&of("managed", "gke", "1h")).await?.success()?;
    s.w.state_is("gke", "AwaitingApproval").await?;
    let whole = s.w.field(&["areq", "-n", "payments", "gke"], "{.spec}{.status}").await?;
    ensure!(!whole.contains("Secret") && !whole.contains("assertion"), "an assertion is recorded: {whole}");
    decide(&s.w, &lead, "gke", "Approve").await?;
    s.w.access_is(&dev, true, SOON).await?;
    dev.api(&["delete", "areq", "-n", "payments", "gke"]).await?.success()?;
    s.w.access_is(&dev, false, SOON).await?;
    has_no_mfa(&dev).await
}

/// The object id is the person. Someone who is in too many groups arrives without any: such a person is what an assignment or a stage says of
/// the user.
async fn on_aks(s: &Stage) -> Result<()> {
    let oid = json!({"keys": ["oid"], "none": null});
    s.identity(json!({"aliases": oid, "deciderProof": oid})).await?;
    let dev = aks(s, "adam@example.com", "11111111-aaaa", &["payments-devs"])?;
    records(&dev, &["curfew.dev/amr", "curfew.dev/auth-time", "oid"]).await?;
    dev.create(&of("managed", "aks", "1h")).await?.success()?;
    s.w.state_is("aks", "AwaitingApproval").await?;
    let without_groups = aks(s, "ruth@example.com", "22222222-bbbb", &[])?;
    for account in ["ruth@example.com", "carol@example.com"] {
        for role in ["curfew-requester", "curfew-approver"] {
            let binding = format!("{role}-{}", account.split('@').next().unwrap_or_default());
            let (role, user) = (format!("--clusterrole={role}"), format!("--user={account}"));
            s.w.admin()?.api(&["create", "rolebinding", "-n", "payments", &binding, &role, &user]).await?.success()?;
        }
    }
    without_groups.create(&of("managed", "aks-overage", "1h")).await?.success()?;
    refused(&s.w, "aks-overage", "Denied", "NotEligible", "ruth@example.com").await?;
    decide(&s.w, &without_groups, "aks", "Approve").await?;
    let told = verdict(s, "ruth@example.com", "aks").await?;
    ensure!(told.starts_with("False NotEntitled"), "{told}");
    // Another name of the same person, as after a change of the user principal name.
    let renamed = aks(s, "carol@example.com", "11111111-aaaa", &[])?;
    decide(&s.w, &renamed, "aks", "Approve").await?;
    let told = verdict(s, "carol@example.com", "aks").await?;
    resisted(told.starts_with("False SelfDecision"), &format!("a person approves under another name: {told}"))?;
    // Named as a user, nobody needs groups.
    let carol = aks(s, "carol@example.com", "33333333-cccc", &[])?;
    decide(&s.w, &carol, "aks", "Approve").await?;
    s.w.access_is(&dev, true, SOON).await?;
    dev.api(&["delete", "areq", "-n", "payments", "aks"]).await?.success()?;
    s.w.access_is(&dev, false, SOON).await?;
    has_no_mfa(&dev).await
}
