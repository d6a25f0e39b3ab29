//! The audit log: what remains when every object is deleted, and what happens when a sink does not accept records.
mod long_names;

use crate::{
    attacks::{active, asks, ends, resisted},
    story::decide,
};
use anyhow::{Result, bail, ensure};
use curfew_testkit::{Operator, SOON, User, World, eventually, operator_binary};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Sends audit records there from now on.
pub async fn sinks(w: &World, sinks: &str) -> Result<()> {
    let patch = format!(r#"{{"spec": {{"audit": {{"sinks": {sinks}}}}}}}"#);
    w.admin()?.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", &patch]).await?.success().map(drop)
}

/// `curfew audit`.
pub async fn audit(who: &User, args: &[&str]) -> Result<curfew_testkit::Output> {
    who.run(&operator_binary()?, &[&["audit"], args].concat(), None).await
}

#[tokio::test]
async fn it_tells_the_whole_story_when_everything_is_gone_and_nobody_edits_it_unseen() -> Result<()> {
    let w = World::first("audit").await?;
    let file: PathBuf = w.cp.dir().join("audit.jsonl");
    sinks(&w, &format!(r#"[{{"file": {{"path": "{}"}}}}]"#, file.display())).await?;
    let operator = w.operator_with("operator", &[("CURFEW_PARK_AT", "before:CommitRequest")]).await?;
    w.granting().await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    // The request changes between the read and the commit that rests on it.
    alice.apply(&asks("payments-admin", "conflict", "1h", "")).await?.success()?;
    eventually("the commit to wait", SOON, || async { Ok(operator.is_stopped().then_some(())) }).await?;
    let changed = r#"{"metadata": {"annotations": {"example.com/changed": "yes"}}}"#;
    alice.api(&["patch", "areq", "-n", "payments", "conflict", "--type=merge", "-p", changed]).await?.success()?;
    operator.resume();
    w.state_is("conflict", "AwaitingApproval").await?;
    active(&w, &alice, "payments-admin", "story", "15s").await?;
    w.state_is("story", "Expired").await?;
    let long = long_names::everything_is_stored(&w).await?;
    let path = file.display().to_string();
    // A head is anchored every quarter of a minute, and when the operator stops.
    operator.terminate();
    eventually("the operator to have stopped", SOON, || async { Ok((!operator.is_running()).then_some(())) }).await?;
    let anchors = w.cp.dir().join("curfewconfig.json");
    std::fs::write(&anchors, admin.kubectl(&["get", "curfewconfig", "curfew", "-o", "json"]).await?.success()?)?;
    let anchors = anchors.display().to_string();
    let verify = |file: String| {
        let (admin, anchors) = (&admin, anchors.clone());
        async move { audit(admin, &["verify", &file, "--anchors", &anchors]).await }
    };
    let sound = verify(path.clone()).await?;
    ensure!(sound.ok && sound.stdout.contains("sound"), "{}{}", sound.stdout, sound.stderr);
    ensure!(audit(&admin, &["verify", &path, "--live"]).await?.ok, "the heads in the cluster say the same");

    // Every object goes; the story stays.
    for what in
        [&["delete", "areq,rtpl,eas", "-n", "payments", "--all"][..], &["delete", "apol", "--all"], &["delete", "namespace", "payments"]]
    {
        admin.api(what).await?.success()?;
    }
    let told = audit(&admin, &["show", &path, "--user", "alice@example.com"]).await?.success()?;
    for part in [
        "alice@example.com had ClusterRole payments-admin in payments",
        "this-cluster",
        "roll back release 2311",
        "carol@example.com Approve",
        "grant.confirmed",
        "nothing is left",
        "Expired (DeadlinePassed)",
    ] {
        ensure!(told.contains(part), "{part:?} is not told:\n{told}");
    }
    let told = audit(&admin, &["show", &path, "--user", &long.requester]).await?.success()?;
    let whole = [format!("{} had ClusterRole payments-admin in payments", long.requester), format!("{} Approve", long.approver)];
    ensure!(whole.iter().all(|part| told.contains(part)), "long names are not told whole:\n{told}");
    // The intent stands before the confirmation, and the approval before both.
    let lines = std::fs::read_to_string(&file)?;
    let at = |what: &str| lines.find(&format!("dev.curfew.{what}.v1")).unwrap_or(usize::MAX);
    let order = [
        "chain.started",
        "request.accepted",
        "request.approved",
        "grant.intended",
        "grant.confirmed",
        "revocation.confirmed",
        "request.ended",
    ];
    ensure!(order.iter().all(|w| at(w) != usize::MAX) && order.windows(2).all(|p| at(p[0]) < at(p[1])), "{order:?} in\n{lines}");
    ensure!(lines.contains("dev.curfew.decision.judged.v1"), "the decision is on record");
    let accepted = |line: &&str| line.contains("dev.curfew.request.accepted.v1") && line.contains("\"conflict\"");
    let accepted = lines.lines().filter(accepted).count();
    ensure!(accepted == 1, "a conflict has repeated the record of an acceptance: {accepted}");

    // Edited, dropped, reordered, cut off: each is found, by name.
    let all: Vec<&str> = lines.lines().collect();
    let n = all.len();
    let edited = lines.replacen("carol@example.com", "mallory@example.com", 1);
    let dropped = [&all[..3], &all[4..]].concat().join("\n");
    let mut swapped = all.clone();
    swapped.swap(3, 4);
    let cases = [
        ("edited", edited, "was edited"),
        ("reordered", swapped.join("\n"), "out of order"),
        ("dropped", dropped, "are missing"),
        ("truncated", all[..n - 1].join("\n"), "the end is missing"),
    ];
    for (name, text, words) in cases {
        let forged = w.cp.dir().join(name);
        std::fs::write(&forged, text)?;
        let out = verify(forged.display().to_string()).await?;
        resisted(!out.ok, &format!("the audit log was {name}, and nobody sees it: {}", out.stdout))?;
        ensure!(out.stdout.contains(words), "{name}: {}{}", out.stdout, out.stderr);
    }
    Ok(())
}

/// What a sink does with what it is sent.
#[derive(Clone, Copy)]
enum Does {
    /// It keeps it, and says so.
    Take,
    /// It says that it is down.
    Refuse,
    /// It takes the connection and never says a word.
    Nothing,
}

/// An HTTP sink that does as it is told, and keeps what it takes.
struct HttpSink {
    url: String,
    does: Arc<Mutex<Does>>,
    got: Arc<Mutex<String>>,
}

impl HttpSink {
    fn will(&self, what: Does) {
        *self.does.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }
}

async fn http_sink() -> Result<HttpSink> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/audit?token=s3cret", listener.local_addr()?);
    let (does, got) = (Arc::new(Mutex::new(Does::Take)), Arc::new(Mutex::new(String::new())));
    let (told, kept) = (does.clone(), got.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (told, kept) = (told.clone(), kept.clone());
            tokio::spawn(async move {
                let mut text = Vec::new();
                let mut buffer = [0; 16_384];
                // One request for each connection: read what is announced.
                while let Ok(n) = stream.read(&mut buffer).await {
                    text.extend_from_slice(&buffer[..n]);
                    let said = String::from_utf8_lossy(&text).into_owned();
                    let length = said.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
                    let head = said.find("\r\n\r\n").map(|i| i + 4);
                    if n == 0 || head.zip(length).is_some_and(|(h, l)| text.len() >= h + l) {
                        break;
                    }
                }
                let does = *told.lock().unwrap_or_else(PoisonError::into_inner);
                let answer = match does {
                    Does::Take => {
                        kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&text));
                        "200 OK"
                    }
                    Does::Refuse => "503 Service Unavailable",
                    Does::Nothing => std::future::pending().await,
                };
                let _gone =
                    stream.write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").as_bytes()).await;
            });
        }
    });
    Ok(HttpSink { url, does, got })
}

