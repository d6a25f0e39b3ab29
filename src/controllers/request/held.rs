//! When a person has held a role, or holds it, by the Grants that are kept, as the operator reads it.
use crate::{
    api::{ActivationRequest, Grant, RoleTemplate, template::ExtensionRule},
    controllers::{Context, convert::extension, dereference::Source},
    runtime::changes::{self, GrantGroup, HeldBy},
};
use curfew_core::{
    extension::Span,
    limits::MAX_VERIFIED,
    principal::{Recognition, Subject},
};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{Api, ResourceExt};
use std::{collections::BTreeMap, sync::Arc};

/// How many Grants are read at a time.
const CONCURRENCY: usize = 8;

/// The times of the other Grants of a request's role and beneficiary. `None` where no rule asks: of a role without a ceiling per day, of
/// standing access, and once the request has begun.
///
/// # Errors
/// If the API server does not answer: then nothing follows.
pub async fn read(
    ctx: &Context,
    request: &ActivationRequest,
    template: Option<&RoleTemplate>,
    people: &Recognition,
    source: Source,
) -> kube::Result<Option<Vec<Span>>> {
    let rule = template.and_then(|template| template.spec.activation.extension.as_ref());
    let begun = request.status.as_ref().is_some_and(|status| status.expires_at.is_some());
    if begun || request.spec.active_assignment.is_some() || !matches!(rule, Some(ExtensionRule::AtMost(_))) {
        return Ok(None);
    }
    let grants = match source {
        Source::Stores => stored(ctx, request, people),
        Source::Live => as_they_are(ctx, stored(ctx, request, people)).await?,
    };
    Ok(Some(grants.iter().filter_map(|grant| extension::span(grant, ctx.now())).collect()))
}

/// The other Grants of the person for whom a request is, under every name that is known of them, as the stores show them.
fn stored(ctx: &Context, request: &ActivationRequest, people: &Recognition) -> Vec<Arc<Grant>> {
    let (namespace, role) = changes::template_of(request);
    let by = match (&request.spec.beneficiary, &request.spec.requester) {
        (Some(named), _) => HeldBy::names(&Subject::from(named.clone()).principal(), std::iter::empty(), None),
        (None, Some(login)) => HeldBy::names(&login.username, login.aliases(&people.alias_keys), login.personal_uid(people.uids)),
        (None, None) => Vec::new(),
    };
    let own = request.uid().unwrap_or_default();
    // Those of older builds do not name their role, so each of them counts.
    let groups = [role.as_str(), ""].into_iter().flat_map(|role| by.iter().map(move |by| (role, by)));
    let all = groups.flat_map(|(role, by)| ctx.stores.live_grants(&GrantGroup::held(&namespace, role, by.clone())));
    let others = all.filter(|grant| grant.spec.request.uid != own && !changes::is_standing(grant));
    others.map(|grant| (grant.name_any(), grant)).collect::<BTreeMap<_, _>>().into_values().collect()
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
