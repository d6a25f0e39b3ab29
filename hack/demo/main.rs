//! `make demo`: request, approval, access and expiry on a real API server, step by step.
//!
//! Every step is checked, and printed with the command that repeats it. The exit code is 0 only if all checks pass. With `--hold`
//! the cluster stays up at the end until Ctrl-C.
#[path = "../../tests/support/mod.rs"]
mod support;

use anyhow::{Context, Result, ensure};
use curfew_core::time::Time;
use std::time::{Duration, Instant};
use support::{Operator, SOON, User, World, eventually};

/// Prints the numbered steps.
struct StepPrinter {
    started: Instant,
    step: u32,
}

impl StepPrinter {
    fn step(&mut self, who: &str, text: &str) {
        self.step += 1;
        println!("\n[{:>5.1}s] {}. {who}: {text}", self.started.elapsed().as_secs_f32(), self.step);
    }
    fn command(&self, who: &str, command: &str) {
        println!("         {who} $ {command}");
    }
    fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("           {line}");
        }
    }
}

/// The cluster and its users.
struct Demo {
    world: World,
    alice: User,
    carol: User,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut printer = StepPrinter { started: Instant::now(), step: 0 };
    println!("Curfew: every access ends at its deadline.\nStarting a real etcd, kube-apiserver and kube-controller-manager ...");
    let world = World::install("demo").await?;
    let demo = Demo { alice: world.alice()?, carol: world.carol()?, world };
    prepare(&demo, &mut printer).await?;
    let operator = first_grant(&demo, &mut printer).await?;
    second_grant(&demo, &mut printer, operator).await?;
    println!(
        "\nAll checks passed in {:.0} s. Nobody has access now, and nobody had to remove it by hand.",
        printer.started.elapsed().as_secs_f32()
    );
    if std::env::args().any(|a| a == "--hold") {
        hold(&demo).await?;
    }
    Ok(())
}

/// The platform team and the application team apply their manifests.
async fn prepare(demo: &Demo, printer: &mut StepPrinter) -> Result<()> {
    let admin = demo.world.admin()?;
    printer.step("platform team", "applies the policy for team payments: what it may grant, and who must approve");
    printer.command("admin", "kubectl apply -f examples/first/platform.yaml");
    printer.output(&admin.kubectl(&["apply", "-f", &support::path("examples/first/platform.yaml")]).await?.success()?);
    printer.step("team payments", "applies a role and the assignments that make users eligible");
    printer.command("admin", "kubectl apply -f examples/first/team.yaml");
    printer.output(&admin.kubectl(&["apply", "-f", &support::path("examples/first/team.yaml")]).await?.success()?);
    admin.kubectl(&["-n", "payments", "create", "secret", "generic", "db", "--from-literal=password=s3cret"]).await?.success()?;
    Ok(())
}

/// Reads the secret as alice with kubectl, and checks that the result is as expected.
async fn check_read(demo: &Demo, printer: &StepPrinter, allowed: bool) -> Result<()> {
    printer.command("alice", "kubectl get secret db -n payments");
    let out = demo.alice.kubectl(&["get", "secret", "db", "-n", "payments"]).await?;
    printer.output(if out.ok { &out.stdout } else { &out.stderr });
    ensure!(
        out.ok == allowed,
        "alice {} read the secret, but {} expected",
        if out.ok { "can" } else { "cannot" },
        if allowed { "access is" } else { "a refusal is" }
    );
    Ok(())
}

/// Alice requests the role, carol approves, and alice has the access. Returns the deadline.
async fn request_and_approve(demo: &Demo, printer: &mut StepPrinter, name: &str, duration: &str, why: &str) -> Result<String> {
    printer.step("alice", &format!("requests the role for {duration}, to {why}"));
    let request = format!(
        "apiVersion: curfew.dev/v1alpha1\nkind: ActivationRequest\nmetadata: {{name: {name}, namespace: payments}}\n\
         spec:\n  roleRef: {{name: payments-admin}}\n  duration: {duration}\n  justification: {why}\n"
    );
    printer.command("alice", "kubectl apply -f - <<EOF");
    printer.output(&request);
    printer.output(&demo.alice.apply(&request).await?.success()?);
    demo.world.state_is(name, "AwaitingApproval").await?;
    check_read(demo, printer, false).await?;

    printer.step("carol", "reviews what would be granted, and approves exactly that");
    printer.command("carol", &format!("kubectl get areq {name} -n payments"));
    printer.output(&demo.carol.kubectl(&["get", "areq", name, "-n", "payments"]).await?.success()?);
    let digest = demo.carol.kubectl(&["get", "areq", name, "-n", "payments", "-o", "jsonpath={.status.digest}"]).await?.success()?;
    let decision = format!(
        "apiVersion: curfew.dev/v1alpha1\nkind: AccessDecision\nmetadata: {{name: carol-{name}, namespace: payments}}\n\
         spec:\n  about: {{activationRequest: {{name: {name}}}}}\n  digest: \"{digest}\"\n  decision: Approve\n  comment: go ahead\n"
    );
    printer.command("carol", "kubectl apply -f - <<EOF");
    printer.output(&decision);
    printer.output(&demo.carol.apply(&decision).await?.success()?);
    demo.world.state_is(name, "Active").await?;
    printer.step("alice", "has the access until the deadline, which is already stored");
    check_read(demo, printer, true).await?;
    demo.world.field(&["areq", "-n", "payments", name], "{.status.expiresAt}").await
}

