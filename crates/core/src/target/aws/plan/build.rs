//! Builds the plan of a grant from what was frozen.
use super::{Access, Plan, PlannedAssignment, PlannedMembership, PlannedPermissionSet, PlannedPolicy, PlannedRole, PlannedUser, trust};
use crate::{
    target::{
        PlanNames,
        aws::{
            dating::{self, CURRENT_TIME},
            document::{Conditions, Document, Effect, Listed, Rule, Statement},
            granted::{GrantedBy, GrantedPermissions, GrantedPolicies},
            names,
            narrowing::{self, REGION},
            permissions::{Permissions, Way},
            principal::Principal,
            scope::{GrantedScope, Scope},
            split::{MAX_POLICY_CHARS, split},
        },
    },
    time::Time,
};
use std::collections::BTreeMap;

/// What the policies of a grant say, before they are divided: every statement ends at the deadline.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Documents {
    /// What is copied, narrowed and dated, and what ends that which is attached by reference.
    pub written: Document,
    /// The managed policies that are attached by reference, by ARN.
    pub attached: Vec<String>,
    /// The names of the Allow statements that give nothing in the scope.
    pub dropped: Vec<String>,
}

impl Documents {
    /// Whether anything is allowed.
    pub fn allows(&self) -> bool {
        !self.attached.is_empty() || self.written.statements().iter().any(|s| s.rule.effect == Effect::Allow)
    }
}

/// A document that is copied, with the policy that it is from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// The ARN of a managed policy; none of what is written in the template.
    pub arn: Option<String>,
    /// Its document.
    pub document: Document,
}

impl Copied {
    /// The policy in words.
    pub fn name(&self) -> String {
        self.arn.as_ref().map_or_else(|| "inlinePolicy".to_owned(), |arn| format!("managed policy {arn}"))
    }
}

/// The documents that are copied of what was frozen. They have lost the names of their statements.
///
/// # Errors
/// The document that cannot be read, in words.
pub fn copied(policies: &GrantedPolicies) -> Result<Vec<Copied>, String> {
    let managed = policies.managed.iter().filter(|p| p.by == GrantedBy::Copy).map(|p| (Some(p.arn.clone()), &p.document));
    let inline = policies.inline.iter().map(|text| (None, text));
    let read = |(arn, text): (Option<String>, &String)| {
        let unread = Copied { arn, document: Document::default() };
        let document = Document::parse(text).map_err(|what| format!("{} {what}", unread.name()))?;
        Ok(Copied { document, ..unread })
    };
    managed.chain(inline).map(read).collect()
}

/// The managed policies that are attached by reference, by ARN.
pub fn attached(policies: &GrantedPolicies) -> Vec<String> {
    policies.managed.iter().filter(|p| p.by == GrantedBy::Reference).map(|p| p.arn.clone()).collect()
}

/// What the policies of a grant say in these regions, on these resources, until this deadline.
///
/// # Errors
/// The policy and statement that cannot be narrowed or dated, in words.
pub fn documents(
    copied: &[Copied],
    attached: Vec<String>,
    (regions, resources): (&[String], &[String]),
    deadline: Time,
) -> Result<Documents, String> {
    let (mut statements, mut dropped) = (Vec::new(), Vec::new());
    for one in copied {
        let name = one.name();
        let narrowed = narrowing::narrowed(&one.document, regions, resources).map_err(|what| format!("in {name}, {what}"))?;
        let dated = dating::dated(&narrowed.document, deadline).map_err(|what| format!("in {name}, {what}"))?;
        let of = |s: &Statement| Statement { name: format!("{} of {name}", s.name), rule: s.rule.clone() };
        statements.extend(dated.statements().iter().map(of));
        dropped.extend(narrowed.dropped.into_iter().map(|statement| format!("{statement} of {name}")));
    }
    if !attached.is_empty() {
        statements.extend(ending(regions, resources, deadline));
    }
    Ok(Documents { written: Document::of(statements), attached, dropped })
}

/// What ends and narrows policies that are attached by reference: denials, on an identity that is the grant's own.
fn ending(regions: &[String], resources: &[String], deadline: Time) -> Vec<Statement> {
    let all = || Listed::These(vec!["*".into()]);
    let deny = |resources: Listed, conditions: Conditions| Statement {
        name: "the statement that ends what is attached".into(),
        rule: Rule { effect: Effect::Deny, actions: all(), resources, conditions },
    };
    let condition = |operator: &str, key: &str, values: Vec<String>| -> Conditions {
        BTreeMap::from([(operator.to_owned(), BTreeMap::from([(key.to_owned(), values)]))])
    };
    let mut statements = vec![deny(all(), condition("DateGreaterThanEquals", CURRENT_TIME, vec![deadline.floor_secs().to_string()]))];
    if !regions.is_empty() {
        statements.push(deny(all(), condition("StringNotEquals", REGION, regions.to_vec())));
    }
    if !resources.is_empty() {
        statements.push(deny(Listed::AllBut(resources.to_vec()), Conditions::new()));
    }
    statements
}

