//! The whole analysis of an account: from its details and the usage to the report.
use super::{
    findings::key_name,
    inventory::Inventory,
    scored::{Facts, Scored, catalogue},
    unseen::of_account,
    usage::Usage,
};
use crate::{
    assemble::{FORMAT, MAX_BECAUSE, distribution, finding_counts, sort_rows, system, window_summary, written},
    bands::Band,
    history::Window,
    report::*,
    roles::aws::ManagedPolicies,
    score::{Part, holding},
};
use std::collections::BTreeSet;

/// How many names of actions are listed in a note.
const MAX_NAMES: usize = 10;

/// Scores every identity and finds what there is to find. `name` is that of the system, if it has one.
pub fn analyse(inventory: &Inventory, usage: &Usage, window: Window, name: Option<&str>, mut input: InputSummary) -> Report {
    let catalogue = catalogue(inventory);
    let facts = Facts::new(inventory, &catalogue, usage, window);
    let findings = facts.findings();
    let mut rows: Vec<Row> = facts.scored.iter().map(|scored| row(&facts, scored)).collect();
    let keys = keys(&facts, &rows);
    rows.extend(keys);
    sort_rows(&mut rows);
    input.notes.extend(notes(&facts));
    Report {
        format: FORMAT.into(),
        provider: Provider::Aws,
        name: Some(name.unwrap_or(&inventory.input.details.account).to_owned()),
        catalogue: CatalogueSummary {
            version: catalogue.version().into(),
            permissions: catalogue.permissions().len(),
            mass: catalogue.mass(),
            assumed: 0,
            methods: catalogue.methods().len(),
        },
        window: window_summary(window, facts.covered, facts.confidence),
        system: system(&rows, &findings),
        distribution: distribution(&rows, &IdentityKind::ALL),
        finding_counts: finding_counts(&findings, &FindingType::OF_AWS),
        identities: rows,
        findings,
        input,
    }
}

fn row(facts: &Facts, scored: &Scored) -> Row {
    let identity = scored.identity;
    let excluded = identity.excluded.from_pci;
    let pci = (!excluded).then(|| scored.score.pci());
    let mut parts: Vec<&Part> = scored.score.parts.iter().collect();
    parts.sort_by(|a, b| b.mass.total_cmp(&a.mass).then(a.by_escalation.cmp(&b.by_escalation)).then(a.permission.cmp(&b.permission)));
    let because = parts.iter().take(if excluded { 0 } else { MAX_BECAUSE }).map(|part| contribution(facts, scored, part)).collect();
    let escalation = scored.score.escalation.map(|(method, _)| facts.catalogue.methods()[method].name.clone());
    Row {
        name: scored.arn.to_owned(),
        kind: identity.kind,
        score: pci,
        band: pci.map(Band::of),
        x: (!excluded).then_some(scored.score.x),
        granted_share: scored.score.granted,
        confidence: facts.confidence,
        // The members of a group hold what it grants. A group without members that count, counts for those who may join.
        counted: !excluded && !identity.built_in && !facts.inventory.counts_by_members(identity),
        built_in: identity.built_in,
        new: scored.new,
        excluded_from_pci: excluded,
        excluded_from_reports: identity.excluded.from_reports,
        missing: false,
        last_used: scored.last_used.filter(|_| scored.active).map(written),
        members: identity.members.len(),
        permissions: counts(facts, scored),
        live_grants: facts.inventory.live_grants(identity).into_iter().collect(),
        standing_score: scored.standing_score.filter(|_| !excluded),
        escalation: escalation.filter(|_| !excluded),
        because,
    }
}

/// A row for each active key of a user: everyone who has the key has what its user holds. The user counts in its place.
fn keys(facts: &Facts, rows: &[Row]) -> Vec<Row> {
    let report = facts.inventory.input.credentials.iter().flatten();
    let mut keys = Vec::new();
    for (arn, credentials) in report {
        let Some(row) = rows.iter().find(|row| row.name == *arn) else { continue };
        for key in credentials.keys.iter().filter(|key| key.active) {
            let logged = key.id.as_ref().and_then(|id| facts.usage.identities.get(arn)?.keys.get(id)).copied();
            let last_used = key.last_used.max(logged).filter(|at| facts.window.contains(*at)).map(written);
            let new = facts.window.exempts(key.rotated);
            let name = key_name(arn, key);
            keys.push(Row { name, kind: IdentityKind::AccessKey, counted: false, last_used, new, ..row.clone() });
        }
    }
    keys
}

