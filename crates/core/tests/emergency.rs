//! Emergency accounts: Curfew gives them nothing and takes nothing from them, and their approvals do not count.
#[allow(dead_code)]
mod fixture;

use curfew_core::{
    policy_inputs::{Progress, RequestorAdmin},
    principal::Subject,
    reason::Reason,
    terms::{assignment_ready, explain::explain, ready, resolve},
};
use fixture::{Fixture, NOW, active, fixture, group, on_behalf, reference, with};

fn user(name: &str) -> Subject {
    Subject::User(name.into())
}

fn listed(f: &mut Fixture, account: Subject) {
    f.systems[0].emergency_accounts = vec![user("break-glass-9"), account];
}

fn refused(words: &str, change: impl FnOnce(&mut Fixture)) {
    let refusal = with(change).expect_err(words);
    assert!(refusal.reason == Reason::EmergencyAccount && refusal.message.contains(words), "{words:?}: {refusal:?}");
}

#[test]
fn an_emergency_account_gets_no_access_by_any_request() {
    assert!(with(|f| f.systems[0].emergency_accounts = vec![user("break-glass-9")]).is_ok(), "others go on");
    refused("alice is an emergency account of system prod", |f| listed(f, user("alice")));
    refused("alice is an emergency account of system prod", |f| listed(f, user("ALICE\u{200b}")));
    refused("alice is an emergency account of system prod", |f| listed(f, group("devs")));
    refused("alice is an emergency account of system other", |f| {
        let mut other = f.systems[0].clone();
        (other.name, other.labels, other.emergency_accounts) = ("other".into(), [].into(), vec![user("alice")]);
        f.systems.push(other);
    });
    // Another person asks for it, and it asks for another one.
    refused("user Bob is an emergency account of system prod", |f| {
        on_behalf(f, user("bob"));
        listed(f, user("Bob"));
    });
    refused("dana is an emergency account of system prod", |f| {
        on_behalf(f, user("bob"));
        listed(f, user("dana"));
    });
    // Nothing waits for it longer than that it is listed.
    refused("alice is an emergency account", |f| {
        f.asked.progress = Progress::Accepted;
        listed(f, user("alice"));
    });
    refused("alice is an emergency account", |f| {
        f.asked.progress = Progress::Granted(NOW.plus_secs(600));
        listed(f, user("alice"));
    });
}

#[test]
fn standing_access_is_not_for_an_emergency_account() {
    let standing = |account: Subject| {
        with(|f| {
            fixture::standing::prepare(f);
            listed(f, account);
        })
    };
    assert!(standing(user("devs")).is_ok(), "another one");
    let refusal = standing(group("devs")).expect_err("its group");
    assert!(refusal.reason == Reason::EmergencyAccount && refusal.message.contains("group devs"), "{refusal:?}");
}

/// It was given before it was listed, and Curfew takes it away at its deadline as always.
#[test]
fn what_is_active_goes_on_when_its_holder_becomes_an_emergency_account() {
    let mut f = fixture();
    active(&mut f, NOW.plus_secs(600));
    listed(&mut f, user("alice"));
    assert!(resolve(&f.asked, &f.inputs()).is_ok());
    f.systems[0].emergency_accounts = vec![group("devs")];
    assert!(resolve(&f.asked, &f.inputs()).is_ok());
}

#[test]
fn an_assignment_makes_no_emergency_account_eligible() {
    let judged = |account: Subject| {
        let mut f = fixture();
        listed(&mut f, account);
        assignment_ready(&f.assignments[0], f.template.as_ref(), &f.inputs()).map_err(|refusal| refusal.reason)
    };
    assert_eq!(judged(group("DEVS")), Err(Reason::EmergencyAccount));
    assert_eq!(judged(user("devs")), Ok(()));
    let mut f = fixture();
    let mut other = f.systems[0].clone();
    (other.name, other.labels, other.emergency_accounts) = ("other".into(), [].into(), vec![group("devs")]);
    f.systems.push(other);
    assert_eq!(assignment_ready(&f.assignments[0], f.template.as_ref(), &f.inputs()), Ok(()), "of a system that the role does not reach");
}

#[test]
fn a_role_needs_approvers_who_are_not_emergency_accounts() {
    let judged = |approvers: &[Subject], quorum: u8, accounts: &[Subject]| {
        let mut f = fixture();
        f.template().approval[0].approvers = approvers.to_vec();
        f.template().approval[0].quorum = quorum;
        f.policies[0].approval = None;
        f.systems[0].emergency_accounts = accounts.to_vec();
        let template = f.template.clone().unwrap();
        let told = ready(&template, &f.inputs()).map(drop).map_err(|refusal| (refusal.reason, refusal.message));
        assert_eq!(told.is_ok(), resolve(&f.asked, &f.inputs()).is_ok(), "a template is ready if a request can be granted: {told:?}");
        told
    };
    let (carol, rescue) = (user("carol"), user("rescue"));
    let rescued = std::slice::from_ref(&rescue);
    assert!(judged(&[carol.clone(), rescue.clone()], 1, rescued).is_ok());
    assert!(judged(&[group("leads"), rescue.clone()], 2, rescued).is_ok(), "who is in a group is not known");
    let (reason, message) = judged(&[carol.clone(), rescue.clone()], 2, rescued).unwrap_err();
    assert_eq!(reason, Reason::NobodyCanApprove);
    assert!(message.contains("user rescue is an emergency account, whose approvals do not count"), "{message}");
    assert!(judged(std::slice::from_ref(&rescue), 1, rescued).is_err());
    assert!(judged(&[group("leads")], 1, &[group("leads")]).is_err());
    assert!(judged(std::slice::from_ref(&rescue), 1, &[]).is_ok());
}

#[test]
fn explain_tells_it_as_a_rule_about_the_login() {
    let mut f = fixture();
    listed(&mut f, user("alice"));
    let told = explain(&f.asked, &f.inputs());
    let login = told.rules.iter().find(|rule| rule.rule.as_str() == "login").expect("a line for the login");
    assert_eq!(login.answer.as_ref().err().map(|refusal| refusal.reason), Some(Reason::EmergencyAccount));
    assert_eq!(told.refusal.map(|refusal| refusal.reason), Some(Reason::EmergencyAccount));
}

/// A policy that lets an emergency account ask for others changes nothing about that.
#[test]
fn a_policy_does_not_allow_what_an_emergency_account_may_not() {
    let admin = RequestorAdmin { subject: user("alice"), beneficiaries: vec![user("bob")] };
    refused("alice is an emergency account", |f| {
        f.policies[0].requestor_admins = vec![admin];
        f.policies[0].eligible.push(user("bob"));
        f.assignments[0].subject = user("bob");
        f.assignments[0].reference = reference("bob");
        f.asked.beneficiary = Some(user("bob"));
        listed(f, user("alice"));
    });
}
