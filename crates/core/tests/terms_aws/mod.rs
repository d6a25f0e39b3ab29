//! The same rules where the target is an account of AWS: who the beneficiary is there, and what ends an active grant.
use crate::fixture::{self, Fixture, NOW, active, delegated, fixture, reference};
use curfew_core::{
    policy_inputs::Progress,
    principal::{Mapping, Source, Subject},
    readiness,
    reason::Reason,
    target::{
        Inventory, PermissionsByProvider, Principal, ProviderKind, ScopeByProvider,
        aws::{self, Permissions, Policies, PolicyContent, PolicyObject, Scope},
    },
    terms::{Refusal, resolve},
};
use serde_json::{Value, json};

const READ: &str = "arn:aws:iam::aws:policy/Read";

fn document(action: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}})
}

fn user(inline: &str) -> PermissionsByProvider {
    let user = Policies { managed_policies: vec![READ.into()], inline_policy: Some(PolicyObject(document(inline))) };
    PermissionsByProvider { aws: Some(Permissions { user: Some(user), ..Permissions::default() }), ..PermissionsByProvider::default() }
}

fn account() -> ScopeByProvider {
    ScopeByProvider { aws: Some(Scope::account()), ..ScopeByProvider::default() }
}

/// The managed policy allows this.
fn holds(f: &mut Fixture, action: &str) {
    let policies = vec![PolicyContent { arn: READ.into(), document: document(action).to_string() }];
    let account = aws::Inventory { partition: "aws".into(), account: "123456789012".into(), policies, ..aws::Inventory::default() };
    f.inventory = Inventory::Aws(account);
}

/// The fixture with an account of AWS in place of the cluster.
fn of_aws() -> Fixture {
    let mut f = fixture();
    f.systems[0].provider = ProviderKind::Aws;
    f.systems[0].principals = Some(Mapping { source: Source::Username, strip_prefix: None, strip_suffix: None });
    f.template().permissions = user("s3:GetObject");
    f.template().scope = account();
    f.policies[0].permissions = user("s3:Get*");
    f.policies[0].scope = account();
    holds(&mut f, "sqs:Receive*");
    f
}

fn with(change: impl FnOnce(&mut Fixture)) -> Result<Principal, Refusal> {
    let mut f = of_aws();
    change(&mut f);
    resolve(&f.asked, &f.inputs()).map(|terms| terms.resolved.principal.clone())
}

fn refused(reason: Reason, words: &str, change: impl FnOnce(&mut Fixture)) {
    let refusal = with(change).expect_err(words);
    assert!(refusal.reason == reason && refusal.message.contains(words), "expected {reason} {words:?}, got {refusal:?}");
}

fn alice() -> Principal {
    Principal::Aws(aws::Principal { name: "alice".into() })
}

#[test]
fn a_beneficiary_is_the_principal_that_the_system_maps_it_to() {
    assert_eq!(with(|_| ()), Ok(alice()));
    let mapped = |f: &mut Fixture, prefix: &str| {
        f.asked.requester.username = "oidc:alice".into();
        f.systems[0].principals.as_mut().unwrap().strip_prefix = Some(prefix.into());
    };
    assert_eq!(with(|f| mapped(f, "oidc:")), Ok(alice()));
    refused(Reason::NotEligible, "oidc:alice does not begin with saml:", |f| mapped(f, "saml:"));
    refused(Reason::NotEligible, "oidc:alice is not the name of an IAM user", |f| mapped(f, ""));
    refused(Reason::NotEligible, "system prod does not say which principal user alice is there", |f| f.systems[0].principals = None);
}

/// A target may know an emergency account by another name than its login.
#[test]
fn an_emergency_account_is_recognised_by_the_name_of_its_principal() {
    let listed = |f: &mut Fixture, name: &str| {
        f.asked.requester.username = "oidc:alice".into();
        f.systems[0].principals.as_mut().unwrap().strip_prefix = Some("oidc:".into());
        f.systems[0].emergency_accounts = vec![Subject::User(name.into())];
    };
    assert_eq!(with(|f| listed(f, "break-glass-1")), Ok(alice()));
    refused(Reason::EmergencyAccount, "oidc:alice is an emergency account of system prod", |f| listed(f, "oidc:alice"));
    refused(Reason::EmergencyAccount, "user alice is an emergency account of system prod", |f| listed(f, "alice"));
    let mut f = of_aws();
    f.asked.requester.username = "oidc:alice".into();
    f.systems[0].principals.as_mut().unwrap().strip_prefix = Some("oidc:".into());
    active(&mut f, NOW.plus_secs(600));
    f.systems[0].emergency_accounts = vec![Subject::User("alice".into())];
    assert!(resolve(&f.asked, &f.inputs()).is_ok(), "what is active goes on");
}

