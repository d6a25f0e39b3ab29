//! What is active: what ends it, and what does not.
use super::*;

#[test]
fn an_active_request_is_judged_by_its_end_and_not_by_its_start() {
    let running = |f: &mut Fixture| f.asked.progress = Progress::Granted(NOW.plus_secs(600));
    assert!(with(running).is_ok());
    let read_only = with(|f| {
        active(f, NOW.plus_secs(600));
        f.systems[0].grants_allowed = false;
    });
    assert!(read_only.is_ok(), "ReadOnly ends nothing that is active");
    refused(Reason::ReadOnly, "prod", |f| {
        running(f);
        f.systems[0].grants_allowed = false;
    });
    let without_config = with(|f| {
        running(f);
        f.ceiling = None;
        f.admission = AdmissionHistory::default();
    });
    assert!(without_config.is_ok(), "a lost configuration takes nothing away");
    let ends_in_time = with(|f| {
        running(f);
        f.assignments[0].window = window(-60, 700);
    });
    assert!(ends_in_time.is_ok(), "45m would not fit any more, and ten minutes do");
    refused(Reason::OverMaximum, "at most 30m", |f| {
        running(f);
        f.template().max_duration = long("30m");
    });
}

#[test]
fn an_active_request_is_judged_by_what_was_approved_and_not_by_new_defaults() {
    let active = |f: &mut Fixture| {
        f.asked.duration = Some(long("4h"));
        active(f, NOW.plus_secs(10_000));
        f.asked.duration = None;
    };
    assert!(with(active).is_ok());
    // A shorter default does not shorten an active request; a shorter maximum ends it.
    refused(Reason::OverMaximum, "asked for 4h, but role admin allows at most 5m", |f| {
        active(f);
        f.template().default_duration = Some(long("5m"));
        f.template().max_duration = long("5m");
    });
    refused(Reason::OverMaximum, "policy", |f| {
        active(f);
        f.template().default_duration = Some(long("5m"));
        f.policies[0].max_duration = long("1h");
    });
    // The role now needs two people, and one has approved the active request.
    refused(Reason::NotReady, "at least 2", |f| {
        active(f);
        f.template().approval[0].quorum = 2;
        f.policies[0].approval = Some(ApprovalFloor { quorum: 2, from: vec![group("leads")] });
    });
}

/// What an active request is granted after this change.
pub fn while_active(change: impl FnOnce(&mut Fixture)) -> Result<Terms, Refusal> {
    with(|f| {
        active(f, NOW.plus_secs(600));
        change(f);
    })
}

/// The active request goes on with exactly what was approved, and this is told to be gone.
fn goes_on(gone: &str, change: impl FnOnce(&mut Fixture)) {
    let (terms, approved) = (while_active(change).unwrap(), with(|_| ()).unwrap());
    assert_eq!(terms.effects, approved.effects);
    assert_eq!(terms.gone.as_deref().unwrap_or_default(), gone);
}

fn ends(reason: Reason, words: &str, change: impl FnOnce(&mut Fixture)) {
    let refusal = while_active(change).expect_err(words);
    assert!(refusal.reason == reason && refusal.message.contains(words), "expected {reason} {words:?}, got {refusal:?}");
}

fn allows(f: &mut Fixture, verbs: &[&str]) {
    let role = &mut f.kubernetes().roles[0];
    (role.rules, role.content) = (persistence::digest(&content(verbs)), persistence::canonical(&content(verbs)));
}

#[test]
fn what_is_active_goes_on_with_less_and_ends_with_more() {
    goes_on("", |f| allows(f, &["list", "get", "get"]));
    goes_on("", |f| allows(f, &["get"]));
    goes_on("", |f| allows(f, &[]));
    goes_on("", |f| f.kubernetes().roles[0].uid = "re-created".into());
    goes_on("ClusterRole payments-admin", |f| f.kubernetes().roles.clear());
    goes_on("namespace canary", |f| drop(f.kubernetes().namespaces.pop()));
    goes_on("namespace canary", |f| f.kubernetes().namespaces[1].uid = "re-created".into());
    ends(Reason::TemplateChanged, "ClusterRole payments-admin allows more than what was approved: watch secrets", |f| {
        allows(f, &["get", "list", "watch"]);
    });
    ends(Reason::TemplateChanged, "more than 65536", |f| {
        f.kubernetes().roles[0].rules = Digest::from_bits(1);
        f.kubernetes().roles[0].content = None;
    });
    ends(Reason::NotReady, "of the namespaces canary, payments none exists any more", |f| f.kubernetes().namespaces.clear());
}

