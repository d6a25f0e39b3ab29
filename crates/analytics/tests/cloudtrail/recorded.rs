//! Records of a real account: the attacks of Stratus Red Team (tests/data/stratus-red-team.md).
use crate::log::{Read, read};
use curfew_analytics::aws::catalogue::Actions;
use std::collections::BTreeMap;

fn recorded() -> Read {
    read(include_bytes!("../data/stratus-red-team.json.gz"))
}

#[test]
fn every_record_is_read_and_every_call_has_its_action() {
    let read = recorded();
    assert!(read.problems.is_empty(), "{:?}", read.problems);
    assert_eq!((read.counts.records, read.counts.uses, read.counts.failed.total()), (310, 258, 52));
    let failed: Vec<(&str, u64)> = read.counts.failed.0.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(failed, [("AccessDenied", 5), ("Client.UnauthorizedOperation", 46), ("EntityTemporarilyUnmodifiableException", 1)]);
    assert_eq!(read.counts.unmapped.0, BTreeMap::new());
    assert_eq!((read.counts.not_calls.total(), read.counts.other_callers.total(), read.counts.duplicates), (0, 0, 0));
}

/// The attacks that pass roles, steal secrets and take over users, with the resources that the records name.
#[test]
fn attacks_show_what_they_used() {
    let read = recorded();
    let actions = Actions::builtin();
    let resources = |name: &str| {
        let id = actions.find(name).unwrap_or_else(|| panic!("the catalogue has no {name}"));
        let uses = read.usage.identities.values().filter_map(|activity| activity.actions.get(&id));
        uses.flat_map(|used| used.resources.keys().cloned().chain(used.unnamed.map(|_| "*".into()))).collect::<Vec<String>>()
    };
    let secrets = resources("secretsmanager:GetSecretValue");
    assert_eq!(secrets.len(), 20);
    assert!(secrets.iter().all(|arn| arn.contains(":secret:stratus-red-team-retrieve-secret-")), "{secrets:?}");
    assert_eq!(resources("iam:CreateAccessKey").len(), 2);
    assert_eq!(resources("iam:AttachUserPolicy"), ["arn:aws:iam::229654561268:user/malicious-iam-user"]);
    assert_eq!(resources("iam:PassRole"), ["arn:aws:iam::791182566784:role/stratus-red-team-trust-anchor-role"]);
    assert_eq!(
        resources("lambda:AddPermission"),
        ["arn:aws:lambda:ca-centralnorth-1r:880896431042:function:stratus-red-team-backdoor-f-func"]
    );
    assert_eq!(resources("ec2:DescribeInstances"), ["*", "*"]);
    assert_eq!(resources("iam:TagUser"), ["*"]);
    // Only three roles were assumed, each by the tester.
    assert!(
        read.usage
            .assumed
            .iter()
            .all(|(role, callers)| role.contains(":role/stratus-red-team-") && callers.keys().all(|who| who.ends_with(":user/christophe")))
    );
    let session = "arn:aws:iam::844015365555:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_account-admin_599c9e90e350d2ff";
    assert!(read.usage.identities.contains_key(session), "{:?}", read.usage.identities.keys());
}
