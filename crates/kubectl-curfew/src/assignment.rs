//! `kubectl curfew assignment new | extend | renew | remove`: creates an AssignmentRequest, and waits for its end.
mod new;

use crate::{
    context::{CliContext, plain},
    follow::{self, Followed, OTHER_END},
    output::{Format, Printed, document, put},
    read, spec,
};
use anyhow::{Context as _, bail};
use curfew_api::{
    ActiveAssignment, AssignmentRequest, EligibleAssignment,
    assignment_request::{Action, AssignmentRef, AssignmentRequestSpec, AssignmentRequestState, Extend, Remove, Renew},
};
use curfew_core::{assignment_request::AssignmentKind, duration::Duration, time::Time};
use kube::{Api, ResourceExt, api::PostParams};
use new::New;

/// What the exit codes of a command mean that waits for a request about an assignment.
macro_rules! with_exit_codes {
    ($example:literal) => {
        concat!(
            "Exit codes:\n",
            "  0  the assignment exists, has the new window, or has ended; with --no-wait: the request was created\n",
            "  1  nothing was created; the error says why\n",
            "  2  wrong usage\n",
            "  3  the request still waits: after --timeout, or after Ctrl-C, which leaves it; or you may not watch it\n",
            "  4  Denied\n",
            "  5  Invalid\n",
            "  6  TimedOut: not approved in time\n",
            "  7  Cancelled, or deleted\n\n",
            "Example:\n  ",
            $example
        )
    };
}

/// Ask for eligibility, or extend, renew or give up an assignment.
///
/// An AssignmentRequest asks for it. The user whom the assignment names may ask, and, except to give it up, a user with the verb manage on it.
/// Members of a group that an assignment names cannot.
#[derive(clap::Args, Debug)]
#[command(
    after_help = with_exit_codes!("kubectl curfew assignment extend payments-alice -n payments --until 2027-03-01T00:00:00Z -j 'on call until March'")
)]
pub struct Assignment {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// Ask for a new EligibleAssignment. The role says who approves.
    #[command(after_help = with_exit_codes!("kubectl curfew assignment new payments-admin -n payments --until 2027-03-01T00:00:00Z -j 'on call until March'"))]
    New(Box<New>),
    /// Ask for a later end, in the last 14 days before the end. The role says who approves.
    #[command(
        after_help = with_exit_codes!("kubectl curfew assignment extend payments-alice -n payments --until 2027-03-01T00:00:00Z -j 'on call until March'")
    )]
    Extend(Longer),
    /// Ask for a new window, within 30 days after the end. The role says who approves.
    #[command(
        after_help = with_exit_codes!("kubectl curfew assignment renew payments-alice -n payments --until 2027-03-01T00:00:00Z -j 'on call again'")
    )]
    Renew(Again),
    /// Give up an assignment now. It needs no approval, and active access that rests on it ends.
    #[command(after_help = with_exit_codes!("kubectl curfew assignment remove payments-alice -n payments -j 'left the team'"))]
    Remove(About),
}

/// What every request about an assignment has.
#[derive(clap::Args, Debug)]
struct About {
    /// Name of the assignment; kubectl curfew list --eligible -o wide shows it.
    assignment: String,
    /// It is an ActiveAssignment, which gives standing access; kubectl get aas shows its name.
    #[arg(long)]
    active: bool,
    #[command(flatten)]
    asked: Asked,
}

/// What every request has.
#[derive(clap::Args, Debug)]
struct Asked {
    /// Why; approvers read this.
    #[arg(short, long)]
    justification: String,
    /// Name of the request. Default: the name of the assignment with a random suffix.
    #[arg(long)]
    name: Option<String>,
    /// Do not wait for the decision.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait, such as 10m. Default: until the request ends.
    #[arg(long)]
    timeout: Option<Duration>,
    #[command(flatten)]
    printed: Printed,
}

#[derive(clap::Args, Debug)]
struct Longer {
    /// The new end, in UTC, such as 2027-03-01T00:00:00Z.
    #[arg(long, value_parser = spec::time)]
    until: Time,
    #[command(flatten)]
    about: About,
}

#[derive(clap::Args, Debug)]
struct Again {
    /// The new start, in UTC. Default: now.
    #[arg(long, value_parser = spec::time)]
    start: Option<Time>,
    #[command(flatten)]
    longer: Longer,
}

pub async fn run(me: &CliContext, args: &Assignment) -> anyhow::Result<u8> {
    match &args.verb {
        Verb::New(new) => ask(me, &new.asked, new.action(me).await?).await,
        Verb::Extend(Longer { until, about }) => {
            ask(me, &about.asked, Action::Extend(Extend { assignment: find(me, about).await?, until: *until })).await
        }
        Verb::Renew(Again { start, longer: Longer { until, about } }) => {
            let assignment = find(me, about).await?;
            ask(me, &about.asked, Action::Renew(Renew { assignment, start: *start, until: *until })).await
        }
        Verb::Remove(about) => ask(me, &about.asked, Action::Remove(Remove { assignment: find(me, about).await? })).await,
    }
}

