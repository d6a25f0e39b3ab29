//! Reads with the user's own rights. What they may not read is a [`Gap`] with the RBAC rule to ask for, and never an empty list.
use crate::context::{CliContext, plain};
use anyhow::{Context as _, bail};
use curfew_core::text::printable;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, ObjectList},
    core::{ClusterResourceScope, NamespaceResourceScope},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, fmt::Debug};

/// How many objects one call returns.
const PAGE: u32 = 500;

/// What could not be read, and what to ask for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Gap {
    /// What is missing from the result.
    pub(crate) what: String,
    /// Why: the RBAC rule to ask for, or the error.
    pub(crate) why: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be read: {}", self.what, self.why)
    }
}

/// A value, or why it is not known.
pub(crate) type Known<T> = Result<T, Gap>;

/// Prints what is missing from a result on standard error; the exit code for it.
pub(crate) fn report(gaps: &[Gap]) -> u8 {
    for gap in gaps {
        eprintln!("warning: {}", printable(&gap.to_string()));
    }
    if gaps.is_empty() { 0 } else { INCOMPLETE }
}

/// The exit code of a result that is not complete, or not known yet.
pub(crate) const INCOMPLETE: u8 = 3;

/// The RBAC rule that allows this.
pub(crate) fn rule(group: &str, resource: &str, verb: &str, place: Option<&str>) -> String {
    let place = place
        .map_or_else(|| "in the whole cluster (a ClusterRole with a ClusterRoleBinding)".to_owned(), |ns| format!("in namespace {ns}"));
    format!("your role needs the rule {{apiGroups: [\"{group}\"], resources: [{resource}], verbs: [{verb}]}} {place}")
}

/// Why a call failed, if that leaves a gap: a right is missing. Anything else is an error of the whole command.
fn gap<K: Resource<DynamicType = ()>>(error: kube::Error, verb: &str, namespace: Option<&str>) -> anyhow::Result<Gap> {
    let resource = K::plural(&());
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            let place = namespace.map_or_else(String::new, |ns| format!(" of namespace {ns}"));
            Ok(Gap { what: format!("{resource}{place}"), why: rule(&K::group(&()), &resource, verb, namespace) })
        }
        other => Err(plain(other)).with_context(|| format!("cannot {verb} {resource}")),
    }
}

/// All objects of an API, page by page.
pub(crate) async fn pages<K>(api: &Api<K>, params: &ListParams) -> kube::Result<Vec<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    let (mut all, mut params) = (Vec::new(), params.clone().limit(PAGE));
    loop {
        let ObjectList { metadata, items, .. } = api.list(&params).await?;
        all.extend(items);
        match metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// The objects of a cluster-scoped kind, or the rule to ask for.
///
/// # Errors
/// If the API server does not answer, or does not serve the kind.
pub(crate) async fn everywhere<K>(me: &CliContext) -> anyhow::Result<Known<Vec<K>>>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + DeserializeOwned + Debug,
{
    match pages(&Api::<K>::all(me.client.clone()), &ListParams::default()).await {
        Ok(found) => Ok(Ok(found)),
        Err(error) => gap::<K>(error, "list", None).map(Err),
    }
}

/// The objects of a namespace, or the rule to ask for.
///
/// # Errors
/// If the API server does not answer, or does not serve the kind.
pub(crate) async fn within<K>(me: &CliContext, namespace: &str, params: &ListParams) -> anyhow::Result<Known<Vec<K>>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    match pages(&Api::<K>::namespaced(me.client.clone(), namespace), params).await {
        Ok(found) => Ok(Ok(found)),
        Err(error) => gap::<K>(error, "list", Some(namespace)).map(Err),
    }
}

/// One object by name, if it exists, or the rule to ask for.
///
/// # Errors
/// If the API server does not answer, or does not serve the kind.
pub(crate) async fn one<K>(me: &CliContext, namespace: &str, name: &str) -> anyhow::Result<Known<Option<K>>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    match Api::<K>::namespaced(me.client.clone(), namespace).get_opt(name).await {
        Ok(found) => Ok(Ok(found)),
        Err(error) => gap::<K>(error, "get", Some(namespace)).map(Err),
    }
}

