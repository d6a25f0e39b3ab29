//! What of the life of an assignment, eligible or active, is told.
use crate::api::conditions;
use curfew_core::{
    notice::assignment::{Life, Milestone, milestones},
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use std::collections::BTreeSet;

/// The life of an assignment that ends then, by its condition `Ready`.
pub fn life(all: &[Condition], end: Option<Time>, now: Time) -> Life {
    let ready = conditions::find(all, "Ready").filter(|ready| ready.status == "True");
    Life { ready_since: ready.map(|ready| Time::from_millis(ready.last_transition_time.0.as_millisecond())), end, now }
}

/// What is to be told once the status is stored, which says that it is told.
pub fn due(life: &Life, told: &mut BTreeSet<Milestone>) -> Option<Milestone> {
    let (due, now_told) = milestones(life, told);
    *told = now_told;
    due
}
