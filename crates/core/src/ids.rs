//! Names that follow from facts, so that doing something twice is doing it once.
use crate::time::Time;
use sha2::{Digest as _, Sha256};

/// The key of the label on everything that Curfew made; its value is the grant id.
pub const GRANT_LABEL: &str = "curfew.dev/grant";
/// The finalizer that holds a Grant until nothing is left at its target.
pub const REVOKE_FINALIZER: &str = "curfew.dev/revoke";
/// The finalizer that holds an AuthorizationSystem while Grants live in it.
pub const GRANTS_FINALIZER: &str = "curfew.dev/grants";
/// How the name of every binding that Curfew made begins.
pub const BINDING_PREFIX: &str = "curfew:";

fn hex(text: &str, digits: usize) -> String {
    let full = Sha256::digest(text.as_bytes());
    full.iter().map(|b| format!("{b:02x}")).collect::<String>()[..digits].to_owned()
}

/// The install id: known to whoever can read the operator's namespace, without any CRD.
pub fn install_id(operator_namespace_uid: &str) -> String {
    hex(operator_namespace_uid, 8)
}

/// The id of the one Grant that a request can ever have. It is the Grant's name and stands in everything written for it.
pub fn grant_id(install: &str, request_uid: &str) -> String {
    hex(&format!("{install}/{request_uid}"), 16)
}

/// What the name of a binding says: all that the sweep needs to know, readable without any other object, and immutable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BindingName {
    /// The install that made it.
    pub install: String,
    /// The Grant behind it.
    pub grant: String,
    /// When it ends at the latest.
    pub deadline: Time,
    /// Which of the Grant's bindings it is.
    pub n: usize,
}

impl BindingName {
    /// The name as it stands in the cluster: `curfew:<install>:<grant>:<deadline>:<n>`.
    pub fn text(&self) -> String {
        format!("{BINDING_PREFIX}{}:{}:{}:{}", self.install, self.grant, self.deadline.compact(), self.n)
    }

    /// Reads a name. Only what we would have written ourselves is read, to the letter.
    pub fn parse(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.strip_prefix(BINDING_PREFIX)?.split(':').collect();
        let [install, grant, deadline, n] = parts.as_slice() else { return None };
        let found = BindingName {
            install: (*install).into(),
            grant: (*grant).into(),
            deadline: Time::parse_compact(deadline)?,
            n: n.parse().ok()?,
        };
        (found.text() == name).then_some(found)
    }

    /// The Job that ends this binding if nobody else does.
    pub fn fuse(&self) -> String {
        format!("curfew-{}-{}", self.grant, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_name_says_everything_and_is_read_to_the_letter() {
        let name = "curfew:0123abcd:00000000000000a1:20261123T081500Z:3";
        let read = BindingName::parse(name).unwrap();
        assert_eq!((read.text().as_str(), read.n, read.fuse().as_str()), (name, 3, "curfew-00000000000000a1-3"));
        assert_eq!(read.deadline.to_string(), "2026-11-23T08:15:00Z");
        for bad in ["curfew:a:b:20261123T081500Z", "curfew:a:b:20261123T081500Z:+3", "curfew:a:b:2026:0", "x:a:b:20261123T081500Z:0", ""] {
            assert_eq!(BindingName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_request_has_one_grant_and_another_request_another() {
        assert_eq!(install_id("7d1c"), install_id("7d1c"));
        assert_eq!((install_id("7d1c").len(), grant_id("a", "b").len()), (8, 16));
        assert_ne!(grant_id("a", "b"), grant_id("a", "c"));
        assert_ne!(grant_id("a", "b"), grant_id("b", "b"), "two installs never share a grant");
    }
}
