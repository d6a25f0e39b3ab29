use super::*;
use serde_json::{Value, json};

const UID: &str = "0d9c5a1e-7f0b-4c55-9a1d-3f1d2b6c7e88";

fn time(secs: i64) -> Time {
    Time::from_secs(1_795_766_400 + secs)
}

fn request(status: Value) -> ActivationRequest {
    let request = json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
        "metadata": {"name": "first", "namespace": "payments", "uid": UID, "creationTimestamp": time(0).to_string()},
        "spec": {"roleRef": {"name": "payments-admin"}, "justification": "for Mallory", "requester": {"username": "alice", "groups": []}},
        "status": status,
    });
    serde_json::from_value(request).unwrap()
}

fn condition(kind: &str, status: &str, since: Time) -> Value {
    json!({"type": kind, "status": status, "reason": "X", "message": "alice has it", "lastTransitionTime": since.to_string()})
}

/// The status of a request in this state, at this second of its life.
fn stored(state: &str) -> ActivationRequest {
    let decision = json!({"decider": "carol", "decision": "Approve", "at": time(30).to_string()});
    let approval =
        json!({"acceptedAt": time(1).to_string(), "stages": [{"name": "owners", "quorum": 1, "approved": 1, "decisions": [decision]}]});
    let mut status = json!({"state": state, "conditions": [], "approval": approval, "message": "alice has the access"});
    if state != "AwaitingApproval" {
        status["expiresAt"] = json!(time(930).to_string());
        status["conditions"] = json!([condition("Approved", "True", time(30))]);
    }
    if state == "Expired" {
        status["activatedAt"] = json!(time(31).to_string());
        status["endedAt"] = json!(time(931).to_string());
        status["reason"] = json!("DeadlinePassed");
    }
    request(status)
}

fn grant(state: &str) -> Grant {
    let who = json!({"user": "alice"});
    let mut status = json!({"state": state, "conditions": [condition("Active", "False", time(30))]});
    if state != "Granting" {
        status["grantedAt"] = json!(time(31).to_string());
    }
    if state == "Revoking" {
        status["conditions"] = json!([condition("Active", "Unknown", time(930))]);
    }
    if state == "Ended" {
        status["revokedAt"] = json!(time(931).to_string());
    }
    let grant = json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "Grant",
        "metadata": {"name": "00000000000000a1", "creationTimestamp": time(30).to_string()},
        "spec": {
            "system": {"name": "this-cluster", "uid": "u", "target": "t", "connection": {"kubernetes": {"inCluster": {}}}},
            "request": {"namespace": "payments", "name": "first", "uid": UID, "requester": "alice", "beneficiary": who, "role": "payments-admin"},
            "principal": {"kubernetes": {"user": "alice"}}, "digest": "0".repeat(64), "expiresAt": time(930).to_string(),
            "plan": {"kubernetes": {"subject": who, "bindings": []}},
        },
        "status": status,
    });
    serde_json::from_value(grant).unwrap()
}

fn request_stored(before: &ActivationRequest, after: &ActivationRequest, of: Option<&str>, at: Time) -> Record {
    Record::request(before, after, of.map(grant).as_ref(), at)
}

fn grant_stored(before: &str, after: &str, at: Time) -> Record {
    Record::grant(&grant(before), &grant(after), at)
}

/// What happens to a request until it has expired, in order.
fn life() -> Vec<Record> {
    let new = request(json!({"state": "Pending", "conditions": []}));
    let (waiting, approved, expired) = (stored("AwaitingApproval"), stored("Activating"), stored("Expired"));
    vec![
        request_stored(&new, &waiting, None, Time::from_millis(time(1).as_millis() + 200)),
        request_stored(&waiting, &approved, None, time(30)),
        grant_stored("Granting", "Active", Time::from_millis(time(31).as_millis() + 700)),
        grant_stored("Active", "Revoking", time(930)),
        grant_stored("Revoking", "Ended", time(931)),
        request_stored(&approved, &expired, Some("Ended"), time(931)),
    ]
}

fn names(made: &Made) -> Vec<&'static str> {
    made.spans.iter().map(|span| span.name).collect()
}

