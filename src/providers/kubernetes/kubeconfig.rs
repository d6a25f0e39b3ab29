//! Reads a kubeconfig from a secret, strictly: it may contain an address, a CA and a credential, and nothing that runs a
//! program, reads a file or skips verification.
//!
//! kube's own reader runs `exec` plugins, reads files of the operator's container and honours proxies, and it panics at a token
//! that no header can hold. So every member is held against a list of what is allowed, each value that is used is checked, and the
//! configuration is built from the checked values alone. A refusal names the member and never quotes a value.
use crate::providers::port::ProviderError;
use base64::{Engine, engine::general_purpose::STANDARD};
use curfew_core::digest::Digest;
use http::Uri;
use kube::Config;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use serde_json::Value;
use std::time::Duration;

/// What may be said, by path. A `*` stands for each element of a list.
const ALLOWED: &[&str] = &[
    "apiVersion",
    "kind",
    "preferences",
    "current-context",
    "clusters",
    "clusters.*.name",
    "clusters.*.cluster",
    "clusters.*.cluster.server",
    "clusters.*.cluster.certificate-authority-data",
    "users",
    "users.*.name",
    "users.*.user",
    "users.*.user.token",
    "users.*.user.client-certificate-data",
    "users.*.user.client-key-data",
    "contexts",
    "contexts.*.name",
    "contexts.*.context",
    "contexts.*.context.cluster",
    "contexts.*.context.user",
    "contexts.*.context.namespace",
];

/// How deep a kubeconfig may nest; a deeper one would exhaust the stack of its reader.
const MAX_DEPTH: usize = 8;
const SERVER: &str = "clusters.cluster.server";
const CA: &str = "clusters.cluster.certificate-authority-data";
const TOKEN: &str = "users.user.token";
const CERTIFICATE: &str = "users.user.client-certificate-data";
const KEY: &str = "users.user.client-key-data";

/// A kubeconfig whose every value was checked.
#[derive(Debug)]
pub struct Checked {
    /// For the client.
    pub config: Config,
    /// The address, as `https://host:port/path`.
    pub server: String,
    /// The digest of the certificates of the CA, in any order.
    pub ca: Digest,
}

/// Checks, and makes a configuration of it.
///
/// # Errors
/// [`ProviderError::Invalid`] that names the first member that is not allowed, is missing or cannot be used.
pub fn read(text: &str) -> Result<Checked, ProviderError> {
    let value = parse(text)?;
    only_allowed(&value)?;
    let (cluster, user) = in_use(&value)?;
    let server = server(text_of(cluster, "server").unwrap_or_default())?;
    let ca = authority(text_of(cluster, "certificate-authority-data"))?;
    let mut config = Config::new(server.clone());
    credential(user, &mut config)?;
    let mut parts: Vec<String> = ca.iter().map(|der| Digest::of_bytes(der).to_string()).collect();
    parts.sort();
    parts.dedup();
    config.root_cert = Some(ca);
    // Our own retry decides again first.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(Duration::from_secs(10));
    config.write_timeout = Some(Duration::from_secs(10));
    Ok(Checked { config, server: server.to_string().trim_end_matches('/').to_owned(), ca: Digest::of(&parts) })
}

fn invalid(why: impl std::fmt::Display) -> ProviderError {
    ProviderError::Invalid(format!("the kubeconfig is refused: {why}"))
}

fn parse(text: &str) -> Result<Value, ProviderError> {
    let options = serde_saphyr::options! { budget: serde_saphyr::budget! { max_depth: MAX_DEPTH } };
    serde_saphyr::from_str_with_options(text.trim_start_matches('\u{feff}'), options).map_err(|_| invalid("it is not valid YAML"))
}

/// Nothing may be in it that is not on the list, in use or not: a later edit could use it.
fn only_allowed(v: &Value) -> Result<(), ProviderError> {
    if !v.is_object() {
        return Err(invalid("it is not a mapping"));
    }
    let mut paths = Vec::new();
    walk("", "", v, &mut paths);
    match paths.iter().find(|(p, _)| !ALLOWED.contains(&p.as_str())) {
        Some((_, shown)) => {
            Err(invalid(format!("{shown} is not allowed; an https server, an inline CA, and an inline token or certificate are")))
        }
        None => Ok(()),
    }
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

/// The cluster and the user of the current context.
fn in_use(v: &Value) -> Result<(&Value, &Value), ProviderError> {
    let current = text_of(v, "current-context").ok_or_else(|| invalid("current-context is missing"))?;
    let context = &named(v, "contexts", current, "current-context")?["context"];
    let of = |key: &str| text_of(context, key).ok_or_else(|| invalid(format!("contexts.context.{key} is missing in the current context")));
    let cluster = named(v, "clusters", of("cluster")?, "contexts.context.cluster")?;
    let user = named(v, "users", of("user")?, "contexts.context.user")?;
    Ok((&cluster["cluster"], &user["user"]))
}

/// The one element of a list that has this name.
fn named<'a>(v: &'a Value, list: &str, name: &str, named_by: &str) -> Result<&'a Value, ProviderError> {
    let mut found = v[list].as_array().into_iter().flatten().filter(|e| e["name"].as_str() == Some(name));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(invalid(format!("{named_by} names no element of {list}"))),
        (Some(_), Some(_)) => Err(invalid(format!("{list} has two elements with the name that {named_by} names"))),
    }
}

