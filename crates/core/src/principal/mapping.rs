//! How a login maps to the name of a principal at a target that has names of its own: `spec.principals` of an AuthorizationSystem.
//!
//! The mapping must not make one principal of two people. Equal user names stay equal and different ones different, because a prefix or
//! suffix that is to be removed must be there. The value of an extra key may be shared by several logins, so the key must be one of the
//! alias keys: then these logins count as one person everywhere, also where one of them approves.
use super::{Subject, UserInfo};
use crate::text::brief;

/// `spec.principals` of an AuthorizationSystem.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mapping {
    /// Where the name comes from.
    pub source: Source,
    /// A prefix that is removed. It must be there.
    pub strip_prefix: Option<String>,
    /// A suffix that is removed. It must be there.
    pub strip_suffix: Option<String>,
}

/// Where the name of a principal comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// The Kubernetes user name.
    Username,
    /// The value of this extra key of the login.
    ExtraKey(String),
}

/// What a holder's name at a target is found from.
#[derive(Clone, Copy, Debug)]
pub struct Mapped<'a> {
    /// The system's name.
    pub system: &'a str,
    /// The system's mapping.
    pub mapping: Option<&'a Mapping>,
    /// The holder's own login; nothing where another one only names them.
    pub login: Option<&'a UserInfo>,
    /// The extra keys whose values identify the person; nothing where that was judged before and no longer counts.
    pub alias_keys: Option<&'a [String]>,
}

impl Mapped<'_> {
    /// The holder's name at the target.
    ///
    /// # Errors
    /// Why there is none, in words: the holder, the value and what to change.
    pub fn name(&self, holder: &Subject) -> Result<String, String> {
        let system = self.system;
        let Some(mapping) = self.mapping else {
            return Err(format!(
                "system {system} does not say which principal {} is there; set spec.principals of the system",
                brief(&holder.to_string())
            ));
        };
        let value = self.value(&mapping.source, holder)?;
        let stripped = |(what, how): (&str, &str)| {
            format!("{} does not {how} {what}, which system {system} removes, so it is not a principal there", brief(&value))
        };
        let name = match &mapping.strip_prefix {
            Some(prefix) => value.strip_prefix(prefix).ok_or_else(|| stripped((prefix, "begin with")))?,
            None => &value,
        };
        let name = match &mapping.strip_suffix {
            Some(suffix) => name.strip_suffix(suffix).ok_or_else(|| stripped((suffix, "end with")))?,
            None => name,
        };
        match name.is_empty() {
            true => Err(format!("nothing is left of {} for system {system}, so it is not a principal there", brief(&value))),
            false => Ok(name.to_owned()),
        }
    }

    /// The text from which prefix and suffix are removed.
    fn value(&self, source: &Source, holder: &Subject) -> Result<String, String> {
        let (system, who) = (self.system, brief(&holder.to_string()));
        let key = match source {
            Source::Username => return Ok(holder.principal()),
            Source::ExtraKey(key) => key,
        };
        if self.alias_keys.is_some_and(|keys| !keys.contains(key)) {
            return Err(format!(
                "system {system} takes principals from extra key {key}, which must be one of identity.aliases.keys in CurfewConfig, so that logins with one principal count as one person"
            ));
        }
        let Some(login) = self.login else {
            return Err(format!(
                "system {system} takes principals from extra key {key}, and the login of {who} is not known; {who} must create the request"
            ));
        };
        match login.extra_values(key).collect::<Vec<_>>().as_slice() {
            [value] => Ok((*value).to_owned()),
            [] => Err(format!("the login of {who} has no extra key {key}, from which system {system} takes principals")),
            several => Err(format!(
                "the login of {who} has {} values of extra key {key}, and system {system} takes a single one as principal",
                several.len()
            )),
        }
    }
}

#[cfg(test)]
mod tests;
