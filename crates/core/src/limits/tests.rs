use super::*;
use std::collections::BTreeMap;

fn role(active: u16, per_subject: u16) -> Arc<[Limit]> {
    of("alice", active, per_subject)
}
fn of(holder: &str, active: u16, per_subject: u16) -> Arc<[Limit]> {
    Limit::of_role("payments", "admin", &Subject::User(holder.into()), Maxima { active, per_subject }).into()
}

/// The slots that exist, by name, with who holds them, and from whom they have it; and who has ended.
#[derive(Default)]
struct Store {
    slots: BTreeMap<Arc<str>, Arc<str>>,
    origins: BTreeMap<Arc<str>, Holder>,
    ended: Vec<&'static str>,
    uncounted: Vec<u16>,
    /// The slots that the status of the request names.
    stored: Vec<Arc<str>>,
}

impl Store {
    fn slot(name: &Arc<str>, holder: &Arc<str>) -> Slot {
        let holder = Holder { namespace: "payments".into(), name: format!("request-{holder}").into(), uid: holder.clone() };
        Slot {
            name: name.clone(),
            uid: format!("{name}-{}", holder.uid).into(),
            version: "1".into(),
            holder,
            taken_over_from: None,
            suspect: false,
        }
    }
    fn list(&self) -> Slots {
        let slot = |(name, holder)| Slot { taken_over_from: self.origins.get(name).cloned(), ..Store::slot(name, holder) };
        Slots { taken: self.slots.iter().map(slot).collect(), uncounted: self.uncounted.clone() }
    }
    fn perform(&mut self, uid: &Arc<str>, step: &Step) -> Reply {
        match step {
            Step::List => Reply::Listed(self.list()),
            Step::Create(name) if self.slots.contains_key(name) => Reply::Exists,
            Step::Create(name) => {
                self.slots.insert(name.clone(), uid.clone());
                Reply::Created
            }
            Step::TakeOver { slot, from } => {
                self.slots.insert(slot.name.clone(), uid.clone());
                self.origins.insert(slot.name.clone(), from.clone());
                Reply::Created
            }
            Step::Verify(slot) => Reply::Holds(!self.ended.contains(&&*slot.holder.uid)),
            Step::Delete(slot) => {
                self.slots.retain(|name, holder| Store::slot(name, holder).uid != slot.uid);
                Reply::Deleted
            }
            Step::Done(_) => unreachable!("not performed"),
        }
    }
    /// Runs one taking to its end.
    fn run(&mut self, uid: &str, limits: &Arc<[Limit]>, takes: bool) -> Answer {
        let uid: Arc<str> = uid.into();
        let (mut taking, mut step) = Taking::begin(limits.clone(), uid.clone(), &self.stored, takes);
        loop {
            if let Step::Done(answer) = step {
                return answer;
            }
            let reply = self.perform(&uid, &step);
            (taking, step) = taking.next(reply).expect("the reply fits");
        }
    }
    fn takes(&mut self, uid: &str, limits: &Arc<[Limit]>) -> bool {
        matches!(self.run(uid, limits, true), Answer::Taken(slots) if are_covered(limits, &slots))
    }
}

#[test]
fn a_slot_has_one_name() {
    let limit = &role(5, 1)[1];
    let name = limit.slot(12);
    let parsed = SlotName::parse(&name).unwrap();
    assert_eq!((parsed.family, parsed.index), (&*limit.family, 12));
    assert!(name.len() <= 63, "{name}");
    let family = &limit.family;
    let others = [format!("curfew-slot-{family}-012"), format!("curfew-slot-{family}-"), format!("curfew-slot-{family}"), "x".into()];
    for other in others.iter().chain(&[format!("curfew-slot-{family}-70000"), "curfew-slot-short-1".to_owned()]) {
        assert_eq!(SlotName::parse(other), None, "{other}");
    }
}

