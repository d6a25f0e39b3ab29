//! RoleBindings and ClusterRoleBindings, seen as one.
use crate::runtime::stores::binding_resource;
use curfew_core::{
    ids::GRANT_LABEL,
    principal::Subject,
    target::kubernetes::{Plan, PlannedBinding, RoleKind},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    ResourceExt,
    api::{DynamicObject, TypeMeta},
};
use serde_json::{Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";

/// A binding as the target holds it, as far as it matters.
#[derive(Clone, PartialEq, Debug)]
pub struct BindingState {
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub version: String,
    /// The grant that its label names.
    pub grant: Option<String>,
    /// Its roleRef.
    pub role: Value,
    /// Its subjects.
    pub subjects: Vec<Value>,
    /// It is terminating, and still authorises.
    pub deleting: bool,
    /// The uid of the one Job that owns it and nothing else does; nothing if it has other owners, or finalizers, or none.
    pub fuse: Option<String>,
}

impl BindingState {
    /// What an object says.
    pub fn of(o: &DynamicObject) -> Self {
        BindingState {
            uid: o.uid().unwrap_or_default(),
            version: o.resource_version().unwrap_or_default(),
            grant: o.labels().get(GRANT_LABEL).cloned(),
            role: o.data["roleRef"].clone(),
            subjects: o.data["subjects"].as_array().cloned().unwrap_or_default(),
            deleting: o.metadata.deletion_timestamp.is_some(),
            fuse: match o.owner_references() {
                [one] if one.kind == "Job" && o.finalizers().is_empty() => Some(one.uid.clone()),
                _ => None,
            },
        }
    }
    /// It binds the role that was planned.
    pub fn binds(&self, b: &PlannedBinding) -> bool {
        self.role == role_ref(b)
    }
    /// It names exactly the subject that was planned.
    pub fn is_armed(&self, plan: &Plan) -> bool {
        self.subjects == [subject(&plan.subject)]
    }
    /// It carries our label and role and is not on its way out.
    pub fn is_ours(&self, grant: &str, b: &PlannedBinding) -> bool {
        !self.deleting && self.grant.as_deref() == Some(grant) && self.binds(b)
    }
}

/// How a binding is called in status and messages.
pub fn id(b: &PlannedBinding) -> String {
    b.namespace.as_ref().map_or_else(|| b.name.clone(), |n| format!("{n}/{}", b.name))
}

/// A place without any access: no subjects. It is escalation-checked all the same, so a missing `bind` shows here.
pub fn reservation(grant: &str, b: &PlannedBinding, fuse: Option<OwnerReference>) -> DynamicObject {
    let kind = binding_resource(b.namespace.is_some());
    let mut o = DynamicObject::new(&b.name, &kind);
    o.types = Some(TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() });
    o.metadata.namespace.clone_from(&b.namespace);
    o.metadata.labels = Some([(GRANT_LABEL.to_owned(), grant.to_owned())].into());
    o.metadata.owner_references = fuse.map(|f| vec![f]);
    o.data = json!({"roleRef": role_ref(b)});
    o
}

fn role_ref(b: &PlannedBinding) -> Value {
    let kind = match b.role_kind {
        RoleKind::ClusterRole => "ClusterRole",
        RoleKind::Role => "Role",
    };
    json!({"apiGroup": GROUP, "kind": kind, "name": b.role})
}

/// A subject as a binding names it.
pub fn subject(s: &Subject) -> Value {
    match s {
        Subject::User(n) => json!({"apiGroup": GROUP, "kind": "User", "name": n}),
        Subject::Group(n) => json!({"apiGroup": GROUP, "kind": "Group", "name": n}),
        Subject::ServiceAccount(a) => json!({"kind": "ServiceAccount", "name": a.name, "namespace": a.namespace}),
    }
}
