//! The objects that replace the standing access, as documents for `kubectl apply`.
use super::{Evidence, Proposal, needs::Why, rules::ProposedRole, standing::Removal};
use crate::{
    kubernetes::membership::account,
    report::IdentityKind,
    rightsize::outline::{Document, Outline, Permission},
};
use clap::ValueEnum;
use curfew_core::{
    digest::Digest,
    duration::{Duration, Period},
    principal::{ServiceAccount, Subject},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const RBAC: &str = crate::kubernetes::RBAC;
/// The most Roles that one RoleTemplate names, and the most namespaces of its scope.
const MAX_ROLES: usize = 16;
const MAX_NAMESPACES: usize = 64;
/// The group of approvers that is to be replaced. It makes nobody an approver as it is.
const PLACEHOLDER: &str = "APPROVERS";
/// How long the part of a name is that is kept of an identity's.
const KEPT: usize = 40;

/// How the proposed roles are given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Giving {
    /// As standing bindings.
    Standing,
    /// On request: RoleTemplate and EligibleAssignment.
    Eligible(Eligible),
}

/// What the objects of Curfew need beyond the roles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Eligible {
    /// The AuthorizationSystem.
    pub system: String,
    /// The namespace of RoleTemplate and EligibleAssignment.
    pub namespace: String,
    /// Who approves. Without one, the template has a group to replace.
    pub approvers: Vec<Subject>,
    /// The longest access.
    pub max: Duration,
    /// How long the subject is eligible.
    pub eligibility: Period,
    /// From when, in Unix seconds.
    pub from: i64,
    /// The operator's service account: namespace and name.
    pub operator: (String, String),
}

impl Eligible {
    /// The operator's service account as the manifests install it.
    pub fn operator() -> (String, String) {
        ("curfew-system".to_owned(), curfew_core::policy_inputs::OPERATOR_ACCOUNT.to_owned())
    }
}

/// The identity of a proposal as a subject.
pub fn subject(proposal: &Proposal) -> Subject {
    match (proposal.kind, account(&proposal.identity)) {
        (IdentityKind::Group, _) => Subject::Group(proposal.identity.clone()),
        (_, Some((namespace, name))) => Subject::ServiceAccount(ServiceAccount { namespace: namespace.into(), name: name.into() }),
        _ => Subject::User(proposal.identity.clone()),
    }
}

/// Whether an identity can be made eligible: it is a person or a group, and its name is not reserved. A workload cannot ask for access.
pub fn can_be_eligible(proposal: &Proposal) -> bool {
    !matches!(subject(proposal), Subject::ServiceAccount(_)) && !subject(proposal).is_reserved()
}

/// A name for objects: `rightsized-` and the identity's name, as far as it is allowed, and a part of its digest. A service account goes by its
/// namespace and name.
pub fn object_name(identity: &str) -> String {
    let mut name = String::new();
    let kept = account(identity).map_or(identity.to_owned(), |(namespace, name)| format!("{namespace}-{name}"));
    for c in kept.chars().flat_map(char::to_lowercase).take(KEPT) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    let digest = Digest::of_bytes(identity.as_bytes()).to_string();
    format!("rightsized-{}-{}", name.trim_end_matches('-'), &digest[..8]).replace("--", "-")
}

/// Which roles are given.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, ValueEnum)]
pub enum Form {
    /// New roles with exactly what was used.
    #[default]
    Custom,
    /// Existing ClusterRoles with the least beyond it.
    BuiltIn,
}

/// Every object, in the order in which `kubectl apply` needs them.
pub fn documents(proposal: &Proposal, giving: &Giving) -> Vec<Document> {
    let mut all: Vec<Document> = proposal.roles.iter().map(role).collect();
    all.extend(given(proposal, &proposal.roles, giving));
    all
}

/// What gives these roles to the identity.
fn given(proposal: &Proposal, roles: &[ProposedRole], giving: &Giving) -> Vec<Document> {
    match giving {
        Giving::Standing => roles.iter().flat_map(|role| bindings(role, &object_name(&proposal.identity), &subject(proposal))).collect(),
        Giving::Eligible(eligible) => {
            let rights = roles.iter().flat_map(|role| rights_to_bind(role, eligible));
            rights.chain(on_request(proposal, roles, eligible)).collect()
        }
    }
}

