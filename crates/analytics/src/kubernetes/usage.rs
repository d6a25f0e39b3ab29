//! Who did what: events of the audit log rolled up to identity, permission and place.
use super::{
    CLUSTER,
    checks::{EXTRAS, besides, impersonated},
    event::{Event, User},
    permissions::Permissions,
};
use crate::{catalogue::PermissionId, history::Window, places::Places};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many names of unmapped requests are kept apart; the others are counted together.
const MAX_UNMAPPED: usize = 1_000;
/// The longest such name, in bytes.
const MAX_NAME: usize = 200;

/// The uses of one permission.
#[derive(Clone, Default, Debug)]
pub struct Use {
    /// The last one across all namespaces, in Unix seconds.
    everywhere: Option<i64>,
    /// The last one in a namespace that does not exist now.
    gone: Option<i64>,
    /// The last one in each place.
    places: BTreeMap<u32, i64>,
}

/// Where a request was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Where {
    /// Across all namespaces.
    Everywhere,
    /// In a namespace that does not exist now.
    Gone,
    /// In a namespace, or at the cluster.
    At(u32),
}

impl Use {
    /// The last use.
    pub fn last(&self) -> Option<i64> {
        self.places.values().copied().chain(self.everywhere).chain(self.gone).max()
    }
    /// The places of the uses in the window, of so many in all.
    ///
    /// `one`: every request names one namespace. Then the place of the cluster stands for namespaces that come and go. It is used if one
    /// was used that does not exist now, or if all that exist were.
    pub fn places(&self, window: Window, total: u32, one: bool) -> Places {
        if self.everywhere.is_some_and(|at| window.contains(at)) {
            return Places::first(total);
        }
        let mut places: Places = self.places.iter().filter(|(_, at)| window.contains(**at)).map(|(place, _)| *place).collect();
        if one && (self.is_gone(window) || places.len() + 1 == total) {
            places.insert(CLUSTER);
        }
        places
    }
    /// Whether a use in the window was in a namespace that does not exist now.
    pub fn is_gone(&self, window: Window) -> bool {
        self.gone.is_some_and(|at| window.contains(at))
    }
}

/// What one user did.
#[derive(Clone, Default, Debug)]
pub struct Activity {
    /// The last successful request.
    pub last: Option<i64>,
    /// The last request for which the catalogue has no permission.
    pub unmapped: Option<i64>,
    /// Uses by permission.
    pub uses: BTreeMap<PermissionId, Use>,
    /// Uses of what the API server checks besides requests, for an identity that has it.
    pub implied: BTreeMap<PermissionId, Use>,
    /// The groups of its logins, each with the last time it was seen.
    pub groups: BTreeMap<String, i64>,
    /// The groups with which others acted as this user, each with the last time.
    pub claimed: BTreeMap<String, i64>,
}

/// How events were counted.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Events of the known version.
    pub events: u64,
    /// Successful, complete or a stream that started, not after the end.
    pub uses: u64,
    /// Of another stage.
    pub other_stages: u64,
    /// Refused or failed.
    pub not_successful: u64,
    /// After the end.
    pub after_window: u64,
    /// Without a permission in the catalogue, by name.
    pub unmapped: BTreeMap<String, u64>,
}

/// The roll-up. It keeps the last time of each use and nothing of single events. So files may come in any order, and twice, and its size does
/// not grow with their number.
pub struct Usage<'a> {
    permissions: &'a Permissions,
    places: HashMap<&'a str, u32>,
    until: i64,
    /// The hours with events.
    pub hours: BTreeSet<i64>,
    /// The newest event that counts for the coverage.
    pub newest: Option<i64>,
    /// By user name.
    pub users: BTreeMap<String, Activity>,
    /// How events were counted.
    pub counts: Counts,
}

impl<'a> Usage<'a> {
    /// An empty roll-up over these namespaces. Events after `until` do not count.
    pub fn new(permissions: &'a Permissions, namespaces: &'a BTreeSet<String>, until: i64) -> Self {
        let places = namespaces.iter().zip(CLUSTER + 1..).map(|(namespace, place)| (namespace.as_str(), place)).collect();
        let (hours, users) = (BTreeSet::new(), BTreeMap::new());
        Self { permissions, places, until, hours, newest: None, users, counts: Counts::default() }
    }

    /// Counts an event.
    pub fn record(&mut self, event: &Event) {
        self.replay(event, 1);
    }

