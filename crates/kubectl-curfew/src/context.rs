//! The user, the cluster and the namespace of a command.
use anyhow::Context as _;
use curfew_api::{CONFIG_NAME, CurfewConfig, convert, schema::says_missing};
use curfew_core::{principal::UserInfo, time::Time};
use k8s_openapi::{api::authentication::v1::SelfSubjectReview, jiff::Timestamp};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, path::PathBuf};

/// Which cluster, user and namespace a command uses: the options of every command.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Connection {
    /// Namespace of the role. Default: the namespace of the kubeconfig context.
    #[arg(short, long, global = true, help_heading = "Connection")]
    pub(crate) namespace: Option<String>,
    /// Context of the kubeconfig. Default: the current one.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Connection")]
    pub(crate) context: Option<String>,
    /// Path of the kubeconfig. Default: the files that KUBECONFIG names, or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

impl Connection {
    async fn config(&self) -> anyhow::Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        match (&self.kubeconfig, &self.context) {
            (Some(path), _) => {
                let file = Kubeconfig::read_from(path).map_err(without_repetition);
                let file = file.with_context(|| format!("--kubeconfig {} cannot be used", path.display()))?;
                let config = Config::from_custom_kubeconfig(file, &options).await.map_err(without_repetition);
                config.with_context(|| format!("--kubeconfig {} cannot be used", path.display()))
            }
            (None, Some(context)) => {
                let config = Config::from_kubeconfig(&options).await.map_err(without_repetition);
                config.with_context(|| format!("--context {context} cannot be used; kubectl config get-contexts lists them"))
            }
            (None, None) => {
                Config::infer().await.map_err(without_repetition).context("no usable kubeconfig; set KUBECONFIG or log in first")
            }
        }
    }
}

/// A client under the user's kubeconfig, and the namespace of the role.
pub(crate) struct CliContext {
    pub(crate) client: Client,
    /// What the client was made from.
    pub(crate) kubeconfig: Config,
    pub(crate) namespace: String,
}

/// The time of this machine. Nothing is decided by it: the operator goes by the API server's.
pub(crate) fn now() -> Time {
    Time::from_millis(Timestamp::now().as_millisecond())
}

impl CliContext {
    pub(crate) async fn connect(connection: &Connection) -> anyhow::Result<Self> {
        let config = connection.config().await?;
        let client = Client::try_from(config.clone()).context("cannot use the kubeconfig")?;
        let namespace = connection.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(CliContext { client, kubeconfig: config, namespace })
    }

    /// Creates an object whose identity the API server fills in, in this field. Where it does not, because it is older than Kubernetes 1.36 or
    /// has just started, the plugin sends it; the admission policy verifies it in any case.
    pub(crate) async fn create<K>(
        &self,
        api: &Api<K>,
        params: &PostParams,
        field: &str,
        make: impl Fn(Option<UserInfo>) -> K,
    ) -> anyhow::Result<K>
    where
        K: Clone + DeserializeOwned + Serialize + Debug,
    {
        match api.create(params, &make(None)).await {
            Err(kube::Error::Api(status)) if says_missing(&status.message, field) => {
                api.create(params, &make(Some(self.record().await?))).await.map_err(plain)
            }
            outcome => outcome.map_err(plain),
        }
    }

    /// What the API server would record of this login, and proves if it is sent.
    pub(crate) async fn record(&self) -> anyhow::Result<UserInfo> {
        Ok(self.who().await?.recorded(&self.config().await?.spec.identity.recorded_keys()))
    }

    /// CurfewConfig, which every login may read.
    pub(crate) async fn config(&self) -> anyhow::Result<CurfewConfig> {
        let configs: Api<CurfewConfig> = Api::all(self.client.clone());
        let config = configs.get(CONFIG_NAME).await.map_err(plain);
        config.with_context(|| format!("cannot read CurfewConfig {CONFIG_NAME}, which names the extra keys of a login"))
    }

    /// The authenticated identity of the user, as the API server sees it, with every extra key.
    pub(crate) async fn who(&self) -> anyhow::Result<UserInfo> {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = reviews
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await
            .map_err(plain)
            .context("cannot create a SelfSubjectReview to find out your identity")?;
        convert::login(review).context("the API server did not return your identity")
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

/// How the text of [`no_answer`] begins.
pub(crate) const NO_ANSWER: &str = "the API server does not answer";

/// What the API server answers for a kind that it does not serve.
const NOT_SERVED: [&str; 2] = ["404 page not found", "the server could not find the requested resource"];

/// That no connection came about, with the innermost cause alone: each layer outside repeats that there is one.
pub(crate) fn no_answer(error: &kube::Error) -> Option<String> {
    let kube::Error::Service(service) = error else { return None };
    let mut cause: &dyn std::error::Error = &**service;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Some(format!("{NO_ANSWER}: {cause}"))
}

/// Reduces an error of the API server to its message, and says what to do where the message does not.
pub(crate) fn plain(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if NOT_SERVED.iter().any(|told| status.message.contains(told)) => anyhow::anyhow!(
            "this API server does not serve Curfew's kinds; kubectl apply --server-side -f crds/ installs them, and kubectl curfew doctor says more"
        ),
        kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
        other => match no_answer(&other) {
            Some(told) => anyhow::anyhow!("{told}; kubectl cluster-info shows its address, and --context chooses another one"),
            None => other.into(),
        },
    }
}
