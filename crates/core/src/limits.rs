//! Limits on how many requests hold a role, or what a policy allows, at a time, overall and for each holder.
//!
//! A request that counts holds one *slot* of each limit: an object whose name is the slot, so that the API server lets only one request
//! create it, with any number of replicas. A request takes its slots when it is approved, before it is `Scheduled` or `Activating`, and
//! holds them until it has ended; a request that waits for approval holds none, so waiting requests keep nobody out. A slot is free again
//! when its holder has ended, or no longer exists and neither does its access ([`crate::request::holds_slot`]); an operator that dies in
//! between leaves a slot behind that the next request, or the sweep, finds to be free.
//!
//! A *lock* is a limit of one on the break-glass of a person, in all roles and namespaces. Its slot is not free when its holder has ended or
//! is deleted, but only when a review of that access has counted, or when there was no access.
//!
//! Slots are named after the namespace and name of the role, or the name of the policy, and not after a uid: a role that is deleted and
//! created again counts what was granted before. `activation.limits` of the role and `limits` of the policy say how many slots there are
//! when one is taken. A lower limit ends nothing.
//!
//! An extension takes over the slots of what it extends: the object stays, and names another holder from then on. So there is no moment in
//! which the slot of the two is free, and it stands for both as long as the access of one of them may be there.
mod taking;

pub use taking::{Answer, MAX_VERIFIED, Reply, Step, Taking};

use crate::{
    folding::fold,
    ids::{self, Version},
    principal::{Subject, Uids, UserInfo},
    text::{brief, is_blank},
};
use std::{collections::BTreeSet, fmt, sync::Arc};

/// The beginning of the name of every slot.
pub const SLOT_PREFIX: &str = "curfew-slot-";
/// How many holders a message names.
const MAX_NAMED_HOLDERS: usize = 3;

/// `activation.limits` of a role, or `limits` of a policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Maxima {
    /// How many requests may hold the role, or what the policy allows, at a time.
    pub active: u16,
    /// How many of them may have the same holder.
    pub per_subject: u16,
}

impl Maxima {
    /// Which limits a request counts towards does not depend on how high they are.
    pub const ANY: Maxima = Maxima { active: 0, per_subject: 0 };
}

/// One limit that a request counts towards.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Limit {
    /// The hash after which its slots are named.
    pub family: Arc<str>,
    /// How many slots it has.
    pub at_most: u16,
    /// What is counted: the role or policy, the same for one holder, or the break-glass of this person.
    pub counted: Arc<str>,
    /// Whose requests are counted.
    pub of: LimitOf,
    /// The request whose extension takes over its slot instead of taking another one: both are one and the same access of one person.
    pub takes_over_from: Option<Arc<str>>,
}

/// The object that sets a limit.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum LimitOf {
    /// A RoleTemplate, for the requests for it.
    Role,
    /// The AccessPolicy of this name, for the requests that it allows.
    Policy(Arc<str>),
    /// Curfew itself, for the break-glass of one person.
    BreakGlass,
    /// Curfew itself, for the extensions of one request.
    Extension,
}

impl LimitOf {
    fn setting(&self) -> &'static str {
        match self {
            LimitOf::Role => "activation.limits",
            LimitOf::Policy(_) => "spec.limits",
            LimitOf::BreakGlass => "spec.breakGlass",
            LimitOf::Extension => "spec.extends",
        }
    }
}

/// The beginning of the family of each lock.
const LOCK: &str = "lock-";
/// How many locks one login can have: for its user name, the values of its aliases, and its uid.
pub const MAX_LOCKS: usize = 16;
/// How many slots one request can hold: its locks, or that of its one extension, and two each of its role and its policy.
pub const MAX_SLOTS: usize = MAX_LOCKS + 4;

impl Limit {
    /// The limits of a request for this role with this holder: first that of the holder, since a slot of it that turns out to
    /// be of no use keeps only the holder out. Two spellings of one user name are one holder.
    pub fn of_role(namespace: &str, role: &str, holder: &Subject, limits: Maxima) -> [Limit; 2] {
        Self::of(&format!("role/{namespace}/{role}"), &format!("role {role}"), &LimitOf::Role, holder, limits)
    }

    /// The limits of a request that this policy allows, for any role, with this holder.
    pub fn of_policy(policy: &str, holder: &Subject, limits: Maxima) -> [Limit; 2] {
        Self::of(&format!("policy/{policy}"), &format!("policy {policy}"), &LimitOf::Policy(policy.into()), holder, limits)
    }

    /// Both of these, of what has such limits.
    pub fn counted(namespace: &str, role: (&str, Option<Maxima>), policy: (&str, Option<Maxima>), holder: &Subject) -> Vec<Limit> {
        let of_role = role.1.map(|limits| Self::of_role(namespace, role.0, holder, limits));
        let of_policy = policy.1.map(|limits| Self::of_policy(policy.0, holder, limits));
        of_role.into_iter().chain(of_policy).flatten().collect()
    }

