//! `kubectl curfew extend`: requests more time for an access before it ends.
use crate::{
    context::CliContext,
    request::{Following, create_and_follow, with_exit_codes},
    spec::{self, Wanted, find, merge, reference},
};
use anyhow::bail;
use curfew_api::{
    ActivationRequest,
    request::{ActivationRequestSpec, RequestState, Ticket},
};
use curfew_core::duration::Duration;
use kube::ResourceExt;
use serde_json::Map;

/// Request more time for an active access.
///
/// Creates a new request that names the old one in extends, with its role and system, for the same beneficiary. It needs its own approval,
/// begins as soon as it has it, and ends its duration after the end of the old one, which does not move. If the old access ends early, so
/// does the new one. The role must allow it (activation.extension). Narrower permissions and scopes are taken from the old request; duration,
/// justification and ticket are not.
#[derive(clap::Args, Debug)]
#[command(
    after_help = with_exit_codes!("Example:\n  kubectl curfew extend payments-admin-x7k2p -n payments --duration 30m --justification 'the rollback takes longer'")
)]
pub struct Extend {
    /// Name of the active ActivationRequest.
    request: String,
    /// For how long after the end of the old access, such as 45m or 1h30m. Default: the default of the role.
    #[arg(short, long)]
    duration: Option<Duration>,
    /// Why you need more time; approvers read this.
    #[arg(short, long)]
    justification: Option<String>,
    /// Ticket, as SYSTEM/NUMBER, such as jira/INC-4711.
    #[arg(long, value_parser = spec::ticket, value_name = "SYSTEM/NUMBER")]
    ticket: Option<Ticket>,
    /// Name of the new request. Default: the name of the role with a random suffix.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    following: Following,
}

pub async fn run(me: &CliContext, args: &Extend) -> anyhow::Result<u8> {
    let old = find(me, &args.request).await?;
    let spec = extension(&old, args)?;
    create_and_follow(me, spec, args.name.as_deref(), &args.following).await
}

/// The spec of the new request.
fn extension(old: &ActivationRequest, args: &Extend) -> anyhow::Result<ActivationRequestSpec> {
    let status = old.status.clone().unwrap_or_default();
    let state = status.state.unwrap_or(RequestState::Pending);
    if state.outcome().is_some() {
        bail!("request {} is {state:?}: it has ended and cannot be extended; create a new one with kubectl curfew request", old.name_any());
    }
    if state != RequestState::Active {
        bail!("request {} is {state:?}: only an active access can be extended", old.name_any());
    }
    let wanted = Wanted {
        role: Some(old.spec.role_ref.name.clone()),
        duration: args.duration.clone(),
        justification: args.justification.clone(),
        ticket: args.ticket.clone(),
        system: status.resolved.map(|resolved| resolved.system.name).or_else(|| old.spec.system.clone()),
        beneficiary: old.spec.beneficiary.clone(),
        scope: old.spec.scope.clone(),
        permissions: old.spec.permissions.clone(),
        ..Wanted::default()
    };
    merge(Map::new(), &wanted, Some(reference(old)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn old(state: &str) -> ActivationRequest {
        serde_json::from_value(json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
            "metadata": {"name": "old", "namespace": "payments", "uid": "u1"},
            "spec": {"roleRef": {"name": "admin"}, "system": "prod", "duration": "1h", "justification": "roll back"},
            "status": {"state": state}}))
        .unwrap()
    }

    fn args() -> Extend {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            extend: Extend,
        }
        Alone::parse_from(["extend", "old", "--duration", "30m"]).extend
    }

    #[test]
    fn the_new_request_names_the_old_one_by_uid_and_says_why_by_itself() {
        let spec = extension(&old("Active"), &args()).unwrap();
        let extends = spec.extends.unwrap();
        assert_eq!((extends.name.as_str(), extends.uid.as_str()), ("old", "u1"));
        assert_eq!((spec.system.as_deref(), spec.justification, spec.duration.unwrap().to_string()), (Some("prod"), None, "30m".into()));
    }

    #[test]
    fn only_an_active_access_is_extended() {
        assert!(extension(&old("Expired"), &args()).unwrap_err().to_string().contains("has ended"));
        assert!(extension(&old("AwaitingApproval"), &args()).unwrap_err().to_string().contains("only an active access"));
    }
}
