//! Every way in which a request ends, by the hands of the people who end it; the access is used each time.
use super::{decide, request};
use crate::shared::with_operator;
use anyhow::{Result, ensure};
use curfew_testkit::{SOON, World, eventually};
use tokio::sync::OnceCell;

/// The shared cluster with more people.
async fn world() -> Result<&'static World> {
    static PREPARED: OnceCell<&World> = OnceCell::const_new();
    let w = PREPARED
        .get_or_try_init(|| async {
            let w = with_operator().await?;
            // More people who may ask, each for their own access, and one who approves without being asked.
            let admin = w.admin()?;
            for user in ["ann", "ben", "cleo", "dan", "eve"] {
                let name = format!("{user}-asks");
                admin
                    .api(&[
                        "create",
                        "rolebinding",
                        "-n",
                        "payments",
                        &name,
                        "--clusterrole=curfew-requester",
                        &format!("--user={user}@example.com"),
                    ])
                    .await?
                    .success()?;
            }
            anyhow::Ok(w)
        })
        .await?;
    Ok(w)
}

/// Asks as a member of the group payments-devs, and waits until people decide.
async fn asked(w: &World, who: &str, name: &str, duration: &str) -> Result<curfew_testkit::User> {
    let user = w.cp.user(&format!("{who}@example.com"), &["payments-devs"])?;
    user.apply(&request(name, duration)).await?.success()?;
    w.state_is(name, "AwaitingApproval").await?;
    Ok(user)
}

async fn active(w: &World, who: &str, name: &str) -> Result<curfew_testkit::User> {
    let user = asked(w, who, name, "1h").await?;
    decide(w, &w.carol()?, name, "Approve").await?;
    w.state_is(name, "Active").await?;
    w.access_is(&user, true, SOON).await?;
    Ok(user)
}

async fn ended(w: &World, name: &str, state: &str, reason: &str) -> Result<()> {
    w.state_is(name, state).await?;
    let now = w.field(&["areq", "-n", "payments", name], "{.status.reason}").await?;
    ensure!(now == reason, "{name} is {state} ({now}), not ({reason})");
    let complete = w.field(&["areq", "-n", "payments", name], "{.status.conditions[?(@.type==\"Complete\")].status}").await?;
    ensure!(complete == "True", "{name} is not Complete");
    Ok(())
}

async fn counted(w: &World, about: &str, is: &str) -> Result<()> {
    let path = format!(
        "{{range .items[?(@.spec.about.activationRequest.name==\"{about}\")]}}{{.status.conditions[0].status}} {{.status.conditions[0].reason}};{{end}}"
    );
    w.field_is(&["adec", "-n", "payments"], &path, is).await
}

#[tokio::test]
async fn an_approver_says_no() -> Result<()> {
    let w = world().await?;
    let ann = asked(w, "ann", "declined", "1h").await?;
    decide(w, &w.carol()?, "declined", "Deny").await?;
    ended(w, "declined", "Denied", "DeniedByApprover").await?;
    assert!(!ann.can_read_secret("payments", "db").await?);
    counted(w, "declined", "True Counted;").await?;
    // A second refusal, most likely in the same second: it is not what ended the request.
    let digest = w.field(&["areq", "-n", "payments", "declined"], "{.status.digest}").await?;
    let again = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{name: declined-again, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: declined}}}}, digest: '{digest}', decision: Deny}}}}"
    );
    w.carol()?.create(&again).await?.success()?;
    w.field_is(&["adec", "-n", "payments", "declined-again"], "{.status.conditions[0].reason}", "AlreadyEnded").await?;
    w.field_is(&["areq", "-n", "payments", "declined"], "{.status.endedBy.decision}", "Deny").await?;
    // A decision after the end changes nothing.
    decide(w, &w.carol()?, "declined", "Approve").await?;
    let second = "{.items[?(@.spec.decision==\"Approve\")].status.conditions[0].reason}";
    w.field_is(&["adec", "-n", "payments", "--field-selector=spec.about.activationRequest.name=declined"], second, "AlreadyEnded").await?;
    ended(w, "declined", "Denied", "DeniedByApprover").await
}

#[tokio::test]
async fn taken_back_before_it_was_active() -> Result<()> {
    let w = world().await?;
    let ben = asked(w, "ben", "back", "1h").await?;
    decide(w, &ben, "back", "Revoke").await?;
    ended(w, "back", "Cancelled", "RevokedByHolder").await
}

