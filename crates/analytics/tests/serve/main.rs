//! The server of questions: who may ask, what is asked, and whether the answers agree with one another. The API server that decides is played
//! by a service here; `serve_cluster.rs` has a real one.
#![cfg(feature = "live")]
mod company;

use company::Company;
use curfew_analytics::{
    details::UseState,
    serve::{auth::Gate, router::router, systems::Systems},
};
use http::{Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
};
use tower::{BoxError, ServiceExt, service_fn};

/// The recorded company, read once.
fn company() -> Company {
    static COMPANY: OnceLock<Company> = OnceLock::new();
    COMPANY.get_or_init(Company::read).clone()
}

/// What was asked of the API server.
type Asked = Arc<Mutex<Vec<Value>>>;

/// Answers reviews: token `T` is user `T`, if it is one of these. `all` may read everything, `prod` the system prod, `bound` the same by a
/// token for this server alone, `lax` comes from an authenticator that knows no audiences, `broken` finds the API server out of order.
fn api_server(asked: Asked) -> Client {
    let answer = move |request: Request<Body>| {
        let asked = asked.clone();
        async move {
            let bytes = axum::body::to_bytes(axum::body::Body::new(request.into_body()), 1 << 20).await.map_err(BoxError::from)?;
            let mut review: Value = serde_json::from_slice(&bytes)?;
            asked.lock().unwrap().push(review.clone());
            let (spec, kind) = (review["spec"].clone(), review["kind"].as_str().unwrap_or_default().to_owned());
            let (status, code) = match kind.as_str() {
                "TokenReview" => token_review(&spec),
                "SubjectAccessReview" => (access_review(&spec), 201),
                other => panic!("{other}"),
            };
            review["status"] = status;
            let body = if code == 201 { review } else { json!({"kind": "Status", "message": "etcd is gone", "code": code}) };
            Ok::<_, BoxError>(Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap())
        }
    };
    Client::new(service_fn(answer), "default")
}

fn token_review(spec: &Value) -> (Value, u16) {
    let (token, for_us) = (spec["token"].as_str().unwrap(), spec["audiences"] == json!(["curfew-analytics"]));
    let user = json!({"username": token, "groups": ["staff"], "uid": "u", "extra": {"scopes": ["a"]}});
    match token {
        "broken" => (Value::Null, 500),
        "bound" if for_us => (json!({"authenticated": true, "user": user, "audiences": ["curfew-analytics"]}), 201),
        // This authenticator does not say for whom the token is.
        "lax" if for_us => (json!({"authenticated": true, "user": user}), 201),
        "all" | "prod" | "none" if !for_us => (json!({"authenticated": true, "user": user}), 201),
        _ => (json!({"authenticated": false, "error": "unknown"}), 201),
    }
}

fn access_review(spec: &Value) -> Value {
    let on = &spec["resourceAttributes"];
    let attributes = [&on["verb"], &on["group"], &on["resource"], &on["subresource"]];
    assert_eq!(attributes, ["get", "curfew.dev", "authorizationsystems", "analytics"]);
    assert_eq!((&spec["groups"], &spec["uid"], &spec["extra"]["scopes"]), (&json!(["staff"]), &json!("u"), &json!(["a"])));
    let allowed = match spec["user"].as_str().unwrap() {
        "all" => true,
        "prod" | "bound" => on["name"] == "prod",
        _ => false,
    };
    json!({"allowed": allowed})
}

struct Server {
    asked: Asked,
}

impl Server {
    fn new() -> Self {
        Self { asked: Asked::default() }
    }
    async fn call(&self, token: Option<&str>, path: &str) -> (StatusCode, Response<axum::body::Body>) {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header("X-Curfew-Token", token);
        }
        let router = router(Arc::new(company()), Gate::new(api_server(self.asked.clone())));
        let response = router.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        (response.status(), response)
    }
    async fn text(&self, token: Option<&str>, path: &str) -> (StatusCode, String) {
        let (status, response) = self.call(token, path).await;
        let bytes = axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }
    async fn json(&self, path: &str) -> Value {
        let (status, text) = self.text(Some("all"), path).await;
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }
}

