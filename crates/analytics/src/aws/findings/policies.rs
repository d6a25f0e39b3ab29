//! Findings about policies: full administration, and policies of which nothing is used.
use super::Facts;
use crate::{
    assemble::finding,
    aws::{inventory::NamedPolicy, scored::Scored},
    report::{Finding, FindingType},
    score::holding,
};
use std::collections::BTreeMap;

impl Facts<'_> {
    /// Findings about policies that are in force, and managed ones that are attached to nothing.
    pub(super) fn about_policies(&self) -> Vec<Finding> {
        let mut holders: BTreeMap<usize, Vec<&Scored>> = BTreeMap::new();
        for scored in &self.scored {
            scored.identity.attachments.iter().for_each(|attachment| holders.entry(attachment.policy).or_default().push(scored));
        }
        let mut found = Vec::new();
        for (index, policy) in self.inventory.policies.iter().enumerate() {
            let held = holders.get(&index).map(Vec::as_slice).unwrap_or_default();
            // Service-linked roles hold policies that nobody can detach, and one of a live grant ends by itself.
            if held.is_empty() || held.iter().all(|scored| scored.identity.built_in) || policy.grant.is_some() {
                continue;
            }
            found.extend(self.full_admin(policy, held));
            found.extend(self.unused(policy, held));
        }
        found.extend(self.unattached());
        found
    }

    /// The ARN of a managed policy; of an inline one, its name and its holder.
    fn subject(policy: &NamedPolicy, held: &[&Scored]) -> String {
        match (&policy.arn, held.first()) {
            (Some(arn), _) => arn.clone(),
            // An inline policy of a group reaches its members, too; the group has the same ARN as none of them.
            (None, Some(_)) => {
                let owner = held.iter().find(|scored| !scored.identity.members.is_empty()).or(held.first());
                format!("{} of {}", policy.label, owner.map_or("", |scored| scored.arn))
            }
            (None, None) => policy.label.clone(),
        }
    }

    fn full_admin(&self, policy: &NamedPolicy, held: &[&Scored]) -> Option<Finding> {
        policy.policy.as_ref().filter(|policy| policy.everything)?;
        let evidence = held.iter().map(|scored| format!("holder: {}", scored.arn)).collect();
        let summary = "allows every action on every resource".to_owned();
        let advice = "Replace it by policies for what its holders do, and grant administration for a limited time with approval.";
        Some(finding(FindingType::FullAdminPolicy, Self::subject(policy, held), summary, evidence, advice))
    }

    /// A policy of which no holder used a permission, as far as the logs can show it. Policies of AWS are not the company's to delete; that nobody
    /// uses them shows at their holders.
    fn unused(&self, policy: &NamedPolicy, held: &[&Scored]) -> Option<Finding> {
        let of = policy.policy.as_ref()?;
        let is_of_aws = policy.arn.as_deref().is_some_and(super::super::details::is_of_aws);
        let allowed = of.allowed();
        let hidden = allowed.iter().any(|action| self.unseen.contains(action)) && !of.open;
        let new = held.iter().any(|scored| scored.new) || self.is_new(policy);
        if is_of_aws || allowed.is_empty() || hidden || new || held.iter().any(|scored| self.uses(scored, &allowed, of.open)) {
            return None;
        }
        let evidence = held.iter().map(|scored| format!("holder: {}", scored.arn)).collect();
        let summary = format!("no request in {} days used a permission of it", self.window.days());
        let advice = self.if_covered("Detach it, then delete it.");
        Some(finding(FindingType::UnusedPolicy, Self::subject(policy, held), summary, evidence, &advice))
    }

    fn uses(&self, scored: &Scored, allowed: &roaring::RoaringBitmap, open: bool) -> bool {
        let used = |action: u32| holding(&scored.holdings, action as usize).is_some_and(|holding| !holding.used.is_empty());
        let activities = self.inventory.users(scored.arn).into_iter().filter_map(|user| self.usage.identities.get(user));
        let unmapped = open && activities.filter_map(|activity| activity.unmapped).any(|at| self.window.contains(at));
        unmapped || allowed.iter().any(used)
    }

    fn is_new(&self, policy: &NamedPolicy) -> bool {
        let managed = policy.arn.as_ref().and_then(|arn| self.inventory.input.details.policies.get(arn));
        managed.is_some_and(|managed| self.window.exempts(managed.created))
    }

    /// Policies of the customer that nothing holds, not even as a boundary.
    fn unattached(&self) -> Vec<Finding> {
        let in_force = |arn: &str| self.inventory.policies.iter().any(|policy| policy.arn.as_deref() == Some(arn));
        // Without the lists of holders, nothing is known about attachments.
        let complete =
            ["UserDetailList", "GroupDetailList", "RoleDetailList"].iter().all(|list| self.inventory.input.details.lists.contains(*list));
        let policies = self.inventory.input.details.policies.values().filter(|policy| complete && !policy.is_of_aws());
        let idle = policies.filter(|policy| !in_force(&policy.arn) && !self.window.exempts(policy.created));
        idle.map(|policy| {
            let summary = "is attached to nothing".to_owned();
            finding(FindingType::UnusedPolicy, policy.arn.clone(), summary, Vec::new(), "Delete it.")
        })
        .collect()
    }
}
