//! What a test can do to calls on their way: refuse, delay, hold and release them, and lose their answers.
use crate::directory::Throttle;
use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// One call as it came, with its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsCall {
    /// When it came, in milliseconds since the epoch.
    pub at: i64,
    /// `iam`, `sts`, `s3`, `sso` or `identitystore`.
    pub service: String,
    /// As `AttachUserPolicy`.
    pub action: String,
    /// The access key that signed it.
    pub key: String,
    /// The account of that key.
    pub account: String,
    /// The parameters, by name. In JSON protocols the whole body, under an empty name.
    pub parameters: BTreeMap<String, String>,
    /// The status that the client got; 0 if it got none.
    pub status: u16,
    /// The code of the error that the client got.
    pub code: Option<String>,
}

impl AwsCall {
    /// A parameter, or nothing.
    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }
    /// Whether any parameter contains this text.
    pub fn names(&self, text: &str) -> bool {
        self.parameters.values().any(|v| v.contains(text))
    }
    /// Whether the call reads only.
    pub fn is_read(&self) -> bool {
        ["Get", "List", "Describe", "Simulate", "AssumeRole"].iter().any(|verb| self.action.starts_with(verb))
    }
}

/// What happens to a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is answered with this status and code, and has no effect.
    Refuse(u16, &'static str),
    /// It takes effect, and the connection is closed without an answer.
    LoseAnswer,
    /// It takes effect, and its answer comes this much later.
    LateAnswer(Duration),
    /// It arrives this much later.
    Delay(Duration),
    /// It waits until the test lets it go, even if its client has given up.
    Hold(Held),
}

/// A gate for the calls of one rule.
#[derive(Clone, Debug)]
pub struct Held {
    arrived: Arc<watch::Sender<usize>>,
    open: Arc<watch::Sender<bool>>,
    answered: Arc<watch::Sender<Option<AwsCall>>>,
}

impl Held {
    pub(super) fn new() -> Self {
        Held { arrived: Arc::new(watch::Sender::new(0)), open: Arc::new(watch::Sender::new(false)), answered: Arc::default() }
    }
    /// Waits at the gate.
    pub(super) async fn pass(&self) {
        self.arrived.send_modify(|n| *n += 1);
        // The sender is held by this gate itself, so it cannot be gone.
        let mut gate = self.open.subscribe();
        drop(gate.wait_for(|open| *open).await);
    }
    /// Returns once a call waits at the gate.
    ///
    /// # Errors
    /// If none has come within `limit`.
    pub async fn arrived(&self, limit: Duration) -> Result<()> {
        let mut count = self.arrived.subscribe();
        let arrived = tokio::time::timeout(limit, count.wait_for(|n| *n > 0)).await;
        arrived.with_context(|| format!("no call has come within {limit:?}"))??;
        Ok(())
    }
    /// Lets every call go on, now and later.
    pub fn release(&self) {
        self.open.send_replace(true);
    }
    /// Notes a call that has passed the gate, with the answer of the emulator.
    pub(super) fn note(&self, call: &AwsCall) {
        self.answered.send_if_modified(|first| first.is_none() && first.replace(call.clone()).is_none());
    }
    /// Returns the first call that has passed the gate, once the emulator has answered it.
    ///
    /// # Errors
    /// If none is answered within `limit`.
    pub async fn answered(&self, limit: Duration) -> Result<AwsCall> {
        let mut answered = self.answered.subscribe();
        let call = tokio::time::timeout(limit, answered.wait_for(Option::is_some)).await;
        let call = call.with_context(|| format!("no call was answered within {limit:?}"))??.clone();
        call.context("no call")
    }
}

type Matches = Box<dyn Fn(&AwsCall) -> bool + Send + Sync>;

/// A fault, and the calls that it happens to.
pub(super) struct Rule {
    pub id: u64,
    pub matches: Matches,
    pub fault: Fault,
    /// How many more calls.
    pub left: usize,
}

/// The tokens of an account.
#[derive(Debug)]
pub(super) struct Bucket {
    throttle: Throttle,
    tokens: f64,
    last: Instant,
}

impl Bucket {
    pub fn new(throttle: Throttle) -> Self {
        Bucket { throttle, tokens: throttle.burst, last: Instant::now() }
    }
    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let more = now.duration_since(self.last).as_secs_f64() * self.throttle.per_second;
        self.tokens = (self.tokens + more).min(self.throttle.burst);
        self.last = now;
        let taken = self.tokens >= 1.0;
        if taken {
            self.tokens -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bucket_fills_again() {
        let mut bucket = Bucket::new(Throttle { burst: 2.0, per_second: 10.0 });
        let begun = bucket.last;
        let after = |millis| begun + Duration::from_millis(millis);
        let taken = [0, 0, 0, 50, 150, 151].map(|millis| bucket.take(after(millis)));
        assert_eq!(taken, [true, true, false, false, true, false]);
    }
}