#[test]
fn limits_are_counted_by_role_and_by_holder_under_any_spelling() {
    let families = |holder: &str| of(holder, 1, 1).iter().map(|limit| limit.family.clone()).collect::<Vec<_>>();
    let (alice, bob) = (families("alice"), families("bob"));
    assert_eq!(alice, families("Alice"), "two spellings are one holder");
    assert_ne!(alice[0], bob[0], "each holder has slots of their own");
    assert_eq!(alice[1], bob[1], "the role has one set of slots");
    let other = Limit::of_role("billing", "admin", &Subject::User("alice".into()), Maxima { active: 1, per_subject: 1 });
    assert!(other.iter().all(|limit| !alice.contains(&limit.family)), "another namespace has another role");
}

#[test]
fn no_more_hold_slots_than_the_limit_says() {
    let mut store = Store::default();
    let limits: Vec<_> = ["alice", "bob", "carla", "dan"].map(|holder| of(holder, 3, 1)).into();
    assert!(limits.iter().take(3).enumerate().all(|(i, limits)| store.takes(&format!("r{i}"), limits)));
    assert!(!store.takes("r3", &limits[3]), "the role is full");
    assert!(store.takes("r1", &limits[1]), "who holds a slot holds it");
    store.ended.push("r0");
    assert!(store.takes("r3", &limits[3]), "a slot whose holder has ended is free, also where it was not released");
    assert!(!store.takes("r5", &limits[1]), "bob holds the role already");
    let full = explain(&limits[1], &store.list(), "r5", "0123abcd").unwrap();
    assert!(full.starts_with("role admin for bob allows 1 active request at a time") && full.contains("held by request-r1;"), "{full}");
}

#[test]
fn who_only_looks_takes_nothing() {
    let mut store = Store::default();
    assert_eq!(store.run("r1", &role(1, 1), false), Answer::Free);
    assert!(store.slots.is_empty());
    assert!(store.takes("r1", &role(1, 1)));
    assert_eq!(store.run("r2", &of("bob", 1, 1), false), Answer::Full);
    assert_eq!(store.run("r1", &role(1, 1), false), Answer::Free, "its own slot is free for it");
}

#[test]
fn a_lower_limit_counts_what_was_granted_before() {
    let mut store = Store::default();
    assert!((0..5).all(|i| store.takes(&format!("r{i}"), &of(&format!("user-{i}"), 5, 1))));
    // Two of five are left, perhaps with numbers beyond the new limit.
    store.ended = vec!["r1", "r2", "r4"];
    for (uid, holder, granted) in [("s0", "s", true), ("s1", "t", false)] {
        assert_eq!(store.takes(uid, &of(holder, 3, 1)), granted, "{uid}");
    }
    let held = |store: &Store| store.slots.values().filter(|holder| !store.ended.contains(&&***holder)).count();
    assert_eq!(held(&store), 2 * 3 + 1, "three of the role and one of each holder, and that of the one that was refused");
}

#[test]
fn what_was_granted_before_there_was_a_limit_counts() {
    let mut store = Store { uncounted: vec![0, 1], ..Store::default() };
    assert!(store.takes("r1", &of("alice", 2, 2)));
    assert!(!store.takes("r2", &of("bob", 2, 2)));
    let told = explain(&of("bob", 2, 2), &store.list(), "r2", "0123abcd").unwrap();
    assert!(told.contains("held by request-r1 and 1 more"), "{told}");
}

