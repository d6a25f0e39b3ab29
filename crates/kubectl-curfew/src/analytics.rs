//! `kubectl curfew pci | identity | unused | findings | history | usage | rightsize`: how much power goes unused.
//!
//! `pci` reads the status of the systems. The others, and `pci` as a page or CSV, ask `curfew-analytics`, which makes the whole answer.
mod server;
mod status;

use crate::{
    context::CliContext,
    output::{Format, document, put},
    read,
};
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use curfew_api::AuthorizationSystem;
use kube::{Api, ResourceExt};
use server::Server;

/// What the exit codes of a question mean, and an example of it.
macro_rules! with_exit_codes {
    ($example:literal) => {
        concat!(
            "Exit codes:\n",
            "  0  the answer was printed\n",
            "  1  there is no answer; the error says why\n",
            "  2  wrong usage\n\n",
            "Example:\n",
            $example
        )
    };
}

/// How an answer is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Table,
    /// Everything, for programs.
    Json,
    /// Rows for a spreadsheet.
    Csv,
    /// One page that opens offline and prints: redirect it into a file.
    Html,
}

impl Form {
    const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
        }
    }
}

/// The system that is asked about, and the form of the answer.
#[derive(clap::Args, Clone, Debug)]
struct Asked {
    /// Name of the AuthorizationSystem. Default: the only one.
    #[arg(short, long, value_name = "NAME")]
    system: Option<String>,
    /// How the answer is printed: table, json, csv or html.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", hide_possible_values = true)]
    output: Form,
    #[command(flatten)]
    server: Server,
}

/// Filters for identities.
#[derive(clap::Args, Clone, Debug)]
struct Who {
    /// Only identities of these kinds, such as human, workload, group, role: separated by commas.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only identities whose score is in these bands: low, medium, high.
    #[arg(long, value_name = "BAND")]
    band: Option<String>,
}

/// The most rows of an answer.
#[derive(clap::Args, Clone, Debug)]
struct Limit {
    /// The most rows. Default: 50 in a table.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Show the Permission Creep Index of systems: 0 to 100, how much power is held and not used.
///
/// Reads the status of AuthorizationSystems, which needs no other right than to read them. 0 to 33 is low, 34 to 67 medium, 68 to 100 high. With
/// a name it shows the distribution, the highest identities, findings and the trend. As csv or html the details come from curfew-analytics: with
/// a name and html, this is the whole report with charts.
#[derive(clap::Args, Debug)]
#[command(after_help = with_exit_codes!(
    "  kubectl curfew pci\n  kubectl curfew pci prod\n  kubectl curfew pci --sort change\n  kubectl curfew pci prod -o html > pci.html"
))]
pub struct Pci {
    /// Name of the AuthorizationSystem. Default: all of them, as a list.
    system: Option<String>,
    /// Order of the list: the highest score first, the largest rise in seven days first, or by name.
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    sort: status::Sort,
    /// How the answer is printed: table, json, csv or html.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", hide_possible_values = true)]
    output: Form,
    #[command(flatten)]
    server: Server,
}

/// Show one identity: what it may do, what it did, what it did not use, and why its score is what it is.
#[derive(clap::Args, Debug)]
#[command(after_help = with_exit_codes!(
    "  kubectl curfew identity alice@example.com\n  kubectl curfew identity system:serviceaccount:ci:deployer -s prod -o json\n  kubectl curfew identity platform-admins --kind group"
))]
pub struct Identity {
    /// Its name: a user, a group, a service account as system:serviceaccount:NAMESPACE:NAME, an ARN.
    name: String,
    /// Its kind, if several identities have the name.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    asked: Asked,
}

/// List permissions that are granted and not used, or not everywhere they are granted.
///
/// By identity, those that can do most harm first. What no request would show is never listed as unused.
#[derive(clap::Args, Debug)]
#[command(after_help = with_exit_codes!(
    "  kubectl curfew unused --high-risk\n  kubectl curfew unused --identity system:serviceaccount:ci:deployer\n  kubectl curfew unused --kind workload --band high -o csv > unused.csv"
))]
pub struct Unused {
    /// Only those of this identity.
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    #[command(flatten)]
    who: Who,
    /// Only permissions whose name contains this.
    #[arg(long, value_name = "TEXT")]
    permission: Option<String>,
    /// Only permissions that can leak, disrupt, remove or escalate.
    #[arg(long)]
    high_risk: bool,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    asked: Asked,
}

