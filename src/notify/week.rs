//! What happens without a transition: the digest of each week, and reminders of reviews that are outstanding. The leader does it, and what
//! it has done is stored by compare-and-swap before it is sent, so it is sent at most once. Uses of break-glass that another process may not
//! have told are sent at once, and stored when the channels have taken them, so they are sent at least once.
use super::{
    Notice, Notifier,
    notice::{self, Assignments},
    requests,
};
use crate::{
    api::{
        ActivationRequest,
        active_assignment::{Bounds, StandingWindow},
        conditions, convert,
    },
    kube_writes::{
        self, WriteOutcome,
        notifications::{store_week, week},
    },
    runtime::changes::{self, RequestGroup},
    timing::timing,
};
use curfew_core::{
    approval::review::ReviewState,
    notice::{
        digest::{Counts, Week},
        transition::reminds,
    },
    policy_inputs::Window,
    time::Time,
};
use std::{cell::LazyCell, collections::HashSet, sync::Arc, time::Duration};

/// How long one look may take.
const LIMIT: Duration = Duration::from_secs(15);
/// How long before their end assignments are counted as ending.
const ENDING_SECS: i64 = 7 * 86_400;
/// How soon to look again while a use of break-glass is to be told.
const SOON: Duration = Duration::from_secs(1);

/// What is stored, as this replica knows it: the week, if it can be read, and the version of the Lease, if there is one.
type Known = (Option<Week>, Option<String>);

impl Notifier {
    /// Looks until the process ends.
    pub async fn run(self) {
        let mut known: Option<Known> = None;
        loop {
            let every = timing().notifications_every;
            let pause = if self.uses.lock().waits() { every.min(SOON) } else { every };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.changed.notified() => {}
            }
            let configured = self.configure().is_some_and(|config| config.spec.notifications.is_some());
            if !configured || !self.authority.leads() || !self.authority.synced() {
                known = None;
                continue;
            }
            match tokio::time::timeout(LIMIT, self.look(known.take())).await {
                Ok(Ok(stored)) => known = stored,
                Ok(Err(error)) => tracing::info!(%error, "cannot store what was notified; it is tried again"),
                Err(_) => tracing::info!("cannot store what was notified: the API server does not answer; it is tried again"),
            }
        }
    }

    /// Stores what has happened, and sends what is due. Without either there is no call. Returns what is known then; nothing after a
    /// conflict, so that the next look reads.
    async fn look(&self, known: Option<Known>) -> kube::Result<Option<Known>> {
        let (before, version) = match known {
            Some(known) => known,
            None => week(&self.shared.client).await?.map_or((None, None), |(week, version)| (week, Some(version))),
        };
        let now = self.shared.clock.now();
        let begun = before.clone().unwrap_or_else(|| Week::beginning(now));
        let untold = self.uses.lock().take();
        self.offer(&untold, &begun.done);
        let begun = self.with_done(begun);
        let counts = self.counts.lock().clone();
        let due = self.reminders(begun.checked, now).await?;
        let (next, digest) = begun.advance(&counts, now, timing().digest_secs);
        let same = before.as_ref().is_some_and(|before| before.done == next.done);
        if same && counts == Counts::default() && digest.is_none() && due.is_empty() {
            return Ok(Some((before, version)));
        }
        match store_week(&self.shared.client, &next, version).await {
            WriteOutcome::Failed(error) => Err(error),
            WriteOutcome::Conflict => Ok(None),
            WriteOutcome::Stored(version) => {
                // What has happened meanwhile is stored next time.
                self.counts.lock().minus(&counts);
                let digest = digest.map(|week| notice::of_week(&week, &now.to_string(), self.assignments(now), &self.shared.install));
                let all: Vec<_> = due.into_iter().chain(digest).collect();
                self.send(&all);
                Ok(Some((Some(next), Some(version))))
            }
        }
    }

    /// With what the channels are done with now, as long as people must be told of it.
    fn with_done(&self, week: Week) -> Week {
        let stores = &self.shared.stores;
        let mut uses = self.uses.lock();
        uses.forget(|uid, key| {
            let stored = stores.request(key).filter(|request| request.metadata.uid.as_deref() == Some(uid));
            stored.is_none_or(|request| is_over(&request))
        });
        let outstanding = stores.live_requests(&RequestGroup::Unreviewed);
        let outstanding: HashSet<&str> = outstanding.iter().filter_map(|request| request.metadata.uid.as_deref()).collect();
        // One that has not begun yet has no review outstanding. Only asked for what is neither.
        let live = LazyCell::new(|| {
            let all = stores.live_requests(&RequestGroup::Live);
            all.iter().filter_map(|request| request.metadata.uid.clone()).collect::<HashSet<String>>()
        });
        week.with_done(&uses.done(), |uid| outstanding.contains(uid) || uses.knows(uid) || live.contains(uid))
    }

    /// The reminders of reviews that are due. Of a request that has ended the stores keep too little, so it is read live.
    async fn reminders(&self, checked: Time, now: Time) -> kube::Result<Vec<Notice>> {
        let every = timing().review_reminder_secs;
        let mut all = Vec::new();
        for request in self.shared.stores.live_requests(&RequestGroup::Unreviewed) {
            let Some(since) = outstanding_since(&request).filter(|since| reminds(*since, checked, now, every)) else { continue };
            let whole = if changes::has_ended(&request) {
                let (namespace, name) = changes::key(&*request);
                kube_writes::requests(&self.shared.client, &namespace).get_opt(&name).await?.map(Arc::new)
            } else {
                Some(request)
            };
            let round = now.millis_since(since) / every.max(1).saturating_mul(1000);
            let notice = whole.as_ref().and_then(|request| Some((request, requests::review_outstanding(request, round)?)));
            all.extend(notice.map(|(request, notice)| self.with_channels(request, notice)));
        }
        Ok(all)
    }

    /// Counts assignments, once a week.
    fn assignments(&self, now: Time) -> Assignments {
        let mut counted = Assignments::default();
        let mut count = |end: Option<Time>| match end {
            None => counted.permanent += 1,
            Some(end) if now < end && end < now.plus_secs(ENDING_SECS) => counted.ending += 1,
            Some(_) => {}
        };
        for assignment in self.shared.stores.assignments.state() {
            match convert::shown_window(&assignment) {
                Window::Permanent => count(None),
                Window::Between(_, end) => count(Some(end)),
            }
        }
        for assignment in self.shared.stores.standing.state() {
            count(match &assignment.spec.window {
                StandingWindow::Between(window) => Some(window.end),
                StandingWindow::Recurring(recurring) => match &recurring.bounds {
                    Bounds::Between(window) => Some(window.end),
                    Bounds::Permanent(_) => None,
                },
                StandingWindow::Permanent(_) => None,
            });
        }
        counted
    }
}

/// Whether nobody has to be told of the break-glass access of this request any more. A store that lags shows an earlier state, which is not.
fn is_over(request: &ActivationRequest) -> bool {
    let Some(status) = &request.status else { return false };
    match convert::review(status) {
        ReviewState::NotRequired => changes::has_ended(request),
        ReviewState::Required => false,
        ReviewState::Reviewed => true,
    }
}

/// Since when the review of a request is outstanding, if it is.
fn outstanding_since(request: &ActivationRequest) -> Option<Time> {
    let condition = conditions::find(&request.status.as_ref()?.conditions, convert::REVIEW_REQUIRED)?;
    (condition.status == "True").then(|| Time::from_millis(condition.last_transition_time.0.as_millisecond()))
}
