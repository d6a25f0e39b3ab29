//! Which account it is, and what is believed of it.
use super::{ACCOUNT, connection, done};
use crate::{
    api::grant::Artifact,
    providers::{
        aws::replay::{Recorded, Replay, ok, xml_error},
        port::{Provider, ProviderError, RevokeOutcome},
    },
};
use curfew_core::{
    fingerprint::Meant,
    grant::Observation,
    target::{Plan, SlotSet},
};

pub fn caller(account: &str, arn: &str) -> Recorded {
    ok(
        "GetCallerIdentity",
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>{arn}</Arn>\
             <UserId>AROAEXAMPLE:curfew</UserId><Account>{account}</Account></GetCallerIdentityResult>\
             <ResponseMetadata><RequestId>01234567-example</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        ),
    )
}

#[tokio::test]
async fn the_account_is_what_sts_says_and_is_asked_once_in_a_while() {
    let replay = Replay::of([caller(ACCOUNT, "arn:aws:sts::111122223333:assumed-role/curfew-operator/curfew")]).await;
    let aws = replay.aws(connection());
    assert_eq!((aws.identity().await, aws.identity().await), (Ok("aws:111122223333".into()), Ok("aws:111122223333".into())));
    assert_eq!(replay.calls().len(), 1);
}

#[tokio::test]
async fn another_account_proves_nothing() {
    let replay = Replay::of([caller("444455556666", "arn:aws:sts::444455556666:assumed-role/other/curfew")]).await;
    let aws = replay.aws(connection());
    let e = aws.identity().await.unwrap_err();
    assert!(matches!(&e, ProviderError::Invalid(why) if why.contains("lead to account 444455556666")), "{e:?}");
    assert!(aws.managed().await.is_err(), "nothing is listed, and nothing removed, in another account");
    assert_eq!(replay.calls().len(), 1);
}

#[tokio::test]
async fn credentials_that_have_expired_are_tried_again() {
    let expired = xml_error("GetCallerIdentity", 403, "ExpiredToken", "The security token included in the request is expired");
    let replay = Replay::of([expired]).await;
    assert!(matches!(replay.aws(connection()).identity().await, Err(ProviderError::Transient { .. })));
}

/// What another account shows is absence, too. So the account is asked for after the look that shows it, and not before.
#[tokio::test]
async fn absence_is_confirmed_by_an_answer_that_is_younger_than_it() {
    let (plan, user) = super::user_plan();
    let known = [Artifact { kind: "Policy".into(), id: super::arn(&user.policies[0]), uid: "ANPA0123456789EXAMPLE".into() }];
    let meant = Meant::by_identity("aws:111122223333");
    let me = || caller(ACCOUNT, "arn:aws:sts::111122223333:assumed-role/curfew-operator/curfew");
    let other = || caller("444455556666", "arn:aws:sts::444455556666:assumed-role/other/curfew");
    let gone = xml_error("GetPolicy", 404, "NoSuchEntity", "Policy does not exist.");
    let replay = Replay::of([me(), done("DetachUserPolicy"), done("DeletePolicy"), me(), gone, other()]).await;
    let aws = replay.aws(connection());
    let of = Plan::Aws(plan);
    aws.confirm(&meant).await.unwrap();
    assert_eq!(aws.revoke("g", &of, &known, SlotSet::NONE).await, Ok(RevokeOutcome::Gone));
    aws.confirm(&meant).await.unwrap();
    assert_eq!(aws.observe(&of, &[], SlotSet::NONE, None).await.unwrap(), Observation::Absent);
    assert!(aws.confirm(&meant).await.is_err(), "the credentials lead elsewhere by now");
    assert_eq!(replay.all_sent("GetCallerIdentity").len(), 3);
}
