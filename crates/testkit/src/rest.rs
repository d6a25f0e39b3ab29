//! Requests to an API server, one cached client for each user.
use super::{
    arguments::Selection,
    kinds::Kind,
    user::{Output, background},
};
use anyhow::Result;
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

/// What a request was answered; a refusal is not an error.
pub(crate) enum Answer {
    Ok(Value),
    Refused(Box<kube::core::Status>),
}

impl Answer {
    pub fn is(&self, code: u16) -> bool {
        matches!(self, Answer::Refused(s) if s.code == code)
    }
    /// As kubectl prints it.
    pub fn printed(self, done: impl FnOnce(&Value) -> String) -> Output {
        match self {
            Answer::Ok(v) => Output { ok: true, stdout: done(&v), stderr: String::new() },
            Answer::Refused(s) => {
                Output { ok: false, stdout: String::new(), stderr: format!("Error from server ({}): {}\n", s.reason, s.message) }
            }
        }
    }
}

/// One request, sent from the runtime that lives as long as the process: a pooled connection made in a test's own runtime
/// would end with that test.
pub(crate) async fn send(client: &Client, method: Method, uri: &str, kind: &'static str, body: Option<Value>) -> Result<Answer> {
    let bytes = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
    let request = Request::builder().method(method).uri(uri.replace(' ', "%20")).header("Content-Type", kind).body(bytes)?;
    let client = client.clone();
    match background().spawn(async move { client.request::<Value>(request).await }).await? {
        Ok(v) => Ok(Answer::Ok(v)),
        Err(kube::Error::Api(s)) => Ok(Answer::Refused(s)),
        Err(e) => Err(e.into()),
    }
}

pub(crate) async fn get(client: &Client, uri: &str) -> Result<Answer> {
    send(client, Method::GET, uri, "application/json", None).await
}

/// Whether the API server serves MutatingAdmissionPolicy, as it does from Kubernetes 1.36 on.
pub(crate) async fn serves_mutating_policies(client: &Client) -> Result<bool> {
    match get(client, "/apis/admissionregistration.k8s.io/v1").await? {
        Answer::Ok(v) => Ok(v["resources"].as_array().into_iter().flatten().any(|r| r["kind"] == "MutatingAdmissionPolicy")),
        Answer::Refused(s) => Err(kube::Error::Api(s).into()),
    }
}

/// The object, or a list with `items` of everything that is selected, of all kinds together.
///
/// # Errors
/// If a named object is not there, or the server refuses.
pub(crate) async fn read(client: &Client, what: &Selection) -> Result<Value> {
    if let (Some(name), [kind]) = (&what.name, what.kinds.as_slice()) {
        return match get(client, &kind.path(what.namespace.as_deref(), Some(name))).await? {
            Answer::Ok(v) => Ok(v),
            Answer::Refused(s) => Err(kube::Error::Api(s).into()),
        };
    }
    let mut items = Vec::new();
    for kind in &what.kinds {
        items.extend(list(client, kind, what).await?);
    }
    Ok(json!({"items": items}))
}

/// The selected objects of one kind. Each carries its kind, as a list's items do not.
pub(crate) async fn list(client: &Client, kind: &Kind, what: &Selection) -> Result<Vec<Value>> {
    let encoded = |s: String| s.replace('%', "%25").replace('=', "%3D").replace(',', "%2C").replace('/', "%2F");
    let mut query = Vec::new();
    query.extend(what.labels.clone().map(|l| format!("labelSelector={}", encoded(l))));
    query.extend(what.field_selector().map(|f| format!("fieldSelector={}", encoded(f))));
    let uri = format!("{}?{}", kind.path(what.namespace.as_deref(), None), query.join("&"));
    match get(client, &uri).await? {
        Answer::Ok(mut v) => Ok(v["items"].as_array_mut().map(std::mem::take).unwrap_or_default()),
        Answer::Refused(s) => Err(kube::Error::Api(s).into()),
    }
}
