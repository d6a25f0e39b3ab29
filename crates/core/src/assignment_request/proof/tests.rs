use super::*;
use crate::{
    admission::{AdmissionHistory, MAX_PAST_SPANS, Span as Proven},
    approval::{ApprovalStage, StageOrder, Verb},
    assignment_request::{
        Gives, Span, Terms,
        sample::{Around, CREATED, around, assignment, decision, new_terms, people, person, policy, request, terms},
    },
    digest::Digest,
    ids::Ref,
    principal::Subject,
    target::{PermissionsByProvider, ScopeByProvider},
    time::Time,
};

fn proof(change: &Change, stored: &Request, decisions: &[DecisionFacts], around: &Around) -> Proof {
    let people = people();
    let evidence = Evidence { request: stored, decisions, people: &people };
    prove(Claim::Window(change), (AssignmentKind::Eligible, &around.assignment), Some(evidence), &around.inputs())
}

/// The extension of the sample with these terms, decided by this person alone.
fn decided_by(who: &str, terms: &Terms, around: &Around) -> Proof {
    proof(&terms.change("longer"), &request(APPLIED, Some(terms.clone())), &[decision(who, Verb::Approve, terms)], around)
}

const APPLIED: State = State::Ended(Outcome::Applied);

#[test]
fn what_was_approved_and_applied_is_proven() {
    let (terms, around) = (terms(), around());
    let by_carol = [decision("carol", Verb::Approve, &terms)];
    assert_eq!(decided_by("carol", &terms, &around), Proof::Approved);
    let about_to_end = request(State::AwaitingApproval, Some(terms.clone()));
    let written = proof(&terms.change("longer"), &about_to_end, &by_carol, &around);
    assert_eq!(written, Proof::Approved, "the window is written before the end");
    let gone = prove(Claim::Window(&terms.change("longer")), (AssignmentKind::Eligible, &around.assignment), None, &around.inputs());
    assert_eq!(gone, Proof::Lacking(Lack::Request), "without the request nothing is proven");
}

/// Something is forged in the status of the assignment or of the request, or is missing: nothing is proven.
#[test]
fn a_status_alone_proves_nothing() {
    let terms = terms();
    let (change, stored) = (terms.change("longer"), request(APPLIED, Some(terms.clone())));
    let by_carol = vec![decision("carol", Verb::Approve, &terms)];
    let check = |what: &str, change: &Change, stored: &Request, decisions: &[DecisionFacts], of: &Ref, lack: Lack| {
        let mut around = around();
        around.assignment.reference = of.clone();
        assert_eq!(proof(change, stored, decisions, &around), Proof::Lacking(lack), "{what}");
    };
    let forged = |f: fn(&mut Change)| {
        let mut change = change.clone();
        f(&mut change);
        change
    };
    let of = assignment();
    check("no decision", &change, &stored, &[], &of, Lack::Approvals);
    check("a denial", &change, &stored, &[decision("carol", Verb::Deny, &terms)], &of, Lack::Approvals);
    check("her own approval", &change, &stored, &[decision("alice", Verb::Approve, &terms)], &of, Lack::Approvals);
    check("another's approval", &change, &stored, &[decision("mallory", Verb::Approve, &terms)], &of, Lack::Approvals);
    check("a later end", &forged(|c| c.window.end = Time::from_secs(9_999)), &stored, &by_carol, &of, Lack::Terms);
    check("for another window", &forged(|c| c.replaces = None), &stored, &by_carol, &of, Lack::Terms);
    check("another digest", &forged(|c| c.digest = Digest::from_bits(3)), &stored, &by_carol, &of, Lack::Terms);
    check("another request", &forged(|c| c.by.uid = "r2".into()), &stored, &by_carol, &of, Lack::Request);
    check("another assignment", &change, &stored, &by_carol, &Ref { uid: "a2".into(), ..of.clone() }, Lack::Terms);
    for state in [State::Pending, State::Ended(Outcome::Denied), State::Ended(Outcome::Cancelled)] {
        check("ended without an effect", &change, &request(state, Some(terms.clone())), &by_carol, &of, Lack::Terms);
    }
    check("nothing frozen", &change, &request(APPLIED, None), &by_carol, &of, Lack::Terms);
    // Stages that were forged, with the digest that they have: Carol has approved other terms.
    let unapproved = Terms { approval: Vec::new(), ..terms.clone() };
    check("no stage", &unapproved.change("longer"), &request(APPLIED, Some(unapproved.clone())), &by_carol, &of, Lack::Approvers);
    let longer = Terms { window: Span { end: Time::from_secs(9_999), ..terms.window }, ..terms.clone() };
    check(
        "the frozen terms were changed, too",
        &longer.change("longer"),
        &request(APPLIED, Some(longer.clone())),
        &by_carol,
        &of,
        Lack::Approvals,
    );
    let elsewhere = Terms { request: "r0".into(), ..terms };
    let of_this = Change { by: change.by.clone(), ..elsewhere.change("longer") };
    check("terms of another request", &of_this, &request(APPLIED, Some(elsewhere.clone())), &by_carol, &of, Lack::Terms);
}

