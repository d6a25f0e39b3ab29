//! The life of a grant to a user, by the calls that are sent and the answers that AWS gives.
use super::{Stored, USER, arn, attached, connection, done, plan, policy, stored, summary, user_plan};
use crate::{
    api::grant::Artifact,
    providers::{
        aws::replay::{Recorded, Replay, iam, xml_error},
        port::{ApplyOutcome, EnforcedBy, Provider, ProviderError, ReserveOutcome, RevokeOutcome},
    },
};
use curfew_core::{
    grant::Observation,
    reconcile::Reservation,
    target::aws::{Access, PlannedPolicy, plan::PlannedUser},
};
use std::sync::Arc;

fn reservation(of: &Stored) -> Reservation {
    Reservation(Arc::new(vec![Some((of.id.into(), of.version.into()))]))
}

fn gone(action: &'static str) -> Recorded {
    xml_error(action, 404, "NoSuchEntity", "Policy does not exist or is not attachable.")
}

fn taken() -> Recorded {
    xml_error("CreatePolicy", 409, "EntityAlreadyExists", "A policy called curfew-x already exists. Duplicate names are not allowed.")
}

/// The same policy with another document.
fn edited(policy: &PlannedPolicy) -> Stored {
    let planned = PlannedPolicy { document: super::policy(0, "*").document, ..policy.clone() };
    Stored { version: "v2", ..stored(&planned) }
}

#[tokio::test]
async fn a_reservation_is_a_policy_that_is_attached_to_nothing_and_carries_date_and_mark() {
    let (plan, user) = user_plan();
    let shown = stored(&user.policies[0]);
    let replay = Replay::of([attached(&[]), summary(&[]), shown.created()]).await;
    let outcome = replay.aws(connection()).reserve_user(&plan, &user).await.unwrap();
    assert_eq!(outcome, ReserveOutcome::Reserved(reservation(&shown)));
    let sent = replay.sent("CreatePolicy");
    for part in
        ["Path=/curfew/", "PolicyName=curfew-0123abcd-00000000000000a1-20261126T180000Z", "2026-11-26T18:00:00Z", "curfew.dev/grant"]
    {
        assert!(sent.contains(part), "{part}: {sent}");
    }
    assert!(!replay.calls().contains(&"AttachUserPolicy".to_owned()));
}

#[tokio::test]
async fn nothing_is_written_for_a_user_who_does_not_exist_or_has_no_room() {
    let (plan, user) = user_plan();
    let missing = xml_error("ListAttachedUserPolicies", 404, "NoSuchEntity", "The user with name alice cannot be found.");
    let replay = Replay::of([missing, summary(&[])]).await;
    let e = replay.aws(connection()).reserve_user(&plan, &user).await.unwrap_err();
    assert!(matches!(&e, ProviderError::Invalid(why) if why.contains("account 111122223333 has no IAM user alice; create it")), "{e:?}");

    let full: Vec<String> = (0..10).map(|n| format!("arn:aws:iam::111122223333:policy/p{n}")).collect();
    let replay = Replay::of([attached(&full), summary(&[("AttachedPoliciesPerUserQuota", 10)])]).await;
    let e = replay.aws(connection()).reserve_user(&plan, &user).await.unwrap_err();
    assert!(matches!(&e, ProviderError::Denied(why) if why.contains("10 policies attached to user alice, 1 more")), "{e:?}");

    let replay = Replay::of([attached(&[]), summary(&[("Policies", 1_500), ("PoliciesQuota", 1_500)])]).await;
    let e = replay.aws(connection()).reserve_user(&plan, &user).await.unwrap_err();
    assert!(matches!(&e, ProviderError::Denied(why) if why.contains("1500 customer-managed policies")), "{e:?}");
    assert!(!replay.calls().contains(&"CreatePolicy".to_owned()));
}

#[tokio::test]
async fn a_name_that_is_taken_is_ours_only_with_the_same_content_and_without_other_holders() {
    let (plan, user) = user_plan();
    let shown = stored(&user.policies[0]);
    let ours = [attached(&[]), summary(&[]), taken(), shown.read(), shown.document(), attached(&[])];
    let replay = Replay::of(ours).await;
    assert_eq!(replay.aws(connection()).reserve_user(&plan, &user).await, Ok(ReserveOutcome::Reserved(reservation(&shown))));

    let held = Stored { attachments: 1, ..shown.clone() };
    let strangers = [Stored { tag: "x", ..edited(&user.policies[0]) }, edited(&user.policies[0]), held];
    for stranger in strangers {
        let replay = Replay::of([attached(&[]), summary(&[]), taken(), stranger.read(), stranger.document(), attached(&[])]).await;
        let outcome = replay.aws(connection()).reserve_user(&plan, &user).await.unwrap();
        assert!(matches!(&outcome, ReserveOutcome::Occupied(what) if what.contains(&arn(&shown.planned))), "{outcome:?}");
    }
    // Created a moment ago by another replica: reads lag.
    let replay = Replay::of([attached(&[]), summary(&[]), taken(), gone("GetPolicy")]).await;
    assert!(matches!(replay.aws(connection()).reserve_user(&plan, &user).await, Err(ProviderError::Transient { .. })));
}

