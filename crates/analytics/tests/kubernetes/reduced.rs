//! What the usage store keeps of an event gives the same usage as the event.
use crate::cluster::{Cluster, UNTIL};
use curfew_analytics::{
    history::Day,
    kubernetes::{
        dump::Dump,
        event::{Event, Line, parse},
        permissions::Permissions,
        reduced::{reduce, replay, restore},
        usage::Usage,
    },
    store::{Batch, Store, UsageEvent},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CODES: [i64; 9] = [200, 201, 201, 202, 101, 403, 500, 401, 0];

/// A generator with a fixed seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % n as u64) as usize
    }
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
    fn some(&mut self, of: &[&str]) -> Vec<String> {
        of.iter().filter(|_| self.below(3) == 0).map(|text| (*text).to_owned()).collect()
    }
    /// One request, in words that an API server uses and in words that try to be something else.
    fn event(&mut self, number: usize) -> Value {
        let users = ["alice", "bob", "system:serviceaccount:a:x", "system:anonymous", "!failed 403", ""];
        let groups = ["devs", "ops", "system:authenticated", "system:serviceaccounts", "a\"b"];
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": format!("{number}"),
            "stage": self.one(&["ResponseComplete", "ResponseComplete", "ResponseComplete", "ResponseStarted", "RequestReceived", "Panic", "Odd"]),
            "verb": self.one(&["get", "list", "create", "update", "patch", "delete", "watch", "a b", "!failed", "impersonate"]),
            "requestURI": self.one(&["/healthz?verbose", "/logs/a%2Fb", "//x", "healthz", "", "/api/v1/pods", "/a b#c"]),
            "user": {"username": self.one(&users), "groups": self.some(&groups)},
            "responseStatus": {"code": CODES[self.below(CODES.len())]},
            "requestReceivedTimestamp": crate::cluster::time(UNTIL - self.below(4 * 86_400) as i64),
        });
        if self.below(4) > 0 {
            event["objectRef"] = json!({
                "resource": self.one(&["pods", "pods", "nodes", "namespaces", "roles", "rolebindings", "clusterrolebindings", "widgets", "", "po/ds", "100%", "%63"]),
                "subresource": self.one(&["", "", "", "exec", "status", "proxy/x", "ex ec"]),
                "namespace": self.one(&["", "a", "b", "gone"]),
                "apiGroup": self.one(&["", "", "rbac.authorization.k8s.io", "example.com", "core", "a/b", "a b"]),
                "name": self.one(&["", "n"]),
            });
        }
        if self.below(3) == 0 {
            let mut other = json!({"username": self.one(&users), "groups": self.some(&groups)});
            if self.below(2) == 0 {
                other["uid"] = "1".into();
                other["extra"] = json!({"scopes": ["x"], "a/b": ["y"]});
            }
            event["impersonatedUser"] = other;
        }
        event
    }
}

fn event(value: &Value) -> Option<Event> {
    match parse(value.to_string().as_bytes()) {
        Line::Events { mut events, .. } => events.pop(),
        // Without a user, unless the answer was 401.
        Line::Broken(_) => None,
        other => panic!("{other:?}"),
    }
}

/// What a usage contains. Its maps are in order.
fn content(usage: &Usage) -> (String, BTreeSet<i64>, Option<i64>) {
    (format!("{:#?}", usage.users), usage.hours.clone(), usage.newest)
}

fn batch() -> Batch<'static> {
    Batch { system: "prod", source: "audit.log", watermark: None, now: UNTIL }
}

fn dump() -> Dump {
    let verbs = ["*"];
    let cluster = Cluster::new()
        .role("all", &verbs, "*", &["*"])
        .bind("", "all", "User", "alice")
        .role("widgets", &["get", "create", "update"], "example.com", &["widgets", "widgets/status"])
        .object(json!({"kind": "ClusterRole", "metadata": {"name": "urls"}, "rules": [{"verbs": ["*", "get", "create"], "nonResourceURLs": ["/logs/*", "/healthz", "/a b"]}]}))
        .object(json!({"kind": "ClusterRole", "metadata": {"name": "as"}, "rules": [{"verbs": ["impersonate"], "apiGroups": ["authentication.k8s.io"], "resources": ["uids", "userextras", "userextras/scopes"]}]}));
    Dump::parse(&json!({"kind": "List", "items": cluster.objects}).to_string()).unwrap()
}

