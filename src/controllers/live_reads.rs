//! What decisions about requests rest on, read live, and shared by the requests that need it at the same time.
use crate::{
    api::{
        AccessDecision, AccessPolicy, AssignmentRequest, AuthorizationSystem, CONFIG_NAME, CurfewConfig, EligibleAssignment, RoleTemplate,
    },
    runtime::{shared_reads::SharedReads, stores::Key},
};
use kube::{Api, Client, api::ListParams};
use std::sync::Arc;

/// What concerns every request.
#[derive(Clone)]
pub struct ClusterWide {
    /// The configuration, if there is one.
    pub config: Option<Arc<CurfewConfig>>,
    /// Every policy.
    pub policies: Arc<Vec<Arc<AccessPolicy>>>,
    /// Every system.
    pub systems: Arc<Vec<Arc<AuthorizationSystem>>>,
}

/// The reads that are shared. Clones share them, too.
#[derive(Clone, Default)]
pub struct LiveReads {
    cluster_wide: SharedReads<(), ClusterWide>,
    templates: SharedReads<Key, Option<Arc<RoleTemplate>>>,
    assignments: SharedReads<String, Arc<Vec<Arc<EligibleAssignment>>>>,
}

impl LiveReads {
    /// Configuration, policies and systems.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn cluster_wide(&self, client: &Client) -> kube::Result<ClusterWide> {
        let client = client.clone();
        let read = || async move {
            let (configs, policies, systems): (Api<CurfewConfig>, _, _) =
                (Api::all(client.clone()), Api::all(client.clone()), Api::all(client));
            let all = ListParams::default();
            let (config, policies, systems) = futures::try_join!(configs.get_opt(CONFIG_NAME), policies.list(&all), systems.list(&all))?;
            Ok(ClusterWide { config: config.map(Arc::new), policies: shared(policies.items), systems: shared(systems.items) })
        };
        self.cluster_wide.read((), read).await
    }

    /// A template, if it exists.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn template(&self, client: &Client, key: &Key) -> kube::Result<Option<Arc<RoleTemplate>>> {
        let (client, of) = (client.clone(), key.clone());
        let read = || async move {
            let (namespace, name) = of;
            Ok(Api::<RoleTemplate>::namespaced(client, &namespace).get_opt(&name).await?.map(Arc::new))
        };
        self.templates.read(key.clone(), read).await
    }

    /// The assignments of a namespace.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn assignments(&self, client: &Client, namespace: &str) -> kube::Result<Arc<Vec<Arc<EligibleAssignment>>>> {
        let (client, of) = (client.clone(), namespace.to_owned());
        let read = || async move { Ok(shared(Api::namespaced(client, &of).list(&ListParams::default()).await?.items)) };
        self.assignments.read(namespace.to_owned(), read).await
    }
}

/// The decisions about a request.
///
/// # Errors
/// If the API server does not answer.
pub async fn decisions_about(client: &Client, (namespace, name): &Key) -> kube::Result<Vec<Arc<AccessDecision>>> {
    let about = ListParams::default().fields(&format!("spec.about.activationRequest.name={name}"));
    let found = Api::<AccessDecision>::namespaced(client.clone(), namespace).list(&about).await?;
    Ok(found.items.into_iter().map(Arc::new).collect())
}

/// The decisions about an AssignmentRequest.
///
/// # Errors
/// If the API server does not answer.
pub async fn decisions_about_assignment_request(client: &Client, (namespace, name): &Key) -> kube::Result<Vec<Arc<AccessDecision>>> {
    let about = ListParams::default().fields(&format!("spec.about.assignmentRequest.name={name}"));
    let found = Api::<AccessDecision>::namespaced(client.clone(), namespace).list(&about).await?;
    Ok(found.items.into_iter().map(Arc::new).collect())
}

/// The AssignmentRequests of a namespace that have not ended.
///
/// # Errors
/// If the API server does not answer.
pub async fn live_assignment_requests(client: &Client, namespace: &str) -> kube::Result<Vec<AssignmentRequest>> {
    let open = ["Applied", "Denied", "TimedOut", "Cancelled", "Invalid"].map(|state| format!("status.state!={state}")).join(",");
    Ok(Api::namespaced(client.clone(), namespace).list(&ListParams::default().fields(&open)).await?.items)
}

fn shared<K>(objects: Vec<K>) -> Arc<Vec<Arc<K>>> {
    Arc::new(objects.into_iter().map(Arc::new).collect())
}
