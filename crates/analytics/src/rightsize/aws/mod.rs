//! AWS: the least policy for what an identity did.
//!
//! [`propose`] takes the standing Allow statements apart: of each it keeps the actions that were used, on the resources that were used, under its
//! conditions ([`narrow`]). So the proposal allows every observed call, and never more than the standing access. Deny statements stay as they
//! are, and so do permissions boundary and service control policies, which no proposal touches.

pub mod document;
pub mod managed;
pub mod manifests;
pub mod narrow;
pub mod needs;
pub mod patterns;
pub mod standing;

use super::LOOK_BACKS;
use crate::{
    aws::{
        effective::{Compiler, Evaluator, Granted, Policy},
        inventory::Inventory,
        policy::{Document, Effect},
        scored::{catalogue, holdings},
        unseen::unseen,
        usage::{ActionId, Usage},
    },
    catalogue::Catalogue,
    history::{DAY, Window, confidence, covered},
    report::{IdentityKind, WindowSummary},
    rightsize::kubernetes::{LookBack, NoProposal, Size, needs::Why, written},
    score::score,
};
use document::{MANAGED, MAX_ATTACHED, OF_GROUP, OF_ROLE, OF_USER, Wildcards, characters, split};
use managed::{Existing, existing};
use narrow::{Narrowed, Proposed, Reach, denies, narrowed, not_shown};
use needs::{Need, needs};
use roaring::RoaringBitmap;
use serde::Serialize;
use serde_json::Value;
use standing::{Attached, attached, context, statements};
use std::collections::BTreeMap;

/// The version of the proposal's JSON.
const FORMAT: &str = "curfew.dev/rightsize-aws/1";
/// How many names a note has.
const MAX_NOTED: usize = 8;
/// How many resources a line of evidence names.
const MAX_RESOURCES: usize = 4;

/// What a proposal may leave out or shorten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// When actions are written as prefixes.
    pub wildcards: Wildcards,
    /// Leaves out what was used and the standing policies do not give now.
    pub held_only: bool,
    /// Keeps what the standing policies name and no record would show.
    pub keep_not_shown: bool,
    /// The most characters of one document.
    pub limit: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { wildcards: Wildcards::WhenNeeded, held_only: false, keep_not_shown: true, limit: MANAGED }
    }
}

/// Why one action is in the proposal.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The action.
    pub action: String,
    /// The resources that were used; empty if the records name none.
    pub resources: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// Why it is needed.
    pub why: Why,
    /// RFC 3339; the last use.
    pub last_used: Option<String>,
    /// Its weight in the score.
    pub weight: f64,
    /// Whether the standing policies give it.
    pub held: bool,
}

/// A policy that the proposal replaces.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Removal {
    /// The policy.
    pub policy: String,
    /// The command that takes it away, or what to do instead. Nothing runs it.
    pub how: String,
}

/// A proposal for one identity. Nothing applies it.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// The version of this format.
    pub format: String,
    /// The ARN.
    pub identity: String,
    /// The name.
    pub name: String,
    /// What it is.
    pub kind: IdentityKind,
    /// The window and what the logs cover of it.
    pub window: WindowSummary,
    /// The catalogue. Prefixes are exact for this version alone.
    pub catalogue: String,
    /// The policy as one document; null if nothing was used.
    pub policy: Option<Value>,
    /// The same as documents of at most the limit, 6,144 characters for a managed policy.
    pub documents: Vec<Value>,
    /// How many characters the whole policy has as IAM counts them.
    pub characters: usize,
    /// Whether actions are written as prefixes.
    pub wildcards: bool,
    /// Why each action is in it.
    pub evidence: Vec<Evidence>,
    /// The standing access.
    pub before: Size,
    /// The proposal, as standing access.
    pub after: Size,
    /// How many actions each look-back needs. Those longer than the window are left out.
    pub look_backs: Vec<LookBack>,
    /// Managed policies of AWS instead.
    pub existing: Existing,
    /// The policies that the proposal replaces.
    pub removals: Vec<Removal>,
    /// Whether the logs show enough to remove them: they cover the whole window, and the identity is as old.
    pub removable: bool,
    /// What to know before it is applied.
    pub notes: Vec<String>,
}

/// The identity with this ARN, or this name if only one has it.
///
/// # Errors
/// If there is none, or there are several.
pub fn find<'a>(inventory: &'a Inventory, name: &str) -> Result<&'a str, NoProposal> {
    if let Some((arn, _)) = inventory.identities.get_key_value(name) {
        return Ok(arn);
    }
    let mut named = inventory.identities.iter().filter(|(_, identity)| identity.name == name).map(|(arn, _)| arn.as_str());
    match (named.next(), named.next()) {
        (Some(arn), None) => Ok(arn),
        (Some(_), Some(_)) => Err(NoProposal::Several(name.to_owned())),
        (None, _) => Err(NoProposal::NotInAccount(name.to_owned())),
    }
}