#[test]
fn each_span_is_made_by_who_ends_it_and_once() {
    let mut one = Recorder::new("a".into());
    let made: Vec<_> = life().into_iter().map(|record| one.record(record)).collect();
    let by_step: Vec<_> = made.iter().map(names).collect();
    let expected: [&[&str]; 6] = [
        &["accept"],
        &["wait for approval"],
        &["activate", "store intent", "write to target"],
        &["access"],
        &["revoke"],
        &["activation request"],
    ];
    assert_eq!(by_step, expected);
    let accept = &made[0].spans[0];
    assert_eq!(accept.end.as_millis() - accept.start.as_millis(), 1_200, "in milliseconds, as this process has decided it");
    let seen = Record::request_seen(&stored("Expired"), Some(&grant("Ended")), true, time(932));
    assert!(one.record(seen).spans.is_empty(), "not once more when it looks at it again");
}

/// The leader is killed after each step, and the spans of that step were not exported: the trace is whole in the end.
#[test]
fn a_replica_that_goes_on_completes_the_trace() {
    let mut reference = Recorder::new("a".into());
    let all: BTreeSet<_> = life().into_iter().flat_map(|record| reference.record(record).spans).map(|span| span.id).collect();
    for killed_after in 0..life().len() {
        let (mut first, mut second) = (Recorder::new("a".into()), Recorder::new("b".into()));
        let mut exported = BTreeSet::new();
        for (step, record) in life().into_iter().enumerate() {
            match step.cmp(&killed_after) {
                std::cmp::Ordering::Less => exported.extend(first.record(record).spans.into_iter().map(|span| span.id)),
                std::cmp::Ordering::Equal => drop(first.record(record)),
                std::cmp::Ordering::Greater => exported.extend(second.record(record).spans.into_iter().map(|span| span.id)),
            }
        }
        // The next leader looks at every request when it starts.
        let seen = Record::request_seen(&stored("Expired"), Some(&grant("Ended")), true, time(960));
        exported.extend(second.record(seen).spans.into_iter().map(|span| span.id));
        assert_eq!(exported, all, "killed after step {killed_after}");
    }
    // A request that has ended long ago is not traced again by everyone who starts.
    let late = Record::request_seen(&stored("Expired"), None, true, time(931 + RECENT_SECS));
    assert!(Recorder::new("c".into()).record(late).spans.is_empty());
}

#[test]
fn a_process_that_only_revokes_adds_its_spans_to_the_same_trace() {
    let mut revoker = Recorder::new("r".into());
    let mut made = revoker.record(grant_stored("Active", "Revoking", time(930))).spans;
    made.extend(revoker.record(grant_stored("Revoking", "Ended", time(931))).spans);
    assert_eq!(made.iter().map(|span| span.name).collect::<Vec<_>>(), ["access", "revoke"]);
    assert!(made.iter().all(|span| span.trace == TraceId::of(UID) && span.parent == Some(Phase::Root.id(UID))));
}

#[test]
fn a_deleted_request_has_a_root_span_after_all() {
    let key = || ("payments".to_owned(), "first".to_owned());
    let deleted = |at| Record::Deleted { about: About::Activation, key: key(), at };
    let mut waiting = Recorder::new("a".into());
    waiting.record(life().remove(0));
    assert_eq!(names(&waiting.record(deleted(time(10)))), ["activation request", "wait for approval"]);
    assert!(names(&waiting.record(deleted(time(11)))).is_empty());

    // With a Grant, its end is the end.
    let mut granted = Recorder::new("a".into());
    for record in life().into_iter().take(3) {
        granted.record(record);
    }
    assert!(names(&granted.record(deleted(time(100)))).is_empty());
    assert_eq!(names(&granted.record(grant_stored("Active", "Revoking", time(100)))), ["access"]);
    let made = granted.record(grant_stored("Revoking", "Ended", time(931)));
    assert_eq!(names(&made), ["activation request", "revoke"]);
    assert!(made.spans[0].attributes.contains(&("curfew.state", Attribute::Text("Deleted".into()))));

    // Another process has ended it.
    let orphan = Record::orphan(&grant("Ended"), time(940));
    assert!(names(&granted.record(orphan.clone())).is_empty());
    assert!(names(&Recorder::new("b".into()).record(orphan)).contains(&"activation request"));
}