/// A sink that takes nothing for a while: nothing is granted meanwhile, and what is to end ends. Alice has deleted `held`, and
/// Bob holds `waits` afterwards.
async fn without_a_sink(name: &str, trouble: Does, kept: &str) -> Result<(World, Operator)> {
    let w = World::first(name).await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    let sink = http_sink().await?;
    let plain = "--from-literal=url=http://siem.example.com/audit";
    admin.api(&["create", "secret", "generic", "siem", "-n", "curfew-system", plain]).await?.success()?;
    sinks(&w, r#"[{"stdout": {}}, {"http": {"urlSecretRef": {"name": "siem", "key": "url"}}}]"#).await?;
    let operator = w.operator("operator").await?;
    // Over plain text only on this machine.
    let refused = |told: &str| told.contains("begins with http://; use https://, or set transport: Plaintext");
    let why = "{.status.conditions[?(@.type==\"AuditDelivered\")].message}";
    w.field_fits(&["curfewconfig", "curfew"], why, "to refuse a URL without TLS", SOON * 2, refused).await?;
    let url = serde_json::json!({"stringData": {"url": sink.url}}).to_string();
    admin.api(&["patch", "secret", "siem", "-n", "curfew-system", "--type=merge", "-p", &url]).await?.success()?;
    w.granting().await?;
    active(&w, &alice, "payments-admin", "held", "1h").await?;
    let got = || sink.got.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ensure!(got().contains("dev.curfew.grant.intended.v1"), "the intent was there before the access");
    ensure!(got().contains("POST /audit?token=s3cret") && got().contains("application/cloudevents-batch+json"), "{}", got());
    ensure!(operator.log().contains("dev.curfew.grant.intended.v1"), "stdout has it, too");

    sink.will(trouble);
    let bob = w.cp.user("bob@example.com", &["payments-devs"])?;
    bob.apply(&asks("payments-admin", "waits", "1h", "")).await?.success()?;
    w.state_is("waits", "AwaitingApproval").await?;
    decide(&w, &w.carol()?, "waits", "Approve").await?;
    w.field_is(&["curfewconfig", "curfew"], "{.status.conditions[?(@.type==\"AuditDelivered\")].status}", "False").await?;
    // Two attempts have ended, without a Grant.
    let given_up = |line: &&str| line.contains("an audit sink did not take the record of the intent") && line.contains("waits");
    eventually("two attempts to end", SOON, || async {
        let tried_again = operator.log().lines().filter(given_up).count() > 1;
        Ok((tried_again || bob.can_read_secret("payments", "db").await?).then_some(()))
    })
    .await?;
    resisted(!bob.can_read_secret("payments", "db").await?, "access is granted without an audit record")?;
    // A revocation waits for nobody.
    alice.api(&["delete", "areq", "-n", "payments", "held"]).await?.success()?;
    ends(&w, &alice, Duration::from_secs(10), kept).await?;
    w.state_is("waits", "Activating").await?;
    ensure!(!got().contains("revocation.confirmed"), "the sink took nothing all the while");
    let intended = |line: &&str| line.contains("dev.curfew.grant.intended.v1") && line.contains("bob@example.com");
    let intents = operator.log().lines().filter(intended).count();
    ensure!(intents == 1, "an intent that waits for a sink is queued {intents} times");

    sink.will(Does::Take);
    w.state_is("waits", "Active").await?;
    w.access_is(&bob, true, SOON).await?;
    eventually("the sink to be told what it missed", SOON, || async {
        Ok(got().contains("dev.curfew.revocation.confirmed.v1").then_some(()))
    })
    .await?;
    w.field_is(&["curfewconfig", "curfew"], "{.status.conditions[?(@.type==\"AuditDelivered\")].status}", "True").await?;
    Ok((w, operator))
}

#[tokio::test]
async fn a_sink_that_is_down_stops_grants_and_delays_no_revocation() -> Result<()> {
    let (w, operator) = without_a_sink("sinks", Does::Refuse, "a sink that is down keeps the access").await?;
    // Stdout was told all of it: why an access ended whose request never said so, and who took the other away.
    decide(&w, &w.carol()?, "waits", "Revoke").await?;
    w.state_is("waits", "Revoked").await?;
    let (admin, log) = (w.admin()?, w.cp.dir().join("stdout.log"));
    for (user, parts) in [
        ("alice@example.com", ["as payments/held", "ended      Ended (RequestDeleted)"].as_slice()),
        ("bob@example.com", &["as payments/waits", "ended by   carol@example.com Revoke ", "ended      Revoked (RevokedByApprover)"]),
    ] {
        eventually(&format!("{parts:?} to be told"), SOON, || async {
            std::fs::write(&log, operator.log())?;
            let told = audit(&admin, &["show", &log.display().to_string(), "--user", user]).await?.success()?;
            if parts.iter().all(|p| told.contains(p)) { Ok(Some(())) } else { bail!("{told}") }
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_sink_that_never_answers_stops_grants_and_delays_no_revocation() -> Result<()> {
    without_a_sink("silent-sink", Does::Nothing, "a sink that never answers keeps the access").await.map(drop)
}