#[tokio::test]
async fn only_the_very_policy_that_was_reserved_is_attached() {
    let (plan, user) = user_plan();
    let shown = stored(&user.policies[0]);
    let replay = Replay::of([shown.read(), shown.document(), done("AttachUserPolicy")]).await;
    let armed = replay.aws(connection()).arm_user(&plan, &user, &reservation(&shown)).await.unwrap();
    let artifact = Artifact { kind: "Policy".into(), id: arn(&shown.planned), uid: shown.id.into() };
    assert_eq!(armed, ApplyOutcome::Done(vec![artifact]));
    assert_eq!(replay.calls(), ["GetPolicy", "GetPolicyVersion", "AttachUserPolicy"]);

    let another = Stored { id: "ANPAANOTHEREXAMPLE", ..shown.clone() };
    let other_version = Stored { version: "v2", ..shown.clone() };
    let other_text = Stored { version: "v1", ..edited(&shown.planned) };
    for changed in [another, other_version, other_text] {
        let replay = Replay::of([changed.read(), changed.document()]).await;
        let e = replay.aws(connection()).arm_user(&plan, &user, &reservation(&shown)).await.unwrap_err();
        assert!(matches!(&e, ProviderError::Transient { message, .. } if message.contains("not attached")), "{e:?}");
        assert!(!replay.calls().contains(&"AttachUserPolicy".to_owned()));
    }
}

/// A process is paused between its last read and the attachment; the revocation deletes the policy meanwhile.
#[tokio::test]
async fn an_attachment_that_is_sent_after_the_revocation_fails() {
    let (plan, user) = user_plan();
    let shown = stored(&user.policies[0]);
    let replay = Replay::of([shown.read(), shown.document(), gone("AttachUserPolicy")]).await;
    let e = replay.aws(connection()).arm_user(&plan, &user, &reservation(&shown)).await.unwrap_err();
    assert!(matches!(&e, ProviderError::Transient { message, .. } if message.contains("does not exist, so it is not attached")), "{e:?}");
    let replay = Replay::of([gone("GetPolicy")]).await;
    assert!(replay.aws(connection()).arm_user(&plan, &user, &reservation(&shown)).await.is_err());
    assert_eq!(replay.calls(), ["GetPolicy"], "nothing is attached that is not there");
}

async fn observed(shown: Option<&Stored>, held: &[String]) -> Observation {
    let (plan, user) = user_plan();
    let answers = match shown {
        Some(shown) => vec![listed(&[]), shown.read(), shown.document(), attached(held)],
        None => vec![listed(&[]), gone("GetPolicy")],
    };
    let replay = Replay::of(answers).await;
    replay.aws(connection()).observe_user(&plan, &user).await.unwrap().observation
}

#[tokio::test]
async fn every_change_by_others_is_drift_and_the_policy_of_another_is_not_ours() {
    let (_, user) = user_plan();
    let given = Stored { attachments: 1, ..stored(&user.policies[0]) };
    let ours = [arn(&given.planned)];
    assert_eq!(observed(Some(&given), &ours).await, Observation::Present);
    assert_eq!(observed(None, &[]).await, Observation::Absent);
    assert_eq!(observed(Some(&stored(&given.planned)), &[]).await, Observation::Drifted, "detached");
    let twice = Stored { attachments: 2, ..given.clone() };
    assert_eq!(observed(Some(&twice), &ours).await, Observation::Drifted, "attached to another user, too");
    let elsewhere = Stored { attachments: 1, ..given.clone() };
    assert_eq!(observed(Some(&elsewhere), &[]).await, Observation::Drifted, "attached to another user instead");
    assert_eq!(observed(Some(&Stored { attachments: 1, ..edited(&given.planned) }), &ours).await, Observation::Drifted, "another version");
    let stranger = Stored { tag: "x", ..edited(&given.planned) };
    assert_eq!(observed(Some(&stranger), &[]).await, Observation::Absent, "another's policy under the name is not this grant's");
    let untagged = Stored { tag: "x", ..edited(&given.planned) };
    assert_eq!(observed(Some(&untagged), &ours).await, Observation::Drifted, "the user has it, and its tag proves nothing");
}

