//! What `/readyz` and `/metrics` report.
use super::{Context, gauges};
use crate::observe::Endpoints;
use std::sync::Arc;

/// The endpoints of the operator.
pub struct OperatorEndpoints(pub Arc<Context>);

impl Endpoints for OperatorEndpoints {
    /// A replica is ready when it could revoke, which needs synced stores. One without the lease is as ready as the leader.
    fn ready(&self) -> Result<String, String> {
        let authority = &self.0.authority;
        if !authority.synced() {
            return Err("the stores are not synced yet".into());
        }
        let granting = authority.why_not().map_or_else(|| "granting".to_owned(), |reason| format!("not granting: {reason}"));
        Ok(format!("ok, {granting}"))
    }

    fn metrics(&self) -> String {
        gauges::measure(&self.0);
        self.0.metrics.text()
    }
}
