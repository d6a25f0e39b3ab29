use super::*;

const T: fn(i64) -> Time = Time::from_secs;
const NOW: Time = Time::from_secs(100);

fn wide(width: usize) -> Limits {
    Limits { width, per_minute: None, batch: 1 }
}

/// What begins next where nothing begins together.
fn next(l: &mut Lanes<&'static str, &'static str>, now: Time) -> Option<(&'static str, &'static str)> {
    l.start(now).map(|(key, batch)| {
        assert_eq!(batch.len(), 1, "{batch:?}");
        (key, batch[0])
    })
}

#[test]
fn revocations_go_first_and_earliest_first() {
    let mut l = Lanes::default();
    l.push("k", wide(10), "grant", Urgency::Other, T(1), NOW);
    l.push("k", wide(10), "late", Urgency::Revoke, T(9), NOW);
    l.push("k", wide(10), "early", Urgency::Revoke, T(5), NOW);
    let order: Vec<_> = std::iter::from_fn(|| next(&mut l, NOW)).map(|(_, id)| id).collect();
    assert_eq!(order, ["early", "late", "grant"]);
}

#[test]
fn thousands_of_objects_of_one_person_hold_up_nobody_else() {
    let mut l = Lanes::default();
    let junk: Vec<String> = (0..1000).map(|i| format!("junk-{i}")).collect();
    for (i, id) in junk.iter().enumerate() {
        l.push("k", wide(1), id.as_str(), Urgency::Other, fair(T(i64::try_from(i).unwrap() / 100), i + 1), NOW);
    }
    l.push("k", wide(1), "honest", Urgency::Other, fair(T(11), 1), NOW);
    let order = std::iter::from_fn(|| {
        let begun = l.start(NOW)?.1.pop()?;
        l.finish(&"k", &begun, NOW);
        Some(begun)
    });
    assert!(order.take_while(|id| *id != "honest").count() < 15, "it waits behind those that were the first of their maker");
}

#[test]
fn a_system_that_does_not_answer_fills_only_its_own_lane() {
    let mut l = Lanes::default();
    for id in ["a1", "a2", "a3"] {
        l.push("silent", wide(1), id, Urgency::Revoke, T(1), NOW);
    }
    l.push("well", wide(1), "b1", Urgency::Other, T(9), NOW);
    assert_eq!(next(&mut l, NOW), Some(("silent", "a1")));
    assert_eq!(next(&mut l, NOW), Some(("well", "b1")));
    assert_eq!(next(&mut l, NOW), None);
    l.finish(&"silent", &"a1", NOW);
    assert_eq!(next(&mut l, NOW), Some(("silent", "a2")));
}

#[test]
fn revocations_that_fail_neither_fill_their_lane_nor_are_kept_out_of_it() {
    let mut l = Lanes::default();
    let stuck: Vec<String> = (0..100).map(|i| format!("stuck-{i}")).collect();
    let fresh: Vec<String> = (0..100).map(|i| format!("fresh-{i}")).collect();
    for (id, place) in stuck.iter().map(|id| (id, (Urgency::RevokeAgain, 1))).chain(fresh.iter().map(|id| (id, (Urgency::Revoke, 9)))) {
        l.push("k", wide(16), id.as_str(), place.0, T(place.1), NOW);
    }
    let first: Vec<_> = std::iter::from_fn(|| l.start(NOW)).flat_map(|(_, batch)| batch).collect();
    let count = |begun: &[&str], kind: &str| begun.iter().filter(|id| id.starts_with(kind)).count();
    assert_eq!((count(&first, "fresh"), count(&first, "stuck")), (12, 4));
    // The stuck ones run on; every place that a fresh one leaves goes to a fresh one.
    first.iter().filter(|id| id.starts_with("fresh")).for_each(|id| l.finish(&"k", id, NOW));
    let second: Vec<_> = std::iter::from_fn(|| l.start(NOW)).flat_map(|(_, batch)| batch).collect();
    assert_eq!((count(&second, "fresh"), count(&second, "stuck")), (12, 0));
    // Alone they do not take more than their share.
    let mut alone = Lanes::default();
    stuck.iter().for_each(|id| alone.push("k", wide(16), id.as_str(), Urgency::RevokeAgain, T(1), NOW));
    assert_eq!(std::iter::from_fn(|| alone.start(NOW)).count(), 4);
    // In a lane for one they are behind.
    let mut narrow = Lanes::default();
    narrow.push("k", wide(1), "stuck", Urgency::RevokeAgain, T(1), NOW);
    narrow.push("k", wide(1), "fresh", Urgency::Revoke, T(9), NOW);
    narrow.push("k", wide(1), "grant", Urgency::Other, T(0), NOW);
    let order: Vec<_> = std::iter::from_fn(|| {
        let begun = next(&mut narrow, NOW)?.1;
        narrow.finish(&"k", &begun, NOW);
        Some(begun)
    })
    .collect();
    assert_eq!(order, ["fresh", "stuck", "grant"]);
}

