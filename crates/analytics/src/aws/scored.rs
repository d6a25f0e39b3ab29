//! The score of each identity of an account.
use super::{
    catalogue::{Actions, Method},
    effective::Granted,
    inventory::{Identity, Inventory},
    unseen::unseen,
    usage::{Activity, Usage},
};
use crate::{
    catalogue::{Catalogue, Method as Way, Permission},
    history::{Window, confidence, covered},
    report::IdentityKind,
    score::{Holding, Holdings, Score, holding, score},
};
use roaring::RoaringBitmap;
use std::collections::BTreeMap;

/// An identity with everything that findings ask for.
pub struct Scored<'a> {
    /// Its ARN.
    pub arn: &'a str,
    /// Its policies.
    pub identity: &'a Identity,
    /// What it holds and used.
    pub holdings: Holdings,
    /// Its score.
    pub score: Score,
    /// Actions that are granted somewhere only if a condition holds that is not known.
    pub undecided: RoaringBitmap,
    /// Whether it is younger than the window.
    pub new: bool,
    /// The last time it did something; of a group, that a member used what it grants.
    pub last_used: Option<i64>,
    /// Whether it did something in the window.
    pub active: bool,
    /// The score without live grants of Curfew, if it has some.
    pub standing_score: Option<u8>,
}

/// What all rows and findings are derived from.
pub struct Facts<'a> {
    /// The inventory.
    pub inventory: &'a Inventory<'a>,
    /// The catalogue with the places of this account. Its permission ids are action ids.
    pub catalogue: &'a Catalogue,
    /// The usage.
    pub usage: &'a Usage,
    /// The window.
    pub window: Window,
    /// On how many of its days the logs have events.
    pub covered: u32,
    /// Covered days as a share of the window.
    pub confidence: f64,
    /// The actions that the logs do not show.
    pub unseen: RoaringBitmap,
    /// Every identity.
    pub scored: Vec<Scored<'a>>,
}

/// The catalogue of an account: the weights of all accounts, and the places of this one.
pub fn catalogue(inventory: &Inventory) -> Catalogue {
    let (actions, spaces) = (inventory.actions, inventory.spaces);
    let permission = |action| {
        let space = spaces.of_action(action);
        Permission {
            name: actions.name(action).to_owned(),
            weight: actions.weight(action),
            resource_type: space,
            resources: inventory.resources.count(space),
            level: actions.level(action),
            assumed: false,
        }
    };
    let way = |method: &Method| Way {
        name: method.name.clone(),
        title: method.category.title().to_owned(),
        permissions: method.actions.iter().map(|action| *action as usize).collect(),
    };
    let permissions = (0..actions.len()).map(permission).collect();
    Catalogue::in_order(actions.version().to_owned(), permissions, actions.methods().iter().map(way).collect())
}

/// What an identity holds, with the uses of these identities.
pub fn holdings<'u>(inventory: &Inventory, granted: &Granted, activities: impl Iterator<Item = &'u Activity>, window: Window) -> Holdings {
    let mut held: BTreeMap<u32, Holding> = BTreeMap::new();
    for (action, places) in &granted.places {
        held.insert(*action, Holding { granted: places.clone(), ..Holding::default() });
    }
    for (action, uses) in activities.flat_map(|activity| &activity.actions) {
        let places = inventory.used(*action, uses, window);
        if !places.is_empty() {
            held.entry(*action).or_default().used.extend(&places);
        }
    }
    held.into_iter().map(|(action, holding)| (action as usize, holding)).collect()
}

impl<'a> Facts<'a> {
    /// Scores every identity.
    pub fn new(inventory: &'a Inventory<'a>, catalogue: &'a Catalogue, usage: &'a Usage, window: Window) -> Self {
        let covered = covered(window, &usage.hours);
        let unseen = unseen(inventory.actions, usage, &inventory.input.details.account, window);
        let mut facts =
            Self { inventory, catalogue, usage, window, covered, confidence: confidence(window, covered), unseen, scored: Vec::new() };
        facts.scored = inventory.identities.iter().map(|(arn, identity)| facts.scored(arn, identity)).collect();
        facts
    }

    /// The catalogue of AWS.
    pub fn actions(&self) -> &'a Actions {
        self.inventory.actions
    }

    fn activities<'s>(&'s self, arn: &'s str, counts: impl Fn(&str) -> bool + 's) -> impl Iterator<Item = &'s Activity> + 's {
        let users = self.inventory.users(arn).into_iter().filter(move |user| counts(user));
        users.filter_map(|user| self.usage.identities.get(user))
    }

    /// Scores one identity. What a member did who is left out of scores does not count for its group's score either.
    pub fn scored(&self, arn: &'a str, identity: &'a Identity) -> Scored<'a> {
        let group = identity.kind == IdentityKind::Group;
        let counts = |user: &str| !group || self.inventory.identities.get(user).is_none_or(|member| !member.excluded.from_pci);
        let granted = self.inventory.granted(identity);
        let all = holdings(self.inventory, &granted, self.activities(arn, |_| true), self.window);
        let scored_holdings = |granted: &Granted| holdings(self.inventory, granted, self.activities(arn, counts), self.window);
        let standing = (!self.inventory.live_grants(identity).is_empty())
            .then(|| score(self.catalogue, &scored_holdings(&self.inventory.granted_standing(identity))).pci());
        let last_used = self.last_used(arn, identity, &all);
        Scored {
            arn,
            identity,
            score: score(self.catalogue, &scored_holdings(&granted)),
            holdings: all,
            undecided: granted.undecided,
            new: self.window.exempts(identity.created),
            last_used,
            active: last_used.is_some_and(|at| self.window.contains(at)),
            standing_score: standing,
        }
    }

    /// The last use, by the logs, by what IAM records of a role, and by the credential report. Of a group: that a member used what it grants.
    fn last_used(&self, arn: &str, identity: &Identity, held: &Holdings) -> Option<i64> {
        if identity.kind == IdentityKind::Group {
            let granted = |action: u32| holding(held, action as usize).is_some_and(|holding| !holding.granted.is_empty());
            let uses = self.activities(arn, |_| true).flat_map(|activity| &activity.actions).filter(|(action, _)| granted(**action));
            return uses
                .flat_map(|(_, uses)| uses.unnamed.iter().chain(uses.resources.values()))
                .max()
                .copied()
                .filter(|at| *at <= self.window.until);
        }
        let logged = self.usage.identities.get(arn).and_then(|activity| activity.last);
        let reported = self.inventory.input.credentials.as_ref().and_then(|report| report.get(arn)?.last_used());
        // A role that a service assumes is in use, also if it calls nothing that is logged.
        let assumed = self.usage.assumed.get(arn).and_then(|callers| callers.values().max()).copied();
        [logged, identity.last_used, reported, assumed].into_iter().flatten().max()
    }
}
