//! The gate: are the policies and CRDs in force, as built, at this moment? Proven, never assumed (I8).
//!
//! Two looks. The live objects must say what we built, to the letter: re-applying a manifest does not remove a selector
//! that somebody added, so the live object counts and not the file. And dry-run writes of names that nobody may create, one
//! for each guarded kind, must be refused by *our* policy: a policy that is there but not in force refuses nothing.
use super::{CANARY, CANARY_BINDING, CANARY_ROLE, NAMESPACE, marks, policies};
use crate::api;
use curfew_core::digest::Digest;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, PostParams},
};
use serde_json::{Value, json};

/// What the gate found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdmissionCheck {
    /// Over uid, generation and content of everything live: the same digest means that nothing was touched in between.
    pub digest: Digest,
    /// What is wrong, and what to do about it. Empty means closed.
    pub problems: Vec<String>,
}

impl AdmissionCheck {
    /// Whether everything is in force.
    pub fn enforced(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One object that must be live, and how strictly.
#[derive(Clone, PartialEq, Debug)]
pub struct Expected {
    path: String,
    name: String,
    kind: String,
    spec: Value,
    /// The API server adds defaults to a CRD; of a policy we wrote out every one.
    exact: bool,
    /// Kubernetes before 1.36 does not serve it; the plugin fills in the stamp there.
    optional: bool,
    file: &'static str,
}

fn of(v: &Value, exact: bool, file: &'static str) -> Expected {
    let text = |p: &str| v.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let plural = format!("{}s", kind.to_lowercase().trim_end_matches('y')).replace("polics", "policies").replace("policis", "policies");
    Expected {
        path: format!("/apis/{}/{plural}/{name}", text("/apiVersion")),
        optional: kind.starts_with("Mutating"),
        spec: v["spec"].clone(),
        name,
        kind,
        exact,
        file,
    }
}

fn policy(p: &Value) -> Expected {
    of(p, true, "deploy/30-policies.yaml")
}

/// Everything that must be live.
pub fn expected() -> Vec<Expected> {
    let mut all: Vec<_> = policies().iter().map(policy).collect();
    all.extend(api::crds().iter().map(|c| of(&serde_json::to_value(c).expect("a CRD is JSON"), false, "crds/")));
    all
}

/// What is wrong with one live object.
pub fn compare(e: &Expected, live: Option<&Value>) -> Option<String> {
    let fix = || format!("kubectl apply --server-side -f {} brings it back", e.file);
    let Some(live) = live else { return (!e.optional).then(|| format!("{} {} is missing; {}", e.kind, e.name, fix())) };
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return Some(format!("{} {} is being deleted", e.kind, e.name));
    }
    let off = if e.exact { difference("spec", &e.spec, &live["spec"], true) } else { difference("spec", &e.spec, &live["spec"], false) };
    off.map(|at| format!("{} {} is not as built at {at}; delete it, then {}", e.kind, e.name, fix()))
}

/// Where `live` is not what was built. Unless `exact`, what the server added is fine, but never in a list.
fn difference(at: &str, built: &Value, live: &Value, exact: bool) -> Option<String> {
    match (built, live) {
        (Value::Object(b), Value::Object(l)) => {
            let missing = b.iter().find_map(|(k, v)| match l.get(k) {
                // The server leaves out what is null or empty.
                None if v.is_null() || v == &json!([]) => None,
                None => Some(format!("{at}.{k}")),
                Some(x) => difference(&format!("{at}.{k}"), v, x, exact),
            });
            missing.or_else(|| exact.then(|| l.keys().find(|k| !b.contains_key(*k)).map(|k| format!("{at}.{k}"))).flatten())
        }
        (Value::Array(b), Value::Array(l)) if b.len() == l.len() => {
            b.iter().zip(l).enumerate().find_map(|(i, (x, y))| difference(&format!("{at}[{i}]"), x, y, exact))
        }
        (b, l) if b == l => None,
        // 1 and 1.0 are one number to the server.
        (Value::Number(b), Value::Number(l)) if b.as_f64() == l.as_f64() => None,
        _ => Some(at.to_owned()),
    }
}

/// Reads everything live and tries the canaries.
///
/// # Errors
/// If the API server cannot be asked. That is no verdict: the caller counts it as open.
pub async fn probe(client: &Client) -> kube::Result<AdmissionCheck> {
    look(client, &expected(), &[Canary::request(), Canary::decision(), Canary::grant(), Canary::binding()]).await
}

/// Only what guards bindings and Jobs: what must be in force on a cluster that Curfew reaches from outside before a Job fuse
/// is believed there.
///
/// # Errors
/// If the API server cannot be asked.
pub async fn probe_marks(client: &Client) -> kube::Result<AdmissionCheck> {
    let expected: Vec<_> = marks::policies().iter().map(policy).collect();
    look(client, &expected, &[Canary::binding()]).await
}

async fn look(client: &Client, expected: &[Expected], canaries: &[Canary]) -> kube::Result<AdmissionCheck> {
    let mut problems = Vec::new();
    let mut content = Vec::new();
    for e in expected {
        let live = read(client, &e.path).await?;
        problems.extend(compare(e, live.as_ref()));
        if let Some(v) = live {
            content.push(json!([e.path, v.pointer("/metadata/uid"), v.pointer("/metadata/generation"), v["spec"]]));
        }
    }
    if problems.is_empty() {
        for canary in canaries {
            problems.extend(canary.try_it(client).await?);
        }
    }
    Ok(AdmissionCheck { digest: Digest::of(&content), problems })
}

async fn read(client: &Client, path: &str) -> kube::Result<Option<Value>> {
    match client.request(http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?).await {
        Ok(v) => Ok(Some(v)),
        Err(kube::Error::Api(s)) if s.code == 404 => Ok(None),
        Err(e) => Err(e),
    }
}

/// What nobody may create, and the policy that must refuse it.
struct Canary {
    policy: &'static str,
    kind: ApiResource,
    namespaced: bool,
    body: Value,
}

impl Canary {
    fn ours<K: kube::Resource<DynamicType = ()>>(policy: &'static str, namespaced: bool, spec: Value) -> Self {
        let kind = ApiResource::erase::<K>(&());
        let body = json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": CANARY}, "spec": spec});
        Canary { policy, kind, namespaced, body }
    }
    fn request() -> Self {
        let spec = json!({"roleRef": {"name": CANARY}, "requester": {"username": "nobody", "groups": []}});
        Canary::ours::<api::ActivationRequest>("curfew-requests", true, spec)
    }
    fn decision() -> Self {
        let spec =
            json!({"about": {"activationRequest": {"name": CANARY}}, "decision": "Deny", "decider": {"username": "nobody", "groups": []}});
        Canary::ours::<api::AccessDecision>("curfew-decisions", true, spec)
    }
    fn grant() -> Self {
        let spec = json!({
            "system": {"name": CANARY, "uid": "0", "target": "0", "connection": {"kubernetes": {"inCluster": {}}}},
            "request": {"namespace": NAMESPACE, "name": CANARY, "uid": "0", "requester": "nobody", "beneficiary": {"user": "nobody"}},
            "principal": {"kubernetes": {"user": "nobody"}},
            "plan": {"kubernetes": {"subject": {"user": "nobody"}, "bindings": [{"name": CANARY_BINDING, "roleKind": "ClusterRole", "role": CANARY_ROLE}]}},
            "digest": "0".repeat(64), "expiresAt": "2000-01-01T00:00:00Z",
        });
        Canary::ours::<api::Grant>("curfew-ledger", false, spec)
    }
    /// It binds a role without any rules, which needs no right to bind.
    fn binding() -> Self {
        let kind = crate::runtime::stores::binding_resource(true);
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CANARY_ROLE});
        let body = json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": CANARY_BINDING}, "roleRef": role});
        Canary { policy: "curfew-marks", kind, namespaced: true, body }
    }

    /// Tries to create it, without storing it. Only a refusal by our own policy's name is a good answer.
    async fn try_it(&self, client: &Client) -> kube::Result<Option<String>> {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let api: Api<DynamicObject> = if self.namespaced {
            Api::namespaced_with(client.clone(), NAMESPACE, &self.kind)
        } else {
            Api::all_with(client.clone(), &self.kind)
        };
        let body = serde_json::from_value(self.body.clone()).map_err(kube::Error::SerdeError)?;
        let what = format!("the reserved name of a {}", self.kind.kind);
        match api.create(&dry, &body).await {
            Ok(_) => Ok(Some(format!("{what} could be created: policy {} is there but not in force yet", self.policy))),
            Err(kube::Error::Api(s)) if s.code >= 500 => Err(kube::Error::Api(s)),
            Err(kube::Error::Api(s))
                if s.message.contains(&format!("'{}'", self.policy)) && s.message.contains("this name is reserved") =>
            {
                Ok(None)
            }
            Err(kube::Error::Api(s)) => Ok(Some(format!("{what} was refused, but not by policy {}: {}", self.policy, s.message))),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Expected {
        expected().into_iter().find(|e| e.kind == "ValidatingAdmissionPolicy" && e.name == "curfew-requests").expect("it is built")
    }

    #[test]
    fn paths_are_those_of_the_api_server() {
        let paths: Vec<_> = expected().into_iter().map(|e| e.path).collect();
        for p in [
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/curfew-requests",
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/curfew-marks",
            "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies/curfew-stamp-requests",
            "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings/curfew-stamp-decisions",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/grants.curfew.dev",
        ] {
            assert!(paths.iter().any(|x| x == p), "{p} not in {paths:?}");
        }
    }

    #[test]
    fn whatever_is_not_as_built_opens_the_gate() {
        let e = policy();
        let live = |f: fn(&mut Value)| {
            let mut v = json!({"metadata": {"uid": "1"}, "spec": e.spec});
            f(&mut v);
            compare(&e, Some(&v))
        };
        assert_eq!(live(|_| ()), None);
        let off = live(|v| v["spec"]["matchConstraints"]["namespaceSelector"] = json!({"matchLabels": {"a": "b"}}));
        assert!(off.is_some_and(|m| m.contains("matchConstraints.namespaceSelector.matchLabels") && m.contains("kubectl apply")));
        assert!(live(|v| v["spec"]["failurePolicy"] = json!("Ignore")).is_some());
        assert!(live(|v| drop(v["spec"]["validations"].as_array_mut().map(Vec::pop))).is_some());
        assert!(live(|v| v["metadata"]["deletionTimestamp"] = json!("now")).is_some());
        assert!(compare(&e, None).is_some_and(|m| m.contains("missing")));
    }

    #[test]
    fn defaults_that_the_server_adds_to_a_crd_are_fine_and_other_rules_are_not() {
        let e = expected().into_iter().find(|e| e.name == "grants.curfew.dev").expect("it is built");
        let mut live = json!({"metadata": {}, "spec": e.spec});
        live["spec"]["conversion"] = json!({"strategy": "None"});
        assert_eq!(compare(&e, Some(&live)), None);
        live["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] = json!([]);
        assert!(compare(&e, Some(&live)).is_some());
    }
}
