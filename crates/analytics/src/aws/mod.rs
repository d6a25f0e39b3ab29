//! AWS: the catalogue of its actions, who may do what in an account by IAM, and who did what by CloudTrail.

pub mod usage;
