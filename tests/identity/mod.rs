//! Nobody forges who asked, who decided, or what came of it: each attack as a real user with every right that RBAC can give,
//! so that admission refuses and not RBAC.
use crate::{
    attacks::{resisted, unprotected},
    shared::without_operator,
};
use anyhow::{Result, ensure};
use curfew::identity::admission_check;
use curfew_testkit::{Output, SOON, User, World, eventually};
use tokio::sync::OnceCell;

mod extras;
mod flow;
mod guards;
mod weakened_policies;

/// A cluster without an operator: what is tried here is admission alone.
async fn world() -> Result<&'static World> {
    static PREPARED: OnceCell<&World> = OnceCell::const_new();
    PREPARED.get_or_try_init(prepare).await.copied()
}

async fn prepare() -> Result<&'static World> {
    let w = without_operator().await?;
    let admin = w.admin()?;
    // Mallory may do anything that RBAC can allow; alice and carol may ask and decide everywhere.
    for (name, role, user) in [
        ("mallory", "cluster-admin", "mallory@example.com"),
        ("alice", "curfew-requester", "alice@example.com"),
        ("carol", "curfew-approver", "carol@example.com"),
        // RBAC is not what keeps it from granting here.
        ("revoker", "cluster-admin", "system:serviceaccount:curfew-system:curfew-revoker"),
    ] {
        admin.api(&["create", "clusterrolebinding", name, &format!("--clusterrole={role}"), &format!("--user={user}")]).await?.success()?;
    }
    Ok(w)
}

fn request(name: &str, more: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{roleRef: {{name: payments-admin}}, justification: test{more}}}}}"
    )
}

fn decision(name: &str, about: &str, more: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: {about}}}}}, digest: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef, decision: Approve{more}}}}}"
    )
}

/// The attempt was refused, by our policy, and the answer says this.
fn denied(attempt: Output, words: &str) -> Result<()> {
    resisted(!attempt.ok, &format!("nobody says that {words}"))?;
    let told = attempt.stderr;
    ensure!(told.contains("ValidatingAdmissionPolicy 'curfew-") && told.contains(words), "expected {words:?} from our policy: {told}");
    Ok(())
}

/// Several attempts, all of which are made: those that were not refused are told together.
#[derive(Default)]
struct Attempts(Vec<String>);

impl Attempts {
    fn denied(&mut self, what: &str, attempt: Output, words: &str) -> Result<()> {
        if attempt.ok {
            self.0.push(what.into());
            return Ok(());
        }
        denied(attempt, words)
    }
    fn came_to_nothing(self) -> Result<()> {
        resisted(self.0.is_empty(), &self.0.join(", and "))
    }
}

async fn patch(who: &User, what: &[&str], patch: &str) -> Result<Output> {
    let args = [&["patch", "-n", "payments", "--type=merge", "-p", patch], what].concat();
    who.api(&args).await
}

#[tokio::test]
async fn plain_apply_is_stamped_with_who_it_was() -> Result<()> {
    let w = world().await?;
    let alice = w.alice()?;
    let plain = ["apply", "-f", "-"];
    alice.kubectl_stdin(&plain, &request("stamped", "")).await?.success()?;
    let stamp = w.field(&["areq", "-n", "payments", "stamped"], "{.spec.requester.username} {.spec.requester.groups[0]}").await?;
    assert_eq!(stamp, "alice@example.com payments-devs");
    let again = alice.kubectl_stdin(&plain, &request("stamped", "")).await?.success()?;
    assert!(again.contains("unchanged"), "{again}");
    w.carol()?.apply(&decision("stamped", "stamped", "")).await?.success()?;
    let by = w.field(&["adec", "-n", "payments", "stamped"], "{.spec.decider.username}").await?;
    assert_eq!(by, "carol@example.com");
    Ok(())
}

#[tokio::test]
async fn a_forged_requester_is_refused() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-requests").await?;
    let mallory = w.mallory()?;
    denied(
        mallory.apply(&request("forged", ", requester: {username: alice@example.com, groups: [payments-devs]}")).await?,
        "requester.username must be your own",
    )?;
    // The right name with another user's groups.
    denied(
        mallory.apply(&request("forged", ", requester: {username: mallory@example.com, groups: [payments-devs]}")).await?,
        "requester.groups must be your own",
    )?;
    // The right name and groups, and no proof of the login.
    let bare = ", requester: {username: mallory@example.com, groups: ['system:authenticated']}";
    denied(mallory.apply(&request("forged", bare)).await?, "requester.extra must be your own")?;
    Ok(())
}

#[tokio::test]
async fn a_forged_decider_is_refused() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-decisions").await?;
    let mallory = w.mallory()?;
    denied(
        mallory.apply(&decision("forged", "x", ", decider: {username: carol@example.com, groups: []}")).await?,
        "decider.username must be your own",
    )?;
    Ok(())
}

#[tokio::test]
async fn service_accounts_do_not_decide() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-decisions").await?;
    let admin = w.admin()?;
    admin
        .api(&["create", "clusterrolebinding", "robot", "--clusterrole=cluster-admin", "--serviceaccount=payments:default"])
        .await?
        .success()?;
    let accounts = || async { Ok(w.cp.service_account("payments", "default").await.ok()) };
    let robot = eventually("the default service account of payments", SOON, accounts).await?;
    denied(robot.apply(&decision("robot", "x", "")).await?, "decisions are made by people")?;
    Ok(())
}

#[tokio::test]
async fn three_thousand_groups_pass() -> Result<()> {
    let w = world().await?;
    let groups: Vec<String> = (0..3000).map(|i| format!("--as-group=team-{i:04}-of-the-company")).collect();
    let admin = w.admin()?;
    admin.api(&["create", "clusterrolebinding", "many", "--clusterrole=cluster-admin", "--user=many@example.com"]).await?.success()?;
    let mut args = vec!["--as=many@example.com"];
    args.extend(groups.iter().map(String::as_str));
    args.extend(["apply", "-f", "-"]);
    admin.kubectl_stdin(&args, &request("many", "")).await?.success()?;
    let last = w.field(&["areq", "-n", "payments", "many"], "{.spec.requester.groups[2999]}").await?;
    assert_eq!(last, "team-2999-of-the-company");
    Ok(())
}

#[tokio::test]
async fn the_reserved_name_is_refused_to_everybody() -> Result<()> {
    let w = world().await?;
    unprotected(w, "curfew-requests").await?;
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    for who in [w.mallory()?, operator] {
        denied(who.apply(&request("curfew-admission-canary", "")).await?, "this name is reserved")?;
    }
    let verdict = admission_check::probe(&w.cp.admin().await?, &mut None).await?;
    assert_eq!(verdict.problems, [""; 0]);
    Ok(())
}
