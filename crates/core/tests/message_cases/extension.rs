//! What is wrong with an extension: one change for each rule, in the order of the rules.
use super::Case;
use crate::fixture::{
    Fixture, NOW, content, delegated,
    extension::{extension, granted, granted_before, parent, until},
    long, namespaces,
};
use curfew_core::{
    extension::{ExtensionLimits, Parent, Span},
    policy_inputs::Progress,
    principal::Subject,
    reason::Reason,
    resolved::Extended,
    target::{GrantedPermissions, kubernetes::persistence},
};

fn limits(f: &mut Fixture, chain: &str, per_day: &str) {
    f.template().extension = Some(ExtensionLimits { chain: long(chain), per_day: long(per_day) });
}

fn stands(f: &mut Fixture, is: Parent) {
    extension(f).parent = is;
}

/// It was accepted, and now this is found.
fn accepted(f: &mut Fixture, is: Parent) {
    extension(f).frozen = Some(granted());
    f.asked.progress = Progress::Accepted;
    stands(f, is);
}

pub const EXTENSION: &[Case] = &[
    ("with a start of its own", |f| f.asked.start = Some(NOW)),
    ("accepted, and what it extends was revoked", |f| accepted(f, Parent::Ended(Reason::RevokedByApprover))),
    ("accepted, and the end of what it extends was brought forward", |f| {
        accepted(f, Parent::NotActive);
        extension(f).granted.as_mut().expect("granted").until = NOW;
    }),
    ("accepted, and what it extends was deleted", |f| accepted(f, Parent::Absent)),
    ("what it extends cannot be judged", |f| stands(f, Parent::Unknown)),
    ("what it extends does not exist", |f| stands(f, Parent::Absent)),
    ("what it extends is not active", |f| stands(f, Parent::NotActive)),
    ("what it extends has ended", |f| stands(f, Parent::Ended(Reason::DeadlinePassed))),
    ("the deadline of what it extends has come", |f| extension(f).granted.as_mut().expect("granted").until = NOW),
    ("what it extends is an extension that has not taken over", |f| {
        parent(f, |r| r.extends = Some(Extended { name: "zero".into(), uid: "z".into(), until: until(), since: NOW }));
    }),
    ("what it extends is for another role", |f| parent(f, |r| r.role.name = "other".into())),
    ("what it extends is for another system", |f| parent(f, |r| (r.system.name, r.system.uid) = ("test".into(), "t".into()))),
    ("what it extends is another person's", |f| parent(f, |r| r.beneficiary = Subject::User("bob".into()))),
    ("a service account extends what another one has requested", delegated),
    ("what it extends has no Grant", |f| extension(f).granted = None),
    ("the role cannot be extended", |f| f.template().extension = None),
    ("longer in all than the role allows", |f| limits(f, "1h", "12h")),
    ("longer in all than CurfewConfig allows", |f| f.ceiling = Some(long("1h"))),
    ("longer in a day than the role allows", |f| {
        limits(f, "8h", "2h");
        f.asked.held = Some(vec![Span { from: NOW.plus_secs(-7_200), to: until() }]);
    }),
    ("a new request that is longer in a day than the role allows", |f| {
        limits(f, "8h", "2h");
        f.asked.extends = None;
        f.asked.held = Some(vec![Span { from: NOW.plus_secs(-9_000), to: NOW.plus_secs(-3_600) }]);
    }),
    ("a new request that is longer by itself than the role allows in a day", |f| {
        limits(f, "8h", "30m");
        f.asked.extends = None;
    }),
    ("longer in all than the policy allows", |f| f.policies[0].max_duration = long("1h")),
    ("of more permissions", |f| {
        parent(f, |r| {
            if let GrantedPermissions::Kubernetes(granted) = &mut r.permissions {
                granted.roles[0].name = "view".into();
            }
        });
    }),
    ("of a wider scope", |f| {
        f.asked.scope = Some(namespaces(&["payments"]));
        let narrow = granted_before(f);
        parent(f, |r| *r = narrow);
        f.asked.scope = None;
    }),
    ("of a role that allows more by now", |f| {
        let more = content(&["get", "list", "delete"]);
        let role = &mut f.kubernetes().roles[0];
        (role.rules, role.content) = (persistence::digest(&more), persistence::canonical(&more));
    }),
];
