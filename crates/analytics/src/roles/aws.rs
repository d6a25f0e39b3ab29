//! The managed policies of AWS, with their documents.
use crate::embedded::{Error, records, unpack};
use std::{collections::HashMap, sync::OnceLock};

/// A managed policy of AWS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManagedPolicy {
    /// Its ARN, such as `arn:aws:iam::aws:policy/ReadOnlyAccess`.
    pub arn: String,
    /// The version of its document, such as `v11`.
    pub version: String,
    /// The document, JSON.
    pub document: String,
}

impl ManagedPolicy {
    /// The last part of its ARN.
    pub fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or(&self.arn)
    }
    /// Whether it can be attached to users, groups and roles. Policies of service-linked roles cannot.
    pub fn attachable(&self) -> bool {
        !self.arn.contains(":policy/aws-service-role/")
    }
}

/// Every managed policy, by ARN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManagedPolicies {
    version: String,
    policies: Vec<ManagedPolicy>,
    by_arn: HashMap<String, usize>,
}

const FORMAT: &str = "curfew-roles-aws";

impl ManagedPolicies {
    /// Those that this program was built with.
    ///
    /// # Panics
    /// If the embedded data is broken, which a test rules out.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<ManagedPolicies> = OnceLock::new();
        let data = include_bytes!("../../data/roles-aws.gz");
        BUILTIN.get_or_init(|| Self::parse(&unpack(data)).expect("the embedded policies are complete"))
    }
    /// Reads `source name version` and `policy arn version document`.
    ///
    /// # Errors
    /// A line that is not of the format.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut all = Self { version: String::new(), policies: Vec::new(), by_arn: HashMap::new() };
        records(FORMAT, text, |_, fields| {
            match *fields {
                ["source", name, version] => all.version = format!("{name}-{version}"),
                ["policy", arn, version, document] => {
                    if all.by_arn.insert(arn.into(), all.policies.len()).is_some() {
                        return Err(format!("{arn} is there twice"));
                    }
                    all.policies.push(ManagedPolicy { arn: arn.into(), version: version.into(), document: document.into() });
                }
                _ => return Err(format!("unknown record {:?}", fields[0])),
            }
            Ok(())
        })?;
        Ok(all)
    }
    /// Where they come from.
    pub fn version(&self) -> &str {
        &self.version
    }
    /// All of them.
    pub fn all(&self) -> &[ManagedPolicy] {
        &self.policies
    }
    /// The policy with this ARN. The partition is not compared, so that `arn:aws-cn:iam::aws:policy/...` is found too.
    pub fn find(&self, arn: &str) -> Option<&ManagedPolicy> {
        let (_, rest) = arn.strip_prefix("arn:")?.split_once(':')?;
        self.by_arn.get(&format!("arn:aws:{rest}")).map(|at| &self.policies[*at])
    }
    /// The policy with this name, such as `ReadOnlyAccess`; of several with the same name the one that can be attached.
    pub fn named(&self, name: &str) -> Option<&ManagedPolicy> {
        let mut found = self.policies.iter().filter(|policy| policy.name() == name);
        let first = found.next()?;
        Some(found.find(|policy| policy.attachable() && !first.attachable()).unwrap_or(first))
    }
}
