//! Who is who: machines, second logins, borrowed names.
use super::{asks, logins, resisted};
use crate::{shared::with_operator, story::decide};
use anyhow::{Result, bail, ensure};
use curfew_testkit::{SOON, User, World, eventually};

pub async fn counted(w: &World, decider: &str, request: &str, reason: &str) -> Result<()> {
    let path = format!(
        "{{range .items[?(@.spec.decider.username==\"{decider}\")]}}{{.spec.about.activationRequest.name}}={{.status.conditions[0].reason}};{{end}}"
    );
    let is = format!("{request}={reason};");
    let outcome = w.field_fits(&["adec", "-n", "payments"], &path, &format!("to have {is}"), SOON, |now| now.contains(&is)).await;
    resisted(outcome.is_ok(), &format!("{decider} on {request}: {outcome:?}"))
}

async fn may(w: &World, role: &str, who: &str) -> Result<()> {
    let name = format!("{role}-{}", who.replace(['@', ':', '.'], "-"));
    let who = if let Some(sa) = who.strip_prefix("sa:") { format!("--serviceaccount={sa}") } else { format!("--user={who}") };
    let args = ["create", "rolebinding", "-n", "payments", &name, &format!("--clusterrole={role}"), &who];
    w.admin()?.api(&args).await?.success().map(drop)
}