    fn of(key: &str, counted: &str, of: &LimitOf, holder: &Subject, limits: Maxima) -> [Limit; 2] {
        let holder = holder.principal();
        let limit = |key: &str, at_most: u16, counted: String| {
            let family = ids::slot_family(key).into();
            Limit { family, at_most, counted: counted.into(), of: of.clone(), takes_over_from: None }
        };
        [
            limit(&format!("{key}/{}", fold(&holder)), limits.per_subject, format!("{counted} for {holder}")),
            limit(key, limits.active, counted.to_owned()),
        ]
    }

    /// The locks on further break-glass of this person until this one is reviewed: one for each name of the login, and one for its uid where
    /// that is one person's, so that two logins with one of these in common are one person. `None` if these are more than [`MAX_LOCKS`].
    pub fn of_break_glass(requester: &UserInfo, alias_keys: &[String], uids: Uids) -> Option<Vec<Limit>> {
        let names = std::iter::once(requester.username.as_str()).chain(requester.aliases(alias_keys)).map(fold);
        let uid = Some(&requester.uid).filter(|uid| uids == Uids::Personal && !is_blank(uid)).map(|uid| format!("uid/{uid}"));
        let names: BTreeSet<_> = names.chain(uid).collect();
        let lock = |name: &String| Limit {
            family: format!("{LOCK}{}", ids::slot_family(&format!("break-glass/{name}"))).into(),
            at_most: 1,
            counted: requester.username.as_str().into(),
            of: LimitOf::BreakGlass,
            takes_over_from: None,
        };
        (names.len() <= MAX_LOCKS).then(|| names.iter().map(lock).collect())
    }

    /// The limit of a request with this name and uid: one extension at a time.
    pub fn of_extension(name: &str, uid: &str) -> Limit {
        Limit {
            family: ids::slot_family(&format!("extends/{uid}")).into(),
            at_most: 1,
            counted: format!("request {name}").into(),
            of: LimitOf::Extension,
            takes_over_from: None,
        }
    }

    /// The same limit for an extension of the request with this uid.
    #[must_use]
    pub fn taken_over_from(self, uid: &str) -> Limit {
        Limit { takes_over_from: Some(uid.into()), ..self }
    }

    /// Whether it is a lock, whose slot waits for a review.
    pub fn is_lock(&self) -> bool {
        self.family.starts_with(LOCK)
    }

    /// Whether one of these slots is a slot of this limit.
    pub fn is_held_by(&self, slots: &[Arc<str>]) -> bool {
        slots.iter().any(|slot| SlotName::parse(slot).is_some_and(|name| name.family == &*self.family))
    }

    fn slot(&self, index: u16) -> Arc<str> {
        SlotName { family: &self.family, index }.to_string().into()
    }
}

/// Whether these slots cover every limit.
pub fn are_covered(limits: &[Limit], slots: &[Arc<str>]) -> bool {
    limits.iter().all(|limit| limit.is_held_by(slots))
}

/// The name of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlotName<'a> {
    /// The limit that it belongs to.
    pub family: &'a str,
    /// Its number, from 0.
    pub index: u16,
}

impl<'a> SlotName<'a> {
    /// From the name of an object; `None` if it is not the name of a slot.
    pub fn parse(name: &'a str) -> Option<Self> {
        let (family, index) = name.strip_prefix(SLOT_PREFIX)?.rsplit_once('-')?;
        let parsed = SlotName { family, index: index.parse().ok()? };
        // One slot has one name: not 7 and 07.
        let hash = family.strip_prefix(LOCK).unwrap_or(family);
        (hash.len() == ids::SLOT_FAMILY_DIGITS && parsed.to_string() == name).then_some(parsed)
    }

    /// Whether it is the slot of a lock.
    pub fn is_lock(&self) -> bool {
        self.family.starts_with(LOCK)
    }
}

impl fmt::Display for SlotName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SLOT_PREFIX}{}-{}", self.family, self.index)
    }
}

/// A request that holds a slot.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Holder {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: Arc<str>,
}

/// A slot that exists.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Slot {
    /// The name of the object.
    pub name: Arc<str>,
    /// The uid of the object: a slot that was released and taken again has another one.
    pub uid: Arc<str>,
    /// The version of the object: one that was taken over has another one.
    pub version: Version,
    /// Who holds it.
    pub holder: Holder,
    /// From whom the holder, an extension, has taken it over. It stands for the access of both.
    pub taken_over_from: Option<Holder>,
    /// The caches do not show that the holder holds it.
    pub suspect: bool,
}

impl Slot {
    fn index_in(&self, limit: &Limit) -> Option<u16> {
        SlotName::parse(&self.name).filter(|name| name.family == &*limit.family).map(|name| name.index)
    }

