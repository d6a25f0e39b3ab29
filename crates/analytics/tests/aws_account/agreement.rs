//! The evaluator decides as MiniStack's enforcement does, and the sets contain what single requests decide.
use crate::{
    account::{Account, ID, NOW, allow, arn, document},
    random::{ACTIONS, ARNS, Random},
};
use curfew_analytics::{
    aws::{
        catalogue::Actions,
        effective::{Compiler, Evaluator, named_resources},
        inventory::Inventory,
        policy::{Context, Decision, Document, Known, Request, context::Complete, decide},
        resources::Resources,
        spaces::Spaces,
    },
    history::{DAY, Window},
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// How many requests are decided by both.
const PAIRS: usize = 6_000;

fn context(values: &Value) -> Complete {
    let known = |value: &Value| match value {
        Value::Array(list) => Known::Many(list.iter().map(|value| value.as_str().unwrap().to_owned()).collect()),
        value => Known::One(value.as_str().unwrap().to_owned()),
    };
    Complete { values: values.as_object().unwrap().iter().map(|(key, value)| (key.clone(), known(value))).collect() }
}

/// A request with the policies, boundary and session policies that decide it.
struct Case {
    layers: Vec<Vec<Value>>,
    action: &'static str,
    resource: &'static str,
    context: Value,
}

impl Case {
    fn random(random: &mut Random) -> Self {
        let layers = 1 + random.below(3);
        let layers = (0..layers).map(|_| (0..=random.below(2)).map(|_| random.document()).collect()).collect();
        Self { layers, action: random.one(&ACTIONS), resource: random.one(&ARNS), context: random.context() }
    }
    fn json(&self) -> Value {
        json!({"layers": self.layers, "action": self.action, "resource": self.resource, "context": self.context})
    }
    fn decide(&self) -> Decision {
        let layers: Vec<Vec<Document>> =
            self.layers.iter().map(|layer| layer.iter().map(|document| Document::read(document).unwrap()).collect()).collect();
        let layers: Vec<Vec<&Document>> = layers.iter().map(|layer| layer.iter().collect()).collect();
        let limits: Vec<&[&Document]> = layers[1..].iter().map(Vec::as_slice).collect();
        let context = context(&self.context);
        decide(&layers[0], &limits, &Request { action: self.action, resource: self.resource, context: &context })
    }
}

/// Runs MiniStack's evaluator, the one that enforces policies on its requests, on all cases in one process of its Python.
fn ministack(cases: &[Case]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let build = Command::new(root.join("hack/emulators/build")).stderr(Stdio::inherit()).output().unwrap();
    assert!(build.status.success(), "hack/emulators/build says what is missing");
    let python = Path::new(String::from_utf8(build.stdout).unwrap().trim()).join("bin/python");
    let script = root.join("crates/analytics/tests/aws_account/decide.py");
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = cases.iter().fold(String::new(), |mut lines, case| {
        let _ = writeln!(lines, "{}", case.json());
        lines
    });
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn decisions_are_those_of_ministack() {
    let mut random = Random(0x13_2026);
    let cases: Vec<Case> = (0..PAIRS).map(|_| Case::random(&mut random)).collect();
    let theirs = ministack(&cases);
    assert_eq!(theirs.len(), PAIRS);
    let mut counts = [0; 3];
    for (case, theirs) in cases.iter().zip(&theirs) {
        let (ours, which) = match case.decide() {
            Decision::Allowed => ("Allow", 0),
            Decision::NotAllowed => ("ImplicitDeny", 1),
            Decision::Denied => ("Deny", 2),
            Decision::Undecided => panic!("everything is known: {}", case.json()),
        };
        assert_eq!(ours, theirs, "{}", case.json());
        counts[which] += 1;
    }
    assert!(counts.iter().all(|count| *count > 400), "{counts:?}");
}

/// A request of which some keys are not known.
struct Partly {
    known: Complete,
    unknown: Vec<String>,
}

impl Context for Partly {
    fn get(&self, key: &str) -> Known {
        if self.unknown.iter().any(|unknown| unknown == key) { Known::Unknown } else { self.known.get(key) }
    }
}

/// What the sets say is granted contains what any request is allowed, and their lower bound is allowed with any values of the unknown keys.
#[test]
fn sets_contain_what_single_requests_are_allowed() {
    let (actions, spaces) = (Actions::builtin(), Spaces::builtin());
    let mut random = Random(0x5e_7135);
    let (mut inside, mut certain) = (0, 0);
    for _ in 0..60 {
        let case = Case::random(&mut random);
        let documents: Vec<Vec<Document>> =
            case.layers.iter().map(|layer| layer.iter().map(|document| Document::read(document).unwrap()).collect()).collect();
        let texts: Vec<String> = documents
            .iter()
            .flatten()
            .flat_map(|document| named_resources(document, None))
            .chain(ARNS.iter().map(|arn| (*arn).to_owned()))
            .collect();
        let resources = Resources::build(spaces, "aws", ID, texts.iter().map(String::as_str));
        let mut compiler = Compiler::new(actions, spaces, &resources);
        let compiled: Vec<Vec<_>> =
            documents.iter().map(|layer| layer.iter().map(|document| compiler.compile(document)).collect()).collect();
        let layers: Vec<Vec<_>> = compiled.iter().map(|layer| layer.iter().collect()).collect();
        let known = context(&case.context);
        let unknown = known.values.keys().filter(|_| random.once_in(2)).cloned().collect();
        let evaluator = Evaluator { spaces, resources: &resources };
        let granted = evaluator.granted(&layers[0], &layers[1..], &Partly { known, unknown });
        for (action, resource) in ACTIONS.iter().flat_map(|action| ARNS.iter().map(move |arn| (*action, *arn))) {
            let id = actions.find(action).unwrap();
            let space = spaces.of_action(id);
            // Resources that the action cannot have are not places; objects are counted by bucket, so a part of a bucket decides nothing.
            let untyped = spaces.shapes(space).is_empty() && resource == "*";
            let places = if untyped { resources.all(space) } else { resources.places_of(resource, space) };
            if places.is_empty() {
                continue;
            }
            let decision = Case { action, resource, layers: case.layers.clone(), context: case.context.clone() }.decide();
            let held = granted.places.get(&id).is_some_and(|held| places.within(held));
            if decision == Decision::Allowed {
                assert!(held, "{action} on {resource} is allowed and not granted: {}", case.json());
                inside += 1;
            }
            let whole = !action.ends_with("Object");
            if held && whole && !granted.undecided.contains(id) {
                assert_eq!(decision, Decision::Allowed, "{action} on {resource} is certain: {}", case.json());
                certain += 1;
            }
        }
    }
    assert!(inside > 50 && certain > 25, "{inside} {certain}");
}

/// The same through groups, a boundary and a service control policy of an account.
#[test]
fn an_account_grants_what_its_policies_allow_together() {
    let mut random = Random(0xacc0);
    let mut inside = 0;
    for _ in 0..60 {
        let documents: Vec<Value> = (0..5).map(|_| random.document()).collect();
        let statements = |i: usize| documents[i]["Statement"].as_array().unwrap().clone();
        let level = if random.once_in(2) { vec![allow(json!("*"), json!("*"))] } else { statements(4) };
        let mut account = Account::new()
            .policy(&arn("policy", "managed"), &statements(1))
            .policy(&arn("policy", "boundary"), &statements(2))
            .group("g", &statements(3))
            .user("u", &statements(0))
            .member_of("g")
            .attach("UserDetailList", &arn("policy", "managed"))
            .level(&level);
        let limited = random.once_in(2);
        if limited {
            account = account.with("UserDetailList", "PermissionsBoundary", json!({"PermissionsBoundaryArn": arn("policy", "boundary")}));
        }
        account.input.resources = ARNS.iter().map(|arn| (*arn).to_owned()).collect();
        let (input, window) = (account.input(), Window::ending(NOW, 90 * DAY));
        let inventory = Inventory::build(Actions::builtin(), Spaces::builtin(), &input, &account.usage, window);
        let granted = inventory.granted(&inventory.identities[&arn("user", "u")]);
        let read = |i: usize| Document::read(&documents[i]).unwrap();
        let (own, managed, boundary, group) = (read(0), read(1), read(2), read(3));
        let level = Document::read(&document(&level)).unwrap();
        for (action, resource) in ACTIONS.iter().flat_map(|action| ARNS.iter().map(move |arn| (*action, *arn))) {
            let id = Actions::builtin().find(action).unwrap();
            let places = inventory.resources.places_of(resource, inventory.spaces.of_action(id));
            let context = context(&random.context());
            let request = Request { action, resource, context: &context };
            let (of_level, of_boundary) = ([&level], [&boundary]);
            let mut limits: Vec<&[&Document]> = vec![&of_level];
            if limited {
                limits.push(&of_boundary);
            }
            if !places.is_empty() && decide(&[&own, &managed, &group], &limits, &request) == Decision::Allowed {
                let held = granted.places.get(&id).is_some_and(|held| places.within(held));
                assert!(held, "{action} on {resource}: {documents:?}");
                inside += 1;
            }
        }
    }
    assert!(inside > 50, "{inside}");
}