#[test]
fn an_id_never_runs_twice_at_a_time_and_no_request_is_lost() {
    let mut l = Lanes::default();
    l.push("k", wide(2), "a", Urgency::Other, T(5), NOW);
    assert_eq!(next(&mut l, NOW), Some(("k", "a")));
    l.push("k", wide(2), "a", Urgency::Other, T(5), NOW);
    l.push("k", wide(2), "a", Urgency::Revoke, T(7), NOW);
    assert_eq!(next(&mut l, NOW), None);
    l.finish(&"k", &"a", NOW);
    assert_eq!(next(&mut l, NOW), Some(("k", "a")));
    l.finish(&"k", &"a", NOW);
    assert_eq!(next(&mut l, NOW), None);
}

#[test]
fn the_more_urgent_of_two_requests_counts() {
    let mut l = Lanes::default();
    l.push("k", wide(2), "a", Urgency::Other, T(1), NOW);
    l.push("k", wide(2), "b", Urgency::Revoke, T(9), NOW);
    l.push("k", wide(2), "a", Urgency::Revoke, T(3), NOW);
    assert_eq!(next(&mut l, NOW).map(|x| x.1), Some("a"));
    assert_eq!(next(&mut l, NOW).map(|x| x.1), Some("b"));
    assert_eq!(next(&mut l, NOW), None);
}

#[test]
fn a_paused_lane_begins_nothing_and_others_go_on() {
    let mut l = Lanes::default();
    l.push("throttled", wide(2), "a", Urgency::Revoke, T(1), NOW);
    l.pause(&"throttled", NOW.plus_secs(7));
    l.push("well", wide(2), "b", Urgency::Other, T(1), NOW);
    assert_eq!(next(&mut l, NOW), Some(("well", "b")));
    assert_eq!((next(&mut l, NOW), l.next_start(NOW)), (None, Some(NOW.plus_secs(7))));
    assert_eq!(next(&mut l, NOW.plus_secs(7)), Some(("throttled", "a")));
}

#[test]
fn a_rate_lets_a_burst_through_and_then_one_after_the_other() {
    let mut l = Lanes::default();
    let slow = Limits { width: 10, per_minute: Some(2), batch: 1 };
    for id in ["a", "b", "c", "d"] {
        l.push("k", slow, id, Urgency::Other, T(1), NOW);
    }
    assert_eq!([next(&mut l, NOW), next(&mut l, NOW), next(&mut l, NOW)], [Some(("k", "a")), Some(("k", "b")), None]);
    assert_eq!(l.next_start(NOW), Some(NOW.plus_secs(30)));
    assert_eq!((next(&mut l, NOW.plus_secs(29)), next(&mut l, NOW.plus_secs(30))), (None, Some(("k", "c"))));
    for id in ["a", "b", "c"] {
        l.finish(&"k", &id, NOW.plus_secs(30));
    }
    assert_eq!((next(&mut l, NOW.plus_secs(59)), next(&mut l, NOW.plus_secs(60))), (None, Some(("k", "d"))));
}

#[test]
fn no_revocation_waits_for_a_rate_and_what_can_wait_does() {
    let mut l = Lanes::default();
    let slow = Limits { width: 10, per_minute: Some(2), batch: 1 };
    for id in ["a", "b", "c"] {
        l.push("k", slow, id, Urgency::Revoke, T(1), NOW);
    }
    l.push("k", slow, "again", Urgency::RevokeAgain, T(1), NOW);
    l.push("k", slow, "grant", Urgency::Other, T(0), NOW);
    let begun: Vec<_> = std::iter::from_fn(|| next(&mut l, NOW)).map(|(_, id)| id).collect();
    assert_eq!(begun, ["a", "b", "c", "again"]);
    assert_eq!(l.next_start(NOW), Some(NOW.plus_secs(30)), "they owe nothing for more than was there");
    assert_eq!(next(&mut l, NOW.plus_secs(30)), Some(("k", "grant")));
}

fn together(batch: usize) -> Limits {
    Limits { width: 1, per_minute: None, batch }
}

#[test]
fn a_batch_holds_work_of_one_urgency_earliest_first() {
    let mut l = Lanes::default();
    for (id, urgency, due) in [("grant", Urgency::Other, 1), ("late", Urgency::Revoke, 9), ("early", Urgency::Revoke, 5)] {
        l.push("k", together(10), id, urgency, T(due), NOW);
    }
    assert_eq!(l.start(NOW), Some(("k", vec!["early", "late"])));
    l.finish(&"k", &"early", NOW);
    l.finish(&"k", &"late", NOW);
    assert_eq!(l.start(NOW), Some(("k", vec!["grant"])));
}

