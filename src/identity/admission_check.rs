//! The admission check: proves that the admission policies and CRDs are in force as built, and never assumes it (I8).
//!
//! It has two parts. First, the live objects must equal the built ones exactly: re-applying a manifest does not remove a
//! selector that someone added, so the live object is compared and not the file. Second, dry-run writes of reserved names, one
//! for each guarded kind, must be refused by Curfew's own policy: a policy that exists but is not in force refuses nothing.
//!
//! The schemas of the CRDs are large, so a repeated check reads metadata first. The API server raises `metadata.generation` with
//! every change of a spec, and an object that was deleted and created again has another uid: while both are the same as when the
//! content was last compared, the content is the same.
use super::{CANARY, CANARY_BINDING, CANARY_ROLE, CANARY_SLOT, NAMESPACE, crd_versions, marks, policies};
use crate::api::{self, PART_OF, compare::difference, config::Stamping};
use curfew_core::digest::Digest;
use futures::future::try_join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PostParams},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

/// What the API server answers about the versions of Curfew's own objects of one kind, by name; `None` if it does not serve the kind.
type Listed = Option<BTreeMap<String, Option<Version>>>;
/// How many canaries are tried at a time.
const CANARIES_AT_A_TIME: usize = 4;

/// The result of the admission check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdmissionCheck {
    /// The digest of uid, generation and spec of every live object. Equal digests mean that no object changed in between.
    pub digest: Digest,
    /// The problems, each with its fix. Empty means that admission is enforced.
    pub problems: Vec<String>,
    /// Who fills in requester, decider and author. It is told and decides nothing: a mutating policy may be missing for any reason, since what
    /// is sent is proven by the validating ones.
    pub stamping: Stamping,
}

impl AdmissionCheck {
    /// Whether all policies and CRDs are in force.
    pub fn enforced(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The manifest of the mutating policies.
const STAMPS: &str = "deploy/35-stamps.yaml";

/// One object that must exist in the cluster, and how it is compared.
#[derive(Clone, PartialEq, Debug)]
pub struct Expected {
    /// The path of all objects of this kind.
    collection: String,
    name: String,
    kind: String,
    /// The spec as JSON: a tenth of the memory of its values, which only a comparison needs.
    spec: Box<str>,
    /// Whether the live spec may have no additional fields. The API server adds defaults to a CRD; the policies are built with every
    /// default.
    exact: bool,
    /// Kubernetes before 1.36 does not serve MutatingAdmissionPolicy; there the client sends the identity.
    optional: bool,
    file: &'static str,
}

fn expect(object: &Value, exact: bool, file: &'static str) -> Expected {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let plural = format!("{}s", kind.to_lowercase().trim_end_matches('y')).replace("polics", "policies").replace("policis", "policies");
    Expected {
        collection: format!("/apis/{}/{plural}", text("/apiVersion")),
        optional: kind.starts_with("Mutating"),
        spec: object["spec"].to_string().into(),
        name,
        kind,
        exact,
        file,
    }
}

fn expect_policy(policy: &Value) -> Expected {
    let mutating = policy["kind"].as_str().is_some_and(|kind| kind.starts_with("Mutating"));
    expect(policy, true, if mutating { STAMPS } else { "deploy/30-policies.yaml" })
}

impl Expected {
    fn path(&self) -> String {
        format!("{}/{}", self.collection, self.name)
    }

    fn spec(&self) -> Value {
        serde_json::from_str(&self.spec).expect("it was written from a value")
    }
}

/// Returns every object that must exist in the cluster. They are built once: the schemas of the CRDs are large.
pub fn expected() -> &'static [Expected] {
    static EXPECTED: LazyLock<Vec<Expected>> = LazyLock::new(|| {
        let mut all: Vec<_> = policies().iter().map(expect_policy).collect();
        all.extend(api::crds().iter().map(|crd| expect(&serde_json::to_value(crd).expect("a CRD is JSON"), false, "crds/")));
        all
    });
    &EXPECTED
}

/// Returns the problem with one live object, with its fix; `None` if it is as built.
pub fn compare(expected: &Expected, live: Option<&Value>) -> Option<String> {
    let Expected { kind, name, .. } = expected;
    let fix = || format!("kubectl apply --server-side -f {} restores it", expected.file);
    let Some(live) = live else { return (!expected.optional).then(|| format!("{kind} {name} is missing; {}", fix())) };
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return Some(format!("{kind} {name} is being deleted"));
    }
    let differs = |path: String| format!("{kind} {name} differs from the built object at {path}");
    if kind == "CustomResourceDefinition" {
        // Its objects would be deleted with it.
        let different = crd_versions::first_difference(&expected.spec(), &live["spec"]);
        return different.map(|path| format!("{}; do not delete it: kubectl replace -f {} restores it", differs(path), expected.file));
    }
    let difference = difference("spec", &expected.spec(), &live["spec"], expected.exact);
    difference.map(|path| format!("{}; delete it, then {}", differs(path), fix()))
}

