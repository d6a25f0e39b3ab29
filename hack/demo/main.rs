//! `make demo`: the main job on a real API server, in the words of the people who do it.
//!
//! Every step is printed with the command that repeats it, and checked. The exit code is 0 only if all of them held.
//! With `--hold` the cluster stays up at the end, until Ctrl-C.
mod emergency;
mod teller;

use anyhow::{Context, Result, ensure};
use curfew_core::time::Time;
use curfew_testkit::{Issuer, Operator, SHIPPED_TIMING, SOON, User, World, eventually, operator_binary, path};
use std::time::Duration;
use teller::Teller;

/// The people, and the cluster they share.
struct Cast {
    world: World,
    alice: User,
    carol: User,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut t = Teller::begin();
    println!("Curfew: every privilege goes home on time.\nStarting a real etcd, kube-apiserver and kube-controller-manager ...");
    let issuer = Issuer::start()?;
    let world = World::install_with_issuer("demo", &issuer).await?;
    let cast = Cast { alice: world.alice()?, carol: world.carol()?, world };
    prepare(&cast, &mut t).await?;
    let operator = first_grant(&cast, &mut t).await?;
    second_grant(&cast, &mut t, operator).await?;
    emergency::act(&cast, &mut t, &issuer).await?;
    println!(
        "\nEvery step held, in {:.0} s. Nobody has access now, and nobody had to remember to take it away.",
        t.elapsed().as_secs_f32()
    );
    if std::env::args().any(|a| a == "--hold") {
        hold(&cast).await?;
    }
    Ok(())
}

/// The platform and the team write their files, once.
async fn prepare(c: &Cast, t: &mut Teller) -> Result<()> {
    let admin = c.world.admin()?;
    t.step("platform team", "the policy for team payments: which access it may hand out, and who approves");
    t.run("admin", "kubectl apply -f examples/first/platform.yaml");
    t.saw(&admin.kubectl(&["apply", "-f", &path("examples/first/platform.yaml")]).await?.success()?);
    t.step("team payments", "a role, and who is eligible for it");
    t.run("admin", "kubectl apply -f examples/first/team.yaml");
    t.saw(&admin.kubectl(&["apply", "-f", &path("examples/first/team.yaml")]).await?.success()?);
    admin.kubectl(&["-n", "payments", "create", "secret", "generic", "db", "--from-literal=password=s3cret"]).await?.success()?;
    Ok(())
}

/// Reads the secret as a person would, and checks whether that is allowed.
async fn reads(c: &Cast, t: &Teller, allowed: bool) -> Result<()> {
    t.run("alice", "kubectl get secret db -n payments");
    let out = c.alice.kubectl(&["get", "secret", "db", "-n", "payments"]).await?;
    t.saw(if out.ok { &out.stdout } else { &out.stderr });
    ensure!(
        out.ok == allowed,
        "alice {} read the secret, and should {}",
        if out.ok { "can" } else { "cannot" },
        if allowed { "be able to" } else { "not" }
    );
    Ok(())
}

/// Alice asks, carol approves, alice holds the access. Gives back when it ends.
async fn ask_and_approve(c: &Cast, t: &mut Teller, name: &str, duration: &str, why: &str) -> Result<String> {
    t.step("alice", &format!("asks for the role, for {duration}, to {why}"));
    let request = format!(
        "apiVersion: curfew.dev/v1alpha1\nkind: ActivationRequest\nmetadata: {{name: {name}, namespace: payments}}\n\
         spec:\n  roleRef: {{name: payments-admin}}\n  duration: {duration}\n  justification: {why}\n"
    );
    t.run("alice", "kubectl apply -f - <<EOF");
    t.saw(&request);
    t.saw(&c.alice.kubectl_stdin(&["apply", "-f", "-"], &request).await?.success()?);
    c.world.state_is(name, "AwaitingApproval").await?;
    reads(c, t, false).await?;

    t.step("carol", "looks at what would be granted, and approves exactly that");
    t.run("carol", &format!("kubectl get areq {name} -n payments"));
    t.saw(&c.carol.kubectl(&["get", "areq", name, "-n", "payments"]).await?.success()?);
    let digest = c.carol.kubectl(&["get", "areq", name, "-n", "payments", "-o", "jsonpath={.status.digest}"]).await?.success()?;
    let decision = format!(
        "apiVersion: curfew.dev/v1alpha1\nkind: AccessDecision\nmetadata: {{name: carol-{name}, namespace: payments}}\n\
         spec:\n  about: {{activationRequest: {{name: {name}}}}}\n  digest: \"{digest}\"\n  decision: Approve\n  comment: go ahead\n"
    );
    t.run("carol", "kubectl apply -f - <<EOF");
    t.saw(&decision);
    t.saw(&c.carol.kubectl_stdin(&["apply", "-f", "-"], &decision).await?.success()?);
    c.world.state_is(name, "Active").await?;
    t.step("alice", "has the access, until the deadline that is stored already");
    reads(c, t, true).await?;
    c.world.field(&["areq", "-n", "payments", name], "{.status.expiresAt}").await
}