#[test]
fn a_batch_is_not_larger_than_its_limit_and_of_one_lane() {
    let mut l = Lanes::default();
    for id in ["a", "b", "c"] {
        l.push("k", together(2), id, Urgency::Revoke, T(1), NOW);
    }
    l.push("other", together(2), "d", Urgency::Revoke, T(2), NOW);
    assert_eq!(l.start(NOW), Some(("k", vec!["a", "b"])));
    assert_eq!(l.start(NOW), Some(("other", vec!["d"])));
    assert_eq!(l.start(NOW), None);
}

#[test]
fn the_place_of_a_batch_is_free_when_all_of_it_has_ended() {
    let mut l = Lanes::default();
    for id in ["a", "b", "c"] {
        l.push("k", together(2), id, Urgency::Revoke, T(1), NOW);
    }
    assert_eq!(l.start(NOW), Some(("k", vec!["a", "b"])));
    l.finish(&"k", &"b", NOW);
    assert_eq!(l.start(NOW), None);
    l.finish(&"k", &"a", NOW);
    assert_eq!(l.start(NOW), Some(("k", vec!["c"])));
}

#[test]
fn a_member_of_a_batch_that_is_requested_again_waits_for_the_next_batch() {
    let mut l = Lanes::default();
    l.push("k", together(2), "a", Urgency::Other, T(1), NOW);
    l.push("k", together(2), "b", Urgency::Other, T(2), NOW);
    assert_eq!(l.start(NOW), Some(("k", vec!["a", "b"])));
    l.push("k", together(2), "a", Urgency::Revoke, T(3), NOW);
    l.finish(&"k", &"a", NOW);
    assert_eq!(l.start(NOW), None, "the batch still holds the only place");
    l.finish(&"k", &"b", NOW);
    assert_eq!(l.start(NOW), Some(("k", vec!["a"])));
    l.finish(&"k", &"a", NOW);
    assert_eq!(l.start(NOW), None);
}

#[test]
fn a_batch_uses_up_one_token_of_the_rate_and_a_pause_holds_all_of_it_back() {
    let mut l = Lanes::default();
    let slow = Limits { width: 10, per_minute: Some(1), batch: 2 };
    for id in ["a", "b", "c", "d"] {
        l.push("k", slow, id, Urgency::Other, T(1), NOW);
    }
    assert_eq!([l.start(NOW), l.start(NOW)], [Some(("k", vec!["a", "b"])), None]);
    l.pause(&"k", NOW.plus_secs(70));
    assert_eq!((l.start(NOW.plus_secs(60)), l.next_start(NOW)), (None, Some(NOW.plus_secs(70))));
    assert_eq!(l.start(NOW.plus_secs(70)), Some(("k", vec!["c", "d"])));
}

#[test]
fn a_limit_of_zero_counts_as_one() {
    let mut l = Lanes::default();
    let zero = Limits { width: 0, per_minute: Some(0), batch: 0 };
    for id in ["a", "b"] {
        l.push("k", zero, id, Urgency::Other, T(1), NOW);
    }
    assert_eq!([next(&mut l, NOW), next(&mut l, NOW)], [Some(("k", "a")), None]);
    l.finish(&"k", &"a", NOW);
    assert_eq!((l.start(NOW), l.next_start(NOW)), (None, Some(NOW.plus_secs(60))));
    assert_eq!(next(&mut l, NOW.plus_secs(60)), Some(("k", "b")));
}

/// A lane where "a" has removed its access and gives way, and four removals wait.
fn gives_way(width: usize) -> Lanes<&'static str, &'static str> {
    let mut l = Lanes::default();
    l.push("k", wide(width), "a", Urgency::Revoke, T(1), NOW);
    assert_eq!(next(&mut l, NOW), Some(("k", "a")));
    for (due, id) in [(2, "b"), (3, "c"), (4, "d"), (5, "e")] {
        l.push("k", wide(width), id, Urgency::Revoke, T(due), NOW);
    }
    assert!(l.give_way(&"k", &"a", NOW));
    l
}

/// What begins or goes on, one after the other, each before the next.
fn all(l: &mut Lanes<&'static str, &'static str>) -> Vec<&'static str> {
    let mut order = Vec::new();
    while let Some((_, id)) = next(l, NOW) {
        order.push(id);
        l.finish(&"k", &id, NOW);
    }
    order
}

#[test]
fn in_a_lane_for_one_all_that_is_due_is_removed_before_an_end_is_recorded() {
    let mut l = gives_way(1);
    assert_eq!(all(&mut l), ["b", "c", "d", "e", "a"]);
    assert!(l.lanes.is_empty(), "no place and no batch is left");
}

