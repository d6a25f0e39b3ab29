//! The stored form of approvals and plans, byte for byte. If one of these files must change, approvals that are stored already
//! name other digests: raise `resolved::SCHEMA` in the same commit, and keep the old file as an older form.
//!
//!     UPDATE=1 cargo test --package curfew-core --test golden
mod aws_forms;

use curfew_core::{
    admission::Provenance,
    approval::{ApprovalStage, CommentRule, Escalation, StageOrder},
    conditions::mfa::Requirement,
    digest::Digest,
    grant::{Decision, Grant, Inputs, Observation, OwnerState, State, decide},
    principal::{ServiceAccount, Subject},
    requeue::Requeue,
    resolved::{Extended, Ref, Resolved, SCHEMA, Schema, SystemRef, Terms},
    target::{
        GrantedPermissions, GrantedScope, Plan, Principal, SettingsByProvider, SlotSet, aws,
        kubernetes::{GrantedRole, GrantedRoles, GrantedScope as Namespaces, RoleKind, persistence, persistence::Rule},
    },
    time::Time,
};
use serde_json::json;
use std::{fs, path::PathBuf};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn stored(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The file holds exactly this text and a newline.
fn assert_golden(name: &str, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path(name), format!("{text}\n")).expect(name);
    }
    assert_eq!(format!("{text}\n"), stored(name), "{name} has another form: raise resolved::SCHEMA");
}

fn reference(name: &str) -> Ref {
    Ref { name: name.into(), uid: format!("uid-of-{name}") }
}

fn rules() -> [(&'static str, Vec<Rule>); 4] {
    let strings = |s: &[&str]| s.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| Rule {
        api_groups: strings(groups),
        resources: strings(resources),
        verbs: strings(verbs),
        ..Rule::default()
    };
    let named = Rule { resource_names: strings(&["config"]), ..rule(&[""], &["configmaps"], &["update"]) };
    let urls = Rule { non_resource_urls: strings(&["/healthz"]), verbs: strings(&["get"]), ..Rule::default() };
    [
        ("none", Vec::new()),
        ("read pods", vec![rule(&[""], &["pods", "pods/log"], &["get", "list", "watch"])]),
        ("everything", vec![rule(&["*"], &["*"], &["*"])]),
        ("named object and URL", vec![named, urls]),
    ]
}

/// With every optional member, two stages and both kinds of roles.
fn representative() -> Resolved {
    let role = |kind, name: &str, namespace: Option<&str>, rules: &[Rule]| GrantedRole {
        kind,
        name: name.into(),
        namespace: namespace.map(Into::into),
        uid: format!("uid-of-{name}"),
        rules: persistence::digest(rules),
        content: persistence::canonical(rules).expect("few rules"),
    };
    let [_, (_, read_pods), _, (_, other)] = rules();
    let roles = vec![role(RoleKind::ClusterRole, "view", None, &read_pods), role(RoleKind::Role, "deployer", Some("payments"), &other)];
    let stage = |name: &str, approvers, quorum, timeout: Option<&str>| ApprovalStage {
        name: name.into(),
        approvers,
        quorum,
        timeout: timeout.map(|t| t.parse().expect("a duration")),
        escalation: None,
        mfa: None,
        comment: CommentRule::Optional,
    };
    let bot = Subject::ServiceAccount(ServiceAccount { namespace: "ci".into(), name: "approver".into() });
    Resolved {
        break_glass: false,
        schema: SCHEMA,
        request: "0b6a7e5e-6a0c-4f3f-9d53-0d6f6c0a4c01".into(),
        requester: "alice@example.com".into(),
        beneficiary: Subject::User("alice@example.com".into()),
        principal: Principal::Kubernetes(Subject::User("alice@example.com".into())),
        system: SystemRef { name: "prod".into(), uid: "uid-of-prod".into(), target: "uid-of-kube-system".into() },
        role: reference("payments-admin"),
        assignment: reference("payments-devs"),
        policy: reference("payments"),
        permissions: GrantedPermissions::Kubernetes(GrantedRoles { roles }),
        scope: GrantedScope::Kubernetes(Namespaces::Namespaces(vec![reference("canary"), reference("payments")])),
        duration: "1h30m".parse().expect("a duration"),
        start: Some(Time::from_secs(1_795_593_600)),
        extends: None,
        approval: vec![
            stage("owners", vec![Subject::Group("payments-leads".into()), bot], 2, Some("4h")),
            stage("security", vec![Subject::User("sören".into())], 1, None),
        ],
        order: StageOrder::Sequential,
        author: None,
    }
}

/// The same with every rule of approvers that schema 4 has brought.
fn with_rules_of_approvers() -> Resolved {
    let mut resolved = representative();
    resolved.order = StageOrder::Parallel;
    let stage = &mut resolved.approval[1];
    stage.escalation = Some(Escalation { after: "2h".parse().expect("a duration"), approvers: vec![Subject::Group("sre-oncall".into())] });
    stage.mfa = Some(Requirement { max_age: "15m".parse().expect("a duration") });
    stage.comment = CommentRule::Required;
    resolved
}

/// The extension of another request.
fn extending() -> Resolved {
    let (since, until) = (Time::from_secs(1_795_590_000), Time::from_secs(1_795_593_600));
    let extended = Extended { name: "first".into(), uid: "uid-of-first".into(), until, since };
    Resolved { start: None, extends: Some(extended), ..representative() }
}

/// The map of serde_json keeps its keys in byte order, as the digest does.
fn canonical(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).expect("JSON").to_string()
}

