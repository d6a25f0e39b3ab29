//! Every permission of an identity, one by one: what a report only counts.
use crate::catalogue::Level;
use serde::Serialize;
use std::collections::BTreeSet;

/// Where a permission may be used, or was used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Extent {
    /// On every resource of its type, also on those that come later.
    Everywhere,
    /// On these: names of namespaces, ARNs. Empty: nowhere.
    Places(BTreeSet<String>),
}

impl Default for Extent {
    fn default() -> Self {
        Self::nowhere()
    }
}

impl Extent {
    /// Nowhere.
    pub const fn nowhere() -> Self {
        Self::Places(BTreeSet::new())
    }
    /// Whether it is nowhere.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Places(places) if places.is_empty())
    }
    /// Whether a place is in it.
    pub fn contains(&self, place: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Places(places) => places.contains(place),
        }
    }
    /// The names of its places, if it has names.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        let places = match self {
            Self::Everywhere => None,
            Self::Places(places) => Some(places),
        };
        places.into_iter().flatten().map(String::as_str)
    }
}

/// Whether a permission was used in the window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UseState {
    /// Granted, and not used.
    Unused,
    /// Granted in more places than it was used in.
    PartlyUsed,
    /// Used wherever it is granted.
    Used,
    /// Granted, and no request would show a use: it is never called unused.
    NotShown,
    /// Used, and no longer granted.
    NotGranted,
}

impl UseState {
    /// All of them, in the order of lists.
    pub const ALL: [Self; 5] = [Self::Unused, Self::PartlyUsed, Self::Used, Self::NotShown, Self::NotGranted];
    /// Its name, as in queries and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::PartlyUsed => "partlyUsed",
            Self::Used => "used",
            Self::NotShown => "notShown",
            Self::NotGranted => "notGranted",
        }
    }
}

/// One permission of one identity.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PermissionUse {
    /// Its name in the catalogue.
    pub permission: String,
    /// What it can do.
    pub level: Level,
    /// What an unused grant of it on every resource adds to the mass.
    pub weight: f64,
    /// Whether it can leak, disrupt, remove or escalate.
    pub high_risk: bool,
    /// Whether it was used.
    pub state: UseState,
    /// Where it is granted.
    pub granted: Extent,
    /// Where it was used in the window.
    pub used: Extent,
    /// RFC 3339; the last use in the window.
    pub last_used: Option<String>,
    /// What grants it: bindings, policies. Empty if nothing does.
    pub by: Vec<String>,
}
