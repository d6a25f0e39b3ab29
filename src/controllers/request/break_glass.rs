//! Tells of break-glass, at once when it begins; and again where a process may have been killed before it had told.
use crate::{
    api::{ActivationRequest, convert},
    controllers::Context,
    observe::Cause,
    runtime::changes,
};
use curfew_core::{
    approval::review::ReviewState,
    request::{Request, must_be_told},
    text::brief,
};
use kube::ResourceExt;

const REASON: &str = "BreakGlass";

/// Publishes a Warning about the request and one about its role, once in the life of this process. With `earlier` it has not just begun:
/// another process may have told of it.
pub fn tell(ctx: &Context, object: &ActivationRequest, request: &Request, earlier: bool) {
    let end = request.status.expires_at.map(|end| format!(" until {end}")).unwrap_or_default();
    let (who, why) = (brief(&request.requester.username), object.spec.justification.as_deref().unwrap_or_default());
    let (role, name) = (brief(&object.spec.role_ref.name), object.name_any());
    let note = format!("{who} uses break-glass for role {role}{end}: {why}; another person must review it: kubectl curfew review {name}");
    let cause = Cause { uid: &request.uid, earlier };
    ctx.events.warn_once(object, cause, REASON, "Activate", &note);
    if let Some(role) = ctx.stores.template(&changes::template_of(object)) {
        ctx.events.warn_once(&*role, cause, REASON, "Activate", &note);
    }
}

/// The same of an access that this process has not told of. Only the leader tells.
pub fn tell_again(ctx: &Context, object: &ActivationRequest, request: &Request) {
    if ctx.authority.leads() && must_be_told(request) {
        tell(ctx, object, request, true);
        ctx.notifier.tell_again(object);
    }
}

/// Whether this process is to tell of a request that has ended, as the stores show it.
pub fn is_untold(ctx: &Context, request: &ActivationRequest) -> bool {
    let unreviewed = request.status.as_ref().is_some_and(|status| convert::review(status) == ReviewState::Required);
    let uid = request.uid().unwrap_or_default();
    unreviewed && ctx.authority.leads() && !ctx.events.has_warned(&uid, &uid, REASON)
}
