//! The next version of the API, on a real API server: both versions are served from one stored form without a conversion webhook, no
//! admission policy is passed by through the version that it does not name, and access goes on while the stored version changes, both ways.
//!
//! The CRDs with two versions are made here, from the generated ones: this build ships one version (docs/adr/0009).
mod live;
mod passed_by;
mod rollback;

use anyhow::{Context, Result, bail, ensure};
use curfew_testkit::{Output, SOON, User, World, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// The next version.
const NEXT: &str = "v1beta1";

/// Which versions the CRDs have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Served {
    /// Whether the version of this build is served.
    own: bool,
    /// Whether the next version is the stored one.
    next_is_stored: bool,
}

/// The next version beside the one of this build, which is stored.
const BESIDE: Served = Served { own: true, next_is_stored: false };
/// Both, and the next one is stored.
const STORED: Served = Served { own: true, next_is_stored: true };
/// The next one alone is served.
const ALONE: Served = Served { own: false, next_is_stored: true };

/// The CRDs of this build, changed by `change`.
fn crds(change: impl Fn(&mut Value)) -> Result<Vec<Value>> {
    let all = curfew::api::crds().into_iter().map(|crd| {
        let mut crd = serde_json::to_value(crd)?;
        change(&mut crd);
        anyhow::Ok(crd)
    });
    all.collect()
}

/// The CRDs with the next version, which has the same schema.
fn with_next(served: Served) -> Result<Vec<Value>> {
    crds(|crd| {
        let own = crd["spec"]["versions"][0].clone();
        let mut next = own.clone();
        (next["name"], next["storage"]) = (json!(NEXT), json!(served.next_is_stored));
        let mut own = own;
        (own["served"], own["storage"]) = (json!(served.own), json!(!served.next_is_stored));
        crd["spec"]["versions"] = json!([own, next]);
    })
}

/// Applies CRDs and waits until the API server serves these versions of them.
async fn apply(admin: &User, crds: &[Value], served: &[&str]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": crds}).to_string();
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    admin.kubectl_stdin(&apply, &list).await?.success()?;
    for (version, expected) in [(curfew::api::VERSION, served.contains(&curfew::api::VERSION)), (NEXT, served.contains(&NEXT))] {
        eventually(&format!("{version} to be served: {expected}"), SOON * 2, || async {
            // One of the kinds that is written last, and the one that is read first.
            for kind in ["assignmentrequests", "grants"] {
                let out = admin.kubectl(&["get", "--raw", &format!("/apis/curfew.dev/{version}/{kind}")]).await?;
                ensure!(out.ok == expected, "{}", out.stderr);
            }
            Ok(Some(()))
        })
        .await?;
    }
    Ok(())
}

/// The same object in the next version.
fn next(yaml: &str) -> String {
    yaml.replace("curfew.dev/v1alpha1", &format!("curfew.dev/{NEXT}"))
}

/// `kubectl create` of a text.
async fn create(who: &User, yaml: &str) -> Result<Output> {
    who.kubectl_stdin(&["create", "--validate=ignore", "-f", "-"], yaml).await
}

/// One field of an object, read through a version.
async fn read(who: &User, version: &str, kind: &str, more: &[&str], jsonpath: &str) -> Result<String> {
    let resource = format!("{kind}.{version}.curfew.dev");
    let output = format!("jsonpath={jsonpath}");
    who.kubectl(&[&["get", &resource, "-o", &output][..], more].concat()).await?.success()
}

/// Writes every object of Curfew's kinds again without a change, as a migration of the stored version does, and states that only this
/// version is stored.
async fn migrate(admin: &User, to: &str) -> Result<()> {
    for crd in curfew::api::crds() {
        let resource = format!("{}.{to}.curfew.dev", crd.spec.names.plural);
        // What the operator writes meanwhile is in the new form already: a conflict is tried again.
        eventually(&format!("{resource} to be migrated"), SOON, || async {
            let all = admin.kubectl(&["get", &resource, "--all-namespaces", "-o", "json"]).await?.success()?;
            if serde_json::from_str::<Value>(&all)?["items"].as_array().is_some_and(Vec::is_empty) {
                return Ok(Some(()));
            }
            admin.kubectl_stdin(&["replace", "-f", "-"], &all).await?.success().map(|_| Some(()))
        })
        .await?;
        let patch = json!({"status": {"storedVersions": [to]}}).to_string();
        let name = format!("{}.curfew.dev", crd.spec.names.plural);
        admin.kubectl(&["patch", "crd", &name, "--subresource=status", "--type=merge", "-p", &patch]).await?.success()?;
    }
    Ok(())
}

/// Which version every stored object has, as etcd holds it.
async fn stored_versions(w: &World, resource: &str) -> Result<Vec<String>> {
    let prefix = format!("/registry/curfew.dev/{resource}/");
    let values = w.cp.stored(&prefix).await?;
    values.iter().map(|v| Ok(v["apiVersion"].as_str().context("a stored object without apiVersion")?.to_owned())).collect()
}

/// Waits until admission is proven by a span that began after what is written now. What is created before it is not trusted.
async fn enforced_since(w: &World, before: &str) -> Result<()> {
    let later = |since: &str| !since.is_empty() && since != before;
    w.field_fits(&["curfewconfig", "curfew"], "{.status.admission.since}", "to be another", SOON * 3, later).await?;
    w.granting().await
}

/// When the span of the proof began.
async fn since(w: &World) -> Result<String> {
    w.field(&["curfewconfig", "curfew"], "{.status.admission.since}").await
}

/// Waits until the condition AdmissionEnforced is False with these words.
async fn not_enforced(w: &World, words: &str) -> Result<()> {
    let path =
        r#"{.status.conditions[?(@.type=="AdmissionEnforced")].status}: {.status.conditions[?(@.type=="AdmissionEnforced")].message}"#;
    let is = |now: &str| now.starts_with("False") && now.contains(words);
    w.field_fits(&["curfewconfig", "curfew"], path, &format!("to be False for {words}"), Duration::from_secs(60), is).await
}

/// That something was refused by a policy of Curfew.
fn refused(what: &str, out: Output, policy: &str) -> Result<()> {
    if out.ok {
        bail!("{what} is not refused")
    }
    ensure!(
        out.stderr.contains(&format!("ValidatingAdmissionPolicy '{policy}'")),
        "{what} is refused, but not by {policy}: {}",
        out.stderr
    );
    Ok(())
}
