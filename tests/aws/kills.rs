//! The operator is killed or paused around every effect in AWS, and while each of its calls is on its way. What it has sent may arrive
//! much later. The same for Identity Center is in `center_kills.rs`.
use crate::{
    instance::{Center, Gives},
    plane::{Access, Plane, SLOWLY, Setup, emulators, free_lease, parked},
    roles,
};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{Operator, SOON, aws::Aws, eventually};
use futures::future::try_join_all;
use serde_json::json;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// The point of an operator that is not to stop.
pub const NOWHERE: &str = "";

/// One of the planes whose operators are killed: one test at a time on each.
pub async fn plane(n: usize) -> Result<MutexGuard<'static, Plane>> {
    static PLANES: [OnceCell<Mutex<Plane>>; 4] = [const { OnceCell::const_new() }; 4];
    let start = || async { anyhow::Ok(Mutex::new(Plane::start(&format!("aws-kills-{n}")).await?)) };
    let plane = PLANES[n].get_or_try_init(start).await?.lock().await;
    free_lease(&plane.w).await?;
    Ok(plane)
}

/// One operator after another on a plane. Each stops itself at a point, and is killed there.
pub struct Succession<'a> {
    plane: &'a Plane,
    name: &'static str,
    begun: usize,
    operator: Operator,
    point: &'static str,
}

impl<'a> Succession<'a> {
    /// The first operator, which stops at this point.
    pub async fn begin(plane: &'a Plane, name: &'static str, point: &'static str) -> Result<Self> {
        let operator = plane.operator(&format!("{name}-0"), &[("CURFEW_PARK_AT", point)]).await?;
        Ok(Succession { plane, name, begun: 1, operator, point })
    }

    /// Waits until the operator stands at its point.
    pub async fn stands(&self) -> Result<()> {
        parked(&self.operator, self.point).await
    }

    /// Waits until the operator stands at its point, kills it, and starts the next one, which stops at `point`.
    pub async fn killed(&mut self, point: &'static str) -> Result<()> {
        self.stands().await?;
        self.operator.kill();
        self.next(point).await.map(drop)
    }

    /// Kills the operator, wherever it is, and starts the next one, which stops at `point`.
    pub async fn succeeded(&mut self, point: &'static str) -> Result<()> {
        self.operator.kill();
        self.next(point).await.map(drop)
    }

    /// Waits until the operator stands at its point, leaves it stopped there, and starts the next one.
    pub async fn paused(&mut self, point: &'static str) -> Result<Operator> {
        self.stands().await?;
        self.next(point).await
    }

    /// Starts another operator, which need not wait for the lease of the one before it.
    async fn next(&mut self, point: &'static str) -> Result<Operator> {
        free_lease(&self.plane.w).await?;
        let next = self.plane.operator(&format!("{}-{}", self.name, self.begun), &[("CURFEW_PARK_AT", point)]).await?;
        (self.begun, self.point) = (self.begun + 1, point);
        Ok(std::mem::replace(&mut self.operator, next))
    }

    /// Lets the operator go on from its point, and leaves it alive.
    pub fn goes_on(&self) -> &Operator {
        self.operator.resume();
        &self.operator
    }

    /// Kills the last operator.
    pub fn end(self) {
        self.operator.kill();
    }
}

/// Waits until the first effect of this name has been tried by an operator; it must have failed.
pub async fn fails(operator: &Operator, effect: &str) -> Result<()> {
    let step = format!("\"effect\":\"{effect}\",\"outcome\":\"");
    // A process that was stopped for long drops its reconcile, and says so.
    let dropped = |line: &str| line.contains("it is cut off, and tried again");
    // The last line may be read while it is written.
    let fits = |line: &&str| line.ends_with('\n') && (line.contains(&step) || dropped(line));
    let whole = |log: &str| log.split_inclusive('\n').find(fits).map(str::to_owned);
    let tried = || async { Ok(whole(&operator.log())) };
    let line = eventually(&format!("{effect} to be tried"), SLOWLY, tried).await?;
    ensure!(dropped(&line) || line.contains(&format!("{step}failed\"")), "{effect} was carried out: {line}");
    Ok(())
}

