//! `kubectl curfew request`: creates an ActivationRequest, or says how it would end, and waits for the access.
mod wait;

use crate::{
    context::CliContext,
    decide::confirmed,
    explain, follow,
    output::{Format, Printed, document, put},
    read,
    spec::{self, Wanted, object},
};
use anyhow::{Context as _, ensure};
use curfew_api::{ActivationRequest, RoleTemplate, request::ActivationRequestSpec};
use curfew_core::duration::Duration;
use kube::{Api, ResourceExt, api::PostParams};
use std::io::IsTerminal;

/// What the exit codes of a command that waits for access mean.
macro_rules! with_exit_codes {
    ($example:literal) => {
        concat!(
            "Exit codes:\n",
            "  0  the access is active; with --no-wait: the request was created; with --dry-run: nothing that you may read refuses it\n",
            "  1  nothing was created; the error says why\n",
            "  2  wrong usage\n",
            "  3  the request still waits: after --timeout, or after Ctrl-C, which leaves it; or you may not watch it\n",
            "  4  Denied\n",
            "  5  Invalid\n",
            "  6  TimedOut: not approved in time\n",
            "  7  it ended in another way: Cancelled, Failed, Revoked, Expired, or deleted\n\n",
            $example
        )
    };
}
pub(crate) use with_exit_codes;

/// Request a role.
///
/// Prints the name of the request and waits until the access is active. What it waits for is shown on standard error. Ctrl-C leaves the
/// request as it is. Delete it to withdraw it or to end the access.
#[derive(clap::Args, Debug)]
#[command(
    after_help = with_exit_codes!("Example:\n  kubectl curfew request payments-admin -n payments --duration 45m --justification 'roll back release 2311'\n  kubectl curfew request payments-admin -n payments -j 'roll back release 2311' --dry-run")
)]
pub struct Ask {
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// With --break-glass: do not ask for confirmation. Without a terminal it is required.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    pub(crate) following: Following,
}

/// What happens after a request was created.
#[derive(clap::Args, Debug)]
pub(crate) struct Following {
    /// Create nothing. Say what the API server and the rules would answer.
    #[arg(long)]
    dry_run: bool,
    /// Wait until the access is active. This is the default.
    #[arg(short, long, overrides_with = "no_wait")]
    wait: bool,
    /// Do not wait for the access.
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
    /// How long to wait, such as 10m. Default: until the request ends or is active.
    #[arg(long)]
    timeout: Option<Duration>,
    #[command(flatten)]
    printed: Printed,
}

pub async fn run(me: &CliContext, ask: &Ask) -> anyhow::Result<u8> {
    let spec = spec::build(me, &ask.wanted).await?;
    check_role(me, &spec).await?;
    if spec.break_glass == Some(true) && !ask.following.dry_run {
        confirm_break_glass(ask.yes)?;
    }
    create_and_follow(me, spec, ask.wanted.name.as_deref(), &ask.following).await
}

/// Says what break-glass means, and asks for confirmation. Fails where there is no terminal to ask on.
fn confirm_break_glass(yes: bool) -> anyhow::Result<()> {
    eprintln!(
        "Break-glass: the access begins without approval. It is told at once: a Warning Event, the channels of notifications, the alert CurfewBreakGlass, the audit log. \
         Another person must review it afterwards. Until then you cannot use break-glass again, in any role."
    );
    if yes {
        return Ok(());
    }
    ensure!(std::io::stdin().is_terminal(), "without a terminal, confirm break-glass with --yes; no request was created");
    ensure!(confirmed("Break the glass?")?, "cancelled; no request was created");
    Ok(())
}

/// Fails if the role is known not to exist, with the names of those that do.
async fn check_role(me: &CliContext, spec: &ActivationRequestSpec) -> anyhow::Result<()> {
    let role = &spec.role_ref.name;
    // A user who may not read templates still gets the operator's answer.
    match read::one::<RoleTemplate>(me, &me.namespace, role).await? {
        Ok(None) => spec::refuse_missing_role(me, role).await,
        Ok(Some(_)) | Err(_) => Ok(()),
    }
}

/// Creates a request, prints it, and waits for it if that is wanted; with a dry run none of that.
pub(crate) async fn create_and_follow(
    me: &CliContext,
    spec: ActivationRequestSpec,
    name: Option<&str>,
    following: &Following,
) -> anyhow::Result<u8> {
    if following.dry_run {
        return dry_run(me, spec, name, following.printed.output).await;
    }
    let requests: Api<ActivationRequest> = Api::namespaced(me.client.clone(), &me.namespace);
    let make = |requester| object(&ActivationRequestSpec { requester, ..spec.clone() }, name);
    let created = me.create(&requests, &PostParams::default(), "requester", make).await?;
    let name = created.name_any();
    match following.printed.output {
        Format::Table | Format::Wide => put(format_args!("activationrequest.curfew.dev/{name} created\n"))?,
        Format::Name => put(format_args!("activationrequest.curfew.dev/{name}\n"))?,
        // The document is printed when it says how it went.
        Format::Json | Format::Yaml => eprintln!("activationrequest.curfew.dev/{name} created"),
    }
    let code = if following.no_wait { 0 } else { follow::until_done(me, &requests, &name, following.timeout.as_ref()).await };
    // It was created: what cannot be read now is not a failure of the request.
    let last = async || requests.get_opt(&name).await.ok().flatten().unwrap_or(created);
    match following.printed.output {
        format @ (Format::Json | Format::Yaml) => put(document(&last().await, format)?)?,
        Format::Wide => put(crate::list::requests_table(&[last().await], true))?,
        Format::Table | Format::Name => {}
    }
    Ok(code)
}

/// Asks the API server with a dry run, and then the rules with what the user may read.
async fn dry_run(me: &CliContext, spec: ActivationRequestSpec, name: Option<&str>, format: Format) -> anyhow::Result<u8> {
    let requests: Api<ActivationRequest> = Api::namespaced(me.client.clone(), &me.namespace);
    let make = |requester| object(&ActivationRequestSpec { requester, ..spec.clone() }, name);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let answer = me.create(&requests, &params, "requester", make).await;
    answer.context("the API server would refuse the request")?;
    let facts = explain::gather(me, spec).await?;
    let explained = explain::judge(&facts);
    match format {
        Format::Json | Format::Yaml => put(document(&explained, format)?)?,
        Format::Table | Format::Wide | Format::Name => {
            put("dry run: nothing was created; the API server would accept the request\n")?;
            put(explain::view::text(&explained))?;
        }
    }
    Ok(explained.exit_code())
}
