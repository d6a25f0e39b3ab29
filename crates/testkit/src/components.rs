//! The command lines of the three processes.
use super::control_plane::ControlPlane;
use anyhow::Result;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::PoisonError};

/// The audit log of an API server.
pub(super) struct Audit {
    /// Where it writes, if it does.
    pub(super) log: Option<PathBuf>,
    /// To whom it posts, if it does.
    pub(super) webhook: Option<Webhook>,
    /// What of.
    pub(super) policy: Value,
}

/// A server that takes audit events. Its certificate is that of the API server.
pub(super) struct Webhook {
    /// Its address.
    pub(super) url: String,
    /// By which the API server authenticates.
    pub(super) token: String,
}

impl Audit {
    /// Of what Curfew's own accounts ask for.
    pub(super) fn of_curfew(log: PathBuf) -> Self {
        let ours = ["operator", "revoker", "sweep", "analytics"].map(|a| format!("system:serviceaccount:curfew-system:curfew-{a}"));
        let rules = json!([{"level": "Metadata", "users": ours}, {"level": "None"}]);
        let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": rules});
        Audit { log: Some(log), webhook: None, policy }
    }
}

impl ControlPlane {
    pub(super) fn etcd_args(&self, at: &dyn Fn(&str) -> String) -> Vec<String> {
        let url = format!("http://127.0.0.1:{}", self.etcd_port);
        vec![
            format!("--data-dir={}", at("etcd")),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            "--listen-peer-urls=http://127.0.0.1:0".into(),
            "--unsafe-no-fsync=true".into(),
            "--log-level=warn".into(),
        ]
    }

    pub(super) fn apiserver_args(&self, at: &dyn Fn(&str) -> String) -> Result<Vec<String>> {
        let mut args = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            format!("--secure-port={}", self.port),
            format!("--tls-cert-file={}", at("apiserver.crt")),
            format!("--tls-private-key-file={}", at("apiserver.key")),
            format!("--client-ca-file={}", at("ca.crt")),
            format!("--cert-dir={}", at("")),
            format!("--service-account-key-file={}", at("sa.pub")),
            format!("--service-account-signing-key-file={}", at("sa.key")),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            "--service-cluster-ip-range=10.96.0.0/16".into(),
            "--authorization-mode=RBAC".into(),
            "--endpoint-reconciler-type=none".into(),
            format!("--profiling={}", std::env::var_os("CURFEW_PROFILE").is_some()),
        ];
        if self.trusts_issuer {
            args.push(format!("--authentication-config={}", at("authentication.json")));
            args.push(format!("--authentication-token-webhook-config-file={}", at("webhook.json")));
            args.push("--authentication-token-webhook-version=v1".into());
        }
        args.extend(self.another_flag.lock().unwrap_or_else(PoisonError::into_inner).clone());
        if let Some(Audit { log, webhook, policy }) = &self.audit {
            std::fs::write(self.path.join("audit-policy.json"), policy.to_string())?;
            args.push(format!("--audit-policy-file={}", at("audit-policy.json")));
            args.extend(log.as_ref().map(|log| format!("--audit-log-path={}", log.display())));
            if let Some(Webhook { url, token }) = webhook {
                let config = json!({
                    "apiVersion": "v1", "kind": "Config", "current-context": "audit",
                    "clusters": [{"name": "audit", "cluster": {"server": url, "certificate-authority": at("ca.crt")}}],
                    "users": [{"name": "api-server", "user": {"token": token}}],
                    "contexts": [{"name": "audit", "context": {"cluster": "audit", "user": "api-server"}}],
                });
                std::fs::write(self.path.join("audit-webhook.json"), config.to_string())?;
                args.push(format!("--audit-webhook-config-file={}", at("audit-webhook.json")));
                // A test waits for what was posted.
                args.push("--audit-webhook-batch-max-wait=200ms".into());
                args.push("--audit-webhook-initial-backoff=1s".into());
            }
        }
        Ok(args)
    }

    pub(super) fn controller_args(&self, at: &dyn Fn(&str) -> String) -> Result<Vec<String>> {
        let user = self.user("system:kube-controller-manager", &[])?;
        Ok(vec![
            format!("--kubeconfig={}", user.kubeconfig.display()),
            "--leader-elect=false".into(),
            "--bind-address=127.0.0.1".into(),
            "--secure-port=0".into(),
            format!("--service-account-private-key-file={}", at("sa.key")),
            format!("--root-ca-file={}", at("ca.crt")),
            format!("--cluster-signing-cert-file={}", at("ca.crt")),
            format!("--cluster-signing-key-file={}", at("ca.key")),
            "--use-service-account-credentials=true".into(),
            format!("--controllers={}", self.controllers),
            // By default it holds itself back, and takes five seconds to start.
            "--kube-api-qps=1000".into(),
            "--kube-api-burst=1000".into(),
            format!("--profiling={}", std::env::var_os("CURFEW_PROFILE").is_some()),
        ])
    }
}