#[tokio::test]
async fn with_the_operator_dead_aws_refuses_at_the_deadline() -> Result<()> {
    let plane = plane(0).await?;
    let large = Setup::of(json!({"role": {"managedPolicies": [roles::LARGE]}}));
    let user = Access::install(&plane, "dead", Setup::user()).await?;
    let role = Access::install(&plane, "dead-role", Setup::role()).await?;
    let large = Access::install(&plane, "dead-large", large).await?;
    let c = Center::install(&plane, "dead-set", Gives::OwnSet).await?;
    let operator = plane.operator("dies", &[]).await?;
    let all = [&user, &role, &large, &c.a];
    try_join_all(all.map(Access::ready)).await?;
    // Long enough for the sessions to be opened on a machine that is busy.
    try_join_all(all.map(|a| a.active(a.name, a.name, "60s"))).await?;
    c.access_is(true).await?;
    let set = c.only_set().await?;
    // The user's own keys, and sessions that are opened while the operator lives.
    let of_set = c.i.signs_in(&set, &c.user).await?.context("may not sign in")?;
    let open = [user.user.aws.clone(), roles::session(&role).await?, roles::session(&large).await?, of_set];
    operator.kill();
    for (a, session) in all.iter().zip(&open) {
        ensure!(session.can_list_buckets().await?, "the access of {} depends on the operator's life", a.name);
    }
    try_join_all(all.iter().zip(&open).map(|(a, session)| refused_on_time(a, session))).await?;
    // What was written is still there, and gives nothing, also in new sessions.
    for a in [&user, &role, &large] {
        ensure!(!a.own_policies().await?.is_empty() && !a.has_any_access().await?, "{} is not as it was", a.name);
    }
    ensure!(c.only_set().await? == set && !c.has_access().await?);
    free_lease(&plane.w).await?;
    let heir = plane.operator("heir-of-dead", &[]).await?;
    try_join_all([&user, &role, &large].map(|a| a.over(a.name, &["Expired"]))).await?;
    c.over("dead-set", "Expired").await?;
    ensure!(c.i.sets().await?.is_empty(), "a permission set is left");
    heir.kill();
    Ok(())
}

/// Waits until AWS refuses what a session could do: within seconds of the deadline of the request.
async fn refused_on_time(a: &Access<'_>, session: &Aws) -> Result<()> {
    let ends: jiff::Timestamp = a.of_request(a.name, "{.status.expiresAt}").await?.parse()?;
    let deadline = std::time::Instant::now() + Duration::try_from(ends.duration_since(jiff::Timestamp::now())).unwrap_or_default();
    while session.can_list_buckets().await? {
        ensure!(deadline.elapsed() < SOON, "the attack succeeded: {} goes on after its deadline with the operator dead", a.name);
    }
    let late = jiff::Timestamp::now().duration_since(ends);
    // The date is in whole seconds, and not after the deadline.
    ensure!((-1..5).contains(&late.as_secs()), "{} ended {late:?} after the deadline", a.name);
    Ok(())
}

#[tokio::test]
async fn killed_before_and_after_every_effect_on_a_user() -> Result<()> {
    let plane = plane(0).await?;
    killed_everywhere(&plane, "effects", Setup::user()).await
}

#[tokio::test]
async fn killed_before_and_after_every_effect_on_a_role() -> Result<()> {
    let plane = plane(1).await?;
    killed_everywhere(&plane, "role-effects", Setup::role()).await
}

/// One grant, and an operator that is killed at each of its effects. The next one takes it from there, until nothing is left.
async fn killed_everywhere(plane: &Plane, name: &'static str, setup: Setup) -> Result<()> {
    let a = Access::install(plane, name, setup).await?;
    let mut s = Succession::begin(plane, name, "before:Reserve").await?;
    a.ready().await?;
    a.ask_anyway(name, name).await?;
    for next in ["after:Reserve", "after:Recheck", "before:Arm", "after:Arm"] {
        s.stands().await.with_context(|| format!("the one before {next}"))?;
        ensure!(!a.has_any_access().await?, "there is access before it is armed, at the point before {next}");
        s.killed(next).await?;
    }
    s.stands().await?;
    ensure!(a.has_any_access().await?, "it was armed, and gives nothing");
    s.killed("before:Revoke").await?;
    a.state_is(name, &["Active"]).await?;
    ensure!(a.has_any_access().await?);
    a.decide(name, "Revoke").await?;
    s.killed("after:Revoke").await?;
    s.killed(NOWHERE).await?;
    a.over(name, &["Revoked"]).await?;
    s.end();
    Ok(())
}

/// The deadline passes while no operator lives, before the access is there: the grant fails.
#[tokio::test]
async fn a_reservation_whose_deadline_has_passed_is_removed() -> Result<()> {
    let plane = plane(1).await?;
    let a = Access::install(&plane, "unarmed", Setup::user()).await?;
    let mut s = Succession::begin(&plane, "unarmed", "before:Arm").await?;
    a.ready().await?;
    a.ask("unarmed", "unarmed", "10s").await?;
    a.decide("unarmed", "Approve").await?;
    s.stands().await?;
    ensure!(a.own_policies().await?.len() == 1, "nothing is reserved");
    let ends: jiff::Timestamp = a.of_request("unarmed", "{.status.expiresAt}").await?.parse()?;
    eventually("the deadline", SLOWLY, || async { Ok((jiff::Timestamp::now() > ends).then_some(())) }).await?;
    s.killed(NOWHERE).await?;
    a.over("unarmed", &["Failed"]).await?;
    ensure!(a.calls("AttachUserPolicy", 200).await? == 0, "it was armed after its deadline");
    s.end();
    Ok(())
}