#[tokio::test]
async fn a_part_of_several_policies_is_drift() {
    let user = PlannedUser { user: USER.into(), policies: vec![policy(0, "s3:GetObject"), policy(1, "s3:PutObject")] };
    let plan = plan(Access::User(user.clone()));
    let first = Stored { attachments: 1, ..stored(&user.policies[0]) };
    let replay = Replay::of([listed(&[]), first.read(), gone("GetPolicy"), first.document(), attached(&[arn(&first.planned)])]).await;
    assert_eq!(replay.aws(connection()).observe_user(&plan, &user).await.unwrap(), Observation::Drifted);
}

#[tokio::test]
async fn an_end_is_two_calls_and_what_is_missing_is_success() {
    let (plan, user) = user_plan();
    let known = [Artifact { kind: "Policy".into(), id: arn(&user.policies[0]), uid: "ANPA0123456789EXAMPLE".into() }];
    for answers in [[done("DetachUserPolicy"), done("DeletePolicy")], [gone("DetachUserPolicy"), gone("DeletePolicy")]] {
        let replay = Replay::of(answers).await;
        assert_eq!(replay.aws(connection()).revoke_user(&plan, &user, &known).await, Ok(RevokeOutcome::Gone));
        assert_eq!(replay.calls(), ["DetachUserPolicy", "DeletePolicy"]);
    }
    // Without a proof that it was armed, another's policy under its name stays.
    let stranger = Stored { tag: "x", ..edited(&user.policies[0]) };
    let replay = Replay::of([stranger.read(), stranger.document(), attached(&[])]).await;
    assert_eq!(replay.aws(connection()).revoke_user(&plan, &user, &[]).await, Ok(RevokeOutcome::Gone));
    assert!(!replay.calls().contains(&"DeletePolicy".to_owned()));
}

#[tokio::test]
async fn who_else_holds_the_policy_loses_it_and_versions_that_others_made_go() {
    let (plan, user) = user_plan();
    let known = [Artifact { kind: "Policy".into(), id: arn(&user.policies[0]), uid: "ANPA0123456789EXAMPLE".into() }];
    let conflict = |message| xml_error("DeletePolicy", 409, "DeleteConflict", message);
    let holders = iam(
        "ListEntitiesForPolicy",
        "<PolicyGroups><member><GroupName>devs</GroupName><GroupId>G</GroupId></member></PolicyGroups><PolicyUsers/>\
         <PolicyRoles><member><RoleName>ci</RoleName><RoleId>R</RoleId></member></PolicyRoles><IsTruncated>false</IsTruncated>",
    );
    let versions = iam(
        "ListPolicyVersions",
        "<Versions><member><VersionId>v2</VersionId><IsDefaultVersion>true</IsDefaultVersion></member>\
         <member><VersionId>v1</VersionId><IsDefaultVersion>false</IsDefaultVersion></member></Versions><IsTruncated>false</IsTruncated>",
    );
    let replay = Replay::of([
        done("DetachUserPolicy"),
        conflict("Cannot delete a policy attached to entities."),
        holders,
        done("DetachGroupPolicy"),
        done("DetachRolePolicy"),
        versions,
        done("DeletePolicyVersion"),
        done("DeletePolicy"),
    ])
    .await;
    assert_eq!(replay.aws(connection()).revoke_user(&plan, &user, &known).await, Ok(RevokeOutcome::Gone));
    assert!(replay.sent("DetachGroupPolicy").contains("devs") && replay.sent("DetachRolePolicy").contains("ci"));
    assert!(replay.sent("DeletePolicyVersion").contains("VersionId=v1"), "the version that is in effect goes with the policy");
}

