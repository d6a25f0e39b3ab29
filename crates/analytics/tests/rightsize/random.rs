//! Thousands of random clusters: what holds for every proposal.
use crate::{
    Case,
    authorizer::{Request, allows},
    group, objects, user,
};
use curfew_analytics::{
    kubernetes::inventory::Key,
    rightsize::kubernetes::{Options, names::ObjectNames},
};
use serde_json::{Value, json};

const CASES: usize = 1_200;

struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
    fn some(&mut self, list: &[&str], most: usize) -> Vec<String> {
        let mut some: Vec<String> = (0..=self.below(most)).map(|_| self.pick(list).to_owned()).collect();
        some.sort();
        some.dedup();
        some
    }
}

const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
const KINDS: [&str; 12] = [
    "core/pods",
    "core/pods/exec",
    "core/pods/log",
    "core/secrets",
    "core/configmaps",
    "core/nodes",
    "core/namespaces",
    "apps/deployments",
    "apps/deployments/scale",
    "apps/statefulsets/scale",
    "example.com/widgets",
    "example.com/widgets/status",
];
const NAMES: [&str; 6] = ["db", "tls", "web-7d4b9c6f5-x2x5k", "settings", "a", "b"];
const PATHS: [&str; 5] = ["/metrics", "/healthz", "/healthz/etcd", "/logs/x", "/version"];

/// A cluster that serves these kinds alone, so that thousands of catalogues are built in a second.
fn discovery() -> String {
    let kind = |kind: &str| {
        let (group, resource) = kind.split_once('/').unwrap();
        let resources = json!([{"name": resource, "namespaced": !matches!(resource, "nodes" | "namespaces"), "verbs": VERBS}]);
        let version = if group == "core" { "v1".to_owned() } else { format!("{group}/v1") };
        json!({"kind": "APIResourceList", "groupVersion": version, "resources": resources}).to_string()
    };
    KINDS.iter().chain(&["rbac.authorization.k8s.io/roles"]).map(|name| kind(name)).collect()
}

fn rule(random: &mut Random) -> Value {
    if random.below(8) == 0 {
        let urls = random.some(&["/metrics", "/healthz*", "/logs/*", "*"], 2);
        return json!({"verbs": random.some(&["get", "*", "post"], 2), "nonResourceURLs": urls});
    }
    let resources = random.some(
        &[
            "pods",
            "pods/exec",
            "pods/log",
            "secrets",
            "configmaps",
            "nodes",
            "namespaces",
            "deployments",
            "widgets",
            "*/scale",
            "*",
            "widgets/status",
        ],
        4,
    );
    let mut rule = json!({"verbs": random.some(&[&VERBS[..], &["*"]].concat(), 4), "apiGroups": random.some(&["", "apps", "example.com", "*"], 2), "resources": resources});
    if random.below(3) == 0 {
        rule["resourceNames"] = json!(random.some(&NAMES, 3));
    }
    rule
}

fn request(random: &mut Random) -> Request {
    if random.below(10) == 0 {
        return Request::url("get", random.pick(&PATHS));
    }
    let (verb, kind) = (random.pick(&VERBS), random.pick(&KINDS));
    let mut request = Request::of(&format!("{verb} {kind}"));
    let by_name = !matches!(verb, "list" | "watch" | "deletecollection") || random.below(5) == 0;
    if by_name && verb != "deletecollection" {
        request.name = random.pick(&NAMES).into();
    }
    request.namespace = match request.resource.as_str() {
        "nodes" => String::new(),
        // Requests for one Namespace carry its name.
        "namespaces" if !matches!(verb, "list" | "watch" | "create" | "deletecollection") => {
            ["a", "b"].iter().find(|name| request.name == **name).map_or("a", |name| name).into()
        }
        "namespaces" => String::new(),
        _ if !by_name && random.below(3) == 0 => String::new(),
        _ => random.pick(&["a", "b", "c", "gone"]).into(),
    };
    if request.resource == "namespaces" && !request.namespace.is_empty() {
        request.name = request.namespace.clone();
    }
    request
}

