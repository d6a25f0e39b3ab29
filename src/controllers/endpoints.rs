//! What `/readyz` and `/metrics` report.
use super::{Context, gauges};
use crate::{observe::Endpoints, runtime::liveness::Pulse, timing::timing};
use std::{sync::Arc, time::Instant};

/// The endpoints of the operator.
pub struct OperatorEndpoints {
    /// The shared state.
    pub ctx: Arc<Context>,
    /// The signs of life of every engine.
    pub pulses: Vec<Pulse>,
}

impl Endpoints for OperatorEndpoints {
    fn alive(&self) -> Result<(), String> {
        self.pulses.iter().try_for_each(|pulse| pulse.check(Instant::now()))
    }

    /// A replica is ready when it could revoke, which needs stores that are synced and kept up to date, and when it has once seen the
    /// admission policies in force as it was built with them: so a rollout does not go on, and an installation is not finished, while
    /// the policies of another version are installed. What the leader has recorded does not matter, since a leader of another version
    /// proves nothing while these policies are installed. One without the lease is as ready as the leader.
    fn ready(&self) -> Result<String, String> {
        let authority = &self.ctx.authority;
        if !authority.synced() {
            return Err("the stores are not synced yet".into());
        }
        if let Some((kind, age)) = self.ctx.stores.ages.oldest(Instant::now()).filter(|(_, age)| *age > timing().watch_stale) {
            return Err(format!(
                "the API server has not answered the watch of {kind} for {} s: what people do now is not seen",
                age.as_secs()
            ));
        }
        if !authority.only_revokes() && !self.ctx.policies_seen() {
            return Err("the admission policies of this version were not seen in force yet; revocation works".into());
        }
        let granting = authority.why_not().map_or_else(|| "granting".to_owned(), |reason| format!("not granting: {reason}"));
        Ok(format!("ok, {granting}"))
    }

    fn metrics(&self) -> String {
        gauges::measure(&self.ctx);
        self.ctx.metrics.text()
    }
}
