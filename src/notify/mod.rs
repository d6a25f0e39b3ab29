//! Notifications by chat, e-mail and webhook. Who is told what is decided in `curfew_core::notice`; the channels are configured in
//! CurfewConfig.
//!
//! The replica that stores a transition tells it, so a transition is told once, also with several replicas and after a restart. What
//! waits in a queue when the process is killed is lost, except break-glass, which the next one tells; at a normal end it is sent first, for a
//! few seconds. The audit log is the record, and Kubernetes Events are published in any case. No reconcile waits for a channel.
//!
//! | File | Content |
//! |---|---|
//! | `notice.rs` | the form of a notification, and those about no object |
//! | `requests.rs`, `assignments.rs` | what a transition of a request or assignment tells, and to whom |
//! | `emergency.rs` | what a use of an emergency account tells |
//! | `break_glass.rs` | which uses of break-glass the channels are done with |
//! | `message.rs` | the forms that the channels take |
//! | `queue.rs`, `worker.rs` | the queue and the task of one channel |
//! | `delivery.rs`, `mail.rs` | the delivery of one notification |
//! | `health.rs` | the condition of CurfewConfig |
//! | `week.rs` | the weekly digest, and reminders of reviews |
mod assignments;
mod break_glass;
mod delivery;
mod emergency;
mod health;
mod mail;
mod message;
mod notice;
mod queue;
mod requests;
mod week;
mod worker;

pub use assignments::{of_assignment, of_standing};
pub use emergency::of_use;
pub use notice::Notice;

use crate::{
    api::{
        ActivationRequest, AssignmentRequest, CurfewConfig, assignment_request::AssignmentRequestStatus, notifications::Notifications,
        request::ActivationRequestStatus,
    },
    authority::Authority,
    observe::Metrics,
    runtime::{changes, http::HttpClient, stores::Stores},
};
use break_glass::Uses;
use curfew_core::notice::{
    NoticeEvent,
    digest::{Counts, done},
};
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Notify;
use worker::{Shared, Worker};

/// How often the end of a process looks whether everything is sent.
const LOOK: Duration = Duration::from_millis(50);

/// Sends notifications. Clones share the channels.
#[derive(Clone)]
pub struct Notifier {
    shared: Shared,
    authority: Arc<Authority>,
    channels: Arc<Mutex<Channels>>,
    /// What has happened since it was stored last.
    counts: Arc<Mutex<Counts>>,
    uses: Arc<Mutex<Uses>>,
    /// Something about a use of break-glass is to be told or stored.
    changed: Arc<Notify>,
}

/// The channels, and the generation of CurfewConfig by which they are configured.
#[derive(Default)]
struct Channels {
    generation: Option<i64>,
    workers: HashMap<String, Worker>,
}

impl Notifier {
    /// A notifier without channels. `install` is the source of its CloudEvents.
    pub fn new(client: Client, metrics: Arc<Metrics>, stores: Stores, authority: Arc<Authority>, install: String) -> Self {
        let shared = Shared { client, http: HttpClient::default(), metrics, stores, clock: authority.clock.clone(), install };
        let changed = Arc::new(Notify::new());
        let uses = Arc::new(Mutex::new(Uses::new(changed.clone())));
        Notifier { shared, authority, channels: Arc::default(), counts: Arc::default(), uses, changed }
    }

    /// What is told when a request goes over from one status to that of `stored`.
    pub fn of_request(&self, before: Option<&ActivationRequestStatus>, stored: &ActivationRequest) -> Vec<Notice> {
        requests::notices(before, stored).into_iter().map(|notice| self.with_channels(stored, notice)).collect()
    }

    /// The same of an AssignmentRequest.
    pub fn of_assignment_request(&self, before: Option<&AssignmentRequestStatus>, stored: &AssignmentRequest) -> Vec<Notice> {
        assignments::notices(before, stored)
    }

    /// With the channels that the role names for break-glass, as it is now.
    fn with_channels(&self, request: &ActivationRequest, mut notice: Notice) -> Notice {
        if requests::is_of_break_glass(notice.event.event) {
            let role = self.shared.stores.template(&changes::template_of(request));
            notice.concerned.channels =
                role.and_then(|role| Some(role.spec.activation.break_glass.as_ref()?.notify.clone())).unwrap_or_default();
        }
        notice
    }

