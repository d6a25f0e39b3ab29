//! `kubectl curfew completion`: scripts for shells, and completion under kubectl.
//!
//! kubectl completes a plugin by running `kubectl_complete-curfew` from PATH with the words after `kubectl curfew`. It prints one candidate
//! a line, a tab and a description, and last a line with `:4`, which says that no files are meant
//! (<https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/>).
use crate::{
    context::{CliContext, Connection},
    output::put,
    read,
};
use clap::{Arg, Command, ValueEnum};
use clap_complete::Shell;
use curfew_api::{
    ActivationRequest, AssignmentRequest, EligibleAssignment, RoleTemplate, assignment_request::AssignmentRequestState, convert,
    request::RequestState,
};
use curfew_core::{approval::review::ReviewState, text::printable};
use kube::{ResourceExt, api::ListParams};
use std::time::Duration;

/// How long a completion may wait for the API server: the user sits at the keyboard.
const LIMIT: Duration = Duration::from_secs(2);

/// Print a completion script for a shell.
///
/// bash, zsh and fish complete the name kubectl-curfew. For kubectl curfew, put the script for kubectl into your PATH as
/// kubectl_complete-curfew; kubectl's own completion runs it, and it also completes the names of roles and requests.
#[derive(clap::Args, Debug)]
#[command(after_help = concat!(
    "Exit codes:\n",
    "  0  the script was printed\n",
    "  1  it could not be written; the error says why\n",
    "  2  wrong usage\n\n",
    "Example:\n",
    "  kubectl curfew completion bash > kubectl-curfew.bash\n",
    "  kubectl curfew completion kubectl > kubectl_complete-curfew && chmod +x kubectl_complete-curfew"
))]
pub struct Completion {
    /// For which program.
    #[arg(value_enum)]
    shell: For,
}

/// What completes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum For {
    /// Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
    /// kubectl, in any shell.
    Kubectl,
}

const KUBECTL: &str = "#!/bin/sh\n# kubectl runs this to complete `kubectl curfew`. Put it into PATH as kubectl_complete-curfew.\nexec kubectl-curfew __complete -- \"$@\"\n";

pub fn print(args: &Completion, command: Command) -> anyhow::Result<u8> {
    let shell = match args.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
        For::Kubectl => {
            put(KUBECTL)?;
            return Ok(0);
        }
    };
    let name = "kubectl-curfew";
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command.name(name).bin_name(name), name, &mut script);
    put(String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// The words after `kubectl curfew`; the last one is being typed.
#[derive(clap::Args, Debug)]
pub struct Complete {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

pub async fn complete(args: &Complete, command: &Command) -> anyhow::Result<u8> {
    let typed = args.words.last().map(String::as_str).unwrap_or_default();
    let candidates = match meant(command, &args.words) {
        Meant::Listed(listed) => listed,
        Meant::Names(of) => {
            let names = tokio::time::timeout(LIMIT, names(&connection(&args.words), of)).await;
            // Without an answer there is nothing to offer, and an error has no place on a line that is being typed.
            names.ok().and_then(Result::ok).unwrap_or_default()
        }
        Meant::Anything => Vec::new(),
    };
    let mut lines: String = String::new();
    for (name, help) in candidates.iter().filter(|(name, _)| name.starts_with(typed)) {
        // People wrote the descriptions.
        lines.push_str(&format!("{name}\t{}\n", printable(help)));
    }
    put(lines + ":4\n")?;
    Ok(0)
}

/// A candidate and its description.
type Candidate = (String, String);

/// What is completed at this place.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Meant {
    /// One of these.
    Listed(Vec<Candidate>),
    /// The name of an object.
    Names(Of),
    /// A text of the user's own.
    Anything,
}

/// Which objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    Roles,
    /// Requests that have not ended.
    Requests,
    /// Requests that have not ended, for access and for assignments.
    Decidable,
    /// Requests of which nobody has reviewed the break-glass access. Most have ended.
    Unreviewed,
    Assignments,
}

