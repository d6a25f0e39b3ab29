//! What an identity needs: its accesses in the window, each with where, which objects, and the evidence.
use super::{
    Options,
    names::limit,
    observed::{Access, Accesses, Allowed, Observed, Place},
    standing::{Held, Standing},
};
use crate::{
    history::Window,
    kubernetes::{
        inventory::{Inventory, Key},
        kinds::Kind,
        rules::matches,
    },
    rightsize::days::Days,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Where a rule holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// In the whole cluster.
    Cluster,
    /// In one namespace.
    Namespace(String),
}

/// Why something is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    /// A request asked for it.
    Requested,
    /// The API server asks for it besides a request, and uses it if it is there.
    Checked,
    /// The standing access names it, and no request would show whether it is in use.
    NotShown,
}

/// One access in one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// The objects; `None`: all.
    pub names: Option<BTreeSet<String>>,
    /// The days of use; `None` if no request shows it.
    pub days: Option<Days>,
    /// Why it is needed.
    pub why: Why,
    /// Whether the standing access allows it.
    pub held: bool,
}

/// Everything that is needed.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Needs {
    /// By place.
    pub parts: BTreeMap<Part, BTreeMap<Access, Need>>,
    /// What everyone has by default, so that no role needs it.
    pub by_default: BTreeSet<Access>,
    /// What was done in namespaces that do not exist now.
    pub gone: BTreeSet<Access>,
    /// What was asked for, is in no catalogue and never succeeded.
    pub unknown: BTreeSet<Access>,
    /// What was used and is not held, and was left out on request.
    pub not_held: BTreeSet<Access>,
    /// Whether it wrote roles or bindings without `escalate` or `bind`.
    pub compared: BTreeSet<Access>,
    /// How many uses the recorder did not keep.
    pub dropped: u64,
}

impl Needs {
    /// The needs of an identity. Those of a group are what its members used and the group grants.
    pub fn of(inventory: &Inventory, observed: &Observed, key: &Key, window: Window, options: &Options) -> Self {
        let mut allowed = Allowed::default();
        inventory.users(key).into_iter().filter_map(|user| observed.users.get(user)).for_each(|user| allowed.merge(user));
        let standing = Standing::new(inventory, key);
        let mut needs = Self { dropped: allowed.dropped, ..Self::default() };
        let context = Context { inventory, standing: &standing, window, options, group: key.group };
        needs.add(&context, &allowed.asked, Why::Requested);
        needs.add(&context, &allowed.besides, Why::Checked);
        needs.add_not_shown(&context);
        needs.drop_covered();
        needs
    }

    fn add(&mut self, context: &Context, accesses: &Accesses, why: Why) {
        for (access, places) in accesses {
            for (place, objects) in places {
                let used = objects.all().filter(|days| days.within(context.window));
                let Some(days) = used else { continue };
                if context.standing.by_default(access, place) {
                    self.by_default.insert(access.clone());
                    continue;
                }
                let held = context.standing.held(access, place);
                // A PATCH or PUT that created the object proves that `create` was allowed. The other checks may have been answered with no.
                let created = matches!(access, Access::Resource { verb, resource, .. } if verb == "create" && !resource.contains('/'));
                if held == Held::Not && (context.group || (why == Why::Checked && !created)) {
                    // Another binding of the member allowed it; or the API server asked, got a no, and compared the rules instead.
                    if !context.group {
                        self.compared.insert(access.clone());
                    }
                    continue;
                }
                if held == Held::Not && !days.succeeded(context.window) && weight(context.inventory, access).is_none() {
                    self.unknown.insert(access.clone());
                    continue;
                }
                let (names, within) = limit(access, objects, &held, context.window, context.options.object_names);
                if !within && why == Why::Checked && !created {
                    continue;
                }
                if !within && context.options.held_only {
                    self.not_held.insert(access.clone());
                    continue;
                }
                let part = match place {
                    Place::Namespace(namespace) => Part::Namespace(namespace.clone()),
                    Place::Cluster => Part::Cluster,
                    Place::Gone => {
                        self.gone.insert(access.clone());
                        if context.options.leave_out_gone {
                            continue;
                        }
                        Part::Cluster
                    }
                };
                self.insert(part, access.clone(), Need { names, days: Some(days), why, held: within });
            }
        }
    }

    fn insert(&mut self, part: Part, access: Access, need: Need) {
        let list = self.parts.entry(part).or_default();
        let Some(there) = list.get_mut(&access) else {
            list.insert(access, need);
            return;
        };
        there.names = there.names.take().zip(need.names).map(|(a, b)| a.into_iter().chain(b).collect());
        there.held &= need.held;
        there.why = there.why.min(need.why);
        there.days = match (there.days, need.days) {
            (Some(mut a), Some(b)) => {
                a.merge(&b);
                Some(a)
            }
            (a, b) => a.or(b),
        };
    }

    /// What the bindings name, not by a wildcard over resources, and no request would show. Nothing proves that it is not in use.
    fn add_not_shown(&mut self, context: &Context) {
        if !context.options.keep_not_shown {
            return;
        }
        let permissions = context.inventory.permissions;
        for (place, rule) in context.standing.rules().filter(|(_, rule)| !rule.resources.iter().any(|resource| resource == "*")) {
            let unseen = |(kind, verbs): &(Kind, Vec<(String, usize)>)| {
                let list =
                    verbs.iter().filter(|(verb, id)| permissions.unseen.contains(id) && matches(rule, verb, &kind.group, &kind.resource));
                list.map(|(verb, _)| Access::resource(verb, &kind.group, &kind.resource)).collect::<Vec<_>>()
            };
            let part = if let Place::Namespace(namespace) = &place { Part::Namespace(namespace.clone()) } else { Part::Cluster };
            let names = (!rule.resource_names.is_empty()).then(|| rule.resource_names.iter().cloned().collect());
            for access in permissions.kinds.iter().flat_map(unseen) {
                self.insert(part.clone(), access, Need { names: names.clone(), days: None, why: Why::NotShown, held: true });
            }
        }
    }

    /// Leaves out of namespaces what the whole cluster gives.
    fn drop_covered(&mut self) {
        let Some(wide) = self.parts.get(&Part::Cluster).cloned() else { return };
        let covered = |access: &Access, need: &Need| {
            wide.get(access).is_some_and(|wide| match (&wide.names, &need.names) {
                (None, _) => true,
                (Some(all), Some(some)) => some.is_subset(all),
                (Some(_), None) => false,
            })
        };
        for (_, list) in self.parts.iter_mut().filter(|(part, _)| **part != Part::Cluster) {
            list.retain(|access, need| !covered(access, need));
        }
        self.parts.retain(|_, list| !list.is_empty());
    }
}

struct Context<'a> {
    inventory: &'a Inventory<'a>,
    standing: &'a Standing<'a>,
    window: Window,
    options: &'a Options,
    group: bool,
}

/// The weight of an access; `None` if the catalogue does not have it.
pub fn weight(inventory: &Inventory, access: &Access) -> Option<f64> {
    let permissions = inventory.permissions;
    let id = match access {
        Access::Resource { group, resource, verb } => permissions.of_request(verb, group, resource),
        Access::Url { path, verb } => permissions.of_url(verb, path).next(),
    };
    id.map(|id| permissions.catalogue.permissions()[id].weight)
}
