//! Who calls, and what they may read: the API server decides both.
//!
//! The caller sends a bearer token in the header `X-Curfew-Token` (the API server's service proxy removes `Authorization`) or in `Authorization`.
//! A TokenReview says whose it is. A SubjectAccessReview says whether this user may `get` the subresource `analytics` of the
//! AuthorizationSystem: RBAC on the systems decides. Nothing is cached, so that a right that was taken away is gone at once.
use http::{HeaderMap, StatusCode};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, Resource, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, time::Duration};
use tokio::sync::Semaphore;

/// The header with the token.
pub const HEADER: &str = "x-curfew-token";
/// The audience of tokens that are made for this server and cannot be used at the API server.
pub const AUDIENCE: &str = "curfew-analytics";
/// The subresource of authorizationsystems.curfew.dev of which `get` is asked for.
pub const SUBRESOURCE: &str = "analytics";

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 << 10;
/// How many reviews run at a time.
const REVIEWS: usize = 16;
/// How long a review may take, with the wait for its turn.
const LIMIT: Duration = Duration::from_secs(10);

/// Why a call is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// No token came.
    #[error("no token: send a bearer token of a user or service account of this cluster in the header X-Curfew-Token")]
    NoToken,
    /// The API server does not know the token.
    #[error("the API server does not accept the token: it may have expired, or belong to another cluster")]
    BadToken,
    /// The user has no right to read this.
    #[error(
        "{user} may not read the analytics of {what}: a role needs the rule {{apiGroups: [\"curfew.dev\"], resources: [authorizationsystems/analytics], verbs: [get]}}{names} (a ClusterRole with a ClusterRoleBinding)"
    )]
    Forbidden {
        /// The user name.
        user: String,
        /// The system, in words.
        what: String,
        /// The part of the rule that names it.
        names: String,
    },
    /// The API server did not answer.
    #[error("cannot ask the API server who calls and what they may read: {0}")]
    Unavailable(String),
}

impl Refused {
    /// Its HTTP status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Asks the API server.
pub struct Gate {
    client: Client,
    turns: Semaphore,
}

impl Gate {
    /// With the rights of this client: `create` on tokenreviews and subjectaccessreviews (the ClusterRole `system:auth-delegator`).
    pub fn new(client: Client) -> Self {
        Self { client, turns: Semaphore::new(REVIEWS) }
    }

    /// The user whose token came.
    ///
    /// # Errors
    /// If none came, the API server does not accept it, or it does not answer.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<UserInfo, Refused> {
        let token = token(headers).ok_or(Refused::NoToken)?;
        // First as a token for this server alone, then as one of the API server's own.
        for audiences in [Some(vec![AUDIENCE.to_owned()]), None] {
            let spec = TokenReviewSpec { token: token.to_owned(), audiences: audiences.clone() };
            let status = self.ask(TokenReview { spec, ..TokenReview::default() }).await?.status.unwrap_or_default();
            // An authenticator that does not know audiences returns none: it has not checked that the token is for this server.
            let meant = audiences.is_none() || status.audiences.unwrap_or_default().iter().any(|audience| audience == AUDIENCE);
            if let (Some(true), true, Some(user)) = (status.authenticated, meant, status.user)
                && user.username.as_deref().is_some_and(|name| !name.is_empty())
            {
                return Ok(user);
            }
        }
        Err(Refused::BadToken)
    }

    /// Fails if a user may not read the analytics of a system, or of all systems.
    ///
    /// # Errors
    /// If they may not, or the API server does not answer.
    pub async fn may_read(&self, user: &UserInfo, system: Option<&str>) -> Result<(), Refused> {
        let resource_attributes = ResourceAttributes {
            group: Some("curfew.dev".into()),
            resource: Some("authorizationsystems".into()),
            subresource: Some(SUBRESOURCE.into()),
            verb: Some("get".into()),
            version: Some("*".into()),
            name: system.map(str::to_owned),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
            resource_attributes: Some(resource_attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = self.ask(SubjectAccessReview { spec, ..SubjectAccessReview::default() }).await?;
        if review.status.is_some_and(|status| status.allowed && status.denied != Some(true)) {
            return Ok(());
        }
        let (what, names) = match system {
            Some(system) => (format!("system {system}"), format!(", with or without resourceNames: [{system}]")),
            None => ("all systems".into(), String::new()),
        };
        Err(Refused::Forbidden { user: user.username.clone().unwrap_or_default(), what, names })
    }

    async fn ask<K>(&self, review: K) -> Result<K, Refused>
    where
        K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::all_with(self.client.clone(), &());
        let answer = async {
            let _turn = self.turns.acquire().await.map_err(|e| e.to_string())?;
            api.create(&PostParams::default(), &review).await.map_err(|e| e.to_string())
        };
        tokio::time::timeout(LIMIT, answer).await.unwrap_or_else(|_| Err("no answer in time".into())).map_err(Refused::Unavailable)
    }
}

/// The token of a request.
fn token(headers: &HeaderMap) -> Option<&str> {
    let own = headers.get(HEADER).and_then(|value| value.to_str().ok()).map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
    let standard = || headers.get(http::header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ");
    own.or_else(standard).map(str::trim).filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_in_either_header_and_never_in_both_forms_at_once() {
        let headers =
            |pairs: &[(&'static str, &str)]| pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect::<HeaderMap>();
        assert_eq!(token(&headers(&[("x-curfew-token", "abc")])), Some("abc"));
        assert_eq!(token(&headers(&[("x-curfew-token", "Bearer abc")])), Some("abc"));
        assert_eq!(token(&headers(&[("authorization", "Bearer abc")])), Some("abc"));
        assert_eq!(token(&headers(&[("x-curfew-token", "own"), ("authorization", "Bearer other")])), Some("own"));
        for none in [&[("authorization", "Basic abc")][..], &[("x-curfew-token", "  ")], &[]] {
            assert_eq!(token(&headers(none)), None, "{none:?}");
        }
        assert_eq!(token(&headers(&[("x-curfew-token", &"a".repeat(MAX_TOKEN + 1))])), None);
    }
}
