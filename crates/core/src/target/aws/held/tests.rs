use super::*;
use crate::digest::Digest;
use crate::target::aws::{
    Group, PolicyContent, granted::GrantedGroup, granted::GrantedPermissionSet, granted::GrantedRole, plan, scope::Scope,
};
use serde_json::{Value, json};

const A: &str = "arn:aws:iam::aws:policy/A";
const SET: &str = "arn:aws:sso:::permissionSet/ssoins-0123456789abcdef/ps-0123456789abcdef";

fn text(statements: &Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

fn read() -> Value {
    json!({"Sid": "Read", "Effect": "Allow", "Action": "s3:Get*", "Resource": "*"})
}

fn deny() -> Value {
    json!({"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"})
}

fn policies(by: GrantedBy, statements: &Value) -> GrantedPolicies {
    let document = text(statements);
    GrantedPolicies { managed: vec![GrantedPolicy { arn: A.into(), by, digest: Digest::of_bytes(b""), document }], inline: None }
}

fn role(by: GrantedBy, statements: &Value) -> GrantedPermissions {
    GrantedPermissions::Role(GrantedRole { policies: policies(by, statements), max_session_secs: 3600 })
}

fn now(statements: &Value) -> Inventory {
    Inventory { policies: vec![PolicyContent { arn: A.into(), document: text(statements) }], ..Inventory::default() }
}

fn scope() -> GrantedScope {
    GrantedScope { partition: "aws".into(), account: "123456789012".into(), regions: Vec::new(), resources: Vec::new() }
}

fn judged(permissions: &GrantedPermissions, inventory: &Inventory) -> (Result<Held, Unresolvable>, Content) {
    let plan = plan::probe(&named_permissions(permissions), &Scope::account());
    (held(permissions, &scope(), inventory), content(permissions, &plan, inventory))
}

fn within(gone: &[&str]) -> (Result<Held, Unresolvable>, Content) {
    (Ok(Held { gone: gone.iter().map(ToString::to_string).collect() }), Content::Within { missing: SlotSet::NONE })
}

#[test]
fn a_copy_cannot_grow() {
    let copy = role(GrantedBy::Copy, &json!([read()]));
    for inventory in [now(&json!([read()])), now(&json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}])), Inventory::default()] {
        assert_eq!(judged(&copy, &inventory), within(&[]));
        let shown = as_granted(&copy, inventory);
        assert_eq!(shown.policies, now(&json!([read()])).policies, "its content is that of the copy");
    }
}

