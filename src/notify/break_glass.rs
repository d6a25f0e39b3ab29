//! Which uses of break-glass this process has given to which channels, and which it still has to.
//!
//! Each use is told at least once, also if the process is killed between the activation and the message: what a channel is done with is
//! stored ([`curfew_core::notice::digest::Week::done`]), and the next process that leads tells the others what is missing there.
use super::Notice;
use curfew_core::notice::digest::done;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Weak},
};
use tokio::sync::Notify;

/// Goes with a notification through the queue of a channel. It is dropped when the channel is done with it.
#[derive(Debug)]
pub struct Receipt(Arc<Notify>);

impl Drop for Receipt {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// The uses of break-glass that this process knows of.
#[derive(Debug)]
pub struct Uses {
    given: HashMap<String, Given>,
    /// What no process may have told, by the uid of its request.
    untold: HashMap<String, Notice>,
    /// Woken when there is something to do.
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct Given {
    request: (String, String),
    channels: Vec<(String, Weak<Receipt>)>,
}

impl Uses {
    /// None. `changed` is woken when there is something to tell or to store.
    pub fn new(changed: Arc<Notify>) -> Self {
        Uses { given: HashMap::new(), untold: HashMap::new(), changed }
    }

    /// Whether this process has told of the use by the request of this uid, or is about to.
    pub fn knows(&self, uid: &str) -> bool {
        self.given.contains_key(uid) || self.untold.contains_key(uid)
    }

    /// Tells of a use as soon as it is known which channels are done with it.
    pub fn tell(&mut self, uid: &str, notice: Notice) {
        self.untold.insert(uid.to_owned(), notice);
        self.changed.notify_one();
    }

    /// Whether there is something that is not given to the channels yet.
    pub fn waits(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Takes what is not given to the channels yet.
    pub fn take(&mut self) -> Vec<Notice> {
        self.untold.drain().map(|(_, notice)| notice).collect()
    }

    /// The receipt that goes with this notification to a channel.
    pub fn give(&mut self, uid: &str, request: &(String, String), channel: &str) -> Arc<Receipt> {
        let receipt = Arc::new(Receipt(self.changed.clone()));
        let given = self.given.entry(uid.to_owned()).or_insert_with(|| Given { request: request.clone(), channels: Vec::new() });
        given.channels.push((channel.to_owned(), Arc::downgrade(&receipt)));
        receipt
    }

    /// What the channels of this process are done with.
    pub fn done(&self) -> BTreeSet<String> {
        let over = |receipt: &Weak<Receipt>| receipt.strong_count() == 0;
        let all = self.given.iter().flat_map(|(uid, given)| given.channels.iter().map(move |(channel, receipt)| (uid, channel, receipt)));
        all.filter(|(_, _, receipt)| over(receipt)).map(|(uid, channel, _)| done(uid, channel)).collect()
    }

    /// Forgets those of which nobody has to be told any more: `is_over` is asked with uid, namespace and name of a request.
    pub fn forget(&mut self, is_over: impl Fn(&str, &(String, String)) -> bool) {
        self.given.retain(|uid, given| !is_over(uid, &given.request));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_done_with_a_use_when_nothing_of_it_is_left_in_its_queue() {
        let mut uses = Uses::new(Arc::default());
        let request = ("payments".to_owned(), "r".to_owned());
        assert!(!uses.knows("u"));
        let chat = uses.give("u", &request, "chat");
        let parts = [chat.clone(), chat];
        drop(uses.give("u", &request, "siem"));
        assert!(uses.knows("u"));
        assert_eq!(uses.done(), [done("u", "siem")].into());
        let [first, second] = parts;
        drop(first);
        assert_eq!(uses.done().len(), 1, "an e-mail to several is split, and one part is left");
        drop(second);
        assert_eq!(uses.done(), [done("u", "chat"), done("u", "siem")].into());
        uses.forget(|uid, key| uid == "u" && key.1 == "other");
        assert!(uses.knows("u"));
        uses.forget(|uid, _| uid == "u");
        assert!(!uses.knows("u") && uses.done().is_empty());
    }
}
