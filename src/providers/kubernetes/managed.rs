//! Every binding in a cluster whose name is one of Curfew's. Read by name and not by label: a label can be put on any binding,
//! and a name never changes.
use super::{provider_error, revoke};
use crate::{
    api::grant::Artifact,
    providers::port::{ManagedObject, ProviderError, RevokeOutcome},
    runtime::stores::binding_resource,
};
use curfew_core::{target::kubernetes::names::BindingName, time::Time};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, PartialObjectMeta},
};

/// How many objects are read at a time.
const PAGE: u32 = 500;

/// Lists the bindings that carry a mark, of any install.
///
/// # Errors
/// If the API server cannot be read.
pub async fn list(client: &Client) -> Result<Vec<ManagedObject>, ProviderError> {
    let mut all = Vec::new();
    for namespaced in [true, false] {
        let kind = binding_resource(namespaced);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let some = api.list_metadata(&page).await.map_err(provider_error)?;
            all.extend(some.items.iter().filter_map(|o| found(o, &kind.kind)));
            match some.metadata.continue_.filter(|c| !c.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => break,
            }
        }
    }
    Ok(all)
}

fn found(o: &PartialObjectMeta<DynamicObject>, kind: &str) -> Option<ManagedObject> {
    let name = o.metadata.name.as_deref()?;
    let id = o.metadata.namespace.as_ref().map_or_else(|| name.to_owned(), |n| format!("{n}/{name}"));
    Some(ManagedObject {
        mark: BindingName::parse(name)?.mark(),
        artifact: Artifact { kind: kind.to_owned(), id, uid: o.uid()? },
        created: Time::from_millis(o.creation_timestamp()?.0.as_millisecond()),
    })
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
