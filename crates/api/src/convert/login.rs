//! The login of a client, as the API server sees it.
use curfew_core::principal::UserInfo;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use std::sync::Arc;

/// Returns the identity that a SelfSubjectReview was answered with: what admission sees in `request.userInfo`, with every extra key.
/// `None` if it has no status.
pub fn login(review: SelfSubjectReview) -> Option<UserInfo> {
    let user = review.status?.user_info?;
    Some(UserInfo {
        username: user.username.unwrap_or_default(),
        uid: user.uid.unwrap_or_default(),
        groups: Arc::new(user.groups.unwrap_or_default()),
        extra: user.extra.unwrap_or_default(),
    })
}