/// Proposes the least policy for an identity.
///
/// # Errors
/// If the inventory does not have the identity.
pub fn propose(inventory: &Inventory, usage: &Usage, arn: &str, window: Window, options: &Options) -> Result<Proposal, NoProposal> {
    let identity = inventory.identities.get(arn).ok_or_else(|| NoProposal::NotInAccount(arn.to_owned()))?;
    let (actions, group) = (inventory.actions, identity.kind == IdentityKind::Group);
    let attached = attached(inventory, arn);
    let known = context(inventory, arn, window.until);
    let allows = statements(&attached, Effect::Allow, &known);
    let needs = needs(inventory, usage, arn, window);
    let mut found = narrowed(actions, &needs, &allows, &inventory.input.details.partition);
    let used: RoaringBitmap = needs.keys().copied().collect();
    if group {
        // Other policies of the members gave it.
        found.not_held.clear();
    }
    if !options.held_only {
        found.statements.extend(missing(&found));
    }
    let mut kept = Vec::new();
    if options.keep_not_shown {
        kept = not_shown(actions, &(unseen(actions, usage, &inventory.input.details.account, window) - &used), &allows);
    }
    found.statements.extend(kept.iter().cloned());
    let given: RoaringBitmap = found.statements.iter().flat_map(|one| one.actions.iter()).collect();
    if !found.statements.is_empty() {
        found.statements.extend(denies(actions, &given, &statements(&attached, Effect::Deny, &known)));
    }
    let (documents, wildcards) =
        if found.statements.is_empty() { (Vec::new(), false) } else { split(actions, &found.statements, options.limit, options.wildcards) };
    let policy = (!documents.is_empty()).then(|| document::whole(actions, &found.statements, wildcards));
    let covered = covered(window, &usage.hours);
    let (confidence, new) = (confidence(window, covered), window.exempts(identity.created));
    let sizes = Sizes { inventory, usage, arn, window, catalogue: catalogue(inventory) };
    let before = inventory.granted(identity);
    let after = sizes.after(policy.as_ref(), &before, &known);
    Ok(Proposal {
        format: FORMAT.into(),
        identity: arn.to_owned(),
        name: identity.name.clone(),
        kind: identity.kind,
        window: WindowSummary {
            since: written(window.since),
            until: written(window.until),
            days: window.days(),
            covered_days: covered,
            confidence,
        },
        catalogue: actions.version().to_owned(),
        characters: policy.as_ref().map_or(0, characters),
        notes: notes(inventory, &found, &kept, &attached, &documents, wildcards, (confidence, new, arn)),
        policy,
        documents,
        wildcards,
        evidence: evidence(inventory, &needs, &found, &kept, &given),
        before: sizes.of(&before),
        after: sizes.of(&after),
        look_backs: look_backs(&needs, window),
        existing: existing(actions, &(used & given)),
        removable: confidence >= 1.0 && !new && !attached.is_empty(),
        removals: attached.iter().map(removal).collect(),
    })
}

fn removal(attached: &Attached) -> Removal {
    let how = if attached.grant { "none: Curfew ends it".to_owned() } else { attached.removal.clone() };
    Removal { policy: attached.label.clone(), how }
}

/// Statements for what was used and is not held.
fn missing(found: &Narrowed) -> Vec<Proposed> {
    let mut groups: BTreeMap<Reach, RoaringBitmap> = BTreeMap::new();
    for (action, resources) in &found.not_held {
        let these = if resources.is_empty() { ["*".to_owned()].into() } else { resources.clone() };
        groups.entry(Reach::These(these)).or_default().insert(*action);
    }
    let one = |(reach, actions)| Proposed { effect: Effect::Allow, actions, denied: None, reach, conditions: Vec::new() };
    groups.into_iter().map(one).collect()
}

fn evidence(
    inventory: &Inventory,
    needs: &BTreeMap<ActionId, Need>,
    found: &Narrowed,
    kept: &[Proposed],
    given: &RoaringBitmap,
) -> Vec<Evidence> {
    let actions = inventory.actions;
    let used = needs.iter().filter(|(action, _)| given.contains(**action)).map(|(action, need)| Evidence {
        action: actions.name(*action).to_owned(),
        resources: need.arns.iter().take(MAX_RESOURCES).cloned().collect(),
        more: need.arns.len().saturating_sub(MAX_RESOURCES),
        why: Why::Requested,
        last_used: Some(written(need.last)),
        weight: actions.weight(*action),
        held: !found.not_held.contains_key(action),
    });
    let unseen: RoaringBitmap = kept.iter().flat_map(|one| one.actions.iter()).collect();
    let unseen = unseen.into_iter().map(|action| Evidence {
        action: actions.name(action).to_owned(),
        resources: Vec::new(),
        more: 0,
        why: Why::NotShown,
        last_used: None,
        weight: actions.weight(action),
        held: true,
    });
    used.chain(unseen).collect()
}

