//! What the stores show, as gauges.
use super::{Context, convert};
use crate::observe::StateLabel;
use curfew_core::grant::State;
use std::collections::BTreeMap;

/// Brings the gauges up to date; called when they are read.
pub fn measure(ctx: &Context) {
    let m = &ctx.metrics;
    let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let live = ctx.stores.grants.state_filter(|g| !matches!(convert::grant_state(g), State::Ended | State::Abandoned));
    m.grants_active.set(number(live.len()));
    m.grants_overdue.set(number(live.iter().filter(|g| g.spec.expires_at < ctx.now()).count()));
    m.leads.set(i64::from(ctx.authority.leads()));
    let mut states: BTreeMap<String, i64> = BTreeMap::new();
    for r in ctx.stores.requests.state() {
        let state = r.status.as_ref().and_then(|s| s.state).map_or_else(|| "Pending".to_owned(), |s| format!("{s:?}"));
        *states.entry(state).or_default() += 1;
    }
    m.requests.clear();
    for (state, n) in states {
        m.requests.get_or_create(&StateLabel { state }).set(n);
    }
}
