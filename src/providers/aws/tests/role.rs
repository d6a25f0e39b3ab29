//! The life of a grant by a role of its own.
use super::{ACCOUNT, GRANT, Stored, arn, connection, done, plan, policy, stored, summary};
use crate::{
    api::grant::Artifact,
    providers::{
        aws::replay::{Recorded, Replay, iam, xml_error},
        port::{ApplyOutcome, Provider, ProviderError, ReserveOutcome, RevokeOutcome},
    },
};
use curfew_core::{
    grant::Observation,
    reconcile::Reservation,
    target::aws::{
        Access, Plan,
        plan::{PlannedRole, trust},
    },
};
use std::sync::Arc;

const NAME: &str = "curfew-0123abcd-00000000000000a1-20261126T180000Z";

fn role_plan() -> (Plan, PlannedRole) {
    let principal = format!("arn:aws:iam::{ACCOUNT}:user/alice");
    let role = PlannedRole {
        name: NAME.into(),
        inert_trust: trust::inert(),
        trust: trust::dated(&principal, "alice", super::deadline()),
        principal,
        policies: vec![policy(0, "s3:GetObject")],
        attached: Vec::new(),
        max_session_secs: 3_600,
        source_identity: "alice".into(),
    };
    (plan(Access::Role(role.clone())), role)
}

fn role_xml(id: &str, trust: &str, tag: &str) -> String {
    let trust = percent_encoding::utf8_percent_encode(trust, percent_encoding::NON_ALPHANUMERIC);
    format!(
        "<Role><Path>/curfew/</Path><RoleName>{NAME}</RoleName><RoleId>{id}</RoleId><Arn>arn:aws:iam::{ACCOUNT}:role/curfew/{NAME}</Arn>\
         <CreateDate>2026-11-26T12:00:00Z</CreateDate><AssumeRolePolicyDocument>{trust}</AssumeRolePolicyDocument>\
         <Tags><member><Key>curfew.dev/grant</Key><Value>{tag}</Value></member></Tags></Role>"
    )
}

fn attached(arns: &[String]) -> Recorded {
    let members: String =
        arns.iter().map(|arn| format!("<member><PolicyName>p</PolicyName><PolicyArn>{arn}</PolicyArn></member>")).collect();
    iam("ListAttachedRolePolicies", &format!("<AttachedPolicies>{members}</AttachedPolicies><IsTruncated>false</IsTruncated>"))
}

fn inline(names: &[&str]) -> Recorded {
    let members: String = names.iter().map(|name| format!("<member>{name}</member>")).collect();
    iam("ListRolePolicies", &format!("<PolicyNames>{members}</PolicyNames><IsTruncated>false</IsTruncated>"))
}

fn gone(action: &'static str) -> Recorded {
    xml_error(action, 404, "NoSuchEntity", "The role cannot be found.")
}

fn reservation(policy: &Stored) -> Reservation {
    Reservation(Arc::new(vec![Some(("AROA".into(), "".into())), Some((policy.id.into(), policy.version.into()))]))
}

#[tokio::test]
async fn a_role_is_reserved_with_its_policies_while_it_lets_nobody_in() {
    let (plan, role) = role_plan();
    let shown = stored(&role.policies[0]);
    let answers = [summary(&[]), iam("CreateRole", &role_xml("AROA", &role.inert_trust, GRANT)), shown.created(), done("AttachRolePolicy")];
    let replay = Replay::of(answers).await;
    assert_eq!(replay.aws(connection()).reserve_role(&plan, &role).await, Ok(ReserveOutcome::Reserved(reservation(&shown))));
    let sent = replay.sent("CreateRole");
    assert!(sent.contains("\"Effect\":\"Deny\"") && sent.contains("Path=/curfew/") && sent.contains("MaxSessionDuration=3600"), "{sent}");
    assert_eq!(replay.calls(), ["GetAccountSummary", "CreateRole", "CreatePolicy", "AttachRolePolicy"]);
}