fn meant(root: &Command, words: &[String]) -> Meant {
    let (typed, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let (mut command, mut positional, mut option) = (root, 0, None);
    for word in before {
        if option.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            option = argument(root, command, word).filter(|arg| takes_value(arg) && !word.contains('='));
        } else if let Some(sub) = command.find_subcommand(word).filter(|_| positional == 0) {
            command = sub;
        } else {
            positional += 1;
        }
    }
    if let Some(option) = option {
        let values: Vec<Candidate> = option.get_possible_values().iter().map(|v| (v.get_name().to_owned(), help(v.get_help()))).collect();
        return if values.is_empty() { Meant::Anything } else { Meant::Listed(values) };
    }
    if typed.starts_with('-') {
        let all = command.get_arguments().chain(root.get_arguments().filter(|arg| arg.is_global_set()));
        let mut options: Vec<Candidate> = all.filter(|arg| !arg.is_hide_set()).filter_map(long).collect();
        options.dedup();
        return Meant::Listed(options);
    }
    let subcommands: Vec<Candidate> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(|sub| (sub.get_name().to_owned(), help(sub.get_about()))).collect();
    if !subcommands.is_empty() {
        return Meant::Listed(subcommands);
    }
    let at = command.get_positionals().nth(positional).or_else(|| command.get_positionals().last());
    match at.map(|arg| arg.get_id().as_str()) {
        Some("role") => Meant::Names(Of::Roles),
        Some("names") if command.get_name() == "review" => Meant::Names(Of::Unreviewed),
        Some("names") => Meant::Names(Of::Decidable),
        Some("request") => Meant::Names(Of::Requests),
        Some("assignment") => Meant::Names(Of::Assignments),
        _ => {
            let values: Vec<Candidate> =
                at.iter().flat_map(|arg| arg.get_possible_values()).map(|v| (v.get_name().to_owned(), help(v.get_help()))).collect();
            if values.is_empty() { Meant::Anything } else { Meant::Listed(values) }
        }
    }
}

