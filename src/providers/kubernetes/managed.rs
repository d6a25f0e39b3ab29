//! Every binding in a cluster whose name is one of Curfew's. Read by name and not by label: a label can be put on any binding,
//! and a name never changes.
use super::{provider_error, revoke};
use crate::{
    api::grant::Artifact,
    providers::port::{ManagedObject, ProviderError, RevokeOutcome},
    runtime::stores::binding_resource,
};
use curfew_core::{target::kubernetes::names::BindingName, time::Time};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::{
    Api, Client, Resource,
    api::{DynamicObject, ListParams},
    core::Request,
};
use serde::Deserialize;

/// How many objects are read at a time. Each is some 1,500 bytes of metadata. A sweep is to take few calls, however many there are.
const PAGE: u32 = 5_000;

/// A part of a list. What else metadata hold is read past, which costs less than to keep it.
#[derive(Deserialize)]
struct Page {
    metadata: ListMeta,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: Option<String>,
    uid: Option<String>,
    creation_timestamp: Option<jiff::Timestamp>,
}

/// Lists the bindings that carry a mark, of any install.
///
/// # Errors
/// If the API server cannot be read.
pub async fn list(client: &Client) -> Result<Vec<ManagedObject>, ProviderError> {
    let mut all = Vec::new();
    for namespaced in [true, false] {
        let kind = binding_resource(namespaced);
        let bindings = Request::new(DynamicObject::url_path(&kind, None));
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let request = bindings.list_metadata(&page).map_err(|error| provider_error(kube::Error::BuildRequest(error)))?;
            let some: Page = client.request(request).await.map_err(provider_error)?;
            all.extend(some.items.into_iter().filter_map(|item| found(item.metadata, &kind.kind)));
            match some.metadata.continue_.filter(|c| !c.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => break,
            }
        }
    }
    Ok(all)
}

fn found(of: Metadata, kind: &str) -> Option<ManagedObject> {
    let mark = BindingName::parse(&of.name)?.mark();
    let id = of.namespace.map_or_else(|| of.name.clone(), |namespace| format!("{namespace}/{}", of.name));
    let created = Time::from_millis(of.creation_timestamp?.as_millisecond());
    Some(ManagedObject { mark, artifact: Artifact { kind: kind.to_owned(), id, uid: of.uid? }, created })
}

/// Deletes this very object and reports whether it is gone.
///
/// # Errors
/// If the API server cannot be reached or refuses.
pub async fn remove(client: &Client, found: &ManagedObject) -> Result<RevokeOutcome, ProviderError> {
    let (namespace, name) = found.artifact.id.split_once('/').map_or((None, found.artifact.id.as_str()), |(ns, name)| (Some(ns), name));
    let kind = binding_resource(namespace.is_some());
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    // Another uid under that name is another object, which the next sweep finds.
    Ok(revoke::delete(&api, name, &found.artifact.uid).await?.unwrap_or(RevokeOutcome::Gone))
}
