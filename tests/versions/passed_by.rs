//! Attacks through a version that no policy names. Each is refused as through the version that the policies name, and succeeds once the
//! policies look at that version alone.
use super::{ALONE, BESIDE, NEXT, STORED, apply, create, next, read, refused, with_next};
use anyhow::{Result, bail, ensure};
use curfew_testkit::{Output, SOON, User, World, eventually};

const FORGED: &str = ", requester: {username: alice@example.com, groups: [payments-devs, 'system:authenticated'], \
                      extra: {authentication.kubernetes.io/credential-id: [X509SHA256=0]}}";

fn request(name: &str, more: &str) -> String {
    next(&crate::attacks::asks("payments-admin", name, "1h", more))
}

fn decision(name: &str) -> String {
    next(&format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: honest-beside}}}}, digest: '{}', decision: Approve, \
         decider: {{username: carol@example.com, groups: [], extra: {{authentication.kubernetes.io/credential-id: [X509SHA256=0]}}}}}}}}",
        "0".repeat(64)
    ))
}

/// A Grant that nobody has asked for.
pub fn grant(name: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: Grant, metadata: {{name: {name}}}, spec: {{digest: '{}', expiresAt: '2099-01-01T00:00:00Z', \
         system: {{name: s, uid: u, target: t, connection: {{kubernetes: {{inCluster: {{}}}}}}}}, \
         request: {{namespace: payments, name: r, uid: u, requester: m, beneficiary: {{user: m}}}}, principal: {{kubernetes: {{user: m}}}}, \
         plan: {{kubernetes: {{subject: {{user: m}}, bindings: [{{name: 'curfew:x', namespace: payments, roleKind: ClusterRole, role: view}}]}}}}}}}}",
        "0".repeat(64)
    )
}

/// Writes a status through the next version.
async fn status(who: &User, kind: &str, more: &[&str]) -> Result<Output> {
    let resource = format!("{kind}.{NEXT}.curfew.dev");
    let patch = ["patch", &resource, "--subresource=status", "--type=merge", "-p", r#"{"status": {"message": "forged"}}"#];
    who.kubectl(&[&patch[..], more].concat()).await
}

/// Each attempt, and the policy that refuses it.
async fn attempts(who: &User, round: &str) -> Result<Vec<(&'static str, Output, &'static str)>> {
    let payments = ["-n", "payments", "honest-beside"];
    Ok(vec![
        ("a request in another user's name", create(who, &request(&format!("forged-{round}"), FORGED)).await?, "curfew-requests"),
        ("an approval in another user's name", create(who, &decision(&format!("forged-{round}"))).await?, "curfew-decisions"),
        ("a Grant", create(who, &next(&grant(&format!("forged-{round}")))).await?, "curfew-ledger"),
        ("a status", status(who, "activationrequests", &payments).await?, "curfew-ledger"),
        (
            "the deletion of another user's request",
            who.kubectl(&[
                "delete",
                &format!("activationrequests.{NEXT}.curfew.dev"),
                "--dry-run=server",
                "-n",
                "payments",
                "honest-beside",
            ])
            .await?,
            "curfew-requests",
        ),
    ])
}

#[tokio::test]
async fn no_policy_is_passed_by_through_a_version_that_it_does_not_name() -> Result<()> {
    let w = World::first("versions-passed-by").await?;
    let (admin, alice, mallory) = (w.admin()?, w.alice()?, w.mallory()?);
    // Every right that RBAC has, except the verb by which a manager deletes requests: what stops her then are the policies.
    let rules = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: mallory}, \
                 rules: [{apiGroups: [curfew.dev], resources: ['*'], verbs: [get, list, watch, create, update, patch, delete]}]}";
    admin.apply(rules).await?.success()?;
    admin.api(&["create", "clusterrolebinding", "mallory", "--clusterrole=mallory", "--user=mallory@example.com"]).await?.success()?;
    for (round, served) in [("beside", BESIDE), ("stored", STORED), ("alone", ALONE)] {
        let versions = if served.own { &[curfew::api::VERSION, NEXT][..] } else { &[NEXT] };
        apply(&admin, &with_next(served)?, versions).await?;
        // An honest one is stamped all the same, and the same object through both versions.
        let honest = request(&format!("honest-{round}"), "");
        // Some moments after a version is served, the policies that fill in the requester do not know its kind.
        eventually("an honest request to be taken", SOON, || async { create(&alice, &honest).await?.success().map(Some) }).await?;
        for version in versions {
            let more = ["-n", "payments", &format!("honest-{round}")];
            let who = read(&admin, version, "activationrequests", &more, "{.apiVersion} {.spec.requester.username}").await?;
            ensure!(who == format!("curfew.dev/{version} {}", alice.name), "{who}");
        }
        for (what, out, policy) in attempts(&mallory, round).await? {
            refused(&format!("{round}: {what} through {NEXT}"), out, policy)?;
        }
    }
    apply(&admin, &with_next(BESIDE)?, &[curfew::api::VERSION, NEXT]).await?;
    looking_at_one_version(&admin).await?;
    eventually("the attacks to succeed without the protection", SOON * 2, || async {
        let refused: Vec<_> = attempts(&mallory, "unprotected")
            .await?
            .into_iter()
            .filter(|(_, out, _)| !out.ok && !out.stderr.contains("AlreadyExists"))
            .collect();
        if refused.is_empty() { Ok(Some(())) } else { bail!("refused: {refused:?}") }
    })
    .await
}

/// Lets the policies look at the version that they name, and at no equivalent one.
async fn looking_at_one_version(admin: &User) -> Result<()> {
    let policies = ["curfew-requests", "curfew-keys-of-requests", "curfew-decisions", "curfew-keys-of-decisions", "curfew-ledger"];
    for policy in policies {
        let patch = ["--type=merge", "-p", r#"{"spec": {"matchConstraints": {"matchPolicy": "Exact"}}}"#];
        admin.kubectl(&[&["patch", "validatingadmissionpolicy", policy][..], &patch].concat()).await?.success()?;
    }
    Ok(())
}
