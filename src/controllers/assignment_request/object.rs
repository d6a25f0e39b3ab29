//! An assignment about which an AssignmentRequest can be made, of either kind.
use crate::{
    api::{ActiveAssignment, EligibleAssignment},
    controllers::convert::{self, Assigned, ClaimKind},
    runtime::{changes, stores::Key},
};
use curfew_core::{
    assignment_request::{
        AssignmentKind, Change, Origin,
        proof::{Claim, Proof},
    },
    policy_inputs::{Assignment, Window},
    principal::Subject,
};
use kube::ResourceExt;
use std::sync::Arc;

/// An assignment of either kind.
#[derive(Clone, Debug)]
pub enum Object {
    /// It makes eligible.
    Eligible(Arc<EligibleAssignment>),
    /// It gives standing access.
    Active(Arc<ActiveAssignment>),
}

/// The same call for both kinds.
macro_rules! either {
    ($of:expr, $assignment:ident => $call:expr) => {
        match $of {
            Object::Eligible($assignment) => $call,
            Object::Active($assignment) => $call,
        }
    };
}

fn kind_of<A: Assigned>(_: &A) -> AssignmentKind {
    A::KIND
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> AssignmentKind {
        either!(self, assignment => kind_of(&**assignment))
    }
    /// Its namespace and name.
    pub fn key(&self) -> Key {
        either!(self, assignment => changes::key(&**assignment))
    }
    /// Its uid.
    pub fn uid(&self) -> String {
        either!(self, assignment => assignment.uid().unwrap_or_default())
    }
    /// The name of its RoleTemplate.
    pub fn role(&self) -> &str {
        either!(self, assignment => assignment.role())
    }
    /// Whom it names.
    pub fn subject(&self) -> &Subject {
        either!(self, assignment => assignment.subject())
    }
    /// What an AssignmentRequest has made of its window.
    pub fn change(&self) -> Option<&Change> {
        either!(self, assignment => assignment.change())
    }
    /// The AssignmentRequest that has asked for it.
    pub fn origin(&self) -> Option<&Origin> {
        either!(self, assignment => assignment.origin())
    }
    /// The window of its spec.
    pub fn spec_window(&self) -> Window {
        either!(self, assignment => assignment.spec_window())
    }
    /// As the rules read it, with the window that its status says.
    pub fn facts(&self) -> Assignment {
        either!(self, assignment => assignment.facts())
    }
    /// Whether it still gives what it says.
    pub fn is_present(&self) -> bool {
        either!(self, assignment => convert::is_present(&**assignment))
    }
    /// What it claims, and an AssignmentRequest must prove.
    pub fn claims(&self) -> Vec<ClaimKind> {
        either!(self, assignment => convert::claims(&**assignment).collect())
    }
    /// What it claims of this kind.
    pub fn claim(&self, kind: ClaimKind) -> Option<Claim<'_>> {
        either!(self, assignment => convert::claim(&**assignment, kind))
    }

    /// As the rules read it, without what is not proven. What is unknown is not proven either, as long as that lasts.
    pub fn as_proven<'a>(&self, judged: impl IntoIterator<Item = &'a (ClaimKind, Proof)>) -> Assignment {
        judged.into_iter().fold(self.facts(), |facts, (kind, proof)| match why(*proof) {
            None => facts,
            Some(why) => either!(self, assignment => convert::without_proof(&**assignment, facts, *kind, why)),
        })
    }
}

/// What a proof lacks, as words that continue the name of the AssignmentRequest.
fn why(proof: Proof) -> Option<String> {
    match proof {
        Proof::Approved => None,
        Proof::Pending => Some("is not proven yet".into()),
        Proof::Lacking(lack) => Some(lack.to_string()),
    }
}
