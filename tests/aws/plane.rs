//! A control plane whose operator reaches AWS accounts on the emulators, and roles in such accounts. Every test has an account, roles and
//! a person of its own.
//!
//! The operator has the keys of one user, who may only assume the operator's role of each account; that role has exactly the rights
//! of `deploy/aws`, and no others.
use anyhow::{Context, Result, ensure};
use curfew_testkit::{
    Operator, User, World,
    aws::{Account, Answer, AwsCall, AwsUser, Emulators, REGION, policy, trust},
    eventually, root,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// How long one change may take on a busy machine, with the pauses after failures.
pub const SLOWLY: Duration = Duration::from_secs(90);

/// What the members of the team get: the right to list the buckets.
pub const LIST: &str = "s3:ListAllMyBuckets";

pub const EXTERNAL_ID: &str = "curfew-tests";

/// The emulators, for all tests.
pub async fn emulators() -> Result<&'static Emulators> {
    static EMULATORS: OnceCell<Emulators> = OnceCell::const_new();
    EMULATORS.get_or_try_init(Emulators::start).await
}

/// A control plane, and the identity that operators have on it.
pub struct Plane {
    pub w: World,
    /// The user whose keys the operator has.
    hub: AwsUser,
    environment: Vec<(String, String)>,
}

impl Plane {
    /// With the example of the README. No operator runs yet.
    pub async fn start(name: &str) -> Result<Self> {
        let hub = Account::new(emulators().await?);
        let user = hub.user("curfew").await?;
        let only = policy(json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::*:role/curfew-operator"}]));
        hub.iam("PutUserPolicy", &[("UserName", "curfew"), ("PolicyName", "spokes"), ("PolicyDocument", &only.to_string())]).await?;
        // As in `deploy/aws/main.tf`: the hub has the rights of its own account, too, and what those deny.
        for rights in operator_rights(&hub).await? {
            hub.iam("AttachUserPolicy", &[("UserName", "curfew"), ("PolicyArn", &rights)]).await?;
        }
        Ok(Plane { w: World::first(name).await?, environment: hub.environment(&user), hub: user })
    }

    /// The user whose keys the operator has.
    pub fn hub(&self) -> &AwsUser {
        &self.hub
    }

    /// An operator, with more in its environment.
    pub async fn operator(&self, name: &str, envs: &[(&str, &str)]) -> Result<Operator> {
        let own = self.environment.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let all: Vec<(&str, &str)> = own.chain(envs.iter().copied()).collect();
        self.w.operator_with(name, &all).await
    }
}

/// One plane and one operator for most tests.
pub async fn shared() -> Result<&'static Plane> {
    static SHARED: OnceCell<(Plane, Operator)> = OnceCell::const_new();
    let started = SHARED.get_or_try_init(|| async {
        let plane = Plane::start("aws").await?;
        let operator = plane.operator("operator", &[]).await?;
        anyhow::Ok((plane, operator))
    });
    started.await.map(|(plane, _)| plane)
}

/// What a test sets up beside the usual.
pub struct Setup {
    /// Of the role.
    pub permissions: Value,
    /// What the AccessPolicy allows.
    pub allowed: Value,
    /// Of the role.
    pub scope: Value,
    /// `allow.persistence` of the AccessPolicy.
    pub persistence: bool,
    /// More of the system's connection.
    pub connection: Value,
}

impl Setup {
    /// These permissions in the whole account, all of them allowed.
    pub fn of(permissions: Value) -> Self {
        let scope = json!({"account": {}});
        Setup { allowed: permissions.clone(), permissions, scope, persistence: false, connection: json!({}) }
    }
    /// A policy of the test's own, attached to the IAM user.
    pub fn user() -> Self {
        Setup::of(json!({"user": {"inlinePolicy": list()}}))
    }
    /// An IAM role that has it.
    pub fn role() -> Self {
        Setup::of(json!({"role": {"inlinePolicy": list()}}))
    }
}

/// A policy that lets its holder list the buckets.
pub fn list() -> Value {
    policy(json!([{"Effect": "Allow", "Action": [LIST], "Resource": "*"}]))
}