#[test]
fn what_was_made_in_a_gap_proves_nothing_however_old_it_is() {
    let terms = terms();
    let (change, stored) = (terms.change("longer"), request(APPLIED, Some(terms.clone())));
    let by_carol = [decision("carol", Verb::Approve, &terms)];
    let later = |past: Vec<Proven>| AdmissionHistory {
        since: Some(Time::from_secs(8_000)),
        confirmed: Some(Time::from_secs(9_000)),
        past,
        ..AdmissionHistory::default()
    };
    let span = |since: i64| Proven { since: Time::from_secs(since), until: Time::from_secs(since + 1) };
    let proven = |admission: &AdmissionHistory| {
        let around = Around { admission: admission.clone(), ..around() };
        proof(&change, &stored, &by_carol, &around) == Proof::Approved
    };
    assert!(!proven(&later(Vec::new())), "from before the installation");
    assert!(!proven(&later(vec![span(CREATED - 100), span(CREATED + 100)])), "in a gap");
    assert!(proven(&later(vec![Proven { since: Time::from_secs(CREATED), until: Time::from_secs(CREATED + 100) }])), "in an earlier span");
    // As many edits of the policies as are remembered, and a span of months before them.
    let edits = (0..MAX_PAST_SPANS).map(|i| span(CREATED + 100 + 10 * i64::try_from(i).unwrap()));
    assert!(
        !proven(&later(edits.clone().collect())),
        "older than all that is remembered, which anybody can bring about who edits a policy"
    );
    let months = Proven { since: Time::from_secs(CREATED - 900), until: Time::from_secs(CREATED - 1) };
    assert!(!proven(&later([months].into_iter().chain(edits).collect())), "in a gap behind a long span");
    let in_a_gap = [DecisionFacts { provenance: Provenance::Unverified, ..decision("carol", Verb::Approve, &terms) }];
    assert_eq!(proof(&change, &stored, &in_a_gap, &around()), Proof::Lacking(Lack::Approvals), "an approval that was made in a gap");
}

/// The request or an approval was read, and no admission proof covers it yet: nobody knows, and nothing ends.
#[test]
fn what_no_admission_proof_covers_yet_is_not_refused() {
    let (terms, around) = (terms(), around());
    let (change, stored) = (terms.change("longer"), request(APPLIED, Some(terms.clone())));
    let with = |provenance| [DecisionFacts { provenance, ..decision("carol", Verb::Approve, &terms) }];
    assert_eq!(proof(&change, &stored, &with(Provenance::Pending), &around), Proof::Pending);
    // The approval of a stranger, which nobody needs to be prevented from making, leaves nothing open.
    let by_mallory = [DecisionFacts { provenance: Provenance::Pending, ..decision("mallory", Verb::Approve, &terms) }];
    assert_eq!(proof(&change, &stored, &by_mallory, &around), Proof::Lacking(Lack::Approvals));
    let restarted = Around { admission: AdmissionHistory::unknown(), ..around };
    assert_eq!(proof(&change, &stored, &with(Provenance::Verified), &restarted), Proof::Pending);
}

