//! What the server asks of the process that analyses.
use crate::{
    bands::Band,
    details::PermissionUse,
    history::{DailyScore, Point},
    report::{Report, Row},
    rightsize::{kubernetes::manifests::Form, outline::Outline},
};
use curfew_core::principal::Subject;
use serde::Serialize;
use std::sync::Arc;

/// One authorization system in a list.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct System {
    /// The name of its AuthorizationSystem.
    pub name: String,
    /// Its kind, such as `Kubernetes`.
    pub provider: String,
    /// 0 to 100; null if it was not analysed yet.
    pub score: Option<u8>,
    /// The band of the score.
    pub band: Option<Band>,
    /// The score minus that of seven days before, if there was one.
    #[serde(rename = "change7d")]
    pub change_7d: Option<i16>,
    /// Covered days as a share of the window.
    pub confidence: Option<f64>,
    /// RFC 3339; when the score was computed.
    pub evaluated_at: Option<String>,
    /// Why there is no score, or none that is up to date.
    pub problem: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Missing {
    /// There is no such system.
    #[error("no AuthorizationSystem is called {0}; kubectl get authsys lists them")]
    System(String),
    /// It exists, and was not analysed yet.
    #[error("system {system} has no analysis yet: {why}")]
    NotYet {
        /// Its name.
        system: String,
        /// What is missing.
        why: String,
    },
    /// The system has no such identity.
    #[error("{0}")]
    Identity(String),
    /// The question has no answer; the text says which question has one.
    #[error("{0}")]
    Invalid(String),
    /// Something failed here.
    #[error("{0}")]
    Failed(String),
}

/// The analysis of one system at one moment. It does not change.
pub trait Analysis: Send + Sync {
    /// The report.
    fn report(&self) -> &Report;
    /// Every permission of an identity of the report, in the order of the catalogue.
    ///
    /// # Errors
    /// If it cannot be told.
    fn permissions(&self, identity: &Row) -> Result<Vec<PermissionUse>, Missing>;
}

/// Every system that this process analyses. Calls may block: the server makes them on threads for that.
pub trait Systems: Send + Sync + 'static {
    /// All of them, by name.
    fn list(&self) -> Vec<System>;
    /// The last analysis of a system.
    ///
    /// # Errors
    /// If there is none.
    fn analysis(&self, system: &str) -> Result<Arc<dyn Analysis>, Missing>;
    /// The scores of a system in the last so many days, a day each, ascending; days without an analysis are left out.
    ///
    /// # Errors
    /// If there is no such system, or its store cannot be read.
    fn history(&self, system: &str, days: u32) -> Result<Vec<DailyScore>, Missing>;
    /// Every change of the score of an identity that is stored, ascending.
    ///
    /// # Errors
    /// If there is no such system, or its store cannot be read.
    fn history_of(&self, system: &str, identity: &Row) -> Result<Vec<Point>, Missing>;
    /// The least role for an identity from what it used. Nothing is applied.
    ///
    /// # Errors
    /// If there is no such system, or nothing can be proposed; the text says why.
    fn rightsize(&self, system: &str, identity: &Row, ask: &RightsizeAsk) -> Result<Proposal, Missing>;
}

/// How the proposed access is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Giving {
    /// On request: RoleTemplate and EligibleAssignment.
    Eligible,
    /// As standing access. A workload cannot ask for access, so it has no other form.
    Standing,
}

/// The options of a proposal.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RightsizeAsk {
    /// How many days back a use counts; the window of the system if absent.
    pub days: Option<u32>,
    /// New roles, or existing ones.
    pub form: Form,
    /// How the access is given; on request where that is possible, if absent.
    pub giving: Option<Giving>,
    /// The namespace of RoleTemplate and EligibleAssignment, if the caller named one.
    pub namespace: Option<String>,
    /// Who approves.
    pub approvers: Vec<Subject>,
}

/// A proposed role.
#[derive(Clone, PartialEq, Debug)]
pub struct Proposal {
    /// Documents, evidence, what it replaces, notes.
    pub outline: Outline,
    /// Facts about it, such as the score before and after.
    pub facts: Vec<(&'static str, String)>,
    /// Roles that exist already and cover the use.
    pub existing: Vec<String>,
    /// Everything, as the right-sizing of the provider writes it.
    pub details: serde_json::Value,
}
