//! `make demo-aws`: the main job for an AWS account, in the words of the people who do it.
//!
//! The API server is a real one; AWS is an emulator that checks signatures and enforces IAM. Every step is printed and checked. The
//! exit code is 0 only if all of them held.
mod teller;

use anyhow::{Context, Result, ensure};
use curfew_testkit::{
    Operator, SHIPPED_TIMING, SOON, User, World,
    aws::{Account, AwsUser, Emulators, REGION, policy, trust},
    eventually, root,
};
use serde_json::{Value, json};
use teller::Teller;

/// The people, the cluster, and the account.
struct Cast<'a> {
    world: World,
    account: Account<'a>,
    /// In the account.
    alice: AwsUser,
    /// Where the operator runs.
    hub: Account<'a>,
    curfew: AwsUser,
}

impl Cast<'_> {
    fn person(&self) -> Result<User> {
        self.world.alice()
    }
    async fn operator(&self, name: &str) -> Result<Operator> {
        let own = self.hub.environment(&self.curfew);
        let envs: Vec<_> = own.iter().map(|(k, v)| (k.as_str(), v.as_str())).chain([SHIPPED_TIMING]).collect();
        self.world.operator_with(name, &envs).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut t = Teller::begin();
    println!("Curfew for AWS: every privilege goes home on time.\nStarting an API server, and an emulator that enforces IAM ...");
    let emulators = Emulators::start().await?;
    let (account, hub) = (Account::new(&emulators), Account::new(&emulators));
    let (alice, curfew) = (account.user("alice").await?, hub.user("curfew").await?);
    let cast = Cast { world: World::first("demo-aws").await?, account, alice, hub, curfew };
    prepare(&cast, &mut t).await?;
    t.step("platform team", "starts the operator; its own keys can do one thing, assume that role");
    t.run("admin", "curfew run");
    let operator = cast.operator("operator-1").await?;
    cast.world.granting().await?;
    cast.world.field_is(&["rtpl", "-n", "payments", "support"], "{.status.conditions[?(@.type==\"Ready\")].status}", "True").await?;
    t.step("alice", "cannot list the buckets: she holds eligibility, not access");
    lists(&cast, &t, false).await?;
    first(&cast, &mut t).await?;
    second(&cast, &mut t, &operator).await?;
    println!(
        "\nEvery step held, in {:.0} s. Nobody has access now, and AWS itself has taken it away where Curfew could not.",
        t.elapsed().as_secs_f32()
    );
    Ok(())
}

