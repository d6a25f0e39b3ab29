//! `kubectl curfew approve | deny | revoke | review`: creates an AccessDecision, and says whether it counts.
use crate::{
    comment,
    context::CliContext,
    output::{Format, Printed, document, objects, put},
    read::INCOMPLETE,
    subject::Subject,
};
use anyhow::{bail, ensure};
use curfew_api::{
    AccessDecision,
    assignment::NameRef,
    conditions,
    decision::{About, AccessDecisionSpec},
};
use curfew_core::{
    approval::Verb,
    digest::Digest,
    duration::Duration,
    text::{is_blank, printable},
};
use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    api::PostParams,
    runtime::{WatchStreamExt, watcher::watch_object},
};
use std::{
    io::{IsTerminal, Write},
    pin::pin,
};

/// The help of a command that decides: its example, and what its exit codes mean.
macro_rules! with_exit_codes {
    ($example:literal) => {
        concat!(
            "Exit codes:\n",
            "  0  the decision counts; of several: every one\n",
            "  1  it does not count, or could not be created; the error says why\n",
            "  2  wrong usage\n",
            "  3  it was created, and within --timeout it is not known whether it counts\n\n",
            $example
        )
    };
}
pub(crate) use with_exit_codes;

/// Approve exactly the terms that you reviewed.
///
/// The digest identifies them: kubectl curfew list --waiting-for-me shows it, and so does the message of the condition Approved.
/// Without --digest the command prints everything that would be granted and asks for confirmation, for each request.
/// With --duration the access is shorter than what was requested. It waits until the approval counts or does not, and says why.
#[derive(clap::Args, Debug)]
#[command(
    after_help = with_exit_codes!("Example:\n  kubectl curfew approve payments-admin-x7k2p -n payments --digest 7f3a9c21d0b4e6f1a2c85e07b9d34f6082e1c7a5f0936bd84e2a7c19f5d0638b --comment 'go ahead'")
)]
pub struct Approve {
    /// Names of ActivationRequests; of AssignmentRequests as asreq/NAME.
    #[arg(required = true)]
    names: Vec<String>,
    /// Digest of the terms that you reviewed: 64 hex digits. For one request only.
    #[arg(long)]
    digest: Option<Digest>,
    /// Let the access last no longer than this, such as 15m; at most what was requested.
    #[arg(short, long)]
    duration: Option<Duration>,
    #[command(flatten)]
    common: Common,
}

/// What all decisions have.
#[derive(clap::Args, Debug)]
pub struct Common {
    /// Reason for the decision; it becomes part of the audit log.
    #[arg(short, long)]
    comment: Option<String>,
    /// How long to wait until the decision counts or does not.
    #[arg(long, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    printed: Printed,
}

