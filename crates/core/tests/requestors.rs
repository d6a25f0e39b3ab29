//! Who asks for whom: requestor admins, and what a service account may not gain by being one.
// Shared with tests that use more of it.
#[allow(dead_code)]
mod fixture;

use curfew_core::{
    policy_inputs::{Policy, Progress, RequestorAdmin},
    principal::{ServiceAccount, Subject, UserInfo},
    reason::Reason,
    resolved::Terms,
    terms::{Refusal, resolve},
};
use fixture::{Fixture, NOW, active, delegated, deployer, fixture, group, on_behalf, reference};

fn user(name: &str) -> Subject {
    Subject::User(name.into())
}

fn with(change: impl FnOnce(&mut Fixture)) -> Result<Terms, Refusal> {
    let mut f = fixture();
    change(&mut f);
    resolve(&f.asked, &f.inputs())
}

/// Dana asks for Erin, after this change.
fn for_erin(change: impl FnOnce(&mut Fixture)) -> Result<Terms, Refusal> {
    with(|f| {
        on_behalf(f, user("erin"));
        change(f);
    })
}

fn refused(outcome: Result<Terms, Refusal>, reason: Reason, words: &str) {
    let refusal = outcome.expect_err(words);
    assert!(refusal.reason == reason && refusal.message.contains(words), "expected {reason} {words:?}, got {refusal:?}");
}

#[test]
fn a_requestor_admin_asks_for_exactly_those_whom_the_policy_lists() {
    let terms = for_erin(|_| ()).unwrap();
    let r = &terms.resolved;
    assert_eq!((r.requester.as_str(), &r.beneficiary, r.principal.name().as_str()), ("dana", &user("erin"), "erin"));
    assert_eq!(r.approval[0].quorum, 1, "a person's request needs the approvals that the role asks for");
    let account = with(|f| on_behalf(f, deployer())).unwrap();
    assert_eq!(account.resolved.principal.name(), "system:serviceaccount:payments:deployer");
    // By name instead of by group.
    assert!(for_erin(|f| f.policies[0].requestor_admins[0].subject = user("dana")).is_ok());

    let listed = |change: fn(&mut RequestorAdmin)| for_erin(|f| change(&mut f.policies[0].requestor_admins[0]));
    let words = "policy payments does not let dana request access for user erin";
    refused(listed(|admin| admin.subject = user("Dana")), Reason::NotEligible, words);
    refused(listed(|admin| admin.subject = user("erin")), Reason::NotEligible, words);
    refused(listed(|admin| admin.subject = group("dana")), Reason::NotEligible, words);
    refused(listed(|admin| admin.beneficiaries = vec![user("Erin"), user("erin*"), user("*"), group("erin")]), Reason::NotEligible, words);
    refused(listed(|admin| admin.beneficiaries = vec![deployer()]), Reason::NotEligible, words);
    refused(for_erin(|f| f.policies[0].requestor_admins.clear()), Reason::NotEligible, words);
    let other = ServiceAccount { namespace: "other".into(), name: "deployer".into() };
    let of_other = with(|f| {
        on_behalf(f, deployer());
        f.policies[0].requestor_admins[0].beneficiaries = vec![Subject::ServiceAccount(other)];
    });
    refused(of_other, Reason::NotEligible, "for service account payments/deployer");
}

#[test]
fn the_beneficiary_must_be_eligible_by_name() {
    // Erin's groups are not known, and Dana's are not hers.
    for subject in [group("devs"), group("access-desk"), user("dana")] {
        let outcome = for_erin(|f| {
            f.assignments[0].subject = subject.clone();
            f.policies[0].eligible.push(subject.clone());
        });
        refused(outcome, Reason::NotEligible, "names user erin itself, and the groups of a user who is only named are not known");
    }
    refused(for_erin(|f| f.policies[0].eligible.clear()), Reason::NotEligible, "does not let user erin be made eligible");
    refused(for_erin(|f| f.asked.beneficiary = Some(group("devs"))), Reason::NotEligible, "a request for group devs is not possible");
    let reserved = for_erin(|f| {
        f.asked.beneficiary = Some(user("system:serviceaccount:payments:deployer"));
        f.policies[0].requestor_admins[0].beneficiaries = vec![user("system:serviceaccount:payments:deployer")];
        f.assignments[0].subject = user("system:serviceaccount:payments:deployer");
    });
    refused(reserved, Reason::NotEligible, "an identity that Kubernetes reserves");
}

#[test]
fn the_policy_that_lists_them_is_the_one_that_allows_the_request() {
    let second = |f: &mut Fixture, change: fn(&mut Policy)| {
        let mut other = Policy { reference: reference("a-first"), ..f.policies[0].clone() };
        change(&mut other);
        f.policies.push(other);
    };
    // The first by name does not list her: the other one, with its own limits, counts.
    let terms = for_erin(|f| second(f, |p| p.requestor_admins.clear())).unwrap();
    assert_eq!(terms.resolved.policy.name, "payments");
    // Two policies are never added up: one lists her, and the other one allows the duration.
    let outcome = for_erin(|f| {
        second(f, |p| p.requestor_admins.clear());
        f.policies[0].max_duration = "5m".parse().unwrap();
    });
    refused(outcome, Reason::OverMaximum, "policy payments allows at most 5m");
}

