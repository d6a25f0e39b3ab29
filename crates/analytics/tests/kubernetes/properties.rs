//! Properties of PCI-1 that the inventory and the roll-up must keep, on random clusters.
use crate::cluster::{Cluster, row};
use curfew_analytics::report::{Report, Row};
use serde_json::{Value, json};

const CASES: u64 = 60;
const SCOPES: [&str; 4] = ["", "a", "b", "c"];
const VERBS: [&str; 5] = ["get", "list", "create", "delete", "*"];
const RESOURCES: [(&str, &str); 7] = [
    ("", "pods"),
    ("", "secrets"),
    ("", "nodes"),
    ("apps", "deployments"),
    ("apps", "*"),
    ("example.com", "widgets"),
    ("rbac.authorization.k8s.io", "rolebindings"),
];

/// A generator with a fixed seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % n as u64) as usize
    }
    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
    fn shuffled<T>(&mut self, mut list: Vec<T>) -> Vec<T> {
        (1..list.len()).rev().for_each(|i| list.swap(i, self.below(i + 1)));
        list
    }
    fn rule(&mut self) -> Value {
        let (group, resource) = RESOURCES[self.below(RESOURCES.len())];
        json!({"verbs": [VERBS[self.below(VERBS.len())]], "apiGroups": [group], "resources": [resource]})
    }
    /// A cluster in which three users did something.
    fn used(&mut self, mut cluster: Cluster) -> Cluster {
        for _ in 0..self.below(8) {
            let (verb, user) = (VERBS[self.below(4)], ["u", "v", "w"][self.below(3)]);
            let (group, resource) = RESOURCES[self.below(4)];
            let namespace = ["", "a", "b", "gone"][self.below(4)];
            cluster =
                cluster.event(user, verb, resource, namespace, self.below(100) as i64).with_field("/objectRef/apiGroup", json!(group));
        }
        cluster
    }
}

fn role(cluster: Cluster, name: &str, rules: &[Value]) -> Cluster {
    cluster.object(json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}))
}

/// What says how much an identity holds and used.
fn result(report: &Report) -> (u64, u64, u64, usize, usize) {
    let Row { x, granted_share, permissions, .. } = row(report, "u");
    (report.system.x.to_bits(), x.unwrap().to_bits(), granted_share.to_bits(), permissions.granted, permissions.not_fully_used)
}

#[test]
fn p9_a_policy_in_two_attachments_gives_the_same_as_in_one() {
    for seed in 1..=CASES {
        let mut random = Random(seed * 7919);
        let rules: Vec<Value> = (0..1 + random.below(5)).map(|_| random.rule()).collect();
        let scopes: Vec<&str> = SCOPES.into_iter().filter(|_| random.coin()).chain(["a"]).collect();
        let history = random.used(Cluster::new());
        let whole = scopes.iter().fold(role(history.clone(), "whole", &rules), |cluster, scope| cluster.bind(scope, "whole", "User", "u"));
        // Each rule is in the first part, in the second, or in both.
        let in_parts: Vec<usize> = rules.iter().map(|_| random.below(3)).collect();
        let part = |other: usize| -> Vec<Value> {
            rules.iter().zip(&in_parts).filter(|(_, at)| **at != other).map(|(rule, _)| rule.clone()).collect()
        };
        let split = role(role(history, "one", &part(1)), "two", &part(0));
        let attachments = random.shuffled(scopes.iter().flat_map(|scope| [(*scope, "one"), (*scope, "two")]).collect());
        let split = attachments.into_iter().fold(split, |cluster, (scope, of)| cluster.bind(scope, of, "User", "u"));
        assert_eq!(result(&whole.report()), result(&split.report()), "seed {seed}: {rules:?} in {scopes:?}");
    }
}

#[test]
fn p10_the_order_of_objects_and_events_changes_nothing() {
    for seed in 1..=CASES {
        let mut random = Random(seed * 104_729);
        let mut cluster = Cluster::new();
        for name in ["one", "two", "three"] {
            let rules: Vec<Value> = (0..1 + random.below(4)).map(|_| random.rule()).collect();
            cluster = role(cluster, name, &rules);
            for (kind, subject) in [("User", "u"), ("User", "v"), ("Group", "devs")] {
                let scope = SCOPES[random.below(SCOPES.len())];
                cluster = cluster.bind(scope, name, kind, subject);
            }
        }
        let straight = random.used(cluster);
        let mixed = Cluster {
            objects: random.shuffled(straight.objects.clone()),
            events: random.shuffled([straight.events.clone(), straight.events.clone()].concat()),
            exclusions: straight.exclusions.clone(),
        };
        let (a, b) = (straight.report(), mixed.report());
        // The evidence lists bindings in the order of the file.
        let numbers = |report: &Report| -> Vec<_> {
            report.identities.iter().map(|row| (row.name.clone(), row.x.map(f64::to_bits), row.permissions)).collect()
        };
        assert_eq!((result(&a), numbers(&a)), (result(&b), numbers(&b)), "seed {seed}");
        assert_eq!(a.finding_counts, b.finding_counts, "seed {seed}");
    }
}
