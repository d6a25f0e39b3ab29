//! Reads what the doctor judges. Nothing here fails as a whole: what cannot be read is a gap.
use super::built::{self, Built};
use crate::{
    context::{CliContext, no_answer, now},
    read::{Gap, Known, pages, rule},
};
use curfew_api::{
    AccessPolicy, ActivationRequest, ActiveAssignment, AuthorizationSystem, CONFIG_NAME, CurfewConfig, EligibleAssignment, Grant,
    OPERATOR_ACCOUNT, OPERATOR_NAMESPACE, RoleTemplate,
};
use curfew_core::time::Time;
use futures::future::join_all;
use k8s_openapi::{
    api::{apps::v1::Deployment, batch::v1::CronJob, coordination::v1::Lease, core::v1::ResourceQuota},
    jiff::fmt::rfc2822,
};
use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject, ListParams},
    client::Body,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;

/// What was read.
pub(super) struct Observed {
    /// The time by the API server's clock, or by this machine's if that is not known.
    pub(super) now: Time,
    /// Major and minor version of the API server.
    pub(super) version: Known<(u32, u32)>,
    /// The objects of the installation, with what is live; `None` for one that is missing.
    pub(super) installed: Vec<(&'static Built, Known<Option<Value>>)>,
    /// Whether the API server serves MutatingAdmissionPolicy.
    pub(super) serves_stamps: Known<bool>,
    pub(super) config: Known<Option<CurfewConfig>>,
    pub(super) lease: Known<Option<Lease>>,
    pub(super) deployments: Known<Vec<Deployment>>,
    pub(super) cron_jobs: Known<Vec<CronJob>>,
    pub(super) systems: Known<Vec<AuthorizationSystem>>,
    pub(super) policies: Known<Vec<AccessPolicy>>,
    pub(super) templates: Known<Vec<RoleTemplate>>,
    pub(super) assignments: Known<Vec<EligibleAssignment>>,
    pub(super) standing: Known<Vec<ActiveAssignment>>,
    /// The requests whose access is being removed.
    pub(super) revoking: Known<Vec<ActivationRequest>>,
    pub(super) grants: Known<Vec<Grant>>,
    pub(super) quotas: Known<Vec<ResourceQuota>>,
}

impl Observed {
    /// Everything that could not be read.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let installed = self.installed.iter().filter_map(|(_, live)| live.as_ref().err());
        let mut all: Vec<Gap> = self.version.as_ref().err().into_iter().chain(installed).cloned().collect();
        all.extend(self.serves_stamps.as_ref().err().cloned());
        all.extend(self.config.as_ref().err().cloned());
        all.extend(self.lease.as_ref().err().cloned());
        all.extend(self.deployments.as_ref().err().cloned());
        all.extend(self.cron_jobs.as_ref().err().cloned());
        all.extend(self.systems.as_ref().err().cloned());
        all.extend(self.policies.as_ref().err().cloned());
        all.extend(self.templates.as_ref().err().cloned());
        all.extend(self.assignments.as_ref().err().cloned());
        all.extend(self.standing.as_ref().err().cloned());
        all.extend(self.revoking.as_ref().err().cloned());
        all.extend(self.grants.as_ref().err().cloned());
        all.extend(self.quotas.as_ref().err().cloned());
        all.dedup();
        all
    }
}

/// Reads everything at once.
pub(super) async fn observe(me: &CliContext) -> Observed {
    let here = Some(OPERATOR_NAMESPACE);
    let all = ListParams::default();
    let revoking = ListParams::default().fields("status.state=Revoking");
    let client = || me.client.clone();
    let ((version, at), serves_stamps, installed, config, lease, deployments, cron_jobs) = futures::join!(
        version(me),
        serves_stamps(me),
        join_all(built::all().iter().map(async |built| (built, live(me, built).await))),
        one(Api::<CurfewConfig>::all(client()), CONFIG_NAME, None),
        one(Api::<Lease>::namespaced(client(), OPERATOR_NAMESPACE), OPERATOR_ACCOUNT, here),
        list(Api::<Deployment>::namespaced(client(), OPERATOR_NAMESPACE), &all, here),
        list(Api::<CronJob>::namespaced(client(), OPERATOR_NAMESPACE), &all, here),
    );
    let (systems, policies, templates, assignments, standing, revoking, grants, quotas) = futures::join!(
        list(Api::<AuthorizationSystem>::all(client()), &all, None),
        list(Api::<AccessPolicy>::all(client()), &all, None),
        list(Api::<RoleTemplate>::all(client()), &all, None),
        list(Api::<EligibleAssignment>::all(client()), &all, None),
        list(Api::<ActiveAssignment>::all(client()), &all, None),
        list(Api::<ActivationRequest>::all(client()), &revoking, None),
        list(Api::<Grant>::all(client()), &all, None),
        list(Api::<ResourceQuota>::all(client()), &all, None),
    );
    Observed {
        now: at.unwrap_or_else(now),
        version,
        serves_stamps,
        installed,
        config,
        lease,
        deployments,
        cron_jobs,
        systems,
        policies,
        templates,
        assignments,
        standing,
        revoking,
        grants,
        quotas,
    }
}

