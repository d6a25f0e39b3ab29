//! The HTTP client for everything that is not an API server: audit sinks, notifications and providers. It supports http and https. It verifies
//! certificates by the authorities of the platform or by given ones, follows no redirect and retries nothing.
use bytes::Bytes;
use curfew_core::text::clip;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::Mutex;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{
    error::Error,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// How long a connection may take to open.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long one request may take, from the first byte sent to the last byte read.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How long an unused connection stays open.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// How much of an answer is read, in bytes. An answer that is longer is an error.
const ANSWER_LIMIT: usize = 4 << 20;

type Pool = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client with a pool of connections. Clones share the pool, which is made at the first request. Its connections belong to the
/// runtime that opened them.
#[derive(Clone, Debug, Default)]
pub struct HttpClient {
    /// Certificates of authorities, PEM; nothing means those that the platform trusts.
    authorities: Option<Arc<str>>,
    pool: Arc<OnceLock<Result<Pool, String>>>,
}

/// The client of one endpoint, which is another one whenever its authorities change. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct EndpointClient(Arc<Mutex<HttpClient>>);

impl EndpointClient {
    /// The client that trusts these authorities alone; without any, `platform`.
    pub fn trusting(&self, authorities: Option<&str>, platform: &HttpClient) -> HttpClient {
        let Some(authorities) = authorities else { return platform.clone() };
        let mut current = self.0.lock();
        if current.authorities.as_deref() != Some(authorities) {
            *current = HttpClient { authorities: Some(authorities.into()), pool: Arc::default() };
        }
        current.clone()
    }
}

/// An answer that was read completely.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// The beginning of the body as text, for messages.
    pub fn excerpt(&self) -> String {
        clip(String::from_utf8_lossy(&self.body), 200)
    }
    /// How long the server asks its client to wait, where it says so in seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
        value.trim().parse().ok().map(Duration::from_secs)
    }
}

/// Why there is no answer, in words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HttpError {
    /// The time limit for a whole request has passed. The server may have done what was asked.
    #[error("it does not answer")]
    Timeout,
    /// The connection could not be opened, or broke. The server may have done what was asked.
    #[error("{0}")]
    Connection(String),
    /// The certificates that the platform trusts cannot be read. Nothing was sent.
    #[error("cannot read the certificates of trusted authorities: {0}")]
    Certificates(String),
}

impl HttpClient {
    /// Sends one request and reads the whole answer. An answer of any status is an answer.
    ///
    /// # Errors
    /// If there is no answer within the time limit.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<HttpAnswer, HttpError> {
        let exchange = async {
            let pool =
                self.pool.get_or_init(|| pool(self.authorities.as_deref())).as_ref().map_err(|e| HttpError::Certificates(e.clone()))?;
            let answer = pool.request(request.map(Into::into)).await.map_err(|e| HttpError::Connection(causes(&e)))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_LIMIT).collect().await.map_err(|e| HttpError::Connection(causes(&*e)))?;
            Ok(HttpAnswer { status: head.status, headers: head.headers, body: body.to_bytes().to_vec() })
        };
        tokio::time::timeout(REQUEST_LIMIT, exchange).await.unwrap_or(Err(HttpError::Timeout))
    }
}

/// The authorities of a PEM text.
fn roots(authorities: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        let certificate = certificate.map_err(|e| format!("not PEM: {e}"))?;
        roots.add(certificate).map_err(|e| e.to_string())?;
    }
    if roots.is_empty() { Err("there is none in the PEM text".to_owned()) } else { Ok(roots) }
}

fn pool(authorities: Option<&str>) -> Result<Pool, String> {
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let tls = match authorities {
        Some(authorities) => tls.with_root_certificates(roots(authorities)?),
        None => tls.with_platform_verifier().map_err(|e| e.to_string())?,
    };
    let tls = tls.with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_LIMIT));
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_LIMIT).retry_canceled_requests(false);
    Ok(builder.build(connector))
}

/// An error with everything that caused it: the first message alone is only "client error (Connect)".
pub fn causes(e: &(dyn Error + 'static)) -> String {
    let mut all = e.to_string();
    let mut next = e.source();
    while let Some(cause) = next {
        // Some errors repeat what caused them.
        let cause_text = cause.to_string();
        if !all.ends_with(&cause_text) {
            all.push_str(&format!(": {cause_text}"));
        }
        next = cause.source();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::post};
    use http::header::{LOCATION, RETRY_AFTER};

    async fn serve() -> String {
        let router = Router::new()
            .route("/echo", post(|body: String| async move { body }))
            .route("/busy", post(|| async { (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "7")], "too many") }))
            .route("/elsewhere", post(|| async { (StatusCode::FOUND, [(LOCATION, "/echo")]) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    #[tokio::test]
    async fn answers_of_any_status_are_answers_and_redirects_are_not_followed() {
        let (url, client) = (serve().await, HttpClient::default());
        let send = async |path: &str| client.send(Request::post(format!("{url}{path}")).body(b"hello".to_vec()).unwrap()).await.unwrap();
        assert_eq!(send("/echo").await.body, b"hello");
        let busy = send("/busy").await;
        assert_eq!(
            (busy.status, busy.retry_after(), busy.excerpt().as_str()),
            (StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_secs(7)), "too many")
        );
        assert_eq!(send("/elsewhere").await.status, StatusCode::FOUND);
    }

    #[tokio::test]
    async fn authorities_that_cannot_be_read_are_an_error_and_not_those_of_the_platform() {
        let (url, endpoint, platform) = (serve().await, EndpointClient::default(), HttpClient::default());
        let send = async |client: HttpClient| client.send(Request::post(format!("{url}/echo")).body(b"hello".to_vec()).unwrap()).await;
        for (authorities, words) in
            [("", "there is none"), ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "BadEncoding")]
        {
            let refused = send(endpoint.trusting(Some(authorities), &platform)).await.unwrap_err();
            assert!(matches!(&refused, HttpError::Certificates(why) if why.contains(words)), "{refused}");
        }
        assert!(send(endpoint.trusting(None, &platform)).await.is_ok());
        let ca = "-----BEGIN CERTIFICATE-----";
        let (first, again) = (endpoint.trusting(Some(ca), &platform), endpoint.trusting(Some(ca), &platform));
        assert!(Arc::ptr_eq(&first.pool, &again.pool) && !Arc::ptr_eq(&first.pool, &endpoint.trusting(Some("x"), &platform).pool));
    }

    #[tokio::test]
    async fn a_refused_connection_is_an_error_with_its_cause() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let request = Request::post(format!("http://{address}/")).body(Vec::new()).unwrap();
        let e = HttpClient::default().send(request).await.unwrap_err();
        assert!(matches!(&e, HttpError::Connection(why) if why.contains("refused")), "{e}");
    }
}
