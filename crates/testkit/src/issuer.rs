//! Logins with what a test chooses: an OIDC issuer on loopback, whose tokens the API server's structured authentication accepts, and a
//! webhook that answers TokenReviews, as the authenticators of managed clusters do.
use super::user::background;
use anyhow::{Context, Result, ensure};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// The audience of the tokens.
const AUDIENCE: &str = "curfew-tests";
/// The id of the only key.
const KEY_ID: &str = "k1";
/// How long a token is valid, in seconds.
const VALID_SECS: i64 = 21_600;
/// Where the webhook answers.
const REVIEWS: &str = "/token-reviews";
/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 65_536;

/// A running issuer. It serves until the process ends, so that API servers find it whenever they look for its keys.
pub struct Issuer {
    url: String,
    ca: String,
    key: EcdsaKeyPair,
    random: SystemRandom,
    issued: AtomicU32,
    served: Arc<Served>,
}

/// What is served: documents by path, and the users that the webhook knows by their tokens, as a TokenReview describes them.
struct Served {
    documents: [(&'static str, String); 2],
    reviewed: Mutex<BTreeMap<String, Value>>,
}

/// Seconds since 1970, as an identity provider tells them.
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| i64::try_from(t.as_secs()).unwrap_or(i64::MAX))
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    /// Serves discovery and keys over https on a free port of loopback.
    ///
    /// # Errors
    /// If it cannot listen or make its keys.
    pub fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        listener.set_nonblocking(true)?;
        let url = format!("https://{}", listener.local_addr()?);
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| anyhow::anyhow!("no key"))?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
            .map_err(|rejected| anyhow::anyhow!("the key is rejected: {rejected}"))?;
        let (ca, config) = tls()?;
        let served = Arc::new(Served { documents: [discovery(&url), jwks(&key)?], reviewed: Mutex::default() });
        background().spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), served.clone()));
        Ok(Issuer { url, ca, key, random, issued: AtomicU32::new(0), served })
    }

    /// The kubeconfig by which an API server asks the webhook about tokens.
    pub(crate) fn webhook_configuration(&self) -> Value {
        let cluster = json!({"server": format!("{}{REVIEWS}", self.url), "certificate-authority-data": STANDARD.encode(&self.ca)});
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "webhook",
            "clusters": [{"name": "webhook", "cluster": cluster}],
            "users": [{"name": "api-server", "user": {}}],
            "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "api-server"}}],
        })
    }

    /// A token of the user that this `status.user` of a TokenReview describes. The API server asks the webhook about it.
    pub fn reviewed_token(&self, user: Value) -> String {
        let token = format!("reviewed-{}", self.issued.fetch_add(1, Ordering::Relaxed));
        self.served.reviewed.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), user);
        token
    }

    /// The AuthenticationConfiguration of an API server that trusts this issuer: user name and groups as the token has them, and the
    /// claims `amr`, `acrs` and `auth_time` under extra keys of Curfew. `auth_time` becomes text as CEL writes a number of JSON, with an
    /// exponent; `auth_times` stands in for a mapping that finds several.
    pub(crate) fn authentication_configuration(&self) -> Value {
        let list = |claim: &str| format!("claims.?{claim}.orValue([])");
        let time = "has(claims.auth_times) ? claims.auth_times : has(claims.auth_time) ? [string(claims.auth_time)] : []";
        json!({
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
            "jwt": [{
                "issuer": {"url": self.url, "audiences": [AUDIENCE], "certificateAuthority": self.ca},
                "claimMappings": {
                    "username": {"expression": "claims.sub"},
                    "groups": {"expression": list("groups")},
                    "uid": {"expression": "claims.sub"},
                    "extra": [
                        {"key": "curfew.dev/amr", "valueExpression": list("amr")},
                        {"key": "curfew.dev/acrs", "valueExpression": list("acrs")},
                        {"key": "curfew.dev/auth-time", "valueExpression": time},
                    ],
                },
                "userValidationRules": [{"expression": "!user.username.startsWith('system:')", "message": "the prefix is reserved"}],
            }],
        })
    }

    /// A token of this user with these claims beside the ones that every token has.
    ///
    /// # Errors
    /// If it cannot be signed, or `claims` is not an object.
    pub fn token(&self, user: &str, claims: &Value) -> Result<String> {
        let (now, id) = (unix_now(), self.issued.fetch_add(1, Ordering::Relaxed));
        let mut all =
            json!({"iss": self.url, "aud": AUDIENCE, "sub": user, "iat": now, "exp": now + VALID_SECS, "jti": format!("token-{id}")});
        let more = claims.as_object().context("claims are an object")?;
        all.as_object_mut().context("claims are an object")?.extend(more.clone());
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": KEY_ID});
        let signed = format!("{}.{}", base64(header.to_string()), base64(all.to_string()));
        let signature = self.key.sign(&self.random, signed.as_bytes()).map_err(|_| anyhow::anyhow!("cannot sign a token"))?;
        Ok(format!("{signed}.{}", base64(signature)))
    }
}

fn discovery(url: &str) -> (&'static str, String) {
    let document = json!({
        "issuer": url, "jwks_uri": format!("{url}/keys"), "authorization_endpoint": format!("{url}/authorize"),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    });
    ("/.well-known/openid-configuration", document.to_string())
}

fn jwks(key: &EcdsaKeyPair) -> Result<(&'static str, String)> {
    let point = key.public_key().as_ref();
    ensure!(point.len() == 65 && point[0] == 4, "not an uncompressed point of P-256");
    let (x, y) = (base64(&point[1..33]), base64(&point[33..]));
    let document = json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID, "x": x, "y": y}]});
    Ok(("/keys", document.to_string()))
}

/// A certificate for loopback, which is its own CA, and the server's side of TLS with it.
fn tls() -> Result<(String, ServerConfig)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let cert = params.self_signed(&key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())))?;
    Ok((cert.pem(), config))
}

impl Served {
    /// What is answered to a request for this path with this body.
    fn answer(&self, path: &str, body: &[u8]) -> (u16, String) {
        // The API server adds a time limit to the query.
        if path.split('?').next() == Some(REVIEWS) {
            return (200, self.review(body).to_string());
        }
        let found = self.documents.iter().find(|(at, _)| *at == path);
        found.map_or((404, "{}".into()), |(_, document)| (200, document.clone()))
    }

    fn review(&self, body: &[u8]) -> Value {
        let review: Value = serde_json::from_slice(body).unwrap_or_default();
        let token = review["spec"]["token"].as_str().unwrap_or_default();
        let user = self.reviewed.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned();
        let status = user.map_or_else(|| json!({"authenticated": false}), |user| json!({"authenticated": true, "user": user}));
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
    }
}

async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, served: Arc<Served>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, served) = (acceptor.clone(), served.clone());
        // A client that goes away ends its own connection alone.
        background().spawn(async move { answer(acceptor.accept(stream).await?, &served).await });
    }
}

/// Answers one request and closes the connection.
async fn answer(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, served: &Served) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let (mut line, mut length) = (String::new(), 0);
    while stream.read_line(&mut line).await? > 2 {
        if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length.min(MAX_REQUEST)];
    stream.read_exact(&mut body).await?;
    let (code, body) = served.answer(first.split(' ').nth(1).unwrap_or_default(), &body);
    let head =
        format!("HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}