#[tokio::test]
async fn a_machine_asks_only_where_it_may_and_two_people_must_say_yes() -> Result<()> {
    let (w, _operator) = World::running("machines").await?;
    let (admin, carol, dave) = (w.admin()?, w.carol()?, w.cp.user("dave@example.com", &["payments-leads"])?);
    admin.api(&["create", "serviceaccount", "-n", "payments", "agent"]).await?.success()?;
    may(&w, "curfew-requester", "sa:payments:agent").await?;
    let agent = w.cp.service_account("payments", "agent").await?;
    let at = |s: i64| curfew_core::time::Time::from_millis(jiff::Timestamp::now().as_millisecond()).plus_secs(s).floor_secs();
    let for_erin = |name: &str, hours: i64| {
        asks("payments-admin", name, "1h", &format!(", beneficiary: {{user: erin@example.com}}, notAfter: '{}'", at(hours * 3600)))
    };
    // Not by default.
    agent.apply(&for_erin("forbidden", 3)).await?.success()?;
    w.state_is("forbidden", "Denied").await?;
    let erin = "{apiVersion: curfew.dev/v1alpha1, kind: EligibleAssignment, metadata: {name: erin, namespace: payments}, \
                spec: {roleRef: {name: payments-admin}, subject: {user: erin@example.com}, scope: {all: {}}, window: {permanent: {}}, delegation: Allowed}}";
    admin.apply(erin).await?.success()?;
    // The assignment allows it, and the policy does not.
    w.field_is(&["eas", "-n", "payments", "erin"], "{.status.conditions[?(@.type==\"Ready\")].reason}", "OutsidePolicy").await?;
    let allow = r#"{"spec": {"eligible": [{"group": "payments-devs"}, {"user": "erin@example.com"}], "allow": {"permanentEligibility": true, "delegated": true}}}"#;
    admin.api(&["patch", "apol", "payments", "--type=merge", "-p", allow]).await?.success()?;
    w.field_is(&["eas", "-n", "payments", "erin"], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
    agent.apply(&asks("payments-admin", "endless", "1h", ", beneficiary: {user: erin@example.com}")).await?.success()?;
    w.field_is(&["areq", "-n", "payments", "endless"], "{.status.reason}", "OutsideWindow").await?;
    agent
        .apply(&asks("payments-admin", "other", "1h", &format!(", beneficiary: {{user: frank@example.com}}, notAfter: '{}'", at(7200))))
        .await?
        .success()?;
    w.field_is(&["areq", "-n", "payments", "other"], "{.status.reason}", "NotEligible").await?;

    // The policy allows it, and the assignment does not.
    for (name, delegation, state) in [("undelegated", "Forbidden", "Denied"), ("delegated", "Allowed", "AwaitingApproval")] {
        let patch = format!(r#"{{"spec": {{"delegation": "{delegation}"}}}}"#);
        admin.api(&["patch", "eas", "-n", "payments", "erin", "--type=merge", "-p", &patch]).await?.success()?;
        agent.apply(&for_erin(name, 3)).await?.success()?;
        let judged = w.state_is(name, state).await;
        resisted(judged.is_ok(), &format!("a service account asks for a person whose assignment says {delegation}: {judged:?}"))?;
    }
    let two = w.field_is(&["areq", "-n", "payments", "delegated"], "{.status.waitingFor}", "owners 0/2").await;
    resisted(two.is_ok(), "one person's word is enough for a machine's request")?;
    // Erin is an approver, too, and not in her own matter.
    may(&w, "curfew-approver", "erin@example.com").await?;
    let erin = w.cp.user("erin@example.com", &["payments-leads"])?;
    decide(&w, &erin, "delegated", "Approve").await?;
    counted(&w, "erin@example.com", "delegated", "SelfDecision").await?;
    decide(&w, &carol, "delegated", "Approve").await?;
    w.field_is(&["areq", "-n", "payments", "delegated"], "{.status.waitingFor}", "owners 1/2").await?;
    resisted(!erin.can_read_secret("payments", "db").await?, "one person's word is enough for a machine's request")?;
    decide(&w, &dave, "delegated", "Approve").await?;
    w.state_is("delegated", "Active").await?;
    w.access_is(&erin, true, SOON).await?;
    ensure!(!agent.can_read_secret("payments", "db").await?, "a service account that asks for a user gets no access itself");
    // Erin gives it back by deleting what she did not write.
    may(&w, "curfew-requester", "erin@example.com").await?;
    erin.api(&["delete", "areq", "-n", "payments", "delegated"]).await?.success()?;
    w.access_is(&erin, false, SOON).await
}

/// As an admin who may impersonate, with extras and without.
async fn borrowed(admin: &User, name: &str, yaml: &str, extra: Option<&str>) -> Result<curfew_testkit::Output> {
    let who = format!("--as={name}");
    let extra = extra.map(|e| format!("--as-user-extra={e}"));
    // The schema cannot be downloaded under every borrowed name; the server checks it all the same.
    let mut args = vec![who.as_str(), "create", "--validate=false", "-f", "-"];
    args.extend(extra.as_deref());
    admin.kubectl_stdin(&args, yaml).await
}

#[tokio::test]
async fn a_borrowed_name_a_second_login_and_the_same_name_from_elsewhere() -> Result<()> {
    let (w, _operator) = World::running("who").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    alice.apply(&asks("payments-admin", "asked", "1h", "")).await?.success()?;
    w.state_is("asked", "AwaitingApproval").await?;
    let digest = w.field(&["areq", "-n", "payments", "asked"], "{.status.digest}").await?;
    let word = |request: &str, digest: &str| {
        format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: payments}}, \
             spec: {{about: {{activationRequest: {{name: {request}}}}}, digest: '{digest}', decision: Approve}}}}"
        )
    };
    // Impersonation without extras carries no proof of a login.
    borrowed(&admin, "carol@example.com", &word("asked", &digest), None).await?.success()?;
    counted(&w, "carol@example.com", "asked", "UnprovenLogin").await?;
    // Who may impersonate users, and no extras, cannot bring the proof along.
    admin.api(&["create", "clusterrole", "impersonates", "--verb=impersonate", "--resource=users"]).await?.success()?;
    admin
        .api(&["create", "clusterrolebinding", "impersonates", "--clusterrole=impersonates", "--user=mallory@example.com"])
        .await?
        .success()?;
    let proof = "authentication.kubernetes.io/credential-id=X509SHA256=0";
    let (mallory, bare) = (w.mallory()?, word("asked", &digest));
    eventually("mallory to be able to borrow a name", SOON, || async {
        Ok(borrowed(&mallory, "carol@example.com", &bare, None).await?.ok.then_some(()))
    })
    .await?;
    let told = borrowed(&mallory, "carol@example.com", &bare, Some(proof)).await?.refused()?;
    ensure!(told.contains("cannot impersonate"), "{told}");
    may(&w, "curfew-approver", "system:node:a").await?;
    let system = borrowed(&admin, "system:node:a", &word("asked", &digest), None).await?.refused()?;
    ensure!(system.contains("decisions are made by people"), "{system}");
    // The same name from another issuer is the same person: a user who shares a name does not approve for it.
    may(&w, "curfew-approver", "alice@example.com").await?;
    let elsewhere = w.cp.user("alice@example.com", &["payments-leads"])?;
    decide(&w, &elsewhere, "asked", "Approve").await?;
    counted(&w, "alice@example.com", "asked", "SelfDecision").await?;
    resisted(!alice.can_read_secret("payments", "db").await?, "a borrowed name approves")?;
    // An identity that may impersonate extras, too, is part of the trusted base: with the proof it is Carol, and the docs say so.
    borrowed(&admin, "carol@example.com", &word("asked", &digest), Some(proof)).await?.success()?;
    w.state_is("asked", "Active").await?;
    alice.api(&["delete", "areq", "-n", "payments", "asked"]).await?.success()?;

    // With aliases configured a second login is the same person, and a login without an alias is nobody.
    let aliases =
        r#"{"spec": {"identity": {"aliases": {"keys": ["curfew.dev/person"], "none": null}, "deciderProof": {"none": {}, "keys": null}}}}"#;
    admin.api(&["patch", "curfewconfig", "curfew", "--type=merge", "-p", aliases]).await?.success()?;
    // Refused while some of the API server's policies know the new keys, and others do not yet.
    eventually("the keys to be known", SOON, || async {
        let out = alice.apply(&asks("payments-admin", "bare", "1h", "")).await?;
        if out.ok { Ok(Some(())) } else { bail!("{}", out.stderr) }
    })
    .await?;
    w.field_is(&["areq", "-n", "payments", "bare"], "{.status.reason}", "UnprovenLogin").await?;
    let group = |args: &mut Vec<String>| args.push("--as-group=payments-devs".into());
    let mut args: Vec<String> = vec!["--as=alice@example.com".into(), "--as-user-extra=curfew.dev/person=7".into()];
    group(&mut args);
    args.extend(["create".into(), "-f".into(), "-".into()]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    admin.kubectl_stdin(&args, &asks("payments-admin", "aliased", "1h", "")).await?.success()?;
    w.state_is("aliased", "AwaitingApproval").await?;
    let digest = w.field(&["areq", "-n", "payments", "aliased"], "{.status.digest}").await?;
    let word = word("aliased", &digest);
    borrowed(&admin, "carol@example.com", &word, Some("curfew.dev/person=7")).await?.success()?;
    let path = "{range .items[?(@.spec.about.activationRequest.name==\"aliased\")]}{.status.conditions[0].reason};{end}";
    let told = w.field_is(&["adec", "-n", "payments"], path, "SelfDecision;").await;
    resisted(told.is_ok(), "a second login approves the requester's own request")?;
    borrowed(&admin, "carol@example.com", &word, None).await?.success()?;
    let bare = |told: &str| told.contains("UnprovenLogin");
    let told = w.field_fits(&["adec", "-n", "payments"], path, "to have UnprovenLogin", SOON, bare).await;
    resisted(told.is_ok(), "a login without an alias approves")?;
    borrowed(&admin, "carol@example.com", &word, Some("curfew.dev/person=8")).await?.success()?;
    w.state_is("aliased", "Active").await?;
    logins::one_uid_of_a_whole_role(&w).await?;
    logins::a_key_that_is_asked_for_later(&w).await?;
    logins::without_the_stamp(&w).await
}

