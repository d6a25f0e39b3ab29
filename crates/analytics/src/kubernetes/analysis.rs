//! The whole analysis of a cluster: from a dump, its permissions and the usage to the report.
use super::{
    findings::{Facts, Scored, granted_by},
    inventory::{Identity, Inventory, Key},
    unused::used_by_group,
    usage::Usage,
};
use crate::{
    assemble::{FORMAT, MAX_BECAUSE, distribution, finding_counts, sort_rows, system, window_summary, written},
    bands::Band,
    catalogue::Catalogue,
    history::{Window, confidence, covered},
    report::*,
    score::{Holdings, Part, Score, holding, score},
};

/// Scores the holdings of an identity. One that remembers may stand for [`score`].
pub type Scorer<'a> = dyn FnMut(&Catalogue, &Key, &Holdings) -> Score + 'a;

/// Scores every identity and finds what there is to find.
pub fn analyse(inventory: &Inventory, usage: &Usage, window: Window, input: InputSummary) -> Report {
    analyse_by(inventory, usage, window, input, &mut |catalogue, _, holdings| score(catalogue, holdings))
}

/// The same with another way to score, which must give the same scores.
pub fn analyse_by(inventory: &Inventory, usage: &Usage, window: Window, mut input: InputSummary, scorer: &mut Scorer) -> Report {
    let covered = covered(window, &usage.hours);
    let confidence = confidence(window, covered);
    let scored: Vec<Scored> =
        inventory.identities.iter().map(|(key, identity)| scored(inventory, usage, window, key, identity, scorer)).collect();
    let facts = Facts { inventory, usage, window, confidence, scored: &scored };
    let findings = facts.findings();
    let mut rows: Vec<Row> = scored.iter().map(|scored| row(&facts, scored)).collect();
    sort_rows(&mut rows);
    count(&mut input, inventory, usage);
    let catalogue = &inventory.permissions.catalogue;
    Report {
        format: FORMAT.into(),
        provider: Provider::Kubernetes,
        name: None,
        catalogue: CatalogueSummary {
            version: catalogue.version().into(),
            permissions: catalogue.permissions().len(),
            mass: catalogue.mass(),
            assumed: inventory.permissions.assumed(),
            methods: catalogue.methods().len(),
        },
        window: window_summary(window, covered, confidence),
        system: system(&rows, &findings),
        distribution: distribution(&rows, &IdentityKind::OF_KUBERNETES),
        finding_counts: finding_counts(&findings, &FindingType::OF_KUBERNETES),
        identities: rows,
        findings,
        input,
    }
}

fn scored(inventory: &Inventory, usage: &Usage, window: Window, key: &Key, identity: &Identity, scorer: &mut Scorer) -> Scored {
    let holdings = inventory.holdings(key, usage, window);
    let active = if key.group {
        let mut bindings = identity.grants.iter().map(|grant| &inventory.dump.bindings[grant.binding]);
        bindings.any(|binding| used_by_group(inventory, usage, window, binding, &key.name))
    } else {
        usage.users.get(&key.name).and_then(|activity| activity.last).is_some_and(|at| window.contains(at))
    };
    let score = scorer(&inventory.permissions.catalogue, key, &inventory.scored_holdings(key, usage, window));
    Scored { key: key.clone(), holdings, score, new: window.exempts(identity.created), active }
}

/// The last time an identity, or a member of a group with a permission of the group, did something.
fn last_used(facts: &Facts, scored: &Scored) -> Option<i64> {
    let activity = |user: &String| facts.usage.users.get(user);
    if !scored.key.group {
        return activity(&scored.key.name)?.last;
    }
    let granted = |id: &usize| holding(&scored.holdings, *id).is_some_and(|holding| !holding.granted.is_empty());
    let members = facts.inventory.identities[&scored.key].members.iter().filter_map(activity);
    members.flat_map(|activity| &activity.uses).filter(|(id, _)| granted(id)).filter_map(|(_, uses)| uses.last()).max()
}