fn help(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn long(arg: &Arg) -> Option<Candidate> {
    Some((format!("--{}", arg.get_long()?), help(arg.get_help())))
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// The option that a word names.
fn argument<'a>(root: &'a Command, command: &'a Command, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or(word);
    let is_named = |arg: &&Arg| {
        arg.get_long().is_some_and(|long| name == format!("--{long}")) || arg.get_short().is_some_and(|short| name == format!("-{short}"))
    };
    command.get_arguments().chain(root.get_arguments()).find(is_named)
}

/// The connection options among the words.
fn connection(words: &[String]) -> Connection {
    let value = |names: &[&str]| {
        let after = words.windows(2).find(|pair| names.contains(&pair[0].as_str())).map(|pair| pair[1].clone());
        let joined =
            || words.iter().find_map(|word| names.iter().find_map(|name| word.strip_prefix(&format!("{name}="))).map(str::to_owned));
        after.or_else(joined)
    };
    Connection {
        namespace: value(&["-n", "--namespace"]),
        context: value(&["--context"]),
        kubeconfig: value(&["--kubeconfig"]).map(Into::into),
    }
}

async fn names(connection: &Connection, of: Of) -> anyhow::Result<Vec<Candidate>> {
    let me = CliContext::connect(connection).await?;
    let all = ListParams::default();
    Ok(match of {
        Of::Roles => {
            let found = read::within::<RoleTemplate>(&me, &me.namespace, &all).await?.unwrap_or_default();
            found
                .into_iter()
                .map(|role| (role.name_any(), role.spec.description.unwrap_or_default().lines().next().unwrap_or_default().to_owned()))
                .collect()
        }
        Of::Assignments => {
            let found = read::within::<EligibleAssignment>(&me, &me.namespace, &all).await?.unwrap_or_default();
            found
                .into_iter()
                .map(|eligible| (eligible.name_any(), format!("{}, role {}", eligible.spec.subject, eligible.spec.role_ref.name)))
                .collect()
        }
        Of::Requests => open(&read::within(&me, &me.namespace, &all).await?.unwrap_or_default()),
        Of::Unreviewed => unreviewed(&read::within(&me, &me.namespace, &all).await?.unwrap_or_default()),
        Of::Decidable => {
            let (access, assignments) = futures::join!(read::within(&me, &me.namespace, &all), read::within(&me, &me.namespace, &all));
            let access = open(&access?.unwrap_or_default());
            // An older installation does not serve them.
            let assignments = assignments.ok().and_then(Result::ok).unwrap_or_default();
            access.into_iter().chain(open_about_assignments(&assignments)).collect()
        }
    })
}

/// The requests that have not ended.
fn open(found: &[ActivationRequest]) -> Vec<Candidate> {
    found.iter().filter(|request| state(request).outcome().is_none()).map(described).collect()
}

/// The requests whose break-glass access nobody has reviewed, also those that have ended.
fn unreviewed(found: &[ActivationRequest]) -> Vec<Candidate> {
    let is_outstanding =
        |request: &&ActivationRequest| request.status.as_ref().is_some_and(|status| convert::review(status) == ReviewState::Required);
    found.iter().filter(is_outstanding).map(described).collect()
}

/// The requests about assignments that have not ended, as decisions name them.
fn open_about_assignments(found: &[AssignmentRequest]) -> Vec<Candidate> {
    let state =
        |request: &AssignmentRequest| request.status.as_ref().and_then(|status| status.state).unwrap_or(AssignmentRequestState::Pending);
    let open = found.iter().filter(|request| !state(request).has_ended());
    let about = |request: &AssignmentRequest| format!("{:?}, assignment {}", state(request), request.spec.action.assignment_name());
    open.map(|request| (format!("asreq/{}", request.name_any()), about(request))).collect()
}

fn state(request: &ActivationRequest) -> RequestState {
    request.status.as_ref().and_then(|status| status.state).unwrap_or(RequestState::Pending)
}

fn described(request: &ActivationRequest) -> Candidate {
    (request.name_any(), format!("{:?}, role {}", state(request), request.spec.role_ref.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Plugin;
    use clap::CommandFactory;
    use serde_json::json;

    fn at(line: &str) -> Meant {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        meant(&Plugin::command(), &words)
    }

    fn listed(line: &str) -> Vec<String> {
        match at(line) {
            Meant::Listed(all) => all.into_iter().map(|(name, _)| name).collect(),
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn each_place_of_a_line_completes_what_belongs_there() {
        assert!(listed("").contains(&"request".to_owned()) && !listed("").contains(&"__complete".to_owned()));
        assert!(listed("-n payments ap").contains(&"approve".to_owned()), "the value of an option is not a subcommand");
        let options = listed("list --");
        for option in ["--waiting-for-me", "--namespace", "--output"] {
            assert!(options.contains(&option.to_owned()), "{option} is not in {options:?}");
        }
        assert!(listed("list -o ").contains(&"json".to_owned()));
        assert_eq!(at("request "), Meant::Names(Of::Roles));
        assert_eq!(at("explain -n payments p"), Meant::Names(Of::Roles));
        for decide in ["approve", "deny", "revoke"] {
            assert_eq!(at(&format!("{decide} first ")), Meant::Names(Of::Decidable));
        }
        assert_eq!(at("review first "), Meant::Names(Of::Unreviewed));
        assert_eq!(at("audit "), Meant::Names(Of::Requests));
        assert_eq!(at("extend "), Meant::Names(Of::Requests));
        assert_eq!(at("request --justification "), Meant::Anything);
        assert!(listed("completion ").contains(&"zsh".to_owned()));
    }

    fn request(name: &str, state: &str, review: Option<&str>) -> ActivationRequest {
        let reviewed = |status| {
            json!({"type": "ReviewRequired", "status": status, "reason": "BreakGlass", "message": "",
            "lastTransitionTime": "2026-11-23T08:00:00Z"})
        };
        serde_json::from_value(json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": name},
            "spec": {"roleRef": {"name": "admin"}},
            "status": {"state": state, "conditions": review.map(reviewed).into_iter().collect::<Vec<_>>()},
        }))
        .unwrap()
    }

    #[test]
    fn a_review_completes_what_is_outstanding_also_after_its_end() {
        let all = [
            request("ended", "Expired", Some("True")),
            request("reviewed", "Expired", Some("False")),
            request("held", "Active", Some("True")),
            request("ordinary", "Active", None),
        ];
        let named = |found: Vec<Candidate>| found.into_iter().map(|(name, about)| format!("{name}: {about}")).collect::<Vec<_>>();
        assert_eq!(named(unreviewed(&all)), ["ended: Expired, role admin", "held: Active, role admin"]);
        assert_eq!(named(open(&all)), ["held: Active, role admin", "ordinary: Active, role admin"]);
    }

    #[test]
    fn a_decision_completes_requests_about_assignments_as_it_names_them() {
        let request = |name: &str, state: &str| {
            let action = json!({"remove": {"assignment": {"name": "payments-dana", "uid": "u1"}}});
            serde_json::from_value(json!({
                "apiVersion": "curfew.dev/v1alpha1", "kind": "AssignmentRequest", "metadata": {"name": name},
                "spec": {"action": action, "justification": "x"}, "status": {"state": state, "conditions": []},
            }))
            .unwrap()
        };
        let all = [request("waits", "AwaitingApproval"), request("done", "Applied"), request("denied", "Denied")];
        assert_eq!(open_about_assignments(&all), [("asreq/waits".into(), "AwaitingApproval, assignment payments-dana".into())]);
    }

    #[test]
    fn the_namespace_of_the_line_is_used() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(connection(&words("approve -n payments x")).namespace.as_deref(), Some("payments"));
        assert_eq!(connection(&words("approve --namespace=shop x")).namespace.as_deref(), Some("shop"));
    }
}
