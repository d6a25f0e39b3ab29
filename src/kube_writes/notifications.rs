//! What the replicas keep about notifications: one Lease in the operator's namespace. CurfewConfig would be the place for it, but its
//! status is also written by the admission check, and a conflict there would delay grants.
use super::WriteOutcome;
use crate::identity::{NAMESPACE, NOTIFICATIONS};
use curfew_core::notice::digest::Week;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ObjectMeta, PostParams},
};

/// The annotation that holds the week as JSON.
const WEEK: &str = "curfew.dev/week";

/// What is stored, and its version; nothing if there is no Lease yet. A week that cannot be read counts as one that has not begun.
///
/// # Errors
/// If the API server does not answer.
pub async fn week(client: &Client) -> kube::Result<Option<(Option<Week>, String)>> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let Some(lease) = leases.get_opt(NOTIFICATIONS).await? else { return Ok(None) };
    let week = lease.annotations().get(WEEK).and_then(|text| serde_json::from_str(text).ok());
    Ok(Some((week, lease.resource_version().unwrap_or_default())))
}

/// Stores the week if the Lease still has this version, or does not exist and none is given. Returns the new version.
pub async fn store_week(client: &Client, week: &Week, version: Option<String>) -> WriteOutcome<String> {
    let text = match serde_json::to_string(week) {
        Ok(text) => text,
        Err(error) => return WriteOutcome::Failed(kube::Error::SerdeError(error)),
    };
    let leases: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(NOTIFICATIONS.into()),
            annotations: Some([(WEEK.to_owned(), text)].into()),
            resource_version: version.clone(),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            acquire_time: Timestamp::from_millisecond(week.since.as_millis()).ok().map(MicroTime),
            renew_time: Timestamp::from_millisecond(week.checked.as_millis()).ok().map(MicroTime),
            ..LeaseSpec::default()
        }),
    };
    let stored = match version {
        Some(_) => leases.replace(NOTIFICATIONS, &PostParams::default(), &lease).await,
        None => leases.create(&PostParams::default(), &lease).await,
    };
    stored.map(|lease| lease.resource_version().unwrap_or_default()).into()
}
