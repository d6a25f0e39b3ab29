//! What the sweep finds and removes.
use super::{ACCOUNT, Stored, connection, done, identity::caller, policy, stored};
use crate::{
    api::grant::Artifact,
    providers::{
        aws::replay::{Replay, iam},
        port::{Provider, RevokeOutcome},
    },
};

const ROLE: &str = "curfew-0123abcd-00000000000000a2-20261126T180000Z";

fn role_xml(id: &str) -> String {
    format!(
        "<Path>/curfew/</Path><RoleName>{ROLE}</RoleName><RoleId>{id}</RoleId><Arn>arn:aws:iam::111122223333:role/curfew/{ROLE}</Arn>\
         <CreateDate>2026-11-26T12:00:00Z</CreateDate>"
    )
}

#[tokio::test]
async fn objects_are_found_by_their_names_on_every_page() {
    let arn = "arn:aws:sts::111122223333:assumed-role/curfew-operator/curfew";
    let member = |name: &str, id: &str| {
        format!(
            "<member><PolicyName>{name}</PolicyName><PolicyId>{id}</PolicyId><Arn>arn:aws:iam::111122223333:policy/curfew/{name}</Arn>\
             <DefaultVersionId>v1</DefaultVersionId><CreateDate>2026-11-26T12:00:00Z</CreateDate></member>"
        )
    };
    let first = format!("<Policies>{}</Policies><IsTruncated>true</IsTruncated><Marker>m</Marker>", member(&policy(0, "s3:*").name, "A"));
    let others = format!("{}{}", member("curfew-made-by-hand", "B"), member(&policy(2, "s3:*").name, "C"));
    let second = format!("<Policies>{others}</Policies><IsTruncated>false</IsTruncated>");
    let roles = format!("<Roles><member>{}</member></Roles><IsTruncated>false</IsTruncated>", role_xml("AROA"));
    let replay =
        Replay::of([caller(ACCOUNT, arn), iam("ListPolicies", &first), iam("ListPolicies", &second), iam("ListRoles", &roles)]).await;
    let found = replay.aws(connection()).managed().await.unwrap();
    let shown: Vec<(&str, &str)> = found.iter().map(|f| (f.artifact.uid.as_str(), f.mark.grant.as_str())).collect();
    assert_eq!(shown, [("A", "00000000000000a1"), ("C", "00000000000000a1"), ("AROA", "00000000000000a2")]);
    assert!(found.iter().all(|f| f.mark.install == "0123abcd" && f.mark.deadline == super::deadline()));
}

#[tokio::test]
async fn only_the_very_object_that_was_found_is_removed() {
    let planned = policy(0, "s3:*");
    let arn = super::arn(&planned);
    let found = |uid: &str| crate::providers::ManagedObject {
        mark: curfew_core::target::aws::names::parse(&planned.name).unwrap().0,
        artifact: Artifact { kind: "Policy".into(), id: arn.clone(), uid: uid.into() },
        created: super::deadline(),
    };
    let me = || caller(ACCOUNT, "arn:aws:iam::111122223333:user/operator");
    let replay = Replay::of([me(), stored(&planned).read(), done("DeletePolicy")]).await;
    assert_eq!(replay.aws(connection()).remove(&found("ANPA0123456789EXAMPLE")).await, Ok(RevokeOutcome::Gone));
    assert!(replay.calls().contains(&"DeletePolicy".to_owned()));
    let replay = Replay::of([me(), Stored { id: "ANOTHER", ..stored(&planned) }.read()]).await;
    assert_eq!(replay.aws(connection()).remove(&found("ANPA0123456789EXAMPLE")).await, Ok(RevokeOutcome::Gone));
    assert!(!replay.calls().contains(&"DeletePolicy".to_owned()), "the next sweep finds it by its own id");
}
