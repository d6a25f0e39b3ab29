//! What the sweep finds and removes.
use super::{ACCOUNT, Stored, connection, done, identity::caller, policy, stored};
use crate::{
    api::grant::Artifact,
    providers::{
        aws::replay::{Recorded, Replay, iam, json_error, xml_error},
        port::{ManagedObject, Provider, RevokeOutcome},
    },
};
use curfew_core::target::aws::names;

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
    let found = |uid: &str| ManagedObject {
        mark: names::parse(&planned.name).unwrap().0,
        artifact: Artifact { kind: "Policy".into(), id: arn.clone(), uid: uid.into() },
        created: super::deadline(),
    };
    let me = || caller(ACCOUNT, "arn:aws:iam::111122223333:user/operator");
    let nobody = "<PolicyGroups/><PolicyUsers/><PolicyRoles/><IsTruncated>false</IsTruncated>";
    let replay = Replay::of([me(), stored(&planned).read(), iam("ListEntitiesForPolicy", nobody), done("DeletePolicy")]).await;
    assert_eq!(replay.aws(connection()).remove(&found("ANPA0123456789EXAMPLE")).await, Ok(RevokeOutcome::Gone));
    assert!(replay.calls().contains(&"DeletePolicy".to_owned()));
    let replay = Replay::of([me(), Stored { id: "ANOTHER", ..stored(&planned) }.read()]).await;
    assert_eq!(replay.aws(connection()).remove(&found("ANPA0123456789EXAMPLE")).await, Ok(RevokeOutcome::Gone));
    assert!(!replay.calls().contains(&"DeletePolicy".to_owned()), "the next sweep finds it by its own id");
}

fn found_role() -> ManagedObject {
    ManagedObject {
        mark: names::parse(ROLE).unwrap().0,
        artifact: Artifact { kind: "Role".into(), id: ROLE.into(), uid: "AROA".into() },
        created: super::deadline(),
    }
}

fn me() -> Recorded {
    caller(ACCOUNT, "arn:aws:iam::111122223333:user/operator")
}

/// The role has a policy by reference, and one of its own, which ends it.
fn role_with_a_reference() -> Vec<Recorded> {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}"#;
    let trust = percent_encoding::utf8_percent_encode(trust, percent_encoding::NON_ALPHANUMERIC);
    let role = format!("<Role>{}<AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument></Role>", role_xml("AROA"));
    let own = super::arn(&policy(0, "s3:*")).replace("a1-", "a2-");
    let member = |arn: &str| format!("<member><PolicyName>p</PolicyName><PolicyArn>{arn}</PolicyArn></member>");
    let attached = format!("{}{}", member(&own), member("arn:aws:iam::aws:policy/ReadOnlyAccess"));
    let attached = format!("<AttachedPolicies>{attached}</AttachedPolicies><IsTruncated>false</IsTruncated>");
    let inline = "<PolicyNames><member>curfew-closed</member><member>more</member></PolicyNames><IsTruncated>false</IsTruncated>";
    vec![me(), iam("GetRole", &role), iam("ListAttachedRolePolicies", &attached), iam("ListRolePolicies", inline)]
}

/// What it has by reference is ended by a policy of its own: taken first, the reference would live again.
#[tokio::test]
async fn a_role_is_closed_before_anything_is_taken_and_what_ends_a_reference_is_taken_after_it() {
    let mut answers = role_with_a_reference();
    answers.extend(["UpdateAssumeRolePolicy", "PutRolePolicy", "DetachRolePolicy", "DetachRolePolicy", "DeletePolicy"].map(done));
    answers.extend(["DeleteRolePolicy", "DeleteRolePolicy", "DeleteRole"].map(done));
    let replay = Replay::of(answers).await;
    assert_eq!(replay.aws(connection()).remove(&found_role()).await, Ok(RevokeOutcome::Gone));
    let writes: Vec<String> =
        replay.calls().into_iter().filter(|call| !["Get", "List"].iter().any(|read| call.starts_with(read))).collect();
    assert_eq!(writes[..3], ["UpdateAssumeRolePolicy", "PutRolePolicy", "DetachRolePolicy"]);
    let detached = replay.all_sent("DetachRolePolicy");
    assert!(detached[0].contains("aws:policy/ReadOnlyAccess") && detached[1].contains("policy/curfew/"), "{detached:?}");
    assert!(replay.all_sent("DeleteRolePolicy")[1].contains("curfew-closed"), "what closes its sessions goes last");
}

