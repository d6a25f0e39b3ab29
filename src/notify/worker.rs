//! The task of one channel.
//!
//! It sends one notification at a time. After a fault of the channel it pauses, longer each time, and tries the same one again; an urgent
//! one ends the pause. What has waited for too long is given up and counted.
use super::{
    Notice, assignments,
    break_glass::Receipt,
    delivery::{Clients, Delivery, Fault},
    health::Health,
    mail,
    message::{self, Content},
    notice::Kind,
    queue::{Queue, Waiting},
    requests,
};
use crate::{
    api::notifications::{Channel, Via},
    authority::Clock,
    observe::Metrics,
    runtime::{
        http::{EndpointClient, HttpClient},
        stores::Stores,
    },
    timing::timing,
};
use curfew_core::{
    notice::{Recipient, cap::Cap, matrix::Matrix, transition},
    time::Time,
};
use kube::Client;
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// The pauses after faults, in units of `sink_pause`. The last one repeats.
const PAUSES: [u32; 6] = [1, 2, 5, 10, 30, 60];

/// What every channel needs.
#[derive(Clone)]
pub struct Shared {
    /// For Secrets.
    pub client: Client,
    /// For webhooks.
    pub http: HttpClient,
    /// Counts what is sent and what is not.
    pub metrics: Arc<Metrics>,
    /// Which requests still wait.
    pub stores: Stores,
    /// The time.
    pub clock: Arc<Clock>,
    /// The install id.
    pub install: String,
}

/// One channel: its queue, and how it is doing. Clones share it.
#[derive(Clone)]
pub struct Worker(Arc<State>);

struct State {
    shared: Shared,
    channel: Mutex<Channel>,
    queue: Mutex<Queue<Delivery>>,
    cap: Mutex<Cap>,
    health: Mutex<Health>,
    /// The client of its endpoint, where it names its authorities.
    own: EndpointClient,
    /// Something was queued.
    queued: Notify,
    /// Something urgent was queued.
    urgent: Notify,
    /// The channel was removed from CurfewConfig.
    removed: Notify,
}

impl Worker {
    /// Starts the task of a channel.
    pub fn start(channel: Channel, shared: Shared) -> Self {
        let worker = Worker(Arc::new(State {
            shared,
            channel: Mutex::new(channel),
            queue: Mutex::default(),
            cap: Mutex::default(),
            health: Mutex::default(),
            own: EndpointClient::default(),
            queued: Notify::new(),
            urgent: Notify::new(),
            removed: Notify::new(),
        }));
        tokio::spawn(worker.clone().run());
        worker
    }

    /// Uses these settings from now on, also for what waits.
    pub fn configure(&self, channel: &Channel) {
        let mut current = self.0.channel.lock();
        if *current != *channel {
            *current = channel.clone();
            self.0.health.lock().forget();
        }
    }

    /// Ends the task. What waits is lost.
    pub fn remove(&self) {
        self.0.removed.notify_one();
    }

    /// Forgets who had no address, after a change of the addresses.
    pub fn forget_missing(&self) {
        self.0.health.lock().forget();
    }

    /// Queues a notification, if the channel takes it. Does not wait.
    pub fn offer(&self, notice: &Notice, matrix: &Matrix, console: Option<&str>, receipt: Option<Arc<Receipt>>) {
        let (channel, now) = (self.0.channel.lock().clone(), self.now());
        let Some(content) = self.content(notice, &channel, matrix, console, now) else { return };
        let (id, event, about) = (notice.id.clone(), Some(notice.event.clone()), notice.about.clone());
        for part in (Delivery { id, event, about, content, receipt }).in_parts(mail::MAX_RECIPIENTS) {
            self.push(part, notice.event.event.is_urgent());
        }
    }

    /// What the channel sends of a notification; nothing if it does not take it. A channel that the role names takes it in any case.
    fn content(&self, notice: &Notice, channel: &Channel, matrix: &Matrix, console: Option<&str>, now: Time) -> Option<Content> {
        let event = notice.event.event;
        if notice.concerned.channels.contains(&channel.name) {
            return self.form(notice, channel, (&matrix.in_any_case(event), &Recipient::ALL), console, now);
        }
        channel.level.takes(event).then(|| self.form(notice, channel, (matrix, channel.recipients()), console, now)).flatten()
    }

