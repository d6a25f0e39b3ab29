//! `kubectl curfew list`: requests, what a user may request, what they hold, and the queue of an approver.
mod assignments;
mod eligible;
mod queue;
mod review;

use crate::{
    context::{CliContext, now},
    output::{Cell, Colour, Format, Printed, is_colourful, objects, put, span, table},
    read::{self, Gap, Place},
};
use curfew_api::{
    AccessDecision, ActivationRequest, AssignmentRequest, AuthorizationSystem, EligibleAssignment, RoleTemplate, request::RequestState,
};
use curfew_core::{
    principal::{Subject, UserInfo},
    text::printable,
    time::Time,
};
use kube::{Api, ResourceExt, api::ListParams};
use serde::Serialize;

/// List requests, what you may request, what you hold, or what waits for your approval.
///
/// Without an option: all requests that have not ended. Only what you may read is shown. If something is missing for lack of a right, the
/// rule to ask for is printed on standard error.
#[derive(clap::Args, Debug)]
#[command(after_help = concat!(
    "Exit codes:\n",
    "  0  the list is complete\n",
    "  1  it could not be read; the error says why\n",
    "  2  wrong usage\n",
    "  3  the list is not complete; standard error says what is missing, and by which right you would see it\n\n",
    "Example:\n",
    "  kubectl curfew list --eligible -n payments\n",
    "  kubectl curfew list --waiting-for-me -A\n",
    "  kubectl curfew list -A --ended"
))]
pub struct List {
    /// What you may request: the assignments that name you or one of your groups.
    #[arg(long, group = "view")]
    eligible: bool,
    /// Your active requests, and until when.
    #[arg(long, group = "view")]
    active: bool,
    /// The uses of break-glass that you can review as an approver, and the requests that your approval would bring on now, for access and for assignments, the oldest first, each with its command. A manager finds what is to be reviewed by the condition ReviewRequired of ActivationRequests.
    #[arg(long, group = "view")]
    waiting_for_me: bool,
    /// Include requests that have ended.
    #[arg(long, group = "view")]
    ended: bool,
    /// All namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    #[command(flatten)]
    printed: Printed,
}

pub async fn run(me: &CliContext, args: &List) -> anyhow::Result<u8> {
    let place = if args.all_namespaces { Place::All } else { Place::Namespace(&me.namespace) };
    let mut gaps = Vec::new();
    let empty = match (args.eligible, args.active, args.waiting_for_me) {
        (true, _, _) => eligible_roles(me, place, args.printed.output, &mut gaps).await?,
        (_, true, _) => active(me, place, args.printed.output, &mut gaps).await?,
        (_, _, true) => waiting(me, place, args.printed.output, &mut gaps).await?,
        _ => requests(me, place, args, &mut gaps).await?,
    };
    if let Some(told) = empty.filter(|_| gaps.is_empty()) {
        if place != Place::All {
            read::check_namespace(me).await?;
        }
        eprintln!("{told}");
    }
    Ok(read::report(&gaps))
}

/// Prints objects, as a table by `rows` if they are for people. Returns what is told if there are none.
fn print(
    items: &[impl Serialize + ResourceExt],
    kind: &str,
    format: Format,
    empty: &str,
    rows: impl FnOnce() -> String,
) -> anyhow::Result<Option<String>> {
    match format {
        Format::Json | Format::Yaml => put(objects(items, format)?)?,
        Format::Name => put(items.iter().map(|item| format!("{kind}.curfew.dev/{}\n", item.name_any())).collect::<String>())?,
        Format::Table | Format::Wide if items.is_empty() => return Ok(Some(empty.to_owned())),
        Format::Table | Format::Wide => put(rows())?,
    }
    Ok(None)
}

const REQUEST: &str = "activationrequest";

async fn requests(me: &CliContext, place: Place<'_>, args: &List, gaps: &mut Vec<Gap>) -> anyhow::Result<Option<String>> {
    let mut found: Vec<ActivationRequest> = read::list(me, place, gaps).await?;
    found.retain(|request| args.ended || state(request).outcome().is_none());
    let told = if args.ended { "no requests" } else { "no open requests; --ended includes those that have ended" };
    let wide = args.printed.output == Format::Wide;
    print(&found, REQUEST, args.printed.output, told, || requests_table(&found, wide))
}

fn state(request: &ActivationRequest) -> RequestState {
    request.status.as_ref().and_then(|status| status.state).unwrap_or(RequestState::Pending)
}

