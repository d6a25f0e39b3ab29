//! From a question about a smaller role to the proposal for an AWS account.
use super::{
    rightsize::{eligible, look_back, size},
    systems::{Giving, Missing, Proposal, RightsizeAsk},
};
use crate::{
    aws::{inventory::Inventory, usage::Usage},
    history::Window,
    report::IdentityKind,
    rightsize::aws::{self as account, Options, managed::Existing, manifests},
};

/// What a proposal is made from.
pub struct Known<'a> {
    /// The name of the AuthorizationSystem.
    pub system: &'a str,
    /// Who may do what.
    pub inventory: &'a Inventory<'a>,
    /// Who did what.
    pub usage: &'a Usage,
    /// The window of the system.
    pub window: Window,
    /// Now, in Unix seconds: from when an EligibleAssignment holds.
    pub now: i64,
}

/// The least policy for an identity of an account. Nothing is applied.
///
/// # Errors
/// If the look-back is longer than the window, the identity is not known, or no managed policy fits where one was asked for.
pub fn of_account(known: &Known, arn: &str, ask: &RightsizeAsk) -> Result<Proposal, Missing> {
    let window = look_back(known.window, ask.days)?;
    let proposal = account::propose(known.inventory, known.usage, arn, window, &Options::default())
        .map_err(|error| Missing::Identity(error.to_string()))?;
    let outline = manifests::outline(&proposal, &giving(known, proposal.kind, ask)?, ask.form).map_err(Missing::Invalid)?;
    let look_backs: Vec<String> = proposal.look_backs.iter().map(|one| format!("{} days: {}", one.days, one.permissions)).collect();
    Ok(Proposal {
        facts: vec![
            ("now", size(&proposal.before)),
            ("proposed", size(&proposal.after)),
            ("characters", proposal.characters.to_string()),
            ("actions used in", look_backs.join(", ")),
        ],
        existing: vec![existing(&proposal.existing)],
        details: serde_json::to_value(&proposal).map_err(|e| Missing::Failed(format!("cannot write JSON: {e}")))?,
        outline,
    })
}

/// A user and a group of AWS are people; what assumes a role is not known, so a role keeps a standing policy unless it is asked for.
fn giving(known: &Known, kind: IdentityKind, ask: &RightsizeAsk) -> Result<manifests::Giving, Missing> {
    let person = matches!(kind, IdentityKind::Human | IdentityKind::Group);
    Ok(match ask.giving {
        Some(Giving::Standing) => manifests::Giving::Standing,
        None if !person => manifests::Giving::Standing,
        Some(Giving::Eligible) | None => {
            manifests::Giving::Eligible(Box::new(eligible(known.system, known.now, "default".into(), ask)?), None)
        }
    })
}

fn existing(choice: &Existing) -> String {
    match choice.policies.is_empty() {
        true if choice.not_covered.is_empty() => "no choice of three managed policies allows all of it".to_owned(),
        true => format!("no managed policy allows all of it, such as {}", choice.not_covered.join(", ")),
        false => format!("{}, with {:.2} % of all power beyond the need", choice.policies.join(" + "), choice.excess * 100.0),
    }
}
