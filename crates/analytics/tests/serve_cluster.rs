//! Questions by the plugin against a real API server: tokens, RBAC on the systems, the service proxy.
#![cfg(feature = "live")]
#[path = "serve/company.rs"]
mod company;

use anyhow::{Context as _, Result, ensure};
use company::Company;
use curfew_analytics::serve::{
    auth::Gate,
    router::router,
    tls::{CertificateFiles, TlsListener},
};
use curfew_testkit::{ControlPlane, Stage, User};
use std::{
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
};

/// Where cargo put the plugin: beside the tests' folder.
fn binary() -> Result<PathBuf> {
    let mut folder = std::env::current_exe()?;
    folder.pop();
    let plugin = folder.join("../kubectl-curfew");
    ensure!(plugin.is_file(), "the plugin is not built: cargo build --bins --features crash-points,simulated,aws");
    Ok(plugin)
}

/// What the plugin prints, and its exit code.
async fn plugin(who: &User, args: &[&str]) -> Result<(i32, String)> {
    let mut command = tokio::process::Command::new(binary()?);
    let out = command.args(args).env("KUBECONFIG", &who.kubeconfig).stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((out.status.code().context("ended by a signal")?, text(&out.stdout) + &text(&out.stderr)))
}

/// The command ends with this code and prints all of these words.
async fn ends_with(who: &User, args: &[&str], code: i32, words: &[&str]) -> Result<String> {
    let (ended, told) = plugin(who, args).await?;
    ensure!(ended == code, "{args:?} ended with {ended}, not {code}: {told}");
    let missing: Vec<_> = words.iter().filter(|word| !told.contains(**word)).collect();
    ensure!(missing.is_empty(), "{args:?} does not say {missing:?}: {told}");
    Ok(told)
}

/// An address of this machine that the API server may proxy to: it refuses loopback. Nothing is sent.
fn own_address() -> Result<SocketAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?)
}