fn state_cell(request: &ActivationRequest) -> Cell {
    let state = state(request);
    let text = format!("{state:?}");
    match state {
        RequestState::Active => Cell::coloured(text, Colour::Green),
        RequestState::Revoking | RequestState::Failed => Cell::coloured(text, Colour::Red),
        RequestState::AwaitingApproval | RequestState::Scheduled | RequestState::Activating => Cell::coloured(text, Colour::Yellow),
        _ => text.into(),
    }
}

fn requester(request: &ActivationRequest) -> String {
    request.spec.requester.as_ref().map(|user| user.username.clone()).unwrap_or_default()
}

/// Requests in columns.
pub(crate) fn requests_table(found: &[ActivationRequest], wide: bool) -> String {
    let mut header = vec!["NAMESPACE", "NAME", "REQUESTER", "ROLE", "STATE", "WAITING-FOR", "EXPIRES", "DIGEST"];
    if wide {
        header.extend(["SYSTEM", "FOR", "REASON", "ENFORCED-BY"]);
    }
    let mut rows: Vec<Vec<Cell>> = vec![header.into_iter().map(Cell::from).collect()];
    for request in found {
        let status = request.status.clone().unwrap_or_default();
        let display = status.display.unwrap_or_default();
        let mut row = vec![
            request.namespace().unwrap_or_default().into(),
            request.name_any().into(),
            requester(request).into(),
            request.spec.role_ref.name.clone().into(),
            state_cell(request),
            status.waiting_for.unwrap_or_default().into(),
            display.expires.unwrap_or_default().into(),
            status.digest.map(|digest| digest.to_string()).unwrap_or_default().into(),
        ];
        if wide {
            row.extend([
                status.resolved.map(|resolved| resolved.system.name).or_else(|| request.spec.system.clone()).unwrap_or_default().into(),
                display.beneficiary.unwrap_or_default().into(),
                status.reason.unwrap_or_default().into(),
                status.enforced_by.unwrap_or_default().into(),
            ]);
        }
        rows.push(row);
    }
    table(&rows, is_colourful())
}

async fn eligible_roles(me: &CliContext, place: Place<'_>, format: Format, gaps: &mut Vec<Gap>) -> anyhow::Result<Option<String>> {
    let login = me.who().await?;
    let mut mine: Vec<EligibleAssignment> = read::list(me, place, gaps).await?;
    mine.retain(|assignment| assignment.spec.subject.includes(&login));
    let templates: Vec<RoleTemplate> = if mine.is_empty() { Vec::new() } else { read::list(me, place, gaps).await? };
    let told = format!("no EligibleAssignment that you may read names {} or one of your {} groups", login.username, login.groups.len());
    let rows = || eligible::table_of(&mine, &templates, now(), format == Format::Wide);
    if let Format::Table | Format::Wide = format {
        let of = |assignment: &EligibleAssignment| {
            let same = |template: &&RoleTemplate| {
                template.namespace() == assignment.namespace() && template.name_any() == assignment.spec.role_ref.name
            };
            eligible::more_time(assignment, templates.iter().find(same), now())
        };
        mine.iter().filter_map(of).for_each(|told| eprintln!("{}", printable(&told)));
    }
    print(&mine, "eligibleassignment", format, &told, rows)
}

/// Whether a request gives its access to this user. Standing access may be that of a group, which the request does not name.
fn is_holder(request: &ActivationRequest, login: &UserInfo) -> bool {
    let resolved = request.status.as_ref().and_then(|status| status.resolved.as_ref());
    match (&request.spec.beneficiary, resolved.filter(|resolved| resolved.is_standing())) {
        (Some(beneficiary), _) => curfew_core::principal::Subject::from(beneficiary.clone()).includes(login),
        (None, Some(standing)) => standing.beneficiary.includes(login),
        (None, None) => requester(request) == login.username,
    }
}

async fn active(me: &CliContext, place: Place<'_>, format: Format, gaps: &mut Vec<Gap>) -> anyhow::Result<Option<String>> {
    let login = me.who().await?;
    let mut mine: Vec<ActivationRequest> = read::list(me, place, gaps).await?;
    let held = |state| matches!(state, RequestState::Activating | RequestState::Active | RequestState::Revoking);
    mine.retain(|request| is_holder(request, &login) && held(state(request)));
    mine.sort_by_key(|request| request.status.as_ref().and_then(|status| status.expires_at));
    let told = format!("{} has no active access that you may see", login.username);
    print(&mine, REQUEST, format, &told, || active_table(&mine, now()))
}

