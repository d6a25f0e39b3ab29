//! `kubectl curfew`, as people type it.
use crate::shared::{with_operator, without_operator};
use anyhow::{Context as _, Result, ensure};
use curfew_testkit::{Output, SOON, User, World, operator_binary};

async fn curfew(who: &User, args: &[&str]) -> Result<Output> {
    let plugin = operator_binary()?.with_file_name("kubectl-curfew");
    who.run(&plugin, args, None).await
}

#[tokio::test]
async fn ask_look_approve_revoke() -> Result<()> {
    let w = with_operator().await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    let made = curfew(&alice, &["request", "payments-admin", "-n", "payments", "-d", "30m", "-j", "roll back", "--name", "typed"])
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

#[tokio::test]
async fn waiting_tells_how_it_ends() -> Result<()> {
    let w = with_operator().await?;
    let alice = w.alice()?;
    let told = curfew(&alice, &["request", "payments-admin", "-n", "payments", "-d", "6h", "-j", "x", "--wait"]).await?.refused()?;
    ensure!(told.contains("asked for 6h, but role payments-admin allows at most 4h"), "{told}");
    let answer = async {
        w.state_is("doomed", "AwaitingApproval").await?;
        curfew(&w.carol()?, &["deny", "doomed", "-n", "payments", "-c", "not today"]).await?.success()
    };
    let (told, denied) =
        tokio::join!(curfew(&alice, &["request", "payments-admin", "-n", "payments", "-j", "x", "--name", "doomed", "--wait"]), answer);
    denied?;
    let told = told?.refused()?;
    ensure!(told.contains("AwaitingApproval: waiting for 1 of") && told.contains("Denied (DeniedByApprover)"), "{told}");
    Ok(())
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
    let ask = async |name: &str| curfew(&dora, &["request", "view", "-n", "shop", "-j", "x", "--name", name]).await;
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
    curfew(&alice, &["request", "payments-admin", "-n", "payments", "-j", "x", "--name", "unjudged"]).await?.success()?;
    let out = curfew(&carol, &["deny", "unjudged", "-n", "payments", "--timeout", "1s"]).await?;
    ensure!(out.stdout.contains("created") && out.stderr.contains("after 1s it is not known whether the decision counts"), "{out:?}");
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
    for verb in ["request", "approve", "deny", "revoke", "list", "whoami", "init"] {
        ensure!(help.contains(verb), "{help}");
    }
    let help = curfew(&admin, &["request", "--help"]).await?.success()?;
    ensure!(help.contains("Example:") && help.contains("kubectl get rtpl"), "{help}");
    let missing = curfew(&admin, &["approve", "nothing", "-n", "payments"]).await?.refused()?;
    ensure!(missing.contains("\"nothing\" not found"), "{missing}");
    Ok(())
}
