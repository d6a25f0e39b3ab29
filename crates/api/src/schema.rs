//! Pieces of schema that several kinds share.
use schemars::{Schema, SchemaGenerator, json_schema};

/// `status.conditions`: the metav1 shape, a map by type, so that two writers never fight over the order.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "description": "What is true of this object now, one entry for each type. The contract for tools; `kubectl wait --for=condition=...` reads it.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "maxItems": 16,
        "items": {
            "type": "object",
            "description": "One condition.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "description": "What it is about.", "maxLength": 64},
                "status": {"type": "string", "description": "True, False or Unknown.", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation of the spec that was looked at."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When the status last changed."},
                "reason": {"type": "string", "description": "Why, in one CamelCase word.", "maxLength": 64},
                "message": {"type": "string", "description": "Why, for people, and what to do next.", "maxLength": 1024}
            }
        }
    })
}

/// The rule that no subject in a list is one of Kubernetes' own identities.
pub const NO_SYSTEM_SUBJECTS: &str =
    "self.all(s, !(has(s.user) && s.user.startsWith('system:')) && !(has(s.group) && s.group.startsWith('system:')))";
