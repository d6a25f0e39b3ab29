//! The names of bindings. They hold everything that the sweep needs to know, can be read without any other object, and never
//! change: a label can be put on any binding and proves nothing.
use crate::{ids::Mark, target::PlanNames, time::Time};

/// The prefix of the name of every binding that Curfew creates.
pub const BINDING_PREFIX: &str = "curfew:";

/// The name of a binding in parts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BindingName {
    /// The install that created it.
    pub install: String,
    /// The Grant that it belongs to.
    pub grant: String,
    /// When it ends at the latest.
    pub deadline: Time,
    /// Its index among the Grant's bindings.
    pub n: usize,
}

impl BindingName {
    /// The name of the `n`th binding of a grant.
    pub fn of(names: PlanNames<'_>, n: usize) -> Self {
        BindingName { install: names.install.to_owned(), grant: names.grant.to_owned(), deadline: names.deadline, n }
    }

    /// The name as it is in the cluster: `curfew:<install>:<grant>:<deadline>:<n>`.
    pub fn text(&self) -> String {
        format!("{BINDING_PREFIX}{}:{}:{}:{}", self.install, self.grant, self.deadline.compact(), self.n)
    }

    /// What the sweep reads off it.
    pub fn mark(&self) -> Mark {
        Mark { install: self.install.clone(), grant: self.grant.clone(), deadline: self.deadline }
    }

    /// Reads a name. Only the exact form that [`BindingName::text`] writes is accepted.
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

    /// The name of the Job that ends this binding if nothing else does.
    pub fn fuse(&self) -> String {
        format!("curfew-{}-{}", self.grant, self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_name_is_read_only_in_its_exact_form() {
        let name = "curfew:0123abcd:00000000000000a1:20261123T081500Z:3";
        let read = BindingName::parse(name).unwrap();
        assert_eq!((read.text().as_str(), read.n, read.fuse().as_str()), (name, 3, "curfew-00000000000000a1-3"));
        assert_eq!(read.deadline.to_string(), "2026-11-23T08:15:00Z");
        for bad in ["curfew:a:b:20261123T081500Z", "curfew:a:b:20261123T081500Z:+3", "curfew:a:b:2026:0", "x:a:b:20261123T081500Z:0", ""] {
            assert_eq!(BindingName::parse(bad), None, "{bad}");
        }
    }
}