/// The operator is killed while alice has access and restarts before the deadline.
async fn first_grant(demo: &Demo, printer: &mut StepPrinter) -> Result<Operator> {
    printer.step("platform team", "starts the operator, under its own service account");
    printer.command("admin", "curfew run");
    let operator = demo.world.operator("operator-1").await?;
    demo.world.granting().await.context("admission is not proven, or the role is not Ready")?;
    printer.step("alice", "cannot read the secret: she is eligible but has no access yet");
    check_read(demo, printer, false).await?;
    let ends = request_and_approve(demo, printer, "rollback", "20s", "roll back release 2311").await?;
    printer.step("demo", "kills the operator while alice has access");
    printer.command("admin", "kill -9 $(pidof curfew)");
    operator.kill();
    check_read(demo, printer, true).await?;
    printer.step("demo", "starts the operator again");
    let operator = demo.world.operator("operator-2").await?;
    printer.step("demo", &format!("waits for the deadline {ends}"));
    // The limit is well before the Job fuse, which ends the access only if no operator runs.
    let limit = u64::try_from(deadline(&ends)?.plus_secs(8).millis_since(now()?)).unwrap_or(0);
    check_expired(demo, printer, "rollback", Duration::from_millis(limit)).await?;
    ensure!(now()? >= deadline(&ends)?, "alice lost the access before {ends}");
    Ok(operator)
}

/// The operator is killed and restarts only after the deadline; the grant ends after the restart.
async fn second_grant(demo: &Demo, printer: &mut StepPrinter, operator: Operator) -> Result<()> {
    let ends = request_and_approve(demo, printer, "second-look", "8s", "check the rollback").await?;
    printer.step("demo", "kills the operator and keeps it stopped past the deadline");
    operator.kill();
    let after_deadline = deadline(&ends)?.plus_secs(1);
    eventually("the deadline to pass", SOON, || async { Ok((now()? > after_deadline).then_some(())) }).await?;
    println!("           {ends} has passed and no operator runs. Kubernetes RBAC has no expiry: the binding remains for some seconds,");
    println!("           until the Job that owns it finishes and is deleted with it (enforcedBy: Target). The operator is faster:");
    check_read(demo, printer, true).await?;
    printer.step("demo", "starts the operator again, which revokes overdue grants first");
    let _operator = demo.world.operator("operator-3").await?;
    check_expired(demo, printer, "second-look", Duration::from_secs(45)).await
}

fn deadline(text: &str) -> Result<Time> {
    Time::parse(text).context("the status of the request has no valid deadline")
}

fn now() -> Result<Time> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Time::from_millis(i64::try_from(since.as_millis())?))
}

/// Waits until alice has lost the access, and checks the request and the bindings.
async fn check_expired(demo: &Demo, printer: &mut StepPrinter, name: &str, limit: Duration) -> Result<()> {
    demo.world.access_is(&demo.alice, false, limit).await.context("alice can still read the secret after the deadline")?;
    check_read(demo, printer, false).await?;
    demo.world.state_is(name, "Expired").await?;
    printer.command("alice", "kubectl get areq -n payments");
    printer.output(&demo.alice.kubectl(&["get", "areq", "-n", "payments"]).await?.success()?);
    let left =
        demo.world.admin()?.kubectl(&["get", "rolebindings", "-n", "payments", "-l", "curfew.dev/grant", "-o", "name"]).await?.success()?;
    ensure!(left.is_empty(), "bindings are left: {left}");
    Ok(())
}

/// Keeps the cluster up until Ctrl-C.
async fn hold(demo: &Demo) -> Result<()> {
    let _operator = demo.world.operator("operator-4").await?;
    println!("\nThe cluster stays up until Ctrl-C. To try it yourself:");
    for user in [&demo.world.admin()?, &demo.alice, &demo.carol] {
        println!("  export KUBECONFIG={}   # {}", user.kubeconfig.display(), user.name);
    }
    tokio::signal::ctrl_c().await?;
    Ok(())
}
