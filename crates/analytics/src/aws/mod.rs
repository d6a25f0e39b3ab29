//! AWS: the catalogue of its actions, who may do what in an account by IAM, and who did what by CloudTrail.
//!
//! [`details`] and [`credentials`] read what IAM prints of an account, [`policy`] reads and decides policies, [`spaces`] and [`resources`] are
//! the places in which actions can be held, [`effective`] evaluates policies as sets, [`inventory`] has the identities, and [`analysis`]
//! makes the report.

pub mod analysis;
pub mod catalogue;
pub mod cloudtrail;
pub mod credentials;
pub mod details;
pub mod documents;
pub mod effective;
pub mod findings;
pub mod inventory;
pub mod managed;
pub mod permissions;
pub mod policy;
pub mod resources;
pub mod scored;
pub mod spaces;
pub mod trust;
pub mod unseen;
pub mod usage;
