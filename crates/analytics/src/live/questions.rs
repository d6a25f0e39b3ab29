//! Answers the questions of [`crate::serve`] from the last analyses and the store.
use super::state::{Evaluated, Shared};
use crate::{
    bands::Band,
    history::{DailyScore, Day, Point, Window, change},
    kubernetes::{
        inventory::{Inventory, Key},
        reduced::restore,
        usage::Usage,
    },
    report::Row,
    rightsize::kubernetes::observed::Observed,
    serve::{
        rightsize::{Known, of_cluster},
        systems::{Analysis, Missing, Proposal, RightsizeAsk, System, Systems},
    },
    store::{Store, StoreError},
};
use jiff::Timestamp;
use std::{collections::BTreeSet, sync::Arc};

/// How many days a change is told over.
const WEEK: u32 = 7;

fn failed(error: StoreError) -> Missing {
    Missing::Failed(error.to_string())
}

impl Shared {
    fn known(&self, name: &str) -> Result<Arc<super::state::System>, Missing> {
        self.system(name).ok_or_else(|| Missing::System(name.to_owned()))
    }

    fn last(&self, name: &str) -> Result<Arc<Evaluated>, Missing> {
        let system = self.known(name)?;
        let why = || system.problem.read().clone().unwrap_or_else(|| "the first one is running".into());
        let evaluated = system.evaluated.read().clone();
        evaluated.ok_or_else(|| Missing::NotYet { system: name.to_owned(), why: why() })
    }
}

impl Systems for Shared {
    fn list(&self) -> Vec<System> {
        let one = |system: Arc<super::state::System>| {
            let pci = system.evaluated.read().as_ref().and_then(|evaluated| evaluated.pci.clone());
            let report = system.evaluated.read().as_ref().map(|evaluated| evaluated.worker.clone());
            System {
                name: system.name.clone(),
                provider: system.object().spec.provider.kind().as_str().to_owned(),
                score: pci.as_ref().map(|pci| pci.score),
                band: pci.as_ref().map(|pci| Band::of(pci.score)),
                change_7d: self.store.history(&system.name).ok().and_then(|history| change(&history, WEEK)).map(|change| change.points),
                confidence: report.map(|worker| worker.report().window.confidence),
                evaluated_at: pci.and_then(|pci| pci.evaluated_at).map(|at| at.to_string()),
                problem: system.problem.read().clone(),
            }
        };
        self.systems().into_iter().map(one).collect()
    }

    fn analysis(&self, system: &str) -> Result<Arc<dyn Analysis>, Missing> {
        Ok(self.last(system)?.worker.clone())
    }

    fn history(&self, system: &str, days: u32) -> Result<Vec<DailyScore>, Missing> {
        self.known(system)?;
        let first = Day::of(Timestamp::now().as_second()).back(days.saturating_sub(1));
        let history = self.store.history(system).map_err(failed)?;
        Ok(history.into_iter().filter(|score| score.day >= first).collect())
    }

    fn history_of(&self, system: &str, identity: &Row) -> Result<Vec<Point>, Missing> {
        self.known(system)?;
        let key = super::analysis::key(identity);
        self.store.history_of(system, &key.name, key.group).map_err(failed)
    }

    fn rightsize(&self, system: &str, identity: &Row, ask: &RightsizeAsk) -> Result<Proposal, Missing> {
        self.last(system)?.worker.rightsize(identity, ask)
    }
}

/// The least role of an identity of a cluster. What was allowed and failed afterwards is not in the store, so the proposal says that.
///
/// # Errors
/// Why none can be proposed.
pub fn cluster_role(
    inventory: &Inventory,
    usage: &Usage,
    store: &Store,
    (system, window): (&str, Window),
    key: &Key,
    ask: &RightsizeAsk,
) -> Result<Proposal, Missing> {
    let users: BTreeSet<String> = inventory.users(key).into_iter().map(str::to_owned).collect();
    let mut observed = Observed::new(&inventory.dump.namespaces, Some(users), window.until);
    let folded = store.fold(system, Day::of(window.since), Day::of(window.until), |row| {
        // Rows that cannot be read are in the report.
        if let Ok(event) = restore(row.identity, row.operation, row.resource, row.context, row.last) {
            observed.record(&event);
        }
    });
    folded.map_err(failed)?;
    let known = Known { system, inventory, usage, observed: &observed, window, now: Timestamp::now().as_second() };
    let mut proposal = of_cluster(&known, key, ask)?;
    proposal.outline.notes.push(FROM_STORE.into());
    Ok(proposal)
}

/// What a proposal from the store lacks.
const FROM_STORE: &str = "Made from daily sums: rules name no objects, and requests that were allowed and failed afterwards are not in them. \
                          curfew-analytics rightsize makes one from the audit logs themselves.";
