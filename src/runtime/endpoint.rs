//! An HTTP endpoint that a person has configured: its URL is in a Secret, as it may be a credential.
use super::{
    http::{EndpointClient, HttpClient},
    secrets,
};
use crate::api::{endpoint::Transport, system::SecretKey};
use http::Uri;
use kube::Client;
use std::net::IpAddr;

/// Where an endpoint is, and how it is protected.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// The Secret key of the URL.
    pub url: &'a SecretKey,
    /// Whether plain text is allowed.
    pub transport: Transport,
    /// The Secret key of the authorities, if not those of the platform.
    pub authorities: Option<&'a SecretKey>,
}

impl Endpoint<'_> {
    /// Its URL, and the client that reaches it. Both Secrets are read each time, since they may change.
    ///
    /// # Errors
    /// If a Secret cannot be read, or the URL may not be called. No text repeats the URL.
    pub async fn open(&self, client: &Client, own: &EndpointClient, platform: &HttpClient) -> Result<(Uri, HttpClient), String> {
        let url = secrets::text(client, self.url).await.map_err(|e| e.to_string())?;
        let authorities = secrets::optional_text(client, self.authorities).await.map_err(|e| e.to_string())?;
        Ok((target(&url, self.transport, self.url)?, own.trusting(authorities.as_deref(), platform)))
    }
}

/// The URL of a Secret, if it may be called.
fn target(url: &str, transport: Transport, from: &SecretKey) -> Result<Uri, String> {
    let refused = |why: NotAllowed| match why {
        NotAllowed::Plaintext => format!("{why}; use https://, or set transport: Plaintext"),
        NotAllowed::Malformed(_) => why.to_string(),
    };
    allowed(url, transport).map_err(|why| format!("the URL under {} of secret {} {}", from.key, from.name, refused(why)))
}

/// Why a URL may not be called, as the predicate of a sentence. It does not repeat the URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAllowed {
    /// Its host is not on this machine, and plain text was not chosen.
    #[error("begins with http://")]
    Plaintext,
    /// It cannot be called at all.
    #[error("{0}")]
    Malformed(&'static str),
}

/// The URL, if it may be called: by TLS, to a loopback address, or where plain text is allowed.
///
/// # Errors
/// If it may not.
pub fn allowed(url: &str, transport: Transport) -> Result<Uri, NotAllowed> {
    let uri: Uri = url.trim().parse().map_err(|_| NotAllowed::Malformed("is not a URL"))?;
    let authority = uri.authority().ok_or(NotAllowed::Malformed("has no host"))?;
    if authority.as_str().contains('@') {
        return Err(NotAllowed::Malformed("contains a login, which is not sent; leave it out"));
    }
    let host = authority.host().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if loopback || transport == Transport::Plaintext => Ok(uri),
        Some("http") => Err(NotAllowed::Plaintext),
        Some(_) | None => Err(NotAllowed::Malformed("does not begin with https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_called_by_tls_or_on_this_machine_unless_plain_text_is_allowed() {
        let from = SecretKey { name: "channels".into(), key: "url".into() };
        let may = |url: &str, transport| target(url, transport, &from).map(|_| ());
        for url in ["https://hooks.example.com/x", "http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:1/x"] {
            assert_eq!(may(url, Transport::Tls), Ok(()), "{url}");
        }
        assert_eq!(may("http://hooks.example.com/x", Transport::Plaintext), Ok(()));
        for url in [
            "http://hooks.example.com/x",
            "http://169.254.169.254/latest",
            "ftp://a/b",
            "file:///etc/passwd",
            "/x",
            "https://u:p@a/x",
            "http://127.0.0.1.example.com/",
        ] {
            let refused = may(url, Transport::Tls).unwrap_err();
            assert!(!refused.contains("hooks.example") && !refused.contains("u:p"), "{url}: {refused:?}");
        }
    }
}
