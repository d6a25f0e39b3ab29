//! One person's access from request to end, used all the time.
//!
//! Each access has a user of its own, so a read that is allowed is allowed by this access. Times are taken before a read is sent
//! and after it is answered; a read across a deadline counts neither as early nor as late.
use crate::{ledger::Ledger, now};
use anyhow::{Context, Result, ensure};
use curfew_core::time::Time;
use curfew_testkit::{SOON, User, World, eventually};
use std::{
    cell::Cell,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The last read that may be allowed is sent so long after the deadline, or after the answer to a Revoke. A replica that does not
/// lead revokes 2 s after the deadline, and no revocation waits for the lease; the rest is for a busy machine. The Job that owns
/// a binding ends it 10 s after the deadline at the earliest, so a missing revocation is seen before the Job hides it.
pub const LATE: Duration = Duration::from_secs(8);
/// The API server may take so long to apply a new binding, after the request is `Active`.
const IN_EFFECT: Duration = Duration::from_secs(5);
/// A read that is not answered in this time is sent again.
const ANSWER: Duration = Duration::from_secs(3);
/// The longest time between two answers. In a longer one an access could end early unseen, so the run fails.
const SILENCE: Duration = Duration::from_secs(10);
/// The reads go on so long after the end: the access must not come back.
const AFTERWARDS: Duration = Duration::from_secs(3);
/// The pause between the answer to a read and the next read.
const PAUSE: Duration = Duration::from_millis(100);

/// When the access must end.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// Before this it must not end.
    from: Time,
    /// After this it must have ended.
    by: Time,
    /// Whether a Revoke ends it.
    revoked: bool,
}

/// One person's access.
pub struct Access {
    /// The request's name.
    pub name: String,
    user: User,
    approver: User,
    ledger: Arc<Ledger>,
    due: Mutex<Due>,
}

/// What the reads have shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Milliseconds from the deadline, or from the Revoke, to the answer of the first refused read.
    pub late: i64,
    /// Whether a Revoke ended it.
    pub revoked: bool,
    /// How many reads were answered.
    pub reads: usize,
    /// The longest time without an answer, in milliseconds.
    pub silence: i64,
}

