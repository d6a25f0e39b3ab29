//! What users were allowed to do: the accesses that the API server authorized, from its audit log.
use super::super::days::Days;
use crate::kubernetes::{
    checks::{besides, impersonated_objects},
    event::Event,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many objects of one access and place are told apart by name; with more, names are dropped.
const MAX_NAMES: usize = 64;
/// How many paths of one user are told apart; with more, paths that begin with the same segment are one pattern.
const MAX_PATHS: usize = 256;
/// How many accesses of one user are told apart; further ones are counted only.
const MAX_ACCESSES: usize = 20_000;
/// The statuses of requests that were not authorized, or not asked about: 401, 403, and 429 of priority and fairness.
const NOT_AUTHORIZED: [i64; 3] = [401, 403, 429];

/// What the authorizer was asked for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Access {
    /// A verb on a resource.
    Resource {
        /// The API group; empty for the core group.
        group: String,
        /// `pods` or `pods/log`.
        resource: String,
        /// The verb.
        verb: String,
    },
    /// A verb on a URL that is not a resource.
    Url {
        /// The path; one that ends with `*` stands for all that begin with it.
        path: String,
        /// The verb.
        verb: String,
    },
}

impl Access {
    /// A verb on a resource.
    pub fn resource(verb: &str, group: &str, resource: &str) -> Self {
        Self::Resource { group: group.into(), resource: resource.into(), verb: verb.into() }
    }
    /// As the catalogue names it.
    pub fn name(&self) -> String {
        match self {
            Self::Resource { group, resource, verb } => crate::kubernetes::permissions::name(verb, group, resource),
            Self::Url { path, verb } => format!("{verb} {path}"),
        }
    }
}

/// Where a request was.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Place {
    /// Across all namespaces, or about what belongs to the cluster.
    Cluster,
    /// In a namespace that exists.
    Namespace(String),
    /// In namespaces that do not exist now.
    Gone,
}

/// The objects of one access in one place.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Objects {
    /// Requests that named no object, or one of too many.
    pub unnamed: Option<Days>,
    /// Requests by the name of the object, as the authorizer was given it.
    pub names: BTreeMap<String, Days>,
    /// Whether names were dropped.
    too_many: bool,
}

impl Objects {
    /// All uses.
    pub fn all(&self) -> Option<Days> {
        self.names.values().chain(&self.unnamed).copied().reduce(|mut all, days| {
            all.merge(&days);
            all
        })
    }
    fn add(&mut self, name: &str, days: Days) {
        if name.is_empty() || self.too_many {
            self.unnamed.get_or_insert(days).merge(&days);
            return;
        }
        self.names.entry(name.into()).or_insert(days).merge(&days);
        self.drop_names(self.names.len() > MAX_NAMES);
    }
    /// Once there are too many, no name is kept: which ones were first depends on the order of the events.
    fn drop_names(&mut self, too_many: bool) {
        self.too_many |= too_many;
        if self.too_many {
            let names = std::mem::take(&mut self.names);
            names.values().for_each(|days| self.unnamed.get_or_insert(*days).merge(days));
        }
    }
    /// Adds those of another user.
    pub fn merge(&mut self, other: &Self) {
        self.drop_names(other.too_many);
        other.unnamed.iter().for_each(|days| self.add("", *days));
        other.names.iter().for_each(|(name, days)| self.add(name, *days));
    }
}

/// Accesses, each with its places.
pub type Accesses = BTreeMap<Access, BTreeMap<Place, Objects>>;

/// What one user was allowed to do.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Allowed {
    /// What its requests asked for.
    pub asked: Accesses,
    /// What the API server asks for besides and uses if the user has it, such as `bind` when it writes a RoleBinding.
    pub besides: Accesses,
    /// How many uses were not kept because there were too many different ones.
    pub dropped: u64,
    /// Whether paths were joined to patterns.
    joined: bool,
}

/// What the users of a cluster were allowed to do. Built in one pass for all of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observed {
    namespaces: BTreeSet<String>,
    /// Only these, if given.
    only: Option<BTreeSet<String>>,
    until: i64,
    /// By user name.
    pub users: BTreeMap<String, Allowed>,
}

impl Observed {
    /// Nothing yet. `namespaces`: those that exist. `only`: keeps these users alone, or all. Events after `until` do not count.
    pub fn new(namespaces: &BTreeSet<String>, only: Option<BTreeSet<String>>, until: i64) -> Self {
        Self { namespaces: namespaces.clone(), only, until, users: BTreeMap::new() }
    }