#[tokio::test]
async fn it_lets_the_principal_in_only_if_it_is_the_very_role_with_the_very_policies() {
    let (plan, role) = role_plan();
    let shown = Stored { attachments: 1, ..stored(&role.policies[0]) };
    let own = [arn(&shown.planned)];
    let inert = |id| iam("GetRole", &role_xml(id, &role.inert_trust, GRANT));
    let answers = [inert("AROA"), attached(&own), inline(&[]), shown.read(), shown.document(), done("UpdateAssumeRolePolicy")];
    let replay = Replay::of(answers).await;
    let armed = replay.aws(connection()).arm_role(&plan, &role, &reservation(&shown)).await.unwrap();
    assert!(
        matches!(&armed, ApplyOutcome::Done(all) if all[0].kind == "Role" && all[0].uid == "AROA" && all[1].kind == "Policy"),
        "{armed:?}"
    );
    assert!(replay.sent("UpdateAssumeRolePolicy").contains("arn:aws:iam::111122223333:user/alice"));

    let more = [own[0].clone(), "arn:aws:iam::aws:policy/AdministratorAccess".into()];
    let changed = [
        vec![inert("ANOTHER")],
        vec![inert("AROA"), attached(&more), inline(&[])],
        vec![inert("AROA"), attached(&own), inline(&["more"])],
        vec![gone("GetRole")],
    ];
    for answers in changed {
        let replay = Replay::of(answers).await;
        let e = replay.aws(connection()).arm_role(&plan, &role, &reservation(&shown)).await.unwrap_err();
        assert!(matches!(&e, ProviderError::Transient { message, .. } if message.contains("nobody is let in")), "{e:?}");
        assert!(!replay.calls().contains(&"UpdateAssumeRolePolicy".to_owned()));
    }
    let late = [inert("AROA"), attached(&own), inline(&[]), shown.read(), shown.document(), gone("UpdateAssumeRolePolicy")];
    let replay = Replay::of(late).await;
    assert!(replay.aws(connection()).arm_role(&plan, &role, &reservation(&shown)).await.is_err(), "a deleted role lets nobody in");
}

#[tokio::test]
async fn an_end_closes_the_door_then_the_sessions_and_then_removes_the_objects() {
    let (plan, role) = role_plan();
    let known = [
        Artifact { kind: "Role".into(), id: format!("arn:aws:iam::{ACCOUNT}:role/curfew/{NAME}"), uid: "AROA".into() },
        Artifact { kind: "Policy".into(), id: arn(&role.policies[0]), uid: "ANPA0123456789EXAMPLE".into() },
    ];
    let answers = [
        iam("GetRole", &role_xml("AROA", &role.trust, GRANT)),
        done("UpdateAssumeRolePolicy"),
        done("PutRolePolicy"),
        done("DetachRolePolicy"),
        done("DeletePolicy"),
        attached(&[]),
        inline(&[trust::CLOSED]),
        done("DeleteRolePolicy"),
        done("DeleteRole"),
    ];
    let replay = Replay::of(answers).await;
    assert_eq!(replay.aws(connection()).revoke_role(&plan, &role, &known).await, Ok(RevokeOutcome::Gone));
    let calls = replay.calls();
    assert_eq!(calls[1..4], ["UpdateAssumeRolePolicy", "PutRolePolicy", "DetachRolePolicy"]);
    assert_eq!(calls[calls.len() - 2..], ["DeleteRolePolicy", "DeleteRole"]);
    assert!(replay.sent("PutRolePolicy").contains("aws:TokenIssueTime"));
}

#[tokio::test]
async fn every_change_by_others_is_drift() {
    let (plan, role) = role_plan();
    let shown = Stored { attachments: 1, ..stored(&role.policies[0]) };
    let own = [arn(&shown.planned)];
    let observe = async |trust: &str, attachments: &[String], extra: &[&str]| {
        let role_answer = iam("GetRole", &role_xml("AROA", trust, GRANT));
        let held = [attached(attachments), attached(attachments)];
        let replay = Replay::of([role_answer, shown.read(), shown.document(), inline(extra)].into_iter().chain(held)).await;
        replay.aws(connection()).observe_role(&plan, &role).await.unwrap().observation
    };
    assert_eq!(observe(&role.trust, &own, &[]).await, Observation::Present);
    assert_eq!(observe(&role.inert_trust, &own, &[]).await, Observation::Drifted, "it lets nobody in");
    let wide = trust::dated("*", "alice", super::deadline());
    assert_eq!(observe(&wide, &own, &[]).await, Observation::Drifted, "it lets others in");
    assert_eq!(observe(&role.trust, &[own[0].clone(), "arn:aws:iam::aws:policy/X".into()], &[]).await, Observation::Drifted);
    assert_eq!(observe(&role.trust, &own, &["more"]).await, Observation::Drifted);
    let replay = Replay::of([gone("GetRole"), gone("GetPolicy")]).await;
    assert_eq!(replay.aws(connection()).observe_role(&plan, &role).await.unwrap(), Observation::Absent);
}