#[test]
fn calls_of_a_target_are_spans_with_the_kind_of_error_and_not_too_many() {
    let mut recorder = Recorder::new("a".into());
    let call = |error| {
        let call = Call { name: "target revoke", phase: Phase::Revoke, start: time(930), end: time(931), error };
        Record::call(&grant("Revoking"), call)
    };
    let first = recorder.record(call(Some("denied"))).spans.remove(0);
    assert_eq!((first.parent, first.error.as_deref(), first.kind), (Some(Phase::Revoke.id(UID)), Some("denied"), SpanKind::Client));
    let mut ids = BTreeSet::from([first.id]);
    for _ in 1..CALLS {
        ids.extend(recorder.record(call(Some("denied"))).spans.into_iter().map(|span| span.id));
    }
    assert_eq!(ids.len(), CALLS as usize);
    let beyond = recorder.record(call(Some("denied")));
    assert_eq!((beyond.spans.len(), beyond.left_out), (0, 1));
    let another = Recorder::new("b".into()).record(call(None)).spans.remove(0);
    assert!(!ids.contains(&another.id), "another process makes other spans of its own calls");
    let ended = recorder.record(grant_stored("Revoking", "Ended", time(931))).spans;
    let revoke = ended.iter().find(|span| span.name == "revoke").expect("the phase");
    assert_eq!((revoke.events.len(), revoke.dropped_events), (ERRORS, CALLS + 1 - u32::try_from(ERRORS).unwrap()));
}

#[test]
fn no_name_of_a_person_and_no_text_by_people_is_in_a_trace() {
    let mut recorder = Recorder::new("a".into());
    for record in life() {
        let spans = recorder.record(record).spans;
        let written = super::super::span::export_request(&[], &spans).to_string();
        assert!(["alice", "carol", "Mallory", "has"].iter().all(|word| !written.contains(word)), "{written}");
    }
}

#[test]
fn the_memory_is_bounded() {
    let mut recorder = Recorder::new("a".into());
    for n in 0..LIVES + 10 {
        let mut one = stored("AwaitingApproval");
        one.metadata.uid = Some(format!("u{n}"));
        recorder.record(Record::request_seen(&one, None, true, time(2)));
    }
    assert!(recorder.lives.len() <= LIVES && recorder.order.len() <= LIVES);
}

/// Before the Grant is created nothing else ends the trace; after it has ended neither.
#[test]
fn a_request_that_is_deleted_without_a_live_grant_ends_with_that() {
    let deleted = |at| Record::Deleted { about: About::Activation, key: ("payments".into(), "first".into()), at };
    let mut before = Recorder::new("a".into());
    for record in life().into_iter().take(2) {
        before.record(record);
    }
    assert!(names(&before.record(deleted(time(40)))).contains(&"activation request"));

    let mut after = Recorder::new("a".into());
    for record in life().into_iter().take(5) {
        after.record(record);
    }
    let made = after.record(deleted(time(950)));
    assert_eq!(names(&made), ["activation request"]);
    assert_eq!(made.spans[0].end, time(931), "when the access was gone");
}

/// Another replica has led meanwhile and ended the request. What is deleted days later has ended then.
#[test]
fn what_another_replica_has_ended_has_one_root() {
    let mut one = Recorder::new("a".into());
    one.record(life().remove(0));
    let denied = stored("Expired");
    assert!(names(&one.record(Record::request_seen(&denied, None, false, time(932)))).is_empty(), "the other one makes its spans");
    let late = Record::Deleted { about: About::Activation, key: ("payments".into(), "first".into()), at: time(900_000) };
    assert!(names(&one.record(late)).is_empty());
}

#[test]
fn a_call_has_an_id_of_its_own_also_where_the_life_was_forgotten() {
    let call = |name, start| Record::call(&grant("Granting"), Call { name, phase: Phase::Target, start, end: start, error: None });
    let mut recorder = Recorder::new("a".into());
    let first = recorder.record(call("target arm", time(30))).spans.remove(0);
    recorder.lives.clear();
    recorder.order.clear();
    let second = recorder.record(call("target revoke", time(930))).spans.remove(0);
    assert_ne!(first.id, second.id);
}

/// A removal that fails is stored as `Revoking` afterwards; its calls are within its span.
#[test]
fn a_revocation_begins_at_the_deadline() {
    let mut recorder = Recorder::new("a".into());
    for record in life().into_iter().take(3) {
        recorder.record(record);
    }
    let mut revoking = grant("Revoking");
    revoking.status.as_mut().unwrap().conditions = serde_json::from_value(json!([condition("Active", "Unknown", time(950))])).unwrap();
    let access = recorder.record(Record::grant(&grant("Active"), &revoking, time(950)));
    assert_eq!(access.spans.iter().map(|span| (span.name, span.end)).collect::<Vec<_>>(), [("access", time(930))]);
}