/// Which namespaces a command is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place<'a> {
    /// One.
    Namespace(&'a str),
    /// All of them.
    All,
}

/// The objects of a namespaced kind there, with what is missing. Where nobody lets the user list the whole cluster, the namespaces that
/// they may see are tried one by one, and without that right only their own.
///
/// # Errors
/// If the API server does not answer, does not serve the kind, or the namespace does not exist.
pub(crate) async fn list<K>(me: &CliContext, place: Place<'_>, gaps: &mut Vec<Gap>) -> anyhow::Result<Vec<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let one_place = match place {
        Place::Namespace(namespace) => Some(namespace),
        Place::All => None,
    };
    if let Some(namespace) = one_place {
        let found = within::<K>(me, namespace, &ListParams::default()).await?;
        return Ok(found.unwrap_or_else(|gap| {
            gaps.push(gap);
            Vec::new()
        }));
    }
    let whole = match pages(&Api::<K>::all(me.client.clone()), &ListParams::default()).await {
        Ok(found) => return Ok(found),
        Err(error) => gap::<K>(error, "list", None)?,
    };
    let (namespaces, seen) = match everywhere::<Namespace>(me).await? {
        Ok(found) => (found.iter().map(ResourceExt::name_any).collect(), "the namespaces in which you may list them are shown"),
        Err(_) => (vec![me.namespace.clone()], "only your current namespace is shown, since you may not list namespaces either"),
    };
    let mut all = Vec::new();
    for namespace in namespaces {
        if let Ok(found) = within::<K>(me, &namespace, &ListParams::default()).await? {
            all.extend(found);
        }
    }
    gaps.push(Gap { what: format!("{} of all namespaces", K::plural(&())), why: format!("{}; {seen}", whole.why) });
    Ok(all)
}

/// The same of a part of a result that is right also without it: each failure to read it is a gap.
pub(crate) async fn list_if_readable<K>(me: &CliContext, place: Place<'_>, gaps: &mut Vec<Gap>) -> Vec<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    list(me, place, gaps).await.unwrap_or_else(|error| {
        gaps.push(failed::<K>(&error));
        Vec::new()
    })
}

/// What is missing, and why, of a kind that could not be read for another reason than a missing right.
pub(crate) fn failed<K: Resource<DynamicType = ()>>(error: &anyhow::Error) -> Gap {
    Gap { what: K::plural(&()).into_owned(), why: error.root_cause().to_string() }
}

/// Fails if a namespace is known not to exist: an empty list would look like an answer. A user who may not read namespaces is believed.
///
/// # Errors
/// If it does not exist.
pub(crate) async fn check_namespace(me: &CliContext) -> anyhow::Result<()> {
    match Api::<Namespace>::all(me.client.clone()).get(&me.namespace).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            bail!("namespace {} does not exist; kubectl get namespaces lists them, and -n names another one", me.namespace)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use curfew_api::ActivationRequest;
    use kube::core::Status;

    fn refusal(code: u16) -> kube::Error {
        kube::Error::Api(Status { code, message: "no".into(), ..Status::default() }.boxed())
    }

    #[test]
    fn a_missing_right_is_a_gap_with_the_rule_to_ask_for() {
        let gap = gap::<ActivationRequest>(refusal(403), "list", Some("payments")).unwrap();
        assert_eq!(gap.what, "activationrequests of namespace payments");
        assert!(gap.why.contains("{apiGroups: [\"curfew.dev\"], resources: [activationrequests], verbs: [list]} in namespace payments"));
        let everywhere = super::gap::<ActivationRequest>(refusal(403), "list", None).unwrap();
        assert!(everywhere.why.contains("ClusterRoleBinding"), "{everywhere}");
    }

    #[test]
    fn any_other_failure_is_an_error() {
        let error = gap::<ActivationRequest>(refusal(500), "list", None).unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot list activationrequests: no");
        assert_eq!(failed::<ActivationRequest>(&error).to_string(), "activationrequests cannot be read: no");
    }
}