fn look_backs(needs: &BTreeMap<ActionId, Need>, window: Window) -> Vec<LookBack> {
    let of = |days: u32| {
        let short = Window::ending(window.until, i64::from(days) * DAY);
        LookBack { days, permissions: needs.values().filter(|need| short.contains(need.last)).count() }
    };
    LOOK_BACKS.into_iter().filter(|days| *days <= window.days()).map(of).collect()
}

/// Measures what policies grant with the places of the account.
struct Sizes<'a> {
    inventory: &'a Inventory<'a>,
    usage: &'a Usage,
    arn: &'a str,
    window: Window,
    catalogue: Catalogue,
}

impl Sizes<'_> {
    fn of(&self, granted: &Granted) -> Size {
        let activities = self.inventory.users(self.arn).into_iter().filter_map(|user| self.usage.identities.get(user));
        let score = score(&self.catalogue, &holdings(self.inventory, granted, activities, self.window));
        Size { permissions: granted.places.len(), share: score.granted, score: score.pci() }
    }
    /// What the proposal grants within what is granted now: boundary and service control policies stay.
    fn after(&self, policy: Option<&Value>, before: &Granted, known: &dyn crate::aws::policy::Context) -> Granted {
        let Some(Ok(document)) = policy.map(Document::read) else { return Granted::default() };
        let (actions, spaces, resources) = (self.inventory.actions, self.inventory.spaces, &self.inventory.resources);
        let compiled: Policy = Compiler::new(actions, spaces, resources).compile(&document);
        let mut granted = Evaluator { spaces, resources }.granted(&[&compiled], &[], known);
        granted.places.retain(|action, places| {
            before.places.get(action).is_some_and(|held| {
                places.retain(held);
                !places.is_empty()
            })
        });
        granted
    }
}

fn notes(
    inventory: &Inventory,
    found: &Narrowed,
    kept: &[Proposed],
    attached: &[Attached],
    documents: &[Value],
    wildcards: bool,
    (confidence, new, arn): (f64, bool, &str),
) -> Vec<String> {
    let actions = inventory.actions;
    let mut notes = Vec::new();
    let named = |set: &mut dyn Iterator<Item = ActionId>| {
        let all: Vec<ActionId> = set.collect();
        let mut names: Vec<String> = all.iter().take(MAX_NOTED).map(|action| actions.name(*action).to_owned()).collect();
        if all.len() > MAX_NOTED {
            names.push(format!("and {} more", all.len() - MAX_NOTED));
        }
        names.join(", ")
    };
    if documents.is_empty() {
        notes.push("nothing was used in the window, so no policy is proposed".into());
    }
    if confidence < 1.0 {
        notes.push(format!(
            "the logs cover {:.0} % of the window: remove no policy before they cover all of it, because what was used on the other days is not in the proposal",
            confidence * 100.0
        ));
    }
    if new {
        notes.push("the identity is younger than the window: what it has not done yet proves nothing".into());
    }
    if !found.not_held.is_empty() {
        let list = named(&mut found.not_held.keys().copied());
        notes.push(format!("used, and the standing policies do not give it, or not for these resources (a grant that has ended, another session policy, or the policy of a resource): {list}"));
    }
    if !found.conditional.is_empty() {
        notes.push(format!(
            "allowed under the conditions of the standing policies only, which are kept: {}",
            named(&mut found.conditional.iter())
        ));
    }
    let unseen: RoaringBitmap = kept.iter().flat_map(|one| one.actions.iter()).collect();
    if !unseen.is_empty() {
        notes.push(format!(
            "kept, although no record would show whether it is in use (no event of its own, or data events that are not logged); ask before you take it out: {}",
            named(&mut unseen.iter())
        ));
    }
    for policy in attached.iter().filter(|policy| policy.document.is_none()) {
        notes.push(format!("the document of {} is not known, so what it gives is not taken as held", policy.label));
    }
    if wildcards {
        notes.push(format!(
            "actions are written as prefixes that match nothing else in the catalogue {}; check them again when AWS adds actions",
            actions.version()
        ));
    }
    if documents.len() > MAX_ATTACHED {
        notes.push(format!(
            "{} policies are needed, and an identity has at most {MAX_ATTACHED} unless the quota was raised",
            documents.len()
        ));
    }
    if let [one] = documents {
        let what = manifests::option(arn);
        let limit = match what {
            "group" => OF_GROUP,
            "role" => OF_ROLE,
            _ => OF_USER,
        };
        let fits = if characters(one) <= limit { "fits" } else { "does not fit" };
        notes.push(format!("{} characters: it {fits} into the inline policies of a {what} ({limit})", characters(one)));
    }
    notes
}
