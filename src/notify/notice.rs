//! What people are told: the form of a notification, and those that are about no object. Pure.
use curfew_core::{
    notice::{NoticeEvent, digest::Week, matrix::Concerned, transition::RequestEvent},
    time::Time,
};

/// A fact of a notification: its name, as in a CloudEvent, and its value.
pub type Fact = (&'static str, String);

/// One thing that people are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// What has happened.
    pub event: RequestEvent,
    /// Tells it from every other, also if it is sent twice.
    pub id: String,
    /// What it is about; `None` for a digest.
    pub about: Option<About>,
    /// What has happened, in one line.
    pub subject: String,
    /// The facts. People have written some of them.
    pub facts: Vec<Fact>,
    /// What the status says, or what a digest counts.
    pub message: String,
    /// The commands for what can be done next.
    pub commands: Vec<String>,
    /// Whom it concerns.
    pub concerned: Concerned,
}

/// The object that a notification is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct About {
    /// Its kind.
    pub kind: Kind,
    /// Namespace and name.
    pub key: (String, String),
}

/// The kinds that people are told about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An ActivationRequest.
    Request,
    /// An AssignmentRequest.
    AssignmentRequest,
    /// An EligibleAssignment.
    Assignment,
    /// An ActiveAssignment.
    Standing,
    /// An AccessDecision.
    Decision,
}

impl Notice {
    /// The role that it is about, as `namespace/name`.
    pub fn role(&self) -> String {
        let fact = |wanted: &str| self.facts.iter().find(|(fact, _)| *fact == wanted).map_or("", |(_, value)| value.as_str());
        format!("{}/{}", fact("namespace"), fact("role"))
    }

    /// The uid of the object that it is about.
    pub fn uid(&self) -> &str {
        self.id.split('/').next().unwrap_or_default()
    }

    /// An id of these parts, in characters that may stand in the header `webhook-id` and in a Message-ID: a stage may have any visible name.
    pub fn id_of(parts: &[&str]) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let escaped = |part: &&str| -> String {
            part.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
        };
        parts.iter().map(escaped).collect::<Vec<_>>().join("/")
    }

    /// The summary of what a recipient was not sent within an hour.
    pub fn of_suppressed(install: &str, recipient: &str, count: u32, per_hour: u32, now: Time) -> Self {
        Notice {
            event: RequestEvent { event: NoticeEvent::Digest, stage: None },
            id: Notice::id_of(&[install, "Suppressed", recipient, &now.to_string()]),
            about: None,
            subject: format!("{count} notifications were not sent"),
            facts: vec![("kind", "Suppressed".to_owned()), ("suppressed", count.to_string()), ("maxPerHour", per_hour.to_string())],
            message: format!(
                "at most {per_hour} notifications are sent in an hour (maxPerHour), and of one namespace half of what others have left of them"
            ),
            commands: vec!["kubectl curfew list --waiting-for-me -A".to_owned(), "kubectl get areq -A".to_owned()],
            concerned: Concerned::default(),
        }
    }
}

/// What the assignments show when a digest is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Assignments {
    /// How many make eligible without an end.
    pub permanent: usize,
    /// How many end within the next week.
    pub ending: usize,
}

/// The digest of a week that has ended.
pub fn of_week(week: &Week, until: &str, assignments: Assignments, install: &str) -> Notice {
    let counts = &week.counts;
    let top = counts.top_roles().into_iter().map(|(role, count)| format!("{role} {count}")).collect::<Vec<_>>().join(", ");
    let facts = vec![
        ("kind", "Digest".to_owned()),
        ("since", week.since.to_string()),
        ("until", until.to_owned()),
        ("activations", counts.activations.to_string()),
        ("refused", counts.refused.to_string()),
        ("breakGlass", counts.break_glass.to_string()),
        ("assigned", counts.assigned.to_string()),
        ("assignmentsEnded", counts.assignments_ended.to_string()),
        ("assignmentsEnding", assignments.ending.to_string()),
        ("assignmentsPermanent", assignments.permanent.to_string()),
        ("topRoles", if top.is_empty() { "none".to_owned() } else { top }),
    ];
    Notice {
        event: RequestEvent { event: NoticeEvent::Digest, stage: None },
        id: format!("{install}/Digest/{}", week.since),
        about: None,
        subject: format!("Curfew from {} to {until}: {} activations, {} refused", week.since, counts.activations, counts.refused),
        facts,
        message: "assignmentsEnding: within the next seven days; topRoles: the roles with the most activations".to_owned(),
        commands: vec!["kubectl get areq -A".to_owned(), "kubectl get eas -A".to_owned()],
        concerned: Concerned::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_stand_in_a_header_also_if_a_stage_has_another_script() {
        assert_eq!(Notice::id_of(&["u-1", "ApprovalNeeded", "Prüfung 2/3"]), "u-1/ApprovalNeeded/Pr%C3%BCfung%202%2F3");
        assert_ne!(Notice::id_of(&["u", "E", "a/b"]), Notice::id_of(&["u", "E/a", "b"]));
    }
}
