//! The trust policies of a role of the grant's own, and the policy that closes its sessions (IAM User Guide, "AWS JSON policy elements:
//! Principal", "Monitor and control actions taken with assumed roles" and "Revoke IAM role temporary security credentials").
use crate::{
    digest::canonical_json,
    target::aws::dating::{BEFORE, CURRENT_TIME},
    time::Time,
};
use serde_json::json;

/// A trust policy that lets nobody in.
pub fn inert() -> String {
    canonical_json(&json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }))
}

/// A trust policy that lets the principal in until the deadline. A session may name its source, for the logs of AWS; if it does, it is this
/// one. That binds nobody: the principal does.
pub fn dated(principal: &str, source_identity: &str, deadline: Time) -> String {
    canonical_json(&json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": principal},
            "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
            "Condition": {
                BEFORE: {CURRENT_TIME: deadline.floor_secs().to_string()},
                "StringEqualsIfExists": {"sts:SourceIdentity": source_identity},
            },
        }],
    }))
}

/// The name of the inline policy that closes the sessions of a role before it is removed.
pub const CLOSED: &str = "curfew-closed";

/// The document of that policy. The role is the grant's own, so it concerns no other sessions.
pub fn closing(now: Time) -> String {
    canonical_json(&json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {BEFORE: {"aws:TokenIssueTime": now.floor_secs().plus_secs(1).to_string()}},
        }],
    }))
}

/// The longest source identity (AWS STS API Reference, AssumeRole).
const MAX_SOURCE_IDENTITY: usize = 64;

/// The source identity of a principal: the last segment of its ARN, which is the name of the user.
pub fn source_identity(principal: &str) -> String {
    let name = principal.rsplit('/').next().unwrap_or(principal);
    name.bytes().take(MAX_SOURCE_IDENTITY).filter(u8::is_ascii).map(char::from).collect()
}
