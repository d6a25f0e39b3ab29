//! Prints everything that a request would grant, for the approver.
use anyhow::Context as _;
use curfew_api::ActivationRequest;
use kube::ResourceExt;

/// Prints the resolved terms on standard error, where the confirmation prompt follows.
pub fn print(request: &ActivationRequest) -> anyhow::Result<()> {
    let status = request.status.as_ref().context("the request is not resolved yet")?;
    let resolved = status.resolved.as_ref().context("the request is not resolved yet")?;
    let rows = [
        ("request", request.name_any()),
        ("requester", resolved.requester.clone()),
        ("beneficiary", resolved.beneficiary.to_string()),
        ("role", resolved.role.name.clone()),
        ("system", resolved.system.name.clone()),
        ("permissions", resolved.permissions.privileges().join(", ")),
        ("scope", resolved.scope.in_words()),
        ("duration", resolved.duration.to_string()),
        // The requester chooses this text: it is escaped, so that it cannot imitate a line of this output.
        ("justification", format!("{:?}", request.spec.justification.clone().unwrap_or_default())),
        ("waiting for", status.waiting_for.clone().unwrap_or_default()),
        ("digest", resolved.digest().to_string()),
    ];
    for (label, value) in rows {
        eprintln!("{label:>14}  {value}");
    }
    Ok(())
}