#[test]
fn the_stored_form_and_the_digests_of_an_approval_are_unchanged() {
    let resolved = representative();
    let text = canonical(&resolved);
    assert_golden(&format!("resolved-{SCHEMA}.json"), &text);
    assert_eq!(Digest::of_bytes(text.as_bytes()), resolved.digest(), "the digest is over exactly the bytes of the file");
    let digests = json!({"digest": resolved.digest(), "effects": resolved.effects()});
    assert_golden(&format!("digests-{SCHEMA}.json"), &digests.to_string());
    assert_eq!(serde_json::from_str::<Resolved>(&stored(&format!("resolved-{SCHEMA}.json"))).expect("it is read back"), resolved);
}

#[test]
fn the_stored_form_of_the_rules_of_approvers_is_unchanged() {
    let resolved = with_rules_of_approvers();
    let text = canonical(&resolved);
    assert_golden(&format!("resolved-approvers-{SCHEMA}.json"), &format!("{text}\n{}", resolved.digest()));
    assert_eq!(serde_json::from_str::<Resolved>(&text).expect("it is read back"), resolved);
}

#[test]
fn the_stored_forms_of_extension_break_glass_and_standing_access_are_unchanged() {
    let others = [
        extending(),
        Resolved { start: None, break_glass: true, ..representative() },
        Resolved { author: Some("dana@example.com".into()), approval: Vec::new(), ..representative() },
    ];
    let lines: Vec<String> = others.iter().map(|resolved| format!("{}\n{}", canonical(resolved), resolved.digest())).collect();
    assert_golden(&format!("resolved-others-{SCHEMA}.txt"), &lines.join("\n"));
    for resolved in others {
        assert_eq!(serde_json::from_str::<Resolved>(&canonical(&resolved)).expect("it is read back"), resolved);
    }
}

#[test]
fn the_digests_of_role_contents_are_unchanged() {
    let lines: Vec<String> = rules().iter().map(|(name, rules)| format!("{} {name}", persistence::digest(rules))).collect();
    assert_golden(&format!("role-contents-{SCHEMA}.txt"), &lines.join("\n"));
}

#[test]
fn the_plan_of_an_approval_is_unchanged() {
    let plan = representative().plan("install1", "g0123456789", Time::from_secs(1_795_599_000)).expect("one provider");
    assert_golden(&format!("plan-{SCHEMA}.json"), &canonical(&plan));
    assert_eq!(serde_json::from_str::<Plan>(&stored(&format!("plan-{SCHEMA}.json"))).expect("it is read back"), plan);
}

/// An approval for each way of granting in AWS.
fn of_aws() -> Vec<(&'static str, Resolved)> {
    let one = |(name, permissions, scope, principal): (&'static str, aws::Permissions, aws::Scope, &str)| {
        let (mut permissions, scope) = aws::resolve(&permissions, &scope, &aws_forms::inventory()).expect(name);
        let principal = aws::principal(principal, &permissions, &scope).expect(name);
        // The content of what is too large to be copied is of no interest here.
        if let aws::GrantedPermissions::Role(role) = &mut permissions {
            let large = role.policies.managed.iter_mut().filter(|p| p.by == aws::GrantedBy::Reference);
            large.for_each(|p| p.document = "{}".into());
        }
        let base = representative();
        let system = SystemRef { target: "aws:123456789012".into(), ..base.system };
        let (permissions, scope) = (GrantedPermissions::Aws(permissions), GrantedScope::Aws(scope));
        (name, Resolved { system, principal: Principal::Aws(principal), permissions, scope, ..base })
    };
    aws_forms::ways().into_iter().map(one).collect()
}

