//! `kubectl curfew request`: creates an ActivationRequest.
use crate::context::CliContext;
use anyhow::{Context as _, bail};
use curfew_api::{
    ActivationRequest,
    assignment::NameRef,
    request::{ActivationRequestSpec, RequestState, Ticket},
    schema,
};
use curfew_core::{duration::Duration, text::printable};
use futures::TryStreamExt;
use kube::{
    Api, ResourceExt,
    runtime::watcher::{self, watch_object},
};
use std::pin::pin;

/// Request a role.
///
/// Prints the name of the request. Approvers see it with `kubectl get areq`. Delete the request to withdraw it or to end the access.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  kubectl curfew request payments-admin -n payments --duration 45m --justification 'roll back release 2311' --wait"
)]
pub struct Ask {
    /// Name of the RoleTemplate; `kubectl get rtpl` lists them.
    role: String,
    /// Duration of the access, such as 45m or 1h30m. Default: the default of the role.
    #[arg(short, long)]
    duration: Option<Duration>,
    /// Why you need the access; approvers read this.
    #[arg(short, long)]
    justification: Option<String>,
    /// AuthorizationSystem; required if the role allows several.
    #[arg(long)]
    system: Option<String>,
    /// Ticket, as SYSTEM:NUMBER, such as jira:INC-4711.
    #[arg(long, value_parser = ticket)]
    ticket: Option<Ticket>,
    /// Name of the request. Default: the name of the role with a random suffix.
    #[arg(long)]
    name: Option<String>,
    /// Wait until the access is active; fail if the request ends without it.
    #[arg(short, long)]
    wait: bool,
}

fn ticket(text: &str) -> Result<Ticket, String> {
    let (system, number) = text.split_once(':').ok_or("write it as SYSTEM:NUMBER, such as jira:INC-4711")?;
    Ok(Ticket { system: system.into(), number: number.into() })
}

pub async fn run(me: &CliContext, ask: &Ask) -> anyhow::Result<()> {
    let requests: Api<ActivationRequest> = Api::namespaced(me.client.clone(), &me.namespace);
    let spec = |requester| ActivationRequestSpec {
        role_ref: NameRef { name: ask.role.clone() },
        duration: ask.duration.clone(),
        justification: ask.justification.clone(),
        ticket: ask.ticket.clone(),
        system: ask.system.clone(),
        start_time: None,
        scope: None,
        permissions: None,
        beneficiary: None,
        extends: None,
        break_glass: None,
        not_after: None,
        ttl_after_finished: None,
        requester,
    };
    let request = |requester| {
        let mut request = ActivationRequest::new(ask.name.as_deref().unwrap_or_default(), spec(requester));
        if ask.name.is_none() {
            request.metadata.name = None;
            request.metadata.generate_name = Some(format!("{}-", ask.role));
        }
        request
    };
    let created = me.create(&requests, schema::NO_REQUESTER, request).await?;
    println!("activationrequest.curfew.dev/{} created", created.name_any());
    if ask.wait { wait_until_active(requests, &created.name_any()).await } else { Ok(()) }
}

/// Prints each state change on standard error until the request is active. Fails if the request ends without access or is deleted.
async fn wait_until_active(requests: Api<ActivationRequest>, name: &str) -> anyhow::Result<()> {
    let mut changes = pin!(watch_object(requests, name));
    let mut printed = None;
    while let Some(change) =
        changes.try_next().await.or_else(|e| if matches!(e, watcher::Error::NoResourceVersion) { Ok(None) } else { Err(e) })?
    {
        let Some(request) = change else { bail!("request {name} was deleted") };
        let status = request.status.unwrap_or_default();
        let Some(state) = status.state else { continue };
        let message = printable(&status.message.unwrap_or_default());
        if printed.replace((state, message.clone())) != Some((state, message.clone())) {
            eprintln!("{state:?}: {message}");
        }
        match state {
            RequestState::Active => return Ok(()),
            ended if ended.outcome().is_some() => bail!("{ended:?} ({}): {message}", status.reason.unwrap_or_default()),
            _ => {}
        }
    }
    Err(anyhow::anyhow!("the watch ended")).context("cannot watch the request; kubectl get areq shows its state")
}
