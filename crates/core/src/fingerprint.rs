//! What tells a target from a copy of it. Pure.
//!
//! A restored backup has the uids of its original, so an identity alone proves nothing about absence. What the copy cannot have
//! at the same time is the original's address, the CA that is trusted there, and the keys that sign its service accounts' tokens.
//! A change of any of these is another target until a person confirms it; of the keys one in common is enough, as after a rotation.
use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// How a target is reached, and what it shows of itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fingerprint {
    /// The address of its API.
    #[cfg_attr(feature = "schema", schemars(length(max = 2048)))]
    pub server: String,
    /// The digest of the CA certificates that its server is verified with.
    pub ca: Digest,
    /// The thumbprints of the keys that sign its service accounts' tokens, sorted.
    #[cfg_attr(feature = "schema", schemars(length(max = 32), inner(length(max = 64)), extend("x-kubernetes-list-type" = "atomic")))]
    pub keys: Vec<String>,
}

impl Fingerprint {
    /// The digest by which a person accepts it.
    pub fn id(&self) -> Digest {
        Digest::of(self)
    }

    fn is_accepted(&self, accepted: &[String]) -> bool {
        let id = self.id().to_string();
        accepted.contains(&id)
    }

    /// What differs in `live`, in words; empty if nothing does that matters.
    fn differences(&self, live: &Fingerprint) -> Vec<String> {
        let common = self.keys == live.keys || live.keys.iter().any(|key| self.keys.contains(key));
        let address = (self.server != live.server).then(|| format!("the address was {} and is {}", self.server, live.server));
        let ca = (self.ca != live.ca).then(|| "the CA is another one".to_owned());
        let keys = (!common).then(|| "none of its service account keys is known from before".to_owned());
        [address, ca, keys].into_iter().flatten().collect()
    }
}

/// The target that is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meant {
    /// The identity that it reports.
    pub identity: String,
    /// The fingerprints under which it is known. Empty where copies of a target cannot exist, and in what the first builds stored.
    pub recorded: Vec<Fingerprint>,
    /// The ids of the fingerprints that a person has accepted.
    pub accepted: Vec<String>,
}

impl Meant {
    /// Known by its identity alone.
    pub fn by_identity(identity: impl Into<String>) -> Self {
        Meant { identity: identity.into(), recorded: Vec::new(), accepted: Vec::new() }
    }

    /// Whether what was reached is this target. What another one shows proves nothing.
    ///
    /// # Errors
    /// What differs, and how a person confirms that it is the same target.
    pub fn check(&self, identity: &str, live: Option<&Fingerprint>) -> Result<(), String> {
        if identity != self.identity {
            return Err(self.is_another(identity));
        }
        self.check_fingerprint(live)
    }

    fn is_another(&self, identity: &str) -> String {
        format!("the connection leads to another target: {identity}, and {} was meant; nothing it shows is believed", self.identity)
    }

    fn check_fingerprint(&self, live: Option<&Fingerprint>) -> Result<(), String> {
        let Some(last) = self.recorded.last() else { return Ok(()) };
        let Some(live) = live else {
            return Err("the connection leads to another target: it shows no address, CA and keys; nothing it shows is believed".into());
        };
        if live.is_accepted(&self.accepted) || self.recorded.iter().any(|known| known.differences(live).is_empty()) {
            return Ok(());
        }
        Err(format!(
            "the connection leads to another target, or to a copy: {}; nothing it shows is believed; if it is the same target, add {} to spec.acceptedTargets of its AuthorizationSystem",
            last.differences(live).join(", "),
            live.id()
        ))
    }
}

