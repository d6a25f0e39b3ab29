use super::*;
use serde_json::{Value, json};

const HOUR: i64 = 3600;

fn time(text: &str) -> Time {
    Time::parse(text).unwrap()
}

fn pace(text: &str) -> Pace {
    Pace::under(&text.parse().unwrap())
}

fn recurrence(every: Value, times: &[&str], duration: &str) -> Recurrence {
    let recurrence: Recurrence = serde_json::from_value(json!({"every": every, "times": times, "duration": duration})).unwrap();
    recurrence.check().unwrap();
    recurrence
}

/// Numbers that a seed determines.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
    fn secs(&mut self, limit: i64) -> i64 {
        i64::try_from(self.below(u64::try_from(limit).unwrap())).unwrap()
    }
}

/// A leader from this time to that one, which looks when it is told to, and late by at most `late` seconds. Returns what it requested.
fn lead(schedule: &Schedule<'_>, pace: Pace, from: Time, to: Time, numbers: &mut Numbers, late: i64) -> Vec<Occurrence> {
    let (mut now, mut all, mut looked) = (from, Vec::<Occurrence>::new(), 0);
    while now < to {
        looked += 1;
        assert!(looked < 10_000, "it looks too often");
        let held: Vec<Occurrence> = all.iter().copied().filter(|a| a.end > now).collect();
        let planned = plan(schedule, pace, &held, now);
        match (planned.create, planned.wake) {
            (Some(activation), _) => {
                assert!(!all.contains(&activation), "{activation:?} is requested twice");
                assert!(activation.start <= now.plus_secs(LEAD_SECS), "{activation:?} is requested too early at {now}");
                all.push(activation);
                let ahead = all.iter().filter(|a| a.start > now).count();
                assert!(ahead <= 1, "{ahead} are requested ahead");
            }
            (None, Some(wake)) => {
                assert!(wake > now, "it does not wait");
                now = wake.plus_secs(if late > 0 { numbers.secs(late) } else { 0 });
            }
            (None, None) => break,
        }
    }
    all
}

/// Whether all of the periods from here on are covered, and nothing else.
fn check(schedule: &Schedule<'_>, pace: Pace, all: &[Occurrence], from: Time, to: Time) {
    for activation in all {
        assert!(schedule.contains(activation), "{activation:?} is outside of the window");
        assert!(activation.secs() <= pace.longest_secs() && activation.secs() > 0, "{activation:?}");
    }
    let mut at = from;
    while let Some(period) = schedule.first_ending_after(at).filter(|period| period.start < to) {
        let begin = period.start.max(from);
        let covered = covered_until(all, begin);
        assert!(covered >= period.end.min(to), "from {covered} on {period:?} is not held");
        at = period.end;
    }
}

fn schedules(numbers: &mut Numbers) -> Vec<(Schedule<'static>, Time)> {
    let start = time("2027-01-01T00:00:00Z").plus_secs(numbers.secs(400 * 24 * HOUR));
    let leaked = |recurrence| -> Option<&'static Recurrence> { Some(Box::leak(Box::new(recurrence))) };
    let all = [
        None,
        leaked(recurrence(json!({"day": {}}), &["22:00"], "8h")),
        leaked(recurrence(json!({"day": {}}), &["09:00", "10:00", "17:30:10"], "1h")),
        leaked(recurrence(json!({"week": ["Saturday", "Sunday"]}), &["08:00"], "23h")),
        leaked(recurrence(json!({"month": [31]}), &["12:00"], "672h")),
        leaked(recurrence(json!({"month": [1, 15]}), &["00:00"], "300h")),
    ];
    all.into_iter().map(|recurrence| (Schedule { from: start, until: None, recurrence }, start)).collect()
}

#[test]
fn nothing_is_left_out_and_nothing_is_outside() {
    for seed in 0..60 {
        let numbers = &mut Numbers(seed);
        for (schedule, start) in schedules(numbers) {
            let length = [6 * HOUR, 47 * HOUR, 70 * 24 * HOUR][usize::try_from(numbers.below(3)).unwrap()];
            let until = start.plus_secs(length);
            let bounded = Schedule { until: (numbers.below(2) == 0).then_some(until), ..schedule };
            let ceiling = ["24h", "10h", "3h"][usize::try_from(numbers.below(3)).unwrap()];
            let from = start.plus_secs(numbers.secs(length) - HOUR);
            let all = lead(&bounded, pace(ceiling), from, until, numbers, 0);
            check(&bounded, pace(ceiling), &all, from.max(start), until);
        }
    }
}