fn contribution(facts: &Facts, scored: &Scored, part: &Part) -> Contribution {
    let permission = &facts.catalogue.permissions()[part.permission];
    let held = holding(&scored.holdings, part.permission).cloned().unwrap_or_default();
    let action = part.permission as u32;
    let by = match (part.by_escalation, scored.score.escalation) {
        (true, Some((method, _))) => format!("within reach by {}", facts.catalogue.methods()[method].name),
        _ => facts.inventory.granted_in(scored.identity, action),
    };
    Contribution {
        permission: permission.name.clone(),
        level: permission.level,
        mass: part.mass,
        share: part.mass / scored.score.mass,
        granted: facts.inventory.describe(action, &held.granted),
        used: match held.used.is_empty() && facts.unseen.contains(action) {
            true => UNKNOWN.into(),
            false => facts.inventory.describe(action, &held.used),
        },
        by,
    }
}

fn counts(facts: &Facts, scored: &Scored) -> PermissionCounts {
    let mut counts = PermissionCounts { undecided: scored.undecided.len() as usize, ..PermissionCounts::default() };
    for (id, holding) in &scored.holdings {
        let hidden = facts.unseen.contains(*id as u32) && holding.used.is_empty();
        let (granted, fully) = (!holding.granted.is_empty(), hidden || holding.granted.within(&holding.used));
        counts.not_shown += usize::from(granted && hidden);
        counts.granted += usize::from(granted);
        counts.used += usize::from(granted && !holding.used.is_empty());
        counts.not_fully_used += usize::from(!fully);
        counts.high_risk_not_fully_used += usize::from(!fully && facts.catalogue.permissions()[*id].high_risk());
        counts.used_without_grant += usize::from(!granted && !holding.used.is_empty());
    }
    counts
}

/// What of the input has no effect, or is not known.
fn notes(facts: &Facts) -> Vec<String> {
    let inventory = facts.inventory;
    let mut notes = Vec::new();
    if inventory.input.credentials.is_none() {
        notes.push("no credential report: passwords, MFA and access keys are not known, and all users are taken as people".into());
    }
    let lost: Vec<&str> =
        inventory.policies.iter().filter(|policy| policy.policy.is_none()).filter_map(|policy| policy.arn.as_deref()).collect();
    if !lost.is_empty() {
        let what = "policies that identities hold are not in the account details, and what they grant is not counted";
        notes.push(format!("{} {what}: {}", lost.len(), listed(&lost)));
    }
    let embedded = inventory.policies.iter().filter(|policy| policy.embedded).count();
    if embedded > 0 {
        let version = ManagedPolicies::builtin().version();
        notes.push(format!("{embedded} policies of AWS are not in the account details: their documents are those of {version}"));
    }
    let unknown: BTreeSet<&str> = inventory
        .policies
        .iter()
        .filter_map(|policy| policy.policy.as_ref())
        .flat_map(|policy| &policy.unknown)
        .map(String::as_str)
        .collect();
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.into_iter().collect();
        notes.push(format!("{} actions in policies match nothing in the catalogue: {}", names.len(), listed(&names)));
    }
    if inventory.resources.folded > 0 {
        let what = "resources have no place of their own, because their type has too many";
        notes.push(format!("{} {what}: they count as resources that come and go", inventory.resources.folded));
    }
    let undecided = facts.scored.iter().filter(|scored| !scored.undecided.is_empty()).count();
    if undecided > 0 {
        notes.push(format!("{undecided} identities have permissions that depend on conditions that are not known: these count as granted"));
    }
    let deleted = of_account(facts.usage, &inventory.input.details.account)
        .filter(|(arn, activity)| activity.last.is_some_and(|at| facts.window.contains(at)) && !inventory.identities.contains_key(*arn));
    let deleted: Vec<&str> = deleted.map(|(arn, _)| arn.as_str()).collect();
    if !deleted.is_empty() {
        notes.push(format!("{} identities in the logs are not in the account details: {}", deleted.len(), listed(&deleted)));
    }
    notes
}

fn listed(names: &[&str]) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", names.iter().take(MAX_NAMES).copied().collect::<Vec<_>>().join(", "))
}