fn active_table(mine: &[ActivationRequest], now: Time) -> String {
    let header = ["NAMESPACE", "NAME", "ROLE", "SYSTEM", "STATE", "EXPIRES", "LEFT", "ENFORCED-BY", "EXTENSION"];
    let mut rows: Vec<Vec<Cell>> = vec![header.into_iter().map(Cell::from).collect()];
    for request in mine {
        let status = request.status.clone().unwrap_or_default();
        rows.push(vec![
            request.namespace().unwrap_or_default().into(),
            request.name_any().into(),
            request.spec.role_ref.name.clone().into(),
            status.resolved.map(|resolved| resolved.system.name).unwrap_or_default().into(),
            state_cell(request),
            status.expires_at.map(|end| end.to_string()).unwrap_or_default().into(),
            status.expires_at.map(|end| span(end.millis_since(now))).unwrap_or_default().into(),
            status.enforced_by.unwrap_or_default().into(),
            extension(request).into(),
        ]);
    }
    table(&rows, is_colourful())
}

/// What an access extends, or by what it is extended and until when.
fn extension(request: &ActivationRequest) -> String {
    let by = request.status.as_ref().and_then(|status| status.extended_by.as_ref());
    let by = by.map(|by| format!("extended by {} until {}", by.name, by.expires_at));
    let extends = request.spec.extends.as_ref().map(|extends| format!("extends {}", extends.name));
    extends.into_iter().chain(by).collect::<Vec<_>>().join(", ")
}

/// The emergency accounts of all systems. Who may not read them is not one: the operator judges decisions anyway.
async fn emergency_accounts(me: &CliContext) -> Vec<Subject> {
    let systems = Api::<AuthorizationSystem>::all(me.client.clone()).list(&ListParams::default()).await;
    systems.map(|found| found.items.into_iter().flat_map(|system| system.spec.emergency_accounts).collect()).unwrap_or_default()
}

async fn waiting(me: &CliContext, place: Place<'_>, format: Format, gaps: &mut Vec<Gap>) -> anyhow::Result<Option<String>> {
    let (login, config) = (me.who().await?, me.config().await?);
    let identity = &config.spec.identity;
    let decider = queue::Decider {
        login: login.recorded(&identity.recorded_keys()),
        people: identity.recognition(),
        proof: identity.decider_proof.list(),
        emergency: emergency_accounts(me).await,
        now: now(),
    };
    let mut open: Vec<ActivationRequest> = read::list(me, place, gaps).await?;
    let mut waiting = review::waiting(&open, &decider);
    // A request that may not be read is not deleted.
    let deleted = if gaps.is_empty() { review::without_request(me, place, &open, gaps).await } else { Vec::new() };
    open.retain(|request| state(request) == RequestState::AwaitingApproval);
    // An older installation does not serve them.
    let mut changes: Vec<AssignmentRequest> = read::list_if_readable(me, place, gaps).await;
    changes.retain(assignments::is_open);
    let missing = gaps.len();
    let nothing = open.is_empty() && changes.is_empty() && deleted.is_empty();
    let decisions: Vec<AccessDecision> = if nothing { Vec::new() } else { read::list(me, place, gaps).await? };
    let decisions = (gaps.len() == missing).then_some(decisions.as_slice());
    let grants = review::deleted(&deleted, decisions, &decider);
    let changes = assignments::waiting(changes, decisions, &decider);
    waiting.extend(queue::waiting(open, decisions, &decider));
    let told = match queue::unproven(&decider) {
        Some(why) => format!("nothing waits for you: your decisions do not count, since {why}; kubectl curfew whoami says more"),
        None => format!("nothing that you may see waits for {}", login.username),
    };
    let requests: Vec<ActivationRequest> = waiting.iter().map(|entry| entry.request.clone()).collect();
    grants.iter().for_each(|told| eprintln!("{}", printable(told)));
    if changes.is_empty() {
        let told = print(&requests, REQUEST, format, &told, || queue::table_of(&waiting, decider.now, format == Format::Wide))?;
        return Ok(told.filter(|_| grants.is_empty()));
    }
    let asked: Vec<AssignmentRequest> = changes.iter().map(|entry| entry.request.clone()).collect();
    if let Format::Json | Format::Yaml = format {
        let all = requests.iter().map(serde_json::to_value).chain(asked.iter().map(serde_json::to_value));
        put(objects(&all.collect::<Result<Vec<_>, _>>()?, format)?)?;
        return Ok(None);
    }
    if !requests.is_empty() {
        print(&requests, REQUEST, format, &told, || queue::table_of(&waiting, decider.now, format == Format::Wide) + "\n")?;
    }
    print(&asked, "assignmentrequest", format, &told, || assignments::table_of(&changes, decider.now, format == Format::Wide))
}
