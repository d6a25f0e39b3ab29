//! The documents of the policies that are in force, and the resources that they and the logs name.
use super::{
    details::{Details, Holder, is_of_aws},
    effective::named_resources,
    inventory::Input,
    policy::{Document, context::OfIdentity},
    unseen::of_account,
    usage::Usage,
};
use crate::{history::Window, roles::aws::ManagedPolicies};
use std::collections::{BTreeMap, BTreeSet};

/// The documents of managed policies: those of the details, and of policies of AWS that the details do not have, those that this program was
/// built with.
pub struct Documents<'d> {
    details: &'d Details,
    embedded: BTreeMap<&'d str, Document>,
}

impl<'d> Documents<'d> {
    /// Of the policies that identities hold.
    pub fn of(details: &'d Details) -> Self {
        let users = details.users.values().map(|user| &user.holder);
        let holders = users.chain(details.roles.values().map(|role| &role.holder)).chain(details.groups.values());
        let named = holders.flat_map(|holder| holder.attached.iter().chain(&holder.boundary));
        let known = |arn: &str| details.policies.get(arn).is_some_and(|managed| managed.document.is_some());
        let lost: BTreeSet<&str> = named.map(String::as_str).filter(|arn| is_of_aws(arn) && !known(arn)).collect();
        let embedded = lost.into_iter().filter_map(|arn| {
            let policy = ManagedPolicies::builtin().find(arn)?;
            Some((arn, Document::parse(&policy.document).ok()?))
        });
        Self { details, embedded: embedded.collect() }
    }
    /// The document of a policy, and whether it is an embedded one.
    pub fn get(&self, arn: &str) -> Option<(&Document, bool)> {
        let known = self.details.policies.get(arn).and_then(|managed| managed.document.as_ref());
        known.map(|document| (document, false)).or_else(|| self.embedded.get(arn).map(|document| (document, true)))
    }
    /// Those that an identity holds by itself, and its boundary.
    pub fn held<'s>(&'s self, holder: &'s Holder) -> impl Iterator<Item = &'s Document> {
        let managed = holder.attached.iter().chain(&holder.boundary).filter_map(|arn| self.get(arn)).map(|(document, _)| document);
        holder.inline.iter().map(|inline| &inline.document).chain(managed)
    }
}

/// Every ARN and pattern that makes places. Policy variables are those of each user.
pub fn texts(input: &Input, documents: &Documents, usage: &Usage, window: Window) -> BTreeSet<String> {
    let details = &input.details;
    let mut all: BTreeSet<String> = input.resources.iter().cloned().collect();
    all.extend(details.users.keys().chain(details.roles.keys()).cloned());
    all.extend(details.groups.values().map(|group| group.arn.clone()));
    all.extend(details.policies.values().filter(|policy| !policy.is_of_aws()).map(|policy| policy.arn.clone()));
    for user in details.users.values() {
        let context = context(details, &user.holder, true, window);
        let groups = user.groups.iter().filter_map(|name| details.groups.get(name));
        let holders = groups.chain([&user.holder]);
        all.extend(holders.flat_map(|holder| documents.held(holder)).flat_map(|document| named_resources(document, Some(&context))));
    }
    for holder in details.roles.values().map(|role| &role.holder).chain(details.groups.values()) {
        all.extend(documents.held(holder).flat_map(|document| named_resources(document, None)));
    }
    all.extend(input.service_control.iter().flatten().flat_map(|document| named_resources(document, None)));
    for uses in of_account(usage, &details.account).flat_map(|(_, activity)| activity.actions.values()) {
        all.extend(uses.resources.iter().filter(|(_, at)| window.contains(**at)).map(|(arn, _)| arn.clone()));
    }
    all
}

/// What is known of every request of a user or role.
pub fn context(details: &Details, holder: &Holder, user: bool, window: Window) -> OfIdentity {
    OfIdentity::new(&holder.arn, &details.account, user.then_some(holder.name.as_str()), &holder.tags, window.until)
}