    /// Tells of a break-glass access whose beginning another process has stored, and may not have told. Each channel that is done with it is
    /// left out. Only the leader tells.
    pub fn tell_again(&self, request: &ActivationRequest) {
        let uid = request.uid().unwrap_or_default();
        let configured = self.shared.stores.config().is_some_and(|config| config.spec.notifications.is_some());
        if !configured || self.uses.lock().knows(&uid) {
            return;
        }
        if let Some(notice) = requests::break_glass(request) {
            let notice = self.with_channels(request, notice);
            self.uses.lock().tell(&uid, notice);
        }
    }

    /// Counts notifications for the digest, and queues them for every channel that takes them. Does not wait. Must be called in a
    /// runtime.
    pub fn send(&self, notices: &[Notice]) {
        if self.offer(notices, &BTreeSet::new()) {
            let mut counts = self.counts.lock();
            notices.iter().for_each(|notice| counts.count(&notice.event, &notice.role()));
        }
    }

    /// Queues notifications, of a use of break-glass for the channels that are not done with it. `false` where there is no channel.
    fn offer(&self, notices: &[Notice], done_with: &BTreeSet<String>) -> bool {
        let Some(config) = self.configure() else { return false };
        let Some(settings) = &config.spec.notifications else { return false };
        let matrix = settings.matrix();
        let channels = self.channels.lock();
        for notice in notices {
            let used = notice.about.as_ref().filter(|_| notice.event.event == NoticeEvent::BreakGlass);
            for (name, worker) in &channels.workers {
                let is_done = used.is_some() && done_with.contains(&done(notice.uid(), name));
                let receipt = used.map(|about| self.uses.lock().give(notice.uid(), &about.key, name));
                if !is_done {
                    worker.offer(notice, &matrix, settings.console_url.as_deref(), receipt);
                }
            }
        }
        true
    }

    /// Starts and ends channels as CurfewConfig has them now. Returns it.
    fn configure(&self) -> Option<Arc<CurfewConfig>> {
        let config = self.shared.stores.config();
        let wanted = config
            .as_ref()
            .and_then(|config| config.spec.notifications.as_ref())
            .map_or(&[][..], |settings: &Notifications| &settings.channels);
        let mut channels = self.channels.lock();
        channels.workers.retain(|name, worker| {
            let stays = wanted.iter().any(|channel| channel.name == *name);
            if !stays {
                worker.remove();
            }
            stays
        });
        for channel in wanted {
            match channels.workers.get(&channel.name) {
                Some(worker) => worker.configure(channel),
                None => drop(channels.workers.insert(channel.name.clone(), Worker::start(channel.clone(), self.shared.clone()))),
            }
        }
        let generation = config.as_ref().and_then(|config| config.metadata.generation);
        if channels.generation != generation {
            channels.generation = generation;
            channels.workers.values().for_each(Worker::forget_missing);
        }
        config
    }

    /// Whether notifications are delivered: status, reason and message of the condition; `None` where there is no channel.
    pub fn condition(&self) -> Option<(bool, &'static str, String)> {
        self.configure()?.spec.notifications.as_ref()?;
        let mut all: Vec<_> = self.channels.lock().workers.values().map(Worker::health).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Some(health::condition(&all, self.shared.clock.now()))
    }

    /// How long the oldest notification that waits has waited, over all channels.
    pub fn oldest(&self) -> Duration {
        self.channels.lock().workers.values().map(Worker::oldest).max().unwrap_or_default()
    }

    /// Waits until everything is sent that a working channel takes, at most for so long.
    pub async fn finish(&self, limit: Duration) {
        let workers: Vec<Worker> = self.channels.lock().workers.values().cloned().collect();
        let sent = async {
            while !workers.iter().all(Worker::is_finished) {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _in_time = tokio::time::timeout(limit, sent).await;
        let lost: usize = workers.iter().map(Worker::waiting).sum();
        if lost > 0 {
            tracing::warn!(lost, "notifications are lost: the process ends before a channel has taken them");
        }
    }
}
