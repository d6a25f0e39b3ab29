//! What replaces the standing access: policies for the account, or a RoleTemplate and an EligibleAssignment.
use super::Proposal;
use crate::rightsize::{
    kubernetes::{
        manifests::{Eligible, Form, approvers, object_name},
        needs::Why,
    },
    outline::{Document, Outline, Permission},
};
use curfew_core::principal::Subject;
use serde_json::{Value, json};

/// How the policy is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Giving {
    /// As standing policies.
    Standing,
    /// On request, to this subject of Kubernetes. Without one the subject has the name of the IAM user, to be replaced.
    Eligible(Box<Eligible>, Option<Subject>),
}

/// The proposal for people and programs that show every provider in one way.
///
/// # Errors
/// If managed policies were asked for and none fit; the text says what is missing.
pub fn outline(proposal: &Proposal, giving: &Giving, form: Form) -> Result<Outline, String> {
    if form == Form::BuiltIn && proposal.existing.policies.is_empty() && proposal.policy.is_some() {
        let missing = match proposal.existing.not_covered.as_slice() {
            [] => "all of it in a choice of three".to_owned(),
            list => list.join(", "),
        };
        return Err(format!("no managed policy of AWS allows {missing} on every resource; use a policy of its own (custom)"));
    }
    let documents = match giving {
        Giving::Standing => standing(proposal, form),
        Giving::Eligible(eligible, subject) => on_request(proposal, eligible, subject.as_ref(), form),
    };
    Ok(Outline {
        documents,
        permissions: proposal.evidence.iter().map(permission).collect(),
        replaces: proposal.removals.iter().map(|removal| format!("{}: {}", removal.policy, removal.how)).collect(),
        notes: proposal.notes.clone(),
    })
}

fn permission(evidence: &super::Evidence) -> Permission {
    let more = if evidence.more > 0 { format!(" and {} more", evidence.more) } else { String::new() };
    let places = if evidence.resources.is_empty() { "not named by the records".to_owned() } else { evidence.resources.join(", ") + &more };
    let why = match (evidence.why, evidence.held) {
        (_, false) => "used, not held now",
        (Why::NotShown, _) => "kept: no record would show its use",
        _ => "used",
    };
    Permission { permission: evidence.action.clone(), places, why: why.to_owned(), days: None, last_used: evidence.last_used.clone() }
}

/// The policies to create and attach, each with its name and the commands.
fn standing(proposal: &Proposal, form: Form) -> Vec<Document> {
    let (option, name) = (option(&proposal.identity), &proposal.name);
    if form == Form::BuiltIn {
        let attach = |arn: &String| format!("aws iam attach-{option}-policy --{option}-name {name} --policy-arn {arn}");
        return proposal.existing.policies.iter().map(|arn| (attach(arn), json!({"PolicyArn": arn}))).collect();
    }
    let several = proposal.documents.len() > 1;
    let one = |(number, document): (usize, &Value)| {
        let own = object_name(name);
        let own = if several { format!("{own}-{}", number + 1) } else { own };
        (
            format!("aws iam create-policy --policy-name {own} --policy-document file://{own}.json, then attach-{option}-policy to {name}"),
            document.clone(),
        )
    };
    proposal.documents.iter().enumerate().map(one).collect()
}

/// `user`, `group` or `role`, from an ARN.
pub(super) fn option(arn: &str) -> &'static str {
    match arn.splitn(6, ':').nth(5).and_then(|resource| resource.split('/').next()) {
        Some("group") => "group",
        Some("role") => "role",
        _ => "user",
    }
}

/// A RoleTemplate with the policy, and who may request it. A user gets it attached; others assume a role of the grant's own.
fn on_request(proposal: &Proposal, eligible: &Eligible, subject: Option<&Subject>, form: Form) -> Vec<Document> {
    let Some(policy) = &proposal.policy else { return Vec::new() };
    let name = object_name(&proposal.name);
    let given = match form {
        Form::Custom => json!({"inlinePolicy": policy}),
        Form::BuiltIn => json!({"managedPolicies": proposal.existing.policies}),
    };
    let way = if option(&proposal.identity) == "user" { "user" } else { "role" };
    let none = json!({"none": {}});
    let at = |seconds: i64| curfew_core::time::Time::from_secs(seconds);
    let (approvers, mut comment) = approvers(eligible);
    let described = format!("What {} used from {} to {}", proposal.identity, proposal.window.since, proposal.window.until);
    let template = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate", "metadata": {"name": name, "namespace": eligible.namespace}, "spec": {
        "description": curfew_core::text::clip(described, 1024), "systems": {"names": [eligible.system]},
        "permissions": {"aws": {way: given}}, "scope": {"aws": {"account": {}}},
        "activation": {"duration": {"max": eligible.max}, "justification": "Required", "ticket": none, "mfa": none,
            "approval": {"stages": [{"name": "owners", "approvers": approvers, "quorum": 1}]}, "limits": none},
        "assignment": {"eligible": {"permanent": false}}}});
    comment.insert_str(0, "The role and the rules for using it. An AccessPolicy must allow it.");
    let told = if subject.is_none() { " Replace the subject by the login in Kubernetes of the identity." } else { "" };
    let subject = subject.cloned().unwrap_or_else(|| Subject::User(proposal.name.clone()));
    let assignment = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": {"name": name, "namespace": eligible.namespace},
        "spec": {"roleRef": {"name": name}, "subject": subject, "scope": {"all": {}},
            "window": {"between": {"start": at(eligible.from), "end": at(eligible.from + eligible.eligibility.secs())}},
            "justification": "in place of standing access, right-sized from activity"}});
    vec![(comment, template), (format!("Who may request it, in place of the standing access.{told}"), assignment)]
}