/// List what should be looked at, with its severity and a recommendation; -o json and csv have the evidence.
#[derive(clap::Args, Debug)]
#[command(after_help = with_exit_codes!(
    "  kubectl curfew findings --severity high\n  kubectl curfew findings --type super,inactive -s prod\n  kubectl curfew findings -o csv > findings.csv"
))]
pub struct Findings {
    /// Only findings of these types, such as escalation, super, inactive: separated by commas.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only findings of these severities: high, medium, low.
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<String>,
    /// Only findings about identities, roles or bindings whose name contains this.
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    asked: Asked,
}

/// Show scores by day, of a system or of one identity.
#[derive(clap::Args, Debug)]
#[command(after_help = with_exit_codes!(
    "  kubectl curfew history -s prod\n  kubectl curfew history --identity alice@example.com --days 30"
))]
pub struct History {
    /// Of this identity, and not of the system.
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// Its kind, if several identities have the name.
    #[arg(long, value_name = "KIND", requires = "identity")]
    kind: Option<String>,
    /// How many days back.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3660))]
    days: u32,
    #[command(flatten)]
    asked: Asked,
}

/// List identities, permissions, tasks or resources of a system.
#[derive(clap::Args, Debug)]
#[command(after_help = with_exit_codes!("  kubectl curfew usage identities --state inactive"))]
pub struct Usage {
    #[command(subcommand)]
    view: View,
}

#[derive(clap::Subcommand, Debug)]
enum View {
    /// Identities with score, granted and used permissions, and last use. The highest score first.
    #[command(after_help = with_exit_codes!(
        "  kubectl curfew usage identities --kind human --band high\n  kubectl curfew usage identities --state inactive -o csv > inactive.csv"
    ))]
    Identities {
        #[command(flatten)]
        who: Who,
        /// Only identities in these states: active, inactive, new, excluded.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Only identities whose name contains this.
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// Also what belongs to the system itself, such as the controllers of Kubernetes.
        #[arg(long)]
        built_in: bool,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asked: Asked,
    },
    /// Permissions by identity, granted, used or not: who may do this, and who does it?
    #[command(after_help = with_exit_codes!(
        "  kubectl curfew usage permissions --permission secrets --state used\n  kubectl curfew usage permissions --identity alice@example.com"
    ))]
    Permissions {
        /// Only those of this identity.
        #[arg(long, value_name = "NAME")]
        identity: Option<String>,
        #[command(flatten)]
        who: Who,
        /// Only permissions whose name contains this.
        #[arg(long, value_name = "TEXT")]
        permission: Option<String>,
        /// Only permissions in these states: unused, partlyUsed, used, notShown, notGranted.
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// Only permissions that can leak, disrupt, remove or escalate.
        #[arg(long)]
        high_risk: bool,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asked: Asked,
    },
    /// Permissions that were used, with how many identities may use them and how many did.
    #[command(after_help = with_exit_codes!("  kubectl curfew usage tasks --high-risk"))]
    Tasks {
        /// Only what identities of these kinds did.
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// Only permissions whose name contains this.
        #[arg(long, value_name = "TEXT")]
        permission: Option<String>,
        /// Only permissions that can leak, disrupt, remove or escalate.
        #[arg(long)]
        high_risk: bool,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asked: Asked,
    },
    /// Namespaces or resources in which something was done, with how many identities have access and how many used it.
    #[command(after_help = with_exit_codes!("  kubectl curfew usage resources -s prod"))]
    Resources {
        /// Only what identities of these kinds may do and did.
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// Only permissions that can leak, disrupt, remove or escalate.
        #[arg(long)]
        high_risk: bool,
        #[command(flatten)]
        limit: Limit,
        #[command(flatten)]
        asked: Asked,
    },
    /// High-risk permissions and deletions in numbers: identities that have them and use them, and how many are used.
    #[command(after_help = with_exit_codes!("  kubectl curfew usage summary -s prod"))]
    Summary {
        #[command(flatten)]
        asked: Asked,
    },
}