/// A Service whose only endpoint is this address, as that of a Pod (the API server's proxy goes to nothing else), the rights to reach it, and two readers: `auditor` of prod alone, `idle` of nothing.
fn objects(to: SocketAddr) -> String {
    let (ip, port) = (to.ip(), to.port());
    format!(
        r#"{{apiVersion: v1, kind: Pod, metadata: {{name: analytics, namespace: curfew-system}}, spec: {{securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}, containers: [{{name: a, image: a, securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}}}]}}}}
---
{{apiVersion: v1, kind: Service, metadata: {{name: curfew-analytics, namespace: curfew-system}}, spec: {{ports: [{{name: https, port: 443, targetPort: {port}}}]}}}}
---
{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: curfew-analytics-test, namespace: curfew-system, labels: {{kubernetes.io/service-name: curfew-analytics}}}}, addressType: IPv4, ports: [{{name: https, port: {port}}}], endpoints: [{{addresses: ["{ip}"], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: analytics, namespace: curfew-system}}}}]}}
---
{{apiVersion: v1, kind: Endpoints, metadata: {{name: curfew-analytics, namespace: curfew-system}}, subsets: [{{addresses: [{{ip: "{ip}", targetRef: {{kind: Pod, name: analytics, namespace: curfew-system}}}}], ports: [{{name: https, port: {port}}}]}}]}}
---
{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: auditor, namespace: default}}}}
---
{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: idle, namespace: default}}}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: reach-analytics, namespace: curfew-system}}, rules: [{{apiGroups: [""], resources: [services/proxy], resourceNames: ["https:curfew-analytics:https"], verbs: [get]}}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: reach-analytics, namespace: curfew-system}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reach-analytics}}, subjects: [{{kind: ServiceAccount, name: auditor, namespace: default}}, {{kind: ServiceAccount, name: idle, namespace: default}}, {{kind: User, name: dora@example.com, apiGroup: rbac.authorization.k8s.io}}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: read-prod}}, rules: [{{apiGroups: [curfew.dev], resources: [authorizationsystems/analytics], resourceNames: [prod], verbs: [get]}}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: read-prod}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: read-prod}}, subjects: [{{kind: ServiceAccount, name: auditor, namespace: default}}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {{name: be-auditor, namespace: default}}, rules: [{{apiGroups: [""], resources: [serviceaccounts/token], resourceNames: [auditor], verbs: [create]}}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: be-auditor, namespace: default}}, roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: be-auditor}}, subjects: [{{kind: User, name: dora@example.com, apiGroup: rbac.authorization.k8s.io}}]}}
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plugin_asks_through_the_service_proxy_and_rbac_on_the_systems_decides() -> Result<()> {
    // The prepared data has the CRDs. kube's client and the server take their cryptography from the process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cp = ControlPlane::start("analytics-query", Stage::Installed).await?;
    let files = CertificateFiles { certificate: cp.dir().join("apiserver.crt"), key: cp.dir().join("apiserver.key") };
    let listener = TlsListener::bind(SocketAddr::new(own_address()?.ip(), 0), files).await?;
    let address = axum::serve::Listener::local_addr(&listener)?;
    let app = router(Arc::new(Company::read()), Gate::new(cp.admin().await?));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let admin = cp.admin_user()?;
    admin.kubectl_stdin(&["apply", "-f", "-"], &objects(address)).await?.success()?;
    let status = format!(r#"{{"status": {{"podIP": "{ip}", "podIPs": [{{"ip": "{ip}"}}]}}}}"#, ip = address.ip());
    let patch = ["patch", "pod", "analytics", "-n", "curfew-system", "--subresource=status", "-p", &status];
    admin.kubectl(&patch).await?.success()?;
    let (auditor, idle) = (cp.service_account("default", "auditor").await?, cp.service_account("default", "idle").await?);

    // The token of the kubeconfig, through the service proxy.
    let identity = ["identity", "alice@example.com", "--system", "prod"];
    ends_with(&auditor, &identity, 0, &["alice@example.com in prod", "Why this score", "cluster-admin", "LAST USED"]).await?;
    ends_with(&auditor, &["unused", "-s", "prod", "--high-risk", "--limit", "3", "-o", "csv"], 0, &["identity,kind,", "\r\n"]).await?;
    let report =
        ends_with(&auditor, &["pci", "prod", "-o", "html"], 0, &["<!doctype html>", "Permission Creep Index of prod", "<svg"]).await?;
    ensure!(!report.contains("<script"), "{report}");
    ends_with(&auditor, &["rightsize", "bob@example.com", "-s", "prod", "-o", "yaml"], 0, &["kind: RoleTemplate"]).await?;
    ends_with(&auditor, &["findings", "-s", "prod", "--type", "none"], 1, &["type=none is not known: use one of"]).await?;
    ends_with(&auditor, &["history", "-s", "prod", "--days", "7"], 0, &["Score of prod in 7 days", "7-day change"]).await?;
    ends_with(&auditor, &["pci", "-o", "csv"], 0, &["prod,Kubernetes,66"]).await?;
    // Without the right on the system, and on a system of which nothing is told.
    let rule = "resources: [authorizationsystems/analytics]";
    ends_with(&idle, &identity, 1, &["system:serviceaccount:default:idle may not read the analytics of system prod", rule]).await?;
    ends_with(&auditor, &["findings", "-s", "new"], 1, &["may not read the analytics of system new", rule]).await?;

    // A client certificate cannot be passed on. Its user asks as a service account, if it may.
    let dora = cp.user("dora@example.com", &[])?;
    ends_with(&dora, &identity, 1, &["logs in without a token", "--as-service-account"]).await?;
    let as_auditor = [&identity[..], &["--as-service-account", "default/auditor"]].concat();
    ends_with(&dora, &as_auditor, 0, &["alice@example.com in prod"]).await?;
    let as_idle = [&identity[..], &["--as-service-account", "default/idle"]].concat();
    ends_with(&dora, &as_idle, 1, &["cannot create a token of service account default/idle"]).await?;
    let carol = cp.user("carol@example.com", &[])?;
    ends_with(&carol, &["findings"], 1, &["you may not list them"]).await?;

    // Directly, with the authority of the certificate given. The address of this machine is not in it, so only its name is used here.
    let url = format!("https://{address}");
    let ca = cp.dir().join("ca.crt").display().to_string();
    let direct = [&identity[..], &["--analytics-url", &url, "--analytics-ca", &ca]].concat();
    ends_with(&auditor, &direct, 1, &["does not answer", "certificate"]).await?;

    // The status alone needs no server.
    server.abort();
    let _ = server.await;
    ends_with(&admin, &["pci"], 0, &["this-cluster", "not analysed"]).await?;
    let reader = cp.service_account("default", "auditor").await?;
    ends_with(&reader, &identity, 1, &["curfew-analytics is not installed, not running, or not ready"]).await?;
    let elsewhere = [&identity[..], &["--analytics-service", "curfew-system/other"]].concat();
    ends_with(
        &admin,
        &[&elsewhere[..], &["--as-service-account", "default/auditor"]].concat(),
        1,
        &["no endpoints available for service \"other\""],
    )
    .await?;
    Ok(())
}
