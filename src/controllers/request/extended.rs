//! What a request extends, and by what it is extended, as the operator reads it.
use crate::{
    api::{ActivationRequest, Grant, request::ExtendedBy},
    controllers::{Context, convert::extension, dereference::Source},
    kube_writes,
    runtime::{
        changes::{self, GrantGroup, RequestGroup},
        stores::{Key, Stores},
    },
};
use curfew_core::{
    extension::{Extension, Span},
    ids,
    limits::MAX_VERIFIED,
    principal::Subject,
};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{Api, ResourceExt};
use std::sync::Arc;

/// How many Grants are read at a time.
const CONCURRENCY: usize = 8;

/// What a request extends: the request of that name, the Grant of that uid, and when the beneficiary holds the role. `None` if it extends
/// nothing.
///
/// # Errors
/// If the API server does not answer: then nothing follows.
pub async fn read(ctx: &Context, request: &ActivationRequest, source: Source) -> kube::Result<Option<Extension>> {
    let Some(extends) = &request.spec.extends else { return Ok(None) };
    let key = (request.namespace().unwrap_or_default(), extends.name.clone());
    let id = ids::grant_id(&ctx.install, &extends.uid);
    let unread = extension::unread(extends, request.status.as_ref());
    // How long the role is held in a day is judged until the extension begins.
    let begun = request.status.as_ref().is_some_and(|status| status.expires_at.is_some());
    let held = if begun { Vec::new() } else { held(ctx, request) };
    let (parent, grant, grants) = match source {
        Source::Stores => (ctx.stores.request(&key), ctx.stores.grant(&id), held),
        Source::Live => {
            let parent = kube_writes::requests(&ctx.client, &key.0).get_opt(&key.1).await?;
            // After the request: one that is active has its Grant.
            let grant = Api::<Grant>::all(ctx.client.clone()).get_opt(&id).await?;
            (parent.map(Arc::new), grant.map(Arc::new), as_they_are(ctx, held).await?)
        }
    };
    let spans: Vec<Span> = grants.iter().filter_map(|grant| extension::span(grant, ctx.now())).collect();
    Ok(Some(extension::facts(unread, parent.as_deref(), grant.as_deref(), (!begun).then_some(spans))))
}

/// The other Grants of the beneficiary of a request for its role, as the stores show them.
fn held(ctx: &Context, request: &ActivationRequest) -> Vec<Arc<Grant>> {
    let (namespace, role) = changes::template_of(request);
    let requester = || request.spec.requester.as_ref().map(|requester| requester.username.clone()).unwrap_or_default();
    let holder = request.spec.beneficiary.clone().map_or_else(requester, |named| Subject::from(named).principal());
    let own = request.uid().unwrap_or_default();
    // Those of older builds do not name their role, so each of them counts.
    let of = |role: &str| ctx.stores.live_grants(&GrantGroup::held(&namespace, role, &holder));
    of(&role).into_iter().chain(of("")).filter(|grant| grant.spec.request.uid != own).collect()
}

/// The same, with those that the stores show to be live as they are now, as far as that is bounded: what has ended meanwhile lasts no
/// longer.
async fn as_they_are(ctx: &Context, grants: Vec<Arc<Grant>>) -> kube::Result<Vec<Arc<Grant>>> {
    let (live, ended): (Vec<_>, Vec<_>) = grants.into_iter().partition(|grant| changes::is_live(grant));
    let api: Api<Grant> = Api::all(ctx.client.clone());
    let (look, rest) = live.split_at(live.len().min(MAX_VERIFIED));
    let names: Vec<String> = look.iter().map(|grant| grant.name_any()).collect();
    let read = stream::iter(names)
        .map(|name| {
            let api = api.clone();
            async move { api.get_opt(&name).await }
        })
        .buffer_unordered(CONCURRENCY);
    let read: Vec<Option<Grant>> = read.try_collect().await?;
    Ok(read.into_iter().flatten().map(Arc::new).chain(rest.iter().cloned()).chain(ended).collect())
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