    fn form(
        &self,
        notice: &Notice,
        channel: &Channel,
        (matrix, recipients): (&Matrix, &[Recipient]),
        console: Option<&str>,
        now: Time,
    ) -> Option<Content> {
        let event = notice.event.event;
        match &channel.via {
            Via::CloudEvents(_) | Via::Slack(_) if !matrix.tells_any(event, recipients) => None,
            Via::CloudEvents(_) | Via::Slack(_) if self.admitted(vec![channel.name.clone()], notice, channel, now).is_empty() => None,
            Via::CloudEvents(_) => Some(message::cloud_event(notice, &self.0.shared.install, console, &now.to_string())),
            Via::Slack(_) => Some(message::slack(notice, console)),
            Via::Smtp(_) => {
                let told = matrix.addresses(event, recipients, &notice.concerned);
                self.0.health.lock().missing(told.missing, told.left_out);
                let to = self.admitted(told.to, notice, channel, now);
                (!to.is_empty()).then(|| message::mail(notice, console, to))
            }
        }
    }

    /// Those of the recipients who may be sent one more. The others are counted.
    fn admitted(&self, recipients: Vec<String>, notice: &Notice, channel: &Channel, now: Time) -> Vec<String> {
        if notice.event.event.is_urgent() {
            return recipients;
        }
        let (all, mut cap) = (recipients.len(), self.0.cap.lock());
        let of = notice.about.as_ref().map_or("", |about| about.key.0.as_str());
        let admitted: Vec<String> = recipients.into_iter().filter(|who| cap.admits(who, of, channel.max_per_hour(), now)).collect();
        let suppressed = u64::try_from(all - admitted.len()).unwrap_or(u64::MAX);
        self.0.health.lock().suppressed += suppressed;
        self.0.shared.metrics.notifications_suppressed.inc_by(suppressed);
        admitted
    }

    fn push(&self, item: Delivery, urgent: bool) {
        let lost = self.0.queue.lock().push(Waiting { item, urgent, since: Instant::now() });
        if lost > 0 {
            self.lost(lost, "too many wait for this channel");
        }
        self.0.queued.notify_one();
        if urgent {
            self.0.urgent.notify_one();
        }
    }

    fn lost(&self, count: u64, why: &str) {
        self.0.shared.metrics.notifications_lost.inc_by(count);
        self.0.health.lock().lost(count, why, self.now());
        tracing::warn!(channel = self.name(), count, why, "a notification is given up");
    }

    /// Whether nothing waits, or it waits for a channel that does not work.
    pub fn is_finished(&self) -> bool {
        self.0.queue.lock().is_idle() || self.0.health.lock().error.is_some()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.queue.lock().len()
    }

    /// How long the oldest that waits has waited.
    pub fn oldest(&self) -> Duration {
        self.0.queue.lock().oldest(Instant::now())
    }

    /// How the channel is doing.
    pub fn health(&self) -> (String, usize, Health) {
        (self.name(), self.waiting(), self.0.health.lock().clone())
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.0.channel.lock().name.clone()
    }

    fn now(&self) -> Time {
        self.0.shared.clock.now()
    }