#[tokio::test]
async fn a_reference_that_cannot_be_taken_keeps_the_policy_that_ends_it() {
    let mut answers = role_with_a_reference();
    answers.extend(["UpdateAssumeRolePolicy", "PutRolePolicy"].map(done));
    answers.push(xml_error("DetachRolePolicy", 403, "AccessDenied", "explicit deny"));
    let replay = Replay::of(answers).await;
    assert!(replay.aws(connection()).remove(&found_role()).await.is_err());
    let detached = replay.all_sent("DetachRolePolicy");
    assert!(detached.len() == 1 && detached[0].contains("ReadOnlyAccess"), "{detached:?}");
    assert!(!replay.calls().iter().any(|call| call.starts_with("Delete")), "{:?}", replay.calls());
}

#[tokio::test]
async fn a_policy_that_one_of_our_roles_has_is_left_to_the_removal_of_that_role() {
    let planned = policy(0, "s3:*");
    let found = ManagedObject {
        mark: names::parse(&planned.name).unwrap().0,
        artifact: Artifact { kind: "Policy".into(), id: super::arn(&planned), uid: "ANPA0123456789EXAMPLE".into() },
        created: super::deadline(),
    };
    // The role of a grant has the name of its first policy.
    let name = planned.name.as_str();
    let holders = |role: &str| {
        let role = format!("<PolicyRoles><member><RoleName>{role}</RoleName></member></PolicyRoles><IsTruncated>false</IsTruncated>");
        iam("ListEntitiesForPolicy", &role)
    };
    let role = |path: &str| {
        let role =
            format!("<Role><RoleName>{name}</RoleName><RoleId>AROA</RoleId><Arn>arn:aws:iam::111122223333:{path}</Arn><Path>/</Path>");
        iam("GetRole", &format!("{role}<CreateDate>2026-11-26T12:00:00Z</CreateDate></Role>"))
    };
    let attached = || Stored { attachments: 1, ..stored(&planned) };
    // How many have it is a number that may be old: who has it is asked all the same.
    let replay = Replay::of([
        me(),
        stored(&planned).read(),
        holders(name),
        role(&format!("role/curfew/{name}")),
        done("DetachRolePolicy"),
        done("DeletePolicy"),
    ])
    .await;
    let outcome = replay.aws(connection()).remove(&found).await;
    assert!(matches!(&outcome, Ok(RevokeOutcome::Remains(why)) if why.contains(name)), "{outcome:?}");
    assert!(!replay.calls().iter().any(|call| ["DetachRolePolicy", "DeletePolicy"].contains(&call.as_str())), "{:?}", replay.calls());

    let conflict = xml_error("DeletePolicy", 409, "DeleteConflict", "attached");
    let one = "<Versions><member><VersionId>v1</VersionId><IsDefaultVersion>true</IsDefaultVersion></member></Versions>";
    let versions = iam("ListPolicyVersions", &format!("{one}<IsTruncated>false</IsTruncated>"));
    // A name says nothing of a role elsewhere.
    let elsewhere = role(&format!("role/{name}"));
    let answers = [me(), attached().read(), holders(name), elsewhere, conflict, holders(name), done("DetachRolePolicy"), versions];
    let replay = Replay::of(answers.into_iter().chain([done("DeletePolicy")])).await;
    assert_eq!(replay.aws(connection()).remove(&found).await, Ok(RevokeOutcome::Gone), "a role of others loses it");
}

/// An instance that does not answer keeps nothing in the account from being swept.
#[tokio::test]
async fn what_can_be_listed_is_swept() {
    let members = stored(&policy(0, "s3:*")).listed();
    let listed = || iam("ListPolicies", &format!("<Policies>{members}</Policies><IsTruncated>false</IsTruncated>"));
    let roles = || iam("ListRoles", "<Roles></Roles><IsTruncated>false</IsTruncated>");
    let denied = |action| json_error(action, 403, "AccessDeniedException", "not authorized");
    let replay = Replay::of([me(), listed(), roles(), denied("ListPermissionSets")]).await;
    let found = replay.aws(super::identity_center::center()).managed().await.unwrap();
    assert_eq!(found.len(), 1);
    let replay = Replay::of([me(), listed(), denied("ListRoles")]).await;
    assert_eq!(replay.aws(connection()).managed().await.unwrap().len(), 1);
    let replay = Replay::of([me(), denied("ListPolicies"), roles()]).await;
    assert!(replay.aws(connection()).managed().await.is_err(), "where nothing was found, a failure is an answer");
}