#[test]
fn who_is_away_for_less_than_the_overlap_interrupts_nothing() {
    for seed in 0..40 {
        let numbers = &mut Numbers(seed);
        let start = time("2027-02-01T00:00:00Z").plus_secs(numbers.secs(HOUR));
        let schedule = Schedule { from: start, until: None, recurrence: None };
        let pace = pace("10h");
        let to = start.plus_secs(20 * 24 * HOUR);
        let all = lead(&schedule, pace, start, to, numbers, pace.overlap_secs());
        check(&schedule, pace, &all, start, to);
    }
}

#[test]
fn each_of_a_chain_overlaps_the_one_before_as_intended() {
    let start = time("2027-02-01T00:00:00Z");
    let schedule = Schedule { from: start, until: None, recurrence: None };
    for ceiling in ["24h", "90h", "10h", "24s", "4s"] {
        let pace = pace(ceiling);
        let all = lead(&schedule, pace, start, start.plus_secs(pace.longest_secs() * 20), &mut Numbers(1), 0);
        assert!(all.len() > 20);
        for pair in all.windows(2) {
            assert_eq!(pair[0].end.millis_since(pair[1].start), pace.overlap_secs() * 1000, "{ceiling} {pair:?}");
        }
    }
    assert_eq!((pace("90h").longest_secs(), pace("90h").overlap_secs()), (24 * HOUR, HOUR));
}

#[test]
fn a_changed_ceiling_leaves_no_gap() {
    for seed in 0..40 {
        let numbers = &mut Numbers(seed);
        let start = time("2027-02-01T00:00:00Z");
        let schedule = Schedule { from: start, until: None, recurrence: None };
        let (old, new) = if seed % 2 == 0 { (pace("20h"), pace("3h")) } else { (pace("3h"), pace("20h")) };
        let changed = start.plus_secs(numbers.secs(100 * HOUR));
        let mut all = lead(&schedule, old, start, changed, numbers, 0);
        let (mut now, to) = (changed, changed.plus_secs(100 * HOUR));
        while now < to {
            let held: Vec<Occurrence> = all.iter().copied().filter(|a| a.end > now).collect();
            let planned = plan(&schedule, new, &held, now);
            match planned.create {
                Some(activation) => all.push(activation),
                None => now = planned.wake.unwrap(),
            }
        }
        let covered = covered_until(&all, start);
        assert!(covered >= to, "from {covered} on it is not held");
    }
}

#[test]
fn what_cannot_be_held_is_followed_by_the_next() {
    let start = time("2027-02-01T00:00:00Z");
    let schedule = Schedule { from: start, until: Some(start.plus_secs(100)), recurrence: None };
    let first = plan(&schedule, pace("24s"), &[], start);
    assert_eq!(first.create, Some(Occurrence { start, end: start.plus_secs(24) }));
    assert_eq!(first.wake, Some(start.plus_secs(18)), "a person has ended it: the next one begins then");
    let later = plan(&schedule, pace("24s"), &[], start.plus_secs(18));
    assert_eq!(later.create, Some(Occurrence { start: start.plus_secs(18), end: start.plus_secs(42) }));
    let over = plan(&schedule, pace("24s"), &[], start.plus_secs(100));
    assert_eq!(over, Planned { current: None, create: None, wake: None });
    let before = plan(&schedule, pace("24s"), &[], start.plus_secs(-1000));
    assert_eq!((before.create, before.wake), (None, Some(start.plus_secs(-LEAD_SECS))));
    assert_eq!(before.current, first.create);
}

#[test]
fn occurrences_are_cut_at_the_bounds() {
    let daily = recurrence(json!({"day": {}}), &["22:00"], "8h");
    let (from, until) = (time("2027-02-01T23:00:00.5Z"), time("2027-02-03T01:00:00.9Z"));
    let schedule = Schedule { from, until: Some(until), recurrence: Some(&daily) };
    let first = schedule.first_ending_after(time("2027-01-01T00:00:00Z")).unwrap();
    assert_eq!(first, Occurrence { start: time("2027-02-01T23:00:01Z"), end: time("2027-02-02T06:00:00Z") });
    let last = schedule.first_ending_after(first.end).unwrap();
    assert_eq!(last, Occurrence { start: time("2027-02-02T22:00:00Z"), end: time("2027-02-03T01:00:00Z") });
    assert_eq!(schedule.first_ending_after(last.end), None);
    assert!(!schedule.contains(&Occurrence { end: last.end.plus_secs(1), ..last }));
    assert!(!schedule.contains(&Occurrence { start: first.start, end: last.end }), "between two of them there is none");
}