#[test]
fn a_group_has_no_standing_access_in_aws_and_a_user_has() {
    let mut f = of_aws();
    fixture::standing::prepare(&mut f);
    let refusal = resolve(&f.asked, &f.inputs()).expect_err("a group");
    let words = "assignment devs names group devs, and a group cannot hold access on systems of provider aws";
    assert!(refusal.reason == Reason::Unsupported && refusal.message.contains(words), "{refusal:?}");
    let alice_herself = Subject::User("alice".into());
    fixture::standing::of(&mut f).assignment.subject = alice_herself.clone();
    f.policies[0].eligible.push(alice_herself.clone());
    f.asked.beneficiary = Some(alice_herself);
    assert_eq!(resolve(&f.asked, &f.inputs()).map(|terms| terms.resolved.principal.clone()), Ok(alice()));
}

#[test]
fn a_principal_of_an_extra_key_is_that_of_the_beneficiary_alone() {
    let key = "curfew.dev/aws-user";
    let of_key = |f: &mut Fixture| {
        f.systems[0].principals.as_mut().unwrap().source = Source::ExtraKey(key.into());
        f.asked.requester.extra = [(key.to_owned(), vec!["a.smith".to_owned()])].into();
        f.aliases = vec![key.into()];
    };
    assert_eq!(with(of_key), Ok(Principal::Aws(aws::Principal { name: "a.smith".into() })));
    refused(Reason::NotEligible, "must be one of identity.aliases.keys", |f| {
        of_key(f);
        f.aliases.clear();
    });
    // An agent that asks for Alice has a login of its own.
    refused(Reason::NotEligible, "the login of user alice is not known", |f| {
        of_key(f);
        f.aliases.clear();
        let extra = f.asked.requester.extra.clone();
        delegated(f);
        f.asked.requester.extra = extra;
        f.asked.progress = Progress::Granted(NOW.plus_secs(600));
    });
    // What is active goes on without the key in the configuration.
    let mut f = of_aws();
    of_key(&mut f);
    active(&mut f, NOW.plus_secs(600));
    f.aliases.clear();
    assert!(resolve(&f.asked, &f.inputs()).is_ok());
    f.systems[0].principals = Some(Mapping { source: Source::Username, strip_prefix: None, strip_suffix: None });
    assert_ne!(resolve(&f.asked, &f.inputs()).unwrap().resolved.principal, Principal::Aws(aws::Principal { name: "a.smith".into() }));
}

#[test]
fn another_principal_is_another_access() {
    let digests = |change: fn(&mut Fixture)| {
        let mut f = of_aws();
        change(&mut f);
        let terms = resolve(&f.asked, &f.inputs()).unwrap();
        (terms.digest, terms.effects)
    };
    let (digest, effects) = digests(|_| ());
    let other = digests(|f| f.systems[0].principals.as_mut().unwrap().strip_prefix = Some("al".into()));
    assert!(digest != other.0 && effects != other.1);
}

#[test]
fn a_policy_that_grows_voids_what_waits_and_does_not_end_a_copy() {
    let mut f = of_aws();
    let waiting = resolve(&f.asked, &f.inputs()).unwrap();
    holds(&mut f, "sqs:Get*");
    let now = resolve(&f.asked, &f.inputs()).unwrap();
    assert_ne!(now.digest, waiting.digest);
    assert_eq!(now.resolved.changed_since(&waiting.resolved), format!("the document of managed policy {READ} has changed"));
    // Also where the policy would outlive the grant, now, or does not exist any more.
    let mut f = of_aws();
    active(&mut f, NOW.plus_secs(600));
    let held = resolve(&f.asked, &f.inputs()).unwrap();
    for change in [|f: &mut Fixture| holds(f, "iam:*"), |f: &mut Fixture| f.inventory = Inventory::empty(ProviderKind::Aws)] {
        change(&mut f);
        assert_eq!(resolve(&f.asked, &f.inputs()).unwrap().effects, held.effects);
    }
    f.template().permissions = user("s3:GetObjectAcl");
    let refusal = resolve(&f.asked, &f.inputs()).unwrap_err();
    assert_eq!((refusal.reason, refusal.message.contains("no longer covers statement 1 of inlinePolicy")), (Reason::TemplateChanged, true));
}