#[tokio::test]
async fn a_policy_that_is_a_boundary_is_not_taken_from_its_holder() {
    let (plan, user) = user_plan();
    let known = [Artifact { kind: "Policy".into(), id: arn(&user.policies[0]), uid: "ANPA0123456789EXAMPLE".into() }];
    let conflict = || xml_error("DeletePolicy", 409, "DeleteConflict", "Cannot delete a policy attached to entities.");
    let none = "<PolicyGroups/><PolicyUsers/><PolicyRoles/><IsTruncated>false</IsTruncated>";
    let bounded = "<PolicyUsers><member><UserName>bob</UserName></member></PolicyUsers><IsTruncated>false</IsTruncated>";
    let one = "<Versions><member><VersionId>v1</VersionId><IsDefaultVersion>true</IsDefaultVersion></member></Versions>";
    let replay = Replay::of([
        done("DetachUserPolicy"),
        conflict(),
        iam("ListEntitiesForPolicy", none),
        iam("ListPolicyVersions", one),
        conflict(),
        iam("ListEntitiesForPolicy", bounded),
    ])
    .await;
    let outcome = replay.aws(connection()).revoke_user(&plan, &user, &known).await.unwrap();
    assert!(
        matches!(&outcome, RevokeOutcome::Remains(why) if why.contains("permissions boundary of user bob; give them another")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_end_that_is_throttled_goes_on_where_it_was() {
    let (plan, user) = user_plan();
    let known = [Artifact { kind: "Policy".into(), id: arn(&user.policies[0]), uid: "ANPA0123456789EXAMPLE".into() }];
    let replay = Replay::of([done("DetachUserPolicy"), xml_error("DeletePolicy", 400, "Throttling", "Rate exceeded")]).await;
    let aws = replay.aws(connection());
    let e = aws.revoke_user(&plan, &user, &known).await.unwrap_err();
    assert!(e.retry_after().is_some(), "{e:?}");
    replay.then([done("DeletePolicy")]);
    assert_eq!(aws.revoke_user(&plan, &user, &known).await, Ok(RevokeOutcome::Gone));
    assert_eq!(replay.calls(), ["DetachUserPolicy", "DeletePolicy", "DeletePolicy"]);
}

#[tokio::test]
async fn aws_ends_it_only_where_the_date_is_seen_in_the_policy() {
    let (plan, user) = user_plan();
    let shown = stored(&user.policies[0]);
    let replay = Replay::of([shown.read(), shown.document()]).await;
    assert_eq!(replay.aws(connection()).user_ended_by(&plan, &user).await, Ok(EnforcedBy::Target));
    let undated = PlannedPolicy {
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#.into(),
        ..user.policies[0].clone()
    };
    let shown = stored(&undated);
    let replay = Replay::of([shown.read(), shown.document()]).await;
    assert_eq!(replay.aws(connection()).user_ended_by(&plan, &user).await, Ok(EnforcedBy::Curfew));
}

/// What ListPolicies answers.
fn listed(policies: &[&Stored]) -> Recorded {
    let members: String = policies.iter().map(|stored| stored.listed()).collect();
    iam("ListPolicies", &format!("<Policies>{members}</Policies><IsTruncated>false</IsTruncated>"))
}

/// Documents never change, and lists are shared: what is well costs no call of its own.
#[tokio::test]
async fn a_look_at_what_is_well_shares_its_calls_with_others() {
    let (plan, user) = user_plan();
    let given = Stored { attachments: 1, ..stored(&user.policies[0]) };
    let replay = Replay::of([listed(&[&given]), given.document(), attached(&[arn(&given.planned)])]).await;
    let aws = replay.aws(connection());
    for _ in 0..3 {
        assert_eq!(aws.observe_user(&plan, &user).await.unwrap(), Observation::Present);
        assert_eq!(aws.user_ended_by(&plan, &user).await, Ok(EnforcedBy::Target));
    }
    assert_eq!(replay.calls(), ["ListPolicies", "GetPolicyVersion", "ListAttachedUserPolicies"]);
}

/// A list may be older than the end: it shows the policy, and a look shows that it is gone.
#[tokio::test]
async fn an_old_list_hides_no_end_and_a_list_that_shows_less_ends_nothing() {
    let (plan, user) = user_plan();
    let given = Stored { attachments: 1, ..stored(&user.policies[0]) };
    let known = [Artifact { kind: "Policy".into(), id: arn(&given.planned), uid: given.id.into() }];
    let replay = Replay::of([listed(&[&given]), given.document(), attached(&[arn(&given.planned)])]).await;
    let aws = replay.aws(connection());
    assert_eq!(aws.observe_user(&plan, &user).await.unwrap(), Observation::Present);
    replay.then([done("DetachUserPolicy"), done("DeletePolicy"), gone("GetPolicy")]);
    assert_eq!(aws.revoke_user(&plan, &user, &known).await, Ok(RevokeOutcome::Gone));
    assert_eq!(aws.observe_user(&plan, &user).await.unwrap(), Observation::Absent);

    let replay = Replay::of([listed(&[]), given.read(), given.document(), attached(&[arn(&given.planned)])]).await;
    assert_eq!(
        replay.aws(connection()).observe_user(&plan, &user).await.unwrap(),
        Observation::Present,
        "the list is older than the grant"
    );
}

#[tokio::test]
async fn an_early_end_takes_the_policies_from_the_user_at_once() {
    let (plan, user) = user_plan();
    let known = [Artifact { kind: "Policy".into(), id: arn(&user.policies[0]), uid: "ANPA0123456789EXAMPLE".into() }];
    let replay = Replay::of([done("DetachUserPolicy")]).await;
    let aws = replay.aws(connection());
    let of = curfew_core::target::Plan::Aws(plan.clone());
    assert_eq!(aws.expire_now(&of, &known).await, Ok(()));
    assert_eq!(replay.calls(), ["DetachUserPolicy"]);
    replay.then([done("DeletePolicy")]);
    assert_eq!(aws.revoke_user(&plan, &user, &known).await, Ok(RevokeOutcome::Gone), "the revocation goes on where this was");
}
