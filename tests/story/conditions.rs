//! The conditions of activation: ticket, MFA and authentication context, by people whose logins show them and people whose do not.
//! What is refused at apply time is refused in the same words by `--dry-run=server`.
mod managed;

use super::{
    decide,
    refusals::{of, ready, refused, template},
};
use crate::{attacks::resisted, shared::with_operator};
use anyhow::{Context, Result, bail, ensure};
use curfew_core::conditions::ticket;
use curfew_testkit::{Issuer, SOON, User, World, eventually, unix_now};
use serde_json::{Value, json};

const CREATE: [&str; 3] = ["create", "-f", "-"];
const DRY_RUN: [&str; 4] = ["create", "--dry-run=server", "-f", "-"];

/// A request with this ticket.
fn with_ticket(yaml: &str, system: &str, number: &str) -> String {
    yaml.replace("duration:", &format!("ticket: {{system: '{system}', number: '{number}'}}, duration:"))
}

/// Waits until the API server refuses a dry run in these words: it learns of a role and its status some moments after they are stored.
/// Then the request itself is refused, too.
async fn answered(who: &User, yaml: &str, words: &str) -> Result<()> {
    let what = format!("{} to be told {words:?}", who.name);
    eventually(&what, SOON, || async {
        let out = who.api_stdin(&DRY_RUN, yaml).await?;
        if !out.ok && out.stderr.contains("'curfew-answers'") && out.stderr.contains(words) {
            Ok(Some(()))
        } else {
            bail!("{}{}", out.stdout, out.stderr)
        }
    })
    .await?;
    let told = who.api_stdin(&CREATE, yaml).await?.refused()?;
    ensure!(told.contains("'curfew-answers'") && told.contains(words), "{words:?} is not said: {told}");
    Ok(())
}

#[tokio::test]
async fn a_request_names_a_ticket_that_the_role_accepts() -> Result<()> {
    let w = with_operator().await?;
    let alice = w.cp.user("tina@example.com", &["payments-devs"])?;
    template(w, "ticketed", &[("ticket: {none: {}}", "ticket: {required: {pattern: '^INC-[0-9]+$', systems: [jira, servicenow]}}")])
        .await?;
    ready(w, &["rtpl", "-n", "payments", "ticketed"], "True").await?;
    let requires = "justification, a ticket of jira, servicenow whose number matches ^INC-[0-9]+$";
    w.field_is(&["rtpl", "-n", "payments", "ticketed"], "{.status.display.requires}", requires).await?;
    let asks = of("ticketed", "ticketed", "1h");
    let role = "role ticketed asks for a ticket of jira, servicenow whose number matches ^INC-[0-9]+$";
    answered(&alice, &asks, &format!("{role}; name it in spec.ticket")).await?;
    answered(&alice, &with_ticket(&asks, "jira", "OPS-1"), &format!("{role}, and OPS-1 does not; name it in spec.ticket")).await?;
    answered(&alice, &with_ticket(&asks, "github", "INC-1"), &format!("{role}, and github is not one of these")).await?;
    alice.create(&with_ticket(&asks, "jira", "INC-4711")).await?.success()?;
    w.state_is("ticketed", "AwaitingApproval").await?;
    decide(w, &w.carol()?, "ticketed", "Approve").await?;
    w.state_is("ticketed", "Active").await?;
    w.access_is(&alice, true, SOON).await?;
    // Another pattern ends what waits, which cannot have known it, and nothing that is active.
    let waits = with_ticket(&of("ticketed", "waits", "1h"), "servicenow", "INC-12");
    alice.create(&waits).await?.success()?;
    w.state_is("waits", "AwaitingApproval").await?;
    let stricter = r#"{"spec": {"activation": {"ticket": {"required": {"pattern": "^CHG-[0-9]+$"}}}}}"#;
    w.admin()?.api(&["patch", "rtpl", "-n", "payments", "ticketed", "--type=merge", "-p", stricter]).await?.success()?;
    let told = refused(w, "waits", "Denied", "TicketRequired", "whose number matches ^CHG-[0-9]+$, and INC-12 does not").await;
    resisted(told.is_ok(), &format!("a request that waits evades the pattern of its role: {told:?}"))?;
    ensure!(alice.can_read_secret("payments", "db").await?, "what is active is not judged by its ticket again");
    w.field_is(&["areq", "-n", "payments", "ticketed"], "{.status.state}", "Active").await?;
    alice.api(&["delete", "areq", "-n", "payments", "ticketed"]).await?.success()?;
    w.access_is(&alice, false, SOON).await
}

