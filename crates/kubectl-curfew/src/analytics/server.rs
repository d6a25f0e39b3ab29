//! Asks `curfew-analytics`, through the service proxy of the API server or at a URL, with a token of the user.
use crate::context::{CliContext, plain};
use anyhow::{Context as _, anyhow, bail, ensure};
use curfew_core::text::clip;
use http::{HeaderValue, Request, Response, Uri, header::AUTHORIZATION};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    client::{Body, ConfigExt},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::{net::IpAddr, path::PathBuf};
use tower::{BoxError, Layer, service_fn};

/// The header that the server takes the token from: the service proxy removes `Authorization`.
const HEADER: &str = "X-Curfew-Token";
/// The audience of tokens for this server alone.
const AUDIENCE: &str = "curfew-analytics";
/// How long such a token lives, in seconds: the least that an API server makes.
const LIFETIME: i64 = 600;

/// Where curfew-analytics is, and as whom it is asked.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub(super) struct Server {
    /// Address of curfew-analytics, such as https://curfew-analytics.example.com. Default: the API server's proxy to its Service.
    #[arg(long, value_name = "URL", env = "CURFEW_ANALYTICS_URL", hide_env_values = true)]
    analytics_url: Option<Uri>,
    /// File with the certificates (PEM) of the authorities for --analytics-url. Default: those of the platform.
    #[arg(long, value_name = "FILE", requires = "analytics_url")]
    analytics_ca: Option<PathBuf>,
    /// Its Service, as NAMESPACE/NAME. The service proxy needs the right to get services/proxy there.
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "curfew-system/curfew-analytics", value_parser = pair)]
    analytics_service: Pair,
    /// Ask as this service account, with a token of 10 minutes that only curfew-analytics accepts. You need the right to create serviceaccounts/token. For kubeconfigs that log in with a client certificate, which cannot be passed on. Default: your own token.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = pair)]
    as_service_account: Option<Pair>,
}

/// A namespace and a name in it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Pair {
    namespace: String,
    name: String,
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

fn pair(text: &str) -> Result<Pair, String> {
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    match text.split_once('/') {
        Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(Pair { namespace: namespace.into(), name: name.into() }),
        _ => Err("not NAMESPACE/NAME, such as curfew-system/reader".into()),
    }
}

impl Server {
    /// The answer about a view of a system, or the list of systems.
    pub(super) async fn ask(&self, me: &CliContext, at: Option<(&str, &str)>, parameters: &super::Parameters) -> anyhow::Result<String> {
        let token = match &self.as_service_account {
            Some(account) => of_account(me, account).await?,
            None => own(&me.kubeconfig).await?,
        };
        let path = path(at, parameters);
        let (client, uri) = match &self.analytics_url {
            Some(url) => (direct(url, self.analytics_ca.as_ref())?, format!("{}{path}", url.path().trim_end_matches('/'))),
            None => {
                let Pair { namespace, name } = &self.analytics_service;
                (through_api_server(me)?, format!("/api/v1/namespaces/{namespace}/services/https:{name}:https/proxy{path}"))
            }
        };
        let mut value = HeaderValue::from_str(&token).map_err(|_| anyhow!("the token has characters that no header may have"))?;
        value.set_sensitive(true);
        let request = Request::get(uri).header(HEADER, value).body(Vec::new()).context("not a request")?;
        client.request_text(request).await.map_err(|error| self.failed(error))
    }

    /// Says what to do about a failure that is not the server's own answer.
    fn failed(&self, error: kube::Error) -> anyhow::Error {
        let service = &self.analytics_service;
        let kube::Error::Api(status) = &error else {
            return match &self.analytics_url {
                Some(url) => anyhow!("{url} does not answer: {}", causes(&error)),
                None => plain(error),
            };
        };
        let message = clip(status.message.clone(), 500);
        match status.code {
            403 if message.contains("services/proxy") => anyhow!(
                "{message}; your role needs the rule {{apiGroups: [\"\"], resources: [services/proxy], resourceNames: [\"https:{name}:https\"], verbs: [get]}} in namespace {namespace}, or use --analytics-url",
                name = service.name,
                namespace = service.namespace
            ),
            // The API server says the same about a Service that does not exist.
            503 if message.contains("no endpoints") || message.contains("error trying to reach service") => anyhow!(
                "curfew-analytics is not installed, not running, or not ready: {message}; kubectl get pods -n {} shows it, docs/howto/analytics.md installs it, and --analytics-service names another Service",
                service.namespace
            ),
            401 => anyhow!("{message}; log in again, or use --as-service-account"),
            _ => anyhow!("{message}"),
        }
    }
}