/// The sample with these people in its one stage.
fn approved_by(names: &[&str]) -> Terms {
    let approvers = names.iter().map(|name| Subject::User((*name).into())).collect();
    Terms { approval: vec![ApprovalStage { approvers, ..terms().approval.remove(0) }], ..terms() }
}

/// While status was not protected, a friend took the place of the approvers in what was frozen, and approved its digest.
#[test]
fn forged_stages_need_approvers_that_a_policy_or_the_role_accepts() {
    let forged = approved_by(&["mallory"]);
    assert_eq!(decided_by("mallory", &forged, &around()), Proof::Lacking(Lack::Approvers), "not from the policy's floor");
    let mut without_floor = around();
    without_floor.policies[0].approval = None;
    assert_eq!(decided_by("mallory", &forged, &without_floor), Proof::Lacking(Lack::Approvers), "not what the role says");
    assert_eq!(decided_by("carol", &terms(), &without_floor), Proof::Approved);
    // A second policy with a friendlier floor, for others or for elsewhere, helps nobody.
    let friendly = |change: fn(&mut Policy)| {
        let mut around = around();
        let mut other = policy();
        other.reference.name = "a-first".into();
        other.approval.as_mut().unwrap().from.push(Subject::User("mallory".into()));
        change(&mut other);
        around.policies.push(other);
        decided_by("mallory", &forged, &around)
    };
    assert_eq!(friendly(|_| ()), Proof::Approved, "were it for this role and assignment, its floor would hold");
    for change in [
        |p: &mut Policy| p.eligible.clear(),
        |p: &mut Policy| p.namespaces = vec!["billing".into()],
        |p: &mut Policy| p.systems = crate::policy_inputs::Systems::Names(vec!["staging".into()]),
        |p: &mut Policy| p.permissions.kubernetes.as_mut().unwrap().cluster_roles = vec!["view".into()],
        |p: &mut Policy| p.suspended = true,
        |p: &mut Policy| p.approval = None,
    ] {
        assert_eq!(friendly(change), Proof::Lacking(Lack::Approvers));
    }
    // A quorum that one person fills, where the policy asks for two.
    let mut of_two = around();
    of_two.policies[0].approval.as_mut().unwrap().quorum = 2;
    assert_eq!(decided_by("carol", &terms(), &of_two), Proof::Lacking(Lack::Approvers));
}

#[test]
fn a_changed_list_of_approvers_leaves_proven_what_the_floor_accepts() {
    let mut around = around();
    around.template.assignment_approval = Some((approved_by(&["dave"]).approval, StageOrder::Sequential));
    assert_eq!(decided_by("carol", &terms(), &around), Proof::Approved);
    around.template.assignment_approval = None;
    assert_eq!(decided_by("carol", &terms(), &around), Proof::Approved);
    // Without a floor nothing else than the role says who must approve.
    around.policies[0].approval = None;
    assert_eq!(decided_by("carol", &terms(), &around), Proof::Lacking(Lack::Approvers));
    around.template.assignment_approval = Some((terms().approval, StageOrder::Parallel));
    assert_eq!(decided_by("carol", &terms(), &around), Proof::Lacking(Lack::Approvers));
    around.template.assignment_approval = Some((terms().approval, StageOrder::Sequential));
    assert_eq!(decided_by("carol", &terms(), &around), Proof::Approved);
}

/// The frozen subject says who may not approve, so it is compared with the assignment; and so is the role.
#[test]
fn what_was_approved_for_another_subject_or_role_proves_nothing() {
    let forged = Terms { subject: Subject::User("nobody".into()), ..approved_by(&["alice", "carol"]) };
    let manager = Request { requester: person("max"), ..request(APPLIED, Some(forged.clone())) };
    let mut lenient = around();
    lenient.policies[0].approval.as_mut().unwrap().from.push(Subject::User("alice".into()));
    let by_herself = [decision("alice", Verb::Approve, &forged)];
    assert_eq!(proof(&forged.change("longer"), &manager, &by_herself, &lenient), Proof::Lacking(Lack::Terms));
    let mut edited = around();
    edited.assignment.subject = Subject::User("bob".into());
    assert_eq!(decided_by("carol", &terms(), &edited), Proof::Lacking(Lack::Terms));
    let mut edited = around();
    edited.assignment.role = "owner".into();
    assert_eq!(decided_by("carol", &terms(), &edited), Proof::Lacking(Lack::Terms));
}

