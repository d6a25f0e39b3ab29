//! API Priority and Fairness: which queue of the API server a call waits in, as its answer says.
use crate::shared::without_operator;
use anyhow::{Context as _, Result, ensure};
use curfew::identity::flow::{OWN, PEOPLE};
use curfew_testkit::{User, World};
use http::{Method, Request};
use kube::client::Body;
use serde_json::json;

/// The FlowSchema under which a call was served, also of a call that is refused.
async fn served_under(who: &User, method: Method, uri: &str, body: &str) -> Result<String> {
    let request = Request::builder().method(method).uri(uri).header("Content-Type", "application/json");
    let answer = who.client().await?.send(request.body(Body::from(body.as_bytes().to_vec()))?).await?;
    let header = answer.headers().get("x-kubernetes-pf-flowschema-uid").context("the API server does not say the FlowSchema")?;
    Ok(header.to_str()?.to_owned())
}

async fn uid(w: &World, schema: &str) -> Result<String> {
    w.field(&["flowschema", schema], "{.metadata.uid}").await
}

#[tokio::test]
async fn the_objects_of_people_wait_in_a_queue_of_their_own_and_our_accounts_in_none_of_others() -> Result<()> {
    let w = without_operator().await?;
    let (own, people) = (uid(w, OWN).await?, uid(w, PEOPLE).await?);
    let alice = w.alice()?;
    let request = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": "queued", "namespace": "payments"},
        "spec": {"roleRef": {"name": "payments-admin"}, "justification": "x"}});
    let (requests, decisions) = ("activationrequests", "accessdecisions");
    for plural in [requests, decisions] {
        let path = format!("/apis/curfew.dev/v1alpha1/namespaces/payments/{plural}");
        let created = served_under(&alice, Method::POST, &format!("{path}?dryRun=All"), &request.to_string()).await?;
        ensure!(created == people, "a write of {plural} is served under {created}");
        let read = served_under(&alice, Method::GET, &path, "").await?;
        ensure!(read != people && read != own, "a read of {plural} is served under {read}");
    }
    for account in ["operator", "revoker", "sweep"] {
        let user = w.cp.user(&format!("system:serviceaccount:curfew-system:curfew-{account}"), &[])?;
        for path in ["/apis/curfew.dev/v1alpha1/grants", "/apis/rbac.authorization.k8s.io/v1/namespaces/payments/rolebindings"] {
            let served = served_under(&user, Method::DELETE, &format!("{path}/none"), "").await?;
            ensure!(served == own, "{account} is served under {served} for {path}");
        }
    }
    Ok(())
}
