//! One change of the standing access of group devs for each rule, in the order of the rules.
use super::Case;
use crate::aws_forms::{inventory, ways};
use crate::fixture::{group, long, standing::of, window, with_mfa};
use curfew_core::{
    admission::Provenance,
    conditions::LoginKeys,
    policy_inputs::{StandingRule, Window},
    principal::{Subject, UserInfo},
    target::{Inventory, PermissionsByProvider, ProviderKind, ScopeByProvider},
};

fn recurring(f: &mut crate::fixture::Fixture, days: serde_json::Value, times: &[&str], duration: &str) {
    of(f).recurrence = serde_json::from_value(serde_json::json!({"every": days, "times": times, "duration": duration})).ok();
}

/// The rules of `terms::standing`.
pub const STANDING: &[Case] = &[
    ("not the operator", |f| f.asked.requester.username = "mallory".into()),
    ("no such assignment", |f| f.active = None),
    ("another holder", |f| f.asked.beneficiary = Some(Subject::User("mallory".into()))),
    ("suspended", |f| of(f).assignment.suspended = true),
    ("a setting that is not supported", |f| of(f).assignment.unsupported = vec!["window.lunar".into()]),
    ("the next admission proof is outstanding", |f| of(f).provenance = Provenance::Pending),
    ("admission was not proven", |f| of(f).provenance = Provenance::Unverified),
    ("no justification", |f| of(f).justification = " ".into()),
    ("MFA without configured keys", |f| {
        with_mfa(f);
        f.login_keys = LoginKeys::NONE;
    }),
    ("an author without MFA", |f| {
        with_mfa(f);
        let keys = ["curfew.dev/amr", "curfew.dev/auth-time"];
        of(f).author.extra = keys.into_iter().map(|key| (key.to_owned(), Vec::new())).collect();
    }),
    ("an author without the context", |f| {
        f.template().authentication_context = Some("c1".into());
        of(f).author.extra = [("curfew.dev/acrs".to_owned(), Vec::new())].into();
    }),
    ("shorter than 5m", |f| of(f).assignment.window = window(-3600, -3400)),
    ("occurrences without a day", |f| recurring(f, serde_json::json!({"month": [32]}), &["09:00"], "1h")),
    ("occurrences that are too long", |f| recurring(f, serde_json::json!({"day": {}}), &["09:00"], "24h")),
    ("occurrences that overlap", |f| recurring(f, serde_json::json!({"week": ["Monday", "Tuesday"]}), &["09:00", "10:30"], "2h")),
    ("a reserved name", |f| of(f).assignment.subject = group("system:masters")),
    ("a group where there are none", |f| {
        let (_, permissions, scope, _) = ways().remove(0);
        f.systems[0].provider = ProviderKind::Aws;
        f.inventory = Inventory::Aws(inventory());
        f.template().permissions = PermissionsByProvider { aws: Some(permissions), ..PermissionsByProvider::default() };
        f.template().scope = ScopeByProvider { aws: Some(scope), ..ScopeByProvider::default() };
    }),
    ("a role without standing access", |f| f.template().standing = None),
    ("permanent, and the role does not allow it", |f| {
        f.template().standing = Some(StandingRule { permanent: false, max: None });
        of(f).assignment.window = Window::Permanent;
    }),
    ("longer than the role allows", |f| of(f).assignment.window = window(-3600, 200 * 86_400)),
    ("an activation outside of the window", |f| of(f).assignment.window = window(60, 86_400)),
    ("an activation without a start", |f| f.asked.start = None),
    ("over the ceiling", |f| f.ceiling = Some(long("8h"))),
    ("no configuration", |f| f.ceiling = None),
    ("a policy without standing access", |f| f.policies[0].standing = false),
    ("a policy that does not list the holder", |f| f.policies[0].eligible.clear()),
    ("permanent, and the policy does not allow it", |f| {
        f.policies[0].permanent_eligibility = false;
        of(f).assignment.window = Window::Permanent;
    }),
    ("longer than the policy allows", |f| f.policies[0].max_eligibility = "1d".parse().unwrap()),
    ("written by a service account", |f| {
        of(f).author = UserInfo { username: "system:serviceaccount:flux:agent".into(), ..UserInfo::default() };
    }),
];

/// What the status of an assignment says.
pub const READY: &[Case] = &[
    ("gives access", |_| ()),
    ("is to begin", |f| of(f).assignment.window = window(600, 86_400)),
    ("has passed", |f| of(f).assignment.window = window(-86_400, -3600)),
];

/// Recurring windows in words.
pub fn words() -> Vec<String> {
    let of = |every: serde_json::Value| {
        let recurrence: curfew_core::occurrences::Recurrence =
            serde_json::from_value(serde_json::json!({"every": every, "times": ["09:00", "17:30"], "duration": "2h"})).unwrap();
        recurrence.to_string()
    };
    vec![
        of(serde_json::json!({"day": {}})),
        of(serde_json::json!({"week": ["Monday", "Friday"]})),
        of(serde_json::json!({"month": [1, 15]})),
    ]
}

/// A text that cannot be read.
pub fn no_time_of_day() -> String {
    "9am".parse::<curfew_core::occurrences::recurrence::TimeOfDay>().unwrap_err()
}
