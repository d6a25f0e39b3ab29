//! Limits on how many requests hold a role at a time, overall and for each holder.
//!
//! A request that counts holds one *slot* of each limit: an object whose name is the slot, so that the API server lets only one request
//! create it, with any number of replicas. A request takes its slots when it is approved, before it is `Scheduled` or `Activating`, and
//! holds them until it has ended; a request that waits for approval holds none, so waiting requests keep nobody out. A slot is free again
//! when its holder has ended, or no longer exists and neither does its access ([`crate::request::holds_slot`]); an operator that dies in
//! between leaves a slot behind that the next request, or the sweep, finds to be free.
//!
//! An extension takes over the slots of what it extends: the object stays, and names another holder from then on. So there is no moment in
//! which the slot of the two is free, and it stands for both as long as the access of one of them may be there.
//!
//! Slots are named after the namespace and name of the role, and not after its uid: a role that is deleted and created again counts
//! what was granted before. `activation.limits` of the role says how many slots there are when one is taken. A lower limit ends nothing.
mod taking;

pub use taking::{Answer, MAX_VERIFIED, Reply, Step, Taking};

use crate::{
    folding::fold,
    ids::{self, Version},
    principal::Subject,
};
use std::{collections::BTreeSet, fmt, sync::Arc};

/// The beginning of the name of every slot.
pub const SLOT_PREFIX: &str = "curfew-slot-";
/// How many holders a message names.
const MAX_NAMED_HOLDERS: usize = 3;

/// `activation.limits` of a role.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RoleLimits {
    /// How many requests may hold the role at a time.
    pub active: u16,
    /// How many of them may have the same holder.
    pub per_subject: u16,
}

/// One limit that a request counts towards.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Limit {
    /// The hash after which its slots are named.
    pub family: Arc<str>,
    /// How many slots it has.
    pub at_most: u16,
    /// What is counted: the role, the role for this holder, or the request that is extended.
    pub counted: Arc<str>,
    /// The request whose extension takes over its slot instead of taking another one: both are one and the same access of one person.
    pub takes_over_from: Option<Arc<str>>,
    /// It counts the extensions of a request, and not what `activation.limits` of the role counts.
    pub of_extension: bool,
}

impl Limit {
    /// The limits of a request for this role with this holder: first that of the holder, since a slot of it that turns out to
    /// be of no use keeps only the holder out. Two spellings of one user name are one holder.
    pub fn of_role(namespace: &str, role: &str, holder: &Subject, limits: RoleLimits) -> [Limit; 2] {
        let holder = holder.principal();
        let of_role = format!("role/{namespace}/{role}");
        [
            Limit {
                family: ids::slot_family(&format!("{of_role}/{}", fold(&holder))).into(),
                at_most: limits.per_subject,
                counted: format!("role {role} for {holder}").into(),
                takes_over_from: None,
                of_extension: false,
            },
            Limit {
                family: ids::slot_family(&of_role).into(),
                at_most: limits.active,
                counted: format!("role {role}").into(),
                takes_over_from: None,
                of_extension: false,
            },
        ]
    }

    /// The limit of a request with this name and uid: one extension at a time.
    pub fn of_extension(name: &str, uid: &str) -> Limit {
        Limit {
            family: ids::slot_family(&format!("extends/{uid}")).into(),
            at_most: 1,
            counted: format!("request {name}").into(),
            takes_over_from: None,
            of_extension: true,
        }
    }

    /// The same limit for an extension of the request with this uid.
    #[must_use]
    pub fn taken_over_from(self, uid: &str) -> Limit {
        Limit { takes_over_from: Some(uid.into()), ..self }
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
        (family.len() == ids::SLOT_FAMILY_DIGITS && parsed.to_string() == name).then_some(parsed)
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
    pub limits: [Limit; 2],
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

/// Which limit is reached and who holds its slots, in words, as these slots show it to the request with this uid.
pub fn explain(limits: &[Limit], slots: &Slots, uid: &str) -> Option<String> {
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
    if limit.of_extension {
        return Some(format!("{} is extended already, by {holders}; a request has one extension at a time", limit.counted));
    }
    let plural = if limit.at_most == 1 { "" } else { "s" };
    Some(format!(
        "{} allows {} active request{plural} at a time (activation.limits), held by {holders}; wait until one ends, and create a new request",
        limit.counted, limit.at_most
    ))
}

#[cfg(test)]
mod tests;