/// Propose the least role for an identity from what it used. Nothing is applied.
///
/// Prints the permissions with the use that each rests on, the standing access that the role replaces, and the documents to review and
/// apply: for Kubernetes a RoleTemplate and an EligibleAssignment, for AWS a policy.
#[derive(clap::Args, Debug)]
#[command(after_help = with_exit_codes!(
    "  kubectl curfew rightsize system:serviceaccount:ci:deployer\n  kubectl curfew rightsize bob@example.com --days 30 -o yaml > role.yaml\n  kubectl curfew rightsize bob@example.com -n payments --approver group:payments-leads"
))]
pub struct Rightsize {
    /// Name of the identity.
    identity: String,
    /// Its kind, if several identities have the name.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// How many days back a use counts. Default: the window of the system.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3660))]
    days: Option<u32>,
    /// Give the role as standing access, and not on request. A workload cannot ask for access, so it has no other form.
    #[arg(long, conflicts_with = "approvers")]
    standing: bool,
    /// Choose among the roles that exist, in place of new ones.
    #[arg(long)]
    built_in: bool,
    /// Who approves access to the role, as user:NAME or group:NAME. Repeat it for more.
    #[arg(long = "approver", value_name = "SUBJECT", value_parser = approver)]
    approvers: Vec<String>,
    /// Name of the AuthorizationSystem. Default: the only one.
    #[arg(short, long, value_name = "NAME")]
    system: Option<String>,
    /// How the answer is printed: table, json, csv, html, or yaml, which is only the documents to apply.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT", hide_possible_values = true)]
    output: RoleForm,
    #[command(flatten)]
    server: Server,
}

fn approver(text: &str) -> Result<String, String> {
    crate::init::subject(text).map(|_| text.to_owned())
}

/// How a proposed role is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum RoleForm {
    /// For people.
    #[default]
    Table,
    /// Everything, for programs.
    Json,
    /// The evidence as rows.
    Csv,
    /// One page.
    Html,
    /// The documents to apply.
    Yaml,
}

impl RoleForm {
    const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Yaml => "yaml",
        }
    }
}

