use super::*;
use crate::target::aws::{IdentityCenter, Policies, PolicyContent, PolicyObject, RolePolicies};
use serde_json::{Value, json};

const READ: &str = "arn:aws:iam::aws:policy/Read";
const DEPLOY: &str = "arn:aws:iam::123456789012:policy/team/Deploy";
/// What only denies.
const GUARD: &str = "arn:aws:iam::123456789012:policy/team/Guard";

fn document(effect: &str, action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]})
}

fn role(managed: &[&str], inline: Option<Value>) -> Permissions {
    let managed_policies = managed.iter().map(ToString::to_string).collect();
    let role = RolePolicies { managed_policies, inline_policy: inline.map(PolicyObject), max_session: None };
    Permissions { role: Some(role), ..Permissions::default() }
}

fn user(managed: &[&str]) -> Permissions {
    let managed_policies = managed.iter().map(ToString::to_string).collect();
    Permissions { user: Some(Policies { managed_policies, inline_policy: None }), ..Permissions::default() }
}

fn center(change: impl FnOnce(&mut IdentityCenter)) -> Permissions {
    let mut center = IdentityCenter::default();
    change(&mut center);
    Permissions { identity_center: Some(center), ..Permissions::default() }
}

#[test]
fn policies_are_left_out_by_name_and_the_way_stays_the_same() {
    let inline = || Some(document("Allow", "s3:Get*"));
    let offered = role(&[READ, DEPLOY], inline());
    for asked in [role(&[READ, DEPLOY], inline()), role(&[DEPLOY], None), role(&[], inline()), role(&[DEPLOY, READ], None)] {
        assert_eq!(exceeds(&asked, &offered), None, "{asked:?}");
    }
    // The same document in another order is the same one; one that lies within it is not.
    let wide = role(&[], Some(document("Allow", "s3:*")));
    let lists = |order: [&str; 2]| {
        role(&[], Some(json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": order, "Resource": "*"}})))
    };
    assert_eq!(exceeds(&lists(["s3:List*", "s3:Get*"]), &lists(["s3:Get*", "s3:List*"])), None);
    let refused = |asked: &Permissions, offered: &Permissions, words: &str| {
        let told = exceeds(asked, offered).unwrap_or_default();
        assert!(told.contains(words), "expected {words:?}, got {told:?}");
    };
    refused(&role(&[], inline()), &wide, "another inlinePolicy");
    refused(&role(&[], Some(document("Allow", "s3:*"))), &offered, "statement 1 of inlinePolicy");
    refused(&role(&[READ], inline()), &role(&[READ], None), "inlinePolicy");
    refused(&role(&[GUARD], None), &offered, GUARD);
    refused(&role(&["arn:aws:iam::aws:policy/*"], None), &offered, "arn:aws:iam::aws:policy/*");
    refused(&role(&[], None), &offered, "names no policy");
    refused(&Permissions::default(), &offered, "in one way");
    refused(&user(&[READ]), &offered, "policies of the IAM user");
    refused(&center(|c| c.managed_policies = vec![READ.into()]), &offered, "a permission set of its own");
    refused(&center(|c| c.group = Some("g".into())), &center(|c| c.permission_set = Some("s".into())), "group g");
    let longer =
        Permissions { role: offered.role.clone().map(|r| RolePolicies { max_session: "2h".parse().ok(), ..r }), ..offered.clone() };
    refused(&longer, &offered, "sessions of 2h");
    assert_eq!(exceeds(&offered, &longer), None, "a shorter session is less");
    for standing in [center(|c| c.group = Some("g".into())), center(|c| c.permission_set = Some("s".into()))] {
        assert_eq!(exceeds(&standing, &standing), None);
    }
}

#[test]
fn what_denies_is_not_left_out() {
    let content = |arn: &str, effect: &str| PolicyContent { arn: arn.into(), document: document(effect, "s3:*").to_string() };
    let inventory = Inventory { policies: vec![content(READ, "Allow"), content(GUARD, "Deny")], ..Inventory::default() };
    let offered = role(&[READ, GUARD], Some(document("Deny", "iam:*")));
    let lost = |asked: Permissions| loses_denial(&asked, &offered, &inventory).unwrap_or_default();
    assert_eq!(lost(offered.clone()), "");
    assert_eq!(lost(role(&[GUARD], Some(document("Deny", "iam:*")))), "");
    assert_eq!(lost(role(&[READ], Some(document("Deny", "iam:*")))), format!("managed policy {GUARD}, which denies"));
    assert_eq!(lost(role(&[READ, GUARD], None)), "inlinePolicy, which denies");
    let unreadable = loses_denial(&role(&[READ], None), &role(&[READ, DEPLOY], None), &inventory).unwrap_or_default();
    assert_eq!(unreadable, format!("managed policy {DEPLOY}, which cannot be read"));
    let standing = center(|c| c.permission_set = Some("s".into()));
    assert_eq!(loses_denial(&standing, &standing, &inventory), None);
}

#[test]
fn each_policy_is_named() {
    let words = permissions_in_words(&role(&[READ], Some(document("Allow", "s3:*"))));
    assert_eq!(words, [format!("managed policy {READ}"), "inlinePolicy".to_owned()]);
    assert_eq!(permissions_in_words(&center(|c| c.group = Some("g".into()))), ["group g of IAM Identity Center"]);
}
