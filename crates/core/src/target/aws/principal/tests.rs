use super::*;
use crate::target::aws::granted::{GrantedGroup, GrantedPolicies, GrantedRole};

fn scope() -> GrantedScope {
    GrantedScope { partition: "aws".into(), account: "123456789012".into(), regions: Vec::new(), resources: Vec::new() }
}

fn of(permissions: &GrantedPermissions, name: &str) -> Result<String, String> {
    principal(name, permissions, &scope()).map(|p| p.name)
}

#[test]
fn an_iam_user_has_a_name_of_iam() {
    let user = GrantedPermissions::User(GrantedPolicies::default());
    for good in ["alice", "alice@example.com", "A+=,.@_-9", &"a".repeat(64)] {
        assert_eq!(of(&user, good).as_deref(), Ok(good));
    }
    for bad in
        ["", "system:serviceaccount:ci:bot", "alice smith", "team/alice", "sören", &"a".repeat(65), "arn:aws:iam::123456789012:user/alice"]
    {
        let said = of(&user, bad).unwrap_err();
        assert!(said.contains("is not the name of an IAM user") && said.contains("spec.principals"), "{said}");
        assert!(said.starts_with(&crate::text::brief(bad)), "{said}");
    }
}

#[test]
fn a_role_is_assumed_by_a_user_by_name_or_by_arn() {
    let role = GrantedPermissions::Role(GrantedRole { policies: GrantedPolicies::default(), max_session_secs: 3600 });
    assert_eq!(of(&role, "alice").as_deref(), Ok("arn:aws:iam::123456789012:user/alice"));
    for good in ["arn:aws:iam::123456789012:user/team/alice", "arn:aws:iam::210987654321:user/alice"] {
        assert_eq!(of(&role, good).as_deref(), Ok(good));
    }
    // The same user in two spellings.
    assert_eq!(of(&role, "alice"), of(&role, "arn:aws:iam::123456789012:user/alice"));
    // All who may assume the role, and a session whose name they choose.
    for shared in [
        "arn:aws:iam::210987654321:role/Deploy",
        "arn:aws:sts::123456789012:assumed-role/Dev/alice@example.com",
        "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_0123456789abcdef",
    ] {
        let said = of(&role, shared).unwrap_err();
        assert!(said.starts_with(shared) && said.contains("may use it") && said.contains("identityCenter"), "{said}");
    }
    for bad in [
        "arn:aws:iam::123456789012:root",
        "arn:aws:iam::123456789012:user/*",
        "arn:aws:iam::123456789012:user/",
        "arn:aws:iam::*:user/alice",
        "arn:aws-cn:iam::123456789012:user/alice",
        "arn:aws:iam::123456789012:group/devs",
        "arn:aws:iam:eu-west-1:123456789012:user/alice",
        "arn:aws:iam",
    ] {
        let said = of(&role, bad).unwrap_err();
        assert!(said.starts_with(&format!("{bad} cannot assume a role")), "{said}");
    }
    assert!(of(&role, "a/b").unwrap_err().contains("is not the name of an IAM user"));
}

#[test]
fn a_user_of_identity_center_may_have_any_visible_name() {
    let group = GrantedGroup { instance: "i".into(), id: "g".into(), name: "devs".into() };
    let group = GrantedPermissions::Group(group);
    assert_eq!(of(&group, "alice@example.com").as_deref(), Ok("alice@example.com"));
    for bad in ["", "a b", "a\n", &"a".repeat(129)] {
        assert!(of(&group, bad).unwrap_err().contains("is not the name of a user of IAM Identity Center"));
    }
}
