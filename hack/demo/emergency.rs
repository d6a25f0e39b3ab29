//! The second act: a role with MFA and two stages, an extension, and break-glass with its review. The logins are tokens of an issuer that
//! the API server trusts; what people type are the commands of the plugin.
use super::{Cast, deadline, now, reads, teller::Teller};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{Issuer, Output, SHIPPED_TIMING, SOON, User, eventually, path, unix_now};
use serde_json::json;
use std::path::{Path, PathBuf};

const ROLE: &str = "payments-emergency";

/// The people of the second act, each with a login that shows MFA; alice has one without, too.
struct People {
    alice: User,
    alice_without_mfa: User,
    carol: User,
    olga: User,
}

impl People {
    fn new(c: &Cast, issuer: &Issuer) -> Result<Self> {
        let login = |name: &str, group: &str, methods: &[&str]| {
            let claims = json!({"groups": [group], "amr": methods, "auth_time": unix_now() - 60});
            c.world.cp.login(issuer, &format!("{name}@example.com"), &claims)
        };
        Ok(People {
            alice: login("alice", "payments-devs", &["pwd", "otp"])?,
            alice_without_mfa: login("alice", "payments-devs", &["pwd"])?,
            carol: login("carol", "payments-leads", &["pwd", "hwk"])?,
            olga: login("olga", "sre-oncall", &["pwd", "otp"])?,
        })
    }
}

/// The plugin, which is built beside this program.
fn plugin_binary() -> Result<PathBuf> {
    let demo = std::env::current_exe().context("where this program is")?;
    let target = demo.parent().and_then(Path::parent).context("this program is in no target directory")?;
    let plugin = target.join("kubectl-curfew");
    ensure!(plugin.exists(), "{} is not built: make demo builds it", plugin.display());
    Ok(plugin)
}

/// Runs a command of the plugin as a person, and prints both.
async fn plugin(t: &Teller, who: &User, args: &[&str]) -> Result<Output> {
    let name = who.name.split('@').next().unwrap_or_default();
    let quoted: Vec<String> = args.iter().map(|arg| if arg.contains(' ') { format!("'{arg}'") } else { (*arg).to_owned() }).collect();
    t.run(name, &format!("kubectl curfew {} -n payments", quoted.join(" ")));
    let out = who.run(&plugin_binary()?, &[args, &["-n", "payments"]].concat(), None).await?;
    t.saw(&out.stdout);
    t.saw(&out.stderr);
    Ok(out)
}

/// Both stages approve a request, in their order.
async fn two_approve(c: &Cast, t: &mut Teller, p: &People, name: &str) -> Result<()> {
    c.world.state_is(name, "AwaitingApproval").await?;
    let digest = c.world.field(&["areq", "-n", "payments", name], "{.status.digest}").await?;
    for (who, words) in [(&p.carol, "approves for the owners"), (&p.olga, "approves for those on call")] {
        t.step(who.name.split('@').next().unwrap_or_default(), words);
        plugin(t, who, &["approve", name, "--digest", &digest]).await?.success()?;
    }
    c.world.state_is(name, "Active").await
}

pub async fn act(c: &Cast, t: &mut Teller, issuer: &Issuer) -> Result<()> {
    let (p, admin) = (People::new(c, issuer)?, c.world.admin()?);
    t.step("platform team", "allows emergency access, and says where logins show their MFA");
    let _operator = c.world.operator_with("operator-4", &[SHIPPED_TIMING]).await?;
    for file in ["platform", "team"] {
        t.run("admin", &format!("kubectl apply -f examples/emergency/{file}.yaml"));
        t.saw(&admin.kubectl(&["apply", "-f", &path(&format!("examples/emergency/{file}.yaml"))]).await?.success()?);
    }
    let ready = "{.status.conditions[?(@.type==\"Ready\")].status}";
    c.world.field_is(&["rtpl", "-n", "payments", ROLE], ready, "True").await?;
    with_mfa(c, t, &p).await?;
    extended(c, t, &p).await?;
    break_glass(c, t, &p).await
}