    /// Counts so many events that are the same but for their time; that of `event` is the time of the last one. With 0 the use is kept and
    /// nothing is counted.
    pub fn replay(&mut self, event: &Event, times: u64) {
        self.counts.events += times;
        let Some(at) = event.at() else { return };
        if at > self.until {
            self.counts.after_window += times;
            return;
        }
        self.hours.insert(at.div_euclid(3600));
        self.newest = self.newest.max(Some(at));
        // Only streams, such as watch and exec, have an event at their start. They are a use at once: the end can be days later.
        if !matches!(event.stage.as_str(), "ResponseStarted" | "ResponseComplete") {
            self.counts.other_stages += times;
        } else if !event.succeeded() {
            self.counts.not_successful += times;
        } else {
            self.counts.uses += times;
            self.count(event, at, times);
        }
    }

    fn count(&mut self, event: &Event, at: i64, times: u64) {
        self.member(&event.user, at);
        let Some(other) = &event.impersonated_user else {
            self.act(&event.user.username, event, at, times);
            return;
        };
        // The request was allowed by the permissions of the impersonated user and its groups. These are what the impersonator claimed, and
        // prove no membership.
        self.act(&other.username, event, at, times);
        let activity = self.users.entry(other.username.clone()).or_default();
        note(&mut activity.claimed, &other.groups, at);
        let checked = impersonated(other).into_iter().filter_map(|(group, resource, namespace)| {
            // Without a rule for a key, only a wildcard grants it; the resource stands for such keys.
            let find = |resource: &str| self.permissions.of_request("impersonate", group, resource);
            let id = find(&resource).or_else(|| resource.starts_with(EXTRAS).then(|| find(EXTRAS))?)?;
            Some((id, self.place_of(id, namespace.unwrap_or_default())))
        });
        let checked: Vec<(PermissionId, Where)> = checked.collect();
        let impersonator = self.users.entry(event.user.username.clone()).or_default();
        impersonator.last = impersonator.last.max(Some(at));
        checked.into_iter().for_each(|(id, place)| add(&mut impersonator.uses, id, place, at));
    }

    fn member(&mut self, user: &User, at: i64) {
        note(&mut self.users.entry(user.username.clone()).or_default().groups, &user.groups, at);
    }

    /// Where a request with this namespace, or without one, uses a permission.
    fn place_of(&self, id: PermissionId, namespace: &str) -> Where {
        match namespace {
            _ if self.permissions.catalogue.permissions()[id].resources == 1 => Where::At(CLUSTER),
            "" => Where::Everywhere,
            namespace => self.places.get(namespace).map_or(Where::Gone, |place| Where::At(*place)),
        }
    }

    /// Counts what a request used for the user whose permissions allowed it.
    fn act(&mut self, user: &str, event: &Event, at: i64, times: u64) {
        let (mut used, mut implied, mut name) = (Vec::new(), Vec::new(), None);
        match (event.resource(), &event.object_ref) {
            (Some(resource), Some(object)) => {
                let group = object.api_group.as_str();
                match self.permissions.of_request(&event.verb, group, &resource) {
                    Some(id) => used.push((id, self.place_of(id, &object.namespace))),
                    None => name = Some(super::permissions::name(&event.verb, group, &resource)),
                }
                for (verb, group, resource) in besides(&event.verb, group, &resource, event.code()) {
                    implied
                        .extend(self.permissions.of_request(verb, &group, &resource).map(|id| (id, self.place_of(id, &object.namespace))));
                }
            }
            _ => {
                used.extend(self.permissions.of_url(&event.verb, event.path()).map(|id| (id, Where::At(CLUSTER))));
                name = used.is_empty().then(|| format!("{} {}", event.verb, event.path()));
            }
        }
        let activity = self.users.entry(user.to_owned()).or_default();
        activity.last = activity.last.max(Some(at));
        used.into_iter().for_each(|(id, place)| add(&mut activity.uses, id, place, at));
        implied.into_iter().for_each(|(id, place)| add(&mut activity.implied, id, place, at));
        if let Some(name) = name {
            activity.unmapped = activity.unmapped.max(Some(at));
            let name = curfew_core::text::clip(name, MAX_NAME);
            let full = self.counts.unmapped.len() >= MAX_UNMAPPED && !self.counts.unmapped.contains_key(&name);
            *self.counts.unmapped.entry(if full { "others".into() } else { name }).or_default() += times;
        }
    }
}

/// Notes that groups were seen.
fn note(seen: &mut BTreeMap<String, i64>, groups: &[String], at: i64) {
    for group in groups {
        let last = seen.entry(group.clone()).or_insert(at);
        *last = at.max(*last);
    }
}

/// Adds a use.
fn add(uses: &mut BTreeMap<PermissionId, Use>, id: PermissionId, place: Where, at: i64) {
    let used = uses.entry(id).or_default();
    match place {
        Where::At(place) => {
            let last = used.places.entry(place).or_insert(at);
            *last = at.max(*last);
        }
        Where::Everywhere => used.everywhere = used.everywhere.max(Some(at)),
        Where::Gone => used.gone = used.gone.max(Some(at)),
    }
}
