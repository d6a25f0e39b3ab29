//! `kubectl curfew`: thin, over the same API as `kubectl apply`. It holds no rights of its own.

use crate::{ask, decide, init, list};
use anyhow::Context as _;
use clap::{Parser, Subcommand};
use curfew_core::principal::UserInfo;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{Api, Client, Config, api::PostParams};
use std::sync::Arc;

/// Ask for access, decide on it, give it back.
///
/// Everything here can be done with plain kubectl, too: a request is an ActivationRequest, a decision an AccessDecision.
#[derive(Parser, Debug)]
#[command(name = "kubectl curfew", bin_name = "kubectl curfew", version)]
pub struct Plugin {
    /// The namespace of the role. Default: the one of your kubeconfig's context.
    #[arg(short, long, global = true)]
    namespace: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    Request(ask::Ask),
    Approve(decide::Approve),
    /// Say no to a request, as an approver or manager. It ends the access, too, if there is one already.
    #[command(after_help = "Example:\n  kubectl curfew deny payments-admin-x7k2p -n payments --comment 'not during the freeze'")]
    Deny(decide::Against),
    /// End an access, or take back or give back what you asked for yourself.
    #[command(after_help = "Example:\n  kubectl curfew revoke payments-admin-x7k2p -n payments --comment done")]
    Revoke(decide::Against),
    List(list::List),
    Init(init::Init),
}

/// Who runs this, and where.
pub(crate) struct CliContext {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// Runs one verb.
///
/// # Errors
/// What the API server or the input refuses, in words.
pub async fn run(plugin: Plugin) -> anyhow::Result<()> {
    if let Verb::Init(init) = &plugin.verb {
        print!("{}", init::yaml(init, plugin.namespace.as_deref())?);
        return Ok(());
    }
    let me = CliContext::connect(plugin.namespace).await?;
    match plugin.verb {
        Verb::Request(ask) => ask::run(&me, &ask).await,
        Verb::Approve(a) => decide::approve(&me, &a).await,
        Verb::Deny(a) => decide::against(&me, &a, curfew_core::approval::Verb::Deny).await,
        Verb::Revoke(a) => decide::against(&me, &a, curfew_core::approval::Verb::Revoke).await,
        Verb::List(l) => list::run(&me, &l).await,
        Verb::Init(_) => Ok(()),
    }
}

impl CliContext {
    async fn connect(namespace: Option<String>) -> anyhow::Result<Self> {
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
