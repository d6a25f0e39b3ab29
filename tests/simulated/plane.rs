//! A control plane whose CRDs know the simulated provider, and roles in simulated directories.
//!
//! The shipped CRDs do not name the provider for tests, and must not. So its member is added to the CRDs of this plane only.
//! The admission check of the operator accepts members that the API server holds beyond those that were built.
use anyhow::{Context, Result, ensure};
use curfew_testkit::{DirectoryConfig, Operator, SOON, SimulatedDirectory, User, World, eventually};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The group that every role here gives.
pub const GROUP: &str = "dba";

/// How long a change at a difficult directory may take on a busy machine: its delays, the settle time, and pauses after failures.
pub const SLOWLY: Duration = Duration::from_secs(90);

/// A control plane with the example of the README and the extended CRDs. No operator runs yet.
pub async fn world(name: &str) -> Result<World> {
    let w = World::first(name).await?;
    let admin = w.admin()?;
    let crds = admin.kubectl(&["get", "crd", "-o", "json"]).await?.success()?;
    let mut crds: Value = serde_json::from_str(&crds)?;
    let mut extended = 0;
    for crd in crds["items"].as_array_mut().context("no CRDs")? {
        extended += extend(crd);
    }
    ensure!(extended > 0, "no union has a member kubernetes");
    admin.kubectl_stdin(&["replace", "-f", "-"], &crds.to_string()).await?.success()?;
    // The API server takes up each CRD by itself. It looks for unknown members before it looks at anything else.
    for (kind, union) in UNIONS {
        let probe = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": kind, "metadata": {"name": "probe", "namespace": "payments"},
            "spec": {*union: {"simulated": {}}}});
        eventually(&format!("the API server to take the member simulated of {kind}"), SOON, || async {
            let out = admin.api_stdin(&["create", "--dry-run=server", "-f", "-"], &probe.to_string()).await?;
            Ok((!out.stderr.contains("unknown field")).then_some(()))
        })
        .await?;
    }
    Ok(w)
}

/// A union of each kind that has one.
const UNIONS: &[(&str, &str)] = &[
    ("AuthorizationSystem", "provider"),
    ("AccessPolicy", "permissions"),
    ("RoleTemplate", "permissions"),
    ("EligibleAssignment", "scope"),
    ("ActivationRequest", "permissions"),
    ("Grant", "plan"),
];

/// Adds the member `simulated` to every union with a member `kubernetes`; answers how many there are.
fn extend(schema: &mut Value) -> usize {
    let mut extended = 0;
    match schema {
        Value::Object(o) => {
            if o.contains_key("minProperties")
                && let Some(Value::Object(members)) = o.get_mut("properties")
                && members.contains_key("kubernetes")
            {
                members.insert("simulated".into(), json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
                extended += 1;
            }
            extended += o.values_mut().map(extend).sum::<usize>();
        }
        Value::Array(all) => extended += all.iter_mut().map(extend).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    extended
}

fn system(name: &str, endpoint: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AuthorizationSystem, metadata: {{name: {name}}}, \
         spec: {{mode: ReadWrite, provider: {{simulated: {{endpoint: '{endpoint}'}}}}}}}}"
    )
}

/// A directory as an AuthorizationSystem, and two roles that both give membership of [`GROUP`] there: NAME and NAME-too.
pub struct Roles<'a> {
    /// Where they are.
    pub w: &'a World,
    /// What they give access to.
    pub directory: SimulatedDirectory,
    name: &'static str,
}

