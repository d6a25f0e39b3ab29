//! The user, the cluster and the namespace of a command.
use anyhow::Context as _;
use curfew_api::{CONFIG_NAME, CurfewConfig, config::Identity};
use curfew_core::principal::UserInfo;
use k8s_openapi::{
    api::authentication::v1::SelfSubjectReview,
    serde::{Serialize, de::DeserializeOwned},
};
use kube::{Api, Client, Config, api::PostParams};
use std::{fmt::Debug, sync::Arc};

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

    /// Creates an object whose identity the API server fills in. Where it does not, because it is too old or has just started, the plugin
    /// sends it; the admission policy verifies it in any case.
    pub(crate) async fn create<K>(&self, api: &Api<K>, refusal: &str, make: impl Fn(Option<UserInfo>) -> K) -> anyhow::Result<K>
    where
        K: Clone + DeserializeOwned + Serialize + Debug,
    {
        match api.create(&PostParams::default(), &make(None)).await {
            Err(kube::Error::Api(status)) if status.message.contains(refusal) => {
                let record = record(&self.who().await?, &self.config().await?.recorded_keys());
                api.create(&PostParams::default(), &make(Some(record))).await.map_err(plain)
            }
            outcome => outcome.map_err(plain),
        }
    }

    /// `spec.identity` of CurfewConfig.
    pub(crate) async fn config(&self) -> anyhow::Result<Identity> {
        let configs: Api<CurfewConfig> = Api::all(self.client.clone());
        let config = configs.get(CONFIG_NAME).await.map_err(plain);
        Ok(config.with_context(|| format!("cannot read CurfewConfig {CONFIG_NAME}, which names the extra keys of a login"))?.spec.identity)
    }

    /// The authenticated identity of the user, as the API server sees it, with every extra key.
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

/// What is recorded of a login: of its extra keys only those that are configured, with an empty list where it has none.
fn record(login: &UserInfo, keys: &[String]) -> UserInfo {
    let extra = keys.iter().map(|key| (key.clone(), login.extra.get(key).cloned().unwrap_or_default())).collect();
    UserInfo { extra, ..login.clone() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configured_keys_are_sent_and_each_of_them() {
        let values = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
        let extra = [("a".to_owned(), values(&["1"])), ("scopes".to_owned(), values(&["secret"]))].into();
        let login = UserInfo { username: "alice".into(), extra, ..UserInfo::default() };
        let sent = record(&login, &["a".to_owned(), "b".to_owned()]);
        assert_eq!(sent.extra, [("a".to_owned(), values(&["1"])), ("b".to_owned(), Vec::new())].into());
        assert_eq!(sent.username, "alice");
    }
}
