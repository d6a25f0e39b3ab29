//! Small clusters written out.
use curfew_analytics::{
    history::{DAY, Window},
    kubernetes::{
        analysis::analyse,
        dump::Dump,
        event::{Line, parse},
        inventory::{Exclusions, Inventory, Key},
        permissions::Permissions,
        usage::Usage,
    },
    report::{Finding, FindingType, InputSummary, Report, Row},
    score::holding,
};
use serde_json::{Value, json};

/// The end of the window of every test.
pub const UNTIL: i64 = 1_795_700_000;

pub fn time(at: i64) -> String {
    jiff::Timestamp::from_second(at).unwrap().to_string()
}

/// A cluster with the namespaces a, b and c, and what was done in it.
#[derive(Clone, Default)]
pub struct Cluster {
    pub exclusions: Exclusions,
    pub objects: Vec<Value>,
    pub events: Vec<Value>,
}

impl Cluster {
    pub fn new() -> Self {
        let objects = ["a", "b", "c"].map(|name| json!({"kind": "Namespace", "metadata": {"name": name}}));
        Self { objects: objects.into(), ..Self::default() }
    }
    pub fn object(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }
    /// A ClusterRole with one rule.
    pub fn role(self, name: &str, verbs: &[&str], group: &str, resources: &[&str]) -> Self {
        self.object(json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": [{"verbs": verbs, "apiGroups": [group], "resources": resources}]}))
    }
    /// Binds a ClusterRole, in a namespace or with none in the cluster.
    pub fn bind(self, namespace: &str, role: &str, kind: &str, subject: &str) -> Self {
        let subject = match subject.split_once('/') {
            Some((namespace, name)) if kind == "ServiceAccount" => json!({"kind": kind, "name": name, "namespace": namespace}),
            _ => json!({"kind": kind, "name": subject}),
        };
        let of = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let name = format!("binding-{}", self.objects.len());
        self.object(json!({"kind": of, "metadata": {"name": name, "namespace": namespace}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [subject]}))
    }
    /// A success, so many days before the end.
    pub fn event(mut self, user: &str, verb: &str, resource: &str, namespace: &str, days_before: i64) -> Self {
        let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
        self.events.push(json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete", "auditID": format!("event-{}", self.events.len()), "verb": verb,
            "user": {"username": user, "groups": ["devs"]}, "objectRef": {"resource": resource, "subresource": sub, "namespace": namespace},
            "responseStatus": {"code": 200}, "requestReceivedTimestamp": time(UNTIL - days_before * DAY),
        }));
        self
    }
    pub fn with<T>(&self, check: impl Fn(&Inventory, &Usage, Window) -> T) -> T {
        let list = json!({"kind": "List", "items": self.objects});
        let dump = Dump::parse(&list.to_string()).unwrap();
        let permissions = Permissions::build(None, &dump);
        let mut usage = Usage::new(&permissions, &dump.namespaces, UNTIL);
        for event in &self.events {
            let Line::Events { events, .. } = parse(event.to_string().as_bytes()) else { panic!("{event}") };
            events.iter().for_each(|event| usage.record(event));
        }
        let window = Window::ending(UNTIL, 90 * DAY);
        let inventory = Inventory::build(&dump, &permissions, &usage, window, &self.exclusions);
        check(&inventory, &usage, window)
    }
    /// Where a permission is granted to an identity, and where it was used.
    pub fn places(&self, key: &Key, permission: &str) -> (String, String) {
        self.with(|inventory, usage, window| {
            let id = inventory.permissions.catalogue.find(permission).unwrap();
            let held = holding(&inventory.holdings(key, usage, window), id).cloned().unwrap_or_default();
            (inventory.describe(id, &held.granted), inventory.describe(id, &held.used))
        })
    }
    pub fn report(&self) -> Report {
        self.with(|inventory, usage, window| analyse(inventory, usage, window, InputSummary::default()))
    }
}

pub fn row<'a>(report: &'a Report, name: &str) -> &'a Row {
    report.identities.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// The user of most tests.
pub fn user() -> Key {
    Key::user("u")
}

pub fn pair(granted: &str, used: &str) -> (String, String) {
    (granted.to_owned(), used.to_owned())
}

impl Cluster {
    /// Answers the last request with this status.
    pub fn code(mut self, code: u16) -> Self {
        if let Some(event) = self.events.last_mut() {
            event["responseStatus"]["code"] = code.into();
        }
        self
    }
    /// Changes a field of the last event.
    pub fn with_field(mut self, pointer: &str, value: Value) -> Self {
        if let Some(field) = self.events.last_mut().and_then(|event| event.pointer_mut(pointer)) {
            *field = value;
        }
        self
    }
    /// An event of another user on each day of the window, so that findings may recommend to remove.
    pub fn covered(self) -> Self {
        (0..=90).fold(self, |cluster, day| cluster.event("clock", "get", "pods", "a", day))
    }
    /// The findings about a subject of one type: summaries, evidence and recommendations.
    pub fn findings(&self, kind: FindingType) -> Vec<Finding> {
        self.report().findings.into_iter().filter(|finding| finding.kind == kind).collect()
    }
}
