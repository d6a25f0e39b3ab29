//! What is told of a use of an emergency account. Pure.
use super::notice::{About, Kind, Notice};
use crate::api::{ActivationRequest, ActiveAssignment, AssignmentRequest};
use curfew_core::{
    notice::{NoticeEvent, matrix::Concerned, transition::RequestEvent},
    text::{brief, printable},
};
use kube::{Resource, ResourceExt};

/// That a login of an emergency account of a system has created this object. `note` says so, and what to do.
pub fn of_use<K: Resource<DynamicType = ()>>(object: &K, login: &str, system: &str, note: &str) -> Notice {
    let kind = K::kind(&());
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let facts = [("kind", kind.as_ref()), ("namespace", &namespace), ("name", &name), ("system", system), ("emergencyAccount", login)];
    Notice {
        event: RequestEvent { event: NoticeEvent::EmergencyAccountUsed, stage: None },
        id: Notice::id_of(&[&object.uid().unwrap_or_default(), "EmergencyAccountUsed", system]),
        subject: printable(&format!("emergency account {} of system {} was used", brief(login), brief(system))),
        facts: facts.map(|(fact, value)| (fact, value.to_owned())).into(),
        message: note.to_owned(),
        commands: vec![
            "kubectl get events -A --field-selector reason=EmergencyAccountUsed".to_owned(),
            format!("kubectl get authsys {system} -o yaml"),
        ],
        about: Some(About { kind: kind_of(&kind), key: (namespace.clone(), name.clone()) }),
        concerned: Concerned::default(),
    }
}

fn kind_of(kind: &str) -> Kind {
    match kind {
        _ if kind == ActivationRequest::kind(&()) => Kind::Request,
        _ if kind == AssignmentRequest::kind(&()) => Kind::AssignmentRequest,
        _ if kind == ActiveAssignment::kind(&()) => Kind::Standing,
        _ => Kind::Decision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AccessDecision;
    use serde_json::json;

    #[test]
    fn a_use_tells_administrators_which_login_has_created_what() {
        let decision = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": "d", "namespace": "payments", "uid": "u"},
            "spec": {"about": {"activationRequest": {"name": "first"}}, "decision": "Revoke"}});
        let decision: AccessDecision = serde_json::from_value(decision).unwrap();
        let told = of_use(&decision, "rescue", "prod", "find out who used it");
        assert_eq!(
            (told.id.as_str(), told.subject.as_str()),
            ("u/EmergencyAccountUsed/prod", "emergency account rescue of system prod was used")
        );
        assert!(told.facts.contains(&("kind", "AccessDecision".into())) && told.facts.contains(&("emergencyAccount", "rescue".into())));
        assert_eq!(told.about, Some(About { kind: Kind::Decision, key: ("payments".into(), "d".into()) }));
        assert_eq!(told.concerned, Concerned::default(), "administrators alone");
    }
}