/// The role of the operator in the account, the system, the policy and the role to hand out.
async fn prepare(c: &Cast<'_>, t: &mut Teller) -> Result<()> {
    t.step("platform team", "a role for Curfew in the account, with the rights of deploy/aws/iam.json and no others");
    let trusting = trust(&[&c.curfew.arn], &json!({"StringEquals": {"sts:ExternalId": "demo"}})).to_string();
    let role = [("RoleName", "curfew-operator"), ("AssumeRolePolicyDocument", trusting.as_str())];
    let arn = c.account.iam("CreateRole", &role).await?.text("Arn").context("no ARN")?;
    let rights: Value = serde_json::from_str(&std::fs::read_to_string(root().join("deploy/aws/iam.json"))?)?;
    let rights = c.account.policy("curfew-operator", &rights).await?;
    c.account.iam("AttachRolePolicy", &[("RoleName", "curfew-operator"), ("PolicyArn", &rights)]).await?;
    let spokes = policy(json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}])).to_string();
    c.hub.iam("PutUserPolicy", &[("UserName", "curfew"), ("PolicyName", "spokes"), ("PolicyDocument", &spokes)]).await?;
    t.saw(&arn);
    t.step("platform team", "the account as a system, and what team payments may hand out there");
    let aws = json!({"accountId": c.account.id, "region": REGION, "assumeRole": {"roleArn": arn, "externalId": "demo"}});
    let principals = json!({"source": {"username": {}}, "stripSuffix": "@example.com"});
    apply(c, t, "AuthorizationSystem", json!({"mode": "ReadWrite", "provider": {"aws": aws}, "principals": principals})).await?;
    let lists = policy(json!([{"Effect": "Allow", "Action": ["s3:ListAllMyBuckets"], "Resource": "*"}]));
    let (permissions, scope) = (json!({"aws": {"user": {"inlinePolicy": lists}}}), json!({"aws": {"account": {}}}));
    let quorum = json!({"atLeast": {"quorum": 1, "from": [{"user": "carol@example.com"}]}});
    let floor = json!({"approval": quorum, "justification": true, "mfa": {"none": {}}, "ticket": {"none": {}}});
    apply(
        c,
        t,
        "AccessPolicy",
        json!({"namespaces": {"names": ["payments"]}, "systems": {"names": ["support"]},
        "permissions": permissions, "scope": scope, "eligible": [{"group": "payments-devs"}],
        "max": {"duration": "8h", "eligibility": "365d"}, "allow": {"permanentEligibility": true}, "min": floor}),
    )
    .await?;
    t.step("team payments", "a role, and who is eligible for it");
    let stages = json!([{"name": "owners", "approvers": [{"user": "carol@example.com"}], "quorum": 1, "timeout": "24h"}]);
    let activation = json!({"duration": {"default": "1h", "max": "4h"}, "justification": "Required", "ticket": {"none": {}},
        "mfa": {"none": {}}, "limits": {"none": {}}, "approval": {"stages": stages}});
    apply(
        c,
        t,
        "RoleTemplate",
        json!({"description": "sees the buckets", "systems": {"names": ["support"]}, "permissions": permissions,
        "scope": scope, "activation": activation, "assignment": {"eligible": {"permanent": true, "max": "365d"}}}),
    )
    .await?;
    apply(
        c,
        t,
        "EligibleAssignment",
        json!({"roleRef": {"name": "support"}, "subject": {"group": "payments-devs"},
        "scope": {"all": {}}, "window": {"permanent": {}}, "justification": "on-call rotation"}),
    )
    .await
}

async fn apply(c: &Cast<'_>, t: &Teller, kind: &str, spec: Value) -> Result<()> {
    let mut object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": kind, "metadata": {"name": "support"}, "spec": spec});
    if matches!(kind, "RoleTemplate" | "EligibleAssignment") {
        object["metadata"]["namespace"] = json!("payments");
    }
    t.run("admin", &format!("kubectl apply -f {}.yaml", kind.to_lowercase()));
    t.saw(&c.world.admin()?.kubectl_stdin(&["apply", "-f", "-"], &object.to_string()).await?.success()?);
    Ok(())
}

/// Lists the buckets as alice would, with her own keys, and checks whether that is allowed.
async fn lists(c: &Cast<'_>, t: &Teller, allowed: bool) -> Result<()> {
    t.run("alice", "aws s3api list-buckets");
    let can = c.alice.aws.can_list_buckets().await?;
    t.saw(if can { "{\"Buckets\": []}" } else { "An error occurred (AccessDenied) when calling the ListBuckets operation" });
    ensure!(can == allowed, "alice {} list the buckets", if can { "can" } else { "cannot" });
    Ok(())
}

