//! The intents to write a Grant. Each is queued once: a reconcile that is tried again while a sink is slow waits for the record that
//! is on its way.
use super::record::EventData;
use futures::{FutureExt, future::Shared};
use parking_lot::Mutex;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// How many intents are remembered after they were stored.
const STORED: usize = 1024;

/// Resolves when every sink has stored a record, with an error if one has ended before.
pub type Stored = Shared<oneshot::Receiver<()>>;

/// The intents that are on their way to the sinks, and those that were stored lately, by Grant, with their content.
#[derive(Default)]
pub struct Intents(Mutex<HashMap<String, (EventData, Stored)>>);

impl Intents {
    /// When this intent is stored. It is queued by `queue`, unless the same one was queued before and a sink has not ended since.
    pub fn stored(&self, grant: &str, facts: EventData, queue: impl FnOnce(EventData, oneshot::Sender<()>)) -> Stored {
        let mut intents = self.0.lock();
        let many = intents.len() >= STORED;
        // Asked, and not only looked at: of a request that has ended meanwhile nobody else asks.
        intents.retain(|_, (_, stored)| match stored.clone().now_or_never() {
            None => true,
            Some(Ok(())) => !many,
            Some(Err(_)) => false,
        });
        if let Some((_, stored)) = intents.get(grant).filter(|(known, _)| *known == facts) {
            return stored.clone();
        }
        let (taken, stored) = oneshot::channel();
        let stored = stored.shared();
        intents.insert(grant.to_owned(), (facts.clone(), stored.clone()));
        queue(facts, taken);
        stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(intents: &Intents, grant: usize, message: &str) -> (Stored, Option<oneshot::Sender<()>>) {
        let mut queued = None;
        let facts = EventData { message: Some(message.into()), ..EventData::default() };
        let stored = intents.stored(&grant.to_string(), facts, |_, taken| queued = Some(taken));
        (stored, queued)
    }

    #[tokio::test]
    async fn an_intent_is_queued_once_unless_it_is_another_or_its_sink_has_ended() {
        let intents = Intents::default();
        let (stored, queued) = intent(&intents, 1, "x");
        let (again, not_queued) = intent(&intents, 1, "x");
        assert!(not_queued.is_none() && again.clone().now_or_never().is_none(), "it waits for the first");
        queued.unwrap().send(()).unwrap();
        assert_eq!((stored.await, again.await), (Ok(()), Ok(())));
        assert!(intent(&intents, 1, "x").1.is_none(), "it is stored");
        let (other, queued) = intent(&intents, 1, "y");
        drop(queued.unwrap());
        assert!(other.await.is_err());
        assert!(intent(&intents, 1, "y").1.is_some(), "the sink has ended without storing it");
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_forgotten() {
        let intents = Intents::default();
        for grant in 0..STORED * 3 {
            // Nobody asks for the answer.
            intent(&intents, grant, "x").1.unwrap().send(()).unwrap();
        }
        assert!(intents.0.lock().len() <= STORED);
    }
}