/// Why a read failed: a missing right with its rule, or the error.
fn gap(error: &kube::Error, group: &str, resource: &str, verb: &str, namespace: Option<&str>) -> Gap {
    let why = match error {
        kube::Error::Api(status) if status.code == 403 => rule(group, resource, verb, namespace),
        kube::Error::Api(status) => status.message.clone(),
        other => no_answer(other).unwrap_or_else(|| other.to_string()),
    };
    Gap { what: resource.to_owned(), why }
}

async fn list<K>(api: Api<K>, params: &ListParams, namespace: Option<&str>) -> Known<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    pages(&api, params).await.map_err(|error| gap(&error, &K::group(&()), &K::plural(&()), "list", namespace))
}

async fn one<K>(api: Api<K>, name: &str, namespace: Option<&str>) -> Known<Option<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    api.get_opt(name).await.map_err(|error| gap(&error, &K::group(&()), &K::plural(&()), "get", namespace))
}

/// An object of the installation, as the API server has it.
async fn live(me: &CliContext, built: &Built) -> Known<Option<Value>> {
    let Built { group, version, kind, plural, name, .. } = built;
    let resource = ApiResource {
        group: group.clone(),
        version: version.clone(),
        api_version: format!("{group}/{version}"),
        kind: kind.clone(),
        plural: plural.clone(),
    };
    match Api::<DynamicObject>::all_with(me.client.clone(), &resource).get_opt(name).await {
        Ok(found) => Ok(found.and_then(|object| serde_json::to_value(object).ok())),
        Err(error) => Err(gap(&error, group, plural, "get", None)),
    }
}

/// Whether the API server serves MutatingAdmissionPolicy, by what it says of the group.
async fn serves_stamps(me: &CliContext) -> Known<bool> {
    match me.client.list_api_group_resources("admissionregistration.k8s.io/v1").await {
        Ok(list) => Ok(list.resources.iter().any(|resource| resource.kind == "MutatingAdmissionPolicy")),
        Err(error) => Err(gap(&error, "admissionregistration.k8s.io", "mutatingadmissionpolicies", "get", None)),
    }
}

/// The version of the API server, and the time by its clock.
async fn version(me: &CliContext) -> (Known<(u32, u32)>, Option<Time>) {
    let unknown = |why: String| Err(Gap { what: "the version of the API server".into(), why });
    let Ok(ask) = http::Request::get("/version").body(Body::empty()) else { return (unknown("it cannot be asked".into()), None) };
    let answer = match me.client.send(ask).await {
        Ok(answer) => answer,
        Err(error) => return (unknown(no_answer(&error).unwrap_or_else(|| error.to_string())), None),
    };
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let at = date.and_then(|text| rfc2822::parse(text).ok()).map(|at| Time::from_millis(at.timestamp().as_millisecond()));
    let status = answer.status();
    let body = answer.into_body().collect_bytes().await.unwrap_or_default();
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    (parse_version(&told).map_or_else(|| unknown(format!("the API server answers {status}")), Ok), at)
}

/// Major and minor: distributions write `36+`.
fn parse_version(told: &Value) -> Option<(u32, u32)> {
    let number = |field: &str| told[field].as_str()?.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok();
    Some((number("major")?, number("minor")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn versions_of_distributions_are_read() {
        assert_eq!(parse_version(&json!({"major": "1", "minor": "36+"})), Some((1, 36)));
        assert_eq!(parse_version(&json!({"major": "1", "minor": "37"})), Some((1, 37)));
        assert_eq!(parse_version(&json!({})), None);
    }
}
