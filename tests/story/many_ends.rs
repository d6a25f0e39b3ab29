//! Many accesses that end at one moment: all are removed before the operator has recorded more than a few of the ends.
use super::refusals::of;
use crate::shared::with_operator;
use anyhow::{Context, Result, ensure};
use curfew::api::{Grant, grant::GrantState};
use curfew_core::time::Time;
use curfew_testkit::{SOON, World};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{batch::v1::Job, rbac::v1::RoleBinding};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt::Debug, time::Duration};

/// Twice as many as a cluster has places for.
const MANY: usize = 32;
/// Time to begin all of them on a loaded machine.
const LASTS_SECS: i64 = 30;

#[tokio::test]
async fn of_many_that_end_at_one_moment_all_are_removed_before_most_ends_are_recorded() -> Result<()> {
    let w = with_operator().await?;
    w.unapproved_role().await?;
    let mira = w.cp.user("mira@example.com", &["payments-devs"])?;
    // A start that is over takes nothing off the end, so all end in the same second.
    let start = super::scheduled::in_secs(0);
    let ask = |n: usize| {
        let yaml = of("unapproved", &format!("many-{n}"), &format!("{LASTS_SECS}s"));
        serde_saphyr::from_str(&yaml.replace("duration:", &format!("startTime: '{start}', duration:"))).expect("a request")
    };
    mira.flood("payments", (0..MANY).map(ask), 8).await?;
    let grants = granted(w, start).await?;
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

/// The Grants of the requests, once all are active; they end at one moment.
async fn granted(w: &World, start: Time) -> Result<Vec<String>> {
    let end = start.plus_secs(LASTS_SECS).to_string();
    let active = |all: &serde_json::Value| {
        let ours = all["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|r| r["metadata"]["name"].as_str().is_some_and(|n| n.starts_with("many-")));
        let active: Vec<_> = ours.filter(|r| r["status"]["state"] == "Active").map(|r| &r["status"]).collect();
        ensure!(active.len() == MANY, "{} are active", active.len());
        ensure!(active.iter().all(|status| status["expiresAt"] == end.as_str()), "they end at different moments");
        Ok(Some(active.iter().filter_map(|status| status["grantRef"]["name"].as_str().map(str::to_owned)).collect()))
    };
    w.until(&["areq", "-n", "payments"], "all to be active", Duration::from_secs(LASTS_SECS.unsigned_abs()), active).await
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