/// Arguments of `deny` and `revoke`.
#[derive(clap::Args, Debug)]
pub struct Against {
    /// Names of ActivationRequests; of AssignmentRequests as asreq/NAME.
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// Review a use of break-glass, as an approver or manager.
///
/// The requester of a break-glass access cannot use break-glass again until another person has reviewed it. kubectl curfew list
/// --waiting-for-me shows an approver what is to be reviewed; a manager finds it by the condition ReviewRequired of ActivationRequests.
/// A review counts while the access is active, and after its end.
#[derive(clap::Args, Debug)]
#[command(
    after_help = with_exit_codes!("Example:\n  kubectl curfew review payments-admin-x7k2p -n payments --comment 'INC-4711, needed'\n  kubectl curfew review --grant 0123456789abcdef -n payments --comment 'the request was deleted'")
)]
pub struct Review {
    /// Names of ActivationRequests.
    #[arg(required_unless_present = "grant", conflicts_with = "grant")]
    names: Vec<String>,
    /// Name of the Grant, if the request was deleted.
    #[arg(long)]
    grant: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub async fn review(me: &CliContext, args: &Review) -> anyhow::Result<u8> {
    let comment = args.common.comment.clone().filter(|comment| !is_blank(comment));
    ensure!(comment.is_some(), "a review needs a comment; say what you found with --comment");
    let decision = || Decision { verb: Verb::Review, digest: None, duration: None, comment: comment.clone() };
    if let Some(grant) = &args.grant {
        let about = About::Grant(NameRef { name: grant.clone() });
        return each(std::slice::from_ref(grant), args.common.printed.output, async |_, made| {
            send(me, &about, &decision(), &args.common, made).await
        })
        .await;
    }
    each(&args.names, args.common.printed.output, async |name, made| {
        let request = Subject::find(me, name).await?;
        ensure!(matches!(request, Subject::Access(_)), "{name} is not an ActivationRequest; only break-glass access is reviewed");
        send(me, &request.about(), &decision(), &args.common, made).await
    })
    .await
}

pub async fn approve(me: &CliContext, args: &Approve) -> anyhow::Result<u8> {
    ensure!(
        args.digest.is_none() || args.names.len() == 1,
        "--digest names what you reviewed of one request; approve one request at a time with it"
    );
    each(&args.names, args.common.printed.output, async |name, made| {
        let request = Subject::find(me, name).await?;
        check_duration(&request, args.duration.as_ref())?;
        let asking = asking(me, &request, &args.common).await?;
        let digest = Some(reviewed(me, &request, args.digest)?);
        let comment = match asking {
            Some(stage) => Some(comment::ask(&stage)?),
            None => args.common.comment.clone(),
        };
        let decision = Decision { verb: Verb::Approve, digest, duration: args.duration.clone(), comment };
        send(me, &request.about(), &decision, &args.common, made).await
    })
    .await
}

pub async fn against(me: &CliContext, args: &Against, verb: Verb) -> anyhow::Result<u8> {
    each(&args.names, args.common.printed.output, async |name, made| {
        let request = Subject::find(me, name).await?;
        let digest = request.digest();
        send(me, &request.about(), &Decision { verb, digest, duration: None, comment: args.common.comment.clone() }, &args.common, made)
            .await
    })
    .await
}

/// What is decided.
struct Decision {
    verb: Verb,
    digest: Option<Digest>,
    duration: Option<Duration>,
    comment: Option<String>,
}

/// What the operator would not count: a longer duration than was requested.
fn check_duration(request: &Subject, named: Option<&Duration>) -> anyhow::Result<()> {
    let is_assignment = matches!(request, Subject::Assignment(_));
    ensure!(named.is_none() || !is_assignment, "an AssignmentRequest is approved as it is; --duration shortens an access");
    if let Some((named, requested)) = named.zip(request.duration()) {
        ensure!(named <= requested, "{named} is longer than the {requested} that was requested; approve at most that");
    }
    Ok(())
}

/// The stage that asks for a comment that was not given. Fails where there is no terminal to ask on.
async fn asking(me: &CliContext, request: &Subject, common: &Common) -> anyhow::Result<Option<String>> {
    if common.comment.as_deref().is_some_and(|comment| !is_blank(comment)) {
        return Ok(None);
    }
    let stage = comment::asked_for(me, request.stages()).await;
    if let Some(stage) = stage.as_ref().filter(|_| !std::io::stdin().is_terminal()) {
        bail!("stage {stage} asks its approvers for a comment; say why with --comment");
    }
    Ok(stage)
}

/// Decides about one request after the other. Of several, one that fails keeps none of the others from its decision.
/// Documents are printed at the end: one decision, or a List of several.
async fn each(
    names: &[String],
    format: Format,
    mut decide: impl AsyncFnMut(&str, &mut Vec<AccessDecision>) -> anyhow::Result<u8>,
) -> anyhow::Result<u8> {
    let (mut codes, mut made) = (Vec::new(), Vec::new());
    if let [only] = names {
        let code = decide(only, &mut made).await;
        made.first().map_or(Ok(()), |made| put(document(made, format)?))?;
        return code;
    }
    for name in names {
        let code = decide(name, &mut made).await.unwrap_or_else(|error| {
            eprintln!("error: {}: {}", printable(name), printable(&format!("{error:#}")));
            1
        });
        codes.push(code);
    }
    if let Format::Json | Format::Yaml = format {
        put(objects(&made, format)?)?;
    }
    Ok(worst(&codes))
}

/// The exit code of several decisions: one that does not count says more than one that is not known to count.
fn worst(codes: &[u8]) -> u8 {
    if codes.contains(&1) { 1 } else { codes.iter().copied().max().unwrap_or(0) }
}

/// The digest of what the user has reviewed: given, or shown now and confirmed.
fn reviewed(me: &CliContext, request: &Subject, given: Option<Digest>) -> anyhow::Result<Digest> {
    let name = request.name();
    let look = format!("kubectl get {} -n {} {name}", request.kind(), me.namespace);
    let Some(current) = request.digest() else {
        let told = request.message().unwrap_or_else(|| format!("the operator has not looked at it yet; check it with {look}"));
        bail!("request {name} cannot be approved: {told}");
    };
    if let Some(digest) = given {
        ensure!(digest == current, "digest {digest} does not match what would be granted now ({current}); review it with {look} -o wide");
        return Ok(digest);
    }
    ensure!(
        std::io::stdin().is_terminal(),
        "without a terminal, confirm what you reviewed with --digest {current} ({look} -o yaml shows everything)"
    );
    request.print()?;
    ensure!(confirmed("Approve this?")?, "cancelled; no decision about {name} was created");
    Ok(current)
}

/// Asks a question on the terminal.
pub(crate) fn confirmed(question: &str) -> anyhow::Result<bool> {
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// Creates the decision, and waits until it counts or does not. What is printed as a document is kept.
async fn send(me: &CliContext, about: &About, decision: &Decision, common: &Common, made: &mut Vec<AccessDecision>) -> anyhow::Result<u8> {
    let of = match about {
        About::ActivationRequest(request) | About::AssignmentRequest(request) => &request.name,
        About::Grant(grant) => &grant.name,
    };
    let decisions: Api<AccessDecision> = Api::namespaced(me.client.clone(), &me.namespace);
    let make = |decider| {
        let Decision { verb, digest, duration, comment } = decision;
        let (duration, comment) = (duration.clone(), comment.clone());
        let spec = AccessDecisionSpec { about: about.clone(), digest: *digest, decision: *verb, duration, comment, decider };
        let mut decision = AccessDecision::new("", spec);
        decision.metadata.name = None;
        decision.metadata.generate_name = Some(format!("{of}-"));
        decision
    };
    let created = me.create(&decisions, &PostParams::default(), "decider", make).await?;
    let name = created.name_any();
    match common.printed.output {
        Format::Table | Format::Wide => put(format_args!("accessdecision.curfew.dev/{name} created\n"))?,
        Format::Name => put(format_args!("accessdecision.curfew.dev/{name}\n"))?,
        Format::Json | Format::Yaml => eprintln!("accessdecision.curfew.dev/{name} created"),
    }
    let limit = std::time::Duration::from_secs(common.timeout.secs().unsigned_abs());
    let mut waits_for = None;
    let known = tokio::time::timeout(limit, verdict(&decisions, &name, &mut waits_for)).await;
    if let Format::Json | Format::Yaml = common.printed.output {
        made.push(decisions.get_opt(&name).await.ok().flatten().unwrap_or(created));
    }
    match known {
        Ok(counts) => {
            let told = counts?;
            match common.printed.output {
                Format::Table | Format::Wide => put(format_args!("{told}\n"))?,
                Format::Json | Format::Yaml | Format::Name => eprintln!("{told}"),
            }
            Ok(0)
        }
        Err(_) => {
            let why =
                waits_for.unwrap_or_else(|| "the operator has not judged it; it may not be running, or wait for an admission proof".into());
            let (after, ns) = (&common.timeout, &me.namespace);
            eprintln!("error: after {after} it is not known whether the decision counts: {why}; kubectl get adec -n {ns} {name} shows it");
            Ok(INCOMPLETE)
        }
    }
}

/// Waits until the decision counts; returns what the operator says of it. Fails if it does not count, with why.
async fn verdict(decisions: &Api<AccessDecision>, name: &str, waits_for: &mut Option<String>) -> anyhow::Result<String> {
    let mut changes = pin!(watch_object(decisions.clone(), name).default_backoff());
    while let Some(change) = changes.next().await {
        let change = match change {
            Ok(change) => change,
            // The watch is begun again, with a pause.
            Err(error) => {
                *waits_for = Some(format!("the decision cannot be watched: {}", printable(&error.to_string())));
                continue;
            }
        };
        *waits_for = None;
        let Some(decision) = change else { bail!("decision {name} was deleted before it was judged") };
        let status = decision.status.unwrap_or_default();
        let Some(counted) = conditions::find(&status.conditions, "Counted") else { continue };
        let message = printable(&counted.message);
        match counted.status.as_str() {
            "True" => return Ok(message),
            "False" => bail!("the decision does not count ({}): {message}", counted.reason),
            _ => *waits_for = Some(message),
        }
    }
    bail!("cannot watch decision {name}; kubectl get adec shows whether it counts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_decisions_one_that_does_not_count_decides() {
        for (codes, code) in [(&[0, 0][..], 0), (&[0, 3], 3), (&[3, 1, 0], 1), (&[], 0)] {
            assert_eq!(worst(codes), code, "{codes:?}");
        }
    }
}