/// The longest session of a permission set of the grant's own (IAM Identity Center API Reference, CreatePermissionSet): the least that there
/// is, since a session goes on without its assignment.
const SESSION_SECS: u32 = 3600;

/// The plan of a grant. `None` for what cannot be written: documents that were frozen by another build and cannot be read, or ids that are no
/// ids.
pub fn plan(permissions: &GrantedPermissions, scope: &GrantedScope, principal: &Principal, names: PlanNames<'_>) -> Option<Plan> {
    let written = |policies: &GrantedPolicies| {
        documents(&copied(policies).ok()?, attached(policies), (&scope.regions, &scope.resources), names.deadline).ok()
    };
    let user = principal.name.clone();
    let access = match permissions {
        GrantedPermissions::User(policies) => {
            let documents = written(policies)?;
            // What is attached by reference has no end on an identity that lasts.
            let whole = documents.attached.is_empty().then_some(documents.written)?;
            Access::User(PlannedUser { user, policies: divided(&whole, names)? })
        }
        GrantedPermissions::Role(role) => {
            let documents = written(&role.policies)?;
            let source_identity = trust::source_identity(&user);
            Access::Role(PlannedRole {
                name: names::name(names, 0),
                inert_trust: trust::inert(),
                trust: trust::dated(&user, &source_identity, names.deadline),
                principal: user,
                policies: divided(&documents.written, names)?,
                attached: documents.attached,
                max_session_secs: role.max_session_secs,
                source_identity,
            })
        }
        GrantedPermissions::PermissionSet(set) => {
            let documents = written(&set.policies)?;
            Access::PermissionSet(PlannedPermissionSet {
                instance: set.instance.clone(),
                name: names::permission_set_name(names)?,
                user,
                inline: documents.written.text(),
                attached: documents.attached,
                session_secs: SESSION_SECS,
            })
        }
        GrantedPermissions::StandingSet(set) => {
            let (instance, permission_set) = (set.instance.clone(), set.arn.clone());
            Access::Assignment(PlannedAssignment { instance, permission_set, user })
        }
        GrantedPermissions::Group(group) => {
            Access::Membership(PlannedMembership { instance: group.instance.clone(), group: group.id.clone(), user })
        }
    };
    Some(Plan { partition: scope.partition.clone(), account: scope.account.clone(), deadline: names.deadline.floor_secs(), access })
}

fn divided(document: &Document, names: PlanNames<'_>) -> Option<Vec<PlannedPolicy>> {
    let parts = split(document, MAX_POLICY_CHARS).ok()?;
    let policy = |(n, part): (usize, Document)| PlannedPolicy { name: names::name(names, n), document: part.text() };
    Some(parts.into_iter().enumerate().map(policy).collect())
}

/// The way of a template, without names, content and principal.
pub fn probe(permissions: &Permissions, _: &Scope) -> Plan {
    let (user, policies, attached) = (String::new(), Vec::new(), Vec::new());
    let access = match permissions.way() {
        Ok(Way::Role(..)) => Access::Role(PlannedRole {
            name: String::new(),
            principal: user,
            inert_trust: trust::inert(),
            trust: String::new(),
            policies,
            attached,
            max_session_secs: 0,
            source_identity: String::new(),
        }),
        Ok(Way::PermissionSet(_)) => Access::PermissionSet(PlannedPermissionSet {
            instance: String::new(),
            name: String::new(),
            user,
            inline: String::new(),
            attached,
            session_secs: SESSION_SECS,
        }),
        Ok(Way::Standing(arn)) => Access::Assignment(PlannedAssignment { instance: String::new(), permission_set: arn.to_owned(), user }),
        Ok(Way::Group(id)) => Access::Membership(PlannedMembership { instance: String::new(), group: id.to_owned(), user }),
        Ok(Way::User(_)) | Err(_) => Access::User(PlannedUser { user, policies }),
    };
    Plan { partition: String::new(), account: String::new(), deadline: Time::from_secs(0), access }
}

#[cfg(test)]
mod tests;