fn known(role: &PlannedRole) -> [Artifact; 2] {
    [
        Artifact { kind: "Role".into(), id: format!("arn:aws:iam::{ACCOUNT}:role/curfew/{NAME}"), uid: "AROA".into() },
        Artifact { kind: "Policy".into(), id: arn(&role.policies[0]), uid: "ANPA0123456789EXAMPLE".into() },
    ]
}

#[tokio::test]
async fn an_end_goes_on_where_one_of_its_steps_is_refused() {
    let (plan, role) = role_plan();
    let refused = |action| xml_error(action, 403, "AccessDenied", "with an explicit deny in a service control policy");
    let answers = [
        iam("GetRole", &role_xml("AROA", &role.trust, GRANT)),
        refused("UpdateAssumeRolePolicy"),
        done("PutRolePolicy"),
        done("DetachRolePolicy"),
        done("DeletePolicy"),
        attached(&[]),
        inline(&[]),
        refused("DeleteRole"),
    ];
    let replay = Replay::of(answers).await;
    let e = replay.aws(connection()).revoke_role(&plan, &role, &known(&role)).await.unwrap_err();
    assert!(matches!(&e, ProviderError::Denied(why) if why.contains("iam:UpdateAssumeRolePolicy")), "{e:?}");
    let calls = replay.calls();
    for action in ["PutRolePolicy", "DetachRolePolicy", "DeletePolicy", "DeleteRole"] {
        assert!(calls.contains(&action.to_owned()), "{action}: {calls:?}");
    }
}

/// A paused reservation attaches a policy between the list and the deletion.
#[tokio::test]
async fn what_was_attached_meanwhile_is_taken_and_the_role_deleted() {
    let conflict = || xml_error("DeleteRole", 409, "DeleteConflict", "Cannot delete entity, must detach all policies first.");
    let late = ["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()];
    let answers = [attached(&[]), inline(&[]), conflict(), attached(&late), inline(&[]), done("DetachRolePolicy"), done("DeleteRole")];
    let replay = Replay::of(answers).await;
    assert_eq!(replay.aws(connection()).delete_role(NAME).await, Ok(RevokeOutcome::Gone));
    let answers = [attached(&[]), inline(&[]), conflict(), attached(&[]), inline(&[])];
    let replay = Replay::of(answers).await;
    let outcome = replay.aws(connection()).delete_role(NAME).await;
    assert!(matches!(&outcome, Ok(RevokeOutcome::Remains(why)) if why.contains("instance profile")), "{outcome:?}");
}

/// The operator may die before it has revoked: the deadline that AWS knows is still to come.
#[tokio::test]
async fn an_early_end_closes_the_role_at_once() {
    let (plan, role) = role_plan();
    let shown = iam("GetRole", &role_xml("AROA", &role.trust, GRANT));
    let replay = Replay::of([shown, done("UpdateAssumeRolePolicy"), done("PutRolePolicy")]).await;
    let plan = curfew_core::target::Plan::Aws(plan);
    assert_eq!(replay.aws(connection()).expire_now(&plan, &known(&role)).await, Ok(()));
    assert_eq!(replay.calls(), ["GetRole", "UpdateAssumeRolePolicy", "PutRolePolicy"]);
    let replay = Replay::of([gone("GetRole")]).await;
    assert_eq!(replay.aws(connection()).expire_now(&plan, &[]).await, Ok(()), "there is nothing");
    assert_eq!(replay.calls(), ["GetRole"]);
}

/// A run before this one has closed the door, and has died before it ended the sessions.
#[tokio::test]
async fn sessions_of_a_role_that_lets_nobody_in_are_ended_too() {
    let (plan, role) = role_plan();
    let plan = curfew_core::target::Plan::Aws(plan);
    let expired = async |inline_policies: &[&str]| {
        let shown = iam("GetRole", &role_xml("AROA", &role.inert_trust, GRANT));
        let replay = Replay::of([shown, inline(inline_policies), done("PutRolePolicy")]).await;
        assert_eq!(replay.aws(connection()).expire_now(&plan, &[]).await, Ok(()));
        replay.calls()
    };
    assert_eq!(expired(&[]).await, ["GetRole", "ListRolePolicies", "PutRolePolicy"]);
    assert_eq!(expired(&[trust::CLOSED]).await, ["GetRole", "ListRolePolicies"], "they are ended already");
}
