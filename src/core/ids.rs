//! Names that follow from facts, so that doing something twice is doing it once.
use sha2::{Digest as _, Sha256};

/// The key of the label on everything that Curfew made; its value is the grant id.
pub const GRANT_LABEL: &str = "curfew.dev/grant";
/// The finalizer that holds a Grant until nothing is left at its target.
pub const REVOKE_FINALIZER: &str = "curfew.dev/revoke";
/// How the name of every binding that Curfew made begins.
pub const BINDING_PREFIX: &str = "curfew:";

fn hex(text: &str, digits: usize) -> String {
    let full = Sha256::digest(text.as_bytes());
    full.iter().map(|b| format!("{b:02x}")).collect::<String>()[..digits].to_owned()
}

/// The install id: known to whoever can read the operator's namespace, without any CRD.
pub fn install(operator_namespace_uid: &str) -> String {
    hex(operator_namespace_uid, 8)
}

/// The id of the one Grant that a request can ever have. It is the Grant's name and stands in everything written for it.
pub fn grant(install: &str, request_uid: &str) -> String {
    hex(&format!("{install}/{request_uid}"), 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_grant_and_another_request_another() {
        assert_eq!(install("7d1c"), install("7d1c"));
        assert_eq!((install("7d1c").len(), grant("a", "b").len()), (8, 16));
        assert_ne!(grant("a", "b"), grant("a", "c"));
        assert_ne!(grant("a", "b"), grant("b", "b"), "two installs never share a grant");
    }
}
