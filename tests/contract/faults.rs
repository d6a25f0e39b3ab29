//! A target that delays, throttles, does half of it, and lies, under the real operator: no user keeps access past the
//! deadline, and status shows what is true.
use crate::{attacks::asks, story::decide};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, World};

/// The fault, and where the request ends by it.
struct Case {
    name: &'static str,
    faults: &'static str,
    /// Whether the access is ever there.
    granted: bool,
    ends: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "delays",
        faults: r#"[{"op":"reserve","kind":"delay","times":1},{"op":"revoke","kind":"delay","times":1}]"#,
        granted: true,
        ends: "Expired",
    },
    Case {
        name: "throttles",
        faults: r#"[{"op":"arm","kind":"throttle","times":2},{"op":"revoke","kind":"throttle","times":3}]"#,
        granted: true,
        ends: "Expired",
    },
    Case {
        name: "conflicts",
        faults: r#"[{"op":"reserve","kind":"conflict","times":2},{"op":"arm","kind":"conflict","times":1}]"#,
        granted: true,
        ends: "Expired",
    },
    Case {
        name: "half-written",
        faults: r#"[{"op":"reserve","kind":"partial","times":1},{"op":"arm","kind":"partial","times":1},{"op":"revoke","kind":"partial","times":1}]"#,
        granted: true,
        ends: "Expired",
    },
    Case {
        name: "fails-and-did",
        faults: r#"[{"op":"reserve","kind":"fails-after","times":1},{"op":"arm","kind":"fails-after","times":1},{"op":"revoke","kind":"fails-after","times":1}]"#,
        granted: true,
        ends: "Expired",
    },
    // It says that the access is there, and it is not: the next look ends it as drift.
    Case { name: "says-done-and-is-not", faults: r#"[{"op":"arm","kind":"lie","times":1}]"#, granted: false, ends: "Revoked" },
    Case { name: "absent-too-early", faults: r#"[{"op":"observe","kind":"lie","times":1}]"#, granted: false, ends: "Revoked" },
    // It says that nothing is left, and something is: the sweep reads the deadline off its name.
    Case { name: "says-gone-and-is-not", faults: r#"[{"op":"revoke","kind":"lie","times":1}]"#, granted: true, ends: "Expired" },
    Case { name: "is-down", faults: r#"[{"op":"reserve","kind":"down","times":1000}]"#, granted: false, ends: "Failed" },
];

#[tokio::test]
async fn nobody_keeps_access_past_the_deadline_of_a_target_that_is_slow_or_busy() -> Result<()> {
    all("faults-slow", &CASES[..3]).await
}

#[tokio::test]
async fn nobody_keeps_access_past_the_deadline_of_a_target_that_does_half() -> Result<()> {
    all("faults-half", &CASES[3..6]).await
}

#[tokio::test]
async fn nobody_keeps_access_past_the_deadline_of_a_target_that_lies_or_is_down() -> Result<()> {
    all("faults-lies", &CASES[6..]).await
}

async fn all(name: &str, cases: &[Case]) -> Result<()> {
    let w = World::first(name).await?;
    two_roles(&w).await?;
    for case in cases {
        one(&w, case).await.with_context(|| format!("a target that {}", case.name))?;
    }
    Ok(())
}

/// What is granted are two bindings: of one there is no half.
async fn two_roles(w: &World) -> Result<()> {
    let admin = w.admin()?;
    admin.api(&["create", "clusterrole", "payments-too", "--verb=get", "--resource=configmaps"]).await?.success()?;
    let more = r#"[{"op": "add", "path": "/rules/0/resourceNames/-", "value": "payments-too"}]"#;
    admin.api(&["patch", "clusterrole", "curfew-bind-payments", "--type=json", "-p", more]).await?.success()?;
    let both = r#"{"spec": {"permissions": {"kubernetes": {"clusterRoles": ["payments-admin", "payments-too"]}}}}"#;
    for (kind, name) in [("apol", "payments"), ("rtpl", "payments-admin")] {
        admin.api(&["patch", kind, name, "-n", "payments", "--type=merge", "-p", both]).await?.success()?;
    }
    Ok(())
}

/// A target that asked to be left alone for a second was left alone: between two tries of one step.
fn left_alone(log: &str) -> Result<()> {
    let tries: Vec<(String, jiff::Timestamp)> = log
        .lines()
        .filter(|l| l.contains("a fault is injected") && l.contains("Throttle"))
        .map(|l| -> Result<_> {
            let line: serde_json::Value = serde_json::from_str(l)?;
            Ok((line["op"].to_string(), line["timestamp"].as_str().unwrap_or_default().parse()?))
        })
        .collect::<Result<_>>()?;
    for two in tries.windows(2).filter(|t| t[0].0 == t[1].0) {
        let pause = two[1].1.duration_since(two[0].1);
        ensure!(pause.as_millis() >= 1000, "asked again after {pause:?}");
    }
    Ok(())
}

async fn one(w: &World, case: &Case) -> Result<()> {
    let admin = w.admin()?;
    admin.api(&["delete", "lease", "-n", "curfew-system", "--all"]).await?.success()?;
    let operator = w.operator_with(case.name, &[("CURFEW_FAULTS", case.faults)]).await?;
    w.granting().await?;
    let who = w.cp.user(&format!("{}@example.com", case.name), &["payments-devs"])?;
    who.apply(&asks("payments-admin", case.name, "15s", "")).await?.success()?;
    w.state_is(case.name, "AwaitingApproval").await?;
    decide(w, &w.carol()?, case.name, "Approve").await?;
    if case.granted {
        w.access_is(&who, true, SOON).await?;
    }
    let ends = |state: &str| state == case.ends;
    let request = ["areq", "-n", "payments", case.name];
    w.field_fits(&request, "{.status.state}", &format!("to end {}", case.ends), SOON + SOON, ends).await?;
    w.access_is(&who, false, SOON + SOON).await?;
    let grant = w.field(&["areq", "-n", "payments", case.name], "{.status.grantRef.name}").await?;
    let mark = format!("curfew.dev/grant={grant}");
    let all = ["rolebinding,job", "-n", "payments", "-l", &mark];
    w.field_fits(&all, "{.items[*].metadata.name}", "to be nothing", SOON + SOON, str::is_empty).await?;
    ensure!(operator.log().contains("a fault is injected"), "no fault was met");
    left_alone(&operator.log())?;
    let planned = w.field(&["grt", &grant], "{.spec.plan.kubernetes.bindings[*].role}").await?;
    ensure!(planned == "payments-admin payments-too", "{planned}");
    operator.kill();
    Ok(())
}