/// A cluster, and the requests of `u` that its bindings allow.
fn case(random: &mut Random) -> (Case, Vec<Request>) {
    let mut case = Case { discovery: Some(discovery()), ..Case::new() }.role("none", json!([])).bind("", "none", user("u"));
    for number in 0..=random.below(4) {
        let rules: Vec<Value> = (0..=random.below(3)).map(|_| rule(random)).collect();
        let name = format!("r{number}");
        case = case.role(&name, json!(rules));
        let subject = if random.below(4) == 0 { group("devs") } else { user("u") };
        case = case.bind(random.pick(&["", "a", "b", "c"]), &name, subject);
    }
    let mut made = Vec::new();
    for _ in 0..random.below(40) {
        let request = request(random);
        if allows(&case.objects, "u", &["devs"], &request) {
            // Groups are known from requests that succeed.
            let mut code = if made.is_empty() { 200 } else { [200, 200, 201, 404, 409][random.below(5)] };
            // A PATCH or PUT that created the object, and a terminal over a websocket, ask for `create` as well.
            let create = Request { verb: "create".into(), beside: true, ..request.clone() };
            let held = allows(&case.objects, "u", &["devs"], &create);
            let changes = matches!(request.verb.as_str(), "patch" | "update");
            if code == 201 && changes && !held {
                code = 200;
            }
            if held && ((code == 201 && changes) || (request.verb == "get" && request.subresource == "exec")) {
                made.push(create);
            }
            case = case.event("u", &request, code, random.below(80) as i64);
            made.push(request);
        }
    }
    (case, made)
}

fn options(random: &mut Random) -> Options {
    let object_names = [ObjectNames::Stable, ObjectNames::All, ObjectNames::Never][random.below(3)];
    Options { object_names, ..Options::default() }
}

#[test]
fn a_proposal_allows_every_request_that_was_made_and_nothing_beyond_the_standing_access() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let (mut requests, mut probes, mut named) = (0, 0, 0);
    for number in 0..CASES {
        let (case, made) = case(&mut random);
        let options = options(&mut random);
        let proposal = case.propose(&Key::user("u"), &options);
        let proposed = objects(&proposal);
        for request in &made {
            assert!(allows(&proposed, "u", &[], request), "case {number}: {request:?}\n{:#?}\n{proposed:#?}", case.objects);
            requests += 1;
        }
        for _ in 0..60 {
            let probe = request(&mut random);
            if allows(&proposed, "u", &[], &probe) {
                // What was done in namespaces that are gone is allowed everywhere, and so it was.
                assert!(allows(&case.objects, "u", &["devs"], &probe), "case {number}: {probe:?}\n{:#?}\n{proposed:#?}", case.objects);
                probes += 1;
            }
        }
        named += usize::from(proposal.evidence.iter().any(|evidence| !evidence.names.is_empty()));
        assert!(
            proposal.evidence.iter().all(|evidence| evidence.held),
            "case {number}: {:?} {:?} {made:?}",
            proposal.evidence,
            case.objects
        );
        assert!(proposal.after.share <= proposal.before.share + 1e-12 && proposal.after.score <= proposal.before.score, "case {number}");
    }
    assert!(requests > 2_500 && probes > 600 && named > 200, "{requests} {probes} {named}");
}

#[test]
fn without_any_one_permission_a_request_would_be_refused() {
    let mut random = Random(0xfeed_beef_1234_5679);
    let mut removed = 0;
    for number in 0..CASES / 4 {
        let (case, made) = case(&mut random);
        let options = Options { keep_not_shown: false, ..options(&mut random) };
        let proposed = objects(&case.propose(&Key::user("u"), &options));
        for (at, object) in proposed.iter().enumerate().filter(|(_, object)| object["rules"].is_array()) {
            for (rule_at, rule) in object["rules"].as_array().unwrap().iter().enumerate() {
                for key in ["verbs", "resources", "apiGroups", "nonResourceURLs", "resourceNames"] {
                    for entry in 0..rule[key].as_array().map_or(0, Vec::len) {
                        let mut less = proposed.clone();
                        let list = less[at]["rules"][rule_at][key].as_array_mut().unwrap();
                        // Without names a rule is wider, not narrower.
                        if key == "resourceNames" && list.len() == 1 {
                            continue;
                        }
                        list.remove(entry);
                        let refused = made.iter().any(|request| !allows(&less, "u", &[], request));
                        assert!(refused, "case {number}: {key} {} of {rule} is not needed", rule[key][entry]);
                        removed += 1;
                    }
                }
            }
        }
    }
    assert!(removed > 800, "{removed}");
}

#[test]
fn the_order_of_events_and_reading_them_twice_change_nothing() {
    let mut random = Random(0x0bad_cafe_0000_0001);
    for _ in 0..CASES / 10 {
        let (case, _) = case(&mut random);
        let mut other = case.clone();
        other.events.extend(case.events.clone());
        for at in (1..other.events.len()).rev() {
            other.events.swap(at, random.below(at + 1));
        }
        assert!(case.of_user() == other.of_user());
    }
}
