//! Reads a kubeconfig from a secret, strictly: it may contain an address, a CA and a credential, and nothing that runs a
//! program, reads a file or skips verification.
//!
//! kube's own reader runs `exec` plugins, reads files of the operator's container and honours proxies. So every member is
//! held against a list of what is allowed first, and what is not on it is refused by its path.
use crate::providers::port::ProviderError;
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use std::time::Duration;

/// What may be said, by path. A `*` stands for each element of a list.
const ALLOWED: &[&str] = &[
    "apiVersion",
    "kind",
    "preferences",
    "current-context",
    "clusters.*.name",
    "clusters.*.cluster.server",
    "clusters.*.cluster.certificate-authority-data",
    "users.*.name",
    "users.*.user.token",
    "users.*.user.client-certificate-data",
    "users.*.user.client-key-data",
    "contexts.*.name",
    "contexts.*.context.cluster",
    "contexts.*.context.user",
    "contexts.*.context.namespace",
];

/// Checks, and makes a configuration of it.
///
/// # Errors
/// [`ProviderError::Invalid`] that names the first member that is not allowed, or what is missing. It never quotes a value.
pub async fn read(text: &str) -> Result<Config, ProviderError> {
    let value: Value = serde_saphyr::from_str(text).map_err(|_| invalid("it is not valid YAML"))?;
    check(&value)?;
    let parsed: Kubeconfig = serde_json::from_value(value).map_err(|_| invalid("it is not a kubeconfig"))?;
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(parsed, &options).await.map_err(|_| invalid("its current-context cannot be used"))?;
    // The environment of the operator has no say in where this goes.
    config.proxy_url = None;
    config.accept_invalid_certs = false;
    // Our own retry decides again first.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(Duration::from_secs(10));
    config.write_timeout = Some(Duration::from_secs(10));
    Ok(config)
}

fn invalid(why: &str) -> ProviderError {
    ProviderError::Invalid(format!("the kubeconfig is refused: {why}"))
}

fn check(v: &Value) -> Result<(), ProviderError> {
    if !v.is_object() {
        return Err(invalid("it is not a mapping"));
    }
    let mut paths = Vec::new();
    walk("", "", v, &mut paths);
    if let Some((_, shown)) = paths.iter().find(|(p, _)| !ALLOWED.contains(&p.as_str())) {
        return Err(invalid(&format!("{shown} is not allowed; an https server, an inline CA, and an inline token or certificate are")));
    }
    let list = |name: &str| v[name].as_array().cloned().unwrap_or_default();
    if v["current-context"].as_str().is_none_or(str::is_empty) {
        return Err(invalid("current-context is missing"));
    }
    for c in list("clusters") {
        if !c["cluster"]["server"].as_str().is_some_and(|s| s.starts_with("https://")) {
            return Err(invalid("clusters.cluster.server must begin with https://"));
        }
        if c["cluster"]["certificate-authority-data"].as_str().is_none_or(str::is_empty) {
            return Err(invalid("clusters.cluster.certificate-authority-data is missing"));
        }
    }
    for u in list("users") {
        let has = |k: &str| u["user"][k].as_str().is_some_and(|s| !s.is_empty());
        if !(has("token") || (has("client-certificate-data") && has("client-key-data"))) {
            return Err(invalid("users.user needs a token, or client-certificate-data and client-key-data"));
        }
    }
    Ok(())
}

/// Every leaf by its path; empty values are leaves, too.
fn walk(path: &str, shown: &str, v: &Value, out: &mut Vec<(String, String)>) {
    let join = |p: &str, k: &str| if p.is_empty() { k.to_owned() } else { format!("{p}.{k}") };
    match v {
        Value::Object(o) if !o.is_empty() => o.iter().for_each(|(k, v)| walk(&join(path, k), &join(shown, k), v, out)),
        Value::Array(a) if !a.is_empty() => a.iter().for_each(|v| walk(&join(path, "*"), shown, v, out)),
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push((path.to_owned(), shown.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Value {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443", "certificate-authority-data": "LS0t"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        })
    }
    fn refused(words: &str, change: impl FnOnce(&mut Value)) {
        let mut v = good();
        change(&mut v);
        let why = check(&v).expect_err(words).to_string();
        assert!(why.contains(words), "{why} does not say {words}");
    }

    #[test]
    fn an_address_a_ca_and_a_credential_and_nothing_else() {
        assert_eq!(check(&good()), Ok(()));
        let mut by_certificate = good();
        by_certificate["users"][0]["user"] = serde_json::json!({"client-certificate-data": "LS0t", "client-key-data": "LS0t"});
        assert_eq!(check(&by_certificate), Ok(()));
        let user = |v: &mut Value, key: &str, to: Value| v["users"][0]["user"][key] = to;
        let cluster = |v: &mut Value, key: &str, to: Value| v["clusters"][0]["cluster"][key] = to;
        refused("users.user.exec.command is not allowed", |v| user(v, "exec", serde_json::json!({"command": "/bin/sh"})));
        refused("users.user.auth-provider.name is not allowed", |v| user(v, "auth-provider", serde_json::json!({"name": "gcp"})));
        for key in ["tokenFile", "client-certificate", "client-key", "username", "password", "as", "act-as", "as-groups"] {
            refused(&format!("users.user.{key} is not allowed"), |v| user(v, key, "x".into()));
        }
        for key in ["certificate-authority", "proxy-url", "insecure-skip-tls-verify", "tls-server-name"] {
            refused(&format!("clusters.cluster.{key} is not allowed"), |v| cluster(v, key, "x".into()));
        }
        refused("must begin with https://", |v| cluster(v, "server", "http://10.0.0.1".into()));
        refused("certificate-authority-data is missing", |v| cluster(v, "certificate-authority-data", Value::Null));
        refused("users.user needs a token", |v| user(v, "token", "".into()));
        refused("extensions", |v| v["extensions"] = serde_json::json!([{"name": "x"}]));
        refused("not a mapping", |v| *v = "x".into());
        // Also in entries that the current context does not use: a later edit could.
        refused("users.user.exec", |v| {
            let second = serde_json::json!({"name": "other", "user": {"token": "t", "exec": {"command": "x"}}});
            v["users"].as_array_mut().unwrap().push(second);
        });
    }

    #[tokio::test]
    async fn a_value_is_never_quoted() {
        let why = read("{users: [{user: {password: hunter2}}]}").await.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(why.contains("users.user.password") && !why.contains("hunter2"), "{why}");
    }
}