#[test]
fn what_has_access_and_no_slot_counts_also_if_its_status_names_one() {
    let limits = of("alice", 2, 2);
    let granted = |uid: &str, holder: &str| {
        let limits = Limit::of_role("payments", "admin", &Subject::User(holder.into()), Maxima::ANY).to_vec();
        Granted { holder: Store::slot(&"x".into(), &uid.into()).holder, limits }
    };
    let others = [granted("r1", "alice"), granted("r2", "alice"), granted("r3", "bob")];
    let counts = |taken: &[Slot]| without_slot(&limits, taken, &others).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(counts(&[]), [2, 3], "slots that were lost, or never taken");
    let of_r1 = |limit: &Limit| Store::slot(&limit.slot(0), &"r1".into());
    assert_eq!(counts(&[of_r1(&limits[0])]), [1, 3], "it has a slot of one limit");
    assert_eq!(counts(&[of_r1(&limits[0]), of_r1(&limits[1])]), [1, 2]);
    let slots = |uncounted| Slots { taken: vec![of_r1(&limits[1])], uncounted };
    assert!(slots(vec![0, 1]).may_reach(&limits) && !slots(vec![1, 0]).may_reach(&limits));
}

#[test]
fn of_two_slots_of_one_request_the_stored_one_is_its_slot() {
    let limits = role(2, 2);
    let name = |limit: usize, index| limits[limit].slot(index);
    let mut store = Store { stored: vec![name(0, 1), name(1, 1)], ..Store::default() };
    for name in [name(0, 0), name(0, 1), name(1, 0), name(1, 1)] {
        store.slots.insert(name, "r1".into());
    }
    assert_eq!(store.run("r1", &limits, true), Answer::Taken(store.stored.clone()));
}

/// Two takings, each step of one between any two steps of the other: never both at limit 1, and never none.
#[test]
fn of_two_that_take_the_last_slot_at_the_same_moment_one_gets_it() {
    for schedule in 0u32..1 << 12 {
        let mut store = Store::default();
        let limits = [of("alice", 1, 1), of("bob", 1, 1)];
        let uids: [Arc<str>; 2] = ["a".into(), "b".into()];
        let mut running = [0, 1].map(|i| Some(Taking::begin(limits[i].clone(), uids[i].clone(), &[], true)));
        let mut taken = [false; 2];
        for turn in 0.. {
            let Some(i) = [(schedule >> turn.min(11) & 1) as usize, 0, 1].into_iter().find(|i| running[*i].is_some()) else { break };
            let (taking, step) = running[i].take().unwrap();
            if let Step::Done(answer) = step {
                taken[i] = answer != Answer::Full;
                continue;
            }
            let reply = store.perform(&uids[i], &step);
            running[i] = taking.next(reply);
        }
        assert!(taken[0] != taken[1], "schedule {schedule:b}: {taken:?}");
    }
}

#[test]
fn holders_are_read_live_and_not_without_end() {
    let mut store = Store::default();
    for i in 0..100 {
        assert!(store.takes(&format!("r{i}"), &of(&format!("user-{i}"), 100, 1)));
    }
    let (mut taking, mut step) = Taking::begin(of("zoe", 100, 1), "z".into(), &[], true);
    let mut verified = 0;
    while !matches!(step, Step::Done(_)) {
        verified += usize::from(matches!(step, Step::Verify(_)));
        let reply = store.perform(&"z".into(), &step);
        (taking, step) = taking.next(reply).unwrap();
    }
    assert_eq!((step, verified), (Step::Done(Answer::Full), MAX_VERIFIED));
}

#[test]
fn a_reply_that_does_not_fit_ends_the_taking() {
    let (taking, _) = Taking::begin(role(1, 1), "r".into(), &[], true);
    assert_eq!(taking.next(Reply::Created), None);
}

#[test]
fn a_slot_below_a_lower_limit_counts_beside_those_beyond_it() {
    // Of five, those with the numbers 2 and 3 are left, and the limit is 3 by now: there is room for one request.
    let limit = Limit::of_role("payments", "admin", &Subject::User("x".into()), Maxima { active: 3, per_subject: 1 })[1].clone();
    for seed in 0..8 {
        let slots = [2, 3].map(|index| (limit.slot(index), Arc::from(format!("old-{index}"))));
        let mut store = Store { slots: slots.into(), ..Store::default() };
        assert!(store.takes(&format!("s{seed}"), &of("s", 3, 1)));
        assert!(!store.takes(&format!("t{seed}"), &of("t", 3, 1)), "{:?}", store.slots);
    }
}

