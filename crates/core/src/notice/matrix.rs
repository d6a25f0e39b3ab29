//! The configured matrix: which addresses an event is told to.
use super::{NoticeEvent, Recipient};
use crate::{principal::Subject, text::is_blank};
use std::collections::BTreeSet;

/// The most addresses of one notification. Further ones are not told, and counted (PIM-018).
pub const MAX_ADDRESSES: usize = 1000;

/// A cell of the matrix that differs from the default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The event.
    pub event: NoticeEvent,
    /// The recipients.
    pub recipient: Recipient,
    /// Whether the default recipients of this cell are told.
    pub defaults: bool,
    /// Addresses that are told in any case.
    pub additional: Vec<String>,
}

/// The e-mail addresses of a user or group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubjectAddresses {
    /// The user or group.
    pub subject: Subject,
    /// The addresses.
    pub to: Vec<String>,
}

/// The configured matrix.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Matrix {
    /// The cells that differ from the default. Of several for one cell the last holds.
    pub rules: Vec<Rule>,
    /// Addresses of users and groups. A user whose name is an address needs no entry.
    pub addresses: Vec<SubjectAddresses>,
    /// Addresses of the administrators.
    pub admins: Vec<String>,
    /// What stands before the address in user names, such as `oidc:`; empty if nothing does.
    pub user_name_prefix: String,
}

/// Whom an event concerns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Concerned {
    /// The requester and the beneficiary, or the subject of an assignment.
    pub requester: Vec<Subject>,
    /// Who may approve.
    pub approvers: Vec<Subject>,
    /// The channels that the role names for this event. They take it regardless of their level and recipients, and no rule turns it off.
    pub channels: Vec<String>,
}

/// The addresses of one notification.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Addresses {
    /// In order, each once.
    pub to: Vec<String>,
    /// How many were left out, because there are more than [`MAX_ADDRESSES`].
    pub left_out: usize,
    /// Users and groups that are to be told and have no address.
    pub missing: BTreeSet<Subject>,
}

impl Matrix {
    fn rule(&self, event: NoticeEvent, recipient: Recipient) -> Option<&Rule> {
        self.rules.iter().rev().find(|rule| rule.event == event && rule.recipient == recipient)
    }

    /// Whether the recipients of this cell are told without further addresses.
    pub fn tells(&self, event: NoticeEvent, recipient: Recipient) -> bool {
        let default = event.defaults().contains(&recipient);
        self.rule(event, recipient).map_or(default, |rule| rule.defaults)
    }

    /// Whether a channel without addresses of its own, such as a chat room, is told: if it is for one of the recipients who are told.
    pub fn tells_any(&self, event: NoticeEvent, recipients: &[Recipient]) -> bool {
        recipients.iter().any(|recipient| self.tells(event, *recipient))
    }

    /// The matrix by which a channel that the role names for an event tells it: nobody is turned off, and who was added stays.
    #[must_use]
    pub fn in_any_case(&self, event: NoticeEvent) -> Self {
        let rule = |rule: &Rule| {
            let on = rule.event == event && event.defaults().contains(&rule.recipient);
            Rule { defaults: rule.defaults || on, ..rule.clone() }
        };
        Matrix { rules: self.rules.iter().map(rule).collect(), ..self.clone() }
    }

    /// The addresses that are told, for a channel for these recipients. Service accounts have none, and are not missed.
    pub fn addresses(&self, event: NoticeEvent, recipients: &[Recipient], concerned: &Concerned) -> Addresses {
        let (mut all, mut missing) = (BTreeSet::new(), BTreeSet::new());
        let mut tell = |subjects: &[Subject]| {
            for subject in subjects {
                match self.addresses_of(subject) {
                    to if to.is_empty() => drop(is_person(subject).then(|| missing.insert(subject.clone()))),
                    to => all.extend(to),
                }
            }
        };
        for recipient in recipients.iter().filter(|recipient| self.tells(event, **recipient)) {
            match recipient {
                Recipient::Requester => tell(&concerned.requester),
                Recipient::Approvers => tell(&concerned.approvers),
                Recipient::Admins => {}
            }
        }
        for recipient in recipients {
            all.extend(self.rule(event, *recipient).into_iter().flat_map(|rule| rule.additional.iter().cloned()));
            if *recipient == Recipient::Admins && self.tells(event, Recipient::Admins) {
                all.extend(self.admins.iter().cloned());
            }
        }
        let left_out = all.len().saturating_sub(MAX_ADDRESSES);
        Addresses { to: all.into_iter().take(MAX_ADDRESSES).collect(), left_out, missing }
    }

