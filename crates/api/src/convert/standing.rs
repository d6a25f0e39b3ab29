//! Standing access: an ActiveAssignment as the rules read it.
use super::{created, provenance, reference, window};
use crate::{
    ActiveAssignment as Object,
    active_assignment::{AUTHOR_PROVEN, StandingWindow},
    conditions,
};
use curfew_core::{
    admission::{AdmissionHistory, Provenance},
    policy_inputs::{ActiveAssignment, Assignment},
};

/// What an ActiveAssignment has in common with an EligibleAssignment; its window is the bounds of its occurrences, as its status says.
pub(super) fn standing_assignment(object: &Object) -> Assignment {
    let spec = &object.spec;
    Assignment {
        reference: reference(object),
        role: spec.role_ref.name.clone(),
        subject: spec.subject.clone(),
        scope: spec.scope.narrowed(),
        permissions: spec.permissions.clone(),
        window: window(object),
        suspended: spec.suspend,
        delegated: false,
        unproven: None,
        unsupported: Vec::new(),
    }
}

/// An ActiveAssignment. That admission was proven when it was created is recorded in its status. The record counts only where as many
/// spans are remembered as there may be, and the creation was before all of them: in a gap anybody may have written it.
pub fn active_assignment(object: &Object, admission: &AdmissionHistory) -> ActiveAssignment {
    let spec = &object.spec;
    let recurrence = match &spec.window {
        StandingWindow::Permanent(_) | StandingWindow::Between(_) => None,
        StandingWindow::Recurring(all) => Some(all.recurrence.clone()),
    };
    let created = created(object);
    let recorded = || object.status.as_ref().is_some_and(|status| conditions::is_true(&status.conditions, AUTHOR_PROVEN));
    let provenance = match provenance(object, admission) {
        Provenance::Unverified if admission.has_forgotten(created) && recorded() => Provenance::Verified,
        found => found,
    };
    ActiveAssignment {
        assignment: standing_assignment(object),
        system: spec.system.clone(),
        recurrence,
        justification: spec.justification.clone(),
        author: spec.author.clone().unwrap_or_default(),
        created,
        provenance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::is_present;
    use curfew_core::{
        admission::{MAX_PAST_SPANS, Span},
        time::Time,
    };
    use serde_json::json;

    /// What the status of an object says about its author; `deleting` if a finalizer keeps it.
    fn object(recorded: Option<&str>, deleting: bool) -> Object {
        let conditions = recorded.map(|status| {
            json!([{"type": AUTHOR_PROVEN, "status": status, "reason": "AsExpected", "message": "", "lastTransitionTime": "2026-11-25T12:00:00Z"}])
        });
        let mut object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActiveAssignment",
            "metadata": {"name": "on-call", "namespace": "payments", "uid": "a1", "creationTimestamp": "2026-11-25T12:00:00Z"},
            "spec": {"roleRef": {"name": "edit"}, "subject": {"user": "stan"}, "scope": {"all": {}}, "window": {"permanent": {}},
                "justification": "j", "author": {"username": "olga", "groups": []}},
            "status": {"conditions": conditions.unwrap_or(json!([]))},
        });
        if deleting {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-25T13:00:00Z");
            object["metadata"]["finalizers"] = json!(["foregroundDeletion"]);
        }
        serde_json::from_value(object).unwrap()
    }

    /// When the objects were created.
    fn then() -> Time {
        Time::parse("2026-11-25T12:00:00Z").unwrap()
    }

    /// A history whose running span begins so many seconds after that, with this many spans before, a minute each, of which none reaches
    /// the creation.
    fn history(since: i64, past: usize) -> AdmissionHistory {
        let span = |number: usize| {
            let since = then().plus_secs(60 + 120 * i64::try_from(number).unwrap());
            Span { since, until: since.plus_secs(60) }
        };
        let since = then().plus_secs(since);
        let past = (0..past).map(span).collect();
        AdmissionHistory { since: Some(since), proven: Some(since.plus_secs(3600)), past, ..AdmissionHistory::default() }
    }

    #[test]
    fn a_record_of_the_author_counts_only_where_the_history_does_not_reach_back() {
        let found = |recorded, history: &AdmissionHistory| active_assignment(&object(recorded, false), history).provenance;
        let (proven, gap, forgotten) = (history(-60, 0), history(86_400, 3), history(86_400, MAX_PAST_SPANS));
        for recorded in [None, Some("False"), Some("True")] {
            assert_eq!(found(recorded, &proven), Provenance::Verified, "{recorded:?}");
            assert_eq!(found(recorded, &gap), Provenance::Unverified, "{recorded:?}: it was created in a gap that is remembered");
            let by_record = if recorded == Some("True") { Provenance::Verified } else { Provenance::Unverified };
            assert_eq!(found(recorded, &forgotten), by_record, "{recorded:?}");
            // What is not known yet is not believed either.
            assert_eq!(found(recorded, &AdmissionHistory::unknown()), Provenance::Pending, "{recorded:?}");
        }
    }

    #[test]
    fn what_is_being_deleted_gives_nothing_any_more() {
        assert!(is_present(&object(None, false)) && !is_present(&object(None, true)));
    }
}
