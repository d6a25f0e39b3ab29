//! What users are told of AWS: policies that cannot be read or written, principals, and what an access gives.
use crate::aws_forms::{inventory, ways};
use curfew_core::{
    principal::{Mapped, Mapping, Source, Subject, UserInfo},
    target::{
        Unresolvable,
        aws::{
            self, GrantedPermissions, GrantedScope, IdentityCenter, Inventory, Permissions, Policies, PolicyObject, Scope,
            document::Document, persistence::catalogue::LASTING,
        },
    },
};
use serde_json::{Value, json};

/// Case, what it is about, and the message.
pub type Row = (String, &'static str, String);

fn row(case: impl Into<String>, about: &'static str, text: impl Into<String>) -> Row {
    (case.into(), about, text.into())
}

fn statement(change: Value) -> Value {
    let mut one = json!({"Sid": "Deploy", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
    let all = one.as_object_mut().expect("an object");
    for (element, value) in change.as_object().expect("an object") {
        match value {
            Value::Null => drop(all.remove(element)),
            value => drop(all.insert(element.clone(), value.clone())),
        }
    }
    json!({"Version": "2012-10-17", "Statement": one})
}

fn inline(document: Value) -> Permissions {
    let user = Policies { managed_policies: Vec::new(), inline_policy: Some(PolicyObject(document)) };
    Permissions { user: Some(user), ..Permissions::default() }
}

fn checked(permissions: &Permissions, scope: &Scope, inventory: &Inventory) -> String {
    aws::check(permissions, scope, inventory).expect_err("refused")
}

/// Every way in which a document cannot be read.
pub fn documents() -> Vec<Row> {
    let bad: [(&str, Value); 24] = [
        ("no object", json!([])),
        ("an old version", json!({"Version": "2008-10-17"})),
        ("no version", json!({})),
        ("no statement", json!({"Version": "2012-10-17"})),
        ("a text as statement", json!({"Version": "2012-10-17", "Statement": "all"})),
        ("an element that is not known", json!({"Version": "2012-10-17", "Statment": []})),
        ("no name", json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"}]})),
        ("a number as name", statement(json!({"Sid": 7}))),
        ("a principal", statement(json!({"Principal": "*"}))),
        ("an element of a statement that is not known", statement(json!({"Actions": "*"}))),
        ("no effect", statement(json!({"Effect": null}))),
        ("no action", statement(json!({"Action": null}))),
        ("an empty list", statement(json!({"Action": []}))),
        ("an action without a service", statement(json!({"Action": "GetObject"}))),
        ("a number as action", statement(json!({"Action": 7}))),
        ("a resource that is not an ARN", statement(json!({"Resource": "bucket"}))),
        ("a character that IAM does not take", statement(json!({"Resource": "arn:aws:s3:::\u{4e2d}"}))),
        ("a condition that is not an object", statement(json!({"Condition": "always"}))),
        ("an operator without keys", statement(json!({"Condition": {"Bool": "true"}}))),
        ("an operator that is not known", statement(json!({"Condition": {"StringSame": {}}}))),
        (
            "an operator twice",
            statement(json!({"Condition": {"Bool": {"aws:SecureTransport": true}, "bool": {"aws:ViaAWSService": true}}})),
        ),
        ("a key without a prefix", statement(json!({"Condition": {"Bool": {"SecureTransport": true}}}))),
        ("an object as value", statement(json!({"Condition": {"Bool": {"aws:SecureTransport": {}}}}))),
        ("a statement that is not an object", json!({"Version": "2012-10-17", "Statement": ["all"]})),
    ];
    let all = Scope::account();
    let mut rows: Vec<Row> =
        bad.into_iter().map(|(case, document)| row(case, "NotReady", checked(&inline(document), &all, &inventory()))).collect();
    rows.push(row("too long for a template", "NotReady", checked(&inline(large("Action", 3_000)), &all, &inventory())));
    let long = statement(json!({"Resource": format!("arn:aws:s3:::{}", "a".repeat(3_000))}));
    rows.push(row("an entry that is too long", "NotReady", checked(&inline(long), &all, &inventory())));
    let text = |text: &str| format!("managed policy x {}", Document::parse(text).expect_err("refused"));
    rows.push(row("no JSON", "NotReady", text("{")));
    rows.push(row("a key twice", "NotReady", text(r#"{"Version": "2012-10-17", "Version": "2012-10-17"}"#)));
    rows.push(row("too long", "NotReady", text(&" ".repeat(200_000))));
    let entries: Vec<String> = (0..9_000).map(|i| format!("s3:A{i}")).collect();
    rows.push(row("too many entries", "NotReady", text(&statement(json!({"Action": entries})).to_string())));
    let statements: Vec<Value> = (0..1_100).map(|_| json!({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})).collect();
    rows.push(row("too many statements", "NotReady", text(&json!({"Version": "2012-10-17", "Statement": statements}).to_string())));
    rows
}

fn way(name: &str) -> Permissions {
    ways().into_iter().find(|(way, ..)| *way == name).expect(name).1
}

fn regions() -> Scope {
    Scope { regions: vec!["eu-west-1".into()], ..Scope::default() }
}

fn resources(list: &[&str]) -> Scope {
    Scope { resources: list.iter().map(ToString::to_string).collect(), ..Scope::default() }
}

/// So many actions in one statement, under this element.
fn large(element: &str, count: usize) -> Value {
    let actions: Vec<String> = (0..count).map(|i| format!("service:ActionWithALongName{i:04}")).collect();
    let mut change = json!({"Action": null});
    change[element] = json!(actions);
    statement(change)
}

/// What a template cannot be granted for.
pub fn templates() -> Vec<Row> {
    let all = Scope::account();
    let not_ready = |case: &str, permissions: &Permissions, scope: &Scope, inventory: &Inventory| {
        row(case, "NotReady", checked(permissions, scope, inventory))
    };
    let named = |change: fn(&mut Permissions)| {
        let mut permissions = way("user");
        change(&mut permissions);
        permissions
    };
    let empty = Inventory { policies: Vec::new(), permission_set: None, group: None, instance: inventory().instance, ..inventory() };
    let broken = |change: fn(&mut Inventory)| {
        let mut inventory = inventory();
        change(&mut inventory);
        inventory
    };
    let late = json!({"DateLessThan": {"aws:CurrentTime": "soon", "aws:EpochTime": "later"}});
    let region = json!({"StringEquals": {"aws:RequestedRegion": "${aws:PrincipalTag/a}"}, "StringLike": {"aws:RequestedRegion": "eu-*"}});
    let obstacle = |case: &str, permissions: &Permissions, inventory: &Inventory| {
        row(case, "NotReady", aws::obstacle(permissions, &all, inventory).expect(case))
    };
    let huge = way("standing permission set");
    let set = IdentityCenter { inline_policy: Some(PolicyObject(large("Action", 600))), ..IdentityCenter::default() };
    let own_set = Permissions { identity_center: Some(set), ..Permissions::default() };
    vec![
        not_ready("no way", &Permissions::default(), &all, &inventory()),
        not_ready("a way without policies", &named(|p| p.user = Some(Policies::default())), &all, &inventory()),
        not_ready("no such policy", &way("user"), &all, &empty),
        not_ready("a policy that cannot be read", &way("user"), &all, &broken(|i| i.policies[0].document = "{".into())),
        not_ready("no such permission set", &way("standing permission set"), &all, &empty),
        not_ready(
            "a permission set that cannot be read",
            &way("standing permission set"),
            &all,
            &broken(|i| {
                if let Some(set) = &mut i.permission_set {
                    set.inline = Some("{".into());
                }
            }),
        ),
        not_ready(
            "a denial on a user",
            &inline(statement(json!({"Sid": "KeepLogs", "Effect": "Deny", "Action": "s3:DeleteObject"}))),
            &all,
            &inventory(),
        ),
        not_ready("no such group", &way("standing group"), &all, &empty),
        not_ready("no instance", &way("permission set"), &all, &Inventory { instance: None, ..inventory() }),
        not_ready("a permission set that cannot be narrowed", &way("standing permission set"), &regions(), &inventory()),
        not_ready("a group that cannot be narrowed", &way("standing group"), &regions(), &inventory()),
        not_ready(
            "a session that is too long",
            &named(|p| {
                p.user = None;
                p.role = Some(aws::RolePolicies {
                    managed_policies: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into()],
                    max_session: "13h".parse().ok(),
                    ..aws::RolePolicies::default()
                });
            }),
            &all,
            &inventory(),
        ),
        not_ready("a statement that cannot be dated", &inline(statement(json!({"Condition": late}))), &all, &inventory()),
        not_ready(
            "a statement that cannot be narrowed to regions",
            &inline(statement(json!({"Condition": region}))),
            &regions(),
            &inventory(),
        ),
        not_ready(
            "a statement that overlaps the scope",
            &inline(statement(json!({"Resource": "arn:aws:s3:::*-logs"}))),
            &resources(&["arn:aws:s3:::pay-*"]),
            &inventory(),
        ),
        not_ready(
            "a statement that excepts a part of the scope",
            &inline(statement(json!({"Resource": null, "NotResource": "arn:aws:s3:::pay-secret"}))),
            &resources(&["arn:aws:s3:::pay-*"]),
            &inventory(),
        ),
        obstacle("more policies than are attached", &inline(large("Action", 900)), &broken(|i| i.quotas.attached_per_user = 2)),
        obstacle("a statement that cannot be divided", &inline(large("NotAction", 400)), &inventory()),
        obstacle("a permission set that is too large", &own_set, &inventory()),
        obstacle(
            "more than is frozen",
            &huge,
            &broken(|i| {
                if let Some(set) = &mut i.permission_set {
                    set.inline = Some(large("Action", 2_500).to_string());
                    set.policies[0].document = large("Action", 2_500).to_string();
                }
            }),
        ),
        row(
            "a statement that gives nothing",
            "Ready",
            aws::ineffective(&way("user"), &resources(&["arn:aws:sqs:*:*:a"]), &inventory()).expect("some"),
        ),
        row("four of them", "Ready", {
            let buckets: Vec<Value> =
                (0..4).map(|i| json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::b{i}")})).collect();
            let several = inline(json!({"Version": "2012-10-17", "Statement": buckets}));
            aws::ineffective(&several, &resources(&["arn:aws:sqs:*:*:a"]), &inventory()).expect("some")
        }),
    ]
}

/// What a policy does not allow, and which scope reaches further.
pub fn policies() -> Vec<Row> {
    let nothing = Permissions::default();
    let refused = |case: &str, permissions: &Permissions, patterns: &Permissions| {
        row(case, "OutsidePolicy", format!("policy payments does not allow {}", aws::not_allowed(permissions, patterns).expect(case)))
    };
    let only_managed = Permissions {
        user: Some(Policies { managed_policies: vec!["arn:aws:iam::aws:policy/Other".into()], inline_policy: None }),
        ..Permissions::default()
    };
    let deny = statement(json!({"Sid": "Keep", "Effect": "Deny", "Action": "s3:DeleteObject"}));
    let mut role = way("role");
    if let Some(role) = &mut role.role {
        role.max_session = "1h".parse().ok();
    }
    let beyond = |case: &str, inner: &Scope, outer: &Scope| {
        row(case, "OutsidePolicy", format!("policy payments does not allow access to {}", aws::beyond(inner, outer).expect(case)))
    };
    vec![
        refused("no way", &nothing, &nothing),
        refused("policies of a user", &way("user"), &nothing),
        refused("a role", &way("role"), &nothing),
        refused("longer sessions", &way("role"), &role),
        refused("a permission set of its own", &way("permission set"), &nothing),
        refused("a standing permission set", &way("standing permission set"), &nothing),
        refused("a standing group", &way("standing group"), &nothing),
        refused("a managed policy", &way("user"), &only_managed),
        refused("an inline policy", &inline(statement(json!({}))), &only_managed),
        refused("a wider inline policy", &inline(statement(json!({"Action": "s3:*"}))), &inline(statement(json!({})))),
        refused(
            "an inline policy without a denial",
            &inline(statement(json!({}))),
            &inline(json!({"Version": "2012-10-17", "Statement": [
                statement(json!({}))["Statement"], deny["Statement"]
            ]})),
        ),
        refused("an inline policy that cannot be read", &inline(json!([])), &inline(statement(json!({})))),
        refused("an inline policy of its own that cannot be read", &inline(statement(json!({}))), &inline(json!([]))),
        beyond("every region", &Scope::account(), &regions()),
        beyond("a region", &Scope { regions: vec!["us-east-1".into()], ..Scope::default() }, &regions()),
        beyond("every resource", &Scope::account(), &resources(&["arn:aws:s3:::a"])),
        beyond("a resource", &resources(&["arn:aws:s3:::b"]), &resources(&["arn:aws:s3:::a"])),
    ]
}

/// What ends an active grant, and what voids an approval.
pub fn held() -> Vec<Row> {
    let granted = |name: &str| aws::resolve(&way(name), &Scope::account(), &inventory()).expect(name);
    let (set, scope) = granted("standing permission set");
    let (group, _) = granted("standing group");
    let empty = Inventory { policies: Vec::new(), permission_set: None, group: None, ..inventory() };
    let ended = |case: &str, permissions: &GrantedPermissions, scope: &GrantedScope, inventory: &Inventory| match aws::held(
        permissions,
        scope,
        inventory,
    )
    .expect_err(case)
    {
        Unresolvable::Changed(what) => row(case, "TemplateChanged", what),
        Unresolvable::NotReady(what) => row(case, "NotReady", what),
        Unresolvable::NothingReached => unreachable!("something was approved"),
    };
    let grown = |change: fn(&mut aws::PermissionSetContent)| {
        let mut inventory = inventory();
        if let Some(set) = &mut inventory.permission_set {
            change(set);
        }
        inventory
    };
    let everything = || statement(json!({"Sid": "All", "Action": "*"})).to_string();
    let mut bare = set.clone();
    if let GrantedPermissions::StandingSet(bare) = &mut bare {
        bare.policies.inline = None;
    }
    let (mut role, _) = granted("role");
    if let GrantedPermissions::Role(role) = &mut role {
        role.policies.managed[0].by = aws::GrantedBy::Reference;
        role.policies.managed[0].arn = "arn:aws:iam::aws:policy/Gone".into();
    }
    let gone = aws::held(&role, &scope, &inventory()).expect("some is left").gone.join(", ");
    let lacks = |case: &str, now: &Permissions, held: &Permissions| {
        let what = aws::lacks(now, held).expect(case);
        row(case, "TemplateChanged", format!("role admin no longer covers {what}, which was approved"))
    };
    let named = |name: &str| way(name);
    let managed_policies = vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".into()];
    let bare_user = Permissions { user: Some(Policies { managed_policies, inline_policy: None }), ..Permissions::default() };
    let mut short = way("role");
    if let Some(role) = &mut short.role {
        role.max_session = None;
    }
    let (user, _) = granted("user");
    let other = |change: fn(&mut aws::GrantedPolicies)| {
        let mut user = user.clone();
        if let GrantedPermissions::User(policies) = &mut user {
            change(policies);
        }
        user
    };
    let changed = |case: &str, now: &GrantedPermissions| row(case, "TemplateChanged", aws::changed_since(now, &user).expect(case));
    vec![
        ended("a permission set that is gone", &set, &scope, &empty),
        ended("a group that is gone", &group, &scope, &empty),
        ended(
            "one policy more",
            &set,
            &scope,
            &grown(|set| {
                set.policies.push(aws::PolicyContent { arn: "arn:aws:iam::aws:policy/More".into(), document: "{}".into() });
            }),
        ),
        ended("a policy that allows more", &set, &scope, &{
            let mut inventory = inventory();
            if let Some(set) = &mut inventory.permission_set {
                set.policies[0].document = everything();
            }
            inventory
        }),
        ended("an inline policy", &bare, &scope, &inventory()),
        ended("an inline policy that allows more", &set, &scope, &{
            let mut inventory = inventory();
            if let Some(set) = &mut inventory.permission_set {
                set.inline = Some(everything());
            }
            inventory
        }),
        row("a policy that is gone", "gone", gone),
        lacks("a managed policy", &inline(statement(json!({}))), &way("user")),
        lacks("no inline policy", &bare_user, &inline(statement(json!({})))),
        lacks("a narrower inline policy", &inline(statement(json!({}))), &inline(statement(json!({"Action": "s3:*"})))),
        lacks("shorter sessions", &short, &way("role")),
        lacks("another way than a user", &way("role"), &way("user")),
        lacks("another way than a role", &way("user"), &way("role")),
        lacks("another way than a permission set", &way("user"), &way("permission set")),
        lacks("another way than a standing set", &way("user"), &named("standing permission set")),
        lacks("another way than a group", &way("user"), &named("standing group")),
        changed("another policy", &other(|p| p.managed[0].arn = "arn:aws:iam::aws:policy/New".into())),
        changed("another document", &other(|p| p.managed[0].document = "{}".into())),
        changed("another inline policy", &other(|p| p.inline = None)),
    ]
}

/// Who a beneficiary is there.
pub fn principals() -> Vec<Row> {
    let granted = |name: &str| aws::resolve(&way(name), &Scope::account(), &inventory()).expect(name);
    let wrong = |case: &str, way: &str, name: &str| {
        let (permissions, scope) = granted(way);
        row(case, "NotEligible", aws::principal(name, &permissions, &scope).expect_err(case))
    };
    let keys = ["curfew.dev/aws-user".to_owned()];
    let login = |values: &[&str]| UserInfo {
        username: "alice".into(),
        extra: [(keys[0].clone(), values.iter().map(ToString::to_string).collect())].into(),
        ..UserInfo::default()
    };
    let mapped = |case: &str, mapping: Option<Mapping>, login: Option<&UserInfo>| {
        let mapped = Mapped { system: "prod", mapping: mapping.as_ref(), login, alias_keys: Some(&keys) };
        row(case, "NotEligible", mapped.name(&Subject::User("alice".into())).expect_err(case))
    };
    let stripped = |prefix: Option<&str>, suffix: Option<&str>| {
        Some(Mapping { source: Source::Username, strip_prefix: prefix.map(Into::into), strip_suffix: suffix.map(Into::into) })
    };
    let of_key = |key: &str| Some(Mapping { source: Source::ExtraKey(key.into()), strip_prefix: None, strip_suffix: None });
    vec![
        mapped("a system without a mapping", None, None),
        mapped("no prefix", stripped(Some("oidc:"), None), None),
        mapped("no suffix", stripped(None, Some("@example.com")), None),
        mapped("nothing left", stripped(Some("alice"), None), None),
        mapped("a key that is not an alias", of_key("curfew.dev/other"), None),
        mapped("a login that is not known", of_key(&keys[0]), None),
        mapped("a login without the key", of_key(&keys[0]), Some(&login(&[]))),
        mapped("a login with two values", of_key(&keys[0]), Some(&login(&["a", "b"]))),
        wrong("no name of an IAM user", "user", "system:serviceaccount:ci:bot"),
        wrong("nobody who assumes a role", "role", "arn:aws:iam::123456789012:root"),
        wrong("a role as the holder", "role", "arn:aws:iam::123456789012:role/Deploy"),
        wrong("a session of a role as the holder", "role", "arn:aws:sts::123456789012:assumed-role/Dev/alice"),
        wrong("no name of a user of Identity Center", "permission set", "alice smith"),
    ]
}

/// What an access gives, in words.
pub fn access() -> Vec<Row> {
    let all = ways().into_iter().flat_map(|(name, permissions, scope, principal)| {
        let (granted, scope) = aws::resolve(&permissions, &scope, &inventory()).expect(name);
        let principal = aws::principal(principal, &granted, &scope).expect(name);
        let deadline = curfew_core::time::Time::parse("2026-11-23T08:15:00Z").expect("a time");
        let names = curfew_core::target::PlanNames { install: "0123abcd", grant: "00000000000000a1", deadline };
        let plan = aws::plan(&granted, &scope, &principal, names).expect(name);
        let digests = |text: String| {
            text.split(' ').map(|word| if word.len() > 60 && word.starts_with('(') { "(…)" } else { word }).collect::<Vec<_>>().join(" ")
        };
        let mut rows: Vec<Row> = aws::granted_privileges(&granted).into_iter().map(|text| row(name, "permission", digests(text))).collect();
        rows.extend(aws::privileges(&plan).into_iter().map(|text| row(name, "plan", text)));
        rows.push(row(name, "scope", aws::scope_in_words(&scope, &granted)));
        rows
    });
    let narrow = GrantedScope {
        partition: "aws".into(),
        account: "123456789012".into(),
        regions: Vec::new(),
        resources: vec!["arn:aws:s3:::a".into()],
    };
    let (user, _) = aws::resolve(&way("user"), &Scope::account(), &inventory()).expect("user");
    all.chain([row("resources", "scope", aws::scope_in_words(&narrow, &user)), row("", "session tail", aws::SESSION_TAIL)]).collect()
}

/// Every right of the list with its source, and policies that give some of them.
pub fn lasting() -> Vec<Row> {
    let rights = LASTING.iter().map(|right| row(right.actions.join(", "), "can", format!("{}, by {}", right.allows, right.source)));
    let said = |case: &str, permissions: &Permissions, inventory: &Inventory| {
        let what = aws::persistence(permissions, &Scope::account(), inventory, "curfew-system").expect(case);
        row(case, "outlives", what)
    };
    let mut admin = inventory();
    admin.policies[0].document = statement(json!({"Action": "iam:CreateAccessKey"})).to_string();
    let of_set = |change: fn(&mut aws::PermissionSetContent)| {
        let mut inventory = inventory();
        if let Some(set) = &mut inventory.permission_set {
            change(set);
        }
        inventory
    };
    let set = of_set(|set| set.inline = Some(statement(json!({"Action": "*"})).to_string()));
    let unreadable = of_set(|set| set.policies[0].document = "{".into());
    rights
        .chain([
            said("managed policies", &way("user"), &admin),
            said("an inline policy", &inline(statement(json!({"Action": "*"}))), &inventory()),
            said("a permission set", &way("standing permission set"), &set),
            said("a policy that cannot be read", &way("standing permission set"), &unreadable),
            said("a group", &way("standing group"), &inventory()),
        ])
        .collect()
}
