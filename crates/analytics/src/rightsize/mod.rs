//! The least role for what an identity did, as a proposal. It applies nothing.
//!
//! [`kubernetes`] proposes Roles and ClusterRoles from an audit log, [`aws`] policies from
//! CloudTrail. [`select`] finds the existing roles that fit best.

pub mod aws;
pub mod days;
pub mod kubernetes;
pub mod outline;
pub mod select;

/// The look-backs that a proposal compares, in days (Microsoft Entra Permissions Management, "Create a role or policy": 90, 60, 30, 7 or 1).
pub const LOOK_BACKS: [u32; 5] = [90, 60, 30, 7, 1];