/// Which content a live object has, without the content.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Version {
    uid: String,
    generation: i64,
    deleting: bool,
}

/// The objects whose content was compared and found as built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compared {
    /// In the order of what is expected; `None` for an optional object that is missing.
    versions: Vec<Option<Version>>,
    digest: Digest,
}

/// Compares every live object and tries the canaries. `compared` is what the check before has left there: where no object has
/// changed since, no content is read again.
///
/// # Errors
/// If a call to the API server fails. The caller must then treat admission as not enforced.
pub async fn probe(client: &Client, compared: &mut Option<Compared>) -> kube::Result<AdmissionCheck> {
    check(client, expected(), &Canary::all(), compared).await
}

/// Checks only the policies that guard bindings and Jobs. On a remote cluster they must be in force before a Job fuse is trusted
/// there.
///
/// # Errors
/// If a call to the API server fails.
pub async fn probe_marks(client: &Client) -> kube::Result<AdmissionCheck> {
    let expected: Vec<_> = marks::policies().iter().map(expect_policy).collect();
    check(client, &expected, &[Canary::binding()], &mut None).await
}

async fn check(
    client: &Client,
    expected: &[Expected],
    canaries: &[Canary],
    compared: &mut Option<Compared>,
) -> kube::Result<AdmissionCheck> {
    // Where the versions cannot be read, by an operator that is newer than its RBAC rules, everything is compared each time.
    let known = versions_match(client, expected, compared.as_ref()).await.unwrap_or_default();
    let mut check = match known {
        Some((digest, stamping)) => AdmissionCheck { digest, problems: Vec::new(), stamping },
        None => compare_all(client, expected, compared).await?,
    };
    if check.problems.is_empty() {
        // A few at a time: each beyond the connections that are open would open one more.
        for some in canaries.chunks(CANARIES_AT_A_TIME) {
            check.problems.extend(try_join_all(some.iter().map(|canary| canary.try_create(client))).await?.into_iter().flatten());
        }
    }
    Ok(check)
}

/// Returns the digest of the objects if none has changed since they were compared: all of them still exist, with the same uid and
/// generation. Four or five calls, sent at once, which return metadata alone.
///
/// # Errors
/// If a call to the API server fails.
pub async fn unchanged(client: &Client, compared: Option<&Compared>) -> kube::Result<Option<Digest>> {
    Ok(versions_match(client, expected(), compared).await?.map(|(digest, _)| digest))
}

async fn versions_match(client: &Client, expected: &[Expected], compared: Option<&Compared>) -> kube::Result<Option<(Digest, Stamping)>> {
    let Some(compared) = compared else { return Ok(None) };
    let collections: BTreeSet<&str> = expected.iter().map(|e| e.collection.as_str()).collect();
    let listed = try_join_all(collections.iter().map(|path| versions_in(client, path))).await?;
    let live: BTreeMap<&str, Listed> = collections.into_iter().zip(listed).collect();
    let found = |e: &Expected| live[e.collection.as_str()].as_ref().and_then(|all| all.get(&e.name));
    let same = expected.iter().zip(&compared.versions).all(|(e, before)| match found(e) {
        Some(version) => version.is_some() && version == before,
        None => before.is_none(),
    });
    let missing = expected.iter().find(|e| e.optional && found(e).is_none());
    Ok(same.then(|| (compared.digest, stamping(missing, |e| live[e.collection.as_str()].is_some()))))
}

