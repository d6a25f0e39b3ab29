//! `curfew live-grants`: whether Curfew can be uninstalled without leaving access behind that nothing ends on time.
use crate::{api::Grant, authority::Clock, runtime::client};
use anyhow::{Context as _, bail};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::Value;
use std::{collections::BTreeSet, fmt::Write, sync::Arc};

/// How many Grants a page of the list has.
const PAGE: u32 = 500;
/// How many Grants the message names.
const NAMED: usize = 20;
/// The states in which nothing of a Grant is left to be ended. A state that this build does not know counts as live.
const OVER: [&str; 2] = ["Ended", "Abandoned"];

/// Fail and list the Grants if any has not ended.
///
/// The helm chart runs it before an uninstallation, under a service account that may only list Grants. Without the CRD there are
/// no Grants. If Grants cannot be read it fails, since then it is not known whether access is left.
#[derive(clap::Args, Debug)]
pub struct LiveGrants {}

/// One Grant that has not ended, in the words of the message.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Live {
    name: String,
    system: String,
    principal: String,
    state: String,
    expires_at: String,
    request: String,
}

/// Runs `curfew live-grants`.
///
/// # Errors
/// If a Grant has not ended, or Grants cannot be listed.
pub async fn live_grants(_: LiveGrants) -> anyhow::Result<()> {
    let client = client::connect(Arc::new(Clock::default()), Arc::default()).await.context("no usable kubeconfig or service account")?;
    let live = list(client).await.context("cannot list Grants, so it is not known whether access is left")?;
    if live.is_empty() {
        println!("every Grant has ended");
        return Ok(());
    }
    bail!(message(&live))
}

/// Read as plain objects: a Grant whose plan this build does not know is access, too.
async fn list(client: Client) -> kube::Result<Vec<Live>> {
    let grants: Api<DynamicObject> = Api::all_with(client, &ApiResource::erase::<Grant>(&()));
    let mut params = ListParams::default().limit(PAGE);
    let mut live = Vec::new();
    loop {
        let page = match grants.list(&params).await {
            Ok(page) => page,
            // The resource does not exist, so neither does a Grant.
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(live),
            Err(error) => return Err(error),
        };
        live.extend(page.items.iter().filter_map(|grant| read(grant.meta().name.as_deref().unwrap_or_default(), &grant.data)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(live),
        }
    }
}

/// The Grant of this name and content; `None` if it has ended.
fn read(name: &str, grant: &Value) -> Option<Live> {
    let text = |pointer: &str| grant.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let state = Some(text("/status/state")).filter(|state| !state.is_empty()).unwrap_or_else(|| "Granting".into());
    if OVER.contains(&state.as_str()) {
        return None;
    }
    let principal = Some(text("/status/display/principal")).filter(|name| !name.is_empty());
    Some(Live {
        name: name.to_owned(),
        system: text("/spec/system/name"),
        principal: principal.unwrap_or_else(|| text("/spec/request/requester")),
        state,
        expires_at: text("/spec/expiresAt"),
        request: format!("{}/{}", text("/spec/request/namespace"), text("/spec/request/name")),
    })
}

fn message(live: &[Live]) -> String {
    let (grants, have) = if live.len() == 1 { ("Grant", "has") } else { ("Grants", "have") };
    let mut text = format!("{} {grants} {have} not ended; without Curfew only fuses and targets would end such access:\n", live.len());
    for grant in live.iter().take(NAMED) {
        let Live { name, system, principal, state, expires_at, request } = grant;
        let _ = writeln!(text, "  {name}  {state} until {expires_at}  {principal} on {system}, request {request}");
    }
    if live.len() > NAMED {
        let _ = writeln!(text, "  and {} more: kubectl get grants.curfew.dev", live.len() - NAMED);
    }
    let systems: BTreeSet<&str> = live.iter().map(|grant| grant.system.as_str()).collect();
    text.push_str("To end them now, suspend their systems, and wait until each State is Ended or Abandoned:\n");
    for system in systems {
        let _ = writeln!(text, "  kubectl patch authorizationsystem {system} --type=merge -p '{{\"spec\":{{\"suspend\":true}}}}'");
    }
    text.push_str(
        "  kubectl get grants.curfew.dev --watch\nThen uninstall again. To leave them without Curfew: helm uninstall curfew -n curfew-system --no-hooks",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grant(state: Value) -> Value {
        json!({
            "spec": {"system": {"name": "this-cluster"}, "expiresAt": "2026-11-26T21:30:00Z", "request": {"namespace": "payments", "name": "rollback", "requester": "alice"}},
            "status": {"state": state},
        })
    }

    #[test]
    fn what_has_ended_is_over_and_everything_else_is_live() {
        for state in ["Ended", "Abandoned"] {
            assert_eq!(read("g", &grant(json!(state))), None);
        }
        for state in ["Granting", "Active", "Revoking", "OfANewerBuild"] {
            assert_eq!(read("g", &grant(json!(state))).map(|live| live.state), Some(state.to_owned()));
        }
        // A Grant without a status is about to be written to its target.
        assert_eq!(read("g", &json!({"spec": {}})).map(|live| live.state), Some("Granting".to_owned()));
    }

    #[test]
    fn the_message_names_the_grants_and_how_to_end_them() {
        let live: Vec<Live> = (0..NAMED + 2).filter_map(|i| read(&format!("grant-{i}"), &grant(json!("Active")))).collect();
        let text = message(&live);
        assert!(text.starts_with("22 Grants have not ended"), "{text}");
        assert!(
            text.contains("  grant-0  Active until 2026-11-26T21:30:00Z  alice on this-cluster, request payments/rollback\n"),
            "{text}"
        );
        assert!(!text.contains("grant-20") && text.contains("and 2 more"), "{text}");
        assert_eq!(text.matches("kubectl patch authorizationsystem this-cluster").count(), 1, "{text}");
        assert!(message(&live[..1]).starts_with("1 Grant has not ended"));
    }
}
