//! The Kubernetes client: no silent retries, no call without an end, its own user agent, and a layer that observes the server's clock
//! and the age of the watches.
use super::{on_response::OnResponse, watch_age::WatchAges};
use crate::authority::Clock;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use kube::{Client, Config, client::ClientBuilder};
use std::{sync::Arc, time::Duration};

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
    Ok(ClientBuilder::try_from(config)?.with_layer(&OnResponse(observe)).build())
}