#[test]
fn one_place_is_for_records_and_the_others_remove() {
    let mut l = gives_way(3);
    let begun: Vec<_> = std::iter::from_fn(|| next(&mut l, NOW)).map(|(_, id)| id).collect();
    assert_eq!(begun, ["b", "c", "a"], "its place is used by a removal, and the record has a share");
    assert!(l.give_way(&"k", &"b", NOW) && l.give_way(&"k", &"c", NOW));
    let begun: Vec<_> = std::iter::from_fn(|| next(&mut l, NOW)).map(|(_, id)| id).collect();
    assert_eq!(begun, ["d", "e"], "the share is used");
    l.finish(&"k", &"d", NOW);
    l.finish(&"k", &"e", NOW);
    let begun: Vec<_> = std::iter::from_fn(|| next(&mut l, NOW)).map(|(_, id)| id).collect();
    assert_eq!(begun, ["b", "c"], "nothing is left to be removed");
}

#[test]
fn records_go_before_what_can_wait_and_before_what_has_failed() {
    let mut l = gives_way(1);
    l.push("k", wide(1), "grant", Urgency::Other, T(0), NOW);
    l.push("k", wide(1), "stuck", Urgency::RevokeAgain, T(0), NOW);
    assert_eq!(all(&mut l), ["b", "c", "d", "e", "a", "stuck", "grant"]);
}

#[test]
fn what_has_given_way_still_runs() {
    let mut l = gives_way(1);
    assert!(!l.give_way(&"k", &"a", NOW), "it waits already");
    assert!(!l.give_way(&"k", &"e", NOW), "it does not run");
    // Requested again meanwhile, it runs once more, after its end.
    l.push("k", wide(1), "a", Urgency::Revoke, T(0), NOW);
    assert_eq!(all(&mut l), ["b", "c", "d", "e", "a", "a"]);
}

#[test]
fn what_ends_while_it_gives_way_is_forgotten() {
    let mut l = gives_way(1);
    l.finish(&"k", &"a", NOW);
    assert_eq!(all(&mut l), ["b", "c", "d", "e"]);
    assert!(l.lanes.is_empty(), "no place and no batch is left");
}

#[test]
fn what_goes_on_uses_up_no_rate_and_waits_for_no_pause() {
    let slow = Limits { width: 2, per_minute: Some(2), batch: 1 };
    let mut l = Lanes::default();
    l.push("k", slow, "a", Urgency::Revoke, T(1), NOW);
    assert_eq!(next(&mut l, NOW), Some(("k", "a")));
    l.push("k", slow, "b", Urgency::Revoke, T(1), NOW);
    assert_eq!(next(&mut l, NOW), Some(("k", "b")));
    l.push("k", slow, "throttled", Urgency::Revoke, T(1), NOW);
    l.pause(&"k", T(130));
    assert!(l.give_way(&"k", &"a", NOW) && l.give_way(&"k", &"b", NOW));
    assert_eq!(l.next_start(NOW), Some(NOW));
    assert_eq!(next(&mut l, NOW), Some(("k", "a")), "ahead of the removal that the target has put off");
    assert_eq!(next(&mut l, NOW), Some(("k", "b")), "and with the whole lane");
    l.finish(&"k", &"a", NOW);
    l.finish(&"k", &"b", NOW);
    assert_eq!((next(&mut l, NOW), l.next_start(NOW)), (None, Some(T(130))));
    assert_eq!(next(&mut l, T(130)), Some(("k", "throttled")));
    l.finish(&"k", &"throttled", T(130));
    l.push("k", slow, "grant", Urgency::Other, T(1), T(130));
    assert_eq!(l.next_start(T(130)), Some(T(160)), "three removals have used up the rate of the minute, and no record has");
}

#[test]
fn a_step_back_of_the_clock_holds_up_nothing() {
    let mut l = gives_way(1);
    let mut order = Vec::new();
    while let Some((_, id)) = next(&mut l, T(40)) {
        order.push(id);
        l.finish(&"k", &id, T(40));
    }
    assert_eq!(order, ["b", "c", "d", "e", "a"]);
}

#[test]
fn no_more_gives_way_than_a_lane_keeps_in_memory() {
    let mut l = Lanes::default();
    (0..=GIVE_WAY).for_each(|id| l.push("k", wide(1), id, Urgency::Revoke, T(1), NOW));
    for id in 0..=GIVE_WAY {
        assert_eq!(l.start(NOW), Some(("k", vec![id])));
        let waits = l.give_way(&"k", &id, NOW);
        assert_eq!(waits, id < GIVE_WAY, "{id}: the last one records in its place");
    }
    assert_eq!(l.start(NOW), None);
    l.finish(&"k", &GIVE_WAY, NOW);
    assert_eq!(l.start(NOW), Some(("k", vec![0])), "then the others, in the order in which they gave way");
}
