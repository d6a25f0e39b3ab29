//! Findings of a cluster, with their evidence.
use super::{
    dump::Binding,
    inventory::{Inventory, Key},
    permissions::reads_secrets,
    usage::Usage,
};
use crate::{
    assemble::{MEDIUM_SHARE, SUPER_SHARE, finding, if_covered, percent, sort_findings},
    catalogue::PermissionId,
    history::Window,
    places::Places,
    report::{Finding, FindingType, IdentityKind},
    score::{Holdings, Score, has_unused, holding, method_reach, score},
};
use std::collections::BTreeMap;

/// An identity with everything that findings ask for.
pub struct Scored {
    /// Its name.
    pub key: Key,
    /// What it holds and used.
    pub holdings: Holdings,
    /// Its score.
    pub score: Score,
    /// Whether it is younger than the window.
    pub new: bool,
    /// Whether it did something in the window; a group, whether a member used what it grants.
    pub active: bool,
}

/// What all findings are derived from.
pub struct Facts<'a> {
    /// The inventory.
    pub inventory: &'a Inventory<'a>,
    /// The usage.
    pub usage: &'a Usage<'a>,
    /// The window.
    pub window: Window,
    /// Covered days as a share of the window.
    pub confidence: f64,
    /// Every identity.
    pub scored: &'a [Scored],
}

/// A binding as people know it.
pub fn binding_name(binding: &Binding) -> String {
    match binding.metadata.namespace.as_str() {
        "" => format!("ClusterRoleBinding {}", binding.metadata.name),
        namespace => format!("RoleBinding {namespace}/{}", binding.metadata.name),
    }
}

/// The role that a binding names, as people know it.
pub fn role_name(binding: &Binding) -> String {
    match binding.role_kind.as_str() {
        "Role" => format!("Role {}/{}", binding.metadata.namespace, binding.role),
        kind => format!("{kind} {}", binding.role),
    }
}

/// The bindings that grant a permission to an identity, in one line.
pub fn granted_by(inventory: &Inventory, key: &Key, permission: PermissionId) -> String {
    let mut names = Vec::new();
    for grant in inventory.identities.get(key).into_iter().flat_map(|identity| &identity.grants) {
        let binding = &inventory.dump.bindings[grant.binding];
        let Some(expanded) = inventory.expanded(binding) else { continue };
        let by_url = expanded.urls.contains(&permission) && binding.metadata.namespace.is_empty();
        let named = expanded.resources.get(&permission);
        if !by_url && (named.is_none() || inventory.places_of(binding, permission).is_empty()) {
            continue;
        }
        let via = grant.via.as_ref().map(|group| format!(" through group {group}")).unwrap_or_default();
        let limited = if named == Some(&true) { ", named objects only" } else { "" };
        names.push(format!("{} ({}{limited}){via}", binding_name(binding), role_name(binding)));
    }
    let more = names.len().saturating_sub(2);
    names.truncate(2);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", names.join(", "))
}

