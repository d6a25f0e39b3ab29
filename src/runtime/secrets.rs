//! Values of Secrets in the operator's namespace. They are read each time, since they may change.
use crate::api::system::SecretKey;
use curfew_api::OPERATOR_NAMESPACE as NAMESPACE;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use std::fmt;

/// Why a value cannot be read.
#[derive(Debug)]
pub enum SecretError {
    /// The API server does not answer, or refuses.
    Unreadable(SecretKey, kube::Error),
    /// There is no Secret of this name, or it has no such key.
    Missing(SecretKey),
    /// It is not UTF-8 text.
    NotText(SecretKey),
}

/// The text under a key of a Secret.
///
/// # Errors
/// If it cannot be read, does not exist, or is not text.
pub async fn text(client: &Client, at: &SecretKey) -> Result<String, SecretError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let found = secrets.get_opt(&at.name).await.map_err(|error| SecretError::Unreadable(at.clone(), error))?;
    let value = found.and_then(|secret| secret.data).and_then(|mut data| data.remove(&at.key));
    let value = value.ok_or_else(|| SecretError::Missing(at.clone()))?;
    String::from_utf8(value.0).map_err(|_| SecretError::NotText(at.clone()))
}

/// The same of one that need not be configured.
///
/// # Errors
/// If it is configured, and cannot be read, does not exist, or is not text.
pub async fn optional_text(client: &Client, at: Option<&SecretKey>) -> Result<Option<String>, SecretError> {
    match at {
        Some(at) => text(client, at).await.map(Some),
        None => Ok(None),
    }
}

/// No text repeats a value.
impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Unreadable(at, error) => write!(f, "cannot read secret {} of namespace {NAMESPACE}: {error}", at.name),
            SecretError::Missing(at) => write!(f, "secret {} of namespace {NAMESPACE} has no key {}", at.name, at.key),
            SecretError::NotText(at) => write!(f, "key {} of secret {} of namespace {NAMESPACE} is not UTF-8 text", at.key, at.name),
        }
    }
}
