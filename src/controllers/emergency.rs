//! Tells of the uses of emergency accounts that Curfew sees: an object in which the API server has recorded such a login as its author, or in
//! which a user has written one while admission was not enforced.
//!
//! Each use is told before the first status of its object is written: a Warning about the object and one about the system, an audit record,
//! a metric, the last use in the status of the system, from which the alert is computed, and a notification. So an operator that is killed in
//! between tells again, and an object that has a status was told of. The Events have fixed names, so the API server refuses to repeat them.
use super::{Context, convert};
use crate::{
    api::{AuthorizationSystem, system::EmergencyUse},
    audit::{EventData, EventKind},
    kube_writes, notify,
};
use curfew_core::{
    admission::Provenance,
    approval::Counted,
    conditions::evidence::evidence,
    emergency::account_of,
    principal::{Subject, UserInfo},
    reason::Reason,
    text::{MAX_MESSAGE, brief, clip},
};
use kube::{Resource, ResourceExt};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// The reason of the Events.
const REASON: &str = "EmergencyAccountUsed";
/// How many uses are remembered. Beyond that all are forgotten; then one that waits for its first status is recorded again.
const MOST_REMEMBERED: usize = 4096;
/// How long each of the writes that tell may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The uses of which this process has told. Locked while a use is told: two reconciles may see one decision at a time.
#[derive(Clone, Default)]
pub struct ToldUses(Arc<Mutex<Told>>);

/// The uids of the objects.
#[derive(Default)]
struct Told {
    /// Of what was told everywhere.
    everywhere: HashSet<String>,
    /// Of what was sent to the channels and counted, though the API server may not have taken all of it.
    notified: HashSet<String>,
}

/// Whether this was not remembered before.
fn remember(told: &mut HashSet<String>, uid: String) -> bool {
    if told.contains(&uid) {
        return false;
    }
    if told.len() >= MOST_REMEMBERED {
        told.clear();
    }
    told.insert(uid)
}

