//! One change of the fixture for each rule, in the order of the rules. The label says what is wrong.
pub mod assignment_requests;
pub mod aws;
pub mod extension;
pub mod standing;

use crate::fixture::{
    Fixture, NOW, content, delegated, group, logged_in, long, namespaces, reference, roles, window, with_mfa, with_ticket,
};
use curfew_core::{
    admission::AdmissionHistory,
    conditions::{LoginKeys, mfa::Requirement, ticket::Ticket},
    digest::Digest,
    policy_inputs::{ApprovalFloor, System, Systems},
    principal::{Mapping, Source, Subject},
    target::{
        Empty, Inventory, PermissionsByProvider, ProviderKind, ScopeByProvider, aws as target_aws,
        kubernetes::{
            self, RoleContent, RoleKind, RoleName,
            persistence::{self, Rule},
        },
    },
    time::Time,
};

/// What is wrong, and the change that makes it so.
pub type Case = (&'static str, fn(&mut Fixture));

const YEARS: i64 = 366 * 86_400;

fn role(namespace: &str, name: &str) -> PermissionsByProvider {
    let roles = vec![RoleName { namespace: namespace.into(), name: name.into() }];
    PermissionsByProvider {
        kubernetes: Some(kubernetes::Permissions { cluster_roles: Vec::new(), roles }),
        ..PermissionsByProvider::default()
    }
}

fn cluster_wide() -> ScopeByProvider {
    ScopeByProvider { kubernetes: Some(kubernetes::Scope::ClusterWide(Empty {})), ..ScopeByProvider::default() }
}

/// The role holds one Role of one namespace, and the cluster has it.
fn one_role(f: &mut Fixture, namespace: &str) {
    f.template().permissions = role(namespace, "deployer");
    f.policies[0].permissions = role(namespace, "*");
    let content = f.kubernetes().roles.remove(0);
    let found = RoleContent { kind: RoleKind::Role, namespace: Some(namespace.into()), name: "deployer".into(), ..content };
    f.kubernetes().roles.push(found);
}

fn two_systems(f: &mut Fixture) {
    let second = System { name: "test".into(), ..f.systems[0].clone() };
    f.systems.push(second);
    f.template().systems = Systems::Labels([("env".to_owned(), "prod".to_owned())].into());
}

/// Of these, role and policy allow break-glass, and the request is one.
pub fn break_glass(f: &mut Fixture) {
    f.template().break_glass = true;
    f.policies[0].break_glass = true;
    f.asked.break_glass = true;
}

/// Rules of break-glass.
pub const BREAK_GLASS: &[Case] = &[
    ("a role that does not allow break-glass", |f| f.template().break_glass = false),
    ("a role without a stage", |f| f.template().approval.clear()),
    ("for another person", |f| {
        f.asked.beneficiary = Some(Subject::User("erin".into()));
        f.policies[0].requestor_admins = vec![curfew_core::policy_inputs::RequestorAdmin {
            subject: Subject::User("alice".into()),
            beneficiaries: vec![Subject::User("erin".into())],
        }];
    }),
    ("with a start", |f| f.asked.start = Some(NOW.plus_secs(600))),
    ("without a justification", |f| f.asked.justification = None),
    ("break-glass that extends a request", crate::fixture::extension::extend),
    ("a policy that does not allow break-glass", |f| f.policies[0].break_glass = false),
    ("a login with too many aliases", |f| {
        f.aliases = vec!["curfew.dev/person".into()];
        let names = (0..20).map(|i| format!("alice-{i}")).collect();
        f.asked.requester.extra = [("curfew.dev/person".to_owned(), names)].into();
    }),
];

/// Two people must approve, and only one can.
fn too_few_approvers(f: &mut Fixture) {
    let stage = &mut f.template().approval[0];
    (stage.approvers, stage.quorum) = (vec![Subject::User("carol".into())], 2);
    f.policies[0].approval = None;
}

/// Rules 1 to 6 of `terms::resolve`.
pub const REQUEST: &[Case] = &[
    ("the next admission proof is outstanding", |f| f.admission.confirmed = Some(Time::from_secs(2))),
    ("admission was not proven", |f| f.admission = AdmissionHistory::default()),
    ("a field that is not supported", |f| f.asked.unsupported = vec!["breakGlass".into()]),
    ("a login without an alias", |f| {
        f.aliases = vec!["curfew.dev/person".into(), "curfew.dev/badge".into()];
        f.asked.requester.extra = f.aliases.iter().map(|key| (key.clone(), Vec::new())).collect();
    }),
    ("a login recorded before its alias was asked for", |f| f.aliases = vec!["curfew.dev/person".into(), "curfew.dev/badge".into()]),
    ("an emergency account", |f| f.systems[0].emergency_accounts = vec![Subject::User("alice".into())]),
    ("a start too far ahead", |f| f.asked.start = Some(NOW.plus_secs(31 * 86_400))),
    ("no such role", |f| f.template = None),
    ("a suspended role", |f| f.template().suspended = true),
    ("a role with a setting not supported", |f| f.template().unsupported = vec!["activation.mfa".into()]),
    ("no system", |f| f.systems.clear()),
    ("a system where the role has none", |f| {
        f.systems.clear();
        f.asked.system = Some("mars".into());
    }),
    ("several systems", two_systems),
    ("a system that the role does not have", |f| f.asked.system = Some("mars".into())),
    ("a system that is being deleted", |f| f.systems[0].deleting = true),
    ("a suspended system", |f| f.systems[0].suspended = true),
    ("a system with a setting not supported", |f| f.systems[0].unsupported = vec!["principals".into()]),
    ("two systems of one target", |f| f.systems[0].duplicate_of = Some("staging".into())),
    ("a system that is ReadOnly", |f| f.systems[0].grants_allowed = false),
    ("a system that was never reached", |f| f.systems[0].target = None),
];

/// Rule 7 of `terms::resolve`, and the rules about the role that come with rule 8.
pub const REQUEST_CONTENT: &[Case] = &[
    ("a role without this provider", |f| f.template().permissions = PermissionsByProvider::default()),
    ("a ClusterRole that does not exist", |f| f.kubernetes().roles.clear()),
    ("a Role that does not exist", |f| f.template().permissions = role("canary", "deployer")),
    ("a Role outside of the scope", |f| f.template().permissions = role("elsewhere", "deployer")),
    ("a namespace that does not exist", |f| drop(f.kubernetes().namespaces.pop())),
    ("a target that cannot be read", |f| f.unreachable = Some("connection refused; trying again")),
    ("a role that no policy allows", |f| f.policies.clear()),
    ("a role whose policy is suspended", |f| f.policies[0].suspended = true),
    ("a role that cannot be bound", |f| f.template().not_bindable = Some("the operator may not bind clusterroles/payments-admin".into())),
    ("a role whose fuse is refused", |f| f.template().refused_by_target = Some("namespace payments refuses the Job".into())),
    ("a quorum that cannot be reached", too_few_approvers),
    ("approvers that are emergency accounts", |f| {
        f.template().approval[0].approvers = vec![Subject::User("rescue".into())];
        f.policies[0].approval = None;
        f.systems[0].emergency_accounts = vec![Subject::User("rescue".into())];
    }),
];

/// Rules 8 and 9 of `terms::resolve`: duration, justification, and each assignment with each policy.
pub const REQUEST_ELIGIBILITY: &[Case] = &[
    ("shorter than an assignment may be", |f| f.assignments[0].window = window(-60, 100)),
    ("longer than the role allows", |f| f.asked.duration = Some(long("6h"))),
    ("longer than CurfewConfig allows", |f| f.ceiling = Some(long("10m"))),
    ("longer than the policy allows", |f| f.policies[0].max_duration = long("30m")),
    ("no CurfewConfig", |f| f.ceiling = None),
    ("no justification, asked by the role", |f| f.asked.justification = None),
    ("no justification, asked by the policy", |f| {
        f.template().justification = false;
        f.asked.justification = Some(" ".into());
    }),
    ("no assignment", |f| f.assignments.clear()),
    ("past notAfter", |f| f.asked.not_after = Some(NOW.plus_secs(60))),
    ("a suspended assignment", |f| f.assignments[0].suspended = true),
    ("an assignment with a setting not supported", |f| f.assignments[0].unsupported = vec!["delegation".into()]),
    ("an assignment that begins later", |f| f.assignments[0].window = window(60, 9_000)),
    ("an assignment that has ended", |f| f.assignments[0].window = window(-600, 0)),
    ("an assignment that ends too early", |f| f.assignments[0].window = window(-60, 1_800)),
    ("an assignment wider than its role", |f| f.assignments[0].scope = Some(namespaces(&["elsewhere"]))),
    ("an assignment that reaches nothing", |f| f.assignments[0].scope = Some(namespaces(&[]))),
    ("an assignment that reaches no Role", |f| {
        one_role(f, "canary");
        f.assignments[0].scope = Some(namespaces(&["payments"]));
    }),
    ("an assignment that the policy refuses", |f| f.policies[0].eligible = vec![group("others")]),
];

/// What asks for more than the role or the assignment gives.
pub const NARROWING: &[Case] = &[
    ("a scope for another provider", |f| {
        f.asked.scope = Some(ScopeByProvider { aws: Some(target_aws::Scope::account()), ..ScopeByProvider::default() });
    }),
    ("permissions for another provider", |f| {
        let aws = Some(target_aws::Permissions::default());
        f.asked.permissions = Some(PermissionsByProvider { aws, ..PermissionsByProvider::default() });
    }),
    ("a scope for no provider", |f| f.asked.scope = Some(ScopeByProvider::default())),
    ("a namespace beyond the role", |f| f.asked.scope = Some(namespaces(&["payments", "elsewhere"]))),
    ("the whole cluster beyond the role", |f| f.asked.scope = Some(cluster_wide())),
    ("a namespace beyond the assignment", |f| {
        f.assignments[0].scope = Some(namespaces(&["canary"]));
        f.asked.scope = Some(namespaces(&["payments"]));
    }),
    ("a ClusterRole beyond the role", |f| f.asked.permissions = Some(roles(&["view"]))),
    ("a Role outside of the scope that is asked for", |f| {
        one_role(f, "canary");
        f.asked.scope = Some(namespaces(&["payments"]));
        f.asked.permissions = Some(role("canary", "deployer"));
    }),
    ("a scope that leaves nothing", |f| {
        one_role(f, "canary");
        f.asked.scope = Some(namespaces(&["payments"]));
    }),
    ("permissions that leave nothing", |f| f.asked.permissions = Some(roles(&[]))),
    ("an assignment for another provider", |f| {
        f.template().scope.aws = Some(target_aws::Scope::account());
        f.assignments[0].scope = Some(ScopeByProvider { kubernetes: None, ..f.template().scope.clone() });
    }),
    ("an assignment with more than its role", |f| f.assignments[0].permissions = Some(roles(&["view"]))),
    ("an assignment with permissions of another provider", |f| {
        f.template().permissions.aws = aws_role(&[READ], None).aws;
        f.assignments[0].permissions = Some(aws_role(&[READ], None));
    }),
    ("a request without a policy that denies", |f| {
        in_aws(f);
        f.asked.permissions = Some(aws_role(&[READ], None));
    }),
    ("a request with a part of the inline policy", |f| {
        in_aws(f);
        f.template().permissions = aws_role(&[], Some("s3:*"));
        f.policies[0].permissions = aws_role(&[], Some("s3:*"));
        f.asked.permissions = Some(aws_role(&[], Some("s3:Get*")));
    }),
    ("a request beyond regions", |f| {
        in_aws(f);
        f.template().scope = regions(&["eu-west-1"]);
        f.asked.scope = Some(regions(&["eu-west-2"]));
    }),
    ("a request beyond the account's assignment", |f| {
        in_aws(f);
        f.asked.permissions = Some(aws_role(&["arn:aws:iam::aws:policy/Other"], None));
        f.asked.scope = Some(regions(&["eu-west-2"]));
    }),
    ("an assignment without a policy that denies", |f| {
        in_aws(f);
        f.assignments[0].permissions = Some(aws_role(&[READ], None));
    }),
];

const READ: &str = "arn:aws:iam::aws:policy/Read";
const GUARD: &str = "arn:aws:iam::123456789012:policy/team/Guard";

fn aws_document(effect: &str, action: &str) -> serde_json::Value {
    serde_json::json!({"Version": "2012-10-17", "Statement": {"Effect": effect, "Action": action, "Resource": "*"}})
}

fn aws_role(managed: &[&str], inline: Option<&str>) -> PermissionsByProvider {
    let managed_policies = managed.iter().map(ToString::to_string).collect();
    let inline_policy = inline.map(|action| target_aws::PolicyObject(aws_document("Allow", action)));
    let role = Some(target_aws::RolePolicies { managed_policies, inline_policy, max_session: None });
    PermissionsByProvider { aws: Some(target_aws::Permissions { role, ..Default::default() }), ..PermissionsByProvider::default() }
}

fn regions(list: &[&str]) -> ScopeByProvider {
    let regions = list.iter().map(ToString::to_string).collect();
    ScopeByProvider { aws: Some(target_aws::Scope { regions, ..Default::default() }), ..ScopeByProvider::default() }
}

/// The fixture in an account, with a role of two policies, one of which denies.
fn in_aws(f: &mut Fixture) {
    f.systems[0].provider = ProviderKind::Aws;
    f.systems[0].principals = Some(Mapping { source: Source::Username, strip_prefix: None, strip_suffix: None });
    (f.template().permissions, f.policies[0].permissions) = (aws_role(&[READ, GUARD], None), aws_role(&["*"], None));
    let account = || ScopeByProvider { aws: Some(target_aws::Scope::account()), ..ScopeByProvider::default() };
    (f.template().scope, f.policies[0].scope) = (account(), account());
    let content =
        |arn: &str, effect: &str| target_aws::PolicyContent { arn: arn.into(), document: aws_document(effect, "sqs:Get*").to_string() };
    let policies = vec![content(READ, "Allow"), content(GUARD, "Deny")];
    let account = target_aws::Inventory { partition: "aws".into(), account: "123456789012".into(), policies, ..Default::default() };
    f.inventory = Inventory::Aws(account);
}

/// What is refused to people who ask for others. Each change is made after `fixture::on_behalf`, for Erin.
pub const ON_BEHALF: &[Case] = &[
    ("an emergency account", |f| {
        f.systems[0].emergency_accounts = vec![Subject::Group("erin".into()), f.asked.beneficiary.clone().unwrap()]
    }),
    ("not listed by the policy", |f| f.policies[0].requestor_admins.clear()),
    ("listed for another beneficiary", |f| f.policies[0].requestor_admins[0].beneficiaries = vec![crate::fixture::deployer()]),
    ("no assignment by name", |f| f.assignments[0].subject = group("devs")),
    ("for a group", |f| f.asked.beneficiary = Some(group("devs"))),
    ("for a reserved identity", |f| f.asked.beneficiary = Some(Subject::User("system:admin".into()))),
    ("for a person, with aliases", |f| {
        f.aliases = vec!["curfew.dev/person".into()];
        f.asked.requester.extra = [("curfew.dev/person".to_owned(), vec!["7".to_owned()])].into();
    }),
];

/// The conditions of rule 8 of `terms::resolve`: ticket, MFA, authentication context.
pub const REQUEST_CONDITIONS: &[Case] = &[
    ("no ticket", |f| with_ticket(f, "^INC-[0-9]+$", None)),
    ("a ticket with another number", |f| {
        with_ticket(f, "^INC-[0-9]+$", None);
        f.asked.ticket = Some(Ticket { system: "jira".into(), number: "OPS-1".into() });
    }),
    ("a ticket of another system", |f| {
        with_ticket(f, "^INC-[0-9]+$", Some(&["jira", "servicenow"]));
        f.asked.ticket = Some(Ticket { system: "github".into(), number: "INC-1".into() });
    }),
    ("no ticket, asked by the policy", |f| f.policies[0].ticket = true),
    ("recorded before MFA was configured", with_mfa),
    ("a start long after the login", |f| {
        with_mfa(f);
        logged_in(f, &["mfa"], 0);
        f.asked.start = Some(NOW.plus_secs(25 * 3600));
    }),
    ("no methods", |f| mfa(f, &[], &["999940"])),
    ("other methods", |f| mfa(f, &["pwd", "sms"], &["999940"])),
    ("methods that are not a list", |f| mfa(f, &["[mfa]"], &["999940"])),
    ("no time", |f| mfa(f, &["mfa"], &[])),
    ("several times", |f| mfa(f, &["mfa"], &["999940", "1000000"])),
    ("a time that is not a number of seconds", |f| mfa(f, &["mfa"], &["1970-01-12"])),
    ("MFA that is too old", |f| mfa(f, &["mfa"], &["996220"])),
    ("MFA in the future", |f| mfa(f, &["mfa"], &["1000300"])),
    ("a service account", |f| {
        mfa(f, &["mfa"], &["999940"]);
        delegated(f);
    }),
    ("recorded before contexts were configured", |f| f.template().authentication_context = Some("c1".into())),
    ("no context", |f| context(f, &[])),
    ("another context", |f| context(f, &["c2", "c3"])),
    ("contexts that are not a list", |f| context(f, &["[c1]"])),
    ("a service account that needs a context", |f| {
        context(f, &["c1"]);
        delegated(f);
    }),
    ("MFA without configured keys", |f| {
        mfa(f, &["mfa"], &["999940"]);
        f.login_keys = LoginKeys::NONE;
    }),
];

/// The role asks for MFA, and the login carries these methods and times.
fn mfa(f: &mut Fixture, methods: &[&str], times: &[&str]) {
    with_mfa(f);
    logged_in(f, methods, 0);
    f.asked.requester.extra.insert("curfew.dev/auth-time".into(), times.iter().map(ToString::to_string).collect());
}

/// The role asks for context `c1`, and the login carries these.
fn context(f: &mut Fixture, contexts: &[&str]) {
    f.template().authentication_context = Some("c1".into());
    logged_in(f, &["mfa"], 0);
    f.asked.requester.extra.insert("curfew.dev/acrs".into(), contexts.iter().map(ToString::to_string).collect());
}

/// What is refused only to service accounts. Each change is made after `fixture::delegated`.
pub const SERVICE_ACCOUNT: &[Case] = &[
    ("another system identity", |f| f.asked.requester.username = "system:node:a".into()),
    ("for a group", |f| f.asked.beneficiary = Some(group("devs"))),
    ("for a person, with aliases", |f| f.aliases = vec!["curfew.dev/person".into()]),
    ("for a reserved identity", |f| f.asked.beneficiary = Some(Subject::User("system:admin".into()))),
    ("no assignment", |f| f.assignments[0].subject = group("devs")),
    ("an assignment without delegation", |f| f.assignments[0].delegated = false),
    ("a policy without delegation", |f| f.policies[0].delegated = false),
    ("without notAfter", |f| f.asked.not_after = None),
    ("a late notAfter", |f| f.asked.not_after = Some(NOW.plus_secs(8 * 86_400))),
    ("no stage of approval", |f| {
        f.template().approval.clear();
        f.policies[0].approval = None;
    }),
    ("one approver for two approvals", |f| {
        let one = vec![Subject::User("carol".into())];
        f.template().approval[0].approvers = one.clone();
        f.policies[0].approval = Some(ApprovalFloor { quorum: 1, from: one });
    }),
];

/// The fixture's role allows this.
fn allows(f: &mut Fixture, rules: Vec<Rule>) {
    let role = &mut f.kubernetes().roles[0];
    (role.rules, role.content) = (persistence::digest(&rules), persistence::canonical(&rules));
}

fn rule(resource: &str, name: Option<&str>, verb: &str) -> Rule {
    let one = |text: &str| vec![text.to_owned()];
    let names = name.map(one).unwrap_or_default();
    Rule { api_groups: one(""), resources: one(resource), resource_names: names, verbs: one(verb), ..Rule::default() }
}

/// Refused while it is active, under the rules that only an active request has.
pub const HELD: &[Case] = &[
    ("a role that allows more", |f| allows(f, content(&["get", "list", "watch"]))),
    ("a role that allows more of one object", |f| allows(f, vec![rule("configmaps", Some("one"), "get")])),
    ("a role that allows more without a name", |f| allows(f, vec![rule("configmaps", Some(""), "list")])),
    ("a role that allows a URL", |f| {
        allows(f, vec![Rule { non_resource_urls: vec!["/metrics".into()], verbs: vec!["get".into()], ..Rule::default() }]);
    }),
    ("a role that allows more than can be compared", |f| {
        f.kubernetes().roles[0].rules = Digest::from_bits(1);
        f.kubernetes().roles[0].content = None;
    }),
    ("a role that was frozen without content", |f| {
        let approved = f.asked.approved.as_mut().unwrap();
        approved.permissions = approved.permissions.without_content();
        allows(f, content(&["get"]));
    }),
    ("no namespace is left", |f| f.kubernetes().namespaces.clear()),
    ("a template that names less", |f| f.template().permissions = roles(&["view"])),
    ("a template that reaches less", |f| f.template().scope = namespaces(&["payments"])),
    ("an assignment that reaches less", |f| {
        f.assignments[0].scope = Some(namespaces(&["payments"]));
    }),
    ("an assignment that gives less", |f| f.assignments[0].permissions = Some(roles(&["view"]))),
];

/// Another digest than that of the fixture.
pub const CHANGED: &[Case] = &[
    ("a template that was created again", |f| f.template().reference.uid = "other".into()),
    ("an assignment that was created again", |f| f.assignments[0].reference.uid = "other".into()),
    ("another assignment", |f| f.assignments[0].reference = reference("a-first")),
    ("a policy that was created again", |f| f.policies[0].reference.uid = "other".into()),
    ("a role that was created again", |f| f.kubernetes().roles[0].uid = "other".into()),
    ("a role with other rules", |f| allows(f, content(&["get"]))),
    ("one more role", |f| {
        f.template().permissions = roles(&["payments-admin", "view"]);
        let view = RoleContent { name: "view".into(), ..f.kubernetes().roles[0].clone() };
        f.kubernetes().roles.push(view);
    }),
    ("another namespace", |f| f.kubernetes().namespaces[0].uid = "other".into()),
    ("another duration", |f| f.asked.duration = Some(long("46m"))),
    ("other approvers", |f| f.template().approval[0].approvers = vec![group("oncall")]),
];

/// `readiness::template`, which has the rules of `terms::ready`.
pub const TEMPLATE: &[Case] = &[
    ("allowed", |_| ()),
    ("suspended", |f| f.template().suspended = true),
    ("a setting that is not supported", |f| f.template().unsupported = vec!["activation.mfa".into()]),
    ("no system", |f| f.systems.clear()),
    ("a system that was never reached", |f| f.systems[0].target = None),
    ("no permissions for the provider", |f| f.template().permissions = PermissionsByProvider::default()),
    ("a target that cannot be read", |f| f.unreachable = Some("connection refused; trying again")),
    ("a ClusterRole that does not exist", |f| f.kubernetes().roles.clear()),
    ("a namespace that does not exist", |f| drop(f.kubernetes().namespaces.pop())),
    ("a ClusterRole without rules", |f| f.kubernetes().roles[0].without_rules = true),
    ("a ClusterRole with too many permissions", |f| f.kubernetes().roles[0].content = None),
    ("roles with too much content", |f| {
        f.kubernetes().roles[0].content = Some(vec![Rule { verbs: vec!["v".repeat(131_072)], ..Rule::default() }]);
    }),
    ("a namespace that is being deleted", |f| f.kubernetes().terminating = vec!["canary".into()]),
    ("more bindings than a grant has", |f| {
        let names: Vec<String> = (0..64).map(|i| format!("ns-{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        f.template().scope = namespaces(&names);
        let roles = (0..17).map(|i| RoleContent { name: format!("role-{i}"), ..f.kubernetes().roles[0].clone() }).collect();
        f.kubernetes().roles = roles;
        f.kubernetes().namespaces = names.iter().map(|n| reference(n)).collect();
        let names: Vec<String> = f.kubernetes().roles.iter().map(|r| r.name.clone()).collect();
        f.template().permissions = crate::fixture::roles(&names.iter().map(String::as_str).collect::<Vec<_>>());
    }),
    ("rules that give nothing in a namespace", |f| f.kubernetes().roles[0].cluster_only = Some("rule 2 (nodes)".into())),
    ("a quorum that cannot be reached", too_few_approvers),
    ("an escalation after the timeout", |f| {
        let escalation = curfew_core::approval::Escalation { after: long("24h"), approvers: vec![group("oncall")] };
        f.template().approval[0].escalation = Some(escalation);
    }),
    ("no policy", |f| f.policies.clear()),
    ("a suspended policy", |f| f.policies[0].suspended = true),
    ("a policy that can never be met", |f| {
        f.policies[0].approval = Some(ApprovalFloor { quorum: 2, from: vec![Subject::User("carol".into())] });
    }),
    ("stages that need the same person", |f| {
        let one =
            curfew_core::approval::ApprovalStage { approvers: vec![Subject::User("carol".into())], ..f.template().approval[0].clone() };
        f.template().approval = vec![one.clone(), one];
    }),
    ("several policies", |f| {
        let other = |i: u8| curfew_core::policy_inputs::Policy {
            reference: reference(&format!("policy-{i}")),
            permissions: roles(&["view"]),
            ..f.policies[0].clone()
        };
        f.policies = (1..6).map(other).collect();
    }),
    ("a policy with a setting not supported", |f| f.policies[0].unsupported = vec!["min.mfa".into()]),
    ("a system that is not allowed", |f| f.policies[0].systems = Systems::Names(vec!["other".into()])),
    ("a provider that is not allowed", |f| f.policies[0].permissions = PermissionsByProvider::default()),
    ("a ClusterRole that is not allowed", |f| f.policies[0].permissions = roles(&["view"])),
    ("a Role that is not allowed", |f| {
        one_role(f, "canary");
        f.policies[0].permissions = roles(&["view"]);
    }),
    ("a namespace that is not allowed", |f| f.policies[0].scope = namespaces(&["payments"])),
    ("the whole cluster is not allowed", |f| f.template().scope = cluster_wide()),
    ("content that outlives a grant", |f| {
        f.kubernetes().roles[0].persistence = Some("write RoleBindings (rule 2: rolebindings.rbac.authorization.k8s.io)".into())
    }),
    ("content of several roles that outlives a grant", |f| {
        let names = ["admin-1", "admin-2", "admin-3", "admin-4", "admin-5"];
        (f.template().permissions, f.policies[0].permissions) = (roles(&names), roles(&["*"]));
        let lasting = RoleContent { persistence: Some("widen Roles (rule 1: …)".into()), ..f.kubernetes().roles[0].clone() };
        f.kubernetes().roles = names.iter().map(|name| RoleContent { name: name.to_string(), ..lasting.clone() }).collect();
    }),
    ("a scope that outlives a grant", |f| {
        (f.template().scope, f.policies[0].scope) = (namespaces(&["kube-system"]), cluster_wide());
        f.kubernetes().namespaces.push(reference("kube-system"));
    }),
    ("fewer approvers than the policy asks for", |f| f.template().approval.clear()),
    ("a pattern of a ticket in another notation", |f| with_ticket(f, "(?i)^inc", None)),
    ("a pattern of a ticket that is not one", |f| with_ticket(f, "^(INC", None)),
    ("MFA without configured keys", |f| {
        with_mfa(f);
        f.login_keys = LoginKeys::NONE;
    }),
    ("MFA of a stage without configured keys", |f| {
        f.template().approval[0].mfa = Some(Requirement { max_age: long("5m") });
        f.login_keys = LoginKeys::NONE;
    }),
    ("a context without a configured key", |f| {
        f.template().authentication_context = Some("c1".into());
        f.login_keys = LoginKeys::NONE;
    }),
    ("no MFA, asked by the policy", |f| f.policies[0].mfa = Some(long("10m"))),
    ("older MFA than the policy asks for", |f| {
        with_mfa(f);
        f.policies[0].mfa = Some(long("10m"));
    }),
    ("a role that cannot be bound", |f| f.template().not_bindable = Some("the operator may not bind clusterroles/payments-admin".into())),
    ("a role whose fuse is refused", |f| f.template().refused_by_target = Some("namespace payments refuses the Job".into())),
];

/// `readiness::assignment`, which has the rules of `terms::assignment_ready`.
pub const ASSIGNMENT: &[Case] = &[
    ("allowed", |_| ()),
    ("allowed later", |f| f.assignments[0].window = window(60, 9_000)),
    ("ended", |f| f.assignments[0].window = window(-600, 0)),
    ("suspended", |f| f.assignments[0].suspended = true),
    ("a setting that is not supported", |f| f.assignments[0].unsupported = vec!["delegation".into()]),
    ("no such role", |f| f.template = None),
    ("a provider that the role does not have", |f| {
        f.template().scope = ScopeByProvider::default();
        f.assignments[0].scope = Some(namespaces(&["canary"]));
    }),
    ("a namespace that the role does not have", |f| f.assignments[0].scope = Some(namespaces(&["elsewhere"]))),
    ("a ClusterRole that the role does not have", |f| f.assignments[0].permissions = Some(roles(&["view"]))),
    ("permissions of a provider that the role does not have", |f| {
        let aws = Some(target_aws::Permissions::default());
        f.assignments[0].permissions = Some(PermissionsByProvider { aws, ..PermissionsByProvider::default() });
    }),
    ("without a policy that denies", |f| {
        in_aws(f);
        f.assignments[0].permissions = Some(aws_role(&[READ], None));
    }),
    ("without a policy that cannot be read", |f| {
        in_aws(f);
        f.inventory = Inventory::empty(ProviderKind::Aws);
        f.assignments[0].permissions = Some(aws_role(&[READ], None));
    }),
    ("a Role outside of its own scope", |f| {
        one_role(f, "canary");
        f.assignments[0].scope = Some(namespaces(&["payments"]));
        f.assignments[0].permissions = Some(role("canary", "deployer"));
    }),
    ("a reserved identity", |f| f.assignments[0].subject = group("system:masters")),
    ("permanent, which the role does not allow", |f| f.template().permanent_eligibility = false),
    ("longer than the role allows", |f| f.assignments[0].window = window(-60, 2 * YEARS)),
    ("no policy", |f| f.policies.clear()),
    ("a subject that the policy does not allow", |f| f.assignments[0].subject = group("strangers")),
    ("delegation, which the policy does not allow", |f| f.assignments[0].delegated = true),
    ("permanent, which the policy does not allow", |f| f.policies[0].permanent_eligibility = false),
    ("longer than the policy allows", |f| {
        f.template().max_eligibility = None;
        f.assignments[0].window = window(-60, 2 * YEARS);
    }),
];

/// `readiness::policy`.
pub const POLICY: &[Case] = &[
    ("in force", |_| ()),
    ("a star that stands for nothing", |f| f.policies[0].permissions = roles(&["custom*"])),
    ("a floor that nobody can meet", |f| {
        f.policies[0].approval =
            Some(ApprovalFloor { quorum: 2, from: vec![Subject::User("carol".into()), Subject::User("carol".into())] });
    }),
    ("suspended", |f| f.policies[0].suspended = true),
    ("a setting that is not supported", |f| f.policies[0].unsupported = vec!["min.mfa".into()]),
];

/// `readiness::system`.
pub const SYSTEM: &[Case] = &[
    ("connected", |_| ()),
    ("suspended", |f| f.systems[0].suspended = true),
    ("a setting that is not supported", |f| f.systems[0].unsupported = vec!["principals".into()]),
    ("an older system of the same target", |f| f.systems[0].duplicate_of = Some("staging".into())),
    ("a target that does not answer", |f| f.unreachable = Some("connection refused; trying again")),
];

/// Accesses that the rules allow: their parts are shown to approvers and in audit records.
pub const ACCESS: &[Case] = &[
    ("a ClusterRole in namespaces", |_| ()),
    ("a ClusterRole in the whole cluster", |f| {
        (f.template().scope, f.policies[0].scope) = (cluster_wide(), cluster_wide());
        f.policies[0].persistence = true;
    }),
    ("a Role", |f| one_role(f, "canary")),
    ("for a service account", |f| {
        delegated(f);
        f.asked.beneficiary = None;
        let agent = f.asked.requester.service_account().unwrap();
        f.assignments[0].subject = agent.clone();
        f.policies[0].eligible.push(agent);
    }),
];