    /// From whom an extension may take it over, if it may: what it extends, which is its holder, or from which its holder has taken it over.
    /// That holder is another extension which has ended, since a request has one at a time.
    fn can_be_taken_over(&self, limit: &Limit) -> Option<&Holder> {
        let holders = [Some(&self.holder), self.taken_over_from.as_ref()].into_iter().flatten();
        let mut extended = holders.filter(|holder| limit.takes_over_from.as_ref() == Some(&holder.uid));
        self.index_in(limit).and_then(|_| extended.next())
    }
}

/// What a list of the slots of some limits has shown.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Slots {
    /// Those that exist.
    pub taken: Vec<Slot>,
    /// For each limit, how many other requests count towards it without a slot: they were granted before the role had a limit, or
    /// their slots were lost, with the namespace of the operator for example.
    pub uncounted: Vec<u16>,
}

impl Slots {
    /// Whether one of these limits may be reached, as far as these show.
    pub fn may_reach(&self, limits: &[Limit]) -> bool {
        limits.iter().enumerate().any(|(n, limit)| {
            let held = self.taken.iter().filter(|slot| slot.index_in(limit).is_some()).count();
            held + self.uncounted.get(n).copied().map_or(0, usize::from) >= usize::from(limit.at_most)
        })
    }
}

/// Another request that has access, with the limits that it counts towards.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Granted {
    /// Who it is.
    pub holder: Holder,
    /// Its limits.
    pub limits: Vec<Limit>,
}

/// Those of these requests that count towards one of the limits and hold none of its slots: what their status says is not believed.
pub fn without_slot<'a, 's>(limits: &[Limit], taken: &'s [Slot], others: &'a [Granted]) -> Vec<Vec<&'a Granted>> {
    let of = |limit: &Limit| {
        let of_slot = |slot: &'s Slot| [Some(&slot.holder), slot.taken_over_from.as_ref()].into_iter().flatten();
        let of_limit = taken.iter().filter(|slot| slot.index_in(limit).is_some());
        let holders: BTreeSet<&str> = of_limit.flat_map(of_slot).map(|holder| &*holder.uid).collect();
        let counts = |other: &&Granted| other.limits.iter().any(|theirs| theirs.family == limit.family);
        others.iter().filter(counts).filter(|other| !holders.contains(&*other.holder.uid)).collect()
    };
    limits.iter().map(of).collect()
}

/// Which limit is reached and who holds its slots, in words, as these slots show it to the request with this uid. `install` is the id of
/// the installation, from which the names of Grants follow.
pub fn explain(limits: &[Limit], slots: &Slots, uid: &str, install: &str) -> Option<String> {
    let full = limits.iter().enumerate().find_map(|(n, limit)| {
        let in_limit = || slots.taken.iter().filter(|slot| slot.index_in(limit).is_some());
        if in_limit().any(|slot| slot.can_be_taken_over(limit).is_some()) {
            return None;
        }
        let held: Vec<&Slot> = in_limit().filter(|slot| *slot.holder.uid != *uid).collect();
        let uncounted = usize::from(slots.uncounted.get(n).copied().unwrap_or_default());
        (held.len() + uncounted >= usize::from(limit.at_most)).then_some((limit, held, uncounted))
    });
    let (limit, held, uncounted) = full?;
    if limit.is_lock() {
        return held.first().map(|slot| locked(&limit.counted, &slot.holder, install));
    }
    let mut names: Vec<&str> = held.iter().map(|slot| &*slot.holder.name).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(MAX_NAMED_HOLDERS) + uncounted;
    names.truncate(MAX_NAMED_HOLDERS);
    let mut holders = names.join(", ");
    match (more, names.is_empty()) {
        (0, _) => {}
        (1, true) => holders = "1 other active request".to_owned(),
        (more, true) => holders = format!("{more} other active requests"),
        (more, false) => holders.push_str(&format!(" and {more} more")),
    }
    if limit.of == LimitOf::Extension {
        return Some(format!("{} is extended already, by {holders}; a request has one extension at a time", limit.counted));
    }
    let plural = if limit.at_most == 1 { "" } else { "s" };
    Some(format!(
        "{} allows {} active request{plural} at a time ({}), held by {holders}; wait until one ends, and create a new request",
        limit.counted,
        limit.at_most,
        limit.of.setting()
    ))
}

/// What must be reviewed before this person can use break-glass again.
fn locked(person: &str, holder: &Holder, install: &str) -> String {
    let Holder { namespace, name, uid } = holder;
    let grant = ids::grant_id(install, uid);
    let review = format!("kubectl curfew review {name} -n {namespace} --comment TEXT");
    let of_grant = format!("kubectl curfew review --grant {grant} -n {namespace} --comment TEXT");
    let used = format!("{} has used break-glass with request {name} in namespace {namespace}", brief(person));
    format!("{used}; another person must review that first: {review}, or, if it was deleted, {of_grant}")
}

#[cfg(test)]
mod tests;