/// Tells that this login has created an object, if it is an emergency account of a system. `is_new`: the object has no status yet. Only the
/// leader tells. Call it when the audit log has room.
///
/// The status of the system is written first, since the alert goes by it. Where one of the writes is refused, such as Events in a namespace
/// that is being deleted, the others are made all the same, and the channels are told.
///
/// # Errors
/// If the stores are not listed yet, so that it is not known who is an emergency account, or the API server does not take an Event or the
/// status in time: then the object must get no status, and it is tried again.
pub async fn tell<K>(ctx: &Context, object: &K, login: Option<&UserInfo>, is_new: bool) -> kube::Result<()>
where
    K: Resource<DynamicType = ()>,
{
    let Some(login) = login.filter(|_| is_new && ctx.authority.leads()) else { return Ok(()) };
    if !ctx.authority.synced() {
        return Err(kube::Error::Service(
            "the AuthorizationSystems are not listed yet, so it is not known who is an emergency account".into(),
        ));
    }
    let keys = alias_keys(ctx);
    let systems = ctx.stores.systems.state();
    let used: Vec<_> =
        systems.iter().filter_map(|s| account_of(&s.spec.emergency_accounts, login, &keys).map(|account| (s, account))).collect();
    let uid = object.uid().unwrap_or_default();
    if used.is_empty() {
        return Ok(());
    }
    let keys = ctx.stores.config().and_then(|config| config.spec.identity.login_keys().mfa);
    let authentication = evidence(keys.as_ref(), login);
    let mut told = ctx.told_uses.0.lock().await;
    if told.everywhere.contains(&uid) {
        return Ok(());
    }
    let object_name = format!("{} {}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any());
    let unproven = ctx.admission().provenance_of(&uid, convert::created(object)) == Provenance::Unverified;
    let (mut all, mut notices) = (Ok(()), Vec::new());
    for (system, account) in &used {
        let note = note(login, account, system, &object_name, unproven);
        let last = EmergencyUse {
            at: convert::created(object),
            told_at: Some(ctx.now()),
            login: login.username.clone(),
            object: clip(object_name.clone(), MAX_MESSAGE),
        };
        ctx.audit.append_transition(
            &format!("{uid} used {}", system.name_any()),
            EventKind::EmergencyAccountUsed,
            EventData { authentication: authentication.clone(), ..record(object, login, system, &note) },
        );
        for outcome in [
            in_time("status.emergencyUse", note_use(ctx, system, last)).await,
            in_time("the Event about the system", ctx.events.warn_now(&ctx.client, &***system, &uid, (REASON, "Create"), &note)).await,
            in_time("the Event about the object", ctx.events.warn_now(&ctx.client, object, &uid, (REASON, "Create"), &note)).await,
        ] {
            all = all.and(outcome);
        }
        notices.push(notify::of_use(object, &login.username, &system.name_any(), &note));
    }
    if remember(&mut told.notified, uid.clone()) {
        ctx.notifier.send(&notices);
        ctx.metrics.emergency_account_uses.inc();
        tracing::warn!(login = login.username, object = object_name, "an emergency account was used");
    }
    if let Err(error) = &all {
        tracing::warn!(%error, login = login.username, object = object_name, "the use of an emergency account is not told everywhere; it is tried again");
    }
    all?;
    remember(&mut told.everywhere, uid);
    Ok(())
}

/// Notes the use in the status of the system as it is now.
async fn note_use(ctx: &Context, system: &AuthorizationSystem, last: EmergencyUse) -> kube::Result<()> {
    let everywhere = ctx.live.cluster_wide(&ctx.client).await?;
    match everywhere.systems.iter().find(|now| now.uid() == system.uid()) {
        Some(now) => kube_writes::record_emergency_use(&ctx.client, now, last).await,
        None => Ok(()),
    }
}

/// One write of those that tell, with a limit: the lock is held meanwhile.
async fn in_time(what: &'static str, write: impl Future<Output = kube::Result<()>>) -> kube::Result<()> {
    let late = |_| kube::Error::Service(format!("the API server does not take {what} within {LIMIT:?}").into());
    tokio::time::timeout(LIMIT, write).await.map_err(late)?
}

fn alias_keys(ctx: &Context) -> Vec<String> {
    ctx.stores.config().map(|config| config.spec.identity.aliases.list()).unwrap_or_default()
}

/// Whether a decision of this login counts that releases or unlocks for good: by the systems and the configuration as they are now.
///
/// # Errors
/// If the API server does not answer.
pub async fn confirm(ctx: &Context, login: &UserInfo) -> kube::Result<Counted> {
    let now = ctx.live.cluster_wide(&ctx.client).await?;
    let keys = now.config.as_ref().map(|config| config.spec.identity.aliases.list()).unwrap_or_default();
    let is_account = account_of(&convert::emergency_accounts(&*now.systems), login, &keys).is_some();
    Ok(if is_account { Counted::No(Reason::EmergencyAccount) } else { Counted::Yes })
}

fn note(login: &UserInfo, account: &Subject, system: &AuthorizationSystem, object: &str, unproven: bool) -> String {
    let who = brief(&login.username);
    let member =
        if matches!(account, Subject::Group(_)) { format!(" (as a member of {})", brief(&account.to_string())) } else { String::new() };
    let system = system.name_any();
    let unproven = if unproven { " (admission was not enforced at that time, so another login may have written this name)" } else { "" };
    format!(
        "emergency account {who}{member} of system {system} was used: it created {object}{unproven}; find out who used it and why, and what else it did in the audit log of the API server"
    )
}

fn record<K: ResourceExt>(object: &K, login: &UserInfo, system: &AuthorizationSystem, note: &str) -> EventData {
    let target = system.status.as_ref().and_then(|status| status.target.as_ref());
    EventData {
        namespace: object.namespace(),
        name: Some(object.name_any()),
        actor: Some(login.username.clone()),
        system: Some(system.name_any()),
        target: target.map(|target| target.id.clone()),
        message: Some(note.to_owned()),
        ..EventData::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded() {
        let mut told = HashSet::new();
        for n in 0..MOST_REMEMBERED * 2 {
            assert!(remember(&mut told, n.to_string()) && !remember(&mut told, n.to_string()));
        }
        assert!(told.len() <= MOST_REMEMBERED);
    }

    #[test]
    fn a_use_names_the_login_the_system_and_what_to_do() {
        let object = serde_json::json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AuthorizationSystem", "metadata": {"name": "prod"},
            "spec": {"provider": {"kubernetes": {"inCluster": {}}}}});
        let system: AuthorizationSystem = serde_json::from_value(object).unwrap();
        let login = UserInfo { username: "rescue".into(), ..UserInfo::default() };
        let told = |account| note(&login, &account, &system, "AccessDecision payments/d-1", false);
        let by_name = told(Subject::User("rescue".into()));
        assert!(
            by_name.starts_with("emergency account rescue of system prod was used: it created AccessDecision payments/d-1; "),
            "{by_name}"
        );
        let by_group = told(Subject::Group("break-glass".into()));
        assert!(by_group.starts_with("emergency account rescue (as a member of group break-glass) of system prod"), "{by_group}");
        let forged = note(&login, &Subject::User("rescue".into()), &system, "AccessDecision payments/d-1", true);
        assert!(forged.contains("admission was not enforced at that time"), "{forged}");
    }
}
