//! The one driver: it answers what a pass asks. Every crash test parks here.
use super::crash::{self, When};
use async_trait::async_trait;
use curfew_core::{
    pass::{Answer, Ask, Pass},
    request::Wake,
    time::Time,
};
use std::time::Duration;

/// How long one ask may take. What takes longer counts as failed: nobody knows, and unknown is present.
const LIMIT: Duration = Duration::from_secs(20);

/// What can answer a pass.
#[async_trait]
pub trait Ports: Send + Sync {
    /// Does what is asked. Whatever goes wrong is an answer, too.
    async fn answer(&self, ask: &Ask) -> Answer;
    /// The time, read anew for each step.
    fn now(&self) -> Time;
    /// Whether granting is allowed, read anew for each step.
    fn permit(&self) -> bool;
}

/// Drives a pass to its end.
pub async fn drive(ports: &impl Ports, pass: Pass) -> Wake {
    let (mut pass, mut ask) = pass.next(Answer::Start, ports.now(), ports.permit());
    loop {
        if let Ask::Done(wake) = ask {
            return wake;
        }
        crash::point(When::Before, &ask);
        let answer = tokio::time::timeout(LIMIT, ports.answer(&ask)).await.unwrap_or_else(|_| {
            tracing::warn!(ask = crash::name(&ask), "no answer in {LIMIT:?}");
            Answer::Failed
        });
        tracing::debug!(ask = crash::name(&ask), answer = outcome(&answer), "step");
        crash::point(When::After, &ask);
        (pass, ask) = pass.next(answer, ports.now(), ports.permit());
    }
}

/// What came of an ask, in one word for the log.
fn outcome(a: &Answer) -> &'static str {
    match a {
        Answer::Start | Answer::Fresh(_) | Answer::Behind(_) | Answer::Seen(_) | Answer::Live(..) => "read",
        Answer::Stored(_) | Answer::Forwarded(_) | Answer::Reserved(_) | Answer::Done => "done",
        Answer::Occupied => "occupied",
        Answer::Gone => "gone",
        Answer::Conflict => "conflict",
        Answer::Failed => "failed",
    }
}