/// The objects that give existing ClusterRoles instead.
///
/// # Errors
/// If no choice of three allows everything; the text says what is missing.
pub fn built_in(proposal: &Proposal, giving: &Giving) -> Result<Vec<Document>, String> {
    let mut roles = Vec::new();
    for choice in &proposal.existing {
        if choice.roles.is_empty() {
            let missing =
                if choice.not_covered.is_empty() { "one choice of three for all of it".into() } else { choice.not_covered.join(", ") };
            return Err(format!("no existing ClusterRole allows {missing}; use roles of its own (custom)"));
        }
        let one =
            |name: &String| ProposedRole { name: name.clone(), namespace: None, bound_in: choice.bound_in.clone(), rules: Vec::new() };
        roles.extend(choice.roles.iter().map(one));
    }
    Ok(given(proposal, &roles, giving))
}

/// The proposal for people and programs that show every provider in one way.
///
/// # Errors
/// If existing roles were asked for and none fit; the text says what is missing.
pub fn outline(proposal: &Proposal, giving: &Giving, form: Form) -> Result<Outline, String> {
    let documents = match form {
        Form::Custom => documents(proposal, giving),
        Form::BuiltIn => built_in(proposal, giving)?,
    };
    Ok(Outline {
        documents,
        permissions: proposal.evidence.iter().map(permission).collect(),
        replaces: proposal.removals.iter().map(removal).collect(),
        notes: proposal.notes.clone(),
    })
}

fn permission(evidence: &Evidence) -> Permission {
    let names = if evidence.names.is_empty() { String::new() } else { format!(" [{}]", evidence.names.join(", ")) };
    let why = match (evidence.why, evidence.held) {
        (_, false) => "used, not held now",
        (Why::NotShown, _) => "kept: no request would show its use",
        (Why::Checked, _) => "checked beside a request",
        (Why::Requested, _) if !evidence.succeeded => "allowed, and failed",
        (Why::Requested, _) => "used",
    };
    Permission {
        permission: evidence.permission.clone(),
        places: format!("{}{names}", evidence.namespace.as_deref().unwrap_or("the whole cluster")),
        why: why.to_owned(),
        days: Some(evidence.days),
        last_used: evidence.last_used.clone(),
    }
}

fn removal(removal: &Removal) -> String {
    let through = removal.through.as_ref().map(|group| format!(" through group {group}")).unwrap_or_default();
    let what = removal.command.clone().unwrap_or_else(|| removal.action.advice().to_owned());
    format!("{} ({}){through}: {what}", removal.binding, removal.role)
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": name});
    namespace.into_iter().for_each(|namespace| metadata["namespace"] = namespace.into());
    metadata
}

fn kind(role: &ProposedRole) -> &'static str {
    if role.namespace.is_some() { "Role" } else { "ClusterRole" }
}

fn role(role: &ProposedRole) -> Document {
    let object = json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind(role),
        "metadata": metadata(&role.name, role.namespace.as_deref()), "rules": role.rules});
    let place = role.namespace.as_ref().map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
    (format!("What was used{place}, and nothing else."), object)
}

/// A binding of a role. `namespace`: of a RoleBinding.
fn binding(name: &str, namespace: Option<&str>, kind: &str, role: &str, subject: &Value) -> Value {
    let of = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": of, "metadata": metadata(name, namespace),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role}, "subjects": [subject]})
}