/// One line for each way of granting in AWS.
#[test]
fn the_stored_forms_of_aws_are_unchanged() {
    let approvals = of_aws();
    let deadline = Time::parse("2026-11-23T08:15:00Z").expect("a time");
    let plan = |resolved: &Resolved| resolved.plan("0123abcd", "00000000000000a1", deadline).expect("one provider");
    let lines =
        |one: &dyn Fn(&Resolved) -> String| approvals.iter().map(|(way, r)| format!("{way}: {}", one(r))).collect::<Vec<_>>().join("\n");
    assert_golden(&format!("aws-digests-{SCHEMA}.txt"), &lines(&|r| format!("{} {}", r.digest(), r.effects())));
    assert_golden(&format!("aws-resolved-{SCHEMA}.txt"), &lines(&|r| canonical(&(&r.principal, &r.permissions, &r.scope))));
    assert_golden(&format!("aws-plan-{SCHEMA}.txt"), &lines(&|r| canonical(&plan(r))));
    for (way, resolved) in &approvals {
        assert_eq!(&serde_json::from_str::<Resolved>(&canonical(resolved)).expect(way), resolved, "it is read back");
        let plan = plan(resolved);
        assert_eq!(serde_json::from_str::<Plan>(&canonical(&plan)).expect(way), plan, "it is read back");
        assert_eq!(plan.planned_deadline(), Some(deadline));
    }
}

/// A plan keeps the fuse that was configured when it was made. A plan that says nothing has a Job as built, as all had before.
#[test]
fn the_plan_of_each_fuse_is_unchanged() {
    let job = json!({"job": {"image": "registry.example.com/pause:3", "labels": {"team": "security"}, "annotations": {"why": "fuse"}}});
    let fuses = [json!({"job": {}}), job, json!({"none": {}})];
    let plan = representative().plan("install1", "g0123456789", Time::from_secs(1_795_599_000)).expect("one provider");
    let plans = fuses.map(|fuse| {
        let kubernetes = serde_json::from_value(json!({"fuse": fuse})).expect("settings");
        let configured = plan.clone().configured(&SettingsByProvider { kubernetes });
        assert!(configured.gives_the_same(&plan), "the access is the same");
        let text = canonical(&configured);
        assert_eq!(serde_json::from_str::<Plan>(&text).expect("it is read back"), configured);
        text
    });
    assert_eq!(format!("{}\n", plans[0]), stored(&format!("plan-{SCHEMA}.json")), "a Job as built is not written down");
    assert_golden(&format!("plan-fuses-{SCHEMA}.txt"), &plans.join("\n"));
}

/// The first builds stored `version: v1` and no schema. This build does not read their approvals: what was approved in that
/// form must be requested again. Their Grants need no approval to end.
#[test]
fn an_approval_of_the_first_form_is_not_read() {
    let error = |text: &str| serde_json::from_str::<Resolved>(text).expect_err("another form").to_string();
    // Its permissions are a list, and now they are by provider.
    assert!(error(&stored("resolved-1.json")).contains("expected value at line 1 column 225"));
    let mut without_number: serde_json::Value = serde_json::from_str(&stored("resolved-3.json")).expect("JSON");
    without_number.as_object_mut().expect("an object").remove("schema");
    assert!(error(&without_number.to_string()).contains("missing field `schema`"));
    assert_eq!(Schema::of(None), Schema::Known, "an object without a number is an older one, and is judged by this build");
}

/// Schema 2 holds the digests of contents alone. What is of it is judged by these.
#[test]
fn an_approval_of_schema_2_is_read_without_its_content() {
    let old: Resolved = serde_json::from_str(&stored("resolved-2.json")).expect("it is read back");
    let now = representative();
    assert_eq!(old, Resolved { schema: 2, permissions: now.permissions.without_content(), ..now.clone() });
    assert_eq!(Terms::new(now.clone()).digest_in(2), Some(old.digest()), "what waits is compared in the form in which it was approved");
    assert_eq!((Terms::new(now.clone()).digest_in(1), Terms::new(now.clone()).digest_in(SCHEMA + 1)), (None, None));
    let digests: serde_json::Value = serde_json::from_str(&stored("digests-2.json")).expect("JSON");
    assert_eq!(digests["digest"], old.digest().to_string(), "the form is the same, so its digest is");
    assert!(Terms::new(old).is_comparable());
    assert_eq!(stored("role-contents-2.txt"), stored("role-contents-3.txt"));
    assert_eq!(stored("plan-2.json"), stored("plan-3.json"));
}