fn text_of<'a>(v: &'a Value, key: &str) -> Option<&'a str> {
    v[key].as_str().filter(|s| !s.is_empty())
}

/// The address. Like kubectl, an address without a scheme is one of https.
fn server(text: &str) -> Result<Uri, ProviderError> {
    if text.is_empty() {
        return Err(invalid(format!("{SERVER} is missing")));
    }
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
        Some(_) => return Err(invalid(format!("{SERVER} must begin with https://"))),
        None => text,
    };
    let uri: Uri = format!("https://{rest}").parse().map_err(|_| invalid(format!("{SERVER} is not a URL")))?;
    let authority = uri.authority().map(|a| a.as_str()).unwrap_or_default();
    if authority.contains('@') || uri.query().is_some() || text.contains('#') {
        return Err(invalid(format!("{SERVER} has a user, a query or a fragment; only host, port and path are allowed")));
    }
    let port = authority.rsplit_once(':').filter(|(_, p)| !p.ends_with(']')).map(|(_, p)| p);
    if uri.host().is_none_or(str::is_empty) || port.is_some_and(|p| p.parse::<u16>().is_ok_and(|n| n == 0) || p.parse::<u16>().is_err()) {
        return Err(invalid(format!("{SERVER} has no usable host or port")));
    }
    Ok(uri)
}

/// A token, or a certificate with its key, or both.
fn credential(user: &Value, config: &mut Config) -> Result<(), ProviderError> {
    let of = |key: &str| text_of(user, key);
    let (token, certificate, key) = (of("token"), of("client-certificate-data"), of("client-key-data"));
    if let Some(token) = token {
        // The client makes a header of it, and would panic at what no header can hold.
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid(format!(
                "{TOKEN} contains a line break, a blank or another character that no token has; remove it (echo ends a token with a line break)"
            )));
        }
        config.auth_info.token = Some(token.to_owned().into());
    }
    match (certificate, key) {
        (None, None) if token.is_none() => Err(invalid("users.user needs a token, or client-certificate-data and client-key-data")),
        (None, None) => Ok(()),
        (Some(_), None) => Err(invalid(format!("{KEY} is missing"))),
        (None, Some(_)) => Err(invalid(format!("{CERTIFICATE} is missing"))),
        (Some(certificate), Some(key)) => {
            check_pair(certificate, key)?;
            config.auth_info.client_certificate_data = Some(unwrapped(certificate));
            config.auth_info.client_key_data = Some(unwrapped(key).into());
            Ok(())
        }
    }
}

fn check_pair(certificate: &str, key: &str) -> Result<(), ProviderError> {
    let chain = certificates(CERTIFICATE, Some(certificate))?.into_iter().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::from_pem_slice(&decoded(KEY, key)?)
        .map_err(|_| invalid(format!("{KEY} holds no private key in PEM that can be read; it must not be encrypted")))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
        .map_err(|e| invalid(format!("{CERTIFICATE} and {KEY} cannot be used together: {e}")))
        .map(drop)
}

/// The certificates of the CA in DER. Each must be one that a connection can be verified with.
fn authority(text: Option<&str>) -> Result<Vec<Vec<u8>>, ProviderError> {
    let all = certificates(CA, text)?;
    let mut roots = RootCertStore::empty();
    for der in &all {
        roots.add(CertificateDer::from(der.clone())).map_err(|e| invalid(format!("{CA} holds a certificate that cannot be used: {e}")))?;
    }
    Ok(all)
}

/// Certificates in DER, from base64 of PEM.
fn certificates(member: &str, text: Option<&str>) -> Result<Vec<Vec<u8>>, ProviderError> {
    let pem = decoded(member, text.ok_or_else(|| invalid(format!("{member} is missing")))?)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).map(|der| der.map(|d| d.to_vec())).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(invalid(format!("{member} holds no certificate in PEM"))),
        Err(_) => Err(invalid(format!("{member} holds broken PEM"))),
    }
}

/// base64 may be wrapped, as kubectl reads it.
fn decoded(member: &str, text: &str) -> Result<Vec<u8>, ProviderError> {
    STANDARD.decode(unwrapped(text)).map_err(|_| {
        let pem = if text.trim_start().starts_with("-----BEGIN") { "; it is PEM, which has to be encoded once more" } else { "" };
        invalid(format!("{member} is not base64{pem}"))
    })
}

fn unwrapped(base64: &str) -> String {
    base64.chars().filter(|c| !c.is_ascii_whitespace()).collect()
}

#[cfg(test)]
mod tests;
