//! Findings of an account, with their evidence.
use super::{
    scored::{Facts, Scored},
    usage::ActionId,
};
use crate::{
    assemble::{MEDIUM_SHARE, SUPER_SHARE, finding, if_covered, percent, sort_findings, written},
    catalogue::Level,
    places::Places,
    report::{Finding, FindingType, IdentityKind},
    score::{Holding, has_unused, holding, method_reach},
};
use std::collections::{BTreeMap, BTreeSet};

mod credentials;
mod policies;
mod trust;

pub use credentials::key_name;

/// The services that watch over an account (Microsoft Graph, awsSecurityToolWebServices), by prefix of their actions.
const SECURITY_TOOLS: [&str; 13] = [
    "access-analyzer",
    "cloudtrail",
    "config",
    "detective",
    "guardduty",
    "inspector",
    "inspector2",
    "macie2",
    "securityhub",
    "shield",
    "waf",
    "waf-regional",
    "wafv2",
];

impl Facts<'_> {
    /// Every finding, the gravest first.
    pub fn findings(&self) -> Vec<Finding> {
        let mut all: Vec<Finding> = self.reported().flat_map(|scored| self.about(scored)).collect();
        all.extend(self.about_trust());
        all.extend(self.about_policies());
        all.extend(self.about_credentials());
        sort_findings(&mut all);
        all
    }

    /// The identities that findings are about.
    fn reported(&self) -> impl Iterator<Item = &Scored<'_>> {
        self.scored.iter().filter(|scored| !scored.identity.built_in && !scored.identity.excluded.from_reports)
    }

    fn about(&self, scored: &Scored) -> Vec<Finding> {
        let found = [
            self.escalation(scored),
            self.secret_access(scored),
            self.security_tools(scored),
            self.is_super(scored),
            self.inactive(scored),
            self.overprovisioned(scored),
        ];
        found.into_iter().flatten().collect()
    }

    fn if_covered(&self, advice: &str) -> String {
        if_covered(self.confidence, advice)
    }

    fn name(&self, action: usize) -> &str {
        self.actions().name(action as ActionId)
    }

    fn by(&self, scored: &Scored, action: usize) -> String {
        self.inventory.granted_in(scored.identity, action as ActionId)
    }

    fn places(&self, action: usize, places: &Places) -> String {
        self.inventory.describe(action as ActionId, places)
    }

    /// Whether a condition that is not known decides about a grant, for evidence.
    fn condition(&self, scored: &Scored, action: usize) -> &'static str {
        if scored.undecided.contains(action as u32) { ", if a condition holds that is not known" } else { "" }
    }

    fn escalation(&self, scored: &Scored) -> Option<Finding> {
        let mut ways: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut strongest, mut most) = (0, 0.0);
        for (index, method) in self.catalogue.methods().iter().enumerate() {
            let reach = method_reach(self.catalogue, &scored.holdings, index);
            if reach > 0.0 {
                ways.entry(&method.name).or_insert(index);
            }
            if reach > most {
                (strongest, most) = (index, reach);
            }
        }
        if ways.is_empty() {
            return None;
        }
        let live = ways.values().filter(|index| has_unused(self.catalogue, &scored.holdings, **index)).count();
        // The strongest first, since evidence is cut.
        let first = self.catalogue.methods()[strongest].name.as_str();
        let rest = ways.iter().filter(|(name, _)| **name != first).map(|(name, index)| self.path(scored, name, *index));
        let evidence: Vec<String> =
            [self.path(scored, first, strongest)].into_iter().chain(self.reachable_role(scored, strongest)).chain(rest).collect();
        let unused = if live == 0 { "; all of them were used" } else { "" };
        let names: Vec<&str> = ways.keys().copied().take(5).collect();
        let more = ways.len() - names.len();
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let count = if ways.len() == 1 { "one way".to_owned() } else { format!("{} ways", ways.len()) };
        let summary = format!("can get more than was granted, in {count}: {}{rest}{unused}", names.join(", "));
        let advice = "Remove the permissions, or grant them for a limited time with approval.";
        Some(finding(FindingType::Escalation, scored.arn.to_owned(), summary, evidence, advice))
    }

    /// A way as its permissions, where they come from, and what it leads to.
    fn path(&self, scored: &Scored, name: &str, method: usize) -> String {
        let method = &self.catalogue.methods()[method];
        let steps = method.permissions.iter().map(|id| {
            let granted = holding(&scored.holdings, *id).map(|holding| holding.granted.clone()).unwrap_or_default();
            let (name, places) = (self.name(*id), self.places(*id, &granted));
            format!("{name} on {places} by {}{}", self.by(scored, *id), self.condition(scored, *id))
        });
        format!("{name}: {} -> {}", steps.collect::<Vec<_>>().join(" + "), method.title)
    }

    /// The most powerful role that the way can pass or assume, if it holds more than the identity.
    fn reachable_role(&self, scored: &Scored, method: usize) -> Option<String> {
        let named = ["iam:PassRole", "sts:AssumeRole"].iter().filter_map(|name| self.actions().find(name));
        let action = named.map(|action| action as usize).find(|action| self.catalogue.methods()[method].permissions.contains(action))?;
        let granted = &holding(&scored.holdings, action)?.granted;
        let space = self.inventory.spaces.of_action(action as u32);
        let roles = self.scored.iter().filter(|other| other.identity.trust.is_some() && other.arn != scored.arn);
        let within = roles.filter(|other| {
            let mut places = self.inventory.resources.places_of(other.arn, space);
            places.retain(granted);
            !places.is_empty()
        });
        let most = within.max_by(|a, b| a.score.granted.total_cmp(&b.score.granted).then_with(|| b.arn.cmp(a.arn)))?;
        (most.score.granted > scored.score.granted)
            .then(|| format!("the most powerful role among them: {}, which holds {} of all power", most.arn, percent(most.score.granted)))
    }

    fn secret_access(&self, scored: &Scored) -> Option<Finding> {
        let held = scored.holdings.iter().filter(|(id, holding)| {
            let permission = &self.catalogue.permissions()[*id];
            permission.level == Level::Secret && !holding.granted.is_empty() && reads(self.actions().name(*id as u32))
        });
        let held: Vec<&(usize, Holding)> = held.collect();
        if held.is_empty() {
            return None;
        }
        let services: BTreeSet<&str> = held.iter().filter_map(|(id, _)| self.name(*id).split(':').next()).collect();
        let evidence = held.iter().map(|(id, holding)| self.with_use(scored, *id, holding)).collect();
        let summary = format!("reads secrets or credentials of {}", services.into_iter().collect::<Vec<_>>().join(", "));
        let advice = "Allow it on the secrets that are needed, by ARN.";
        Some(finding(FindingType::SecretAccess, scored.arn.to_owned(), summary, evidence, advice))
    }

    /// A permission, where it is granted, by what, and where it was used.
    fn with_use(&self, scored: &Scored, id: usize, holding: &Holding) -> String {
        let used = if !holding.used.is_empty() {
            format!("used on {}", self.places(id, &holding.used))
        } else if self.unseen.contains(id as u32) {
            "the logs do not show its use".into()
        } else {
            "not used".into()
        };
        let (name, places) = (self.name(id), self.places(id, &holding.granted));
        format!("{name} on {places} by {}{}; {used}", self.by(scored, id), self.condition(scored, id))
    }

    fn security_tools(&self, scored: &Scored) -> Option<Finding> {
        let administers = |id: usize| {
            let level = self.catalogue.permissions()[id].level;
            let changes = matches!(level, Level::Write | Level::Delete | Level::Permissions | Level::Escalation);
            changes && SECURITY_TOOLS.contains(&self.actions().service(id as u32).prefix.as_str())
        };
        let mut by_tool: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (id, holding) in &scored.holdings {
            if !holding.granted.is_empty() && administers(*id) {
                by_tool.entry(&self.actions().service(*id as u32).prefix).or_default().push(*id);
            }
        }
        if by_tool.is_empty() {
            return None;
        }
        let evidence = by_tool.iter().map(|(tool, ids)| {
            let used = ids.iter().filter(|id| holding(&scored.holdings, **id).is_some_and(|holding| !holding.used.is_empty())).count();
            let shown = ids.iter().max_by(|a, b| {
                let weight = |id: &usize| self.catalogue.permissions()[*id].weight;
                weight(a).total_cmp(&weight(b)).then(b.cmp(a))
            });
            let example = shown.map(|id| format!("{} by {}", self.name(*id), self.by(scored, *id))).unwrap_or_default();
            format!("{tool}: {} actions that change it, {used} used; such as {example}", ids.len())
        });
        let summary = format!("can change security tools: {}", by_tool.keys().copied().collect::<Vec<_>>().join(", "));
        let evidence = evidence.collect();
        let advice = "Keep it to those who run these tools, and grant it for a limited time with approval.";
        Some(finding(FindingType::SecurityTools, scored.arn.to_owned(), summary, evidence, advice))
    }

    fn is_super(&self, scored: &Scored) -> Option<Finding> {
        let everything = scored.identity.attachments.iter().filter(|attachment| {
            let policy = &self.inventory.policies[attachment.policy];
            policy.policy.as_ref().is_some_and(|policy| policy.everything)
        });
        let wildcards: Vec<String> = everything.map(|attachment| self.inventory.label(attachment)).collect();
        // A boundary, a deny or a service control policy can leave little of it.
        if scored.score.granted <= SUPER_SHARE && (wildcards.is_empty() || scored.score.granted < 0.5) {
            return None;
        }
        let mut evidence = vec![format!("holds {} of all power, used or not", percent(scored.score.granted))];
        evidence.extend(wildcards.iter().map(|label| format!("every action on every resource by {label}")));
        let unused = if scored.active || scored.new { "" } else { ", and is not in use" };
        let summary = format!("may do nearly everything{unused}");
        let advice = "Replace it by policies for what it does; keep five or fewer such identities.";
        Some(finding(FindingType::Super, scored.arn.to_owned(), summary, evidence, advice))
    }

    fn inactive(&self, scored: &Scored) -> Option<Finding> {
        let identity = scored.identity;
        let granted = scored.holdings.iter().filter(|(_, holding)| !holding.granted.is_empty()).count();
        if scored.active || scored.new || granted == 0 {
            return None;
        }
        let days = self.window.days();
        let summary = match identity.kind {
            IdentityKind::Group if identity.members.is_empty() => format!("has no members, and grants {granted} permissions"),
            IdentityKind::Group => format!("no member used any of its {granted} permissions in {days} days"),
            _ => format!("did nothing in {days} days and holds {granted} permissions"),
        };
        let mut evidence: Vec<String> = scored.last_used.map(|at| format!("last used {}", written(at))).into_iter().collect();
        evidence.extend(identity.attachments.iter().map(|attachment| self.inventory.label(attachment)));
        let remove = match identity.kind {
            IdentityKind::Group => "Detach its policies, or delete the group.",
            IdentityKind::Role | IdentityKind::Function => "Delete the role, or detach its policies.",
            _ => "Delete it, or detach its policies.",
        };
        // IAM itself records the last use of roles, and the credential report that of users.
        let certain = (identity.kind == IdentityKind::Group && identity.members.is_empty()) || scored.last_used.is_some();
        let advice = if certain { remove.to_owned() } else { self.if_covered(&self.with_hidden(scored, remove)) };
        Some(finding(FindingType::Inactive, scored.arn.to_owned(), summary, evidence, &advice))
    }

    /// Advice, with what to ask before because the logs do not show it.
    fn with_hidden(&self, scored: &Scored, advice: &str) -> String {
        let hidden = scored.holdings.iter().filter(|(id, holding)| !holding.granted.is_empty() && self.unseen.contains(*id as u32));
        let hidden: Vec<usize> = hidden.map(|(id, _)| *id).collect();
        let Some(first) = hidden.first() else { return advice.to_owned() };
        let more = if hidden.len() > 1 { format!(" or one of {} more", hidden.len() - 1) } else { String::new() };
        format!("{advice} Ask first whether `{}`{more} is in use: the logs do not show it.", self.name(*first))
    }

    fn overprovisioned(&self, scored: &Scored) -> Option<Finding> {
        let permissions = self.catalogue.permissions();
        let unused = |(id, holding): &&(usize, Holding)| {
            let shown = !holding.used.is_empty() || !self.unseen.contains(*id as u32);
            shown && permissions[*id].high_risk() && !holding.granted.is_empty() && !holding.granted.within(&holding.used)
        };
        let mut risky: Vec<&(usize, Holding)> = scored.holdings.iter().filter(unused).collect();
        if !scored.active || scored.new || scored.score.x < MEDIUM_SHARE || risky.is_empty() {
            return None;
        }
        risky.sort_by(|a, b| permissions[b.0].weight.total_cmp(&permissions[a.0].weight).then(a.0.cmp(&b.0)));
        let evidence = risky.iter().take(12).map(|(id, holding)| self.with_use(scored, *id, holding));
        let mut evidence: Vec<String> = evidence.collect();
        if risky.len() > evidence.len() {
            evidence.truncate(11);
            evidence.push(format!("and {} more", risky.len() - 11));
        }
        let (count, unused) = (risky.len(), percent(scored.score.x));
        let summary =
            format!("is active and did not use {count} high-risk permissions; unused power is {unused} of an idle administrator's");
        let advice = self.if_covered("Reduce its policies to what it used.");
        Some(finding(FindingType::OverprovisionedActive, scored.arn.to_owned(), summary, evidence, &advice))
    }
}

/// Whether an action of the level Secret returns something that exists, and does not only create or change it.
fn reads(name: &str) -> bool {
    let verb = name.split_once(':').map_or(name, |(_, verb)| verb);
    !["Create", "Update", "Put", "Reset", "Set", "Change", "Rotate", "Delete"].iter().any(|other| verb.starts_with(other))
}