#[test]
fn what_a_policy_of_curfew_does_not_allow_is_named() {
    refused(Reason::NotReady, "does not allow statement 1 of inlinePolicy", |f| f.template().permissions = user("s3:*"));
    refused(Reason::NotReady, "would need allow.persistence: true", |f| holds(f, "iam:CreateAccessKey"));
    assert!(
        with(|f| {
            holds(f, "iam:CreateAccessKey");
            f.policies[0].persistence = true;
        })
        .is_ok()
    );
    let ready = |change: fn(&mut Fixture)| {
        let mut f = of_aws();
        change(&mut f);
        readiness::template(f.template.as_ref().unwrap(), &f.inputs()).map(|(_, message)| message)
    };
    assert_eq!(ready(|_| ()).as_deref(), Ok("allowed by policy payments"));
    let narrow = ready(|f| {
        let scope = Scope { resources: vec!["arn:aws:s3:::a".into()], ..Scope::default() };
        f.template().scope = ScopeByProvider { aws: Some(scope), ..ScopeByProvider::default() };
        let sqs = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sqs:Get*", "Resource": "arn:aws:sqs:*:*:q"}});
        let policies = vec![PolicyContent { arn: READ.into(), document: sqs.to_string() }];
        let account = aws::Inventory { partition: "aws".into(), account: "123456789012".into(), policies, ..aws::Inventory::default() };
        f.inventory = Inventory::Aws(account);
    });
    assert_eq!(narrow, Ok(format!("allowed by policy payments; in this scope nothing is given by statement 1 of managed policy {READ}")));
}

#[test]
fn a_service_account_may_be_a_principal_whose_name_is_mapped() {
    let agent = |f: &mut Fixture, prefix: Option<&str>| {
        delegated(f);
        f.asked.requester.username = "system:serviceaccount:ci:bot".into();
        let own = f.asked.requester.service_account().unwrap();
        f.asked.beneficiary = Some(own.clone());
        f.assignments[0].subject = own.clone();
        f.policies[0].eligible.push(own);
        f.systems[0].principals.as_mut().unwrap().strip_prefix = prefix.map(Into::into);
        let stage = &mut f.template().approval[0];
        (stage.quorum, stage.approvers) = (2, vec![Subject::Group("leads".into())]);
    };
    let name = "system:serviceaccount:ci:bot is not the name of an IAM user";
    refused(Reason::NotEligible, name, |f| agent(f, None));
    let bot = Principal::Aws(aws::Principal { name: "bot".into() });
    assert_eq!(with(|f| agent(f, Some("system:serviceaccount:ci:"))), Ok(bot));
}

/// The account with a second policy, which denies, in a role of the grant's own. The alias key is not configured.
fn of_role() -> Fixture {
    let role = |guarded: bool, pattern: bool| {
        let managed = if guarded { vec![READ.to_owned(), GUARD.to_owned()] } else { vec![READ.to_owned()] };
        let managed_policies = if pattern { vec!["*".to_owned()] } else { managed };
        let inline_policy = Some(PolicyObject(document("s3:GetObject")));
        let role = aws::RolePolicies { managed_policies, inline_policy, max_session: None };
        PermissionsByProvider { aws: Some(Permissions { role: Some(role), ..Permissions::default() }), ..PermissionsByProvider::default() }
    };
    let mut f = of_aws();
    (f.template().permissions, f.policies[0].permissions) = (role(true, false), role(true, true));
    let guard = json!({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "sqs:Purge*", "Resource": "*"}});
    let Inventory::Aws(account) = &mut f.inventory else { unreachable!("an account") };
    account.policies.push(PolicyContent { arn: GUARD.into(), document: guard.to_string() });
    f
}