/// Who stamps, by the first optional object that is missing, and whether its kind is served.
fn stamping(missing: Option<&Expected>, served: impl FnOnce(&Expected) -> bool) -> Stamping {
    match missing {
        None => Stamping::ApiServer,
        Some(object) if served(object) => Stamping::Missing,
        Some(_) => Stamping::NotServed,
    }
}

/// What this means for those who create requests and decisions; `None` where the API server stamps.
pub fn stamping_message(stamping: Stamping) -> Option<String> {
    const CLIENTS: &str = "clients send requester, decider and author, as kubectl curfew does, and they are proven like any others";
    match stamping {
        Stamping::ApiServer => None,
        Stamping::NotServed => {
            Some(format!("this API server does not serve MutatingAdmissionPolicy, as Kubernetes before 1.36: {CLIENTS}"))
        }
        Stamping::Missing => Some(format!(
            "a mutating policy is missing, so {CLIENTS}; kubectl apply --server-side -f {STAMPS} lets the API server fill them in"
        )),
    }
}

async fn versions_in(client: &Client, collection: &str) -> kube::Result<Listed> {
    // An object without Curfew's label is missing here, and then everything is compared.
    let path = format!("{collection}?labelSelector={}%3D{}", PART_OF.0.replace('/', "%2F"), PART_OF.1);
    let Some(list) = read(client, &path, METADATA_LIST).await? else { return Ok(None) };
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(Some(items.iter().map(|item| (item["metadata"]["name"].as_str().unwrap_or_default().to_owned(), version(item))).collect()))
}

/// Compares the content of every object with what was built, and remembers the versions if there is no difference.
async fn compare_all(client: &Client, expected: &[Expected], compared: &mut Option<Compared>) -> kube::Result<AdmissionCheck> {
    *compared = None;
    let (mut problems, mut content) = (Vec::new(), Vec::new());
    // All reads are sent at once: a proof is as fast as the slowest of them.
    let all_live = try_join_all(expected.iter().map(async |e| read(client, &e.path(), "application/json").await)).await?;
    for (e, live) in expected.iter().zip(&all_live) {
        problems.extend(compare(e, live.as_ref()));
        if let Some(v) = live {
            content.push(json!([e.path(), v.pointer("/metadata/uid"), v.pointer("/metadata/generation"), v["spec"]]));
        }
    }
    let digest = Digest::of(&content);
    let versions: Vec<_> = all_live.iter().map(|live| live.as_ref().and_then(version)).collect();
    let all_known = all_live.iter().zip(&versions).all(|(live, version)| live.is_some() == version.is_some());
    if problems.is_empty() && all_known {
        *compared = Some(Compared { versions, digest });
    }
    let missing = expected.iter().zip(&all_live).find(|(e, live)| e.optional && live.is_none()).map(|(e, _)| e);
    let served = match missing {
        // What cannot be listed is taken for served: then the message says how to bring the policies back.
        Some(e) => versions_in(client, &e.collection).await.map_or(true, |listed| listed.is_some()),
        None => true,
    };
    Ok(AdmissionCheck { digest, problems, stamping: stamping(missing, |_| served) })
}

/// The version of a live object; `None` if the server does not count generations.
fn version(live: &Value) -> Option<Version> {
    let metadata = &live["metadata"];
    Some(Version {
        uid: metadata["uid"].as_str()?.to_owned(),
        generation: metadata["generation"].as_i64()?,
        deleting: metadata.get("deletionTimestamp").is_some(),
    })
}

/// Asks the API server for the metadata of listed objects alone.
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

