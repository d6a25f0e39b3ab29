//! AWS for tests: emulators of IAM, STS, S3 and Identity Center as processes, an endpoint in front of them that tests steer, and
//! accounts whose principals act with their own keys. What the emulators do otherwise than AWS is in
//! docs/providers/aws-emulators.md.
mod account;
mod client;
mod emulators;
mod faults;
mod identity_center;
mod proxy;
mod sign;

pub use account::{Account, AwsUser, allow, policy, trust};
pub use client::{Answer, Aws, Keys, REGION};
pub use emulators::Emulators;
pub use faults::{AwsCall, Fault, Held};
pub use identity_center::SignIn;
pub use proxy::AwsProxy;