/// An error with its innermost cause.
fn causes(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The path of a question.
fn path(at: Option<(&str, &str)>, parameters: &super::Parameters) -> String {
    let mut path = match at {
        Some((system, view)) => format!("/v1/systems/{}/{view}", encoded(system)),
        None => "/v1/systems".to_owned(),
    };
    for (i, (name, value)) in parameters.iter().enumerate() {
        path.push(if i == 0 { '?' } else { '&' });
        path.push_str(&format!("{name}={}", encoded(value)));
    }
    path
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The client of the kubeconfig, without its pauses and further tries after 503: a server that is not there is told at once.
fn through_api_server(me: &CliContext) -> anyhow::Result<Client> {
    let mut config = me.kubeconfig.clone();
    config.default_retry = false;
    Client::try_from(config).context("cannot use the kubeconfig")
}

/// The client for a URL. It sends no login of the kubeconfig.
fn direct(url: &Uri, authorities: Option<&PathBuf>) -> anyhow::Result<Client> {
    let host = url.host().with_context(|| format!("--analytics-url {url} has no host"))?.trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    ensure!(
        url.scheme_str() == Some("https") || (url.scheme_str() == Some("http") && loopback),
        "--analytics-url {url} does not begin with https://: it would show your token to the network"
    );
    ensure!(!url.authority().is_some_and(|authority| authority.as_str().contains('@')), "--analytics-url contains a login; leave it out");
    let mut origin = url.clone().into_parts();
    origin.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    let mut config = Config::new(Uri::from_parts(origin).context("--analytics-url is not usable")?);
    config.default_retry = false;
    if let Some(file) = authorities {
        let read = || CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>();
        let found = read().with_context(|| format!("--analytics-ca {} cannot be read", file.display()))?;
        ensure!(!found.is_empty(), "--analytics-ca {} has no certificate in PEM", file.display());
        config.root_cert = Some(found.iter().map(|certificate| certificate.to_vec()).collect());
    }
    Client::try_from(config).with_context(|| format!("cannot use --analytics-url {url}"))
}

/// A token of a service account that only this server accepts.
async fn of_account(me: &CliContext, account: &Pair) -> anyhow::Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(me.client.clone(), &account.namespace);
    let spec = TokenRequestSpec { audiences: Some(vec![AUDIENCE.into()]), expiration_seconds: Some(LIFETIME), bound_object_ref: None };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let made = accounts.create_token_request(&account.name, &PostParams::default(), &request).await.map_err(plain);
    let made = made.with_context(|| format!("cannot create a token of service account {account}"))?;
    made.status.and_then(|status| status.token).context("the API server returned no token")
}

/// The bearer token that the kubeconfig sends, whether it stands there, in a file, or comes from a login plugin.
async fn own(config: &Config) -> anyhow::Result<String> {
    let sent = async |request: Request<Body>| {
        let header = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
        Ok::<_, BoxError>(Response::new(Body::from(header)))
    };
    let Some(layer) = config.auth_layer().context("the login of the kubeconfig is not usable")? else { bail!(NO_TOKEN) };
    // Nothing is sent anywhere: this service answers with the header that would be.
    let client = Client::new(layer.layer(service_fn(sent)), "default");
    let header = client.request_text(Request::get("/").body(Vec::new())?).await.context("the login of the kubeconfig failed")?;
    header.strip_prefix("Bearer ").map(str::to_owned).with_context(|| NO_TOKEN.to_owned())
}

/// Why there is no token to send.
const NO_TOKEN: &str = "your kubeconfig logs in without a token (a client certificate cannot be passed on): use --as-service-account NAMESPACE/NAME, with a service account that may read the analytics";

#[cfg(test)]
mod tests {
    use super::*;
    use kube::config::AuthInfo;

    #[test]
    fn names_are_encoded_in_the_path() {
        let path = path(Some(("prod", "identity")), &vec![("name", "arn:aws:iam::1:role/a b&c=d".into()), ("output", "csv".into())]);
        assert_eq!(path, "/v1/systems/prod/identity?name=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fa%20b%26c%3Dd&output=csv");
        assert_eq!(super::path(None, &vec![]), "/v1/systems");
        assert_eq!(encoded("../é"), "..%2F%C3%A9");
    }

    #[tokio::test]
    async fn the_token_is_that_of_the_kubeconfig_and_a_certificate_is_none() {
        let mut config = Config::new(Uri::from_static("https://127.0.0.1:1"));
        assert!(own(&config).await.unwrap_err().to_string().contains("--as-service-account"));
        config.auth_info = AuthInfo { token: Some("abc".to_owned().into()), ..AuthInfo::default() };
        assert_eq!(own(&config).await.unwrap(), "abc");
        config.auth_info = AuthInfo { username: Some("a".into()), password: Some("b".to_owned().into()), ..AuthInfo::default() };
        assert!(own(&config).await.unwrap_err().to_string().contains("without a token"));
    }

    #[test]
    fn a_token_is_never_sent_in_the_clear() {
        let refused = |url: &'static str| direct(&Uri::from_static(url), None).map(drop).unwrap_err().to_string();
        assert!(refused("http://analytics.example.com").contains("does not begin with https://"));
        assert!(refused("http://127.0.0.1.example.com").contains("does not begin with https://"));
        assert!(refused("https://user:secret@example.com").contains("contains a login"));
    }

    #[test]
    fn a_service_account_has_a_namespace() {
        assert_eq!(pair("a/b").unwrap().to_string(), "a/b");
        for bad in ["a", "/b", "a/", "a/b/c", "a/../b", "a/b?x"] {
            assert!(pair(bad).is_err(), "{bad}");
        }
    }
}