impl<'a> Roles<'a> {
    /// Installs them and waits until the operator, if one runs, can grant them.
    pub async fn install(w: &'a World, name: &'static str, config: DirectoryConfig) -> Result<Self> {
        let directory = SimulatedDirectory::start(&[GROUP, "other"]).await?;
        directory.configure(config);
        let admin = w.admin()?;
        let permissions = format!("permissions: {{simulated: {{groups: [{GROUP}]}}}}, scope: {{simulated: {{directory: {{}}}}}}");
        admin.apply(&system(name, &directory.endpoint())).await?.success()?;
        let policy = format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: AccessPolicy, metadata: {{name: {name}}}, spec: {{\
             namespaces: {{names: [payments]}}, systems: {{names: [{name}]}}, {permissions}, eligible: [{{group: payments-devs}}], \
             max: {{duration: 8h, eligibility: 365d}}, allow: {{permanentEligibility: true}}, \
             min: {{approval: {{atLeast: {{quorum: 1, from: [{{user: carol@example.com}}]}}}}, justification: true, mfa: {{none: {{}}}}, ticket: {{none: {{}}}}}}}}}}"
        );
        admin.apply(&policy).await?.success()?;
        for role in [name.to_owned(), format!("{name}-too")] {
            let template = format!(
                "{{apiVersion: curfew.dev/v1alpha1, kind: RoleTemplate, metadata: {{name: {role}, namespace: payments}}, spec: {{\
                 description: members of {GROUP}, systems: {{names: [{name}]}}, {permissions}, activation: {{\
                 duration: {{default: 1h, max: 4h}}, justification: Required, ticket: {{none: {{}}}}, mfa: {{none: {{}}}}, limits: {{none: {{}}}}, \
                 approval: {{stages: [{{name: owners, approvers: [{{user: carol@example.com}}], quorum: 1, timeout: 24h}}]}}}}, \
                 assignment: {{eligible: {{permanent: true, max: 365d}}}}}}}}"
            );
            admin.apply(&template).await?.success()?;
            let assignment = format!(
                "{{apiVersion: curfew.dev/v1alpha1, kind: EligibleAssignment, metadata: {{name: {role}, namespace: payments}}, spec: {{\
                 roleRef: {{name: {role}}}, subject: {{group: payments-devs}}, scope: {{all: {{}}}}, window: {{permanent: {{}}}}, \
                 justification: on-call rotation}}}}"
            );
            admin.apply(&assignment).await?.success()?;
        }
        Ok(Roles { w, directory, name })
    }

    /// Waits until the running operator can grant them.
    pub async fn ready(&self) -> Result<()> {
        self.w.granting().await?;
        let ready = "{.status.conditions[?(@.type==\"Ready\")].status}";
        for role in [self.name.to_owned(), format!("{}-too", self.name)] {
            let what = ["rtpl", "-n", "payments", &role];
            self.w.field_fits(&what, ready, "to be Ready", SLOWLY, |now| now == "True").await?;
        }
        Ok(())
    }

    /// Who asks; known only to this test.
    pub fn member(&self) -> Result<User> {
        self.w.cp.user(&format!("{}@example.com", self.name), &["payments-devs"])
    }

    /// Asks for a role, under a request of that name.
    pub async fn ask(&self, role: &str, request: &str, duration: &str) -> Result<()> {
        let yaml = format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {request}, namespace: payments}}, \
             spec: {{roleRef: {{name: {role}}}, duration: {duration}, justification: roll back release 2311}}}}"
        );
        self.member()?.apply(&yaml).await?.success()?;
        self.state_is(request, "AwaitingApproval").await
    }

    /// The approver decides about what the status shows.
    pub async fn decide(&self, request: &str, decision: &str) -> Result<()> {
        let digest = self.w.field(&["areq", "-n", "payments", request], "{.status.digest}").await?;
        let yaml = format!(
            "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: payments}}, \
             spec: {{about: {{activationRequest: {{name: {request}}}}}, digest: '{digest}', decision: {decision}}}}}"
        );
        self.w.carol()?.create(&yaml).await?.success().map(drop)
    }

    /// A request that is approved and active.
    pub async fn active(&self, role: &str, request: &str, duration: &str) -> Result<()> {
        self.ask(role, request, duration).await?;
        self.decide(request, "Approve").await?;
        self.state_is(request, "Active").await?;
        ensure!(self.has_access()?, "{request} is Active without access");
        Ok(())
    }

    /// Waits for a request to be in this state.
    pub async fn state_is(&self, request: &str, state: &str) -> Result<()> {
        self.one_of(request, &[state]).await
    }

    /// Waits for a request to be in one of these states.
    pub async fn one_of(&self, request: &str, states: &[&str]) -> Result<()> {
        let what = ["areq", "-n", "payments", request];
        self.w.field_fits(&what, "{.status.state}", &format!("to be {states:?}"), SLOWLY, |now| states.contains(&now)).await
    }

    /// The Grant of a request.
    pub async fn grant(&self, request: &str) -> Result<String> {
        self.w.field(&["areq", "-n", "payments", request], "{.status.grantRef.name}").await
    }

    /// Waits until the Grant of a request has ended.
    pub async fn ended(&self, request: &str) -> Result<()> {
        let grant = self.grant(request).await?;
        self.w.field_fits(&["grt", &grant], "{.status.state}", "to be Ended", SLOWLY, |now| now == "Ended").await
    }

    /// Uses the access.
    pub fn has_access(&self) -> Result<bool> {
        Ok(self.directory.has_access(GROUP, &self.member()?.name))
    }

    /// Waits until the access is, or is not, there.
    pub async fn access_is(&self, allowed: bool) -> Result<()> {
        eventually(&format!("the access to be {allowed}"), SLOWLY, || async { Ok((self.has_access()? == allowed).then_some(())) }).await
    }

    /// Uses the access all the time for this long; it must stay as it is expected.
    pub async fn access_stays(&self, allowed: bool, time: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            ensure!(self.has_access()? == allowed, "the access is {} after {:?}", !allowed, begun.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// How many additions and removals the directory has accepted.
    pub fn writes(&self) -> (usize, usize) {
        (self.directory.count("POST", "/members", 202), self.directory.count("DELETE", "/members/", 202))
    }
}

/// Takes the lease from an operator that was killed or is stopped, so that no test waits for it to run out.
pub async fn free_lease(w: &World) -> Result<()> {
    w.admin()?.api(&["delete", "lease", "-n", "curfew-system", "--all"]).await?.success().map(drop)
}

/// Waits until a test's crash point has stopped the operator.
pub async fn parked(operator: &Operator, point: &str) -> Result<()> {
    eventually(&format!("the operator to be parked at {point}"), SLOWLY, || async { Ok(operator.is_stopped().then_some(())) }).await
}
