//! The user, the cluster and the namespace of a command.
use anyhow::Context as _;
use curfew_core::principal::UserInfo;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{Api, Client, Config, api::PostParams};
use std::sync::Arc;

/// A client under the user's kubeconfig, and the namespace of the role.
pub(crate) struct CliContext {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl CliContext {
    pub(crate) async fn connect(namespace: Option<String>) -> anyhow::Result<Self> {
        let config = Config::infer().await.map_err(without_repetition).context("no usable kubeconfig; set KUBECONFIG or log in first")?;
        let client = Client::try_from(config.clone()).context("cannot use the kubeconfig")?;
        Ok(CliContext { client, namespace: namespace.unwrap_or(config.default_namespace) })
    }

    /// The authenticated identity of the user, as the API server sees it. API servers before 1.36 do not fill it in, so the plugin
    /// sends it; the admission policy verifies it in any case.
    pub(crate) async fn who(&self) -> anyhow::Result<UserInfo> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = reviews
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await
            .map_err(plain)
            .context("cannot create a SelfSubjectReview to find out your identity")?;
        let user = review.status.and_then(|status| status.user_info).context("the API server did not return your identity")?;
        Ok(UserInfo {
            username: user.username.unwrap_or_default(),
            uid: user.uid.unwrap_or_default(),
            groups: Arc::new(user.groups.unwrap_or_default()),
            extra: user.extra.unwrap_or_default(),
        })
    }
}

/// Reduces an error to the layer around its innermost cause, which names the file: each further layer of the errors of a kubeconfig
/// repeats the text of the one inside.
fn without_repetition(error: impl std::error::Error) -> anyhow::Error {
    let mut layer: &dyn std::error::Error = &error;
    while let Some(inner) = layer.source().filter(|inner| inner.source().is_some()) {
        layer = inner;
    }
    anyhow::anyhow!("{layer}")
}

/// Reduces an error of the API server to its message.
pub(crate) fn plain(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
        other => other.into(),
    }
}