#[tokio::test]
async fn given_back_ended_and_deleted_while_active() -> Result<()> {
    let w = world().await?;
    let cleo = active(w, "cleo", "given").await?;
    decide(w, &cleo, "given", "Revoke").await?;
    w.access_is(&cleo, false, SOON).await?;
    ended(w, "given", "Revoked", "RevokedByHolder").await?;

    active(w, "cleo", "ended").await?;
    decide(w, &w.carol()?, "ended", "Deny").await?;
    w.access_is(&cleo, false, SOON).await?;
    ended(w, "ended", "Revoked", "DeniedByApprover").await?;

    active(w, "cleo", "deleted").await?;
    let grant = w.field(&["areq", "-n", "payments", "deleted"], "{.status.grantRef.name}").await?;
    cleo.api(&["delete", "areq", "-n", "payments", "deleted"]).await?.success()?;
    w.access_is(&cleo, false, SOON).await?;
    w.field_is(&["grt", &grant], "{.status.state}", "Ended").await
}

#[tokio::test]
async fn what_was_removed_by_hand_stays_removed() -> Result<()> {
    let w = world().await?;
    let dan = active(w, "dan", "drift").await?;
    let grant = w.field(&["areq", "-n", "payments", "drift"], "{.status.grantRef.name}").await?;
    let mark = format!("curfew.dev/grant={grant}");
    w.admin()?.api(&["delete", "rolebinding", "-n", "payments", "-l", &mark]).await?.success()?;
    w.access_is(&dan, false, SOON).await?;
    ended(w, "drift", "Revoked", "Drifted").await?;
    assert_eq!(w.field(&["rolebinding", "-n", "payments", "-l", &mark], "{.items[*].metadata.name}").await?, "");
    Ok(())
}

#[tokio::test]
async fn requesters_and_users_who_are_not_approvers_cannot_decide() -> Result<()> {
    let w = world().await?;
    // Carol is an approver, and asks herself: here she is in the team, too.
    let carol = w.cp.user("carol@example.com", &["payments-devs"])?;
    carol.apply(&request("own", "1h")).await?.success()?;
    w.state_is("own", "AwaitingApproval").await?;
    decide(w, &carol, "own", "Approve").await?;
    counted(w, "own", "False SelfDecision;").await?;
    // Eve may create decisions by RBAC, and is not an approver.
    w.admin()?
        .api(&["create", "rolebinding", "-n", "payments", "eve-decides", "--clusterrole=curfew-approver", "--user=eve@example.com"])
        .await?
        .success()?;
    asked(w, "ann", "strange", "1h").await?;
    decide(w, &w.cp.user("eve@example.com", &[])?, "strange", "Approve").await?;
    counted(w, "strange", "False NotEntitled;").await?;
    w.state_is("own", "AwaitingApproval").await?;
    w.state_is("strange", "AwaitingApproval").await
}

#[tokio::test]
async fn an_approval_names_what_was_seen() -> Result<()> {
    let w = world().await?;
    asked(w, "ben", "seen", "1h").await?;
    let other = "{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {name: other, namespace: payments}, spec: {about: {activationRequest: {name: seen}}, digest: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, decision: Approve}}";
    w.carol()?.apply(other).await?.success()?;
    counted(w, "seen", "False DigestMismatch;").await?;
    // Impersonated, carol's login carries no proof of itself.
    let digest = w.field(&["areq", "-n", "payments", "seen"], "{.status.digest}").await?;
    let forged = other
        .replace("name: other", "name: forged")
        .replace("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", &format!("'{digest}'"));
    w.admin()?.kubectl_stdin(&["--as=carol@example.com", "apply", "-f", "-"], &forged).await?.success()?;
    let reason = "{.status.conditions[0].reason}";
    w.field_is(&["adec", "-n", "payments", "forged"], reason, "UnprovenLogin").await?;
    let why = w.field(&["adec", "-n", "payments", "forged"], "{.status.conditions[0].message}").await?;
    let words = "no value under extra key authentication.kubernetes.io/credential-id, which identity.deciderProof of CurfewConfig requires";
    ensure!(why.contains(words), "{why}");
    // About nothing, for good: also when a request of that name comes.
    let nothing = other.replace("name: other", "name: nothing").replace("name: seen", "name: later");
    w.carol()?.apply(&nothing).await?.success()?;
    w.field_is(&["adec", "-n", "payments", "nothing"], reason, "NotFound").await?;
    asked(w, "ben", "later", "1h").await?;
    w.field_is(&["adec", "-n", "payments", "nothing"], reason, "NotFound").await?;
    w.state_is("seen", "AwaitingApproval").await
}

#[tokio::test]
async fn an_operator_that_stops_gives_the_lease_back() -> Result<()> {
    let w = World::first("stops").await?;
    let first = w.operator("first").await?;
    w.granting().await?;
    first.terminate();
    eventually("the operator to have stopped", SOON, || async { Ok((!first.is_running()).then_some(())) }).await?;
    let holder = w.field(&["lease", "-n", "curfew-system", "curfew-operator"], "{.spec.holderIdentity}").await?;
    assert_eq!(holder, "");
    Ok(())
}