#[test]
fn reduced_events_give_the_usage_of_the_originals() {
    let dump = dump();
    let permissions = Permissions::build(None, &dump);
    for seed in 1..=150 {
        let mut random = Random(seed * 7919);
        let events: Vec<Event> = (0..40).filter_map(|number| event(&random.event(number))).collect();
        let mut original = Usage::new(&permissions, &dump.namespaces, UNTIL);
        events.iter().for_each(|event| original.record(event));
        let store = Store::with_backend(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
        let reduced = || events.iter().filter_map(reduce).map(UsageEvent::from);
        store.ingest(&batch(), reduced()).unwrap();
        store.ingest(&batch(), reduced().filter(|_| random.below(2) == 0)).unwrap();
        let mut replayed = Usage::new(&permissions, &dump.namespaces, UNTIL);
        let unreadable = replay(&store, "prod", Day(0), Day(u32::MAX), &mut replayed).unwrap();
        assert_eq!(unreadable, Default::default(), "seed {seed}");
        assert_eq!(content(&replayed), content(&original), "seed {seed}");
        assert_eq!(replayed.counts, original.counts, "seed {seed}");
    }
}

/// A stream has an event at its start and one at its end. Both are one request.
#[test]
fn a_stream_counts_once_and_one_that_fails_is_used_and_failed() {
    let dump = dump();
    let permissions = Permissions::build(None, &dump);
    let store = Store::with_backend(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let cluster = Cluster::new().event("u", "watch", "pods", "a", 1).with_field("/stage", json!("ResponseStarted"));
    let stage = |stage: &str, code: i64| {
        let changed = cluster.clone().with_field("/stage", json!(stage)).with_field("/responseStatus/code", json!(code));
        UsageEvent::from(reduce(&event(&changed.events[0]).unwrap()).unwrap())
    };
    let all = [stage("RequestReceived", 0), stage("ResponseStarted", 200), stage("ResponseComplete", 200), stage("ResponseComplete", 500)];
    let counts = store.ingest(&batch(), all).unwrap();
    assert_eq!((counts.new, counts.duplicates), (3, 1));
    let mut usage = Usage::new(&permissions, &dump.namespaces, UNTIL);
    replay(&store, "prod", Day(0), Day(u32::MAX), &mut usage).unwrap();
    assert_eq!((usage.counts.uses, usage.counts.not_successful, usage.counts.other_stages), (1, 1, 1));
}

/// The operation of a request is the name of its permission, so that SQL over the roll-up can be compared with reports.
#[test]
fn operations_are_the_names_of_permissions() {
    let reduced = |cluster: Cluster| reduce(&event(&cluster.events[0]).unwrap()).unwrap();
    let exec = reduced(Cluster::new().event("u", "create", "pods/exec", "a", 1));
    assert_eq!(
        (exec.operation.as_str(), exec.resource.as_str(), exec.context.as_str()),
        ("create core/pods/exec", "a", "{\"groups\":[\"devs\"]}")
    );
    let url = Cluster::new().event("u", "get", "", "", 1).with_field("/objectRef", Value::Null);
    let mut url = url;
    url.events[0]["requestURI"] = "/healthz?verbose".into();
    assert_eq!(reduced(url).operation, "get /healthz");
    assert_eq!(reduced(Cluster::new().event("u", "get", "secrets", "a", 1).code(403)).operation, "!failed 403");
    // An event without an identifier is told apart by its time and URL.
    let unnamed = Cluster::new().event("u", "get", "pods", "a", 1).with_field("/auditID", json!(""));
    let other = unnamed.clone().with_field("/requestReceivedTimestamp", json!("2026-11-25T13:33:20.000001Z"));
    assert_ne!(reduced(unnamed).id, reduced(other).id);
}

#[test]
fn rows_that_are_not_reduced_events_are_counted_and_the_others_are_read() {
    for (operation, context) in
        [("get", ""), ("get pods", ""), ("!failed x", ""), ("get core/pods", "{"), ("get core/%zz", ""), ("get core/pods", "{\"new\":1}")]
    {
        let error = restore("u", operation, "", context, 1).unwrap_err();
        assert!(error.contains(operation) || error.contains(context), "{error}");
    }
    let dump = dump();
    let permissions = Permissions::build(None, &dump);
    let store = Store::with_backend(redb::backends::InMemoryBackend::new(), Default::default()).unwrap();
    let good = UsageEvent::from(reduce(&event(&Cluster::new().event("u", "get", "pods", "a", 1).events[0]).unwrap()).unwrap());
    let bad = UsageEvent { operation: "s3:GetObject".into(), ..good.clone() };
    store.ingest(&batch(), [bad, good]).unwrap();
    let mut usage = Usage::new(&permissions, &dump.namespaces, UNTIL);
    let unreadable = replay(&store, "prod", Day(0), Day(u32::MAX), &mut usage).unwrap();
    assert_eq!((unreadable.count, usage.counts.uses), (1, 1));
    assert!(unreadable.first.unwrap().contains("s3:GetObject"));
}
