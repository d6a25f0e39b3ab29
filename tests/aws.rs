//! AWS, on emulators that enforce IAM: stories under the real operator, with the access used by the person's own keys.
#[path = "aws/center.rs"]
mod center;
#[path = "aws/center_kills.rs"]
mod center_kills;
#[path = "contract/aws_row.rs"]
mod contract;
#[path = "aws/drift.rs"]
mod drift;
#[path = "aws/effective.rs"]
mod effective;
#[path = "aws/faults.rs"]
mod faults;
#[path = "aws/instance.rs"]
mod instance;
#[path = "aws/kills.rs"]
mod kills;
#[path = "aws/limits.rs"]
mod limits;
#[path = "aws/mass.rs"]
mod mass;
#[path = "aws/plane.rs"]
mod plane;
#[path = "contract/provider_rows.rs"]
mod provider_rows;
#[path = "aws/rights.rs"]
mod rights;
#[path = "aws/roles.rs"]
mod roles;
#[path = "aws/scope.rs"]
mod scope;
#[path = "aws/sweep.rs"]
mod sweep;
#[path = "aws/users.rs"]
mod users;