/// Whether a system that has recorded `known` may record what its connection leads to now. The first target is recorded as it is,
/// and so is one without a fingerprint.
///
/// # Errors
/// What differs, and how a person confirms the change.
pub fn may_record(known: Option<&Meant>, identity: &str, live: Option<&Fingerprint>) -> Result<(), String> {
    match (known, live) {
        (None, _) | (_, None) => Ok(()),
        (Some(known), Some(live)) if live.is_accepted(&known.accepted) => Ok(()),
        (Some(known), Some(live)) if known.identity != identity => Err(format!(
            "{}; if Curfew must grant there from now on, add {} to spec.acceptedTargets",
            known.is_another(identity),
            live.id()
        )),
        (Some(known), Some(live)) => known.check(identity, Some(live)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(server: &str, ca: u8, keys: &[&str]) -> Fingerprint {
        Fingerprint { server: server.into(), ca: Digest::of_bytes(&[ca]), keys: keys.iter().map(ToString::to_string).collect() }
    }
    fn meant(recorded: &[Fingerprint], accepted: &[Fingerprint]) -> Meant {
        Meant { identity: "t".into(), recorded: recorded.to_vec(), accepted: accepted.iter().map(|f| f.id().to_string()).collect() }
    }

    #[test]
    fn another_address_ca_or_set_of_keys_is_another_target() {
        let original = seen("https://a", 1, &["k1"]);
        let m = meant(std::slice::from_ref(&original), &[]);
        assert_eq!(m.check("t", Some(&original)), Ok(()));
        assert_eq!(m.check("t", Some(&seen("https://a", 1, &["k1", "k2"]))), Ok(()), "a rotation");
        for (other, word) in [
            (seen("https://b", 1, &["k1"]), "the address was https://a and is https://b"),
            (seen("https://a", 2, &["k1"]), "the CA is another one"),
            (seen("https://a", 1, &["k2"]), "none of its service account keys"),
            (seen("https://a", 1, &[]), "none of its service account keys"),
        ] {
            let why = m.check("t", Some(&other)).unwrap_err();
            assert!(why.contains(word) && why.contains(&other.id().to_string()), "{why}");
            assert_eq!(
                meant(std::slice::from_ref(&original), std::slice::from_ref(&other)).check("t", Some(&other)),
                Ok(()),
                "a person has accepted it"
            );
            assert_eq!(meant(&[original.clone(), other.clone()], &[]).check("t", Some(&other)), Ok(()), "recorded since");
            let elsewhere = seen("https://c", 3, &["k3"]);
            assert!(meant(std::slice::from_ref(&original), &[other]).check("t", Some(&elsewhere)).is_err(), "only that one was accepted");
        }
        assert!(m.check("t", None).is_err(), "a connection that shows nothing proves nothing");
    }

    #[test]
    fn an_accepted_fingerprint_does_not_replace_the_identity() {
        let (original, other) = (seen("https://a", 1, &["k1"]), seen("https://b", 2, &["k2"]));
        assert!(meant(&[original], std::slice::from_ref(&other)).check("another", Some(&other)).is_err());
    }

    #[test]
    fn what_was_stored_without_a_fingerprint_is_judged_by_its_identity() {
        let m = Meant::by_identity("t");
        assert_eq!((m.check("t", None), m.check("t", Some(&seen("https://a", 1, &[])))), (Ok(()), Ok(())));
        assert!(m.check("u", None).is_err());
    }

    #[test]
    fn a_system_records_its_first_target_and_a_change_that_a_person_has_accepted() {
        let (original, other) = (seen("https://a", 1, &["k1"]), seen("https://b", 2, &["k2"]));
        let known = |accepted: &[Fingerprint]| meant(std::slice::from_ref(&original), accepted);
        assert_eq!(may_record(None, "t", Some(&other)), Ok(()));
        assert_eq!(may_record(Some(&known(&[])), "t", Some(&original)), Ok(()));
        assert_eq!(may_record(Some(&known(&[])), "u", None), Ok(()), "where no copies exist, the identity is recorded");
        for identity in ["t", "u"] {
            let why = may_record(Some(&known(&[])), identity, Some(&other)).unwrap_err();
            assert!(why.contains("leads to another target") && why.contains(&other.id().to_string()), "{why}");
            assert_eq!(may_record(Some(&known(std::slice::from_ref(&other))), identity, Some(&other)), Ok(()));
        }
    }
}