#[test]
fn who_names_themselves_asks_for_themselves_and_gains_nothing() {
    let own = with(|f| f.asked.beneficiary = Some(user("alice"))).unwrap();
    assert_eq!(own.digest, with(|_| ()).unwrap().digest, "alice is eligible by her group");
    let listed = |f: &mut Fixture| {
        f.asked.beneficiary = Some(user("alice"));
        f.policies[0].requestor_admins = vec![RequestorAdmin { subject: group("devs"), beneficiaries: vec![user("alice")] }];
    };
    assert_eq!(with(listed).unwrap().digest, own.digest);
    let stranger = with(|f| {
        listed(f);
        f.assignments.clear();
    });
    refused(stranger, Reason::NotEligible, "names alice or one of their groups");
    // Another spelling is another user, whom no assignment names.
    refused(with(|f| f.asked.beneficiary = Some(user("Alice"))), Reason::NotEligible, "names user Alice itself");
}

#[test]
fn the_conditions_are_those_of_the_requester() {
    refused(for_erin(|f| f.asked.justification = None), Reason::JustificationRequired, "spec.justification");
    let keys = vec!["curfew.dev/person".to_owned()];
    let outcome = for_erin(|f| (f.aliases, f.aliases_are_names) = (keys.clone(), true));
    refused(outcome, Reason::UnprovenLogin, "curfew.dev/person");
}

#[test]
fn a_person_whose_other_logins_are_unknown_must_ask_in_person() {
    let aliased = |f: &mut Fixture, are_names: bool| {
        f.aliases = vec!["curfew.dev/person".into()];
        f.aliases_are_names = are_names;
        f.asked.requester.extra = [("curfew.dev/person".to_owned(), vec!["dana".to_owned()])].into();
    };
    refused(for_erin(|f| aliased(f, false)), Reason::NotEligible, "erin must create the request");
    assert!(for_erin(|f| aliased(f, true)).is_ok(), "an approver's alias can be compared with her name");
    // A service account has no logins that approve.
    let account = with(|f| {
        on_behalf(f, deployer());
        aliased(f, false);
    });
    assert!(account.is_ok(), "{account:?}");
    let agent = |are_names: bool| {
        with(|f| {
            delegated(f);
            (f.aliases, f.aliases_are_names) = (vec!["curfew.dev/person".into()], are_names);
        })
    };
    refused(agent(false), Reason::NotEligible, "alice must create the request");
    assert!(agent(true).is_ok());
    // What is active goes on under another configuration.
    let running = for_erin(|f| {
        active(f, NOW.plus_secs(600));
        aliased(f, false);
    });
    assert!(running.is_ok(), "{running:?}");
}

#[test]
fn what_is_active_ends_when_the_policy_no_longer_lists_them() {
    let running = |change: fn(&mut Fixture)| {
        for_erin(|f| {
            active(f, NOW.plus_secs(600));
            change(f);
        })
    };
    assert!(running(|_| ()).is_ok());
    assert!(running(|f| f.policies[0].requestor_admins[0].beneficiaries.push(deployer())).is_ok());
    refused(running(|f| f.policies[0].requestor_admins.clear()), Reason::NotEligible, "does not let dana request access for user erin");
    refused(running(|f| f.assignments[0].subject = group("devs")), Reason::NotEligible, "names user erin itself");
    let waiting = for_erin(|f| {
        f.asked.progress = Progress::Accepted;
        f.policies[0].requestor_admins.clear();
    });
    refused(waiting, Reason::NotEligible, "does not let dana request access for user erin");
}

#[test]
fn a_service_account_gains_nothing_by_being_listed() {
    let listed = |f: &mut Fixture| {
        let agent = f.asked.requester.service_account().unwrap();
        let beneficiaries = vec![user("alice"), deployer()];
        f.policies[0].requestor_admins = vec![RequestorAdmin { subject: agent, beneficiaries }];
    };
    let agent = |change: fn(&mut Fixture)| {
        with(|f| {
            delegated(f);
            listed(f);
            change(f);
        })
    };
    assert_eq!(agent(|_| ()).unwrap().resolved.approval[0].quorum, 2, "two people must approve");
    refused(agent(|f| f.assignments[0].delegated = false), Reason::NotEligible, "set delegation: Allowed");
    refused(agent(|f| f.policies[0].delegated = false), Reason::NotEligible, "set allow.delegated: true");
    refused(agent(|f| f.asked.not_after = None), Reason::OutsideWindow, "must set spec.notAfter");
    refused(agent(|f| f.asked.beneficiary = Some(deployer())), Reason::NotEligible, "names service account payments/deployer itself");
    // Nor does another system identity.
    let node = agent(|f| f.asked.requester = UserInfo { username: "system:node:a".into(), ..UserInfo::default() });
    refused(node, Reason::NotEligible, "neither a person nor a service account");
}