const GUARD: &str = "arn:aws:iam::123456789012:policy/team/Guard";

/// What a request asks of the role of [`of_role`]: these managed policies, and the inline policy or not.
fn part(managed: &[&str], inline: bool) -> Option<PermissionsByProvider> {
    let managed_policies = managed.iter().map(ToString::to_string).collect();
    let inline_policy = inline.then(|| PolicyObject(document("s3:GetObject")));
    let role = aws::RolePolicies { managed_policies, inline_policy, max_session: None };
    Some(PermissionsByProvider {
        aws: Some(Permissions { role: Some(role), ..Permissions::default() }),
        ..PermissionsByProvider::default()
    })
}

fn places(regions: &[&str], resources: &[&str]) -> Option<ScopeByProvider> {
    let list = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    let scope = Scope { account: None, regions: list(regions), resources: list(resources) };
    Some(ScopeByProvider { aws: Some(scope), ..ScopeByProvider::default() })
}

#[test]
fn a_request_narrows_policies_and_places_in_an_account() {
    let of = |change: &dyn Fn(&mut Fixture)| {
        let mut f = of_role();
        change(&mut f);
        resolve(&f.asked, &f.inputs())
    };
    let whole = of(&|_| ()).unwrap();
    let less = of(&|f| f.asked.permissions = part(&[GUARD], true)).unwrap();
    assert!(less.effects != whole.effects);
    assert_eq!(less.resolved.permissions.privileges().len(), 2, "{:?}", less.resolved.permissions.privileges());
    let here = of(&|f| f.asked.scope = places(&["eu-west-1"], &[])).unwrap();
    assert_eq!(here.resolved.scope.in_words(&here.resolved.permissions), "account 123456789012, only in eu-west-1");
    let refused = |reason: Reason, words: &str, change: &dyn Fn(&mut Fixture)| {
        let refusal = of(change).expect_err(words);
        assert!(refusal.reason == reason && refusal.message.contains(words), "expected {reason} {words:?}, got {refusal:?}");
    };
    let words = format!("spec.permissions leaves out managed policy {GUARD}, which denies, and so would give more than role admin");
    refused(Reason::WiderPermissions, &words, &|f| f.asked.permissions = part(&[READ], true));
    let words = format!("assignment devs leaves out managed policy {GUARD}, which denies");
    refused(Reason::NotEligible, &words, &|f| f.assignments[0].permissions = part(&[READ], true));
    refused(Reason::WiderPermissions, "policies of the IAM user, which role admin does not give", &|f| {
        f.asked.permissions = Some(user("s3:GetObject"))
    });
    refused(
        Reason::WiderScope,
        "spec.scope reaches every resource, which role admin does not; it reaches resources arn:aws:s3:::a/*",
        &|f| {
            f.template().scope = places(&[], &["arn:aws:s3:::a/*"]).unwrap();
            f.asked.scope = places(&["eu-west-1"], &[]);
        },
    );
    refused(Reason::WiderScope, "spec.scope leaves nothing of what role admin gives", &|f| {
        f.asked.permissions = part(&[GUARD], true);
        f.asked.scope = places(&[], &["arn:aws:s3:::a"]);
        let only =
            json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sqs:Get*", "Resource": "arn:aws:sqs:*:*:q"}});
        let role = f.template().permissions.aws.as_mut().unwrap().role.as_mut().unwrap();
        role.inline_policy = Some(PolicyObject(only.clone()));
        f.policies[0].permissions.aws.as_mut().unwrap().role.as_mut().unwrap().inline_policy = Some(PolicyObject(only.clone()));
        f.asked.permissions.as_mut().unwrap().aws.as_mut().unwrap().role.as_mut().unwrap().inline_policy = Some(PolicyObject(only));
    });
    // What cannot be cut out exactly is refused in doubt.
    refused(Reason::WiderScope, "spec.scope cannot be granted: in inlinePolicy, statement 1 cannot be narrowed to arn:aws:s3:::a*", &|f| {
        let crossing =
            json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::*z"}});
        for permissions in [&mut f.template.as_mut().unwrap().permissions, &mut f.policies[0].permissions] {
            permissions.aws.as_mut().unwrap().role.as_mut().unwrap().inline_policy = Some(PolicyObject(crossing.clone()));
        }
        f.asked.scope = places(&[], &["arn:aws:s3:::a*"]);
    });
}

