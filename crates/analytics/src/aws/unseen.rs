//! Which actions the logs cannot show as used.
//!
//! `iam:PassRole` is checked with other calls and has no event. Data events (reading objects, invoking functions, and so on) are logged only if
//! a trail says so (CloudTrail User Guide, "Logging data events"). If nobody is seen with any data event of a service, its data events are taken as
//! not logged: what the logs do not show is not called unused.
use super::{
    catalogue::Actions,
    usage::{Activity, Usage},
};
use crate::history::Window;
use roaring::RoaringBitmap;

/// Actions without an event of their own.
const NO_EVENT: [&str; 1] = ["iam:PassRole"];

/// The actions with data events, by service (CloudTrail User Guide, "Logging data events", table of resource types).
const DATA_EVENTS: [&[&str]; 16] = [
    &["s3:*Object*", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"],
    &["s3express:CreateSession"],
    &["s3-object-lambda:*Object*"],
    &["s3-outposts:*Object*"],
    &["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"],
    &["dynamodb:*Item", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQL*", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
    &["sns:Publish"],
    &["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"],
    &["kinesis:Put*", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:SubscribeToShard"],
    &["ebs:*"],
    &["rds-data:*"],
    &["cognito-identity:Get*", "cognito-identity:UnlinkIdentity"],
    &["kendra:Query", "kendra:Retrieve", "kendra:BatchPutDocument", "kendra:BatchDeleteDocument"],
    &["execute-api:*"],
    &["logs:PutLogEvents", "logs:GetLogEvents", "logs:FilterLogEvents", "logs:StartLiveTail"],
    &["ssmmessages:*", "ec2messages:*"],
];

/// Names with `Object` that are management events.
const NOT_DATA: [&str; 2] = ["s3:*ObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration"];

/// The actions that the logs do not show. An action that an identity is seen with is not one of them.
pub fn unseen(actions: &Actions, usage: &Usage, account: &str, window: Window) -> RoaringBitmap {
    let used = used(usage, account, window);
    let expand = |patterns: &[&str]| patterns.iter().fold(RoaringBitmap::new(), |all, pattern| all | actions.expand(pattern));
    let not_data = expand(&NOT_DATA);
    let of_services = DATA_EVENTS.iter().map(|patterns| expand(patterns) - &not_data).filter(|data| data.is_disjoint(&used));
    of_services.fold(expand(&NO_EVENT) - &used, |all, data| all | data)
}

/// Every action that an identity of the account used in the window.
fn used(usage: &Usage, account: &str, window: Window) -> RoaringBitmap {
    let uses = of_account(usage, account).flat_map(|(_, activity)| &activity.actions);
    let inside = uses.filter(|(_, uses)| uses.unnamed.iter().chain(uses.resources.values()).any(|at| window.contains(*at)));
    inside.map(|(action, _)| *action).collect()
}

/// What the identities of one account did: the trail of an organisation has the records of all its accounts.
pub fn of_account<'a>(usage: &'a Usage, account: &'a str) -> impl Iterator<Item = (&'a String, &'a Activity)> {
    usage.identities.iter().filter(move |(arn, _)| arn.split(':').nth(4) == Some(account))
}
