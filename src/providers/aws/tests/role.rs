//! The life of a grant by a role of its own.
use super::{ACCOUNT, GRANT, Stored, arn, connection, done, plan, policy, stored, summary};
use crate::{
    api::grant::Artifact,
    providers::{
        aws::replay::{Recorded, Replay, iam, xml_error},
        port::{ApplyOutcome, ProviderError, ReserveOutcome, RevokeOutcome},
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
    assert_eq!(calls[..3], ["UpdateAssumeRolePolicy", "PutRolePolicy", "DetachRolePolicy"]);
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