/// A pattern is judged by the API server with RE2 and by the operator with its own engine.
#[tokio::test]
async fn a_pattern_means_the_same_to_the_api_server_and_to_the_operator() -> Result<()> {
    const PATTERNS: &[(&str, &str, &[&str])] = &[
        ("anchored", "^INC-[0-9]+$", &["INC-4711", "INC-", "xINC-1", "INC-1x"]),
        ("part", "NC-1", &["INC-12", "inc-1", "NC-"]),
        ("perl", r"^\d{2,3}\w*\s?$", &["12", "1", "123ab", "\u{661}\u{662}", "12\u{e9}"]),
        ("any", "^.$", &["a", "ab", "\u{e9}", "\u{1f600}"]),
        ("class", r"^[^a-c\]\[_.-]+$", &["d", "a", "]", "-", "\u{e9}"]),
        ("groups", r"^(?:INC|CHG)\.(\d\d)?$", &["INC.", "CHG.12", "CHG.1", "CHGx12"]),
        ("words", r"\bOPS\b", &["a OPS b", "aOPS", "OPS-1", "\u{e9}OPS"]),
    ];
    let w = with_operator().await?;
    let alice = w.alice()?;
    for (name, pattern, _) in PATTERNS {
        template(w, &format!("re-{name}"), &[("ticket: {none: {}}", &format!("ticket: {{pattern: '{pattern}'}}"))]).await?;
    }
    for (name, pattern, numbers) in PATTERNS {
        let role = format!("re-{name}");
        ready(w, &["rtpl", "-n", "payments", &role], "True").await?;
        answered(&alice, &of(&role, "none", "1h"), &format!("asks for a ticket whose number matches {pattern}; name it")).await?;
        let rule = ticket::Rule { pattern: (*pattern).to_owned(), systems: None };
        for number in *numbers {
            let own = rule.accepts(Some(&ticket::Ticket { system: "jira".into(), number: (*number).to_owned() }), &format!("role {role}"));
            let out = alice.api_stdin(&DRY_RUN, &with_ticket(&of(&role, "some", "1h"), "jira", number)).await?;
            ensure!(out.ok == own.is_ok(), "{pattern} and {number:?}: the operator says {own:?}, the API server {}", out.stderr);
            if let Err(words) = own {
                ensure!(out.stderr.contains(&words), "other words for {pattern} and {number:?}: {} and {words}", out.stderr);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_policy_asks_for_a_ticket_where_the_role_does_not() -> Result<()> {
    let w = with_operator().await?;
    let (admin, alice) = (w.admin()?, w.alice()?);
    // A namespace of its own: the policies of payments would allow it without a ticket.
    admin.api(&["create", "namespace", "ticketed"]).await?.success()?;
    let requester = ["create", "rolebinding", "-n", "ticketed", "alice", "--clusterrole=curfew-requester", "--user=alice@example.com"];
    admin.api(&requester).await?.success()?;
    let policy = "{apiVersion: curfew.dev/v1alpha1, kind: AccessPolicy, metadata: {name: ticketed}, spec: {namespaces: {names: [ticketed]}, \
        systems: {names: [this-cluster]}, permissions: {kubernetes: {clusterRoles: [payments-admin]}}, scope: {kubernetes: {namespaces: [ticketed]}}, \
        eligible: [{group: payments-devs}], max: {duration: 8h, eligibility: 365d}, \
        min: {approval: {none: {}}, justification: false, mfa: {none: {}}, ticket: {required: {}}}, allow: {permanentEligibility: true}}}";
    admin.apply(policy).await?.success()?;
    super::refusals::template_in(w, "ticketed", "plain", &[]).await?;
    ready(w, &["rtpl", "-n", "ticketed", "plain"], "True").await?;
    let in_namespace = |yaml: String| yaml.replace("namespace: payments", "namespace: ticketed");
    alice.create(&in_namespace(of("plain", "without", "1h"))).await?.success()?;
    alice.create(&in_namespace(with_ticket(&of("plain", "with", "1h"), "any", "thing"))).await?.success()?;
    let status = "{.status.state} {.status.reason} {.status.message}";
    let told = |now: &str| now.starts_with("Denied TicketRequired policy ticketed asks for a ticket; name it in spec.ticket");
    w.field_fits(&["areq", "-n", "ticketed", "without"], status, "to be denied without a ticket", SOON, told).await?;
    w.field_is(&["areq", "-n", "ticketed", "with"], "{.status.state}", "AwaitingApproval").await
}

#[tokio::test]
async fn a_pattern_in_another_notation_is_refused_with_the_notation() -> Result<()> {
    let admin = with_operator().await?.admin()?;
    let yaml = std::fs::read_to_string(curfew_testkit::root().join("examples/first/team.yaml"))?;
    for (pattern, words) in [
        ("(?i)^inc", "write the pattern in the notation that RE2 and Curfew share"),
        ("[a-z&&b]", "write the pattern in the notation that RE2 and Curfew share"),
        ("^(INC", "missing closing )"),
        ("a{3,2}", "invalid repeat count"),
    ] {
        for rule in [format!("{{pattern: '{pattern}'}}"), format!("{{required: {{pattern: '{pattern}', systems: [jira]}}}}")] {
            let told = admin.api_stdin(&DRY_RUN, &yaml.replace("ticket: {none: {}}", &format!("ticket: {rule}"))).await?.refused()?;
            ensure!(told.contains(words) && told.contains("spec.activation.ticket"), "{rule}: {words:?} is not said: {told}");
        }
    }
    Ok(())
}

/// The example, an operator, an issuer whose tokens the API server accepts, and the keys under which CurfewConfig looks for their claims.
struct Stage {
    w: World,
    operator: curfew_testkit::Operator,
    issuer: Issuer,
}

impl Stage {
    async fn new(name: &str) -> Result<Self> {
        let issuer = Issuer::start()?;
        let (w, operator) = World::running_with_issuer(name, &issuer).await?;
        let stage = Stage { w, operator, issuer };
        stage
            .identity(json!({
                "mfa": {"methodsKey": "curfew.dev/amr", "methods": ["mfa", "otp"], "timeKey": "curfew.dev/auth-time"},
                "authenticationContext": {"key": "curfew.dev/acrs"},
            }))
            .await?;
        Ok(stage)
    }

    /// Changes `spec.identity` of CurfewConfig, and waits until the API server records the keys that it names.
    async fn identity(&self, change: Value) -> Result<()> {
        let patch = json!({"spec": {"identity": change}}).to_string();
        self.w.admin()?.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", &patch]).await?.success()?;
        let identity = self.w.field(&["curfewconfig", "curfew"], "{.spec.identity}").await?;
        let config: curfew::api::config::Identity = serde_json::from_str(&identity)?;
        let keys = ["configmap", "-n", "curfew-system", "curfew-identity-keys"];
        self.w.field_is(&keys, "{.data.keys}", &config.recorded_keys().join("\n")).await
    }

    /// A login of a member of payments-devs whose token has these claims.
    fn dev(&self, name: &str, claims: Value) -> Result<User> {
        let mut claims = claims;
        claims["groups"] = json!(["payments-devs"]);
        self.w.cp.login(&self.issuer, &format!("{name}@example.com"), &claims)
    }

    /// A login with MFA so many seconds ago.
    fn with_mfa(&self, name: &str, age: i64) -> Result<User> {
        self.dev(name, json!({"amr": ["pwd", "otp"], "auth_time": unix_now() - age}))
    }
}

const MFA: (&str, &str) = ("mfa: {none: {}}", "mfa: {maxAge: 15m}");

/// One control plane for all that needs tokens.
#[tokio::test]
async fn what_a_login_shows_decides_about_requests_and_approvals() -> Result<()> {
    let s = Stage::new("logins").await?;
    template(&s.w, "guarded", &[MFA]).await?;
    template(&s.w, "contextual", &[("mfa: {none: {}}", "mfa: {none: {}}\n    authenticationContext: c1")]).await?;
    template(&s.w, "reviewed", &[("quorum: 1", "quorum: 1\n        mfa: {maxAge: 10m}")]).await?;
    for role in ["guarded", "contextual", "reviewed"] {
        ready(&s.w, &["rtpl", "-n", "payments", role], "True").await?;
    }
    fresh_mfa_goes_on_to_access(&s).await?;
    a_login_without_fresh_mfa_is_refused(&s).await?;
    an_authentication_context_is_carried_or_refused(&s).await?;
    an_approver_needs_the_mfa_of_the_stage(&s).await?;
    the_author_of_standing_access_needs_the_mfa_of_the_role(&s).await?;
    the_audit_log_says_how_people_were_authenticated(&s).await?;
    a_stricter_role_is_not_evaded_by_waiting(&s).await?;
    a_policy_is_a_floor_under_the_mfa_of_roles(&s).await?;
    what_is_not_configured_is_not_ready(&s).await?;
    managed::logins_of_managed_clusters(&s).await
}

/// The same login asks twice: MFA is asked for once in its time.
async fn fresh_mfa_goes_on_to_access(s: &Stage) -> Result<()> {
    let alice = s.with_mfa("alice", 60)?;
    for name in ["first", "second"] {
        alice.create(&of("guarded", name, "1h")).await?.success()?;
        s.w.state_is(name, "AwaitingApproval").await?;
    }
    let recorded: Value = serde_json::from_str(&s.w.field(&["areq", "-n", "payments", "first"], "{.spec.requester.extra}").await?)?;
    ensure!(recorded["curfew.dev/amr"] == json!(["pwd", "otp"]), "{recorded}");
    // As CEL writes a number of a token: with an exponent.
    let time = recorded["curfew.dev/auth-time"][0].as_str().unwrap_or_default().to_owned();
    ensure!(time.contains("e+09"), "the time arrives in another notation, so that this test shows less: {time}");
    decide(&s.w, &s.w.carol()?, "first", "Approve").await?;
    s.w.state_is("first", "Active").await?;
    s.w.access_is(&alice, true, SOON).await?;
    alice.api(&["delete", "areq", "-n", "payments", "first"]).await?.success()?;
    s.w.access_is(&alice, false, SOON).await
}

async fn a_login_without_fresh_mfa_is_refused(s: &Stage) -> Result<()> {
    let now = unix_now();
    let times = |times: Value| json!({"amr": ["mfa"], "auth_times": times});
    for (claims, words) in [
        (json!({"amr": ["mfa"], "auth_time": now - 3_720}), "was 1h2m"),
        (json!({"amr": ["mfa"], "auth_time": now + 7_200}), "in the future when this was created; log in again with MFA"),
        (json!({"amr": ["pwd"], "auth_time": now}), "the login has pwd under extra key curfew.dev/amr, and none of mfa, otp; log in again"),
        (json!({"auth_time": now}), "the login has no value under extra key curfew.dev/amr, which names its methods; log in again"),
        (json!({"amr": ["mfa"]}), "the login has no value under extra key curfew.dev/auth-time, which tells its time; log in again"),
        (
            times(json!([now.to_string(), (now - 1).to_string()])),
            "the login has 2 values under extra key curfew.dev/auth-time, and which of",
        ),
        (times(json!(["an hour ago"])), "has an hour ago, which is not a time in seconds since 1970; the platform team must correct"),
        (times(json!([format!("{now}000")])), "which is not a time in seconds since 1970"),
    ] {
        let login = s.dev("mona", claims)?;
        answered(&login, &of("guarded", "refused", "1h"), "role guarded asks for MFA not older than 15m, and ").await?;
        answered(&login, &of("guarded", "refused", "1h"), words).await?;
    }
    // The claim in its other forms.
    for methods in [json!(["[\"pwd\",\"mfa\"]"]), json!(["pwd mfa"]), json!("otp")] {
        let login = s.dev("mona", json!({"amr": methods, "auth_times": [(now - 5).to_string()]}))?;
        login.api_stdin(&DRY_RUN, &of("guarded", "forms", "1h")).await?.success()?;
    }
    // A client certificate carries none of it, and neither does a service account.
    answered(&s.w.alice()?, &of("guarded", "refused", "1h"), "the login has no value under extra key curfew.dev/amr").await?;
    s.w.admin()?.api(&["create", "serviceaccount", "-n", "payments", "agent"]).await?.success()?;
    let rights = ["create", "rolebinding", "-n", "payments", "agent", "--clusterrole=curfew-requester", "--serviceaccount=payments:agent"];
    s.w.admin()?.api(&rights).await?.success()?;
    let agent = s.w.cp.service_account("payments", "agent").await?;
    let words = "system:serviceaccount:payments:agent is not a person and has no MFA; a person must create the request";
    answered(&agent, &of("guarded", "refused", "1h"), words).await
}

async fn an_authentication_context_is_carried_or_refused(s: &Stage) -> Result<()> {
    let role = "role contextual asks for authentication context c1, and ";
    // There is no fallback: MFA is not the context.
    let mfa = json!({"amr": ["mfa"], "auth_time": unix_now()});
    answered(
        &s.dev("cleo", mfa)?,
        &of("contextual", "refused", "1h"),
        &format!("{role}the login has no value under extra key curfew.dev/acrs"),
    )
    .await?;
    let other = s.dev("cleo", json!({"acrs": ["c2", "c3"]}))?;
    answered(&other, &of("contextual", "refused", "1h"), &format!("{role}the login has c2, c3 under extra key curfew.dev/acrs")).await?;
    for (name, acrs) in [("as-list", json!(["c2", "c1"])), ("as-json", json!("[\"c1\"]"))] {
        s.dev("cleo", json!({"acrs": acrs}))?.create(&of("contextual", name, "1h")).await?.success()?;
        s.w.state_is(name, "AwaitingApproval").await?;
    }
    Ok(())
}

/// Who creates an ActiveAssignment needs MFA where the role asks for it; a service account needs the word of the policy.
async fn the_author_of_standing_access_needs_the_mfa_of_the_role(s: &Stage) -> Result<()> {
    let (w, admin) = (&s.w, s.w.admin()?);
    super::standing::offer(w).await?;
    let guarded = r#"{"spec": {"activation": {"mfa": {"none": null, "maxAge": "15m"}}}}"#;
    admin.api(&["patch", "rtpl", "-n", "payments", "standing", "--type=merge", "-p", guarded]).await?.success()?;
    for (subject, kind) in [("payments-devs", "--group"), ("payments:agent", "--serviceaccount")] {
        let name = subject.replace(':', "-");
        let rights = [
            "create",
            "rolebinding",
            "-n",
            "payments",
            &format!("author-{name}"),
            "--clusterrole=curfew-author",
            &format!("{kind}={subject}"),
        ];
        admin.kubectl(&rights).await?.success()?;
    }
    let agent = w.cp.service_account("payments", "agent").await?;
    let authors = [
        ("without-mfa", &s.dev("olga", json!({"amr": ["pwd"], "auth_time": unix_now()}))?),
        ("by-agent", &agent),
        ("with-mfa", &s.with_mfa("olga", 60)?),
    ];
    for (name, author) in &authors {
        author.create(&super::standing::assignment(name, "standing", "user: stan@example.com", "permanent: {}")).await?.success()?;
    }
    let message = "{.status.conditions[?(@.type==\"Ready\")].message}";
    for (name, words) in [
        (
            "without-mfa",
            "role standing, of the user who creates assignment without-mfa, asks for MFA not older than 15m, and the login has pwd",
        ),
        (
            "by-agent",
            "system:serviceaccount:payments:agent is not a person, and policy standing does not let a service account create standing access",
        ),
    ] {
        let of = ["aas", "-n", "payments", name];
        let told = w.field_fits(&of, message, words, SOON * 2, |told| told.contains(words));
        told.await
            .with_context(|| format!("the attack succeeded: assignment {name} of an author whose login has not what the role asks for"))?;
        ready(w, &of, "False").await?;
    }
    w.access_is(&w.cp.user("stan@example.com", &[])?, true, SOON).await?;
    let asked = w.field(&["areq", "-n", "payments"], "{.items[*].spec.activeAssignment.name}").await?;
    ensure!(asked.split(' ').filter(|name| !name.is_empty()).all(|name| name == "with-mfa"), "another assignment gives access: {asked}");
    for (name, _) in authors {
        admin.api(&["delete", "aas", "-n", "payments", name]).await?.success()?;
    }
    // It asks for no MFA, and would allow the other roles, too.
    admin.api(&["delete", "apol", "standing"]).await?.success().map(drop)
}

/// Which verdict a decision of this person about this request has.
async fn verdict(s: &Stage, decider: &str, request: &str) -> Result<String> {
    let what = ["adec", "-n", "payments"];
    s.w.until(&what, &format!("the decision of {decider} about {request} to be judged"), SOON, |v| {
        let all = v["items"].as_array().cloned().unwrap_or_default();
        let own =
            all.iter().find(|d| d["spec"]["decider"]["username"] == decider && d["spec"]["about"]["activationRequest"]["name"] == request);
        let condition = own.map(|d| &d["status"]["conditions"][0]).filter(|condition| condition["status"].is_string());
        Ok(condition.map(|c| format!("{} {}: {}", c["status"], c["reason"], c["message"]).replace('"', "")))
    })
    .await
}

async fn an_approver_needs_the_mfa_of_the_stage(s: &Stage) -> Result<()> {
    s.w.alice()?.create(&of("reviewed", "reviewed", "1h")).await?.success()?;
    s.w.state_is("reviewed", "AwaitingApproval").await?;
    let lead = |name: &str, claims: Value| {
        let mut claims = claims;
        claims["groups"] = json!(["payments-leads"]);
        s.w.cp.login(&s.issuer, &format!("{name}@example.com"), &claims)
    };
    for (name, claims, words) in [
        (
            "lena",
            json!({"amr": ["pwd"], "auth_time": unix_now()}),
            "the login has pwd under extra key curfew.dev/amr, and none of mfa, otp",
        ),
        (
            "liam",
            json!({"amr": ["mfa"], "auth_time": unix_now() - 660}),
            "stage owners asks its approvers for MFA not older than 10m, and the login of",
        ),
        ("lucy", json!({"amr": ["mfa"], "auth_time": unix_now() + 7_200}), "in the future"),
    ] {
        decide(&s.w, &lead(name, claims)?, "reviewed", "Approve").await?;
        let told = verdict(s, &format!("{name}@example.com"), "reviewed").await?;
        resisted(told.starts_with("False MfaRequired"), &format!("an approval without the MFA of its stage counts: {name}: {told}"))?;
        ensure!(told.contains(words), "{words:?} is not said: {told}");
    }
    // With a client certificate there is nothing under the keys.
    decide(&s.w, &s.w.carol()?, "reviewed", "Approve").await?;
    let told = verdict(s, "carol@example.com", "reviewed").await?;
    resisted(told.starts_with("False MfaRequired"), &format!("an approval without MFA counts: {told}"))?;
    s.w.field_is(&["areq", "-n", "payments", "reviewed"], "{.status.waitingFor}", "owners 0/1").await?;
    decide(&s.w, &lead("lara", json!({"amr": ["pwd", "mfa"], "auth_time": unix_now() - 30}))?, "reviewed", "Approve").await?;
    let told = verdict(s, "lara@example.com", "reviewed").await?;
    ensure!(told.starts_with("True"), "{told}");
    s.w.state_is("reviewed", "Active").await?;
    s.w.access_is(&s.w.alice()?, true, SOON).await?;
    // To end it needs no MFA.
    decide(&s.w, &lead("lena", json!({"amr": ["pwd"], "auth_time": unix_now()}))?, "reviewed", "Deny").await?;
    s.w.access_is(&s.w.alice()?, false, SOON).await
}

/// Of a request, of a decision and of who created standing access: which accepted method and when, and nothing else of the login.
async fn the_audit_log_says_how_people_were_authenticated(s: &Stage) -> Result<()> {
    let records: Vec<Value> = s.operator.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |kind: &str, fits: &dyn Fn(&Value) -> bool| -> Result<Value> {
        let data = records.iter().filter(|record| record["type"] == format!("dev.curfew.{kind}.v1")).map(|record| &record["data"]);
        data.clone().find(|data| fits(data)).cloned().ok_or_else(|| anyhow::anyhow!("no such {kind}: {:?}", data.collect::<Vec<_>>()))
    };
    let by = |name: &'static str| move |data: &Value| data["actor"]["user"]["name"] == name;
    let asked = of("request.accepted", &by("alice@example.com"))?;
    let authentication = &asked["unmapped"]["curfew"]["authentication"];
    ensure!(asked["actor"]["session"]["is_mfa"] == true && authentication["methods"] == json!(["otp"]), "{asked}");
    ensure!(authentication["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{asked}");
    let approved = of("decision.judged", &by("lara@example.com"))?;
    ensure!(approved["unmapped"]["curfew"]["authentication"]["methods"] == json!(["mfa"]), "{approved}");
    let refused = of("decision.judged", &by("lena@example.com"))?;
    ensure!(refused["actor"]["session"]["is_mfa"] == false, "{refused}");
    let granted = of("grant.intended", &|data| data["unmapped"]["curfew"]["decisions"][0]["name"] == "lara@example.com")?;
    ensure!(granted["unmapped"]["curfew"]["decisions"][0]["authentication"]["mfa"] == true, "{granted}");
    let standing = of("grant.intended", &|data| data["unmapped"]["curfew"]["author"] == "olga@example.com")?;
    let curfew = &standing["unmapped"]["curfew"];
    ensure!(curfew["authorAuthentication"]["methods"] == json!(["otp"]) && curfew["authentication"].is_null(), "{standing}");
    let told = |record: &&Value| record["data"].to_string().contains("pwd\"");
    ensure!(!records.iter().any(|record| told(&record)), "a method that is not accepted is repeated");
    Ok(())
}

async fn a_stricter_role_is_not_evaded_by_waiting(s: &Stage) -> Result<()> {
    template(&s.w, "tightened", &[]).await?;
    ready(&s.w, &["rtpl", "-n", "payments", "tightened"], "True").await?;
    let (old, fresh) = (s.with_mfa("olga", 3_600)?, s.with_mfa("fred", 5)?);
    for (who, name) in [(&old, "old-login"), (&fresh, "fresh-login"), (&fresh, "held-login")] {
        who.create(&of("tightened", name, "1h")).await?.success()?;
        s.w.state_is(name, "AwaitingApproval").await?;
    }
    let held = s.dev("hans", json!({"amr": ["pwd"], "auth_time": unix_now() - 7_200}))?;
    held.create(&of("tightened", "active", "1h")).await?.success()?;
    s.w.state_is("active", "AwaitingApproval").await?;
    decide(&s.w, &s.w.carol()?, "active", "Approve").await?;
    s.w.state_is("active", "Active").await?;
    let stricter = r#"{"spec": {"activation": {"mfa": {"none": null, "maxAge": "15m"}}}}"#;
    s.w.admin()?.api(&["patch", "rtpl", "-n", "payments", "tightened", "--type=merge", "-p", stricter]).await?.success()?;
    let told = refused(&s.w, "old-login", "Denied", "MfaRequired", "asks for MFA not older than 15m, and the login of").await;
    resisted(told.is_ok(), &format!("a request with an old login evades the MFA of its role by waiting: {told:?}"))?;
    decide(&s.w, &s.w.carol()?, "fresh-login", "Approve").await?;
    s.w.state_is("fresh-login", "Active").await?;
    s.w.access_is(&held, true, SOON).await?;
    s.w.field_is(&["areq", "-n", "payments", "active"], "{.status.state}", "Active").await
}

async fn a_policy_is_a_floor_under_the_mfa_of_roles(s: &Stage) -> Result<()> {
    let floor = |mfa: &str| format!(r#"{{"spec": {{"min": {{"mfa": {mfa}}}}}}}"#);
    let patch =
        async |mfa: &str| s.w.admin()?.api(&["patch", "apol", "payments", "--type=merge", "-p", &floor(mfa)]).await?.success().map(drop);
    patch(r#"{"none": null, "maxAge": "10m"}"#).await?;
    let words = "False BelowFloor .. policy payments asks for MFA not older than 10m, and role guarded allows it to be 15m old";
    ready(&s.w, &["rtpl", "-n", "payments", "guarded"], words).await?;
    ready(&s.w, &["rtpl", "-n", "payments", "contextual"], "False BelowFloor .. role contextual asks for none").await?;
    s.w.field_is(&["areq", "-n", "payments", "active"], "{.status.state}", "Active").await?;
    patch(r#"{"maxAge": "15m"}"#).await?;
    ready(&s.w, &["rtpl", "-n", "payments", "guarded"], "True").await?;
    patch(r#"{"maxAge": null, "none": {}}"#).await?;
    ready(&s.w, &["rtpl", "-n", "payments", "contextual"], "True").await
}

async fn what_is_not_configured_is_not_ready(s: &Stage) -> Result<()> {
    s.identity(json!({"mfa": null, "authenticationContext": null})).await?;
    let needs = "of CurfewConfig; the platform team must set it";
    for (role, field) in [
        ("guarded", "activation.mfa needs spec.identity.mfa"),
        ("contextual", "activation.authenticationContext needs spec.identity.authenticationContext"),
        ("reviewed", "mfa of stage owners needs spec.identity.mfa"),
    ] {
        ready(&s.w, &["rtpl", "-n", "payments", role], &format!("False NotReady .. {field} {needs}")).await?;
    }
    // Without the keys the role's status names none, so that the request is admitted, and the rules say what is missing.
    let alice = s.with_mfa("alice", 5)?;
    s.w.field_is(&["rtpl", "-n", "payments", "guarded"], "{.status.login}", "").await?;
    eventually("the API server to know that", SOON, || async {
        Ok(alice.api_stdin(&DRY_RUN, &of("guarded", "unconfigured", "1h")).await?.ok.then_some(()))
    })
    .await?;
    alice.create(&of("guarded", "unconfigured", "1h")).await?.success()?;
    refused(&s.w, "unconfigured", "Invalid", "NotReady", "activation.mfa needs spec.identity.mfa").await
}