async fn read(client: &Client, path: &str, accept: &str) -> kube::Result<Option<Value>> {
    let ask = http::Request::get(path).header(http::header::ACCEPT, accept).body(Vec::new()).map_err(kube::Error::HttpError)?;
    match client.request(ask).await {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(e) => Err(e),
    }
}

/// An object with a reserved name, and the policy that must refuse its creation.
struct Canary {
    policy: &'static str,
    kind: ApiResource,
    namespaced: bool,
    body: Value,
}

impl Canary {
    fn of_kind<K: kube::Resource<DynamicType = ()>>(policy: &'static str, namespaced: bool, spec: Value) -> Self {
        let kind = ApiResource::erase::<K>(&());
        let body = json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": CANARY}, "spec": spec});
        Canary { policy, kind, namespaced, body }
    }
    fn all() -> [Self; 7] {
        [
            Canary::request(),
            Canary::assignment_request(),
            Canary::decision(),
            Canary::assignment(),
            Canary::grant(),
            Canary::binding(),
            Canary::slot(),
        ]
    }
    fn request() -> Self {
        let spec = json!({"roleRef": {"name": CANARY}, "requester": {"username": "nobody", "groups": []}});
        Canary::of_kind::<api::ActivationRequest>("curfew-requests", true, spec)
    }
    fn assignment_request() -> Self {
        let action = json!({"remove": {"assignment": {"name": CANARY, "uid": "0"}}});
        let spec = json!({"action": action, "justification": CANARY, "requester": {"username": "nobody", "groups": []}});
        Canary::of_kind::<api::AssignmentRequest>("curfew-assignment-requests", true, spec)
    }
    fn decision() -> Self {
        let spec =
            json!({"about": {"activationRequest": {"name": CANARY}}, "decision": "Deny", "decider": {"username": "nobody", "groups": []}});
        Canary::of_kind::<api::AccessDecision>("curfew-decisions", true, spec)
    }
    fn assignment() -> Self {
        let spec = json!({
            "roleRef": {"name": CANARY}, "subject": {"user": "nobody"}, "scope": {"all": {}}, "window": {"permanent": {}}, "justification": CANARY,
            "author": {"username": "nobody", "groups": []},
        });
        Canary::of_kind::<api::ActiveAssignment>("curfew-assignments", true, spec)
    }
    fn grant() -> Self {
        let spec = json!({
            "system": {"name": CANARY, "uid": "0", "target": "0", "connection": {"kubernetes": {"inCluster": {}}}},
            "request": {"namespace": NAMESPACE, "name": CANARY, "uid": "0", "requester": "nobody", "beneficiary": {"user": "nobody"}},
            "principal": {"kubernetes": {"user": "nobody"}},
            "plan": {"kubernetes": {"subject": {"user": "nobody"}, "bindings": [{"name": CANARY_BINDING, "roleKind": "ClusterRole", "role": CANARY_ROLE}]}},
            "digest": "0".repeat(64), "expiresAt": "2000-01-01T00:00:00Z",
        });
        Canary::of_kind::<api::Grant>("curfew-ledger", false, spec)
    }
    /// It binds a role without rules, so the operator needs no `bind` right for it.
    fn binding() -> Self {
        let kind = crate::runtime::stores::binding_resource(true);
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CANARY_ROLE});
        let body = json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": CANARY_BINDING}, "roleRef": role});
        Canary { policy: "curfew-marks", kind, namespaced: true, body }
    }

    fn slot() -> Self {
        let kind = ApiResource::erase::<Lease>(&());
        let body = json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": CANARY_SLOT}, "spec": {}});
        Canary { policy: "curfew-slots", kind, namespaced: true, body }
    }

    /// Tries to create the object with a dry run. Returns `None` if the expected policy refuses it by name, and otherwise the problem.
    async fn try_create(&self, client: &Client) -> kube::Result<Option<String>> {
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        let api: Api<DynamicObject> = if self.namespaced {
            Api::namespaced_with(client.clone(), NAMESPACE, &self.kind)
        } else {
            Api::all_with(client.clone(), &self.kind)
        };
        let body = serde_json::from_value(self.body.clone()).map_err(kube::Error::SerdeError)?;
        let reserved = format!("the reserved name of kind {}", self.kind.kind);
        match api.create(&dry_run, &body).await {
            Ok(_) => Ok(Some(format!("{reserved} can be created: policy {} exists but is not in force yet", self.policy))),
            Err(kube::Error::Api(status)) if status.code >= 500 => Err(kube::Error::Api(status)),
            Err(kube::Error::Api(status))
                if status.message.contains(&format!("'{}'", self.policy)) && status.message.contains("this name is reserved") =>
            {
                Ok(None)
            }
            Err(kube::Error::Api(status)) => {
                Ok(Some(format!("{reserved} was refused, but not by policy {}: {}", self.policy, status.message)))
            }
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests_policy() -> &'static Expected {
        expected()
            .iter()
            .find(|object| object.kind == "ValidatingAdmissionPolicy" && object.name == "curfew-requests")
            .expect("it is built")
    }

    #[test]
    fn paths_match_the_api_server() {
        let paths: Vec<_> = expected().iter().map(Expected::path).collect();
        for path in [
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/curfew-requests",
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/curfew-marks",
            "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/curfew-stamp-requests",
            "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings/curfew-stamp-decisions",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/grants.curfew.dev",
        ] {
            assert!(paths.iter().any(|known| known.as_str() == path), "{path} not in {paths:?}");
        }
    }

    #[test]
    fn admission_check_fails_on_any_difference_from_the_built_policies() {
        let expected = requests_policy();
        let problem_after = |change: fn(&mut Value)| {
            let mut live = json!({"metadata": {"uid": "1"}, "spec": expected.spec()});
            change(&mut live);
            compare(expected, Some(&live))
        };
        assert_eq!(problem_after(|_| ()), None);
        let problem = problem_after(|live| live["spec"]["matchConstraints"]["namespaceSelector"] = json!({"matchLabels": {"a": "b"}}));
        assert!(
            problem.is_some_and(|text| text.contains("matchConstraints.namespaceSelector.matchLabels") && text.contains("kubectl apply"))
        );
        assert!(problem_after(|live| live["spec"]["failurePolicy"] = json!("Ignore")).is_some());
        assert!(problem_after(|live| drop(live["spec"]["validations"].as_array_mut().map(Vec::pop))).is_some());
        assert!(problem_after(|live| live["metadata"]["deletionTimestamp"] = json!("now")).is_some());
        assert!(compare(expected, None).is_some_and(|text| text.contains("missing")));
    }

    #[test]
    fn only_what_stamps_may_be_missing() {
        for object in expected() {
            let stamps = object.kind.starts_with("Mutating");
            assert_eq!(compare(object, None).is_none(), stamps, "{} {}", object.kind, object.name);
            assert_eq!(object.file == STAMPS, stamps, "{} {}", object.kind, object.name);
            // One that is there is as built: it could write what it likes into what people create.
            let changed = json!({"metadata": {}, "spec": {"failurePolicy": "Fail"}});
            assert!(compare(object, Some(&changed)).is_some(), "{} {}", object.kind, object.name);
        }
        let first = expected().iter().find(|object| object.optional).expect("it is built");
        assert_eq!(stamping(None, |_| true), Stamping::ApiServer);
        assert_eq!(stamping(Some(first), |_| true), Stamping::Missing);
        assert_eq!(stamping(Some(first), |_| false), Stamping::NotServed);
    }

    #[test]
    fn server_defaults_in_a_crd_are_accepted_and_changed_rules_are_not() {
        let expected = expected().iter().find(|object| object.name == "grants.curfew.dev").expect("it is built");
        let mut live = json!({"metadata": {}, "spec": expected.spec()});
        live["spec"]["conversion"] = json!({"strategy": "None"});
        assert_eq!(compare(expected, Some(&live)), None);
        live["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = json!([]);
        assert!(compare(expected, Some(&live)).is_some());
    }
}
