//! The notifications of CurfewConfig: the channels, and who is told what.
use super::{endpoint::Transport, system::SecretKey};
use curfew_core::{
    notice::{
        Level, NoticeEvent, Recipient,
        matrix::{Matrix, Rule, SubjectAddresses},
    },
    principal::Subject,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an e-mail address looks like that can be written into a header (`notice::matrix::is_address`).
const ADDRESS: &str = "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+$";

/// Which notifications are sent, and where. Kubernetes Events are published in any case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notifications {
    /// The channels. Nothing waits for a channel: what it does not take within an hour is given up and counted.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub channels: Vec<Channel>,
    /// What differs from the default recipients. Of several rules for one event and recipient the last holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 48), extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<NotificationRule>,
    /// The e-mail addresses of users and groups. A user whose name is an address needs no entry. The members of a group are not known, so a group without an entry is not told by e-mail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<Address>,
    /// What stands before the address in user names, such as `oidc:`. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub user_name_prefix: Option<String>,
    /// The e-mail addresses of the administrators of Curfew, who receive the weekly digest, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 3, max = 254), regex(pattern = ADDRESS)), extend("x-kubernetes-list-type" = "set"))]
    pub admins: Vec<String>,
    /// The URL of a console. A notification about a request links to `<consoleURL>/requests/<namespace>/<name>`. Default: no link.
    #[serde(rename = "consoleURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^https?://[^<>|[:space:]]+$"))]
    pub console_url: Option<String>,
}

/// A place where notifications are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// Its name, in metrics and in the log.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// How it is reached.
    pub via: Via,
    /// For whom the channel is: it takes what one of these is told. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "set"))]
    pub recipients: Vec<Recipient>,
    /// `Critical`: only what needs an action. Default: `All`.
    #[serde(default)]
    pub level: Level,
    /// How many notifications the channel takes in an hour; of an e-mail channel each address. One namespace gets at most half of what the others have left of them. Further ones are not sent but counted, and told by one summary when the hour is over. Break-glass, reviews that are outstanding, uses of emergency accounts and revocations that are stuck are sent in any case. Default: 60, and 1000 for `cloudEvents`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_per_hour: Option<u32>,
}

/// How a channel is reached. Exactly one member is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
#[serde(rename_all = "camelCase")]
pub enum Via {
    /// CloudEvents 1.0 by HTTP POST, in structured mode (JSON).
    CloudEvents(CloudEvents),
    /// An incoming webhook of Slack, or of a chat that takes the same form.
    Slack(Slack),
    /// E-mail.
    Smtp(Smtp),
}

/// An endpoint that takes CloudEvents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudEvents {
    /// The Secret key that holds the URL, in the operator's namespace. It must begin with `https://`, except for a loopback address and where `transport` allows it. Redirects are not followed.
    pub url_secret_ref: SecretKey,
    /// The Secret key that holds a bearer token, in the operator's namespace. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_secret_ref: Option<SecretKey>,
    /// The Secret key that holds the key of an HMAC-SHA256 signature, in the operator's namespace. The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` are those of the Standard Webhooks specification. Default: not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_secret_ref: Option<SecretKey>,
    /// How the connection is protected. Default: `Tls`.
    #[serde(default)]
    pub transport: Transport,
    /// The Secret key that holds certificates of authorities as PEM, in the operator's namespace: the server's certificate must be from one of them. Default: those that the platform trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKey>,
}

/// An incoming webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slack {
    /// The Secret key that holds the URL, in the operator's namespace: everyone who knows it can write to the channel. It must begin with `https://`, except for a loopback address and where `transport` allows it. Redirects are not followed.
    pub url_secret_ref: SecretKey,
    /// How the connection is protected. Default: `Tls`.
    #[serde(default)]
    pub transport: Transport,
    /// The Secret key that holds certificates of authorities as PEM, in the operator's namespace: the server's certificate must be from one of them. Default: those that the platform trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKey>,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "!has(self.credentials) || !has(self.security) || self.security != 'None'", "message": "a password is not sent over a connection without TLS: set security to StartTls or Tls, or leave credentials out"}]))]
#[serde(rename_all = "camelCase")]
pub struct Smtp {
    /// The name of the server.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// The port. Default: 587 for `StartTls`, 465 for `Tls`, 25 for `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// How the connection is protected. Default: `StartTls`.
    #[serde(default)]
    pub security: Security,
    /// The sender.
    #[schemars(length(min = 3, max = 254), regex(pattern = ADDRESS))]
    pub from: String,
    /// The Secret key that holds certificates of authorities as PEM, in the operator's namespace: the server's certificate must be from one of them. Default: those that the platform trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKey>,
    /// The login. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Security {
    /// TLS after the greeting. A server that does not offer it gets nothing.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// None: everyone on the way can read and change the notifications. Not with credentials.
    None,
}

/// The login at a mail server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The user name.
    #[schemars(length(min = 1, max = 253))]
    pub username: String,
    /// The Secret key that holds the password, in the operator's namespace.
    pub password_secret_ref: SecretKey,
}

/// What differs from the default recipients of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationRule {
    /// What has happened.
    pub event: NoticeEvent,
    /// In which role a user is told.
    pub recipient: Recipient,
    /// Whether these recipients are told.
    pub defaults: bool,
    /// Addresses that are told in any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 3, max = 254), regex(pattern = ADDRESS)), extend("x-kubernetes-list-type" = "set"))]
    pub additional: Vec<String>,
}

/// Where a user or group is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// The user or group, exactly as roles and logins name it.
    pub subject: Subject,
    /// The e-mail addresses.
    #[schemars(length(min = 1, max = 16), inner(length(min = 3, max = 254), regex(pattern = ADDRESS)), extend("x-kubernetes-list-type" = "set"))]
    pub to: Vec<String>,
}

impl Notifications {
    /// Who is told what.
    pub fn matrix(&self) -> Matrix {
        let rule = |rule: &NotificationRule| Rule {
            event: rule.event,
            recipient: rule.recipient,
            defaults: rule.defaults,
            additional: rule.additional.clone(),
        };
        let addresses = |address: &Address| SubjectAddresses { subject: address.subject.clone(), to: address.to.clone() };
        Matrix {
            rules: self.rules.iter().map(rule).collect(),
            addresses: self.addresses.iter().map(addresses).collect(),
            admins: self.admins.clone(),
            user_name_prefix: self.user_name_prefix.clone().unwrap_or_default(),
        }
    }
}

impl Channel {
    /// For whom the channel is.
    pub fn recipients(&self) -> &[Recipient] {
        if self.recipients.is_empty() { &Recipient::ALL } else { &self.recipients }
    }

    /// How many notifications one recipient gets in an hour.
    pub fn max_per_hour(&self) -> u32 {
        self.max_per_hour.unwrap_or(match self.via {
            Via::CloudEvents(_) => 1000,
            Via::Slack(_) | Via::Smtp(_) => 60,
        })
    }
}

impl Smtp {
    /// The port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            Security::StartTls => 587,
            Security::Tls => 465,
            Security::None => 25,
        })
    }
}
