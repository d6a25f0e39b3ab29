//! `kubectl curfew explain`: why a user may or may not activate a role, by the rules of the operator, from what the user may read.
pub(crate) mod facts;
pub(crate) mod holding;
mod stand_in;
pub(crate) mod view;
mod windows;

use crate::{
    context::CliContext,
    output::{Format, Printed, document, put},
    spec::{self, Wanted},
};
use facts::Facts;
pub(crate) use facts::gather;
use serde::Serialize;

/// Explain why you may or may not activate a role.
///
/// Judges each rule with what you may read, now: ok, not ok, or unknown, and then says which rule of RBAC would show it. Shows who could
/// approve, how many slots of each limit are free, whether you may use break-glass, what would be written where, until when, and what ends it. What only the operator knows is taken from the status of the role.
#[derive(clap::Args, Debug)]
#[command(after_help = concat!(
    "Exit codes:\n",
    "  0  nothing that you may read refuses it\n",
    "  1  it could not be judged; the error says why\n",
    "  2  wrong usage\n",
    "  3  it is not known: what decides may not be read\n",
    "  4  you may not; the request would be Denied\n",
    "  5  you may not; the request would be Invalid\n\n",
    "Example:\n",
    "  kubectl curfew explain payments-admin -n payments\n",
    "  kubectl curfew explain payments-admin -n payments --duration 6h -o json"
))]
pub struct Explain {
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    printed: Printed,
}

pub async fn run(me: &CliContext, args: &Explain) -> anyhow::Result<u8> {
    let mut wanted = spec::build(me, &args.wanted).await?;
    // Whether there is a justification is not the question.
    wanted.justification.get_or_insert_with(|| "asked by kubectl curfew explain".into());
    let explained = judge(&gather(me, wanted).await?);
    match args.printed.output {
        format @ (Format::Json | Format::Yaml) => put(document(&explained, format)?)?,
        Format::Table | Format::Wide | Format::Name => put(view::text(&explained))?,
    }
    Ok(explained.exit_code())
}

/// How a rule stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It is met.
    Ok,
    /// It refuses.
    NotOk,
    /// What it needs cannot be read.
    Unknown,
}

/// One rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Line {
    /// Its name.
    pub(crate) rule: &'static str,
    /// How it stands.
    pub(crate) outcome: Outcome,
    /// Why, with the next step.
    pub(crate) detail: String,
}

/// Everything that is told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explained {
    /// The role.
    pub(crate) role: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Who asks.
    pub(crate) user: String,
    /// Over all rules.
    pub(crate) verdict: Outcome,
    /// The state in which the request would end, if it is refused: Denied or Invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ends: Option<String>,
    /// The rules, in the order in which they are judged.
    pub(crate) rules: Vec<Line>,
    /// Who would have to approve, one text for each stage.
    pub(crate) approval: Vec<String>,
    /// Whether the user may use break-glass for the role, what follows, and what locks it.
    pub(crate) break_glass: Vec<String>,
    /// How long the access could go on by extensions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extension: Option<String>,
    /// What would be written, and where.
    pub(crate) writes: Vec<String>,
    /// How long the access would last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration: Option<String>,
    /// When it would end if it began now, or at the start that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// What would end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended_by: Option<String>,
    /// What may outlive the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_tail: Option<String>,
}

impl Explained {
    /// The exit code, as the help of the command describes it.
    pub(crate) fn exit_code(&self) -> u8 {
        match (self.verdict, self.ends.as_deref()) {
            (Outcome::Ok, _) => 0,
            (Outcome::Unknown, _) => crate::read::INCOMPLETE,
            (Outcome::NotOk, Some("Denied")) => 4,
            (Outcome::NotOk, _) => 5,
        }
    }
}

/// Judges what was read.
pub(crate) fn judge(facts: &Facts) -> Explained {
    facts::judge(facts)
}
