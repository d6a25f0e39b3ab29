//! Status conditions. `lastTransitionTime` changes only when the status of a condition changes, so that equal inputs give an equal
//! status and no write.
use curfew_core::{
    text::{MAX_MESSAGE, clip},
    time::Time,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time as KubeTime},
    jiff::Timestamp,
};

/// The condition of a system that says whether the operator has the rights there that it needs to grant and to revoke.
pub const AUTHORIZED: &str = "Authorized";
/// The condition of a RoleTemplate that protects its last holder: whether an assignment makes anybody eligible for it.
pub const HAS_HOLDER: &str = "HasHolder";

/// The condition of a system that says whether `curfew-analytics` knows who may do what there.
pub const INVENTORY_FRESH: &str = "InventoryFresh";
/// The condition of a system that says whether `curfew-analytics` knows who did what there.
pub const USAGE_FRESH: &str = "UsageFresh";
/// The conditions that `curfew-analytics` writes, and no others.
pub const OF_ANALYTICS: [&str; 2] = [INVENTORY_FRESH, USAGE_FRESH];

/// The status of a condition: True, False or Unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Is {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// Not yet determined.
    Unknown,
}

impl Is {
    /// The text in `status.conditions[].status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Is::True => "True",
            Is::False => "False",
            Is::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Is {
    fn from(b: bool) -> Self {
        if b { Is::True } else { Is::False }
    }
}

/// Sets the condition `type_` in place, with a message that is shortened to the limit of the schema, and keeps the order of the list. Sets `lastTransitionTime` to `now` only if the status changes.
pub fn set(list: &mut Vec<Condition>, type_: &str, is: Is, reason: &str, message: impl Into<String>, generation: Option<i64>, now: Time) {
    let message = clip(message, MAX_MESSAGE);
    let stamp = KubeTime(Timestamp::from_millisecond(now.floor_secs().as_millis()).unwrap_or(Timestamp::UNIX_EPOCH));
    let fresh = Condition {
        type_: type_.into(),
        status: is.as_str().into(),
        reason: reason.into(),
        message,
        observed_generation: generation,
        last_transition_time: stamp,
    };
    match list.iter_mut().find(|c| c.type_ == type_) {
        Some(old) if old.status == fresh.status => {
            *old = Condition { last_transition_time: old.last_transition_time.clone(), ..fresh };
        }
        Some(old) => *old = fresh,
        None => list.push(fresh),
    }
}

/// The condition of this type, if the list has one.
pub fn find<'a>(list: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    list.iter().find(|c| c.type_ == type_)
}

/// Whether the list has this condition with status `True`.
pub fn is_true(list: &[Condition], type_: &str) -> bool {
    find(list, type_).is_some_and(|c| c.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_time_changes_only_with_the_status() {
        let mut list = Vec::new();
        set(&mut list, "Ready", Is::False, "NotReady", "one", Some(1), Time::from_secs(10));
        set(&mut list, "Ready", Is::False, "Suspended", "two", Some(2), Time::from_secs(20));
        assert_eq!(list[0].last_transition_time.0, Timestamp::from_second(10).unwrap());
        assert_eq!((list[0].message.as_str(), list[0].observed_generation), ("two", Some(2)));
        set(&mut list, "Ready", Is::True, "AsExpected", "", Some(2), Time::from_secs(30));
        assert_eq!(list[0].last_transition_time.0, Timestamp::from_second(30).unwrap());
        assert!(is_true(&list, "Ready") && list.len() == 1);
    }
}
