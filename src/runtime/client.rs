//! The Kubernetes client: no silent retries, no call without an end, no delay of small writes, its own user agent, a connection of its own
//! for watches, and a layer that observes the server's clock.
use super::{
    on_response::OnResponse,
    watch_age::WatchAges,
    watching::{Listening, WatchPool, is_watch},
};
use crate::authority::Clock;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connect, HttpConnector},
    },
    rt::TokioExecutor,
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt, DynBody},
};
use rustls::pki_types::ServerName;
use std::{sync::Arc, time::Duration};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxService};

/// How long the API server may send nothing while an answer is awaited. Longer than a watch lasts over HTTP/1.1, which may have nothing to say.
pub const READ_TIMEOUT: Duration = Duration::from_secs(12);

/// A client from `KUBECONFIG` or the service account, for this cluster. Each has a connection of its own for watches, and others for calls,
/// of which each carries one at a time: no answer waits behind another one.
///
/// # Errors
/// If there is no usable configuration.
pub async fn connect(clock: Arc<Clock>, watches: Arc<WatchAges>) -> anyhow::Result<Client> {
    let mut config = Config::infer().await?;
    // kube would silently retry a POST for minutes; our own retries decide again first.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(READ_TIMEOUT);
    config.write_timeout = Some(READ_TIMEOUT);
    // Otherwise the time for which a connection was idle in the pool would count.
    config.reset_reader_on_write = true;
    config.headers.push((header::USER_AGENT, HeaderValue::from_static(concat!("curfew/", env!("CARGO_PKG_VERSION")))));
    let calls = pool(with_limits(&config, config.rustls_https_connector_with_connector(tcp())?));
    let listening = https_of_both(&config)?.map_response(Listening::to as fn(_) -> _);
    let watches = WatchPool::new(with_limits(&config, listening), watches);
    let service = service_fn(move |request: Request<Body>| {
        let (calls, watches) = (calls.clone(), watches.clone());
        async move { if is_watch(request.uri()) { watches.watch(request).await } else { call(&calls, request).await } }
    });
    let observe = move |_: &Uri, _: StatusCode, headers: &HeaderMap| clock.observe(headers);
    Ok(over(&config, service)?.with_layer(&OnResponse(observe)).build())
}

/// Requests and responses of a client.
type ClientService = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// What kube's own `ClientBuilder::try_from` builds, except for retries and spans, over connections that send at once. kube leaves
/// Nagle's algorithm on: the body of each write on a connection that was used before waits for the acknowledgement of its headers,
/// which the other side delays by 40 ms.
///
/// # Errors
/// If the configuration cannot be used, or names a proxy, for which this build has no support.
pub fn builder(config: Config) -> kube::Result<ClientBuilder<ClientService>> {
    let calls = pool(with_limits(&config, config.rustls_https_connector_with_connector(tcp())?));
    over(
        &config,
        service_fn(move |request: Request<Body>| {
            let calls = calls.clone();
            async move { call(&calls, request).await }
        }),
    )
}

/// What every request of a client passes, before this service sends it.
fn over<S>(config: &Config, service: S) -> kube::Result<ClientBuilder<ClientService>>
where
    S: Service<Request<Body>, Response = Response<Box<DynBody>>, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    if let Some(proxy) = &config.proxy_url {
        let (proxy_url, protocol_feature) = (Box::new(proxy.clone()), "kube/http-proxy");
        return Err(kube::Error::ProxyProtocolDisabled { proxy_url, protocol_feature });
    }
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .service(service);
    Ok(ClientBuilder::new(service.map_err(BoxError::from).boxed(), config.default_namespace.clone()))
}

async fn call<C>(pool: &legacy::Client<C, Body>, request: Request<Body>) -> Result<Response<Box<DynBody>>, BoxError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let response = pool.request(request).await?;
    Ok(response.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>))
}

/// Connections that send at once.
fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector
}

/// Connections that offer HTTP/2 and HTTP/1.1, of which the API server chooses. kube's own offer HTTP/1.1 alone.
fn https_of_both(config: &Config) -> kube::Result<HttpsConnector<HttpConnector>> {
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = ServerName::try_from(name.clone()).map_err(|e| kube::Error::Service(e.into()))?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_http1().enable_http2().wrap_connector(tcp()))
}

/// These connections, with the time limits of the configuration.
fn with_limits<C>(config: &Config, connector: C) -> TimeoutConnector<C>
where
    C: Service<Uri> + Send,
    C::Response: hyper::rt::Read + hyper::rt::Write + Send + Unpin,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let mut connector = TimeoutConnector::new(connector);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    connector
}

/// A pool of these connections.
fn pool<C: Connect + Clone>(connector: C) -> legacy::Client<C, Body> {
    legacy::Client::builder(TokioExecutor::new()).build(connector)
}
