//! What does not matter: how often an event is read, and in which order.
use crate::cluster::{Cluster, row};
use serde_json::json;

fn used() -> Cluster {
    Cluster::new()
        .role("r", &["*"], "", &["pods"])
        .bind("", "r", "User", "u")
        .event("u", "get", "pods", "a", 3)
        .event("u", "list", "pods", "", 1)
}

/// Also events without an identifier, and those of each stage of one request.
#[test]
fn an_event_that_is_read_twice_gives_the_same_report() {
    let mut once = used().with_field("/auditID", json!(""));
    once.events[0]["auditID"] = json!("");
    let twice = Cluster { events: [once.events.clone(), once.events.clone()].concat(), ..once.clone() };
    let without_input = |cluster: &Cluster| {
        let mut report = cluster.report();
        report.input = Default::default();
        report
    };
    assert!(without_input(&once) == without_input(&twice));
    assert_eq!((once.report().input.uses, twice.report().input.uses), (2, 4));
}

/// A watch or a terminal that is still open has no ResponseComplete yet.
#[test]
fn a_stream_is_a_use_from_its_start() {
    let cluster = Cluster::new().role("r", &["watch"], "", &["pods"]).bind("", "r", "User", "u").event("u", "watch", "pods", "a", 1);
    let started = cluster.with_field("/stage", json!("ResponseStarted"));
    assert_eq!(started.places(&crate::cluster::user(), "watch core/pods").1, "a");
    assert!(row(&started.report(), "u").last_used.is_some());
    for stage in ["RequestReceived", "Panic"] {
        let other = started.clone().with_field("/stage", json!(stage));
        assert_eq!(other.places(&crate::cluster::user(), "watch core/pods").1, "nowhere");
        assert_eq!(other.report().input.other_stages, 1);
    }
    let refused = started.code(403);
    assert_eq!((refused.report().input.not_successful, refused.report().input.uses), (1, 0));
}