/// The parameters of a question.
type Parameters = Vec<(&'static str, String)>;

/// A parameter, if it is given.
fn given<T: ToString>(name: &'static str, value: Option<T>) -> Option<(&'static str, String)> {
    value.map(|value| (name, value.to_string()))
}

/// A parameter that is either on or absent.
fn on(name: &'static str, is_on: bool) -> Option<(&'static str, String)> {
    is_on.then(|| (name, "true".to_owned()))
}

/// Asks about one system and prints the answer.
async fn ask(
    me: &CliContext,
    asked: &Asked,
    view: &str,
    parameters: impl IntoIterator<Item = Option<(&'static str, String)>>,
) -> anyhow::Result<u8> {
    let mut all: Parameters = parameters.into_iter().flatten().collect();
    all.push(("output", asked.output.name().to_owned()));
    let system = system(me, asked.system.as_deref()).await?;
    put(asked.server.ask(me, Some((&system, view)), &all).await?)?;
    Ok(0)
}

/// The system that is meant: the one that is named, or the only one.
async fn system(me: &CliContext, named: Option<&str>) -> anyhow::Result<String> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let all = match read::everywhere::<AuthorizationSystem>(me).await? {
        Ok(all) => all,
        Err(gap) => bail!("name the AuthorizationSystem with --system: you may not list them; {}", gap.why),
    };
    let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
    match &names[..] {
        [only] => Ok(only.clone()),
        [] => bail!("there is no AuthorizationSystem; docs/howto/analytics.md says how a system is analysed"),
        _ => bail!("name one of the AuthorizationSystems with --system: {}", names.join(", ")),
    }
}

pub async fn pci(me: &CliContext, args: &Pci) -> anyhow::Result<u8> {
    if let Form::Csv | Form::Html = args.output {
        let at = args.system.as_deref().map(|system| (system, "report"));
        put(args.server.ask(me, at, &vec![("output", args.output.name().to_owned())]).await?)?;
        return Ok(0);
    }
    let systems: Api<AuthorizationSystem> = Api::all(me.client.clone());
    if let Some(name) = &args.system {
        let found = systems
            .get_opt(name)
            .await
            .map_err(crate::context::plain)
            .with_context(|| format!("cannot read AuthorizationSystem {name}"))?;
        let Some(system) = found else { bail!("AuthorizationSystem {name} not found; kubectl get authsys lists them") };
        put(if args.output == Form::Json { document(&status::Of::new(&system), Format::Json)? } else { status::one(&system) })?;
        return Ok(0);
    }
    let all = match read::everywhere::<AuthorizationSystem>(me).await? {
        Ok(all) => all,
        Err(gap) => bail!("{gap}"),
    };
    let all = args.sort.sorted(&all);
    put(if args.output == Form::Json { document(&all, Format::Json)? } else { status::list(&all) })?;
    Ok(0)
}

pub async fn identity(me: &CliContext, args: &Identity) -> anyhow::Result<u8> {
    let parameters = [Some(("name", args.name.clone())), given("kind", args.kind.as_ref()), given("limit", args.limit.limit)];
    ask(me, &args.asked, "identity", parameters).await
}

pub async fn unused(me: &CliContext, args: &Unused) -> anyhow::Result<u8> {
    let parameters = [
        given("identity", args.identity.as_ref()),
        given("kind", args.who.kind.as_ref()),
        given("band", args.who.band.as_ref()),
        given("permission", args.permission.as_ref()),
        on("highRisk", args.high_risk),
        given("limit", args.limit.limit),
    ];
    ask(me, &args.asked, "unused", parameters).await
}

pub async fn findings(me: &CliContext, args: &Findings) -> anyhow::Result<u8> {
    let parameters = [
        given("type", args.kind.as_ref()),
        given("severity", args.severity.as_ref()),
        given("subject", args.subject.as_ref()),
        given("limit", args.limit.limit),
    ];
    ask(me, &args.asked, "findings", parameters).await
}

pub async fn history(me: &CliContext, args: &History) -> anyhow::Result<u8> {
    let parameters = [given("identity", args.identity.as_ref()), given("kind", args.kind.as_ref()), given("days", Some(args.days))];
    ask(me, &args.asked, "history", parameters).await
}

pub async fn usage(me: &CliContext, args: &Usage) -> anyhow::Result<u8> {
    match &args.view {
        View::Identities { who, state, name, built_in, limit, asked } => {
            let parameters = [
                given("kind", who.kind.as_ref()),
                given("band", who.band.as_ref()),
                given("state", state.as_ref()),
                given("name", name.as_ref()),
                on("builtIn", *built_in),
                given("limit", limit.limit),
            ];
            ask(me, asked, "identities", parameters).await
        }
        View::Permissions { identity, who, permission, state, high_risk, limit, asked } => {
            let parameters = [
                given("identity", identity.as_ref()),
                given("kind", who.kind.as_ref()),
                given("band", who.band.as_ref()),
                given("permission", permission.as_ref()),
                given("state", state.as_ref()),
                on("highRisk", *high_risk),
                given("limit", limit.limit),
            ];
            ask(me, asked, "permissions", parameters).await
        }
        View::Tasks { kind, permission, high_risk, limit, asked } => {
            let parameters = [
                given("kind", kind.as_ref()),
                given("permission", permission.as_ref()),
                on("highRisk", *high_risk),
                given("limit", limit.limit),
            ];
            ask(me, asked, "tasks", parameters).await
        }
        View::Resources { kind, high_risk, limit, asked } => {
            ask(me, asked, "resources", [given("kind", kind.as_ref()), on("highRisk", *high_risk), given("limit", limit.limit)]).await
        }
        View::Summary { asked } => ask(me, asked, "summary", []).await,
    }
}

pub async fn rightsize(me: &CliContext, args: &Rightsize) -> anyhow::Result<u8> {
    let parameters = [
        Some(("identity", args.identity.clone())),
        given("kind", args.kind.as_ref()),
        given("days", args.days),
        args.built_in.then(|| ("roles", "builtIn".to_owned())),
        args.standing.then(|| ("giving", "standing".to_owned())),
        Some(("namespace", me.namespace.clone())),
        (!args.approvers.is_empty()).then(|| ("approvers", args.approvers.join("\n"))),
        Some(("output", args.output.name().to_owned())),
    ];
    let system = system(me, args.system.as_deref()).await?;
    let all: Parameters = parameters.into_iter().flatten().collect();
    put(args.server.ask(me, Some((&system, "rightsize")), &all).await?)?;
    Ok(0)
}
