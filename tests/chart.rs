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
#[path = "chart/objects.rs"]
mod objects;
#[path = "chart/values.rs"]
mod values;
