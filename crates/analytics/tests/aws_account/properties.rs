//! Properties of PCI-1 that inventory and usage must keep, on random accounts.
use crate::{
    account::{Account, allow, arn, row},
    random::{ACTIONS, ARNS, Random},
};
use curfew_analytics::report::Report;
use serde_json::{Value, json};

const CASES: usize = 8;

fn user() -> String {
    arn("user", "u")
}

fn x(report: &Report) -> f64 {
    row(report, &user()).x.unwrap()
}

fn account(statements: &[Value], used: &[(usize, usize, i64)]) -> Account {
    let mut account = Account::new().user("u", statements).user("v", &[allow(json!("s3:*"), json!("*"))]);
    // Resources are known in every variant, so that the catalogue's mass and places are equal.
    account.input.resources = ARNS.iter().map(|arn| (*arn).to_owned()).collect();
    used.iter().fold(account, |account, (action, resource, days)| {
        let resource = if ARNS[*resource] == "*" { "" } else { ARNS[*resource] };
        account.used(&user(), ACTIONS[*action], resource, *days)
    })
}

/// Statements without patterns of their own: each pattern that a policy names is a place, which changes N.
fn statements(random: &mut Random) -> Vec<Value> {
    let one = |random: &mut Random| {
        let (action, resource) = (ACTIONS[random.below(ACTIONS.len())], ARNS[random.below(ARNS.len())]);
        let all = random.once_in(3);
        json!({"Effect": "Allow", "Action": action, "Resource": if all { "*" } else { resource }})
    };
    (0..2 + random.below(5)).map(|_| one(random)).collect()
}

fn uses(random: &mut Random) -> Vec<(usize, usize, i64)> {
    (0..random.below(6)).map(|_| (random.below(ACTIONS.len()), random.below(ARNS.len()), random.below(80) as i64)).collect()
}

#[test]
fn grants_never_lower_a_score_and_uses_and_revocations_never_raise_it() {
    let mut random = Random(0x9c1);
    for _ in 0..CASES {
        let (all, used) = (statements(&mut random), uses(&mut random));
        let before = account(&all, &used).report();
        let more = [all.clone(), statements(&mut random)].concat();
        let granted = account(&more, &used).report();
        assert!(x(&granted) >= x(&before) - 1e-12, "a grant lowers: {all:?} {more:?}");
        let fewer = &all[1..];
        assert!(x(&account(fewer, &used).report()) <= x(&before) + 1e-12, "a revocation raises: {all:?} {used:?}");
        let denied =
            [all.clone(), vec![json!({"Effect": "Deny", "Action": ACTIONS[random.below(ACTIONS.len())], "Resource": "*"})]].concat();
        assert!(x(&account(&denied, &used).report()) <= x(&before) + 1e-12, "a deny raises: {denied:?} {used:?}");
        let busier = [used.clone(), uses(&mut random)].concat();
        assert!(x(&account(&all, &busier).report()) <= x(&before) + 1e-12, "a use raises: {all:?} {busier:?}");
        assert!((0.0..=1.0).contains(&x(&before)));
    }
}

#[test]
fn how_policies_are_split_and_ordered_changes_nothing() {
    let mut random = Random(0x9c2);
    for _ in 0..CASES {
        let (all, used) = (statements(&mut random), uses(&mut random));
        let before = account(&all, &used).report();
        // One statement in a managed policy, one in a group, the rest in another order.
        let rest: Vec<Value> = all[2..].iter().rev().cloned().collect();
        let split = account(&rest, &used);
        let mut split = split.policy(&arn("policy", "p"), &all[..1]).group("g", &all[1..2]);
        let u = &mut split.details["UserDetailList"][0];
        u["GroupList"] = json!(["g"]);
        u["AttachedManagedPolicies"] = json!([{"PolicyName": "p", "PolicyArn": arn("policy", "p")}]);
        // The new objects are resources, too: compare with an account that has them unattached.
        let mut same = account(&all, &used).policy(&arn("policy", "p"), &[]).group("g", &[]);
        same.details["UserDetailList"].as_array_mut().unwrap().reverse();
        let (split, same) = (split.report(), same.report());
        assert_eq!(x(&split).to_bits(), x(&same).to_bits(), "{all:?} {used:?}");
        assert_eq!(before.catalogue.mass.to_bits(), same.catalogue.mass.to_bits());
    }
}

#[test]
fn an_idle_administrator_has_100_and_one_that_used_everything_has_0() {
    let admin = account(&[allow(json!("*"), json!("*"))], &[]).report();
    assert_eq!((row(&admin, &user()).score, x(&admin)), (Some(100), 1.0));
    assert_eq!((admin.system.score, admin.system.super_identities), (44, 1));
    let used = ACTIONS.iter().fold(account(&ACTIONS.map(|action| allow(json!(action), json!("*"))), &[]), |account, action| {
        account.used(&user(), action, "", 1)
    });
    assert_eq!((row(&used.report(), &user()).score, x(&used.report())), (Some(0), 0.0));
}

#[test]
fn excluding_an_identity_gives_the_score_of_an_account_without_it() {
    let all = account(&[allow(json!("*"), json!("*"))], &[]);
    let excluded = all.clone().exclude(&user()).report();
    assert_eq!((row(&excluded, &user()).score, row(&excluded, &user()).counted, excluded.system.excluded), (None, false, 1));
    let mut without = all;
    without.details["UserDetailList"][0]["UserPolicyList"] = json!([]);
    assert_eq!(excluded.system.x.to_bits(), without.report().system.x.to_bits());
}
