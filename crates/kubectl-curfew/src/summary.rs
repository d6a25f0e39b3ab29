//! Everything that would be granted, for the eyes of whoever approves it.
use anyhow::Context as _;
use curfew_api::ActivationRequest;
use kube::ResourceExt;

/// Prints it on standard error, where the question follows.
pub fn print(request: &ActivationRequest) -> anyhow::Result<()> {
    let status = request.status.as_ref().context("the request is not resolved yet")?;
    let r = status.resolved.as_ref().context("the request is not resolved yet")?;
    let rows = [
        ("request", request.name_any()),
        ("asked by", r.requester.clone()),
        ("for", r.beneficiary.to_string()),
        ("role", r.role.name.clone()),
        ("system", r.system.name.clone()),
        ("permissions", r.permissions.privileges().join(", ")),
        ("reaching", r.scope.in_words()),
        ("for how long", r.duration.to_string()),
        // Escaped: nobody's justification may look like a line of this.
        ("why", format!("{:?}", request.spec.justification.clone().unwrap_or_default())),
        ("waiting for", status.waiting_for.clone().unwrap_or_default()),
        ("digest", r.digest().to_string()),
    ];
    for (what, value) in rows {
        eprintln!("{what:>14}  {value}");
    }
    Ok(())
}
