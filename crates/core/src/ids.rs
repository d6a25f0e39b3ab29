//! Deterministic ids and names. A repeated create uses the same name, so that it is idempotent.
use crate::time::Time;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Label key on every object that Curfew creates at a target; the value is the grant id.
pub const GRANT_LABEL: &str = "curfew.dev/grant";
/// The label of a Grant that says where its slots are counted: on its target, or on what several targets share; its value is [`target_label`].
pub const TARGET_LABEL: &str = "curfew.dev/target";
/// The label of a slot that says which limit it belongs to.
pub const LIMIT_LABEL: &str = "curfew.dev/limit";
/// The label of a slot with the uid of the request that holds it.
pub const REQUEST_LABEL: &str = "curfew.dev/request";
/// The finalizer that holds a Grant until nothing is left at its target.
pub const REVOKE_FINALIZER: &str = "curfew.dev/revoke";
/// Finalizer that keeps an AuthorizationSystem while it has Grants that have not ended.
pub const GRANTS_FINALIZER: &str = "curfew.dev/grants";

fn hex(text: &str, digits: usize) -> String {
    let full = Sha256::digest(text.as_bytes());
    full.iter().map(|b| format!("{b:02x}")).collect::<String>()[..digits].to_owned()
}

/// The install id, 8 hex digits. Derived from the uid of the operator's namespace, so that the sweep can compute it without CRDs.
pub fn install_id(operator_namespace_uid: &str) -> String {
    hex(operator_namespace_uid, 8)
}

/// The grant id, 16 hex digits. A request has exactly one: it is the name of its Grant and part of every name written for it.
pub fn grant_id(install: &str, request_uid: &str) -> String {
    hex(&format!("{install}/{request_uid}"), 16)
}

/// How many hex digits the hash of a limit has. Two limits whose names an attacker chooses must not share their slots.
pub const SLOT_FAMILY_DIGITS: usize = 40;

/// The hash after which the slots of a limit are named; `counted` says what the limit counts.
pub fn slot_family(counted: &str) -> String {
    hex(counted, SLOT_FAMILY_DIGITS)
}

/// What distinguishes the name of an Event that is told once, 16 hex digits: the uid of what it is about, its reason, and the uid of the
/// object that caused it.
pub fn event_id(about: &str, reason: &str, cause: &str) -> String {
    hex(&format!("{about}/{reason}/{cause}"), 16)
}

/// What everything that Curfew writes to a target says in its immutable name: enough for the sweep, without any other object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mark {
    /// The install that wrote it.
    pub install: String,
    /// The Grant that it belongs to.
    pub grant: String,
    /// The latest end of the access.
    pub deadline: Time,
}

/// The value of [`TARGET_LABEL`]: a hash, because the identity of a target is not always a legal label value.
pub fn target_label(target: &str) -> String {
    hex(target, 16)
}

/// An object by its name and the uid, which no other object ever has.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ref {
    /// The object's name.
    #[cfg_attr(feature = "schema", schemars(length(max = 253)))]
    pub name: String,
    /// The object's uid.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub uid: String,
}

/// The version of a stored object: compared for equality only, by the API server.
pub type Version = Arc<str>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_grant_and_another_request_another() {
        assert_eq!(install_id("7d1c"), install_id("7d1c"));
        assert_eq!((install_id("7d1c").len(), grant_id("a", "b").len()), (8, 16));
        assert_ne!(grant_id("a", "b"), grant_id("a", "c"));
        assert_ne!(grant_id("a", "b"), grant_id("b", "b"), "two installs have different grant ids");
    }
}
