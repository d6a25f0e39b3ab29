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
        let config = Config::infer().await.context("no usable kubeconfig; set KUBECONFIG or log in first")?;
        let client = Client::try_from(config.clone()).context("cannot use the kubeconfig")?;
        Ok(CliContext { client, namespace: namespace.unwrap_or(config.default_namespace) })
    }

    /// Who the API server says we are: the stamp that servers before 1.36 cannot fill in. The admission policy proves it all the same.
    pub(crate) async fn who(&self) -> anyhow::Result<UserInfo> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let answer =
            reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.map_err(plain).context("cannot ask who you are")?;
        let user = answer.status.and_then(|s| s.user_info).context("the server did not say who you are")?;
        Ok(UserInfo {
            username: user.username.unwrap_or_default(),
            uid: user.uid.unwrap_or_default(),
            groups: Arc::new(user.groups.unwrap_or_default()),
            extra: user.extra.unwrap_or_default(),
        })
    }
}

/// The server's own words, without the client's wrapping.
pub(crate) fn plain(e: kube::Error) -> anyhow::Error {
    match e {
        kube::Error::Api(s) => anyhow::anyhow!("{}", s.message),
        other => other.into(),
    }
}
