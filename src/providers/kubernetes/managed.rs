//! Everything in a cluster whose name begins like ours. Read by name and not by label: a label can be put on anybody's
//! binding, and a name never changes.
use super::{provider_error, resource, revoke};
use crate::providers::port::{ManagedObject, ProviderError, RevokeOutcome};
use curfew_core::{ids::BindingName, time::Time};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, PartialObjectMeta},
};

/// How many objects are read at a time.
const PAGE: u32 = 500;

/// Lists our marks, whichever install made them.
pub async fn list(client: &Client) -> Result<Vec<ManagedObject>, ProviderError> {
    let mut all = Vec::new();
    for namespaced in [true, false] {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(namespaced));
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let some = api.list_metadata(&page).await.map_err(provider_error)?;
            all.extend(some.items.iter().filter_map(found));
            match some.metadata.continue_.filter(|c| !c.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => break,
            }
        }
    }
    Ok(all)
}

fn found(o: &PartialObjectMeta<DynamicObject>) -> Option<ManagedObject> {
    Some(ManagedObject {
        name: BindingName::parse(o.metadata.name.as_deref()?)?,
        namespace: o.metadata.namespace.clone(),
        uid: o.uid()?,
        created: Time::from_millis(o.creation_timestamp()?.0.as_millisecond()),
    })
}

/// Deletes this very object, and knows that it is gone.
pub async fn remove(client: &Client, f: &ManagedObject) -> Result<RevokeOutcome, ProviderError> {
    let kind = resource(f.namespace.is_some());
    let api: Api<DynamicObject> = match &f.namespace {
        Some(n) => Api::namespaced_with(client.clone(), n, &kind),
        None => Api::all_with(client.clone(), &kind),
    };
    // Another uid under that name is another object, which the next look finds.
    Ok(revoke::delete(&api, &f.name.text(), &f.uid).await?.unwrap_or(RevokeOutcome::Gone))
}