/// An account as an AuthorizationSystem with a role, all of one name, and a second role NAME-too that gives the same.
pub struct Access<'a> {
    pub plane: &'a Plane,
    pub account: Account<'static>,
    /// Who gets the access, with keys that have no rights.
    pub user: AwsUser,
    pub name: &'static str,
}

/// The role of the operator in an account, with the rights of `deploy/aws`.
async fn operator_role(plane: &Plane, account: &Account<'_>) -> Result<String> {
    let trusting = trust(&[&plane.hub.arn], &json!({"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}));
    let role = [("RoleName", "curfew-operator"), ("AssumeRolePolicyDocument", &trusting.to_string())];
    let arn = account.iam("CreateRole", &role).await?.text("Arn").context("no ARN")?;
    for of_role in operator_rights(account).await? {
        account.iam("AttachRolePolicy", &[("RoleName", "curfew-operator"), ("PolicyArn", &of_role)]).await?;
    }
    Ok(arn)
}

/// The policies of `deploy/aws` in an account, by ARN.
pub async fn operator_rights(account: &Account<'_>) -> Result<Vec<String>> {
    let mut arns = Vec::new();
    for (name, file) in [("curfew-operator", "iam.json"), ("curfew-operator-identity-center", "identity-center.json")] {
        let path = root().join("deploy/aws").join(file);
        let rights: Value = serde_json::from_str(&std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?)?;
        arns.push(account.policy(name, &rights).await?);
    }
    Ok(arns)
}

impl<'a> Access<'a> {
    /// Installs system, policy, roles and eligibility. The person is NAME@example.com in Kubernetes and NAME in the account.
    pub async fn install(plane: &'a Plane, name: &'static str, setup: Setup) -> Result<Self> {
        Self::install_in(plane, Account::new(emulators().await?), name, setup).await
    }

    /// The same in an account that is there.
    pub async fn install_in(plane: &'a Plane, account: Account<'static>, name: &'static str, setup: Setup) -> Result<Self> {
        let user = account.user(name).await?;
        let arn = operator_role(plane, &account).await?;
        let mut connection = json!({"accountId": account.id, "region": REGION, "assumeRole": {"roleArn": arn, "externalId": EXTERNAL_ID}});
        for (field, value) in setup.connection.as_object().into_iter().flatten() {
            connection[field] = value.clone();
        }
        let access = Access { plane, account, user, name };
        let principals = json!({"source": {"username": {}}, "stripSuffix": "@example.com"});
        access
            .apply("AuthorizationSystem", name, json!({"mode": "ReadWrite", "provider": {"aws": connection}, "principals": principals}))
            .await?;
        let quorum = json!({"atLeast": {"quorum": 1, "from": [{"user": "carol@example.com"}]}});
        let floor = json!({"approval": quorum, "justification": true, "mfa": {"none": {}}, "ticket": {"none": {}}});
        let systems = json!({"names": [name]});
        let allow = json!({"permanentEligibility": true, "persistence": setup.persistence});
        let apol = json!({"namespaces": {"names": ["payments"]}, "systems": systems, "permissions": {"aws": setup.allowed},
            "scope": {"aws": {"account": {}}}, "eligible": [{"group": "payments-devs"}], "max": {"duration": "8h", "eligibility": "365d"},
            "allow": allow, "min": floor});
        access.apply("AccessPolicy", name, apol).await?;
        for role in [name.to_owned(), format!("{name}-too")] {
            access.role(&role, &setup.permissions, &setup.scope).await?;
        }
        Ok(access)
    }

    /// A role as it is applied.
    pub fn template(&self, role: &str, namespace: &str, permissions: &Value, scope: &Value) -> Value {
        let stages = json!([{"name": "owners", "approvers": [{"user": "carol@example.com"}], "quorum": 1, "timeout": "24h"}]);
        let activation = json!({"duration": {"default": "1h", "max": "4h"}, "justification": "Required", "ticket": {"none": {}},
            "mfa": {"none": {}}, "limits": {"none": {}}, "approval": {"stages": stages}});
        json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate", "metadata": {"name": role, "namespace": namespace},
            "spec": {"description": "lists the buckets", "systems": {"names": [self.name]}, "permissions": {"aws": permissions},
            "scope": {"aws": scope}, "activation": activation, "assignment": {"eligible": {"permanent": true, "max": "365d"}}}})
    }

    /// Installs a role and who is eligible for it.
    pub async fn role(&self, role: &str, permissions: &Value, scope: &Value) -> Result<()> {
        let template = self.template(role, "payments", permissions, scope);
        self.plane.w.admin()?.apply(&template.to_string()).await?.success()?;
        let eligible = json!({"roleRef": {"name": role}, "subject": {"group": "payments-devs"}, "scope": {"all": {}},
            "window": {"permanent": {}}, "justification": "on-call rotation"});
        self.apply("EligibleAssignment", role, eligible).await
    }

    async fn apply(&self, kind: &str, name: &str, spec: Value) -> Result<()> {
        let mut object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        if kind == "EligibleAssignment" {
            object["metadata"]["namespace"] = json!("payments");
        }
        self.plane.w.admin()?.apply(&object.to_string()).await?.success().map(drop)
    }

    /// Waits until the running operator can grant the roles.
    pub async fn ready(&self) -> Result<()> {
        self.plane.w.granting().await?;
        for role in [self.name.to_owned(), format!("{}-too", self.name)] {
            self.ready_is(&role, "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
        }
        Ok(())
    }

    /// Waits until a field of a role contains a text.
    pub async fn ready_is(&self, role: &str, path: &str, text: &str) -> Result<()> {
        let what = ["rtpl", "-n", "payments", role];
        self.plane.w.field_fits(&what, path, &format!("to contain {text:?}"), SLOWLY, |now| now.contains(text)).await
    }

    /// Who asks.
    pub fn person(&self) -> Result<User> {
        self.plane.w.cp.user(&format!("{}@example.com", self.name), &["payments-devs"])
    }

    /// Asks for a role, under a request of that name.
    pub async fn ask(&self, role: &str, request: &str, duration: &str) -> Result<()> {
        let spec = json!({"roleRef": {"name": role}, "duration": duration, "justification": "roll back release 2311"});
        let object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
            "metadata": {"name": request, "namespace": "payments"}, "spec": spec});
        self.person()?.apply(&object.to_string()).await?.success()?;
        self.state_is(request, &["AwaitingApproval"]).await
    }

    /// The approver decides about what the status shows.
    pub async fn decide(&self, request: &str, decision: &str) -> Result<()> {
        let digest = self.plane.w.field(&["areq", "-n", "payments", request], "{.status.digest}").await?;
        let spec = json!({"about": {"activationRequest": {"name": request}}, "digest": digest, "decision": decision});
        let object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision",
            "metadata": {"generateName": "d-", "namespace": "payments"}, "spec": spec});
        self.plane.w.carol()?.create(&object.to_string()).await?.success().map(drop)
    }

    /// Asks and approves, whether the access can be written or not.
    pub async fn ask_anyway(&self, role: &str, request: &str) -> Result<()> {
        self.ask(role, request, "1h").await?;
        self.decide(request, "Approve").await
    }

    /// A request that is approved and active.
    pub async fn active(&self, role: &str, request: &str, duration: &str) -> Result<()> {
        self.ask(role, request, duration).await?;
        self.decide(request, "Approve").await?;
        self.state_is(request, &["Active"]).await
    }

    /// Waits for a request to be in one of these states.
    pub async fn state_is(&self, request: &str, states: &[&str]) -> Result<()> {
        let what = ["areq", "-n", "payments", request];
        self.plane.w.field_fits(&what, "{.status.state}", &format!("to be {states:?}"), SLOWLY, |now| states.contains(&now)).await
    }

    /// A field of a request.
    pub async fn of_request(&self, request: &str, path: &str) -> Result<String> {
        self.plane.w.field(&["areq", "-n", "payments", request], path).await
    }

    /// The Grant of a request, once there is one.
    pub async fn grant(&self, request: &str) -> Result<String> {
        let (what, path) = (["areq", "-n", "payments", request], "{.status.grantRef.name}");
        self.plane.w.field_fits(&what, path, "to be there", SLOWLY, |name| !name.is_empty()).await?;
        self.of_request(request, path).await
    }

    /// A field of the Grant of a request.
    pub async fn of_grant(&self, request: &str, path: &str) -> Result<String> {
        self.plane.w.field(&["grt", &self.grant(request).await?], path).await
    }

    /// Waits until the Grant of a request has ended.
    pub async fn ended(&self, request: &str) -> Result<()> {
        let grant = self.grant(request).await?;
        self.plane.w.field_fits(&["grt", &grant], "{.status.state}", "to be Ended", SLOWLY, |now| now == "Ended").await
    }

    /// Waits until a request and its Grant have ended; then nothing is left in the account, and the person has no access.
    pub async fn over(&self, request: &str, states: &[&str]) -> Result<()> {
        self.state_is(request, states).await?;
        self.ended(request).await?;
        self.nothing_is_left().await?;
        ensure!(!self.has_any_access().await?, "{request} has ended, and there is still access");
        Ok(())
    }

    /// Nothing that Curfew makes is in the account.
    pub async fn nothing_is_left(&self) -> Result<()> {
        let left = self.account.under("/curfew/").await?;
        ensure!(left.is_empty(), "left in the account: {left:?}");
        Ok(())
    }

    /// Uses the access with the person's own keys.
    pub async fn has_access(&self) -> Result<bool> {
        self.user.aws.can_list_buckets().await
    }

    /// Uses the person's own keys, and every role of a grant that they may assume.
    pub async fn has_any_access(&self) -> Result<bool> {
        for role in self.account.under("/curfew/").await?.into_iter().filter(|arn| arn.contains(":role/")) {
            if let Some(session) = self.user.aws.assume(&role, &[]).await?
                && session.can_list_buckets().await?
            {
                return Ok(true);
            }
        }
        self.has_access().await
    }

    /// Waits until the access is, or is not, there.
    pub async fn access_is(&self, allowed: bool) -> Result<()> {
        let fits = || async { Ok((self.has_access().await? == allowed).then_some(())) };
        eventually(&format!("the access of {} to be {allowed}", self.name), SLOWLY, fits).await
    }

    /// Uses the access all the time for this long; it must stay as it is expected.
    pub async fn access_stays(&self, allowed: bool, time: Duration) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            ensure!(self.has_access().await? == allowed, "the access is {} after {:?}", !allowed, begun.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// What the operator has called in the account, of one action, with this status.
    pub async fn calls(&self, action: &str, status: u16) -> Result<usize> {
        Ok(self.calls_of_operator(|c| c.action == action && c.status == status).await?.len())
    }

    /// Those of the operator's calls in the account that match.
    pub async fn calls_of_operator(&self, matches: impl Fn(&AwsCall) -> bool) -> Result<Vec<AwsCall>> {
        Ok(emulators().await?.proxy().calls(|c| self.is_of_operator()(c) && matches(c)))
    }

    /// Whether a call is neither the person's nor an administrator's.
    fn is_of_operator(&self) -> impl Fn(&AwsCall) -> bool + Send + Sync + 'static {
        let (account, person) = (self.account.id.clone(), self.user.aws.keys.access_key.clone());
        move |c| c.account == account && c.key != person && c.key != account
    }

    /// Whether a call is of the operator in this account and of this action, for faults.
    pub fn of_operator(&self, action: &'static str) -> impl Fn(&AwsCall) -> bool + Send + Sync + 'static {
        let of_operator = self.is_of_operator();
        move |c| c.action == action && of_operator(c)
    }

    /// The policies that Curfew has in the account, by ARN.
    pub async fn own_policies(&self) -> Result<Vec<String>> {
        Ok(self.account.under("/curfew/").await?.into_iter().filter(|arn| arn.contains(":policy/")).collect())
    }

    /// A call by an administrator that may be refused.
    pub async fn tried(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        self.account.root().iam(action, parameters).await
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
