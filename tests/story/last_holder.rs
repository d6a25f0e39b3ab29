//! The last holder of a role: an AssignmentRequest does not remove the last assignment that makes anybody eligible for it.
use super::{
    assignment_new::survives_a_crash,
    refusals::{ready, template},
};
use crate::attacks::resisted;
use anyhow::{Result, bail, ensure};
use curfew_testkit::{Operator, SOON, User, World, eventually, metric};

const ROLE: &str = "kept";
const HOLDERS: &str = "{range .status.conditions[?(@.type==\"HasHolder\")]}{.status} {.reason}{end}";

/// The role of the example under another name, which protects its last holder, with an assignment for each of these people and none else.
async fn install(w: &World, people: &[&str]) -> Result<()> {
    let protected = ("  assignment:", "  assignment:\n    protectLastHolder: true");
    template(w, ROLE, &[protected]).await?;
    let admin = w.admin()?;
    let eligible: Vec<_> = ["{\"group\": \"payments-devs\"}".to_owned()]
        .into_iter()
        .chain(people.iter().map(|name| format!("{{\"user\": \"{name}@example.com\"}}")))
        .collect();
    let patch = format!("{{\"spec\": {{\"eligible\": [{}]}}}}", eligible.join(", "));
    admin.api(&["patch", "apol", "payments", "--type=merge", "-p", &patch]).await?.success()?;
    for name in people {
        let binding = ["create", "rolebinding", "-n", "payments", name, "--clusterrole=curfew-requester"];
        admin.api(&[&binding[..], &[&format!("--user={name}@example.com")]].concat()).await?.success()?;
        admin.apply(&assignment(name, &format!("{{user: {name}@example.com}}"))).await?.success()?;
    }
    holders(w, "True SeveralHolders").await?;
    admin.api(&["delete", "eas", "-n", "payments", "kept-devs"]).await?.success().map(drop)
}

fn assignment(name: &str, subject: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: EligibleAssignment, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{roleRef: {{name: {ROLE}}}, subject: {subject}, scope: {{all: {{}}}}, window: {{permanent: {{}}}}}}}}"
    )
}

async fn holders(w: &World, expect: &str) -> Result<()> {
    w.field_is(&["rtpl", "-n", "payments", ROLE], HOLDERS, expect).await
}

async fn removal(w: &World, name: &str, assignment: &str) -> Result<String> {
    let uid = w.field(&["eas", "-n", "payments", assignment], "{.metadata.uid}").await?;
    Ok(format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AssignmentRequest, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{justification: leaves, action: {{remove: {{assignment: {{name: {assignment}, uid: {uid}}}}}}}}}}}"
    ))
}

async fn ended(w: &World, name: &str) -> Result<String> {
    let path = "{.status.state}: {.status.reason}: {.status.message}";
    let over = |now: &str| ["Applied", "Denied", "Invalid"].iter().any(|state| now.starts_with(state));
    w.field_fits(&["asreq", "-n", "payments", name], path, "to end", SOON, over).await?;
    w.field(&["asreq", "-n", "payments", name], path).await
}

fn person(w: &World, name: &str) -> Result<User> {
    w.cp.user(&format!("{name}@example.com"), &[])
}

async fn without_holder(operator: &Operator, count: f64) -> Result<()> {
    eventually(&format!("{count} roles without a holder"), SOON, || async {
        let shown = metric(&operator.get("/metrics").await?, "curfew_roles_without_holder");
        if shown == Some(count) { Ok(Some(())) } else { bail!("{shown:?}") }
    })
    .await
}

#[tokio::test]
async fn the_last_holder_of_a_role_is_not_removed() -> Result<()> {
    let (w, operator) = World::running("last-holder").await?;
    let names = ["erin", "frank", "greta", "heidi", "ivan", "judy"];
    install(&w, &names).await?;

    // All of them at the same time: one is left, whichever that is.
    let mut all = Vec::new();
    for name in names {
        all.push((person(&w, name)?, removal(&w, &format!("{name}-leaves"), name).await?));
    }
    for created in futures::future::join_all(all.iter().map(|(who, yaml)| who.create(yaml))).await {
        created?.success()?;
    }
    let mut left = Vec::new();
    for name in names {
        let told = ended(&w, &format!("{name}-leaves")).await?;
        match told.starts_with("Applied: ") {
            true => {}
            false => {
                ensure!(told.starts_with("Denied: LastHolder: ") && told.contains("make another user or group eligible first"), "{told}");
                left.push(name);
            }
        }
    }
    ensure!(left.len() == 1, "left: {left:?}");
    let last = left[0];
    ready(&w, &["eas", "-n", "payments", last], "True").await?;
    holders(&w, "True LastHolder").await?;

    // A group is a holder; then the person may leave.
    w.admin()?.apply(&assignment("devs-again", "{group: payments-devs}")).await?.success()?;
    holders(&w, "True SeveralHolders").await?;
    person(&w, last)?.create(&removal(&w, "leaves-at-last", last).await?).await?.success()?;
    let told = ended(&w, "leaves-at-last").await?;
    ensure!(told.starts_with("Applied: "), "{told}");
    holders(&w, "True LastHolder").await?;
    without_holder(&operator, 0.0).await?;

    // A deletion in Git is not refused, and is told.
    w.admin()?.api(&["delete", "eas", "-n", "payments", "devs-again"]).await?.success()?;
    holders(&w, "False NoHolder").await?;
    without_holder(&operator, 1.0).await
}

/// A leader is stopped after it has decided that Erin may leave, since Frank stays; meanwhile Erin withdraws, and Frank leaves, since Erin
/// stays. When the old leader wakes up, it must not remove her.
#[tokio::test]
async fn a_leader_that_wakes_up_removes_no_holder_on_whom_another_removal_rests() -> Result<()> {
    let w = World::first("last-holder-paused").await?;
    let leader = w.operator_with("leader", &[("CURFEW_PARK_AT", "before:ChangeAssignment")]).await?;
    w.granting().await?;
    install(&w, &["erin", "frank"]).await?;
    let (erin, frank) = (person(&w, "erin")?, person(&w, "frank")?);
    erin.create(&removal(&w, "erin-leaves", "erin").await?).await?.success()?;
    eventually("the leader to be parked before it removes Erin", SOON, || async { Ok(leader.is_stopped().then_some(())) }).await?;
    erin.api(&["delete", "asreq", "-n", "payments", "erin-leaves"]).await?.success()?;
    let other = w.operator_with("other", &[("CURFEW_PARK_AT", "after:CreateAssignment")]).await?;
    frank.create(&removal(&w, "frank-leaves", "frank").await?).await?.success()?;
    let told = ended(&w, "frank-leaves").await?;
    ensure!(told.starts_with("Applied: "), "{told}");

    leader.resume();
    let change = || w.field(&["eas", "-n", "payments", "erin"], "{.status.change.by.name}");
    eventually("the answer to the old leader's write", SOON, || async {
        Ok((leader.log().contains("the assignment has changed since it was read") || !change().await?.is_empty()).then_some(()))
    })
    .await?;
    let change = change().await?;
    resisted(change.is_empty(), &format!("a leader that wakes up removes the last holder: {change}"))?;
    ready(&w, &["eas", "-n", "payments", "erin"], "True").await?;
    holders(&w, "True LastHolder").await?;
    drop(leader);
    survives_a_crash(&w, other).await
}