#[tokio::test]
async fn a_second_spelling_of_a_name_and_a_blank_proof_are_nobody() -> Result<()> {
    let w = with_operator().await?;
    let (alice, carol, admin) = (w.alice()?, w.carol()?, w.admin()?);
    let lead = |name: &str| w.cp.user(name, &["payments-leads"]);
    alice.apply(&asks("payments-admin", "spelt", "1h", "")).await?.success()?;
    w.state_is("spelt", "AwaitingApproval").await?;
    for spelling in ["Alice@example.com", "ＡLICE@example.com"] {
        decide(w, &lead(spelling)?, "spelt", "Approve").await?;
        counted(w, spelling, "spelt", "SelfDecision").await?;
    }
    resisted(!alice.can_read_secret("payments", "db").await?, "a second spelling of the requester's name approves")?;

    // A blank value is not the proof of a login that the configuration asks for.
    let digest = w.field(&["areq", "-n", "payments", "spelt"], "{.status.digest}").await?;
    let approval = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: spelt}}}}, digest: '{digest}', decision: Approve}}}}"
    );
    may(w, "curfew-approver", "dave@example.com").await?;
    let blank = "authentication.kubernetes.io/credential-id=";
    let args = ["--as=dave@example.com", "--as-group=payments-leads", "--as-user-extra", blank, "create", "--validate=false", "-f", "-"];
    admin.kubectl_stdin(&args, &approval).await?.success()?;
    counted(w, "dave@example.com", "spelt", "UnprovenLogin").await?;
    resisted(!alice.can_read_secret("payments", "db").await?, "a blank value proves a login")?;

    // A digest that begins like the one that was reviewed is another one; a shorter one is none.
    let beginning = format!("{}{}", &digest[..16], "0".repeat(48));
    lead("erin@example.com")?.create(&approval.replace(&digest, &beginning)).await?.success()?;
    counted(w, "erin@example.com", "spelt", "DigestMismatch").await?;
    resisted(!alice.can_read_secret("payments", "db").await?, "the first 16 digits of a digest are enough")?;
    for wrong in [&digest[..16], &digest[..63], &format!("{digest}0"), &digest.to_uppercase(), &format!("{}\\n", &digest[..63])] {
        let refusal = lead("erin@example.com")?.create(&approval.replace(&format!("'{digest}'"), &format!("\"{wrong}\""))).await?;
        resisted(!refusal.ok, &format!("{wrong} is taken for a digest"))?;
        ensure!(refusal.stderr.contains("spec.digest"), "{}", refusal.stderr);
    }

    // Two spellings of one name do not fill a quorum of two; two people do.
    let role = w.admin()?.field(&["rtpl", "-n", "payments", "payments-admin"], "{.spec}").await?;
    let mut role: serde_json::Value = serde_json::from_str(&role)?;
    role["activation"]["approval"]["stages"][0]["quorum"] = 2.into();
    let object = |kind: &str, spec: &serde_json::Value| {
        serde_json::json!({"apiVersion": "curfew.dev/v1alpha1", "kind": kind,
            "metadata": {"name": "two-leads", "namespace": "payments"}, "spec": spec})
        .to_string()
    };
    admin.apply(&object("RoleTemplate", &role)).await?.success()?;
    let eligible = serde_json::json!({"roleRef": {"name": "two-leads"}, "subject": {"group": "payments-devs"},
        "scope": {"all": {}}, "window": {"permanent": {}}});
    admin.apply(&object("EligibleAssignment", &eligible)).await?.success()?;
    w.field_is(&["rtpl", "-n", "payments", "two-leads"], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
    alice.apply(&asks("two-leads", "two", "1h", "")).await?.success()?;
    w.state_is("two", "AwaitingApproval").await?;
    decide(w, &carol, "two", "Approve").await?;
    w.field_is(&["areq", "-n", "payments", "two"], "{.status.waitingFor}", "owners 1/2").await?;
    decide(w, &lead("Carol@Example.com")?, "two", "Approve").await?;
    counted(w, "Carol@Example.com", "two", "AlreadyCounted").await?;
    resisted(!alice.can_read_secret("payments", "db").await?, "two spellings of one name fill a quorum")?;
    decide(w, &lead("dave@example.com")?, "two", "Approve").await?;
    w.access_is(&alice, true, SOON).await?;
    alice.api(&["delete", "areq", "-n", "payments", "two"]).await?.success()?;
    w.access_is(&alice, false, SOON).await
}
