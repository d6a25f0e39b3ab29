//! Many accesses that end at one moment: all are removed before the operator has recorded more than a few of the ends.
use super::request;
use crate::shared::with_operator;
use anyhow::{Context, Result, ensure};
use curfew::api::{Grant, grant::GrantState};
use curfew_testkit::{SOON, World};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{batch::v1::Job, rbac::v1::RoleBinding};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Debug, time::Duration};

/// More than a lane of a cluster has places, by half.
const MANY: usize = 24;
/// Time to begin all of them on a loaded machine.
const LASTS_SECS: i64 = 45;

#[tokio::test]
async fn of_many_that_end_at_one_moment_all_are_removed_before_most_ends_are_recorded() -> Result<()> {
    let w = with_operator().await?;
    let mira = w.cp.user("mira@example.com", &["payments-devs"])?;
    // A start that is over takes nothing off the end, so all end in the same second.
    let start = super::scheduled::in_secs(0);
    let ask = |n: usize| {
        let yaml = request(&format!("many-{n}"), &format!("{LASTS_SECS}s"));
        serde_saphyr::from_str(&yaml.replace("duration:", &format!("startTime: '{start}', duration:"))).expect("a request")
    };
    mira.flood("payments", (0..MANY).map(ask), 8).await?;
    let approvals: Vec<Value> = states(w, "to wait for approval", |request| {
        let (name, digest) = (&request["metadata"]["name"], &request["status"]["digest"]);
        let approval = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": name, "namespace": "payments"},
            "spec": {"about": {"activationRequest": {"name": name}}, "digest": digest, "decision": "Approve"},
        });
        digest.is_string().then_some(approval)
    })
    .await?;
    w.carol()?.flood("payments", approvals.into_iter(), 8).await?;
    let end = start.plus_secs(LASTS_SECS).to_string();
    let grants: Vec<String> = states(w, "to be active until the same moment", |request| {
        let status = &request["status"];
        let active = status["state"] == "Active" && status["expiresAt"] == end.as_str();
        active.then(|| status["grantRef"]["name"].as_str().map(str::to_owned)).flatten()
    })
    .await?;
    w.access_is(&mira, true, SOON).await?;
    let client = w.cp.admin().await?;
    let ours = |name: &str| grants.iter().find(|grant| name.contains(grant.as_str())).cloned();
    let (bindings, jobs) = (Api::<RoleBinding>::namespaced(client.clone(), "payments"), Api::<Job>::namespaced(client.clone(), "payments"));
    let (removed, tidied, recorded) = tokio::try_join!(
        revisions(bindings, |event| match event {
            WatchEvent::Deleted(gone) => ours(&gone.name_any()).map(|grant| (grant, gone.resource_version())),
            _ => None,
        }),
        revisions(jobs, |event| match event {
            WatchEvent::Deleted(gone) => ours(&gone.name_any()).map(|grant| (grant, gone.resource_version())),
            _ => None,
        }),
        revisions(Api::<Grant>::all(client), |event| match event {
            WatchEvent::Modified(grant) if grant.status.as_ref().and_then(|s| s.state) == Some(GrantState::Ended) =>
                ours(&grant.name_any()).map(|id| (id, grant.resource_version())),
            _ => None,
        }),
    )?;
    w.access_is(&mira, false, SOON).await?;
    let last = removed.values().max().context("no binding was removed")?;
    let before = recorded.values().filter(|at| *at < last).count();
    ensure!(before < MANY / 4, "{before} of {MANY} ends were recorded before the last access was removed");
    let untidy: Vec<_> = grants.iter().filter(|grant| tidied[*grant] > recorded[*grant]).collect();
    ensure!(untidy.is_empty(), "the fuses of {untidy:?} were left when the ends were recorded");
    Ok(())
}

/// What `of` finds in the requests, once it finds something in each.
async fn states<T>(w: &World, words: &str, of: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>> {
    let limit = Duration::from_secs(LASTS_SECS.unsigned_abs());
    w.until(&["areq", "-n", "payments"], &format!("{MANY} requests {words}"), limit, |all| {
        let named = |request: &&Value| request["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("many-"));
        let found: Vec<T> = all["items"].as_array().into_iter().flatten().filter(named).filter_map(&of).collect();
        ensure!(found.len() == MANY, "{} of them", found.len());
        Ok(Some(found))
    })
    .await
}

/// For each Grant the revision of the store at which `of` says that something has happened. Revisions are of all objects together.
async fn revisions<K>(api: Api<K>, of: impl Fn(&WatchEvent<K>) -> Option<(String, Option<String>)>) -> Result<BTreeMap<String, u64>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let listed = api.list(&ListParams::default()).await?;
    let since = listed.metadata.resource_version.context("a list has a version")?;
    let mut events = api.watch(&WatchParams::default().timeout(240), &since).await?.boxed();
    let mut found = BTreeMap::new();
    let all = async {
        while found.len() < MANY {
            let event = events.try_next().await?.context("the watch has ended")?;
            if let Some((grant, version)) = of(&event) {
                found.entry(grant).or_insert(version.context("an object has a version")?.parse()?);
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(SOON * 4, all).await.context("not all have ended in time")??;
    Ok(found)
}
