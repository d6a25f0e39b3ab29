//! The slots of limits: Leases in the operator's namespace, whose names are the slots. They are created and deleted, and change only where an
//! extension takes them over from what it extends.
use super::WriteOutcome;
use crate::{authority::Permit, identity::NAMESPACE};
use curfew_core::{
    ids::{LIMIT_LABEL, REQUEST_LABEL},
    limits::{Holder, Limit, Slot, SlotName},
    time::Time,
};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;

/// The annotation of a slot with the request from which its holder has taken it over, as `uid/name`.
const TAKEN_OVER: &str = "curfew.dev/taken-over-from";
/// How many slots are listed at a time.
const PAGE: u32 = 500;

fn api(client: &Client) -> Api<Lease> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// The slots of these limits, read live.
///
/// # Errors
/// If the API server does not answer.
pub async fn of_limits(client: &Client, limits: &[Limit]) -> kube::Result<Vec<Slot>> {
    let families: Vec<&str> = limits.iter().map(|limit| &*limit.family).collect();
    list(client, &format!("{LIMIT_LABEL} in ({})", families.join(","))).await
}

/// The slots that name the request with this uid as their holder, read live.
///
/// # Errors
/// If the API server does not answer.
pub async fn held_by(client: &Client, request_uid: &str) -> kube::Result<Vec<Slot>> {
    list(client, &format!("{REQUEST_LABEL}={request_uid}")).await
}

/// Every slot, read live.
///
/// # Errors
/// If the API server does not answer.
pub async fn all(client: &Client) -> kube::Result<Vec<Slot>> {
    list(client, LIMIT_LABEL).await
}

async fn list(client: &Client, selector: &str) -> kube::Result<Vec<Slot>> {
    let (api, mut params, mut slots) = (api(client), ListParams::default().labels(selector).limit(PAGE), Vec::new());
    loop {
        let page = api.list(&params).await?;
        slots.extend(page.items.iter().filter_map(slot));
        match page.metadata.continue_.filter(|more| !more.is_empty()) {
            Some(more) => params = params.continue_token(&more),
            None => return Ok(slots),
        }
    }
}

/// A Lease as a slot; `None` if its name is not that of a slot, which admission guards: a label alone makes no slot.
fn slot(lease: &Lease) -> Option<Slot> {
    let name = lease.name_any();
    let family = SlotName::parse(&name)?.family.to_owned();
    let identity = lease.spec.as_ref()?.holder_identity.as_deref()?;
    let (namespace, request) = identity.split_once('/')?;
    let uid = lease.labels().get(REQUEST_LABEL).filter(|_| lease.labels().get(LIMIT_LABEL) == Some(&family))?;
    let taken_over_from = lease.annotations().get(TAKEN_OVER).and_then(|from| from.split_once('/'));
    Some(Slot {
        name: name.into(),
        uid: lease.uid()?.into(),
        version: lease.resource_version()?.into(),
        taken_over_from: taken_over_from.map(|(uid, name)| Holder { namespace: namespace.into(), name: name.into(), uid: uid.into() }),
        holder: Holder { namespace: namespace.into(), name: request.into(), uid: uid.as_str().into() },
        suspect: false,
    })
}

/// Creates a slot for a request. `Conflict` only if it exists: it is held by another request, or was created by another replica.
pub async fn create(client: &Client, name: &str, holder: &Holder, now: Time, _: &Permit) -> WriteOutcome<()> {
    let Some(family) = SlotName::parse(name).map(|name| name.family.to_owned()) else { return WriteOutcome::Conflict };
    let labels = [(LIMIT_LABEL.to_owned(), family), (REQUEST_LABEL.to_owned(), holder.uid.to_string())];
    let lease = Lease {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels.into()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            holder_identity: Some(format!("{}/{}", holder.namespace, holder.name)),
            acquire_time: Timestamp::from_millisecond(now.as_millis()).ok().map(MicroTime),
            ..LeaseSpec::default()
        }),
    };
    match api(client).create(&PostParams::default(), &lease).await {
        Ok(_) => WriteOutcome::Stored(()),
        Err(kube::Error::Api(status)) if status.code == 409 => WriteOutcome::Conflict,
        // Also if the namespace is not found: then nobody else was first.
        Err(error) => WriteOutcome::Failed(error),
    }
}

/// Takes over a slot for an extension of `from`, if it is still this very version of it: the object stays, so nobody else can take it
/// meanwhile. `Conflict` if it has changed or is gone. A merge patch creates nothing.
pub async fn take_over(client: &Client, slot: &Slot, holder: &Holder, from: &Holder, _: &Permit) -> WriteOutcome<()> {
    let patch = json!({
        "metadata": {
            "uid": &*slot.uid, "resourceVersion": &*slot.version, "labels": {REQUEST_LABEL: &*holder.uid},
            "annotations": {TAKEN_OVER: format!("{}/{}", from.uid, from.name)},
        },
        "spec": {"holderIdentity": format!("{}/{}", holder.namespace, holder.name)},
    });
    match api(client).patch(&slot.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => WriteOutcome::Stored(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => WriteOutcome::Conflict,
        Err(error) => WriteOutcome::Failed(error),
    }
}

/// Deletes a slot, if it is still this very version of it: one that was released and taken again stays, and so does one that was taken over.
///
/// # Errors
/// If the API server does not answer, or refuses.
pub async fn delete(client: &Client, slot: &Slot) -> kube::Result<()> {
    let only_this = Preconditions { uid: Some(slot.uid.to_string()), resource_version: Some(slot.version.to_string()) };
    let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
    match api(client).delete(&slot.name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(error),
    }
}
