//! Audit events over HTTP, without TLS.
use super::{counted, line, shared, system};
use axum::body::Body;
use curfew_analytics::live::{intake::router, state::Shared};
use http::{Request, StatusCode};
use serde_json::json;
use std::sync::Arc;
use tower::ServiceExt;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

async fn post(shared: &Arc<Shared>, system: &str, token: Option<&str>, body: String) -> StatusCode {
    let mut ask = Request::post(format!("/audit/{system}"));
    if let Some(token) = token {
        ask = ask.header("authorization", format!("Bearer {token}"));
    }
    router(shared.clone()).oneshot(ask.body(Body::from(body)).unwrap()).await.unwrap().status()
}

/// Events as an API server posts them.
fn list(lines: &[String]) -> String {
    format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{}]}}"#, lines.join(","))
}

#[tokio::test]
async fn only_the_api_server_of_a_system_is_heard_and_what_comes_twice_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let shared = shared(directory.path());
    shared.insert(system("a", json!({"usage": [{"auditWebhook": {}}]})));
    shared.insert(system("b", json!({"usage": [{"auditWebhook": {}}]})));
    shared.insert(system("files", json!({"usage": [{"auditLogs": {"directory": "x"}}]})));
    shared.insert(system("weak", json!({"usage": [{"auditWebhook": {}}]})));
    for (name, token) in [("a", TOKEN), ("files", TOKEN), ("b", "another-token-of-another-api-server"), ("weak", "short"), ("gone", TOKEN)]
    {
        // As a Secret has it that was made from a file.
        std::fs::write(directory.path().join("tokens").join(name), format!("{token}\n")).unwrap();
    }
    let body = list(&[line(1, "u"), line(2, "u"), line(1, "u")]);
    for (system, token) in [
        ("a", None),
        ("a", Some("another-token-of-another-api-server")),
        ("b", Some(TOKEN)),
        ("weak", Some("short")),
        ("gone", Some(TOKEN)),
        ("..%2Fusage.redb", Some(TOKEN)),
        ("a", Some("")),
    ] {
        assert_eq!(post(&shared, system, token, body.clone()).await, StatusCode::UNAUTHORIZED, "{system} {token:?}");
    }
    assert_eq!(post(&shared, "files", Some(TOKEN), body.clone()).await, StatusCode::NOT_FOUND);
    for _ in 0..2 {
        assert_eq!(post(&shared, "a", Some(TOKEN), body.clone()).await, StatusCode::OK);
    }
    assert_eq!((counted(&shared, "a"), counted(&shared, "b")), (vec![("u".into(), 2)], Vec::new()));
    // Of a delivery with an item that is not an event the others count: sent again, it would be the same.
    let odd = list(&[line(3, "u"), "{\"stage\":7}".into()]);
    assert_eq!(post(&shared, "a", Some(TOKEN), odd).await, StatusCode::OK);
    for other in ["", "{", "{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v9\",\"items\":[]}"] {
        let expected = if other.is_empty() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        assert_eq!(post(&shared, "a", Some(TOKEN), other.into()).await, expected, "{other}");
    }
    assert_eq!(counted(&shared, "a"), [("u".into(), 3)]);
    let text = shared.metrics.text();
    assert!(text.contains(r#"curfew_analytics_events_total{system="a",outcome="stored"} 3"#), "{text}");
    assert!(text.contains(r#"curfew_analytics_events_total{system="a",outcome="broken"} 1"#) && !text.contains("\"u\""), "{text}");
}

#[tokio::test]
async fn a_delivery_that_is_too_large_is_refused_before_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let shared = shared(directory.path());
    shared.insert(system("a", json!({"usage": [{"auditWebhook": {}}]})));
    std::fs::write(directory.path().join("tokens/a"), TOKEN).unwrap();
    assert_eq!(post(&shared, "a", Some(TOKEN), " ".repeat((16 << 20) + 1)).await, StatusCode::PAYLOAD_TOO_LARGE);
}

/// A body that never ends is not waited for, and takes no memory, if its sender has no token.
#[tokio::test]
async fn the_token_is_looked_at_before_the_body() {
    let directory = tempfile::tempdir().unwrap();
    let shared = shared(directory.path());
    shared.insert(system("a", json!({"usage": [{"auditWebhook": {}}]})));
    std::fs::write(directory.path().join("tokens/a"), TOKEN).unwrap();
    let endless = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let ask = Request::post("/audit/a").header("authorization", "Bearer of-someone-else").body(endless).unwrap();
    let answer = tokio::time::timeout(std::time::Duration::from_secs(10), router(shared).oneshot(ask)).await;
    assert_eq!(answer.expect("an answer without the body").unwrap().status(), StatusCode::UNAUTHORIZED);
}
