//! What the unit tests share.
use crate::api::system::AwsConnection;

pub const ACCOUNT: &str = "111122223333";

/// A connection to an account of the examples of AWS's documentation.
pub fn connection() -> AwsConnection {
    AwsConnection { account_id: ACCOUNT.into(), region: "us-east-1".into(), assume_role: None, identity_center: None }
}
