//! What a request extends, and by what it is extended, as the operator reads it.
use crate::{
    api::{ActivationRequest, Grant, request::ExtendedBy},
    controllers::{Context, convert::extension, dereference::Source},
    kube_writes,
    runtime::{
        changes::RequestGroup,
        stores::{Key, Stores},
    },
};
use curfew_core::{extension::Extension, ids};
use kube::{Api, ResourceExt};
use std::sync::Arc;

/// What a request extends: the request of that name, and the Grant of that uid. `None` if it extends nothing.
///
/// # Errors
/// If the API server does not answer: then nothing follows.
pub async fn read(ctx: &Context, request: &ActivationRequest, source: Source) -> kube::Result<Option<Extension>> {
    let Some(extends) = &request.spec.extends else { return Ok(None) };
    let key = (request.namespace().unwrap_or_default(), extends.name.clone());
    let id = ids::grant_id(&ctx.install, &extends.uid);
    let unread = extension::unread(extends, request.status.as_ref());
    let (parent, grant) = match source {
        Source::Stores => (ctx.stores.request(&key), ctx.stores.grant(&id)),
        Source::Live => {
            let parent = kube_writes::requests(&ctx.client, &key.0).get_opt(&key.1).await?;
            // After the request: one that is active has its Grant.
            let grant = Api::<Grant>::all(ctx.client.clone()).get_opt(&id).await?;
            (parent.map(Arc::new), grant.map(Arc::new))
        }
    };
    Ok(Some(extension::facts(unread, parent.as_deref(), grant.as_deref())))
}

/// The request that extends this one, as the stores show it: the one that has begun, of which there is one at a time.
pub fn extended_by(stores: &Stores, key: &Key, uid: &str) -> Option<ExtendedBy> {
    let children = stores.live_requests(&RequestGroup::Extending(key.clone()));
    children.iter().find_map(|child| {
        child.spec.extends.as_ref().filter(|extends| extends.uid == uid)?;
        let expires_at = child.status.as_ref()?.expires_at?;
        Some(ExtendedBy { name: child.name_any(), uid: child.uid()?, expires_at })
    })
}
