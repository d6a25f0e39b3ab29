//! The HTTP API of the simulated directory, and what its answers mean.
use super::combined::{Addition, Removal};
use crate::{
    providers::port::ProviderError,
    runtime::http::{HttpAnswer, HttpClient},
};
use curfew_core::{target::simulated::Group, time::Time};
use http::{HeaderMap, Method, Request, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// A client of one directory.
pub struct Directory {
    endpoint: String,
    http: HttpClient,
}

/// What the target makes of a new membership.
pub enum Accepted {
    /// It works on it, under this operation id.
    Running(String),
    /// There is one already.
    ExistsAlready,
}

/// What the target makes of a removal.
pub enum Removed {
    /// It works on it, under this operation id.
    Running(String),
    /// It says that there is no such membership. That proves nothing by itself.
    NotThere,
    /// It refuses to remove a membership this young, and says so in these words.
    TooEarly(String),
}

/// Whether an operation still runs.
#[derive(PartialEq, Eq)]
pub enum Running {
    /// It does.
    Yes,
    /// It has succeeded.
    Succeeded,
    /// It has failed, or the target does not know it; why, in words.
    Failed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    member: String,
    #[serde(default)]
    expires_at: Option<Time>,
}

impl Directory {
    pub fn new(endpoint: &str, http: HttpClient) -> Self {
        Directory { endpoint: endpoint.trim_end_matches('/').to_owned(), http }
    }

    pub async fn identity(&self) -> Result<String, ProviderError> {
        #[derive(Deserialize)]
        struct Identity {
            id: String,
        }
        self.get::<Identity>("/identity").await.map(|i| i.id)
    }

    pub async fn groups(&self) -> Result<Vec<Group>, ProviderError> {
        #[derive(Deserialize)]
        struct Groups {
            groups: Vec<Group>,
        }
        self.get::<Groups>("/groups").await.map(|g| g.groups)
    }

    /// The names of the groups whose members this client may change.
    pub async fn manageable_groups(&self) -> Result<Vec<String>, ProviderError> {
        #[derive(Deserialize)]
        struct Rights {
            groups: Vec<String>,
        }
        self.get::<Rights>("/rights").await.map(|r| r.groups)
    }

    /// Whether the directory ends memberships at their end dates.
    pub async fn obeys_end_dates(&self) -> Result<bool, ProviderError> {
        #[derive(Deserialize)]
        struct Expiry {
            enforced: bool,
        }
        self.get::<Expiry>("/expiry").await.map(|e| e.enforced)
    }

    pub async fn is_member(&self, group: &str, member: &str) -> Result<bool, ProviderError> {
        Ok(self.member(group, member).await?.is_some())
    }

    /// The end date of a membership; `None` if it has none or does not exist.
    pub async fn ends_at(&self, group: &str, member: &str) -> Result<Option<Time>, ProviderError> {
        Ok(self.member(group, member).await?.and_then(|m| m.expires_at))
    }

    async fn member(&self, group: &str, member: &str) -> Result<Option<Member>, ProviderError> {
        #[derive(Deserialize)]
        struct Members {
            members: Vec<Member>,
        }
        match self.get::<Members>(&format!("/groups/{group}/members")).await {
            Ok(listed) => Ok(listed.members.into_iter().find(|m| m.member == member)),
            // A group that is gone has no members. Its id is never given to another group.
            Err(ProviderError::Gone) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Adds one membership. The target is told that nothing is sent after `until`, and does not care.
    pub async fn add(&self, new: &Addition) -> Result<Accepted, ProviderError> {
        let body = json!({"member": new.member, "expiresAt": new.end});
        addition(&self.send(Method::POST, &format!("/groups/{}/members", new.group), Some(body), Some(new.until)).await?)
    }

    /// Adds several in one call, each with a time limit of its own.
    pub async fn add_all(&self, new: &[Addition]) -> Result<Vec<Result<Accepted, ProviderError>>, ProviderError> {
        let item = |a: &Addition| json!({"group": a.group, "member": a.member, "expiresAt": a.end, "notAfter": a.until});
        let answers = self.combined("/batch/additions", new.iter().map(item).collect()).await?;
        Ok(answers.iter().map(addition).collect())
    }

    /// Moves the end date of a membership to a later time. One without an end date keeps none. `None` if nothing changes.
    pub async fn extend(&self, group: &str, member: &str, end: Time, until: Time) -> Result<Option<String>, ProviderError> {
        let path = format!("/groups/{group}/members/{member}/extend");
        let answer = self.send(Method::POST, &path, Some(json!({"expiresAt": end})), Some(until)).await?;
        if answer.status == StatusCode::NO_CONTENT { Ok(None) } else { accepted(&answer).map(Some) }
    }

    /// Removes one membership.
    pub async fn remove(&self, old: &Removal) -> Result<Removed, ProviderError> {
        removal(&self.send(Method::DELETE, &format!("/groups/{}/members/{}", old.group, old.member), None, None).await?)
    }

    /// Removes several in one call.
    pub async fn remove_all(&self, old: &[Removal]) -> Result<Vec<Result<Removed, ProviderError>>, ProviderError> {
        let item = |r: &Removal| json!({"group": r.group, "member": r.member});
        let answers = self.combined("/batch/removals", old.iter().map(item).collect()).await?;
        Ok(answers.iter().map(removal).collect())
    }

    /// One call for several memberships, and the answer to each, as the request for it alone would have been answered.
    async fn combined(&self, path: &str, items: Vec<Value>) -> Result<Vec<HttpAnswer>, ProviderError> {
        #[derive(Deserialize)]
        struct One {
            status: u16,
            #[serde(default)]
            body: Value,
        }
        #[derive(Deserialize)]
        struct Answers {
            answers: Vec<One>,
        }
        let answer = self.send(Method::POST, path, Some(json!({"items": items})), None).await?;
        if answer.status != StatusCode::OK {
            return Err(refusal(&answer));
        }
        let single = |one: One| HttpAnswer {
            status: StatusCode::from_u16(one.status).unwrap_or(StatusCode::BAD_GATEWAY),
            headers: HeaderMap::new(),
            body: one.body.to_string().into_bytes(),
        };
        Ok(parsed::<Answers>(&answer)?.answers.into_iter().map(single).collect())
    }

    pub async fn operation(&self, id: &str) -> Result<Running, ProviderError> {
        #[derive(Deserialize)]
        struct Operation {
            state: String,
            #[serde(default)]
            error: String,
        }
        match self.get::<Operation>(&format!("/operations/{id}")).await {
            Ok(o) => Ok(match o.state.as_str() {
                "running" => Running::Yes,
                "succeeded" => Running::Succeeded,
                _ => Running::Failed(format!("operation {id} ended as {}: {}", o.state, o.error)),
            }),
            Err(ProviderError::Gone) => Ok(Running::Failed(format!("the target does not know operation {id} any more"))),
            Err(e) => Err(e),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ProviderError> {
        let answer = self.send(Method::GET, path, None, None).await?;
        if answer.status.is_success() { parsed(&answer) } else { Err(refusal(&answer)) }
    }

    async fn send(&self, method: Method, path: &str, content: Option<Value>, until: Option<Time>) -> Result<HttpAnswer, ProviderError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.endpoint));
        if content.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(until) = until {
            request = request.header("not-after", until.to_string());
        }
        let body = content.map(|c| c.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(body).map_err(|e| ProviderError::Invalid(format!("the endpoint of the directory: {e}")))?;
        self.http.send(request).await.map_err(|e| ProviderError::Transient { message: e.to_string(), retry_after: None })
    }
}

/// What the answer to one addition means.
fn addition(answer: &HttpAnswer) -> Result<Accepted, ProviderError> {
    if answer.status == StatusCode::CONFLICT { Ok(Accepted::ExistsAlready) } else { accepted(answer).map(Accepted::Running) }
}

/// What the answer to one removal means.
fn removal(answer: &HttpAnswer) -> Result<Removed, ProviderError> {
    match (answer.status, code(answer).as_deref()) {
        (StatusCode::NOT_FOUND, _) => Ok(Removed::NotThere),
        (StatusCode::BAD_REQUEST, Some("ActiveDurationTooShort")) => Ok(Removed::TooEarly(message(answer))),
        _ => accepted(answer).map(Removed::Running),
    }
}

/// The id of the operation that the target has accepted.
fn accepted(answer: &HttpAnswer) -> Result<String, ProviderError> {
    #[derive(Deserialize)]
    struct Operation {
        operation: String,
    }
    if answer.status == StatusCode::ACCEPTED { parsed::<Operation>(answer).map(|o| o.operation) } else { Err(refusal(answer)) }
}

fn parsed<T: DeserializeOwned>(answer: &HttpAnswer) -> Result<T, ProviderError> {
    let not_understood = |e| ProviderError::Transient { message: format!("the answer is not understood: {e}"), retry_after: None };
    serde_json::from_slice(&answer.body).map_err(not_understood)
}

fn code(answer: &HttpAnswer) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    body.pointer("/error/code")?.as_str().map(str::to_owned)
}

fn message(answer: &HttpAnswer) -> String {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let text = body.as_ref().and_then(|b| b.pointer("/error/message")?.as_str());
    text.map_or_else(|| format!("{} {}", answer.status, answer.excerpt()), str::to_owned)
}

/// What a refusal means: each kind has an answer of its own.
fn refusal(answer: &HttpAnswer) -> ProviderError {
    let message = message(answer);
    match answer.status {
        StatusCode::NOT_FOUND => ProviderError::Gone,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ProviderError::Denied(message),
        StatusCode::TOO_MANY_REQUESTS => ProviderError::Transient { message, retry_after: answer.retry_after() },
        status if status.is_client_error() => ProviderError::Invalid(message),
        _ => ProviderError::Transient { message, retry_after: answer.retry_after() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, header::RETRY_AFTER};
    use std::time::Duration;

    fn answer(status: u16, code: &str) -> HttpAnswer {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "3".parse().unwrap());
        let body = json!({"error": {"code": code, "message": "why"}}).to_string().into_bytes();
        HttpAnswer { status: StatusCode::from_u16(status).unwrap(), headers, body }
    }

    #[test]
    fn each_status_is_one_kind_of_error() {
        let busy = || ProviderError::Transient { message: "why".into(), retry_after: Some(Duration::from_secs(3)) };
        assert_eq!(refusal(&answer(429, "")), busy());
        assert_eq!(refusal(&answer(503, "")), busy());
        assert_eq!(refusal(&answer(403, "")), ProviderError::Denied("why".into()));
        assert_eq!(refusal(&answer(400, "")), ProviderError::Invalid("why".into()));
        assert_eq!(refusal(&answer(404, "")), ProviderError::Gone);
    }
}