impl Access {
    /// Creates the request and waits until it awaits approval. A request that is refused is sent again, as by a person: after a start
    /// or a change of the CRDs, an API server may refuse requests for some seconds.
    ///
    /// # Errors
    /// If it is refused for a minute, or not accepted in time.
    pub async fn ask(w: &World, ledger: &Arc<Ledger>, name: String, secs: u64, start: Option<Time>) -> Result<Arc<Self>> {
        let user = w.cp.user(&format!("{name}@example.com"), &["payments-devs"])?;
        let start = start.map_or_else(String::new, |start| format!(", startTime: '{start}'"));
        let request = format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {name}, namespace: payments}}, \
             spec: {{roleRef: {{name: payments-admin}}, duration: {secs}s, justification: soak{start}}}}}"
        );
        let refusals = Cell::new(0);
        let sent = || async {
            let out = user.apply(&request).await?;
            if !out.ok && refusals.replace(refusals.get() + 1) == 0 {
                println!("request {name} is refused and will be sent again: {}", out.stderr.trim());
            }
            out.success().map(Some)
        };
        eventually(&format!("request {name} to be created"), SOON + SOON, sent).await?;
        ledger.reaches(&name, "AwaitingApproval", SOON).await?;
        Self::of(w, ledger, name, user, now())
    }

    /// The access of a user that nobody requests, and that ends at a known time.
    ///
    /// # Errors
    /// If the user's kubeconfig cannot be written.
    pub fn until(w: &World, ledger: &Arc<Ledger>, name: &str, end: Time) -> Result<Arc<Self>> {
        Self::of(w, ledger, name.into(), w.cp.user(&format!("{name}@example.com"), &[])?, end)
    }

    fn of(w: &World, ledger: &Arc<Ledger>, name: String, user: User, end: Time) -> Result<Arc<Self>> {
        let due = Mutex::new(Due { from: end, by: later(end, LATE), revoked: false });
        Ok(Arc::new(Access { name, user, approver: w.carol()?, ledger: ledger.clone(), due }))
    }

    /// Approves the request and waits until it is active.
    ///
    /// # Errors
    /// If the decision is refused, or the request is not active in time.
    pub async fn approve(&self) -> Result<()> {
        self.decide("Approve").await?;
        self.is_active(SOON).await
    }

    /// Approves a request that starts later.
    ///
    /// # Errors
    /// If the decision is refused, or the request is not scheduled in time.
    pub async fn schedule(&self) -> Result<()> {
        self.decide("Approve").await?;
        self.ledger.reaches(&self.name, "Scheduled", SOON).await.map(drop)
    }

    /// Waits until a scheduled request is active. Before its start there must not be access.
    ///
    /// # Errors
    /// If it begins early, or not a minute after its start.
    pub async fn begins(&self, start: Time) -> Result<()> {
        while self.ledger.request(&self.name).is_none_or(|request| request.state == "Scheduled") {
            let allowed = self.can_read().await.unwrap_or_default();
            ensure!(!allowed || now() >= start, "{}: access before {start}", self.name);
            ensure!(now() < later(start, SOON + SOON), "{}: it has not begun a minute after {start}", self.name);
            tokio::time::sleep(PAUSE).await;
        }
        self.is_active(SOON).await
    }

    async fn is_active(&self, limit: Duration) -> Result<()> {
        let active = self.ledger.reaches(&self.name, "Active", limit).await?;
        ensure!(active.state == "Active", "{} is {} and not Active after its approval: {}", self.name, active.state, active.why);
        let from = active.expires_at.with_context(|| format!("{} is active without a deadline", self.name))?;
        *self.locked() = Due { from, by: later(from, LATE), revoked: false };
        Ok(())
    }

    /// Ends the access early.
    ///
    /// # Errors
    /// If the decision is refused.
    pub async fn revoke(&self) -> Result<()> {
        self.ledger.revokes(&self.name);
        {
            let mut due = self.locked();
            (due.from, due.revoked) = (now(), true);
        }
        self.decide("Revoke").await?;
        self.locked().by = later(now(), LATE);
        Ok(())
    }

    async fn decide(&self, decision: &str) -> Result<()> {
        let (name, digest) = (&self.name, self.ledger.request(&self.name).unwrap_or_default().digest);
        let yaml = format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: payments}}, \
             spec: {{about: {{activationRequest: {{name: {name}}}}}, digest: '{digest}', decision: {decision}}}}}"
        );
        self.approver.create(&yaml).await?.success().with_context(|| format!("{decision} of {name} is refused")).map(drop)
    }

    /// Uses the access until it has ended, and a little longer.
    ///
    /// # Errors
    /// If the access begins late, ends early or late, or comes back.
    pub async fn hold(&self) -> Result<Held> {
        let mut held = Held::default();
        let (mut answered, begun) = (Instant::now(), Instant::now());
        let (mut had, mut gone) = (false, None::<Instant>);
        while gone.is_none_or(|since| since.elapsed() < AFTERWARDS) {
            let sent = now();
            let answer = self.can_read().await;
            ensure!(answered.elapsed() < SILENCE, "{}: no read was answered for {SILENCE:?}; the last: {answer:?}", self.name);
            let Ok(allowed) = answer else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let (due, received) = (*self.locked(), now());
            held.reads += 1;
            held.silence = held.silence.max(i64::try_from(answered.elapsed().as_millis())?);
            answered = Instant::now();
            if allowed {
                ensure!(gone.is_none(), "{}: the access came back", self.name);
                ensure!(sent <= due.by, "{}: access {} ms after {}", self.name, sent.millis_since(due.from), due.from);
                had = true;
            } else if !had {
                ensure!(begun.elapsed() < IN_EFFECT && received < due.from, "{}: active, and no read was allowed", self.name);
            } else if gone.is_none() {
                let late = received.millis_since(due.from);
                ensure!(late >= 0, "{}: no access {} ms before {}", self.name, -late, due.from);
                (held.late, gone) = (late, Some(Instant::now()));
            }
            tokio::time::sleep(PAUSE).await;
        }
        held.revoked = self.locked().revoked;
        Ok(held)
    }

    /// Uses the access once.
    ///
    /// # Errors
    /// If the answer is neither the secret nor a refusal.
    pub async fn can_read(&self) -> Result<bool> {
        tokio::time::timeout(ANSWER, self.user.can_read_secret("payments", "db")).await?
    }

    fn locked(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(time: Time, by: Duration) -> Time {
    Time::from_millis(time.as_millis() + i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}
