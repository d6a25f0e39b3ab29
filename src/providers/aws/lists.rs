//! Lists that many grants share: while all is well, a heartbeat over hundreds of grants costs a few calls and not a few hundred.
//!
//! Every policy below `/curfew/` comes with its id, its version in effect and the number of its holders in one call for a thousand
//! of them. A list may be older than the look that asks for it, so it is believed only where it shows exactly what should be there;
//! everything else is read again, one by one.
use super::{
    Aws,
    own_policies::Place,
    policies::{Holder, PolicyState},
};
use crate::providers::port::ProviderError;
use curfew_core::{target::aws::names, time::Time};
use std::{collections::HashMap, sync::Arc};

/// For how long a list serves the looks that follow.
const SHARED_MILLIS: i64 = 10_000;

/// Policies by ARN, and when they were listed.
pub type Listed = Option<(Time, Arc<HashMap<String, PolicyState>>)>;

impl Aws {
    fn is_recent(&self, at: Time) -> bool {
        (0..SHARED_MILLIS).contains(&self.clock.now().millis_since(at))
    }

    /// Every policy below `/curfew/`, listed within the last seconds. Those that ask meanwhile share one call.
    async fn listed(&self) -> Result<Arc<HashMap<String, PolicyState>>, ProviderError> {
        let mut known = self.listed.lock().await;
        if let Some((_, all)) = known.as_ref().filter(|(at, _)| self.is_recent(*at)) {
            return Ok(all.clone());
        }
        let at = self.clock.now();
        let all: HashMap<_, _> = self.policies_below(names::PATH).await?.into_iter().map(|policy| (policy.arn.clone(), policy)).collect();
        all.values().for_each(|policy| self.sighted.insert(policy.arn.clone(), (at, policy.clone())));
        let all = Arc::new(all);
        *known = Some((at, all.clone()));
        Ok(all)
    }

    /// The policies of a holder, read within the last seconds.
    async fn held_recently(&self, holder: &Holder) -> Result<Option<Arc<Vec<String>>>, ProviderError> {
        let key = holder.to_string();
        if let Some((_, held)) = self.held.get(&key).filter(|(at, _)| self.is_recent(*at)) {
            return Ok(Some(held));
        }
        let at = self.clock.now();
        let held = self.held_by(holder).await?.map(Arc::new);
        if let Some(held) = &held {
            self.held.insert(key, (at, held.clone()));
        }
        Ok(held)
    }

    /// Whether the shared lists show that the holder has exactly these policies, and nobody else. `false` proves nothing.
    ///
    /// # Errors
    /// If AWS throttles: then no other call is made either.
    pub(super) async fn lists_show(&self, places: &[Place<'_>], holder: &Holder) -> Result<bool, ProviderError> {
        // A list may be older than an end that this process has begun.
        if places.iter().any(|at| self.ending.get(&at.arn()).is_some()) {
            return Ok(false);
        }
        let all = match self.listed().await {
            Ok(all) => all,
            Err(e) if e.retry_after().is_some() => return Err(e),
            Err(_) => return Ok(false),
        };
        for at in places {
            let Some(found) = all.get(&at.arn()) else { return Ok(false) };
            if found.attachments != 1 || found.boundaries != 0 || !self.is_as_planned(*at, found).await? {
                return Ok(false);
            }
        }
        let held = self.held_recently(holder).await?;
        Ok(!places.is_empty() && held.is_some_and(|held| places.iter().all(|at| held.contains(&at.arn()))))
    }
}
