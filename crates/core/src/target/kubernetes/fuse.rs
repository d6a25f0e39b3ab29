//! How a binding of a namespace ends without the operator, as CurfewConfig says it. A Grant keeps what was configured when it was
//! created.
use crate::target::Empty;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings of every Kubernetes target.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "KubernetesSettings"))]
pub struct Settings {
    /// What ends a binding of a namespace while no operator runs.
    pub fuse: Fuse,
}

/// What ends a binding of a namespace while no operator runs: a Job that owns the binding, or nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum Fuse {
    /// A Job that runs no Pod. It fails soon after the deadline, and the garbage collector deletes the binding with it.
    Job(FuseJob),
    /// Nothing: only the operator and the sweep end the access, and `status.enforcedBy` says `Curfew`.
    None(Empty),
}

/// What a cluster's policies ask of the Job and of its Pod template.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FuseJob {
    /// The image of the Pod template, for policies that restrict registries or tags. It is never pulled.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 512)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Labels of the Job and of its Pod template.
    #[cfg_attr(feature = "schema", schemars(schema_with = "labels"))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Job and of its Pod template.
    #[cfg_attr(feature = "schema", schemars(schema_with = "annotations"))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Default for Fuse {
    fn default() -> Self {
        Fuse::Job(FuseJob::default())
    }
}

impl Fuse {
    /// Whether it is a Job as built: how a plan is read that says nothing about it.
    pub fn is_default(&self) -> bool {
        *self == Fuse::default()
    }
    /// The Job, if there is one.
    pub const fn job(&self) -> Option<&FuseJob> {
        match self {
            Fuse::Job(job) => Some(job),
            Fuse::None(_) => None,
        }
    }
}

#[cfg(feature = "schema")]
fn labels(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    metadata(63)
}

#[cfg(feature = "schema")]
fn annotations(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    metadata(1024)
}

/// Keys and values of metadata. Keys of Curfew's own mark what it created, and are not for others to set.
#[cfg(feature = "schema")]
fn metadata(longest: u32) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": longest},
        "x-kubernetes-validations": [{
            "rule": "self.all(key, !key.startsWith('curfew.dev/'))",
            "message": "keys of curfew.dev are reserved for Curfew"
        }]
    })
}
