//! A request that lives in a file: what happens when the file is applied again after the access has ended.
use super::decide;
use crate::shared::with_operator;
use anyhow::{Result, ensure};
use curfew_testkit::SOON;

const FILE: &str = "{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: from-a-file, namespace: payments}, \
    spec: {roleRef: {name: payments-admin}, duration: 1h, justification: roll back release 2311}}";

#[tokio::test]
async fn a_file_that_is_applied_again_grants_nothing_and_says_so() -> Result<()> {
    let w = with_operator().await?;
    let gil = w.cp.user("gil@example.com", &["payments-devs"])?;
    let may_ask = ["create", "rolebinding", "-n", "payments", "gil-asks", "--clusterrole=curfew-requester", "--user=gil@example.com"];
    w.admin()?.api(&may_ask).await?.success()?;
    let apply = ["apply", "--server-side", "-f", "-"];
    gil.kubectl_stdin(&apply, FILE).await?.success()?;
    w.state_is("from-a-file", "AwaitingApproval").await?;
    decide(w, &w.carol()?, "from-a-file", "Approve").await?;
    w.state_is("from-a-file", "Active").await?;
    w.access_is(&gil, true, SOON).await?;
    let again = gil.kubectl_stdin(&apply, FILE).await?;
    ensure!(again.ok && !again.stderr.contains("has ended"), "it has not ended: {}", again.stderr);

    // Deleted, as when the file was taken out of Git, and applied once more.
    gil.api(&["delete", "areq", "-n", "payments", "from-a-file"]).await?.success()?;
    w.access_is(&gil, false, SOON).await?;
    gil.kubectl_stdin(&apply, FILE).await?.success()?;
    w.state_is("from-a-file", "Invalid").await?;
    let told = w.field(&["areq", "-n", "payments", "from-a-file"], "{.status.reason}: {.status.message}").await?;
    ensure!(told.starts_with("AlreadyConsumed: ") && told.contains("another name"), "{told}");
    ensure!(!gil.can_read_secret("payments", "db").await?, "a name grants once");

    // An apply is answered with a warning that nothing follows, though nothing is written.
    let warned = gil.kubectl_stdin(&apply, FILE).await?;
    ensure!(warned.ok && warned.stderr.contains("has ended as Invalid") && warned.stderr.contains("create a new request"), "{warned:?}");
    Ok(())
}
