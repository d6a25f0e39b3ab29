//! How the channels are doing: the condition `NotificationsDelivered` of CurfewConfig. Pure.
use curfew_core::{principal::Subject, text::brief, time::Time};
use std::collections::BTreeSet;

/// How many users and groups without an address are named, at most.
const MOST_NAMED: usize = 8;
/// How many of them are counted, at most.
const MOST_KEPT: usize = 256;
/// How long a loss is said, in seconds.
const LOSS_SECS: i64 = 3600;

/// How one channel is doing, since this replica started.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// Why the last attempt failed; `None` after one that did not.
    pub error: Option<String>,
    /// How many notifications were not sent because a recipient had too many in an hour.
    pub suppressed: u64,
    /// How many were given up.
    given_up: u64,
    /// The last one that was given up: when, and why.
    last_loss: Option<(Time, String)>,
    /// Users and groups that were to be told and have no address, at most [`MOST_KEPT`].
    missing: BTreeSet<Subject>,
    /// How many addresses were more than one notification may have.
    left_out: u64,
}

impl Health {
    /// So many notifications were given up.
    pub fn lost(&mut self, count: u64, why: &str, now: Time) {
        self.given_up += count;
        self.last_loss = Some((now, why.to_owned()));
    }

    /// These were to be told and have no address, and so many were too many addresses for one notification.
    pub fn missing(&mut self, missing: BTreeSet<Subject>, left_out: usize) {
        self.left_out += u64::try_from(left_out).unwrap_or(u64::MAX);
        for subject in missing {
            if self.missing.len() < MOST_KEPT {
                self.missing.insert(subject);
            }
        }
    }

    /// Forgets what another configuration may have changed.
    pub fn forget(&mut self) {
        *self = Health { suppressed: self.suppressed, given_up: self.given_up, ..Health::default() };
    }
}

/// The condition: its status, reason and message. The first of these holds: a channel fails; one was given up within the last hour; users
/// or groups have no address. Each channel is given with its name and how many wait for it.
pub fn condition(channels: &[(String, usize, Health)], now: Time) -> (bool, &'static str, String) {
    let failing: Vec<String> = channels
        .iter()
        .filter_map(|(name, waiting, health)| {
            let error = health.error.as_ref()?;
            Some(format!("{name}: {error} ({waiting} wait, {} were given up)", health.given_up))
        })
        .collect();
    if !failing.is_empty() {
        return (false, "ChannelFailing", format!("{}; access begins and ends without waiting for it", failing.join("; ")));
    }
    let losses = channels.iter().filter_map(|(name, _, health)| {
        let (at, why) = health.last_loss.as_ref().filter(|(at, _)| now < at.plus_secs(LOSS_SECS))?;
        Some(format!("{name}: {} were given up, the last one at {at}: {why}", health.given_up))
    });
    let losses: Vec<String> = losses.collect();
    if !losses.is_empty() {
        return (false, "NotificationsLost", losses.join("; "));
    }
    let left_out: u64 = channels.iter().map(|(_, _, health)| health.left_out).sum();
    let left_out = if left_out > 0 { format!("; {left_out} addresses were over the 1000 of one notification") } else { String::new() };
    let missing: BTreeSet<&Subject> = channels.iter().flat_map(|(_, _, health)| &health.missing).collect();
    if !missing.is_empty() {
        let unnamed = missing.len().saturating_sub(MOST_NAMED);
        let names = missing.into_iter().take(MOST_NAMED).map(|subject| brief(&subject.to_string())).collect::<Vec<_>>().join(", ");
        let more = if unnamed > 0 { format!(" and {unnamed} more") } else { String::new() };
        let what = "add them to spec.notifications.addresses";
        return (false, "NoAddress", format!("not told by e-mail, since no address is known: {names}{more}; {what}{left_out}"));
    }
    let suppressed: u64 = channels.iter().map(|(_, _, health)| health.suppressed).sum();
    let suppressed = if suppressed > 0 { format!("; {suppressed} were not sent because of maxPerHour") } else { String::new() };
    (true, "Delivered", format!("every channel takes notifications{suppressed}{left_out}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(health: Health) -> (bool, &'static str, String) {
        condition(&[("chat".into(), 0, Health::default()), ("mail".into(), 3, health)], Time::from_secs(10_000))
    }

    #[test]
    fn the_condition_says_what_is_wrong_and_what_to_do() {
        assert_eq!(of(Health::default()), (true, "Delivered", "every channel takes notifications".into()));
        let mut health = Health::default();
        health.missing([Subject::Group("leads".into())].into(), 0);
        let no_address = of(health.clone());
        assert!(
            no_address.1 == "NoAddress" && no_address.2.contains("group leads; add them to spec.notifications.addresses"),
            "{no_address:?}"
        );
        health.lost(2, "it answered 503", Time::from_secs(9_000));
        let lost = of(health.clone());
        assert!(
            lost.1 == "NotificationsLost" && lost.2.contains("mail: 2 were given up") && lost.2.contains("it answered 503"),
            "{lost:?}"
        );
        health.error = Some("no answer within 10 s".into());
        let failing = of(health.clone());
        assert!(
            failing.1 == "ChannelFailing" && failing.2.contains("mail: no answer within 10 s (3 wait, 2 were given up)"),
            "{failing:?}"
        );
        health.forget();
        assert_eq!(of(health).1, "Delivered");
    }

    #[test]
    fn a_loss_is_said_for_an_hour_and_the_number_of_names_is_bounded() {
        let mut health = Health::default();
        health.lost(1, "too many wait", Time::from_secs(6_000));
        assert_eq!(of(health.clone()).1, "Delivered");
        health.missing((0..20).map(|i| Subject::User(format!("u{i:02}"))).collect(), 0);
        let told = of(health).2;
        let mut crowded = Health::default();
        crowded.missing(BTreeSet::new(), 200);
        assert!(of(crowded).2.contains("200 addresses were over the 1000"));
        assert!(told.contains("u07 and 12 more") && !told.contains("u08"), "{told}");
    }
}