/// A login without MFA is refused at once; one with MFA needs both stages.
async fn with_mfa(c: &Cast, t: &mut Teller, p: &People) -> Result<()> {
    let ask = ["request", ROLE, "--name", "incident", "-d", "25s", "-j", "incident 4711", "--no-wait"];
    eventually("the API server to know the keys of CurfewConfig", SOON, || async {
        let dry = [&ask[..], &["--dry-run", "-n", "payments"]].concat();
        let out = p.alice.run(&plugin_binary()?, &dry, None).await?;
        Ok(out.ok.then_some(()))
    })
    .await?;
    t.step("alice", "asks with a login that shows a password alone");
    let told = plugin(t, &p.alice_without_mfa, &ask).await?.refused()?;
    ensure!(told.contains("asks for MFA not older than 15m"), "{told}");
    t.step("alice", "asks again, after a login with a one-time password");
    plugin(t, &p.alice, &ask).await?.success()?;
    two_approve(c, t, p, "incident").await?;
    reads(c, t, true).await
}

/// The access goes on across the first deadline, which has not moved, and ends at the second.
async fn extended(c: &Cast, t: &mut Teller, p: &People) -> Result<()> {
    let first = deadline(&c.world.field(&["areq", "-n", "payments", "incident"], "{.status.expiresAt}").await?)?;
    t.step("alice", "needs longer: a request of its own, with an approval of its own");
    plugin(t, &p.alice, &["extend", "incident", "--name", "incident-2", "-d", "10s", "-j", "the fix takes longer", "--no-wait"])
        .await?
        .success()?;
    two_approve(c, t, p, "incident-2").await?;
    t.step("the clock", &format!("passes the first deadline, {first}"));
    while now()? < first.plus_secs(2) {
        ensure!(p.alice.can_read_secret("payments", "db").await?, "the access is interrupted");
    }
    let ends = c.world.field(&["areq", "-n", "payments", "incident"], "{.status.expiresAt}").await?;
    ensure!(deadline(&ends)? == first, "the deadline of the first request has moved to {ends}");
    reads(c, t, true).await?;
    let second = c.world.field(&["areq", "-n", "payments", "incident-2"], "{.status.expiresAt}").await?;
    t.step("the clock", &format!("reaches the second deadline, {second}"));
    c.world.access_is(&p.alice, false, SOON).await.context("alice can still read the secret after the extension has ended")?;
    reads(c, t, false).await?;
    c.world.state_is("incident-2", "Expired").await
}

/// Nobody is there to approve. The access begins at once; another one begins only after another person has reviewed this one.
async fn break_glass(c: &Cast, t: &mut Teller, p: &People) -> Result<()> {
    t.step("alice", "at night, with nobody there to approve: she breaks the glass");
    let ask = |name: &'static str| ["request", ROLE, "--name", name, "--break-glass", "--yes", "-d", "10s", "-j", "payments are down"];
    plugin(t, &p.alice, &ask("night")).await?.success()?;
    reads(c, t, true).await?;
    c.world.access_is(&p.alice, false, SOON).await?;
    c.world.state_is("night", "Expired").await?;
    t.step("alice", "tries it once more, before anybody has looked at the first one");
    let out = plugin(t, &p.alice, &ask("night-2")).await?;
    ensure!(out.stderr.contains("ReviewOutstanding"), "a second break-glass before the review is not refused for it: {out:?}");
    reads(c, t, false).await?;
    t.step("carol", "in the morning: reviews what happened");
    plugin(t, &p.carol, &["list", "--waiting-for-me"]).await?;
    plugin(t, &p.carol, &["review", "night", "--comment", "incident 4712, agreed"]).await?.success()?;
    let review = "{.status.conditions[?(@.type==\"ReviewRequired\")].status}";
    c.world.field_is(&["areq", "-n", "payments", "night"], review, "False").await
}
