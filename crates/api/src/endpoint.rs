//! What endpoints outside of the cluster have in common: notifications and the audit log go there.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the connection to an HTTP endpoint is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Transport {
    /// TLS. A URL that begins with `http://` is refused, unless its host is a loopback address.
    #[default]
    Tls,
    /// None: a URL may begin with `http://`, and everyone on the way can read and change what is sent.
    Plaintext,
}