fn message(text: &str) -> String {
    let status: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Failure")), "{text}");
    status["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn rbac_on_the_systems_decides() {
    let server = Server::new();
    let identities = "/v1/systems/prod/identities";
    for (token, status) in [
        (None, 401),
        (Some("forged"), 401),
        (Some("lax"), 401),
        (Some("none"), 403),
        (Some("broken"), 503),
        (Some("prod"), 200),
        (Some("bound"), 200),
        (Some("all"), 200),
    ] {
        let (code, text) = server.text(token, identities).await;
        assert_eq!(code, status, "{token:?}: {text}");
        if code != 200 {
            assert!(!text.contains("alice"), "{token:?}: {text}");
        }
    }
    let (_, text) = server.text(Some("none"), identities).await;
    let told = message(&text);
    assert!(
        told.contains("none may not read the analytics of system prod") && told.contains("resources: [authorizationsystems/analytics]"),
        "{told}"
    );
    let (_, text) = server.text(Some("broken"), identities).await;
    assert!(message(&text).contains("cannot ask the API server"), "{text}");
    // Who may not read a system is not told whether it exists.
    let (exists, not) =
        (server.text(Some("prod"), "/v1/systems/new/report").await, server.text(Some("prod"), "/v1/systems/gone/report").await);
    assert_eq!((exists.0, not.0), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN));
    assert_eq!(message(&exists.1).replace("new", "X"), message(&not.1).replace("gone", "X"));
    // Without a token the API server is not asked.
    let quiet = Server::new();
    quiet.text(None, identities).await;
    assert!(quiet.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_list_has_only_the_systems_that_the_caller_may_read() {
    let server = Server::new();
    let names = async |token: &str| {
        let (status, text) = server.text(Some(token), "/v1/systems").await;
        assert_eq!(status, 200, "{text}");
        let all: Value = serde_json::from_str(&text).unwrap();
        all["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("all").await, ["new", "prod"]);
    assert_eq!(names("prod").await, ["prod"]);
    assert!(names("none").await.is_empty());
    let (_, text) = server.text(Some("all"), "/v1/systems?output=table").await;
    assert!(text.contains("no audit event came yet") && text.contains("prod"), "{text}");
}

#[tokio::test]
async fn what_has_no_answer_says_what_to_do() {
    let server = Server::new();
    let refused = async |path: &str, status: u16| {
        let (code, text) = server.text(Some("all"), path).await;
        assert_eq!(code, status, "{path}: {text}");
        message(&text)
    };
    assert!(refused("/v1/systems/gone/report", 404).await.contains("kubectl get authsys"));
    assert!(refused("/v1/systems/new/report", 503).await.contains("no audit event came yet"));
    assert!(refused("/v1/systems/prod/scores", 400).await.contains("use one of report, summary"));
    assert!(refused("/v1/systems/prod/identities?bnad=high", 400).await.contains("has no parameter bnad"));
    assert!(refused("/v1/systems/prod/identity?name=alice", 404).await.contains("there is alice@example.com"));
    assert!(refused("/v1/systems/prod/identity", 400).await.contains("needs name="));
    assert!(refused("/other", 404).await.contains("/v1/systems"));
}

#[tokio::test]
async fn answers_are_not_stored_by_anything_between_and_cannot_run_code() {
    let server = Server::new();
    for (form, content_type) in [
        ("json", "application/json"),
        ("table", "text/plain; charset=utf-8"),
        ("csv", "text/csv; charset=utf-8"),
        ("html", "text/html; charset=utf-8"),
    ] {
        let views = [
            "report",
            "summary",
            "identities",
            "identity?name=alice@example.com",
            "permissions",
            "unused",
            "tasks",
            "resources",
            "findings",
            "history",
        ];
        for view in views {
            let join = if view.contains('?') { '&' } else { '?' };
            let (status, response) = server.call(Some("all"), &format!("/v1/systems/prod/{view}{join}output={form}")).await;
            assert_eq!(status, 200, "{view} as {form}");
            let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
            assert_eq!((header("content-type").as_str(), header("cache-control").as_str()), (content_type, "no-store"));
            assert_eq!(header("x-content-type-options"), "nosniff");
            let text = axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap();
            let text = String::from_utf8(text.to_vec()).unwrap();
            if form == "html" {
                assert!(!text.contains("<script"), "{view}");
                // CURFEW_PAGES=folder keeps the pages, to look at them.
                if let Some(folder) = std::env::var_os("CURFEW_PAGES") {
                    let name = view.split('?').next().unwrap_or_default();
                    std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), &text).unwrap();
                }
                assert!(text.starts_with("<!doctype html>") && text.contains("default-src 'none'"), "{view}");
                for outside in ["src=", "href=", "url(", "@import"] {
                    assert!(!text.contains(outside), "{outside} in {view}");
                }
            }
            if form == "csv" {
                assert!(text.contains("\r\n") && !text.lines().any(|line| line.starts_with('=')), "{view}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn filters_select_rows_of_the_report() {
    let (server, company) = (Server::new(), company());
    let analysis = company.analysis("prod").unwrap();
    let report = analysis.report();
    let listed =
        |value: &Value| value["items"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let expected = |keep: &dyn Fn(&curfew_analytics::report::Row) -> bool| {
        let rows = report.identities.iter().filter(|row| !row.built_in && !row.excluded_from_reports && keep(row));
        rows.map(|row| row.name.clone()).collect::<Vec<_>>()
    };
    use curfew_analytics::{bands::Band, report::IdentityKind};
    type Fits<'a> = &'a dyn Fn(&curfew_analytics::report::Row) -> bool;
    let cases: [(&str, Fits); 5] = [
        ("", &|_| true),
        ("?kind=human", &|row| row.kind == IdentityKind::Human),
        ("?band=high&kind=workload,human", &|row| row.band == Some(Band::High) && row.kind != IdentityKind::Group),
        ("?state=inactive", &|row| row.last_used.is_none() && row.permissions.granted > 0),
        ("?name=EXAMPLE.com", &|row| row.name.contains("example.com")),
    ];
    for (query, keep) in cases {
        let found = listed(&server.json(&format!("/v1/systems/prod/identities{query}")).await);
        assert_eq!(found, expected(keep), "{query}");
    }
    let limited = server.json("/v1/systems/prod/identities?limit=2").await;
    assert_eq!((listed(&limited).len(), limited["more"].as_u64()), (2, Some(expected(&|_| true).len() as u64 - 2)));
    // What is tagged ck_exclude_from_reports is in no list, and is told when it is asked for.
    let bootstrap = "system:serviceaccount:ci:bootstrap";
    assert!(!listed(&server.json("/v1/systems/prod/identities").await).contains(&bootstrap.to_owned()));
    assert_eq!(server.json(&format!("/v1/systems/prod/identity?name={bootstrap}")).await["identity"]["score"], 100);
    let findings = server.json("/v1/systems/prod/findings?type=super,inactive&severity=medium").await;
    let kinds: Vec<&str> = findings["items"].as_array().unwrap().iter().map(|finding| finding["type"].as_str().unwrap()).collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| ["super", "inactive"].contains(kind)), "{kinds:?}");
}

/// The details of each identity add up to the numbers of its row in the report.
#[test]
fn details_agree_with_the_report() {
    let company = company();
    let analysis = company.analysis("prod").unwrap();
    for row in &analysis.report().identities {
        let all = analysis.permissions(row).unwrap();
        let count = |keep: &dyn Fn(&curfew_analytics::details::PermissionUse) -> bool| all.iter().filter(|used| keep(used)).count();
        let counts = row.permissions;
        assert_eq!(count(&|used| !used.granted.is_empty()), counts.granted, "{}", row.name);
        assert_eq!(count(&|used| !used.granted.is_empty() && !used.used.is_empty()), counts.used, "{}", row.name);
        let unused = [UseState::Unused, UseState::PartlyUsed];
        assert_eq!(count(&|used| unused.contains(&used.state)), counts.not_fully_used, "{}", row.name);
        assert_eq!(count(&|used| unused.contains(&used.state) && used.high_risk), counts.high_risk_not_fully_used, "{}", row.name);
        assert_eq!(count(&|used| used.state == UseState::NotShown), counts.not_shown, "{}", row.name);
        assert!(all.iter().all(|used| used.by.is_empty() == used.granted.is_empty()), "{}", row.name);
        assert!(all.iter().all(|used| used.last_used.is_some() != used.used.is_empty()), "{}", row.name);
    }
}

/// Tasks and resources are sums over the details; a permission search finds who.
#[tokio::test]
async fn tasks_resources_and_the_search_agree() {
    let server = Server::new();
    let used = server.json("/v1/systems/prod/permissions?state=used,partlyUsed,notGranted&kind=human,workload").await;
    let mut did: BTreeMap<&str, usize> = BTreeMap::new();
    for item in used["items"].as_array().unwrap() {
        *did.entry(item["permission"].as_str().unwrap()).or_default() += 1;
    }
    let tasks = server.json("/v1/systems/prod/tasks").await;
    let tasks: BTreeMap<&str, usize> = tasks["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| (task["permission"].as_str().unwrap(), task["identitiesThatUsed"].as_u64().unwrap() as usize))
        .collect();
    assert!(tasks.len() > 3 && tasks == did, "{tasks:?}\n{did:?}");
    let resources = server.json("/v1/systems/prod/resources").await;
    for place in resources["items"].as_array().unwrap() {
        let number = |name: &str| place[name].as_u64().unwrap();
        assert!(number("permissionsUsed") >= 1 && number("identitiesThatUsed") >= 1, "{place}");
        assert!(number("identitiesWithAccess") >= 1 && number("permissionsGranted") >= 1, "{place}");
    }
    let summary = server.json("/v1/systems/prod/summary").await;
    let high = &summary["items"][0];
    assert_eq!(
        high["identities"].as_u64().unwrap(),
        high["identitiesActive"].as_u64().unwrap() + high["identitiesInactive"].as_u64().unwrap()
    );
    assert_eq!(
        high["permissions"].as_u64().unwrap(),
        high["permissionsUsed"].as_u64().unwrap() + high["permissionsUnused"].as_u64().unwrap()
    );
    assert!(high["permissionsUnused"].as_u64().unwrap() > 0);
    // The same list as unused, by its states; nothing that no request would show is in it.
    let unused = server.json("/v1/systems/prod/unused?highRisk=true").await;
    let same = server.json("/v1/systems/prod/permissions?highRisk=true&state=unused,partlyUsed").await;
    assert_eq!(unused["items"], same["items"]);
    assert!(unused["items"].as_array().unwrap().iter().all(|item| item["highRisk"] == true && item["state"] != "notShown"));
    let one = server.json("/v1/systems/prod/unused?identity=bob@example.com&permission=Secrets").await;
    assert!(
        one["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["identity"] == "bob@example.com" && item["permission"].as_str().unwrap().contains("secrets"))
    );
}

#[tokio::test]
async fn an_identity_is_told_with_its_reasons_and_its_history() {
    let server = Server::new();
    let (status, text) = server.text(Some("prod"), "/v1/systems/prod/identity?name=bob@example.com&output=table").await;
    assert_eq!(status, 200, "{text}");
    for part in
        ["bob@example.com in prod", "in this band since", "Why this score", "Permissions", "LAST USED", "Findings", "Changes of the score"]
    {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let history = server.json("/v1/systems/prod/history?identity=bob@example.com").await;
    assert_eq!((history["items"].as_array().unwrap().len(), history["since"]["atLeast"].as_bool()), (3, Some(false)));
    let system = server.json("/v1/systems/prod/history?days=10").await;
    assert_eq!((system["items"].as_array().unwrap().len(), system["change7d"]["points"].is_i64()), (9, true));
    // Of the recorded company each score went from 90 to 95 four days ago.
    let movers = system["movers"].as_array().unwrap();
    assert!(movers.len() == 10 && movers.iter().all(|mover| mover["points"] == 5 && mover["isNew"] == false), "{movers:?}");
    let names: Vec<&str> = movers.iter().filter_map(|mover| mover["name"].as_str()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let (_, text) = server.text(Some("all"), "/v1/systems/prod/history?days=10&output=table").await;
    assert!(text.contains("Identities whose score changed most in 10 days") && text.contains("+5"), "{text}");
    let system = server.json("/v1/systems/prod/history?days=2").await;
    assert_eq!(system["movers"], serde_json::json!([]));
    let (_, csv) = server.text(Some("all"), "/v1/systems/prod/history?days=10&output=csv").await;
    assert!(csv.starts_with("day,score,band,change,x,") && csv.lines().count() == 10, "{csv}");
}

#[tokio::test]
async fn a_proposal_is_asked_for_with_its_options() {
    let server = Server::new();
    let ask = async |query: &str| server.text(Some("all"), &format!("/v1/systems/prod/rightsize?identity={query}")).await;
    let (status, text) = ask("bob@example.com&namespace=shop&approvers=group:cn%3Da,ou%3Db%0Auser:carol&output=yaml").await;
    assert_eq!(status, 200, "{text}");
    for part in ["kind: RoleTemplate", "namespace: shop", "cn=a,ou=b", "carol", "kind: EligibleAssignment", "nothing has applied it"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let (_, text) = ask("bob@example.com&giving=standing&output=table").await;
    assert!(text.contains("used") && text.contains("nothing was applied") && text.contains("kind: RoleBinding"), "{text}");
    assert!(!text.contains("RoleTemplate"), "{text}");
    // A workload cannot ask for access.
    let deployer = "system:serviceaccount:ci:deployer";
    let (status, text) = ask(&format!("{deployer}&output=yaml")).await;
    assert!(status == 200 && !text.contains("RoleTemplate"), "{text}");
    assert!(message(&ask(&format!("{deployer}&giving=eligible")).await.1).contains("cannot ask for access"));
    assert!(message(&ask("bob@example.com&days=30").await.1).contains("longer than the window of the system, which has 1 day"));
    assert!(message(&ask("bob@example.com&approvers=group:system:masters").await.1).contains("reserved"));
    let proposal = server.json(&format!("/v1/systems/prod/rightsize?identity={deployer}")).await;
    assert!(proposal["documents"].as_array().unwrap().len() >= 2 && proposal["proposal"]["evidence"].is_array(), "{proposal}");
}
