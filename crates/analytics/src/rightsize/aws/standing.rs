//! The standing access of an identity: the documents of its policies, and how each is taken away.
use crate::{
    aws::{
        details::{Details, Holder},
        inventory::Inventory,
        policy::{Context, Document, Effect, Statement, Truth, condition::holds, context::OfIdentity},
    },
    report::IdentityKind,
    roles::aws::ManagedPolicies,
};
use std::borrow::Cow;

/// A policy that reaches an identity.
pub struct Attached<'a> {
    /// `policy NAME` or `inline policy NAME`, with the group.
    pub label: String,
    /// What it says; `None` if neither the account details nor the catalogue have it.
    pub document: Option<Cow<'a, Document>>,
    /// How it is taken away: a command, or what to do instead.
    pub removal: String,
    /// Whether Curfew has written it, and ends it.
    pub grant: bool,
}

/// The policies of an identity, its own first.
pub fn attached<'a>(inventory: &'a Inventory, arn: &str) -> Vec<Attached<'a>> {
    let details = &inventory.input.details;
    let Some(identity) = inventory.identities.get(arn) else { return Vec::new() };
    let (holder, option): (Option<&Holder>, &str) = match identity.kind {
        IdentityKind::Group => (details.groups.get(&identity.name), "group"),
        _ if details.users.contains_key(arn) => (details.users.get(arn).map(|user| &user.holder), "user"),
        _ => (details.roles.get(arn).map(|role| &role.holder), "role"),
    };
    let mut all: Vec<Attached> = holder.into_iter().flat_map(|holder| of_holder(details, holder, option, None)).collect();
    for group in details.users.get(arn).into_iter().flat_map(|user| &user.groups) {
        all.extend(details.groups.get(group).into_iter().flat_map(|holder| of_holder(details, holder, "group", Some(&identity.name))));
    }
    // The inventory knows which of them are Curfew's.
    for (attached, attachment) in all.iter_mut().zip(&identity.attachments) {
        attached.grant = inventory.policies[attachment.policy].grant.is_some();
    }
    all
}

fn of_holder<'a>(details: &'a Details, holder: &'a Holder, option: &str, member: Option<&str>) -> Vec<Attached<'a>> {
    let through = member.map(|_| format!(" through group {}", holder.name)).unwrap_or_default();
    let leave = member
        .map(|user| format!("aws iam remove-user-from-group --group-name {} --user-name {user}, or right-size the group", holder.name));
    let inline = holder.inline.iter().map(|inline| Attached {
        label: format!("inline policy {}{through}", inline.name),
        document: Some(Cow::Borrowed(&inline.document)),
        removal: leave
            .clone()
            .unwrap_or_else(|| format!("aws iam delete-{option}-policy --{option}-name {} --policy-name {}", holder.name, inline.name)),
        grant: false,
    });
    let managed = holder.attached.iter().map(|arn| Attached {
        label: format!("policy {}{through}", arn.rsplit('/').next().unwrap_or(arn)),
        document: document(details, arn),
        removal: leave
            .clone()
            .unwrap_or_else(|| format!("aws iam detach-{option}-policy --{option}-name {} --policy-arn {arn}", holder.name)),
        grant: false,
    });
    inline.chain(managed).collect()
}

/// The document of a managed policy: that of the account, or of the catalogue for one of AWS.
fn document<'a>(details: &'a Details, arn: &str) -> Option<Cow<'a, Document>> {
    let own = details.policies.get(arn).and_then(|managed| managed.document.as_ref()).map(Cow::Borrowed);
    own.or_else(|| Document::parse(&ManagedPolicies::builtin().find(arn)?.document).ok().map(Cow::Owned))
}

/// A statement that may apply to the identity.
#[derive(Clone, Copy)]
pub struct Applicable<'a> {
    /// The statement.
    pub statement: &'a Statement,
    /// Whether `${…}` is a policy variable in it.
    pub variables: bool,
}

/// The statements of one effect that may apply to an identity. What has an element that is not known is left out: it cannot be written again.
pub fn statements<'a>(attached: &'a [Attached], effect: Effect, context: &dyn Context) -> Vec<Applicable<'a>> {
    let documents = attached.iter().filter(|attached| !attached.grant).filter_map(|attached| attached.document.as_deref());
    let all =
        documents.flat_map(|document| document.statements.iter().map(|statement| Applicable { statement, variables: document.variables }));
    all.filter(|one| one.statement.effect == effect && one.statement.undecided.is_none())
        .filter(|one| holds(&one.statement.conditions, context, one.variables) != Truth::No)
        .collect()
}

/// What is known of every request of an identity.
pub fn context(inventory: &Inventory, arn: &str, until: i64) -> OfIdentity {
    let details = &inventory.input.details;
    let user = details.users.get(arn);
    let tags = user.map(|user| &user.holder).or_else(|| details.roles.get(arn).map(|role| &role.holder)).map(|holder| holder.tags.clone());
    OfIdentity::new(arn, &details.account, user.map(|user| user.holder.name.as_str()), &tags.unwrap_or_default(), until)
}
