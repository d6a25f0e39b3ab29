//! The client: no silent retries, a name of its own, and an eye on the server's clock.
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
    // kube would retry a POST for minutes behind our back; our own retry decides again first.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.headers.push((header::USER_AGENT, HeaderValue::from_static(concat!("curfew/", env!("CARGO_PKG_VERSION")))));
    Ok(ClientBuilder::try_from(config)?.with_layer(&ObserveDate(clock)).build())
}
