//! A control plane that posts its audit events to `curfew-analytics`, and questions to it.
use anyhow::{Context, Result, bail};
use curfew_testkit::{Analytics, ControlPlane, SOON, Stage, World, eventually, free_port, path};
use http::Request;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, Config, api::PostParams};
use serde_json::{Value, json};

/// The token of the API server.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The system.
pub const SYSTEM: &str = "this-cluster";

/// Who may ask, and whose scores are known in advance.
const PEOPLE: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: curfew-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads-analytics}
rules: [{apiGroups: [curfew.dev], resources: [authorizationsystems/analytics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reads-analytics}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads-analytics}
subjects: [{kind: ServiceAccount, name: reader, namespace: curfew-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: erin}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: erin@example.com}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads-settings, namespace: payments}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: dana, namespace: payments}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads-settings}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: dana@example.com}]
"#;

/// A control plane with analytics.
pub struct Plane {
    pub world: World,
    pub port: u16,
}

impl Plane {
    /// Starts the control plane. Its API server posts to a server that is not there yet.
    pub async fn start(name: &str) -> Result<Self> {
        let port = free_port()?;
        let url = format!("https://127.0.0.1:{port}/audit/{SYSTEM}");
        let world = World { cp: ControlPlane::start_posting(name, Stage::First, url, TOKEN.into()).await? };
        let admin = world.admin()?;
        admin.kubectl(&["apply", "--server-side", "-f", &path("deploy/analytics/10-rbac.yaml")]).await?.success()?;
        admin.apply(PEOPLE).await?.success()?;
        let settings = json!({
            "metadata": {"labels": {"env": "prod"}},
            "spec": {"analytics": {
                "usage": [{"auditWebhook": {}}, {"auditLogs": {"directory": "older"}}], "folders": ["env"],
                "targets": {"system": 10, "human": 50, "guest": 33, "workload": 100, "superIdentities": 0},
            }},
        });
        admin.api(&["patch", "authsys", SYSTEM, "--type=merge", "-p", &settings.to_string()]).await?.success()?;
        std::fs::create_dir_all(Analytics::directory(&world.cp).join("logs/older"))?;
        Ok(Self { world, port })
    }

    /// Starts analytics.
    pub async fn analytics(&self) -> Result<Analytics> {
        Analytics::start(&self.world, self.port, (SYSTEM, TOKEN), &[]).await
    }

    /// Waits until the status of the cluster is as wanted.
    pub async fn status<T>(&self, words: &str, fits: impl Fn(&Value) -> Option<T>) -> Result<T> {
        self.status_of(SYSTEM, words, fits).await
    }

    /// The same of another system.
    pub async fn status_of<T>(&self, system: &str, words: &str, fits: impl Fn(&Value) -> Option<T>) -> Result<T> {
        self.world
            .until(&["authsys", system], words, SOON * 2, |object| match fits(&object["status"]) {
                Some(found) => Ok(Some(found)),
                None => bail!("{}", object["status"]),
            })
            .await
    }

    /// A client for questions, as the service account `reader` of curfew-system.
    pub async fn questions(&self) -> Result<Questions> {
        let admin = self.world.cp.admin().await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(admin, "curfew-system");
        let spec = Some(TokenRequestSpec { audiences: Some(vec!["curfew-analytics".into()]), ..TokenRequestSpec::default() });
        let ask = TokenRequest { spec, ..TokenRequest::default() };
        let token = accounts
            .create_token_request("reader", &PostParams::default(), &ask)
            .await?
            .status
            .and_then(|status| status.token)
            .context("no token")?;
        Ok(Questions { client: self.client()?, token })
    }

    /// A client of analytics without a login.
    pub fn client(&self) -> Result<Client> {
        let mut config = Config::new(format!("https://127.0.0.1:{}", self.port).parse()?);
        let pem = std::fs::read(self.world.cp.dir().join("ca.crt"))?;
        config.root_cert = Some(vec![rustls_der(&pem)?]);
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    /// Posts a body to the webhook, as an API server does. The answer's status.
    pub async fn post(&self, client: &Client, token: &str, body: &str) -> Result<u16> {
        let ask = Request::post(format!("/audit/{SYSTEM}"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(kube::client::Body::from(body.as_bytes().to_vec()))?;
        Ok(client.send(ask).await?.status().as_u16())
    }
}

/// The first certificate of a PEM text.
fn rustls_der(pem: &[u8]) -> Result<Vec<u8>> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
    Ok(CertificateDer::from_pem_slice(pem)?.to_vec())
}

/// Questions to analytics.
pub struct Questions {
    client: Client,
    token: String,
}

impl Questions {
    /// The whole report.
    pub async fn report(&self) -> Result<Value> {
        self.ask(&format!("/v1/systems/{SYSTEM}/report")).await
    }
    /// An answer as JSON.
    pub async fn ask(&self, path: &str) -> Result<Value> {
        let ask = Request::get(path).header("x-curfew-token", &self.token).body(Vec::new())?;
        Ok(serde_json::from_str(&self.client.request_text(ask).await?)?)
    }
    /// Waits until the row of an identity fits; the row.
    pub async fn row(&self, name: &str, words: &str, fits: impl Fn(&Value) -> bool) -> Result<(Value, Value)> {
        self.row_of(SYSTEM, name, words, fits).await
    }
    /// The same in another system.
    pub async fn row_of(&self, system: &str, name: &str, words: &str, fits: impl Fn(&Value) -> bool) -> Result<(Value, Value)> {
        eventually(&format!("{name} {words}"), SOON * 2, || async {
            let report = self.ask(&format!("/v1/systems/{system}/report")).await?;
            let row = report["identities"].as_array().into_iter().flatten().find(|row| row["name"] == name).cloned();
            match row {
                Some(row) if fits(&row) => Ok(Some((row, report))),
                row => bail!("{row:?}"),
            }
        })
        .await
    }
}
