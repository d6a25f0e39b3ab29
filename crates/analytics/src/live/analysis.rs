//! One analysis of a system, on a thread of its own: inventory and usage borrow from the objects that they are about, so the thread keeps all of
//! them, and answers questions until the next analysis takes its place.
use super::memo::Memo;
use crate::{
    aws,
    details::PermissionUse,
    history::{Day, Window, confidence, covered},
    kubernetes::{
        analysis::analyse_by,
        details::details,
        dump::Dump,
        inventory::{Exclusions, Inventory, Key},
        kinds::Discovery,
        permissions::Permissions,
        reduced::restore,
        usage::Usage,
    },
    report::{IdentityKind, InputSummary, Problem, Report, Row},
    serve::{
        least_policy,
        systems::{Analysis, Missing, Proposal, RightsizeAsk},
    },
    store::{NOT_A_USE, Store},
};
use jiff::Timestamp;
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    sync::{Arc, mpsc},
};

/// How many problems with stored rows are listed.
const MAX_PROBLEMS: usize = 100;
/// What a question is told whose thread has ended.
const ENDED: &str = "a newer analysis takes the place of this one: ask again";

/// A question about an identity: its name, and whether it is a group.
pub enum Ask {
    /// Each of its permissions.
    Permissions(Key, mpsc::SyncSender<Result<Vec<PermissionUse>, Missing>>),
    /// The least role for it.
    Rightsize(Key, RightsizeAsk, mpsc::SyncSender<Result<Proposal, Missing>>),
}

/// An analysis. Its thread ends when it is dropped.
pub struct Worker {
    report: Report,
    asks: Mutex<mpsc::Sender<Ask>>,
}

/// Takes the report, or why there is none.
pub type Ready = mpsc::SyncSender<Result<Report, String>>;

impl Worker {
    /// Runs an analysis, which gives its report and then answers questions. Blocks until the report is there.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(name: &str, run: impl FnOnce(&Ready, mpsc::Receiver<Ask>) + Send + 'static) -> Result<Self, String> {
        let (ready, report) = mpsc::sync_channel(1);
        let (asks, questions) = mpsc::channel();
        let thread = std::thread::Builder::new().name(format!("analysis of {name}")).spawn(move || run(&ready, questions));
        thread.map_err(|error| format!("no thread can be started: {error}"))?;
        // A panic is logged by its hook, and drops the sender.
        let report = report.recv().map_err(|_| "the analysis has ended unexpectedly; the log says why".to_owned())??;
        Ok(Self { report, asks: Mutex::new(asks) })
    }

    fn ask<T>(&self, ask: impl FnOnce(mpsc::SyncSender<Result<T, Missing>>) -> Ask) -> Result<T, Missing> {
        let (reply, answer) = mpsc::sync_channel(1);
        let ended = || Missing::Failed(ENDED.into());
        self.asks.lock().send(ask(reply)).map_err(|_| ended())?;
        answer.recv().map_err(|_| ended())?
    }

    /// The least role for an identity.
    ///
    /// # Errors
    /// Why none can be proposed.
    pub fn rightsize(&self, identity: &Row, ask: &RightsizeAsk) -> Result<Proposal, Missing> {
        self.ask(|reply| Ask::Rightsize(key(identity), ask.clone(), reply))
    }
}

impl Analysis for Worker {
    fn report(&self) -> &Report {
        &self.report
    }
    fn permissions(&self, identity: &Row) -> Result<Vec<PermissionUse>, Missing> {
        self.ask(|reply| Ask::Permissions(key(identity), reply))
    }
}

/// The key of an identity of a report.
pub fn key(identity: &Row) -> Key {
    Key { group: identity.kind == IdentityKind::Group, name: identity.name.clone() }
}

/// What the analysis of a cluster is made from.
pub struct ClusterInputs {
    /// Who may do what.
    pub dump: Dump,
    /// The kinds of its API server.
    pub discovery: Discovery,
    /// Who did what, under the name of the system.
    pub store: Arc<Store>,
    /// The name of the system.
    pub system: String,
    /// The time in which a use counts.
    pub window: Window,
    /// The scores of the analysis before.
    pub memo: Arc<Mutex<Memo>>,
    /// Is told how many identities were scored.
    pub scored: Box<dyn FnOnce(u64) + Send>,
}

