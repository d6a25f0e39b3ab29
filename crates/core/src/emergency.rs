//! Emergency accounts: logins with standing access of their own, for the time when nothing else works. Pure.
//!
//! Curfew watches them and never touches them: it gives them nothing that it would have to take away, and takes nothing from them. Their
//! credentials are kept for the person who is there in an emergency, so a login does not tell which person has used it. `emergencyAccounts` of an
//! AuthorizationSystem lists them, by the names with which they log in, or by those that the target knows.
use crate::{
    folding::Spelling,
    principal::{Subject, UserInfo},
};

/// The account that a login is, by its user name, a value under one of the alias keys, or one of its groups. Spellings of one name are one
/// name: what follows from it refuses and tells, and gives nothing.
pub fn account_of<'a>(accounts: &'a [Subject], login: &UserInfo, alias_keys: &[String]) -> Option<&'a Subject> {
    let same = |a: &str, b: &str| Spelling::Folded.is_same(a, b);
    accounts.iter().find(|account| match account {
        Subject::User(name) => login.is_named(name, alias_keys, Spelling::Folded),
        Subject::Group(name) => login.groups.iter().any(|group| same(name, group)),
        Subject::ServiceAccount(_) => account.includes(login),
    })
}

/// The account that a subject names.
pub fn named<'a>(accounts: &'a [Subject], subject: &Subject) -> Option<&'a Subject> {
    accounts.iter().find(|account| match (account, subject) {
        (Subject::User(a), Subject::User(b)) | (Subject::Group(a), Subject::Group(b)) => Spelling::Folded.is_same(a, b),
        (_, _) => *account == subject,
    })
}

/// The account that a target knows by this name: an IAM user is also named by its ARN, in the list or as the principal.
pub fn at_target<'a>(accounts: &'a [Subject], principal: &str) -> Option<&'a Subject> {
    let same = |a: &str, b: &str| Spelling::Folded.is_same(a, b);
    let of_arn = |name: &'_ str| name.strip_prefix("arn:").and_then(|rest| rest.rsplit_once('/')).map(|(_, last)| last.to_owned());
    let (short, principal_is_short) = (of_arn(principal), of_arn(principal).is_none());
    let is = |name: &str| {
        same(name, principal)
            || short.as_deref().is_some_and(|short| same(name, short))
            || (principal_is_short && of_arn(name).is_some_and(|name| same(&name, principal)))
    };
    accounts.iter().find(|account| matches!(account, Subject::User(name) if is(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::ServiceAccount;
    use std::sync::Arc;

    fn login(name: &str, groups: &[&str]) -> UserInfo {
        let groups = Arc::new(groups.iter().map(ToString::to_string).collect());
        UserInfo { username: name.into(), groups, ..UserInfo::default() }
    }

    fn accounts() -> Vec<Subject> {
        let robot = ServiceAccount { namespace: "ops".into(), name: "rescue".into() };
        vec![Subject::User("break-glass-1".into()), Subject::Group("break-glass".into()), Subject::ServiceAccount(robot)]
    }

    #[test]
    fn an_account_is_found_by_user_name_group_and_service_account() {
        let all = accounts();
        for (login, found) in [
            (login("break-glass-1", &[]), Some(0)),
            (login(" Break-Glass-1", &[]), Some(0)),
            (login("alice", &["devs", "BREAK-GLASS"]), Some(1)),
            (login("system:serviceaccount:ops:rescue", &[]), Some(2)),
            (login("system:serviceaccount:ops:other", &[]), None),
            (login("break-glass", &["break-glass-1"]), None),
            (login("alice", &["devs"]), None),
        ] {
            assert_eq!(account_of(&all, &login, &[]), found.map(|i: usize| &all[i]), "{login:?}");
        }
    }

    #[test]
    fn a_second_login_of_an_account_is_found_by_its_alias() {
        let keys = ["example.com/person".to_owned()];
        let extra = [(keys[0].clone(), vec!["Break-Glass-1".to_owned()])].into_iter().collect();
        let second = UserInfo { extra, ..login("aws:rescue", &[]) };
        assert!(account_of(&accounts(), &second, &keys).is_some());
        assert!(account_of(&accounts(), &second, &[]).is_none(), "no alias is configured");
    }

    #[test]
    fn a_target_knows_an_account_by_name_and_by_arn() {
        let listed = |name: &str| [Subject::User(name.into())];
        let arn = "arn:aws:iam::123456789012:user/ops/break-glass-1";
        assert!(at_target(&listed(arn), "break-glass-1").is_some(), "listed by its ARN");
        assert!(at_target(&listed(arn), arn).is_some());
        assert!(at_target(&listed(arn), "arn:aws:iam::999999999999:user/break-glass-1").is_none(), "another account of AWS");
        assert!(at_target(&listed(arn), "alice").is_none());
        for name in
            ["break-glass-1", "Break-Glass-1", "arn:aws:iam::123456789012:user/break-glass-1", "arn:aws:iam::1:user/a/break-glass-1"]
        {
            assert!(at_target(&accounts(), name).is_some(), "{name}");
        }
        for name in ["alice", "break-glass", "arn:aws:iam::123456789012:user/alice", "break-glass-1/alice"] {
            assert!(at_target(&accounts(), name).is_none(), "{name}");
        }
    }

    /// Who is not listed is not an emergency account, and who is listed is one, in any spelling.
    #[test]
    fn only_who_is_listed_is_an_account() {
        let names = ["a", "b", "ab", "ba", "break-glass", "straße", "İstanbul"];
        for listed in names {
            let accounts = [Subject::User(listed.into())];
            for other in names {
                for spelled in [other.to_owned(), other.to_uppercase(), format!(" {other}\u{200b}")] {
                    let case = format!("{listed} {spelled:?}");
                    assert_eq!(account_of(&accounts, &login(&spelled, &[]), &[]).is_some(), other == listed, "{case}");
                    assert_eq!(named(&accounts, &Subject::User(spelled.clone())).is_some(), other == listed, "{case}");
                    assert_eq!(at_target(&accounts, &spelled).is_some(), other == listed, "{case}");
                    assert!(named(&accounts, &Subject::Group(spelled.clone())).is_none(), "{case}");
                    assert!(account_of(&accounts, &login("x", &[&spelled]), &[]).is_none(), "{case}");
                }
            }
        }
    }
}
