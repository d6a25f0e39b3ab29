//! Gauges that show what the stores hold.
use super::Context;
use crate::{
    api::{AuthorizationSystem, RoleTemplate, conditions},
    observe::StateLabel,
    runtime::{changes::GrantGroup, kept::RequestSummary},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// Brings the gauges up to date; called when they are read.
pub fn measure(ctx: &Context) {
    let metrics = &ctx.metrics;
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let live = ctx.stores.live_grant_summaries(&GrantGroup::Live);
    metrics.grants_active.set(number(live.len()));
    metrics.grants_overdue.set(number(live.iter().filter(|grant| grant.expires_at < ctx.now()).count()));
    metrics.watch_age.set(ctx.stores.ages.oldest(Instant::now()).map_or(0, |(_, age)| i64::try_from(age.as_secs()).unwrap_or(i64::MAX)));
    let deleted = ctx.unreviewed_deleted.load(Ordering::Relaxed);
    metrics.break_glass_unreviewed.set(number(ctx.stores.unreviewed_requests() + deleted));
    metrics.notifications_oldest.set(i64::try_from(ctx.notifier.oldest().as_secs()).unwrap_or(i64::MAX));
    let used = |system: &Arc<AuthorizationSystem>| {
        let last = system.status.as_ref()?.emergency_use.as_ref()?;
        Some(last.told_at.unwrap_or(last.at).as_millis() / 1000)
    };
    metrics.emergency_account_last_use.set(ctx.stores.systems.state().iter().filter_map(used).max().unwrap_or_default());
    let templates = ctx.stores.templates.state();
    metrics.roles_without_holder.set(number(templates.iter().filter(|template| has_no_holder(template)).count()));
    metrics.leads.set(i64::from(ctx.authority.leads()));
    let mut states: BTreeMap<String, i64> = BTreeMap::new();
    ctx.stores.requests.each(|RequestSummary { state, .. }| {
        *states.entry(state.map_or_else(|| "Pending".to_owned(), |state| format!("{state:?}"))).or_default() += 1;
    });
    metrics.requests.clear();
    for (state, count) in states {
        metrics.requests.get_or_create(&StateLabel { state }).set(count);
    }
}

/// Whether the readiness controller has found that nobody is eligible for a role that protects its last holder.
fn has_no_holder(template: &RoleTemplate) -> bool {
    let found = template.status.as_ref().and_then(|status| conditions::find(&status.conditions, conditions::HAS_HOLDER));
    found.is_some_and(|found| found.status == "False")
}
