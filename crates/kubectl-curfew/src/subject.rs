//! What a decision is about: an ActivationRequest, or an AssignmentRequest, which is written `asreq/NAME`.
use crate::{
    context::{CliContext, plain},
    read,
    spec::find,
    summary,
};
use anyhow::{Context as _, bail, ensure};
use curfew_api::{
    ActivationRequest, AssignmentRequest,
    decision::{About, RequestRef},
};
use curfew_core::{approval::ApprovalStage, digest::Digest, duration::Duration};
use kube::{Api, ResourceExt};

/// A request that is decided about.
pub(crate) enum Subject {
    /// For an access.
    Access(Box<ActivationRequest>),
    /// For a change of an assignment.
    Assignment(Box<AssignmentRequest>),
}

/// The name in `asreq/NAME`, as kubectl writes it, too.
fn assignment_request_name(name: &str) -> Option<&str> {
    let kinds = ["asreq", "assignmentrequest", "assignmentrequests", "assignmentrequest.curfew.dev", "assignmentrequests.curfew.dev"];
    name.split_once('/').filter(|(kind, _)| kinds.contains(kind)).map(|(_, name)| name)
}

impl Subject {
    /// The request of this name.
    ///
    /// # Errors
    /// If it does not exist or may not be read.
    pub async fn find(me: &CliContext, name: &str) -> anyhow::Result<Self> {
        let Some(name) = assignment_request_name(name) else { return Ok(Subject::Access(Box::new(find(me, name).await?))) };
        ensure!(!name.is_empty(), "asreq/ has no name; write asreq/NAME");
        let requests: Api<AssignmentRequest> = Api::namespaced(me.client.clone(), &me.namespace);
        match requests.get_opt(name).await.map_err(plain).with_context(|| format!("cannot read AssignmentRequest {name}"))? {
            Some(found) => Ok(Subject::Assignment(Box::new(found))),
            None => {
                read::check_namespace(me).await?;
                bail!(
                    "assignmentrequests.curfew.dev \"{name}\" not found in namespace {}; kubectl get asreq -n {} lists them",
                    me.namespace,
                    me.namespace
                )
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Subject::Access(request) => request.name_any(),
            Subject::Assignment(request) => request.name_any(),
        }
    }

    /// The short name of its kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Subject::Access(_) => "areq",
            Subject::Assignment(_) => "asreq",
        }
    }

    /// What the status says to do.
    pub fn message(&self) -> Option<String> {
        match self {
            Subject::Access(request) => request.status.as_ref()?.message.clone(),
            Subject::Assignment(request) => request.status.as_ref()?.message.clone(),
        }
    }

    /// The digest of what an approval would be about.
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Subject::Access(request) => request.status.as_ref()?.digest,
            Subject::Assignment(request) => request.status.as_ref()?.digest,
        }
    }

    /// How long the access was asked for; nothing for what has no duration.
    pub fn duration(&self) -> Option<&Duration> {
        match self {
            Subject::Access(request) => Some(&request.status.as_ref()?.resolved.as_ref()?.duration),
            Subject::Assignment(_) => None,
        }
    }

    /// The stages that must approve.
    pub fn stages(&self) -> Option<&[ApprovalStage]> {
        match self {
            Subject::Access(request) => Some(&request.status.as_ref()?.resolved.as_ref()?.approval),
            Subject::Assignment(request) => Some(&request.status.as_ref()?.resolved.as_ref()?.approval),
        }
    }

    /// What a decision names.
    pub fn about(&self) -> About {
        match self {
            Subject::Access(request) => About::ActivationRequest(RequestRef { name: request.name_any(), uid: request.uid() }),
            Subject::Assignment(request) => About::AssignmentRequest(RequestRef { name: request.name_any(), uid: request.uid() }),
        }
    }

    /// Prints on standard error what an approval would be about.
    ///
    /// # Errors
    /// If it is not resolved yet.
    pub fn print(&self) -> anyhow::Result<()> {
        match self {
            Subject::Access(request) => summary::print(request),
            Subject::Assignment(request) => summary::print_assignment(request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_request_is_named_with_its_kind() {
        assert_eq!(assignment_request_name("asreq/longer"), Some("longer"));
        assert_eq!(assignment_request_name("assignmentrequest.curfew.dev/longer"), Some("longer"));
        assert_eq!((assignment_request_name("longer"), assignment_request_name("areq/longer")), (None, None));
    }
}