    /// The addresses of a subject: as configured, or its name without the prefix if that is an address. Members of a group are not
    /// known, so a group has those that are configured for it.
    fn addresses_of(&self, subject: &Subject) -> Vec<String> {
        if let Some(configured) = self.addresses.iter().find(|addresses| addresses.subject == *subject) {
            return configured.to.clone();
        }
        match subject {
            Subject::User(name) => {
                let address = name.strip_prefix(&self.user_name_prefix).filter(|address| is_address(address));
                address.map(str::to_owned).into_iter().collect()
            }
            Subject::Group(_) | Subject::ServiceAccount(_) => Vec::new(),
        }
    }
}

fn is_person(subject: &Subject) -> bool {
    match subject {
        Subject::User(_) => !subject.principal().starts_with("system:serviceaccount:"),
        Subject::Group(_) => true,
        Subject::ServiceAccount(_) => false,
    }
}

/// Whether a name is an e-mail address that can be written into a header: one `@` with something on both sides, no blanks, controls
/// or separators.
pub fn is_address(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.@".contains(c);
    match name.split_once('@') {
        Some((local, domain)) => {
            !is_blank(local)
                && !domain.contains('@')
                && domain.contains('.')
                && !domain.starts_with('.')
                && !domain.ends_with('.')
                && name.len() <= 254
                && name.chars().all(plain)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Subject {
        Subject::User(name.into())
    }

    fn concerned() -> Concerned {
        Concerned {
            requester: vec![user("alice@example.com"), user("dana")],
            approvers: vec![Subject::Group("leads".into()), user("carol@example.com")],
            channels: Vec::new(),
        }
    }

    fn matrix() -> Matrix {
        Matrix {
            addresses: vec![SubjectAddresses { subject: Subject::Group("leads".into()), to: vec!["leads@example.com".into()] }],
            admins: vec!["security@example.com".into()],
            ..Matrix::default()
        }
    }

    #[test]
    fn each_event_tells_its_default_recipients() {
        let told = |event| matrix().addresses(event, &Recipient::ALL, &concerned()).to;
        assert_eq!(told(NoticeEvent::ApprovalNeeded), ["carol@example.com", "leads@example.com"]);
        assert_eq!(told(NoticeEvent::Activated), ["alice@example.com", "carol@example.com", "leads@example.com", "security@example.com"]);
        assert_eq!(told(NoticeEvent::Ended), ["alice@example.com"]);
        assert_eq!(told(NoticeEvent::RevocationStuck), ["alice@example.com", "security@example.com"]);
    }

    #[test]
    fn a_rule_turns_default_recipients_off_and_adds_others() {
        let mut matrix = matrix();
        let rule = |defaults, additional: &[&str]| Rule {
            event: NoticeEvent::Activated,
            recipient: Recipient::Admins,
            defaults,
            additional: additional.iter().map(ToString::to_string).collect(),
        };
        let told = |m: &Matrix| m.addresses(NoticeEvent::Activated, &[Recipient::Admins], &concerned()).to;
        matrix.rules = vec![rule(false, &["audit@example.com"])];
        assert_eq!(told(&matrix), ["audit@example.com"]);
        matrix.rules.push(rule(true, &["audit@example.com"]));
        assert_eq!(told(&matrix), ["audit@example.com", "security@example.com"], "both may be combined");
        matrix.rules.push(rule(false, &[]));
        assert!(told(&matrix).is_empty(), "clearing both turns it off");
        let tells = |recipients: &[Recipient]| matrix.tells_any(NoticeEvent::Activated, recipients);
        assert!(!tells(&[Recipient::Admins]) && tells(&Recipient::ALL));
    }

    #[test]
    fn a_channel_for_approvers_is_not_told_what_concerns_only_the_requester() {
        let tells = |event| Matrix::default().tells_any(event, &[Recipient::Approvers]);
        assert!(tells(NoticeEvent::ApprovalNeeded) && tells(NoticeEvent::Refused) && tells(NoticeEvent::Activated));
        assert!(!tells(NoticeEvent::Ended) && !tells(NoticeEvent::RevocationStuck));
    }

    #[test]
    fn a_channel_that_a_role_names_tells_also_where_the_rules_turn_it_off() {
        let off = |recipient| Rule { event: NoticeEvent::BreakGlass, recipient, defaults: false, additional: Vec::new() };
        let ended = Rule { event: NoticeEvent::Ended, ..off(Recipient::Requester) };
        let silent = Matrix { rules: Recipient::ALL.into_iter().map(off).chain([ended]).collect(), ..matrix() };
        assert_eq!(silent.addresses(NoticeEvent::BreakGlass, &Recipient::ALL, &concerned()), Addresses::default());
        let named = silent.in_any_case(NoticeEvent::BreakGlass);
        let told = |event| named.addresses(event, &Recipient::ALL, &concerned()).to;
        assert_eq!(told(NoticeEvent::BreakGlass), matrix().addresses(NoticeEvent::BreakGlass, &Recipient::ALL, &concerned()).to);
        assert!(!told(NoticeEvent::BreakGlass).is_empty() && told(NoticeEvent::Ended).is_empty(), "of this event alone");
        let off = Rule { event: NoticeEvent::ReviewOutstanding, ..off(Recipient::Requester) };
        let named = Matrix { rules: vec![off], ..matrix() }.in_any_case(NoticeEvent::ReviewOutstanding);
        assert!(!named.tells(NoticeEvent::ReviewOutstanding, Recipient::Requester), "the requester does not review");
    }

    #[test]
    fn who_has_no_address_is_named() {
        let service = || Subject::ServiceAccount(crate::principal::ServiceAccount { namespace: "a".into(), name: "b".into() });
        let concerned = Concerned { requester: vec![user("dana"), service(), user("system:serviceaccount:a:b")], ..concerned() };
        let told = Matrix::default().addresses(NoticeEvent::Activated, &Recipient::ALL, &concerned);
        assert_eq!(told.to, ["carol@example.com"]);
        assert_eq!(told.missing, [user("dana"), Subject::Group("leads".into())].into());
        let quiet = Matrix::default().addresses(NoticeEvent::Ended, &[Recipient::Approvers], &concerned);
        assert_eq!(quiet, Addresses::default(), "nobody misses an address who is not to be told");
    }

    #[test]
    fn user_names_may_have_a_prefix() {
        let matrix = Matrix { user_name_prefix: "oidc:".into(), ..Matrix::default() };
        let concerned = Concerned { requester: vec![user("oidc:alice@example.com"), user("bob@example.com")], ..Concerned::default() };
        let told = matrix.addresses(NoticeEvent::Ended, &Recipient::ALL, &concerned).to;
        assert_eq!(told, ["alice@example.com"], "a name without the prefix is from elsewhere, and may be anybody's address");
    }

    #[test]
    fn at_most_a_thousand_are_told_and_the_others_are_counted() {
        let many = Concerned { approvers: (0..1200).map(|i| user(&format!("a{i}@example.com"))).collect(), ..Concerned::default() };
        let told = Matrix::default().addresses(NoticeEvent::ApprovalNeeded, &Recipient::ALL, &many);
        assert_eq!((told.to.len(), told.left_out), (MAX_ADDRESSES, 200));
    }

    #[test]
    fn a_name_is_an_address_only_if_it_can_stand_in_a_header() {
        assert!(is_address("alice@example.com") && is_address("a.b+c@mail.example.com"));
        for name in [
            "alice",
            "alice@",
            "@example.com",
            "alice@example",
            "a b@example.com",
            "a@b@example.com",
            "a\r\nBcc: x@example.com",
            "alice@example.com,bob@example.com",
            "alice@.com",
            "<alice@example.com>",
        ] {
            assert!(!is_address(name), "{name:?}");
        }
    }
}
