//! Schema fragments that several kinds share.
use schemars::{Schema, SchemaGenerator, json_schema};

/// Schema of `status.conditions`: metav1.Condition as a map by type, so that the order of the list does not cause conflicts between writers.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "description": "The conditions of this object, one for each type. Tools should read these; `kubectl wait --for=condition=...` does.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "maxItems": 16,
        "items": {
            "type": "object",
            "description": "A condition, as in metav1.Condition.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "description": "Type of the condition.", "maxLength": 64},
                "status": {"type": "string", "description": "True, False or Unknown.", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "description": "The `metadata.generation` that this condition describes."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When the status last changed."},
                "reason": {"type": "string", "description": "Reason for the status, in CamelCase.", "maxLength": 64},
                "message": {"type": "string", "description": "Explains the status and says what to do next.", "maxLength": 1024}
            }
        }
    })
}

/// CEL rule for the permissions of a policy: a `*` is the whole name, or its whole last segment. Namespaces are names
/// (`namespace` is a reserved word of CEL, which is written with underscores).
pub const PATTERNS: &str = "!has(self.kubernetes) || (\
    (!has(self.kubernetes.clusterRoles) || self.kubernetes.clusterRoles.all(r, r.matches('^([^*]*|[*]|[^*]*[:./][*])$'))) && \
    (!has(self.kubernetes.roles) || self.kubernetes.roles.all(r, r.name.matches('^([^*]*|[*]|[^*]*[:./][*])$') && !r.__namespace__.contains('*'))))";

/// What a name that [`PATTERNS`] refuses is told.
pub const PATTERNS_MESSAGE: &str =
    "* stands for everything, or for the whole last segment after :, . or / (payments:*); write other names, and namespaces, in full";

/// CEL rule for a list of names: none is a pattern.
pub const NO_PATTERNS: &str = "self.all(n, !n.contains('*'))";

/// CEL rule for the scope of a policy: its namespaces are names.
pub const SCOPE_WITHOUT_PATTERNS: &str =
    "!has(self.kubernetes) || !has(self.kubernetes.namespaces) || self.kubernetes.namespaces.all(n, !n.contains('*'))";

/// CEL rule: no user or group in the list has a name that begins with `system:`, the prefix that Kubernetes reserves.
pub const NO_SYSTEM_SUBJECTS: &str =
    "self.all(s, !(has(s.user) && s.user.startsWith('system:')) && !(has(s.group) && s.group.startsWith('system:')))";