fn bindings(role: &ProposedRole, prefix: &str, subject: &Subject) -> Vec<Document> {
    let to = match subject {
        Subject::User(name) => json!({"apiGroup": RBAC, "kind": "User", "name": name}),
        Subject::Group(name) => json!({"apiGroup": RBAC, "kind": "Group", "name": name}),
        Subject::ServiceAccount(account) => json!({"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}),
    };
    let places: Vec<Option<&str>> =
        if role.bound_in.is_empty() { vec![None] } else { role.bound_in.iter().map(|name| Some(name.as_str())).collect() };
    // The binding of an existing role is the identity's own, too.
    let name = if role.name == prefix { role.name.clone() } else { format!("{prefix}-{}", role.name) };
    let one = |namespace| ("Gives it as standing access.".to_owned(), binding(&name, namespace, kind(role), &role.name, &to));
    places.into_iter().map(one).collect()
}

/// The operator may bind the proposed role and no other.
fn rights_to_bind(role: &ProposedRole, eligible: &Eligible) -> Vec<Document> {
    let name = format!("curfew-bind-{}", role.name);
    let (at, of) = (role.namespace.as_deref(), kind(role));
    let resource = if of == "Role" { "roles" } else { "clusterroles" };
    let rules = json!([{"apiGroups": [RBAC], "resources": [resource], "resourceNames": [role.name], "verbs": ["bind"]}]);
    let right = json!({"apiVersion": format!("{RBAC}/v1"), "kind": of, "metadata": metadata(&name, at), "rules": rules});
    let operator = json!({"kind": "ServiceAccount", "name": eligible.operator.1, "namespace": eligible.operator.0});
    vec![
        ("Allows binding this role and no other.".into(), right),
        ("Gives the operator that right.".into(), binding(&name, at, of, &name, &operator)),
    ]
}

/// RoleTemplates and EligibleAssignments: one pair, or more if there are more scopes, roles or namespaces than a RoleTemplate can name.
fn on_request(proposal: &Proposal, roles: &[ProposedRole], eligible: &Eligible) -> Vec<Document> {
    let (cluster_roles, own): (Vec<&ProposedRole>, Vec<&ProposedRole>) = roles.iter().partition(|role| role.namespace.is_none());
    let mut chunks = own.chunks(MAX_ROLES);
    let mut scopes: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
    cluster_roles.iter().for_each(|role| scopes.entry(&role.bound_in).or_default().push(&role.name));
    let mut pairs = Vec::new();
    for (namespaces, names) in scopes {
        if namespaces.is_empty() {
            pairs.push((permissions(&names, chunks.next().unwrap_or_default()), json!({"clusterWide": {}})));
        }
        pairs.extend(namespaces.chunks(MAX_NAMESPACES).map(|chunk| (permissions(&names, &[]), json!({"namespaces": chunk}))));
    }
    for chunk in chunks {
        let namespaces: BTreeSet<&String> = chunk.iter().filter_map(|role| role.namespace.as_ref()).collect();
        pairs.push((permissions(&[], chunk), json!({"namespaces": namespaces})));
    }
    let several = pairs.len() > 1;
    let numbered = |(number, (permissions, scope)): (usize, (Value, Value))| {
        let name = object_name(&proposal.identity);
        let name = if several { format!("{name}-{}", number + 1) } else { name };
        template_and_assignment(proposal, eligible, &name, &permissions, &scope)
    };
    pairs.into_iter().enumerate().flat_map(numbered).collect()
}

fn permissions(cluster_roles: &[&str], roles: &[&ProposedRole]) -> Value {
    let mut permissions = json!({});
    if !cluster_roles.is_empty() {
        permissions["clusterRoles"] = json!(cluster_roles);
    }
    if !roles.is_empty() {
        permissions["roles"] = roles.iter().map(|role| json!({"namespace": role.namespace, "name": role.name})).collect();
    }
    permissions
}

/// The approvers of a template, and what to replace if none was given.
pub(in crate::rightsize) fn approvers(eligible: &Eligible) -> (Value, String) {
    match eligible.approvers.as_slice() {
        [] => (json!([{"group": PLACEHOLDER}]), format!(" Replace {PLACEHOLDER} by the group that approves.")),
        named => (json!(named), String::new()),
    }
}

fn template_and_assignment(proposal: &Proposal, eligible: &Eligible, name: &str, permissions: &Value, scope: &Value) -> [Document; 2] {
    let none = json!({"none": {}});
    let at = |seconds: i64| curfew_core::time::Time::from_secs(seconds);
    let window = json!({"start": at(eligible.from), "end": at(eligible.from + eligible.eligibility.secs())});
    let used = format!("What {} used from {} to {}", subject(proposal), proposal.window.since, proposal.window.until);
    let (approvers, comment) = approvers(eligible);
    let template = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate", "metadata": metadata(name, Some(&eligible.namespace)), "spec": {
        "description": curfew_core::text::clip(used, 1024), "systems": {"names": [eligible.system]},
        "permissions": {"kubernetes": permissions}, "scope": {"kubernetes": scope},
        "activation": {"duration": {"max": eligible.max}, "justification": "Required", "ticket": none, "mfa": none,
            "approval": {"stages": [{"name": "owners", "approvers": approvers, "quorum": 1}]}, "limits": none},
        "assignment": {"eligible": {"permanent": false}}}});
    let assignment = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": metadata(name, Some(&eligible.namespace)),
        "spec": {"roleRef": {"name": name}, "subject": subject(proposal), "scope": {"all": {}}, "window": {"between": window},
            "justification": "in place of standing access, right-sized from activity"}});
    [
        (format!("The role and the rules for using it. An AccessPolicy must allow it.{comment}"), template),
        ("Who may request it, in place of the standing access.".into(), assignment),
    ]
}