#[test]
fn what_is_active_in_an_account_is_judged_by_what_was_approved_of_it() {
    let mut f = of_role();
    f.asked.permissions = part(&[GUARD], true);
    f.asked.scope = places(&["eu-west-1"], &[]);
    active(&mut f, NOW.plus_secs(600));
    let held = resolve(&f.asked, &f.inputs()).unwrap();
    // It shrinks elsewhere.
    f.template().permissions = part(&[GUARD], true).unwrap();
    f.template().scope = places(&["eu-west-1", "eu-west-2"], &[]).unwrap();
    f.assignments[0].permissions = part(&[GUARD], true);
    assert_eq!(resolve(&f.asked, &f.inputs()).unwrap().effects, held.effects);
    f.assignments[0].permissions = part(&[GUARD], false);
    let refusal = resolve(&f.asked, &f.inputs()).unwrap_err();
    assert!(refusal.message.contains("assignment devs for role admin no longer gives its inlinePolicy"), "{refusal:?}");
    f.assignments[0].permissions = None;
    f.template().scope = places(&["eu-west-2"], &[]).unwrap();
    let refusal = resolve(&f.asked, &f.inputs()).unwrap_err();
    assert!(refusal.message.contains("no longer covers region eu-west-1"), "{refusal:?}");
}

#[test]
fn who_is_only_named_is_the_principal_of_that_name_or_refused() {
    let on_behalf = |beneficiary: Subject, prefix: Option<&str>| {
        let mut f = of_aws();
        crate::fixture::on_behalf(&mut f, beneficiary);
        f.systems[0].principals.as_mut().unwrap().strip_prefix = prefix.map(Into::into);
        f
    };
    let named = |f: &Fixture| resolve(&f.asked, &f.inputs()).map(|terms| terms.resolved.principal.name());
    assert_eq!(named(&on_behalf(Subject::User("erin".into()), None)).as_deref(), Ok("erin"));
    let deployer = crate::fixture::deployer;
    assert_eq!(named(&on_behalf(deployer(), Some("system:serviceaccount:payments:"))).as_deref(), Ok("deployer"));
    let refusal = named(&on_behalf(deployer(), None)).unwrap_err();
    assert!(refusal.reason == Reason::NotEligible && refusal.message.contains("is not the name of an IAM user"), "{refusal:?}");
    // The extra key is Dana's, and not Erin's.
    let mut f = on_behalf(Subject::User("erin".into()), None);
    f.systems[0].principals.as_mut().unwrap().source = Source::ExtraKey("curfew.dev/aws-user".into());
    f.asked.requester.extra = [("curfew.dev/aws-user".to_owned(), vec!["d.jones".to_owned()])].into();
    (f.aliases, f.aliases_are_names) = (vec!["curfew.dev/aws-user".into()], true);
    let refusal = named(&f).unwrap_err();
    assert!(refusal.message.contains("the login of user erin is not known"), "{refusal:?}");
}

#[test]
fn an_assignment_that_leaves_out_a_denial_hides_no_other() {
    let mut f = of_role();
    let mut lacking = f.assignments[0].clone();
    let role = aws::RolePolicies { managed_policies: vec![READ.to_owned()], inline_policy: None, max_session: None };
    let permissions = Permissions { role: Some(role), ..Permissions::default() };
    lacking.permissions = Some(PermissionsByProvider { aws: Some(permissions), ..PermissionsByProvider::default() });
    lacking.reference = reference("a-first");
    f.assignments.insert(0, lacking);
    assert_eq!(resolve(&f.asked, &f.inputs()).map(|terms| terms.resolved.assignment.name.clone()), Ok("devs".to_owned()));
    f.assignments.pop();
    let refusal = resolve(&f.asked, &f.inputs()).unwrap_err();
    assert!(refusal.reason == Reason::NotEligible && refusal.message.contains("a-first leaves out"), "{refusal:?}");
}