/// The operator is killed while alice has access; it comes back; the deadline comes.
async fn first_grant(c: &Cast, t: &mut Teller) -> Result<Operator> {
    t.step("platform team", "starts the operator, under its own service account");
    t.run("admin", "curfew run");
    let operator = c.world.operator_with("operator-1", &[SHIPPED_TIMING]).await?;
    c.world.granting().await.context("the operator has not proven that admission is enforced, or the role is not Ready")?;
    t.step("alice", "cannot read the secret: she holds eligibility, not access");
    reads(c, t, false).await?;
    let ends = ask_and_approve(c, t, "rollback", "20s", "roll back release 2311").await?;
    t.step("admin", "kills the operator while alice has access");
    t.run("admin", "kill -9 $(pidof curfew)");
    operator.kill();
    reads(c, t, true).await?;
    t.step("admin", "starts it again");
    let operator = c.world.operator_with("operator-2", &[SHIPPED_TIMING]).await?;
    t.step("the clock", &format!("reaches {ends}"));
    // Well before the fuse, which is there for when no operator is.
    let limit = u64::try_from(deadline(&ends)?.plus_secs(8).millis_since(now()?)).unwrap_or(0);
    gone(c, t, "rollback", Duration::from_millis(limit)).await?;
    ensure!(now()? >= deadline(&ends)?, "alice lost her access before {ends}");
    Ok(operator)
}

/// The operator is killed and stays dead across the deadline; the grant ends on its return.
async fn second_grant(c: &Cast, t: &mut Teller, operator: Operator) -> Result<()> {
    let ends = ask_and_approve(c, t, "second-look", "12s", "check the rollback").await?;
    t.step("admin", "kills the operator, and this time it stays dead across the deadline");
    operator.kill();
    let over = deadline(&ends)?.plus_secs(1);
    eventually("the deadline to pass", SOON, || async { Ok((now()? > over).then_some(())) }).await?;
    println!(
        "           {ends} is past, and no operator is there. Kubernetes RBAC has no expiry: for some seconds more the binding stands,"
    );
    println!("           then the Job that owns it burns down and takes it along (enforcedBy: Target). The operator is faster:");
    reads(c, t, true).await?;
    t.step("admin", "starts it again; what is overdue comes first");
    let _operator = c.world.operator_with("operator-3", &[SHIPPED_TIMING]).await?;
    gone(c, t, "second-look", Duration::from_secs(45)).await
}

fn deadline(written: &str) -> Result<Time> {
    Time::parse(written).context("no deadline in the request's status")
}

fn now() -> Result<Time> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Time::from_millis(i64::try_from(since.as_millis())?))
}

async fn gone(c: &Cast, t: &mut Teller, name: &str, limit: Duration) -> Result<()> {
    c.world.access_is(&c.alice, false, limit).await.context("alice can still read the secret after the deadline")?;
    reads(c, t, false).await?;
    c.world.state_is(name, "Expired").await?;
    t.run("alice", "kubectl get areq -n payments");
    t.saw(&c.alice.kubectl(&["get", "areq", "-n", "payments"]).await?.success()?);
    let left =
        c.world.admin()?.kubectl(&["get", "rolebindings", "-n", "payments", "-l", "curfew.dev/grant", "-o", "name"]).await?.success()?;
    ensure!(left.is_empty(), "bindings are left: {left}");
    Ok(())
}

/// Keeps the cluster up, so that a user can try it.
async fn hold(c: &Cast) -> Result<()> {
    let _operator = c.world.operator_with("operator-5", &[SHIPPED_TIMING]).await?;
    println!("\nThe cluster stays up until Ctrl-C. To try it yourself:");
    // kubectl may be nowhere else, and the plugin was built for the demo.
    let operator = operator_binary()?;
    let folders: Vec<_> = [c.alice.kubectl_program(), operator.as_path()].into_iter().filter_map(|program| program.parent()).collect();
    println!("  export PATH={}:{}:$PATH", folders[0].display(), folders[1].display());
    for user in [&c.world.admin()?, &c.alice, &c.carol] {
        println!("  export KUBECONFIG={}   # {}", user.kubeconfig.display(), user.name);
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