impl Facts<'_> {
    /// Every finding, the gravest first.
    pub fn findings(&self) -> Vec<Finding> {
        let reported = |scored: &&Scored| {
            let identity = &self.inventory.identities[&scored.key];
            !identity.built_in && !identity.excluded.from_reports
        };
        let mut all: Vec<Finding> = self.scored.iter().filter(reported).flat_map(|scored| self.about(scored)).collect();
        all.extend(self.unused_bindings());
        all.extend(self.unused_roles());
        sort_findings(&mut all);
        all
    }

    fn about(&self, scored: &Scored) -> Vec<Finding> {
        let found = [
            self.escalation(scored),
            self.secret_access(scored),
            self.is_super(scored),
            self.inactive(scored),
            self.overprovisioned(scored),
        ];
        found.into_iter().flatten().collect()
    }

    fn finding(&self, kind: FindingType, subject: &Key, summary: String, evidence: Vec<String>, recommendation: &str) -> Finding {
        let subject = if subject.group { format!("group {}", subject.name) } else { subject.name.clone() };
        finding(kind, subject, summary, evidence, recommendation)
    }

    /// What to do about power that was not used. With less than the whole window in the logs, nothing is recommended to be removed.
    pub(super) fn if_covered(&self, advice: &str) -> String {
        if_covered(self.confidence, advice)
    }

    /// The score of an identity without live grants of Curfew.
    pub(super) fn standing_score(&self, scored: &Scored) -> u8 {
        let holdings = self.inventory.standing_holdings(&scored.key, self.usage, self.window);
        score(&self.inventory.permissions.catalogue, &holdings).pci()
    }

    fn escalation(&self, scored: &Scored) -> Option<Finding> {
        let catalogue = &self.inventory.permissions.catalogue;
        // The farthest variant of each way.
        let mut ways: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
        for (index, method) in catalogue.methods().iter().enumerate() {
            let reach = method_reach(catalogue, &scored.holdings, index);
            let best = ways.entry(&method.name).or_insert((index, 0.0));
            if reach > best.1 {
                *best = (index, reach);
            }
        }
        ways.retain(|_, (_, reach)| *reach > 0.0);
        let strongest = ways.values().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let live = ways.values().filter(|(index, _)| has_unused(catalogue, &scored.holdings, *index)).count();
        let mut evidence: Vec<String> = ways.iter().map(|(name, (index, _))| self.path(scored, name, *index)).collect();
        evidence.extend(self.reachable_account(scored, strongest.0));
        let names: Vec<&str> = ways.keys().copied().collect();
        let unused = if live == 0 { "; all of them were used" } else { "" };
        let count = if names.len() == 1 { "one way".to_owned() } else { format!("{} ways", names.len()) };
        let summary = format!("can get more than was granted, in {count}: {}{unused}", names.join(", "));
        Some(self.finding(
            FindingType::Escalation,
            &scored.key,
            summary,
            evidence,
            "Remove the permissions, or grant them for a limited time with approval.",
        ))
    }

    /// The places that every permission of a method has in common, as far as they have the same type.
    fn common(&self, scored: &Scored, method: usize) -> (PermissionId, Places) {
        let catalogue = &self.inventory.permissions.catalogue;
        let ids = &catalogue.methods()[method].permissions;
        let widest = ids.iter().copied().max_by_key(|id| catalogue.permissions()[*id].resources).unwrap_or_default();
        let mut common = holding(&scored.holdings, widest).map(|holding| holding.granted.clone()).unwrap_or_default();
        let same = ids.iter().filter(|id| catalogue.permissions()[**id].resources == catalogue.permissions()[widest].resources);
        same.filter_map(|id| holding(&scored.holdings, *id)).for_each(|holding| common.retain(&holding.granted));
        (widest, common)
    }

    fn path(&self, scored: &Scored, name: &str, method: usize) -> String {
        let catalogue = &self.inventory.permissions.catalogue;
        let method_of = &catalogue.methods()[method];
        let step = |id: &PermissionId| format!("{} by {}", catalogue.permissions()[*id].name, granted_by(self.inventory, &scored.key, *id));
        let steps: Vec<String> = method_of.permissions.iter().map(step).collect();
        let (widest, common) = self.common(scored, method);
        format!("{name}: {} in {} -> {}", steps.join(" + "), self.inventory.describe(widest, &common), method_of.title)
    }

    /// The most powerful service account in the places of a way, if it holds more than the identity.
    fn reachable_account(&self, scored: &Scored, method: usize) -> Option<String> {
        let (widest, common) = self.common(scored, method);
        let everywhere = common.len() == self.inventory.permissions.catalogue.permissions()[widest].resources;
        let within = |other: &&Scored| {
            let namespace = super::membership::account(&other.key.name).map(|(namespace, _)| namespace);
            !other.key.group
                && namespace.and_then(|namespace| self.inventory.place(namespace)).is_some_and(|place| everywhere || common.contains(place))
        };
        let most = self.scored.iter().filter(within).max_by(|a, b| a.score.granted.total_cmp(&b.score.granted))?;
        (most.key != scored.key && most.score.granted > scored.score.granted).then(|| {
            format!("the most powerful service account there: {}, which holds {} of all power", most.key.name, percent(most.score.granted))
        })
    }

    fn secret_access(&self, scored: &Scored) -> Option<Finding> {
        let catalogue = &self.inventory.permissions.catalogue;
        let secrets: Vec<&(PermissionId, _)> = scored
            .holdings
            .iter()
            .filter(|(id, holding)| reads_secrets(&catalogue.permissions()[*id]) && !holding.granted.is_empty())
            .collect();
        let (widest, most) = secrets.iter().max_by_key(|(_, holding)| holding.granted.len())?;
        let evidence = secrets.iter().map(|(id, holding)| {
            let used = if holding.used.is_empty() {
                "not used".into()
            } else {
                format!("used in {}", self.inventory.describe(*id, &holding.used))
            };
            let (name, places) = (&catalogue.permissions()[*id].name, self.inventory.describe(*id, &holding.granted));
            format!("{name} in {places} by {}; {used}", granted_by(self.inventory, &scored.key, *id))
        });
        let summary = format!("reads Secrets in {}", self.inventory.describe(*widest, &most.granted));
        let advice = "Grant `get` on the Secrets that are needed, by name, or mount them instead.";
        Some(self.finding(FindingType::SecretAccess, &scored.key, summary, evidence.collect(), advice))
    }

    fn is_super(&self, scored: &Scored) -> Option<Finding> {
        let grants = &self.inventory.identities[&scored.key].grants;
        let all = |binding: &&Binding| {
            binding.metadata.namespace.is_empty() && self.inventory.expanded(binding).is_some_and(|expanded| expanded.everything)
        };
        let wildcards: Vec<&Binding> = grants.iter().map(|grant| &self.inventory.dump.bindings[grant.binding]).filter(all).collect();
        if wildcards.is_empty() && scored.score.granted <= SUPER_SHARE {
            return None;
        }
        let mut evidence = vec![format!("holds {} of all power, used or not", percent(scored.score.granted))];
        evidence.extend(
            wildcards.iter().map(|binding| format!("every verb on every resource by {} ({})", binding_name(binding), role_name(binding))),
        );
        let summary = "may do nearly everything".to_owned();
        Some(self.finding(
            FindingType::Super,
            &scored.key,
            summary,
            evidence,
            "Replace it by roles for what it does; keep five or fewer such identities.",
        ))
    }

    fn inactive(&self, scored: &Scored) -> Option<Finding> {
        let granted = scored.holdings.iter().filter(|(_, holding)| !holding.granted.is_empty()).count();
        let identity = &self.inventory.identities[&scored.key];
        let bindings: Vec<&Binding> = identity.grants.iter().map(|grant| &self.inventory.dump.bindings[grant.binding]).collect();
        if scored.active || scored.new || granted == 0 || bindings.iter().any(|binding| self.may_be_used_unseen(binding)) {
            return None;
        }
        let summary = match identity.kind {
            IdentityKind::Group => format!("no member used any of its {granted} permissions in {} days", self.window.days()),
            _ => format!("made no successful request in {} days and holds {granted} permissions", self.window.days()),
        };
        let mut evidence: Vec<String> = identity
            .grants
            .iter()
            .map(|grant| {
                let binding = &self.inventory.dump.bindings[grant.binding];
                let via = grant.via.as_ref().map(|group| format!(" through group {group}")).unwrap_or_default();
                format!("{} ({}){via}", binding_name(binding), role_name(binding))
            })
            .collect();
        if identity.missing {
            evidence.insert(0, "the service account does not exist: every identity that may create it gets these permissions".into());
        }
        let advice = self.if_covered(&self.with_hidden("Remove its bindings.", &bindings));
        Some(self.finding(FindingType::Inactive, &scored.key, summary, evidence, &advice))
    }

    fn overprovisioned(&self, scored: &Scored) -> Option<Finding> {
        let catalogue = &self.inventory.permissions.catalogue;
        let unused = |(id, holding): &&(PermissionId, crate::score::Holding)| {
            let shown = !holding.used.is_empty() || !self.inventory.permissions.unseen.contains(id);
            shown && catalogue.permissions()[*id].high_risk() && !holding.granted.is_empty() && !holding.granted.within(&holding.used)
        };
        let mut risky: Vec<&(PermissionId, crate::score::Holding)> = scored.holdings.iter().filter(unused).collect();
        if !scored.active || scored.new || scored.score.x < MEDIUM_SHARE || risky.is_empty() {
            return None;
        }
        risky.sort_by(|a, b| catalogue.permissions()[b.0].weight.total_cmp(&catalogue.permissions()[a.0].weight));
        let evidence = risky.iter().map(|(id, holding)| {
            let used = if holding.used.is_empty() {
                "never used".into()
            } else {
                format!("used in {} only", self.inventory.describe(*id, &holding.used))
            };
            format!("{} in {}, {used}", catalogue.permissions()[*id].name, self.inventory.describe(*id, &holding.granted))
        });
        let summary = format!(
            "is active and did not use {} high-risk permissions; unused power is {} of an idle administrator's",
            risky.len(),
            percent(scored.score.x)
        );
        let evidence = evidence.collect();
        let advice = self.if_covered("Reduce its roles to what it used.");
        Some(self.finding(FindingType::OverprovisionedActive, &scored.key, summary, evidence, &advice))
    }
}
