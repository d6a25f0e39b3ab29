//! Combined calls: several additions or several removals in one request, each answered as the request for it alone would be.
use super::{Directory, Refusal, now, outcome, started, state::State};
use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Request, State as Extract},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The path of additions.
pub const ADDITIONS: &str = "/batch/additions";
/// The path of removals.
pub const REMOVALS: &str = "/batch/removals";
/// How long a body may be, in bytes.
const BODY_LIMIT: usize = 1 << 20;

#[derive(Deserialize)]
pub struct Items {
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    group: String,
    member: String,
    #[serde(default)]
    expires_at: Option<jiff::Timestamp>,
    #[serde(default)]
    not_after: Option<String>,
}

#[derive(Serialize)]
struct One {
    status: u16,
    body: Value,
}

/// The statuses of the items, for the log.
#[derive(Clone)]
pub struct Statuses(pub Vec<u16>);

/// A write as the log shows it: as the request for one membership.
pub struct Entry {
    pub method: String,
    pub path: String,
    pub not_after: Option<String>,
}

pub async fn additions(Extract(d): Directory, Json(all): Json<Items>) -> Response {
    carry_out(&mut d.state(), &all, |state, item| {
        let end = item.expires_at.map(|t| t.as_millisecond());
        state.add(&item.group, &item.member, end, now())
    })
}

pub async fn removals(Extract(d): Directory, Json(all): Json<Items>) -> Response {
    carry_out(&mut d.state(), &all, |state, item| state.remove(&item.group, &item.member, now()))
}

/// Does each, and answers each. Where the directory takes all or nothing, the first refusal of an item is the answer to the call.
fn carry_out(state: &mut State, all: &Items, one: impl Fn(&mut State, &Item) -> Result<String, Refusal>) -> Response {
    let before = state.clone();
    let outcomes: Vec<_> = all.items.iter().map(|item| one(state, item)).collect();
    let bad = outcomes.iter().find_map(|o| o.as_ref().err().copied().filter(|r| r.is_refusal_of_the_item()));
    if let Some(refusal) = bad.filter(|_| before.config().all_or_nothing) {
        *state = before;
        let (status, body) = outcome(Err(refusal));
        return (status, Json(body)).into_response();
    }
    let answers: Vec<One> =
        outcomes.into_iter().map(|o| outcome(o.map(started))).map(|(s, body)| One { status: s.as_u16(), body }).collect();
    let statuses = Statuses(answers.iter().map(|a| a.status).collect());
    let mut answer = (StatusCode::OK, Json(json!({"answers": answers}))).into_response();
    answer.extensions_mut().insert(statuses);
    answer
}

/// What a request writes, an entry for each membership; a request that is not a combined call is one entry.
pub async fn entries(request: Request) -> (Request, Vec<Entry>) {
    let (head, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let parsed = serde_json::from_slice::<Items>(&bytes).map(|all| all.items).unwrap_or_default();
    let entry = |i: &Item| match head.uri.path() {
        ADDITIONS => Some(Entry { method: "POST".into(), path: format!("/groups/{}/members", i.group), not_after: i.not_after.clone() }),
        REMOVALS => Some(Entry { method: "DELETE".into(), path: format!("/groups/{}/members/{}", i.group, i.member), not_after: None }),
        _ => None,
    };
    let mut entries: Vec<Entry> = parsed.iter().filter_map(entry).collect();
    if entries.is_empty() {
        let not_after = head.headers.get("not-after").and_then(|v| v.to_str().ok()).map(str::to_owned);
        entries.push(Entry { method: head.method.to_string(), path: head.uri.path().to_owned(), not_after });
    }
    (Request::from_parts(head, Body::from(bytes)), entries)
}
