//! The Kubernetes client: no silent retries, its own user agent, and a layer that observes the server's clock.
use crate::authority::{Clock, ObserveDate};
use http::{HeaderValue, header};
use kube::{Client, Config, client::ClientBuilder};
use std::{sync::Arc, time::Duration};

/// A client from `KUBECONFIG` or the service account, for this cluster.
///
/// # Errors
/// If there is no usable configuration.
pub async fn connect(clock: Arc<Clock>) -> anyhow::Result<Client> {
    let mut config = Config::infer().await?;
    // kube would silently retry a POST for minutes; our own retries decide again first.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.headers.push((header::USER_AGENT, HeaderValue::from_static(concat!("curfew/", env!("CARGO_PKG_VERSION")))));
    Ok(ClientBuilder::try_from(config)?.with_layer(&ObserveDate(clock)).build())
}
