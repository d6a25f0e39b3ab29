//! From a question about a smaller role to the proposal for a cluster.
use super::systems::{Giving, Missing, Proposal, RightsizeAsk};
use crate::{
    history::{DAY, Window},
    kubernetes::{
        inventory::{Inventory, Key},
        usage::Usage,
    },
    output::html::days as days_in_words,
    rightsize::kubernetes::{
        self as cluster, Options, Size,
        existing::Existing,
        manifests::{self, Eligible, can_be_eligible},
        observed::Observed,
    },
};
use curfew_core::duration::{Duration, Period};

/// The longest access of a proposed RoleTemplate, and how long its EligibleAssignment holds: as `curfew-analytics rightsize` has them.
const MAX: &str = "4h";
const ELIGIBILITY: &str = "180d";

/// What a proposal is made from.
pub struct Known<'a> {
    /// The name of the AuthorizationSystem.
    pub system: &'a str,
    /// Who may do what.
    pub inventory: &'a Inventory<'a>,
    /// Who did what, as it is scored.
    pub usage: &'a Usage<'a>,
    /// The same with what the API server allowed and what failed then.
    pub observed: &'a Observed,
    /// The window of the system.
    pub window: Window,
    /// Now, in Unix seconds: from when an EligibleAssignment holds.
    pub now: i64,
}

/// The least role for an identity of a cluster. Nothing is applied.
///
/// # Errors
/// If the look-back is longer than the window, the identity is not known, it cannot be made eligible, or no existing role fits.
pub fn of_cluster(known: &Known, key: &Key, ask: &RightsizeAsk) -> Result<Proposal, Missing> {
    let window = look_back(known.window, ask.days)?;
    let invalid = |why: String| Missing::Invalid(why);
    let proposal = cluster::propose(known.inventory, known.usage, known.observed, key, window, &Options::default())
        .map_err(|error| Missing::Identity(error.to_string()))?;
    let giving = giving(known, &proposal, ask)?;
    let outline = manifests::outline(&proposal, &giving, ask.form).map_err(invalid)?;
    let look_backs: Vec<String> = proposal.look_backs.iter().map(|one| format!("{} days: {}", one.days, one.permissions)).collect();
    Ok(Proposal {
        facts: vec![("now", size(&proposal.before)), ("proposed", size(&proposal.after)), ("permissions used in", look_backs.join(", "))],
        existing: proposal.existing.iter().map(existing).collect(),
        details: serde_json::to_value(&proposal).map_err(|e| Missing::Failed(format!("cannot write JSON: {e}")))?,
        outline,
    })
}

/// How much one may do.
pub(super) fn size(size: &Size) -> String {
    format!("{} permissions, {:.2} % of all power, score {}", size.permissions, size.share * 100.0, size.score)
}

/// The window of a look-back.
pub(super) fn look_back(window: Window, days: Option<u32>) -> Result<Window, Missing> {
    match days {
        Some(days) if days > window.days() => Err(Missing::Invalid(format!(
            "days={days} is longer than the window of the system, which has {}",
            days_in_words(window.days())
        ))),
        Some(days) => Ok(Window::ending(window.until, i64::from(days) * DAY)),
        None => Ok(window),
    }
}

fn giving(known: &Known, proposal: &cluster::Proposal, ask: &RightsizeAsk) -> Result<manifests::Giving, Missing> {
    let is_possible = can_be_eligible(proposal);
    match ask.giving {
        Some(Giving::Standing) => return Ok(manifests::Giving::Standing),
        None if !is_possible => return Ok(manifests::Giving::Standing),
        Some(Giving::Eligible) if !is_possible => {
            return Err(Missing::Invalid(format!(
                "{} cannot be made eligible: a workload cannot ask for access, and names that begin with system: are reserved; use giving=standing",
                proposal.identity
            )));
        }
        Some(Giving::Eligible) | None => {}
    }
    let mut namespaces: Vec<&String> = proposal.roles.iter().flat_map(|role| &role.bound_in).collect();
    namespaces.dedup();
    let only = if let [only] = namespaces[..] { Some(only.clone()) } else { None };
    Ok(manifests::Giving::Eligible(eligible(known.system, known.now, only.unwrap_or_else(|| "default".into()), ask)?))
}

/// What stands in the RoleTemplate and the EligibleAssignment. `namespace`: if the caller named none.
pub(super) fn eligible(system: &str, now: i64, namespace: String, ask: &RightsizeAsk) -> Result<Eligible, Missing> {
    let unusable = |e: String| Missing::Failed(e);
    Ok(Eligible {
        system: system.to_owned(),
        namespace: ask.namespace.clone().unwrap_or(namespace),
        approvers: ask.approvers.clone(),
        max: MAX.parse::<Duration>().map_err(|e| unusable(e.to_string()))?,
        eligibility: ELIGIBILITY.parse::<Period>().map_err(|e| unusable(e.to_string()))?,
        from: now,
        operator: Eligible::operator(),
    })
}

fn existing(choice: &Existing) -> String {
    let place = if choice.bound_in.is_empty() { "the whole cluster".to_owned() } else { choice.bound_in.join(", ") };
    match choice.roles.is_empty() {
        true => format!("{place}: none allows all of it, such as {}", choice.not_covered.join(", ")),
        false => format!("{place}: {}, with {:.2} % of all power beyond the need", choice.roles.join(" + "), choice.excess * 100.0),
    }
}