/// Schema 3 has no rules of approvers beyond who and how many. What has none of them is judged in that form, and nothing else is.
#[test]
fn an_approval_of_schema_3_is_judged_in_its_form() {
    let old: Resolved = serde_json::from_str(&stored("resolved-3.json")).expect("it is read back");
    let now = representative();
    assert_eq!(old, Resolved { schema: 3, ..now.clone() });
    assert_eq!(Terms::new(now).digest_in(3), Some(old.digest()), "what waits is compared in the form in which it was approved");
    let digests: serde_json::Value = serde_json::from_str(&stored("digests-3.json")).expect("JSON");
    assert_eq!(digests["digest"], old.digest().to_string(), "the form is the same, so its digest is");
    let other = Terms::new(with_rules_of_approvers()).digest_in(3);
    assert!(other.is_some() && other != Some(old.digest()), "a rule of approvers is never left out of a comparison");
    for (before, now) in
        [("role-contents-3.txt", "role-contents-4.txt"), ("plan-3.json", "plan-4.json"), ("aws-plan-3.txt", "aws-plan-4.txt")]
    {
        assert_eq!(stored(before), stored(now));
    }
}

/// Schema 4 has no extension, break-glass and standing access. What is none of them is judged in that form, and nothing else is.
#[test]
fn an_approval_of_schema_4_is_judged_in_its_form() {
    let old: Resolved = serde_json::from_str(&stored("resolved-4.json")).expect("it is read back");
    let now = representative();
    assert_eq!(old, Resolved { schema: 4, ..now.clone() });
    assert_eq!(Terms::new(now.clone()).digest_in(4), Some(old.digest()), "what waits is compared in the form in which it was approved");
    for other in [Resolved { break_glass: true, ..now.clone() }, Resolved { author: Some("dana".into()), ..now.clone() }, extending()] {
        let other = Terms::new(other).digest_in(4);
        assert!(other.is_some() && other != Some(old.digest()), "what is new is never left out of a comparison");
    }
    for before in ["role-contents-4.txt", "plan-4.json", "plan-fuses-4.txt", "aws-plan-4.txt"] {
        assert_eq!(stored(before), stored(&before.replace('4', "5")));
    }
}

/// An approval of a newer build may have members that this one ignores. So its digest is taken as stored, and it is compared
/// with nothing.
#[test]
fn an_approval_of_a_newer_form_is_taken_as_stored_and_compared_with_nothing() {
    let newer: Resolved = serde_json::from_str(&stored("resolved-newer.json")).expect("the members that this build knows");
    assert_eq!(Schema::of(Some(newer.schema)), Schema::Newer);
    let digest = Digest::from_bits(1);
    let terms = Terms::as_stored(newer, digest);
    assert_eq!(terms.digest, digest);
    assert_ne!(terms.resolved.digest(), digest, "computing it again would give another one");
    assert!(!terms.is_comparable() && Terms::new(representative()).is_comparable());
}

#[test]
fn a_grant_of_a_newer_form_is_only_revoked_when_due() {
    let plan = representative().plan("install1", "g0123456789", Time::from_secs(2_000)).expect("one provider");
    let deadline = Time::from_secs(2_000);
    for state in [State::Granting, State::Active] {
        let grant = Grant {
            version: "1".into(),
            schema: Schema::of(Some(SCHEMA + 1)),
            expires_at: deadline,
            state,
            drifted: false,
            refused: false,
            outgrown: false,
            withheld: SlotSet::NONE,
            deleting: true,
            provenance: Provenance::Verified,
            guarantees: plan.guarantees(),
            active_since: None,
            intent: None,
            operation: None,
            removed_at: None,
        };
        let inputs = |now| Inputs {
            now,
            grant: &grant,
            observation: Some(Observation::Drifted),
            filled: None,
            slot_owners: None,
            write_until: None,
            owner: OwnerState::Gone,
            verify_owner: true,
            content: None,
            verify_content: true,
            permit: true,
            abandoned: false,
        };
        assert_eq!(decide(&inputs(deadline.plus_secs(-1))), Decision::Wait(Requeue::At(deadline)), "{state:?}");
        let due = decide(&inputs(deadline));
        let revokes = matches!(due, Decision::Revoke { .. } | Decision::Commit(Grant { state: State::Revoking, .. }));
        assert!(revokes, "{state:?}: {due:?}");
    }
}