/// Each call is held on its way, the operator is killed, another one brings the grant to its end, and only then the call arrives.
#[tokio::test]
async fn calls_that_arrive_after_the_end_change_nothing() -> Result<()> {
    let plane = plane(1).await?;
    let late = [
        ("late-attach", "AttachUserPolicy", Some("NoSuchEntity")),
        ("late-create", "CreatePolicy", None),
        ("late-detach", "DetachUserPolicy", Some("NoSuchEntity")),
        ("late-delete", "DeletePolicy", Some("NoSuchEntity")),
    ];
    let all = try_join_all(late.map(|(name, ..)| Access::install(&plane, name, Setup::user()))).await?;
    let mut s = Succession::begin(&plane, "late", NOWHERE).await?;
    try_join_all(all.iter().map(Access::ready)).await?;
    let mut gates = Vec::new();
    for (a, (name, action, _)) in all.iter().zip(late) {
        let gate = emulators().await?.proxy().hold(1, a.of_operator(action));
        a.ask_anyway(name, name).await?;
        if matches!(action, "DetachUserPolicy" | "DeletePolicy") {
            a.state_is(name, &["Active"]).await?;
            a.decide(name, "Revoke").await?;
        }
        gate.arrived(SLOWLY).await.with_context(|| action)?;
        s.succeeded(NOWHERE).await?;
        gates.push(gate);
    }
    for (a, (name, action, _)) in all.iter().zip(late) {
        if matches!(action, "CreatePolicy" | "AttachUserPolicy") {
            a.state_is(name, &["Active"]).await?;
            a.decide(name, "Revoke").await?;
        }
    }
    let ended = all.iter().map(|a| async move {
        a.state_is(a.name, &["Revoked"]).await?;
        a.ended(a.name).await
    });
    try_join_all(ended).await?;
    for (gate, (_, action, code)) in gates.iter().zip(late) {
        gate.release();
        let answered = gate.answered(SLOWLY).await.with_context(|| action)?;
        ensure!(answered.code.as_deref() == code, "the attack succeeded: a late {action} is answered {answered:?}");
    }
    try_join_all(all.iter().map(|a| a.access_stays(false, Duration::from_secs(2)))).await?;
    // A policy that is created late is attached to nothing, and the sweep finds it.
    let left = || async { Ok(try_join_all(all.iter().map(Access::nothing_is_left)).await.is_ok().then_some(())) };
    eventually("the sweep to remove what came late", SLOWLY, left).await?;
    s.end();
    Ok(())
}

/// The leader is stopped before an effect that gives access, another replica revokes, and the leader wakes up.
pub async fn wakes_up_late(plane: &Plane, a: &Access<'_>, effect: &str) -> Result<()> {
    let point = format!("before:{effect}");
    let leader = plane.operator(&format!("leader-{}", a.name), &[("CURFEW_PARK_AT", &point)]).await?;
    a.ready().await?;
    let other = plane.operator(&format!("other-{}", a.name), &[]).await?;
    a.ask_anyway(a.name, a.name).await?;
    parked(&leader, &point).await?;
    a.decide(a.name, "Revoke").await?;
    // It was never active.
    a.state_is(a.name, &["Denied"]).await?;
    a.ended(a.name).await?;
    leader.resume();
    fails(&leader, effect).await?;
    ensure!(leader.is_running() && other.is_running());
    leader.kill();
    other.kill();
    Ok(())
}

async fn cannot_arm(plane: &Plane, name: &'static str, setup: Setup, arm: &str) -> Result<()> {
    let a = Access::install(plane, name, setup).await?;
    wakes_up_late(plane, &a, "Arm").await?;
    ensure!(a.calls(arm, 200).await? == 0, "a late write came through");
    ensure!(!a.has_any_access().await?, "the leader has armed what was revoked");
    a.nothing_is_left().await
}

#[tokio::test]
async fn a_leader_that_wakes_up_after_the_revocation_cannot_attach_the_policy() -> Result<()> {
    let plane = plane(0).await?;
    cannot_arm(&plane, "paused", Setup::user(), "AttachUserPolicy").await
}

#[tokio::test]
async fn a_leader_that_wakes_up_after_the_revocation_cannot_open_the_role() -> Result<()> {
    let plane = plane(1).await?;
    cannot_arm(&plane, "paused-role", Setup::role(), "UpdateAssumeRolePolicy").await
}