fn row(facts: &Facts, scored: &Scored) -> Row {
    let identity = &facts.inventory.identities[&scored.key];
    let catalogue = &facts.inventory.permissions.catalogue;
    let excluded = identity.excluded.from_pci;
    let pci = (!excluded).then(|| scored.score.pci());
    let mut parts: Vec<&Part> = scored.score.parts.iter().collect();
    parts.sort_by(|a, b| a.by_size(b));
    let because = parts.iter().take(if excluded { 0 } else { MAX_BECAUSE }).map(|part| contribution(facts, scored, part)).collect();
    let live_grants: Vec<String> = facts.inventory.live_grants(identity).into_iter().collect();
    let escalation = scored.score.escalation.map(|(method, _)| catalogue.methods()[method].name.clone());
    Row {
        name: scored.key.name.clone(),
        kind: identity.kind,
        score: pci,
        band: pci.map(Band::of),
        x: (!excluded).then_some(scored.score.x),
        granted_share: scored.score.granted,
        confidence: facts.confidence,
        // The members of a group hold what it grants. If no member was seen that counts, the group counts for them.
        counted: !excluded && !identity.built_in && !facts.inventory.counts_by_members(identity),
        built_in: identity.built_in,
        new: scored.new,
        excluded_from_pci: excluded,
        excluded_from_reports: identity.excluded.from_reports,
        missing: identity.missing,
        last_used: last_used(facts, scored).filter(|at| facts.window.contains(*at)).map(written),
        members: identity.members.len(),
        permissions: counts(facts, scored),
        standing_score: (!live_grants.is_empty() && !excluded).then(|| facts.standing_score(scored)),
        live_grants,
        escalation: escalation.filter(|_| !excluded),
        because,
    }
}

fn contribution(facts: &Facts, scored: &Scored, part: &Part) -> Contribution {
    let permission = &facts.inventory.permissions.catalogue.permissions()[part.permission];
    let held = holding(&scored.holdings, part.permission).cloned().unwrap_or_default();
    let by = match (part.by_escalation, scored.score.escalation) {
        (true, Some((method, _))) => format!("within reach by {}", facts.inventory.permissions.catalogue.methods()[method].name),
        _ => granted_by(facts.inventory, &scored.key, part.permission),
    };
    Contribution {
        permission: permission.name.clone(),
        level: permission.level,
        mass: part.mass,
        share: part.mass / scored.score.mass,
        granted: facts.inventory.describe(part.permission, &held.granted),
        used: match held.used.is_empty() && facts.inventory.permissions.unseen.contains(&part.permission) {
            true => UNKNOWN.into(),
            false => facts.inventory.describe(part.permission, &held.used),
        },
        by,
    }
}

fn counts(facts: &Facts, scored: &Scored) -> PermissionCounts {
    let mut counts = PermissionCounts::default();
    let permissions = facts.inventory.permissions;
    let activities: Vec<_> = facts.inventory.users(&scored.key).into_iter().filter_map(|user| facts.usage.users.get(user)).collect();
    for (id, holding) in &scored.holdings {
        let hidden = permissions.unseen.contains(id) && holding.used.is_empty();
        let (granted, fully) = (!holding.granted.is_empty(), hidden || holding.granted.within(&holding.used));
        let requested = || activities.iter().any(|activity| activity.uses.contains_key(id));
        counts.not_shown += usize::from(granted && hidden);
        counts.granted += usize::from(granted);
        counts.used += usize::from(granted && !holding.used.is_empty());
        counts.not_fully_used += usize::from(!fully);
        counts.high_risk_not_fully_used += usize::from(!fully && permissions.catalogue.permissions()[*id].high_risk());
        counts.used_without_grant += usize::from(!granted && !holding.used.is_empty() && requested());
    }
    counts
}

/// What was read, and what of the dump has no effect.
fn count(input: &mut InputSummary, inventory: &Inventory, usage: &Usage) {
    let counts = &usage.counts;
    (input.events, input.uses) = (counts.events, counts.uses);
    (input.other_stages, input.not_successful, input.after_window) = (counts.other_stages, counts.not_successful, counts.after_window);
    input.unmapped = counts.unmapped.clone();
    let lost = inventory.dump.bindings.iter().filter(|binding| inventory.dump.role_of(binding).is_none()).count();
    let subjects =
        inventory.dump.bindings.iter().flat_map(|binding| &binding.subjects).filter(|subject| Key::of(subject).is_none()).count();
    let missing = inventory.identities.values().filter(|identity| identity.missing && !identity.grants.is_empty()).count();
    let assumed = inventory.permissions.assumed();
    let ignored = inventory.dump.ignored.values().sum::<u64>() as usize;
    for (number, what) in [
        (lost, "bindings name a role that does not exist"),
        (subjects, "subjects of bindings are neither User, Group nor ServiceAccount with a namespace, and were left out"),
        (missing, "service accounts that bindings name do not exist"),
        (assumed, "permissions are known from rules of roles only, not from discovery"),
        (ignored, "objects of other kinds in the RBAC file were not used"),
    ] {
        if number > 0 {
            input.notes.push(format!("{number} {what}"));
        }
    }
}
