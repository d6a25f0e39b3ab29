//! Who did what: CloudTrail records rolled up to identity, action and resource.
use std::collections::{BTreeMap, BTreeSet};

/// The index of an action in the catalogue of AWS.
pub type ActionId = u32;

/// The uses of one action by one identity.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ActionUse {
    /// The last one whose record names no resource, in Unix seconds. It counts as a use of every resource that is granted.
    pub unnamed: Option<i64>,
    /// The last one of each resource, by ARN.
    pub resources: BTreeMap<String, i64>,
}

/// What one identity did.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Activity {
    /// The last successful call.
    pub last: Option<i64>,
    /// The last call that maps to no action of the catalogue.
    pub unmapped: Option<i64>,
    /// Uses by action.
    pub actions: BTreeMap<ActionId, ActionUse>,
    /// The last use of each access key, by its id.
    pub keys: BTreeMap<String, i64>,
}

/// The roll-up. It keeps the last time of each use and nothing of single records, so files may come in any order and twice.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    /// By ARN: users, roles (all sessions of a role are the role), the account's root. What AWS services do on their own is left out.
    pub identities: BTreeMap<String, Activity>,
    /// The hours with records, in hours since the Unix epoch.
    pub hours: BTreeSet<i64>,
    /// The newest record.
    pub newest: Option<i64>,
}
