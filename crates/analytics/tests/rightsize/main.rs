//! Right-sized roles of Kubernetes: on small clusters written out, and on thousands of random ones.
mod authorizer;
mod cases;
mod random;

use authorizer::Request;
use curfew_analytics::{
    history::{DAY, Window},
    kubernetes::{
        dump::Dump,
        event::{Line, parse},
        inventory::{Exclusions, Inventory, Key},
        kinds::Discovery,
        permissions::Permissions,
        usage::Usage,
    },
    rightsize::kubernetes::{
        Options, Proposal,
        manifests::{Giving, documents},
        observed::Observed,
        propose,
    },
};
use serde_json::{Value, json};

/// The end of the window.
const UNTIL: i64 = 1_795_700_000;

/// A cluster: objects of RBAC, and requests with the status of the answer and the days before the end.
#[derive(Clone, Default)]
struct Case {
    objects: Vec<Value>,
    events: Vec<Value>,
    /// Discovery documents, in place of the kinds of Kubernetes.
    discovery: Option<String>,
}

impl Case {
    fn new() -> Self {
        let objects = ["a", "b", "c"].map(|name| json!({"kind": "Namespace", "metadata": {"name": name}}));
        Self { objects: objects.into(), ..Self::default() }
    }
    fn object(mut self, object: Value) -> Self {
        self.objects.push(object);
        self
    }
    /// A ClusterRole with these rules.
    fn role(self, name: &str, rules: Value) -> Self {
        self.object(json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}))
    }
    /// Binds a ClusterRole, in a namespace or in the cluster.
    fn bind(self, namespace: &str, role: &str, subject: Value) -> Self {
        let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
        let name = format!("b{}", self.objects.len());
        self.object(json!({"kind": kind, "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [subject]}))
    }
    fn event(mut self, user: &str, request: &Request, code: i64, days_before: i64) -> Self {
        self.events.push(request.event(user, code, UNTIL - days_before * DAY));
        self
    }
    fn propose(&self, key: &Key, options: &Options) -> Proposal {
        let dump = Dump::parse(&json!({"kind": "List", "items": self.objects}).to_string()).unwrap();
        let permissions = Permissions::build(self.discovery.as_deref().map(|text| Discovery::parse(text).unwrap()), &dump);
        let mut usage = Usage::new(&permissions, &dump.namespaces, UNTIL);
        let mut observed = Observed::new(&dump.namespaces, None, UNTIL);
        for event in &self.events {
            let Line::Events { events, .. } = parse(event.to_string().as_bytes()) else { panic!("{event}") };
            for event in &events {
                usage.record(event);
                observed.record(event);
            }
        }
        let window = Window::ending(UNTIL, 90 * DAY);
        let inventory = Inventory::build(&dump, &permissions, &usage, window, &Exclusions::default());
        propose(&inventory, &usage, &observed, key, window, options).unwrap()
    }
    fn of_user(&self) -> Proposal {
        self.propose(&Key::user("u"), &Options::default())
    }
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "name": name})
}

fn group(name: &str) -> Value {
    json!({"kind": "Group", "name": name})
}

/// The roles of a proposal with bindings, as objects.
fn objects(proposal: &Proposal) -> Vec<Value> {
    documents(proposal, &Giving::Standing).into_iter().map(|(_, object)| object).collect()
}

/// A proposal's rules, one line each: scope, groups, resources, names, verbs.
fn rules(proposal: &Proposal) -> Vec<String> {
    let line = |role: &curfew_analytics::rightsize::kubernetes::rules::ProposedRole| {
        let scope = if role.bound_in.is_empty() { "cluster".to_owned() } else { role.bound_in.join("+") };
        let rule = move |rule: &curfew_analytics::rightsize::kubernetes::rules::Rule| {
            let names = if rule.resource_names.is_empty() { String::new() } else { format!(" [{}]", rule.resource_names.join(",")) };
            let what = [rule.resources.join(","), rule.non_resource_urls.join(",")].concat();
            format!(
                "{scope}: {} {}{what}{names}",
                rule.verbs.join(","),
                rule.api_groups.iter().map(|g| format!("{g}/")).collect::<String>()
            )
        };
        role.rules.iter().map(rule).collect::<Vec<_>>()
    };
    proposal.roles.iter().flat_map(line).collect()
}