/// What a manager asked for a person proves nothing where that person could have approved it by another login.
#[test]
fn a_manager_proves_nothing_where_the_other_logins_are_not_known() {
    let terms = terms();
    let by_max = Request { requester: person("max"), ..request(APPLIED, Some(terms.clone())) };
    let mut by_carol = [decision("carol", Verb::Approve, &terms)];
    let carol = std::sync::Arc::make_mut(&mut by_carol[0].decider);
    carol.extra = [("employee-id".to_owned(), vec!["42".to_owned()])].into();
    let around = |alias_keys: &[&str], aliases_are_names| Around {
        alias_keys: alias_keys.iter().map(ToString::to_string).collect(),
        aliases_are_names,
        ..around()
    };
    let proof = |stored: &Request, around: &Around| proof(&terms.change("longer"), stored, &by_carol, around);
    assert_eq!(proof(&by_max, &around(&[], false)), Proof::Approved);
    assert_eq!(proof(&by_max, &around(&["employee-id"], false)), Proof::Lacking(Lack::Recognition));
    assert_eq!(proof(&by_max, &around(&["employee-id"], true)), Proof::Approved);
    assert_eq!(proof(&request(APPLIED, Some(terms.clone())), &around(&["employee-id"], false)), Proof::Approved, "her own request");
}

/// The keys of its time are recorded nowhere that could be believed: with one more alias key, an approver could be the requester.
#[test]
fn a_proof_is_judged_by_the_present_identity_settings() {
    let (terms, around) = (terms(), around());
    let stored = request(APPLIED, Some(terms.clone()));
    let by_carol = [decision("carol", Verb::Approve, &terms)];
    let proof = |people: &Recognition, decisions: &[DecisionFacts]| {
        let evidence = Evidence { request: &stored, decisions, people };
        prove(Claim::Window(&terms.change("longer")), (AssignmentKind::Eligible, &around.assignment), Some(evidence), &around.inputs())
    };
    let one_more = Recognition { alias_keys: vec!["employee-id".into()], ..people() };
    assert_eq!((proof(&people(), &by_carol), proof(&one_more, &by_carol)), (Proof::Approved, Proof::Lacking(Lack::Approvals)));
    let without_proof = [DecisionFacts { proven: false, ..decision("carol", Verb::Approve, &terms) }];
    assert_eq!(proof(&people(), &without_proof), Proof::Lacking(Lack::Approvals), "a key of deciderProof that its login has not");
}

/// The new assignment of the sample, which was asked for in these terms.
fn of_origin(terms: &Terms, decisions: &[DecisionFacts], around: &Around) -> Proof {
    let (people, stored, origin) = (people(), request(APPLIED, Some(terms.clone())), terms.origin("longer"));
    let evidence = Evidence { request: &stored, decisions, people: &people };
    let claim = Claim::Origin(&origin, around.assignment.window);
    prove(claim, (AssignmentKind::Eligible, &around.assignment), Some(evidence), &around.inputs())
}