/// Analyses a cluster, and answers questions about it.
pub fn cluster(inputs: ClusterInputs, ready: &Ready, asks: mpsc::Receiver<Ask>) {
    let ClusterInputs { dump, discovery, store, system, window, memo, scored } = inputs;
    let permissions = Permissions::build(Some(discovery), &dump);
    let mut usage = Usage::new(&permissions, &dump.namespaces, window.until);
    let input = match replay(&store, &system, window, &mut usage) {
        Ok(input) => input,
        Err(why) => {
            // Nobody waits for it any more if this fails.
            let _ = ready.send(Err(why));
            return;
        }
    };
    let inventory = Inventory::build(&dump, &permissions, &usage, window, &Exclusions::default());
    let report = {
        let mut memo = memo.lock();
        memo.begin(&permissions.catalogue);
        let report = analyse_by(&inventory, &usage, window, input, &mut |catalogue, key, holdings| memo.score(catalogue, key, holdings));
        scored(memo.end());
        report
    };
    if ready.send(Ok(report)).is_err() {
        return;
    }
    for ask in asks {
        match ask {
            Ask::Permissions(key, reply) => {
                // The reader may have gone.
                let _ = reply.send(Ok(details(&inventory, &usage, window, &key)));
            }
            Ask::Rightsize(key, ask, reply) => {
                let _ = reply.send(super::questions::cluster_role(&inventory, &usage, &store, (&system, window), &key, &ask));
            }
        }
    }
}

/// What the analysis of an account is made from.
pub struct AccountInputs {
    /// Who may do what.
    pub account: aws::inventory::Input,
    /// Who did what, under the name of the system.
    pub store: Arc<Store>,
    /// The name of the system.
    pub system: String,
    /// The time in which a use counts.
    pub window: Window,
}

/// Analyses an account, and answers questions about it.
pub fn account(inputs: AccountInputs, ready: &Ready, asks: mpsc::Receiver<Ask>) {
    let AccountInputs { account, store, system, window } = inputs;
    let actions = aws::catalogue::Actions::builtin();
    let usage = match replay_calls(&store, &system, window) {
        Ok(fold) => fold,
        Err(why) => {
            // Nobody waits for it any more if this fails.
            let _ = ready.send(Err(why));
            return;
        }
    };
    let inventory = aws::inventory::Inventory::build(actions, aws::spaces::Spaces::builtin(), &account, &usage, window);
    let report = aws::analysis::analyse(&inventory, &usage, window, Some(&system), InputSummary::default());
    if ready.send(Ok(report)).is_err() {
        return;
    }
    let catalogue = aws::scored::catalogue(&inventory);
    let unseen = aws::unseen::unseen(actions, &usage, &account.details.account, window);
    let covered = covered(window, &usage.hours);
    // The scores are in the report.
    let facts = aws::scored::Facts {
        inventory: &inventory,
        catalogue: &catalogue,
        usage: &usage,
        window,
        covered,
        confidence: confidence(window, covered),
        unseen,
        scored: Vec::new(),
    };
    for ask in asks {
        match ask {
            Ask::Permissions(key, reply) => {
                let none = || Missing::Identity(format!("{} holds nothing by itself: ask about its user", key.name));
                // The reader may have gone.
                let _ = reply.send(aws::permissions::permissions(&facts, &key.name).ok_or_else(none));
            }
            Ask::Rightsize(key, ask, reply) => {
                let now = Timestamp::now().as_second();
                let known = least_policy::Known { system: &system, inventory: &inventory, usage: &usage, window, now };
                let _ = reply.send(least_policy::of_account(&known, &key.name, &ask));
            }
        }
    }
}

/// Counts what the store has of the window of an account.
fn replay_calls(store: &Store, system: &str, window: Window) -> Result<aws::usage::Usage, String> {
    let mut fold = aws::usage::Fold::default();
    let (from, to) = (Day::of(window.since), Day::of(window.until));
    let folded = store.fold(system, from, to, |row| {
        if row.operation.starts_with(NOT_A_USE) || row.last > window.until {
            return;
        }
        fold.add(row.identity, row.operation, Some(row.resource).filter(|arn| !arn.is_empty()), row.last, row.count);
        if !row.context.is_empty() {
            fold.key(row.identity, row.context, row.last);
        }
    });
    folded.map_err(|error| error.to_string())?;
    let hours: BTreeSet<i64> = store.hours(system, from, to).map_err(|error| error.to_string())?.into_iter().collect();
    let newest = hours.last().map(|hour| hour * 3600);
    Ok(fold.usage(aws::catalogue::Actions::builtin(), hours, newest))
}

/// Counts what the store has of the window.
fn replay(store: &Store, system: &str, window: Window, usage: &mut Usage) -> Result<InputSummary, String> {
    let (mut input, mut failed) = (InputSummary::default(), 0);
    let (from, to) = (Day::of(window.since), Day::of(window.until));
    let folded = store.fold(system, from, to, |row| match restore(row.identity, row.operation, row.resource, row.context, row.last) {
        Ok(event) => usage.replay(&event, row.count),
        Err(message) => {
            failed += 1;
            if input.problems.len() < MAX_PROBLEMS {
                input.problems.push(Problem { file: format!("usage store, {}", row.day), line: None, message });
            }
        }
    });
    folded.map_err(|error| error.to_string())?;
    input.problem_count = failed;
    usage.hours.extend(store.hours(system, from, to).map_err(|error| error.to_string())?);
    Ok(input)
}