    /// Adds an event. It counts if the request was authorized, also if it failed afterwards: a controller that asks for an object that
    /// does not exist needs the answer "not found", and would stop at "forbidden".
    pub fn record(&mut self, event: &Event) {
        let Some(at) = event.at().filter(|at| *at <= self.until) else { return };
        let answered = matches!(event.stage.as_str(), "ResponseStarted" | "ResponseComplete");
        // The event says it; of one that does not, the status does. A request that was put off (429) may have been authorized before.
        let authorized = event.was_allowed() || ((100..500).contains(&event.code()) && !NOT_AUTHORIZED.contains(&event.code()));
        if !answered || !authorized {
            return;
        }
        let days = Days::at(at, event.succeeded());
        let Some(other) = &event.impersonated_user else {
            return self.request(&event.user.username, event, days);
        };
        self.request(&other.username, event, days);
        for (group, resource, namespace, name) in impersonated_objects(other) {
            self.add(&event.user.username, Access::resource("impersonate", group, &resource), namespace, &name, days, |a| &mut a.asked);
        }
    }

    fn request(&mut self, user: &str, event: &Event, days: Days) {
        let (Some(resource), Some(object)) = (event.resource(), &event.object_ref) else {
            let url = Access::Url { path: event.path().into(), verb: event.verb.clone() };
            return self.add(user, url, "", "", days, |allowed| &mut allowed.asked);
        };
        let (group, namespace) = (object.api_group.as_str(), object.namespace.as_str());
        // The audit log takes the name of a created object from its content; the authorizer was given none.
        let created = event.verb == "create" && object.subresource.is_empty();
        let name = if created || event.verb == "deletecollection" { "" } else { object.name.as_str() };
        self.add(user, Access::resource(&event.verb, group, &resource), namespace, name, days, |allowed| &mut allowed.asked);
        for (verb, group, resource) in besides(&event.verb, group, &resource, event.code()) {
            // A PATCH or PUT that created the object, and a terminal over a websocket, ask for `create` on the same object.
            let same = if verb == "create" { object.name.as_str() } else { "" };
            self.add(user, Access::resource(verb, &group, &resource), namespace, same, days, |allowed| &mut allowed.besides);
        }
    }

    fn add(&mut self, user: &str, access: Access, namespace: &str, name: &str, days: Days, list: fn(&mut Allowed) -> &mut Accesses) {
        if self.only.as_ref().is_some_and(|only| !only.contains(user)) {
            return;
        }
        let place = match namespace {
            "" => Place::Cluster,
            namespace if self.namespaces.contains(namespace) => Place::Namespace(namespace.into()),
            _ => Place::Gone,
        };
        let allowed = self.users.entry(user.to_owned()).or_default();
        let access = if allowed.joined { joined(access) } else { access };
        let accesses = list(allowed);
        if accesses.len() >= MAX_ACCESSES && !accesses.contains_key(&access) {
            allowed.dropped += 1;
            return;
        }
        accesses.entry(access).or_default().entry(place).or_default().add(name, days);
        allowed.join_paths();
    }
}

impl Allowed {
    /// Joins paths to patterns if there are too many.
    fn join_paths(&mut self) {
        let is_url = |access: &Access| matches!(access, Access::Url { .. });
        if self.joined || self.asked.len() <= MAX_PATHS || self.asked.keys().filter(|access| is_url(access)).count() <= MAX_PATHS {
            return;
        }
        self.joined = true;
        for (access, places) in std::mem::take(&mut self.asked) {
            let to = self.asked.entry(joined(access)).or_default();
            places.iter().for_each(|(place, objects)| to.entry(place.clone()).or_default().merge(objects));
        }
    }
    /// Adds what another user was allowed to do.
    pub fn merge(&mut self, other: &Self) {
        for (list, more) in [(&mut self.asked, &other.asked), (&mut self.besides, &other.besides)] {
            for (access, places) in more {
                let to = list.entry(access.clone()).or_default();
                places.iter().for_each(|(place, objects)| to.entry(place.clone()).or_default().merge(objects));
            }
        }
        self.dropped += other.dropped;
    }
}

/// The pattern of all paths that begin with the same segment.
fn joined(access: Access) -> Access {
    match access {
        Access::Url { path, verb } => {
            let segment = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            Access::Url { path: format!("/{}*", segment.trim_end_matches('*')), verb }
        }
        resource @ Access::Resource { .. } => resource,
    }
}