async fn ask(me: &CliContext, asked: &Asked, action: Action) -> anyhow::Result<u8> {
    let assignment = action.assignment_name().to_owned();
    let spec = AssignmentRequestSpec { action, justification: asked.justification.clone(), ttl_after_finished: None, requester: None };
    let requests: Api<AssignmentRequest> = Api::namespaced(me.client.clone(), &me.namespace);
    let make = |requester| {
        let mut request =
            AssignmentRequest::new(asked.name.as_deref().unwrap_or_default(), AssignmentRequestSpec { requester, ..spec.clone() });
        if asked.name.is_none() {
            request.metadata.name = None;
            request.metadata.generate_name = Some(format!("{assignment}-"));
        }
        request
    };
    let created = me.create(&requests, &PostParams::default(), "requester", make).await?;
    let name = created.name_any();
    match asked.printed.output {
        Format::Table | Format::Wide => put(format_args!("assignmentrequest.curfew.dev/{name} created\n"))?,
        Format::Name => put(format_args!("assignmentrequest.curfew.dev/{name}\n"))?,
        Format::Json | Format::Yaml => eprintln!("assignmentrequest.curfew.dev/{name} created"),
    }
    let code = if asked.no_wait { 0 } else { follow::until_done(me, &requests, &name, asked.timeout.as_ref()).await };
    if let format @ (Format::Json | Format::Yaml) = asked.printed.output {
        put(document(&requests.get_opt(&name).await.ok().flatten().unwrap_or(created), format)?)?;
    }
    Ok(code)
}

/// The assignment that a request is about.
async fn find(me: &CliContext, About { assignment: name, active, .. }: &About) -> anyhow::Result<AssignmentRef> {
    let kind = if *active { AssignmentKind::Active } else { AssignmentKind::Eligible };
    let found = match kind {
        AssignmentKind::Eligible => {
            Api::<EligibleAssignment>::namespaced(me.client.clone(), &me.namespace).get_opt(name).await.map(|of| of?.uid())
        }
        AssignmentKind::Active => {
            Api::<ActiveAssignment>::namespaced(me.client.clone(), &me.namespace).get_opt(name).await.map(|of| of?.uid())
        }
    };
    match found.map_err(plain).with_context(|| format!("cannot read {} {name}", kind.as_str()))? {
        Some(uid) => Ok(AssignmentRef { kind, name: name.clone(), uid }),
        None => {
            read::check_namespace(me).await?;
            bail!(
                "{}.curfew.dev \"{name}\" not found in namespace {}; kubectl get {} -n {} lists them",
                kind.plural(),
                me.namespace,
                kind.short(),
                me.namespace
            )
        }
    }
}

impl Followed for AssignmentRequest {
    const SHORT: &'static str = "asreq";
    const PLURAL: &'static str = "assignmentrequests";
    const DONE: &'static str = "decided";

    fn progress(&self) -> Option<(String, Option<u8>)> {
        let status = self.status.as_ref()?;
        let state = status.state?;
        let code = exit_code(state);
        let reason = status.reason.as_ref().filter(|_| code.is_some_and(|code| code != 0)).map(|reason| format!(" ({reason})"));
        let message = status.message.clone().unwrap_or_default();
        Some((format!("{state:?}{}: {message}", reason.unwrap_or_default()), code))
    }
}

/// The exit code for each end; nothing while it waits.
const fn exit_code(state: AssignmentRequestState) -> Option<u8> {
    match state {
        AssignmentRequestState::Pending | AssignmentRequestState::AwaitingApproval | AssignmentRequestState::Unknown => None,
        AssignmentRequestState::Applied => Some(0),
        AssignmentRequestState::Denied => Some(4),
        AssignmentRequestState::Invalid => Some(5),
        AssignmentRequestState::TimedOut => Some(6),
        AssignmentRequestState::Cancelled => Some(OTHER_END),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_an_exit_code_and_waiting_has_none() {
        use AssignmentRequestState::{Applied, AwaitingApproval, Cancelled, Denied, Invalid, Pending, TimedOut, Unknown};
        for state in [Pending, AwaitingApproval, Unknown] {
            assert_eq!(exit_code(state), None, "{state:?}");
        }
        let ends = [Applied, Denied, Invalid, TimedOut, Cancelled];
        assert_eq!(ends.map(exit_code), [Some(0), Some(4), Some(5), Some(6), Some(7)]);
        assert!(ends.into_iter().all(AssignmentRequestState::has_ended));
    }
}
