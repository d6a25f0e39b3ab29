//! The Kubernetes client: no silent retries, no call without an end, no delay of small writes, its own user agent, and a layer that observes the server's clock
//! and the age of the watches.
use super::{on_response::OnResponse, watch_age::WatchAges};
use crate::authority::Clock;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper_timeout::TimeoutConnector;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioExecutor};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt, DynBody},
};
use std::{sync::Arc, time::Duration};
use tower::{BoxError, ServiceBuilder, ServiceExt, util::BoxService};

/// How long the API server may send nothing while an answer is awaited. Longer than a watch lasts, which may have nothing to say.
pub const READ_TIMEOUT: Duration = Duration::from_secs(12);

/// A client from `KUBECONFIG` or the service account, for this cluster.
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
    let observe = move |asked: &Uri, status: StatusCode, headers: &HeaderMap| {
        clock.observe(headers);
        watches.observe(asked, status);
    };
    Ok(builder(config)?.with_layer(&OnResponse(observe)).build())
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
    if let Some(proxy) = &config.proxy_url {
        let (proxy_url, protocol_feature) = (Box::new(proxy.clone()), "kube/http-proxy");
        return Err(kube::Error::ProxyProtocolDisabled { proxy_url, protocol_feature });
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector));
    let erased = service.map_response(|response| response.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>)).boxed();
    Ok(ClientBuilder::new(erased, config.default_namespace))
}