    async fn run(self) {
        let mut faults = 0;
        loop {
            self.queue_summaries();
            let next = self.0.queue.lock().take();
            let Some(waiting) = next else {
                let summary = self.0.cap.lock().next_summary().map(|at| until(at, self.now()));
                tokio::select! {
                    () = self.0.queued.notified() => {}
                    () = tokio::time::sleep(summary.unwrap_or(Duration::MAX)), if summary.is_some() => {}
                    () = self.0.removed.notified() => return,
                }
                continue;
            };
            if self.handle(waiting).await {
                faults = 0;
                continue;
            }
            let pause = timing().sink_pause * PAUSES[faults.min(PAUSES.len() - 1)];
            faults += 1;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.urgent.notified() => {}
                () = self.0.removed.notified() => return,
            }
        }
    }

    /// Sends one. `false` after a fault of the channel.
    async fn handle(&self, waiting: Waiting<Delivery>) -> bool {
        let Shared { client, http, metrics, .. } = &self.0.shared;
        if waiting.since.elapsed() >= timing().notification_age {
            self.0.queue.lock().done();
            let why = self.0.health.lock().error.clone();
            self.lost(1, why.as_deref().unwrap_or("it has waited too long"));
            return true;
        }
        if !self.is_current(&waiting.item) {
            self.0.queue.lock().done();
            tracing::info!(channel = self.name(), notification = waiting.item.id, "not sent: it is decided already");
            return true;
        }
        let channel = self.0.channel.lock().clone();
        let limit = match channel.via {
            Via::CloudEvents(_) | Via::Slack(_) => timing().sink_timeout,
            Via::Smtp(_) => timing().sink_timeout * mail::TIME_FACTOR,
        };
        let clients = Clients { kube: client, platform: http, own: &self.0.own };
        let sending = tokio::time::timeout(limit, waiting.item.send(&channel, clients));
        let sent = metrics.panics.catch("notifications", &waiting.item.id, sending).await;
        let late = || Err(Fault::Channel(format!("no answer within {} s", limit.as_secs())));
        match sent.map_or_else(|| Err(Fault::Notice("the attempt has panicked".into())), |sent| sent.unwrap_or_else(|_| late())) {
            Ok(()) => {
                self.0.queue.lock().done();
                metrics.notifications_sent.inc();
                self.0.health.lock().error = None;
                true
            }
            Err(Fault::Channel(error)) => {
                metrics.notifications_failures.inc();
                tracing::info!(channel = channel.name, notification = waiting.item.id, error, "a notification is tried again");
                self.0.health.lock().error = Some(error);
                self.0.queue.lock().put_back(std::iter::once(waiting));
                false
            }
            Err(Fault::Notice(error)) => {
                metrics.notifications_failures.inc();
                if !self.split(&waiting) {
                    self.0.queue.lock().done();
                    self.lost(1, &error);
                }
                true
            }
            Err(Fault::Mailbox(error)) => {
                metrics.notifications_failures.inc();
                let split = self.split(&waiting);
                if !split {
                    tracing::info!(channel = channel.name, notification = waiting.item.id, error, "a notification is tried again later");
                    self.0.health.lock().error = Some(error);
                    self.0.queue.lock().put_last(waiting);
                }
                split
            }
        }
    }

    /// Puts back what was taken as one notification for each address; `false` if it has no several.
    fn split(&self, waiting: &Waiting<Delivery>) -> bool {
        let (parts, urgent, since) = (waiting.item.split(), waiting.urgent, waiting.since);
        let several = !parts.is_empty();
        if several {
            self.0.queue.lock().put_back(parts.into_iter().map(|item| Waiting { item, urgent, since }));
        }
        several
    }

    fn is_current(&self, delivery: &Delivery) -> bool {
        let (Some(event), Some(about)) = (&delivery.event, &delivery.about) else { return true };
        let stores = &self.0.shared.stores;
        // A name that was used again is another object.
        let same = |uid: Option<&String>| uid.is_some_and(|uid| delivery.id.starts_with(uid));
        let seen = match about.kind {
            Kind::Request => {
                let stored = stores.request(&about.key).filter(|request| same(request.metadata.uid.as_ref()));
                stored.map(|request| requests::snapshot(&request.status.clone().unwrap_or_default()))
            }
            Kind::AssignmentRequest => {
                let stored = stores.assignment_request(&about.key).filter(|request| same(request.metadata.uid.as_ref()));
                stored.map(|request| assignments::snapshot(&request.status.clone().unwrap_or_default()))
            }
            Kind::Assignment | Kind::Standing | Kind::Decision => return true,
        };
        transition::is_current(event, seen.as_ref())
    }

    /// Queues a summary for each recipient whose hour is over and who was not sent everything.
    fn queue_summaries(&self) {
        let now = self.now();
        let summaries = self.0.cap.lock().take_summaries(now);
        if summaries.is_empty() {
            return;
        }
        let channel = self.0.channel.lock().clone();
        for (recipient, count) in summaries {
            let notice = Notice::of_suppressed(&self.0.shared.install, &recipient, count, channel.max_per_hour(), now);
            let content = match &channel.via {
                Via::CloudEvents(_) => message::cloud_event(&notice, &self.0.shared.install, None, &now.to_string()),
                Via::Slack(_) => message::slack(&notice, None),
                Via::Smtp(_) => message::mail(&notice, None, vec![recipient]),
            };
            self.push(Delivery { id: notice.id, event: None, about: None, content, receipt: None }, false);
        }
    }
}

fn until(at: Time, now: Time) -> Duration {
    Duration::from_millis(at.millis_since(now).max(0).unsigned_abs())
}