/// A creation that was sent before the lease was lost may arrive after the assignment was created, used and deleted.
#[test]
fn an_assignment_that_is_created_once_more_is_not_proven() {
    let (terms, around, people) = (new_terms(), around(), people());
    let by_carol = [decision("carol", Verb::Approve, &terms)];
    let proof = |state, made: Option<&str>| {
        let stored = Request { made: made.map(str::to_owned), ..request(state, Some(terms.clone())) };
        let (origin, evidence) = (terms.origin("longer"), Evidence { request: &stored, decisions: &by_carol, people: &people });
        let claim = Claim::Origin(&origin, around.assignment.window);
        prove(claim, (AssignmentKind::Eligible, &around.assignment), Some(evidence), &around.inputs())
    };
    let own = around.assignment.reference.uid.as_str();
    assert_eq!(proof(APPLIED, Some(own)), Proof::Approved);
    assert_eq!(proof(APPLIED, Some("another")), Proof::Lacking(Lack::Made));
    assert_eq!(proof(State::AwaitingApproval, None), Proof::Approved, "the end is stored after the creation");
    assert_eq!(proof(APPLIED, None), Proof::Approved, "a build before this one has ended it");
}

/// Who may write assignments can set any content, and the mark with it: only exactly what was approved is proven.
#[test]
fn a_new_assignment_is_proven_as_it_was_approved_and_not_otherwise() {
    let (terms, lacking) = (new_terms(), |lack| Proof::Lacking(lack));
    let by_carol = [decision("carol", Verb::Approve, &terms)];
    assert_eq!(of_origin(&terms, &by_carol, &around()), Proof::Approved);
    assert_eq!(of_origin(&terms, &[], &around()), lacking(Lack::Approvals));
    assert_eq!(of_origin(&terms, &[decision("alice", Verb::Approve, &terms)], &around()), lacking(Lack::Approvals), "her own");
    let edited = |what: &str, edit: fn(&mut Assignment)| {
        let mut around = around();
        edit(&mut around.assignment);
        assert_eq!(of_origin(&terms, &by_carol, &around), lacking(Lack::Content), "{what}");
    };
    edited("another subject", |e| e.subject = Subject::User("mallory".into()));
    edited("another role", |e| e.role = "owner".into());
    edited("another name", |e| e.reference.name = "other".into());
    edited("a longer window", |e| e.window = Window::Between(Time::from_secs(0), Time::from_secs(9_999)));
    edited("no end", |e| e.window = Window::Permanent);
    edited("another scope", |e| e.scope = Some(ScopeByProvider::default()));
    edited("other permissions", |e| e.permissions = Some(PermissionsByProvider::default()));
    edited("a service account may ask", |e| e.delegated = true);
    let mut suspended = around();
    (suspended.assignment.suspended, suspended.assignment.reference.uid) = (true, "a2".into());
    assert_eq!(of_origin(&terms, &by_carol, &suspended), Proof::Approved, "of the same content, and suspended");
    // Terms that were forged together with their digest need approvals of that digest.
    let forged = Terms { gives: Some(Gives { scope: Some(ScopeByProvider::default()), permissions: None }), ..terms.clone() };
    let mut narrower = around();
    narrower.assignment.scope = Some(ScopeByProvider::default());
    assert_eq!(of_origin(&forged, &by_carol, &narrower), lacking(Lack::Approvals));
    // An extension of this assignment does not prove it, and neither does a request about standing access.
    let extension = terms_of_extension();
    assert_eq!(of_origin(&extension, &[decision("carol", Verb::Approve, &extension)], &around()), lacking(Lack::Content));
    let standing = Terms { kind: AssignmentKind::Active, ..terms };
    assert_eq!(of_origin(&standing, &[decision("carol", Verb::Approve, &standing)], &around()), lacking(Lack::Content));
}

fn terms_of_extension() -> Terms {
    Terms { assignment: assignment(), ..terms() }
}

/// The request about an EligibleAssignment proves nothing for an ActiveAssignment that has its name and uid, and the other way round.
#[test]
fn a_window_is_proven_for_the_kind_for_which_it_was_approved() {
    let (terms, around, people) = (terms(), around(), people());
    let stored = request(APPLIED, Some(terms.clone()));
    let by_carol = [decision("carol", Verb::Approve, &terms)];
    let evidence = Evidence { request: &stored, decisions: &by_carol, people: &people };
    let change = terms.change("longer");
    let found = prove(Claim::Window(&change), (AssignmentKind::Active, &around.assignment), Some(evidence), &around.inputs());
    assert_eq!(found, Proof::Lacking(Lack::Terms));
}