/// Alice asks, carol approves, alice holds the access. Gives back when it ends.
async fn ask_and_approve(c: &Cast<'_>, t: &mut Teller, name: &str, duration: &str, why: &str) -> Result<String> {
    t.step("alice", &format!("asks for the role, for {duration}, to {why}"));
    let spec = json!({"roleRef": {"name": "support"}, "duration": duration, "justification": why});
    let request = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
        "metadata": {"name": name, "namespace": "payments"}, "spec": spec});
    t.run("alice", "kubectl apply -f request.yaml");
    t.saw(&c.person()?.kubectl_stdin(&["apply", "-f", "-"], &request.to_string()).await?.success()?);
    c.world.state_is(name, "AwaitingApproval").await?;
    lists(c, t, false).await?;
    t.step("carol", "looks at what would be granted, and approves exactly that");
    let carol = c.world.carol()?;
    t.run("carol", &format!("kubectl get areq {name} -n payments"));
    t.saw(&carol.kubectl(&["get", "areq", name, "-n", "payments"]).await?.success()?);
    let digest = c.world.field(&["areq", "-n", "payments", name], "{.status.digest}").await?;
    let spec = json!({"about": {"activationRequest": {"name": name}}, "digest": digest, "decision": "Approve"});
    let decision = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision",
        "metadata": {"name": format!("carol-{name}"), "namespace": "payments"}, "spec": spec});
    t.run("carol", "kubectl apply -f decision.yaml");
    t.saw(&carol.kubectl_stdin(&["apply", "-f", "-"], &decision.to_string()).await?.success()?);
    c.world.state_is(name, "Active").await?;
    t.step("alice", "has the access, by a policy of this grant alone; every statement of it names the deadline");
    for arn in c.account.attached_to("alice").await? {
        t.saw(&arn);
    }
    lists(c, t, true).await?;
    c.world.field(&["areq", "-n", "payments", name], "{.status.expiresAt}").await
}

/// Waits until alice has no access.
async fn refused(c: &Cast<'_>) -> Result<()> {
    eventually("AWS to refuse alice", SOON * 2, || async { Ok((!c.alice.aws.can_list_buckets().await?).then_some(())) }).await
}

/// Alice gives it back before its time.
async fn first(c: &Cast<'_>, t: &mut Teller) -> Result<()> {
    ask_and_approve(c, t, "look", "1h", "find the backup of invoice 4711").await?;
    t.step("alice", "is done early, and gives it back");
    let digest = c.world.field(&["areq", "-n", "payments", "look"], "{.status.digest}").await?;
    let spec = json!({"about": {"activationRequest": {"name": "look"}}, "digest": digest, "decision": "Revoke"});
    let decision = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision",
        "metadata": {"name": "alice-look", "namespace": "payments"}, "spec": spec});
    t.run("alice", "kubectl apply -f decision.yaml");
    t.saw(&c.person()?.kubectl_stdin(&["apply", "-f", "-"], &decision.to_string()).await?.success()?);
    refused(c).await?;
    lists(c, t, false).await?;
    c.world.state_is("look", "Revoked").await?;
    gone(c).await
}

/// The operator dies while alice has access, and AWS ends it at the deadline.
async fn second(c: &Cast<'_>, t: &mut Teller, operator: &Operator) -> Result<()> {
    let ends = ask_and_approve(c, t, "again", "15s", "check the backup").await?;
    t.step("admin", "kills the operator, and it stays dead across the deadline");
    t.run("admin", "kill -9 $(pidof curfew)");
    operator.kill();
    lists(c, t, true).await?;
    t.step("the clock", &format!("reaches {ends}, and no operator is there: AWS refuses by itself (enforcedBy: Target)"));
    refused(c).await?;
    let at: jiff::Timestamp = ends.parse()?;
    ensure!(jiff::Timestamp::now() >= at, "alice lost her access before {ends}");
    lists(c, t, false).await?;
    t.step("admin", "starts it again; it removes what gives nothing any more");
    let _operator = c.operator("operator-2").await?;
    c.world.state_is("again", "Expired").await?;
    t.run("alice", "kubectl get areq -n payments");
    t.saw(&c.person()?.kubectl(&["get", "areq", "-n", "payments"]).await?.success()?);
    gone(c).await
}

async fn gone(c: &Cast<'_>) -> Result<()> {
    let left = c.account.under("/curfew/").await?;
    ensure!(left.is_empty(), "left in the account: {left:?}");
    Ok(())
}