#[test]
fn what_is_attached_may_become_less_and_ends_the_grant_if_it_becomes_more() {
    let attached = role(GrantedBy::Reference, &json!([read(), deny()]));
    assert_eq!(judged(&attached, &now(&json!([deny(), read()]))), within(&[]));
    assert_eq!(judged(&attached, &now(&json!([deny()]))), within(&[]));
    let (gone, unknown) = judged(&attached, &Inventory::default());
    assert_eq!((gone, unknown), (Ok(Held { gone: vec![format!("managed policy {A}")] }), Content::Unknown));
    for more in [json!([read(), deny(), {"Effect": "Allow", "Action": "iam:*", "Resource": "*"}]), json!([read()])] {
        let (held, content) = judged(&attached, &now(&more));
        assert!(matches!(held, Err(Unresolvable::Changed(what)) if what.starts_with(&format!("managed policy {A} allows more"))), "{more}");
        assert_eq!(content, Content::Grown);
    }
    let unreadable = Inventory { policies: vec![PolicyContent { arn: A.into(), document: "{".into() }], ..Inventory::default() };
    // An element that this build does not know says nothing about more or less.
    let newer = now(&json!([{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*", "Purpose": "backup"}]));
    for odd in [unreadable, newer] {
        assert_eq!(judged(&attached, &odd), (Ok(Held { gone: Vec::new() }), Content::Unknown), "{odd:?}");
    }
    let frozen_by_another_build = role(GrantedBy::Reference, &json!([{"Effect": "Allow", "Action": "s3:Get*", "Purpose": "backup"}]));
    assert_eq!(judged(&frozen_by_another_build, &now(&json!([read()]))), (Ok(Held { gone: Vec::new() }), Content::Unknown));
}

#[test]
fn what_is_seen_to_have_grown_ends_the_grant_also_beside_what_cannot_be_read() {
    let mut policies = policies(GrantedBy::Reference, &json!([read()]));
    let second = GrantedPolicy { arn: "arn:aws:iam::aws:policy/B".into(), ..policies.managed[0].clone() };
    policies.managed.push(second);
    let both = GrantedPermissions::Role(GrantedRole { policies, max_session_secs: 3600 });
    let more = PolicyContent {
        arn: "arn:aws:iam::aws:policy/B".into(),
        document: text(&json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}])),
    };
    let odd = PolicyContent { arn: A.into(), document: "{".into() };
    let (held, content) = judged(&both, &Inventory { policies: vec![odd, more], ..Inventory::default() });
    assert!(matches!(held, Err(Unresolvable::Changed(_))), "{held:?}");
    assert_eq!(content, Content::Grown);
}

#[test]
fn a_standing_permission_set_is_compared_whole() {
    let granted = |inline: Option<Value>| {
        let policies = GrantedPolicies { inline: inline.map(|s| text(&s)), ..policies(GrantedBy::Reference, &json!([read(), deny()])) };
        GrantedPermissions::StandingSet(GrantedStandingSet { instance: "i".into(), arn: SET.into(), name: "Read".into(), policies })
    };
    let with = |policies: Vec<PolicyContent>, inline: Option<Value>| {
        let set = PermissionSetContent { arn: SET.into(), name: "Read".into(), policies, inline: inline.map(|s| text(&s)) };
        Inventory { permission_set: Some(set), ..Inventory::default() }
    };
    let policy = |arn: &str, statements: Value| PolicyContent { arn: arn.into(), document: text(&statements) };
    let a = || policy(A, json!([read(), deny()]));
    let inline = || Some(json!([deny()]));
    assert_eq!(judged(&granted(None), &with(vec![a()], None)), within(&[]));
    assert_eq!(judged(&granted(inline()), &with(vec![a()], inline())), within(&[]));
    for (frozen, now) in [
        (None, with(vec![a(), policy("arn:aws:iam::aws:policy/B", json!([read()]))], None)),
        (None, with(vec![a()], Some(json!([read()])))),
        // A denial that is gone gives more, whether its policy is gone or changed.
        (None, with(vec![], None)),
        (inline(), with(vec![a()], None)),
    ] {
        let (held, content) = judged(&granted(frozen), &now);
        assert!(matches!(held, Err(Unresolvable::Changed(_))), "{now:?}");
        assert_eq!(content, Content::Grown, "{now:?}");
    }
    let (gone, content) = judged(&granted(None), &Inventory::default());
    assert_eq!(
        (gone, content),
        (Err(Unresolvable::NotReady(format!("permission set {SET} does not exist in the target"))), Content::Unknown)
    );
}

#[test]
fn a_group_must_be_the_same() {
    let group = GrantedPermissions::Group(GrantedGroup { instance: "i".into(), id: "g".into(), name: "devs".into() });
    let there = Inventory { group: Some(Group { id: "g".into(), name: "renamed".into() }), ..Inventory::default() };
    assert_eq!(judged(&group, &there), within(&[]));
    assert!(matches!(judged(&group, &Inventory::default()).0, Err(Unresolvable::NotReady(_))));
}

#[test]
fn a_template_must_name_all_that_is_held_in_the_same_way() {
    let inline = |statements: Value| GrantedPolicies { inline: Some(text(&statements)), managed: Vec::new() };
    let user = |policies: GrantedPolicies| named_permissions(&GrantedPermissions::User(policies));
    let held = user(inline(json!([read()])));
    assert_eq!(lacks(&held, &held), None);
    let wider = user(inline(json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}])));
    assert_eq!(lacks(&wider, &held), None);
    assert_eq!(lacks(&held, &wider), Some("statement 1 of inlinePolicy".into()));
    let denies = user(inline(json!([read(), deny()])));
    assert_eq!(lacks(&denies, &held), Some("inlinePolicy without statement 2, which denies".into()));
    let copy = policies(GrantedBy::Copy, &json!([read()]));
    let managed = user(copy.clone());
    assert_eq!(lacks(&held, &managed), Some(format!("managed policy {A}")));
    assert_eq!(lacks(&managed, &held), Some("its inlinePolicy".into()));
    let role = |secs| named_permissions(&GrantedPermissions::Role(GrantedRole { policies: copy.clone(), max_session_secs: secs }));
    assert_eq!((lacks(&role(7200), &role(3600)), lacks(&role(3600), &role(7200))), (None, Some("sessions of 2h".into())));
    let set = GrantedPermissionSet { instance: "i".into(), policies: copy.clone() };
    let set = named_permissions(&GrantedPermissions::PermissionSet(set));
    assert_eq!(lacks(&set, &managed), Some("policies of the IAM user".into()));
    assert_eq!(lacks(&managed, &set), Some("a permission set of its own".into()));
}

#[test]
fn what_has_changed_while_a_request_waits_is_named() {
    let of = |statements: Value| GrantedPermissions::User(policies(GrantedBy::Copy, &statements));
    assert_eq!(changed_since(&of(json!([read()])), &of(json!([read()]))), None);
    assert_eq!(changed_since(&of(json!([deny()])), &of(json!([read()]))), Some(format!("the document of managed policy {A} has changed")));
    let none = GrantedPermissions::User(GrantedPolicies::default());
    assert_eq!(changed_since(&of(json!([read()])), &none), Some(format!("managed policy {A} is new in the role")));
}