#[test]
fn what_is_active_is_judged_by_what_it_holds_and_not_by_what_the_role_offers() {
    let everywhere = || ScopeByProvider { kubernetes: Some(kubernetes::Scope::ClusterWide(Empty {})), ..ScopeByProvider::default() };
    goes_on("", |f| f.template().permissions = roles(&["payments-admin", "view"]));
    goes_on("", |f| f.template().permissions = roles(&["cluster-admin", "payments-admin"]));
    goes_on("", |f| f.template().scope = namespaces(&["billing", "canary", "payments"]));
    goes_on("", |f| f.template().scope = everywhere());
    goes_on("", |f| f.template().reference.uid = "re-created".into());
    // A second assignment that reaches less comes first by name.
    goes_on("", |f| {
        let mut narrow = f.assignments[0].clone();
        (narrow.reference, narrow.scope) = (reference("a-first"), Some(namespaces(&["canary"])));
        f.assignments.push(narrow);
    });
    ends(Reason::TemplateChanged, "role admin no longer covers ClusterRole payments-admin", |f| {
        f.template().permissions = roles(&["view"])
    });
    ends(Reason::TemplateChanged, "role admin no longer covers namespace canary", |f| f.template().scope = namespaces(&["payments"]));
    ends(Reason::TemplateChanged, "assignment devs for role admin no longer reaches namespace canary", |f| {
        f.assignments[0].scope = Some(namespaces(&["payments"]));
    });
    ends(Reason::NotReady, "policy payments does not allow access to namespace canary", |f| {
        f.policies[0].scope = namespaces(&["payments"])
    });
    ends(Reason::NotReady, "allow.persistence", |f| f.kubernetes().roles[0].persistence = Some("create tokens".into()));
    ends(Reason::NotReady, "allow.persistence", |f| {
        // A role that is gone hides nothing of the others.
        f.template().permissions = roles(&["payments-admin", "view"]);
        let view = kubernetes::RoleContent { name: "view".into(), ..f.kubernetes().roles[0].clone() };
        f.kubernetes().roles.push(view);
        f.asked.approved = None;
        f.asked.progress = Progress::New;
        active(f, NOW.plus_secs(600));
        f.kubernetes().roles.remove(0);
        f.kubernetes().roles[0].persistence = Some("create tokens".into());
    });
}

#[test]
fn rules_for_what_begins_end_nothing_that_is_active() {
    // A role needs no approver any more, or lists one: the two of a service account have approved.
    let stages: [fn(&mut Fixture); 2] =
        [|f| f.template().approval.clear(), |f| f.template().approval[0].approvers = vec![Subject::User("carol".into())]];
    for change in stages {
        let active = with(|f| {
            delegated(f);
            f.policies[0].approval = None;
            active(f, NOW.plus_secs(600));
            change(f);
        });
        assert_eq!(active.map(|terms| terms.resolved.approval[0].quorum), Ok(2));
    }
    // An assignment of before the shortest window.
    assert!(while_active(|f| f.assignments[0].window = window(600 - 240, 600)).is_err(), "it begins later");
    let short = |f: &mut Fixture| {
        f.asked.progress = Progress::Granted(NOW.plus_secs(100));
        f.assignments[0].window = window(-60, 120);
    };
    assert!(while_active(short).is_ok());
}

#[test]
fn what_was_frozen_without_its_content_is_judged_by_digest_and_uid() {
    let old = |f: &mut Fixture| {
        let approved = f.asked.approved.as_mut().unwrap();
        approved.permissions = approved.permissions.without_content();
    };
    assert!(while_active(old).is_ok());
    for change in [|f: &mut Fixture| allows(f, &["get"]), |f: &mut Fixture| f.kubernetes().roles[0].uid = "re-created".into()] {
        ends(Reason::TemplateChanged, "its content or its uid is another one", |f| {
            old(f);
            change(f);
        });
    }
}