/// The limits of alice's extension of the request with this uid.
fn extending(uid: &str, active: u16, per_subject: u16) -> Arc<[Limit]> {
    let of_role = role(active, per_subject).iter().cloned().map(|limit| limit.taken_over_from(uid)).collect::<Vec<_>>();
    [Limit::of_extension("first", uid)].into_iter().chain(of_role).collect()
}

#[test]
fn an_extension_takes_over_the_slots_of_what_it_extends() {
    let mut store = Store::default();
    assert!(store.takes("r1", &role(1, 1)));
    let before: Vec<_> = store.slots.keys().cloned().collect();
    assert_eq!(store.run("r2", &extending("r1", 1, 1), false), Answer::Free, "its own access does not keep it out");
    assert!(store.takes("r2", &extending("r1", 1, 1)));
    assert!(before.iter().all(|name| *store.slots[name] == *"r2"), "{:?}", store.slots);
    assert_eq!(store.slots.len(), 3, "and one slot of its own, which says that the first one is extended");
    assert!(!store.takes("r3", &of("bob", 1, 1)), "for others the role is held");
    assert_eq!(store.run("r4", &extending("r1", 1, 1), true), Answer::Full, "there is one extension at a time");
    let full = explain(&extending("r1", 1, 1), &store.list(), "r4", "install").unwrap();
    assert_eq!(full, "request first is extended already, by request-r2; a request has one extension at a time");
    // It ended before what it extends, which another one may extend then.
    store.ended.push("r2");
    assert!(store.takes("r4", &extending("r1", 1, 1)));
    assert!(before.iter().all(|name| *store.slots[name] == *"r4"), "{:?}", store.slots);
}

#[test]
fn an_extension_of_what_has_no_slot_takes_its_own() {
    let mut store = Store::default();
    assert!(store.takes("r2", &extending("r1", 1, 1)), "the role has a limit only by now");
    assert!(store.takes("r5", &extending("r2", 1, 1)), "and the next one takes that over");
    assert!(!store.takes("r3", &of("bob", 1, 1)));
}

/// What it extends was allowed by another policy, of which it holds a slot: the extension takes one of its own policy.
#[test]
fn an_extension_that_another_policy_allows_takes_a_slot_of_that_one() {
    let alice = Subject::User("alice".into());
    let most = Maxima { active: 1, per_subject: 1 };
    let of_policy = |name: &str| Limit::of_policy(name, &alice, most);
    let mut store = Store::default();
    assert!(store.takes("r1", &Arc::from(of_policy("first"))));
    let limits: Arc<[Limit]> = of_policy("second").into_iter().map(|limit| limit.taken_over_from("r1")).collect();
    assert!(store.takes("r2", &limits));
    assert_eq!(store.slots.values().filter(|holder| ***holder == *"r1").count(), 2, "what it extends keeps its own: {:?}", store.slots);
    assert!(!store.takes("r3", &Arc::from(Limit::of_policy("second", &Subject::User("bob".into()), most))));
}

#[test]
fn one_access_of_two_requests_is_counted_once() {
    let limits = role(3, 1);
    let holder = |uid: &str| Holder { namespace: "payments".into(), name: uid.into(), uid: uid.into() };
    let slot = |from: Option<&str>| Slot { taken_over_from: from.map(holder), ..Store::slot(&limits[1].slot(0), &"child".into()) };
    let parent = Granted { holder: holder("parent"), limits: limits.to_vec() };
    let of_role = |slot: Slot| without_slot(&limits, &[slot], std::slice::from_ref(&parent))[1].len();
    assert_eq!((of_role(slot(None)), of_role(slot(Some("parent")))), (1, 0));
}
