//! The helm chart: what it renders, and what happens when it is installed, upgraded and uninstalled on a real control plane.
#[path = "chart/alerts.rs"]
mod alerts;
#[path = "chart/dashboards.rs"]
mod dashboards;
#[path = "chart/docs.rs"]
mod docs;
#[path = "chart/equal.rs"]
mod equal;
#[path = "chart/life.rs"]
mod life;
#[path = "chart/manifests.rs"]
mod manifests;
#[path = "chart/monitors.rs"]
mod monitors;
#[path = "chart/objects.rs"]
mod objects;
#[path = "chart/oldest.rs"]
mod oldest;
#[path = "chart/queries.rs"]
mod queries;
#[path = "chart/upgrades.rs"]
mod upgrades;
#[path = "chart/values.rs"]
mod values;
