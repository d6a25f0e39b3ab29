//! What may extend what, for how long, and what ends an extension early.
#[allow(dead_code)] // the other tests use more of it
mod fixture;

use curfew_core::{
    extension::{ExtensionLimits, Parent, Span},
    policy_inputs::Progress,
    principal::Subject,
    reason::Reason,
    resolved::{Extended, Resolved},
    terms::{
        Refusal,
        explain::{Rule, explain},
        resolve,
    },
    time::Time,
};
use fixture::{
    Fixture, NOW, active,
    extension::{LEFT, extend, extension, granted, granted_before, parent, until},
    fixture, kubernetes_scope, long, namespaces, on_behalf, window,
};

fn extending() -> Fixture {
    let mut f = fixture();
    extend(&mut f);
    f
}

fn refusal(change: impl FnOnce(&mut Fixture)) -> Refusal {
    let mut f = extending();
    change(&mut f);
    resolve(&f.asked, &f.inputs()).unwrap_err()
}

fn is_refused(reason: Reason, words: &str, change: impl FnOnce(&mut Fixture)) {
    let refusal = refusal(change);
    assert!(refusal.reason == reason && refusal.message.contains(words), "expected {reason}, {words:?}; got {refusal:?}");
}

#[test]
fn an_extension_ends_its_duration_after_what_it_extends() {
    let f = extending();
    let terms = resolve(&f.asked, &f.inputs()).unwrap();
    let resolved = &terms.resolved;
    assert_eq!(resolved.extends, Some(granted()));
    let end = until().plus_secs(45 * 60);
    assert_eq!((resolved.end(NOW), resolved.end(NOW.plus_secs(300))), (end, end), "whenever it begins");
    assert_eq!(resolved.too_late_from(&resolved.duration), Some(until()), "and it begins before that ends");
    assert_eq!(resolved.fixed_end(&long("5m")), Some(until().plus_secs(300)), "an approver may shorten it");
    let alone = granted_before(&f);
    assert_ne!(Resolved { request: "r1".into(), ..alone }.digest(), terms.digest, "what it extends is part of what is approved");
    let mut limited = extending();
    let most = Some(curfew_core::limits::Maxima { active: 5, per_subject: 1 });
    (limited.template().limits, limited.policies[0].limits) = (most, most);
    let limits = resolve(&limited.asked, &limited.inputs()).unwrap().limits;
    let [one, counted @ ..] = &*limits else { panic!("no limits") };
    assert!(one.of == curfew_core::limits::LimitOf::Extension && one.at_most == 1 && one.takes_over_from.is_none());
    assert_eq!(counted.len(), 4, "two each of role and policy");
    assert!(counted.iter().all(|limit| limit.takes_over_from.as_deref() == Some("r0")));
}

#[test]
fn only_an_active_request_of_the_same_access_is_extended() {
    use Reason::NothingToExtend;
    is_refused(NothingToExtend, "with uid r0 does not exist in namespace payments", |f| extension(f).parent = Parent::Absent);
    is_refused(NothingToExtend, "is not active", |f| extension(f).parent = Parent::NotActive);
    is_refused(NothingToExtend, "ends or has ended (Drifted)", |f| extension(f).parent = Parent::Ended(Reason::Drifted));
    is_refused(NothingToExtend, "has no Grant that is kept", |f| extension(f).granted = None);
    is_refused(NothingToExtend, "ended 1970-", |f| extension(f).granted.as_mut().unwrap().until = NOW);
    is_refused(NothingToExtend, "is for role other, and not for admin", |f| parent(f, |r| r.role.name = "other".into()));
    is_refused(NothingToExtend, "is for system east, and not for prod", |f| {
        parent(f, |r| (r.system.name, r.system.uid) = ("east".into(), "e".into()));
    });
    is_refused(NothingToExtend, "gives access to user bob, and not to user alice", |f| {
        parent(f, |r| r.beneficiary = Subject::User("bob".into()));
    });
    is_refused(NothingToExtend, "extends request zero until 1970-", |f| {
        parent(f, |r| r.extends = Some(Extended { name: "zero".into(), uid: "z".into(), until: NOW.plus_secs(1), since: NOW }));
    });
    is_refused(Reason::Unsupported, "extends together with startTime", |f| f.asked.start = Some(NOW.plus_secs(60)));
    // What cannot be judged is waited for.
    is_refused(Reason::NotProvenYet, "request first", |f| extension(f).parent = Parent::Unknown);
    let mut f = extending();
    parent(&mut f, |r| r.extends = Some(Extended { name: "zero".into(), uid: "z".into(), until: NOW, since: NOW }));
    assert!(resolve(&f.asked, &f.inputs()).is_ok(), "an extension that has taken over is extended");
}

#[test]
fn who_may_request_for_the_beneficiary_may_extend() {
    let by_dana = |f: &mut Fixture, requester: &str| {
        f.assignments[0].subject = Subject::User("alice".into());
        f.policies[0].eligible.push(Subject::User("alice".into()));
        parent(f, |r| r.requester = requester.into());
    };
    let mut f = extending();
    by_dana(&mut f, "dana");
    assert!(resolve(&f.asked, &f.inputs()).is_ok(), "the beneficiary extends what an access desk has requested");
    on_behalf(&mut f, Subject::User("alice".into()));
    assert!(resolve(&f.asked, &f.inputs()).is_ok(), "and so does the access desk");
    f.policies[0].requestor_admins.clear();
    assert_eq!(resolve(&f.asked, &f.inputs()).unwrap_err().reason, Reason::NotEligible, "but nobody else");
    // A service account extends what it has requested.
    let mut f = extending();
    fixture::delegated(&mut f);
    f.asked.not_after = Some(NOW.plus_secs(7_200));
    is_told(&f, Reason::NothingToExtend, "a service account extends only its own");
    let agent = f.asked.requester.username.clone();
    parent(&mut f, |r| r.requester = agent);
    assert!(resolve(&f.asked, &f.inputs()).is_ok());
}

fn is_told(f: &Fixture, reason: Reason, words: &str) {
    let refusal = resolve(&f.asked, &f.inputs()).unwrap_err();
    assert!(refusal.reason == reason && refusal.message.contains(words), "{refusal:?}");
}

#[test]
fn an_extension_gives_no_more_than_what_it_extends() {
    is_refused(Reason::WiderScope, "request first does not reach namespace canary", |f| {
        f.asked.scope = Some(namespaces(&["payments"]));
        let narrow = granted_before(f);
        parent(f, |r| *r = narrow);
        f.asked.scope = None;
    });
    is_refused(Reason::WiderPermissions, "request first does not give ClusterRole payments-admin", |f| {
        parent(f, |r| {
            if let curfew_core::target::GrantedPermissions::Kubernetes(granted) = &mut r.permissions {
                granted.roles[0].name = "view".into();
            }
        });
    });
    is_refused(Reason::WiderPermissions, "compared with request first, ClusterRole payments-admin allows more", |f| {
        let more = fixture::content(&["get", "list", "delete"]);
        let role = &mut f.kubernetes().roles[0];
        role.rules = curfew_core::target::kubernetes::persistence::digest(&more);
        role.content = curfew_core::target::kubernetes::persistence::canonical(&more);
    });
    let mut f = extending();
    f.asked.scope = Some(namespaces(&["payments"]));
    let terms = resolve(&f.asked, &f.inputs()).unwrap();
    assert_eq!(terms.resolved.scope.named(), curfew_core::target::Scope::Kubernetes(kubernetes_scope(&["payments"])), "less is less");
}

#[test]
fn the_ceilings_of_a_chain_are_named_and_never_cut() {
    is_refused(Reason::NotExtendable, "role admin cannot be extended: it has no activation.extension.atMost", |f| {
        f.template().extension = None;
    });
    // An hour was had, ten minutes are left, and 45 are asked for: an hour and 55 minutes in all.
    is_refused(
        Reason::OverMaximum,
        "last 1h55m in all, from 1970-01-12T12:46:40Z to 1970-01-12T14:41:40Z, but role admin (activation.extension) allows at most 114m",
        |f| {
            f.template().extension = Some(ExtensionLimits { chain: long("114m"), per_day: long("6h") });
        },
    );
    let fits = |chain: &str| {
        let mut f = extending();
        f.template().extension = Some(ExtensionLimits { chain: long(chain), per_day: long(chain) });
        (f.policies[0].max_duration, f.ceiling) = (long(chain), Some(long(chain)));
        resolve(&f.asked, &f.inputs()).is_ok()
    };
    assert!(fits("115m"), "to the second");
    is_refused(Reason::OverMaximum, "but CurfewConfig's ceiling allows at most 1h", |f| f.ceiling = Some(long("1h")));
    is_refused(Reason::OverMaximum, "but policy payments allows at most 100m", |f| f.policies[0].max_duration = long("100m"));
    is_refused(Reason::OverMaximum, "asked for 5h, but role admin allows at most 4h", |f| f.asked.duration = Some(long("5h")));
    is_refused(
        Reason::OverMaximum,
        "would hold role admin for 6h55m of 24 hours, and role admin (activation.extension) allows at most 6h per day",
        |f| {
            let held = f.asked.held.as_mut().unwrap();
            held.push(Span { from: NOW.plus_secs(-40_000), to: NOW.plus_secs(-22_000) });
        },
    );
    // An earlier chain counts from its own beginning.
    is_refused(Reason::OverMaximum, "in all", |f| extension(f).granted.as_mut().unwrap().since = NOW.plus_secs(-4 * 3_600));
    // The whole of it must fit, counted from the end of what it extends.
    is_refused(Reason::OutsideWindow, "the whole duration must fit", |f| f.assignments[0].window = window(-60, LEFT + 45 * 60 - 1));
    is_refused(Reason::OutsideWindow, "beyond notAfter", |f| f.asked.not_after = Some(until().plus_secs(45 * 60 - 1)));
}

/// An extension that was accepted, or is active until this time.
fn accepted(f: &mut Fixture, active_until: Option<Time>) {
    extension(f).frozen = Some(granted());
    match active_until {
        Some(end) => {
            let frozen = extension(f).frozen.take();
            active(f, end);
            extension(f).frozen = frozen;
        }
        None => f.asked.progress = Progress::Accepted,
    }
}

#[test]
fn what_ends_early_ends_its_extension_until_its_deadline() {
    let after = until().plus_secs(1);
    for active_until in [None, Some(until().plus_secs(45 * 60))] {
        let judged = |now: Time, change: &dyn Fn(&mut Fixture)| {
            let mut f = extending();
            accepted(&mut f, active_until);
            change(&mut f);
            let inputs = curfew_core::policy_inputs::PolicyInputs { now, ..f.inputs() };
            resolve(&f.asked, &inputs).map(|terms| terms.resolved.extends.clone()).map_err(|refusal| refusal.reason)
        };
        let stands = |is: Parent| move |f: &mut Fixture| extension(f).parent = is.clone();
        let goes_on = Ok(Some(granted()));
        let ended = Err(Reason::ParentEnded);
        for is in [Parent::Unknown, Parent::NotActive, Parent::Ended(Reason::DeadlinePassed)] {
            assert_eq!(judged(NOW, &stands(is.clone())), goes_on, "{is:?} ends nothing");
        }
        for is in [Parent::Absent, Parent::Ended(Reason::Suspended), Parent::Ended(Reason::Drifted)] {
            assert_eq!(judged(NOW, &stands(is.clone())), ended, "{is:?} before the deadline");
            assert_eq!(judged(after, &stands(is.clone())), goes_on, "{is:?} from the deadline on");
        }
        for reason in [Reason::RevokedByApprover, Reason::RevokedByHolder] {
            assert_eq!(judged(after, &stands(Parent::Ended(reason))), ended, "a person has ended it, however late that is seen");
        }
        let brought_forward = |f: &mut Fixture| extension(f).granted.as_mut().unwrap().until = until().plus_secs(-1);
        assert_eq!(judged(after, &brought_forward), ended, "its Grant ends before the deadline that was approved");
        // From the deadline on nothing of it needs to be there.
        let gone = |f: &mut Fixture| {
            extension(f).parent = Parent::Absent;
            extension(f).granted = None;
        };
        let without_grant = if active_until.is_some() { goes_on.clone() } else { Err(Reason::NothingToExtend) };
        assert_eq!(judged(after, &gone), without_grant, "what has not begun is compared with the Grant");
    }
}

#[test]
fn a_stricter_role_stops_what_waits_and_ends_nothing_that_is_granted() {
    let judged = |active_until: Option<Time>, change: &dyn Fn(&mut Fixture)| {
        let mut f = extending();
        accepted(&mut f, active_until);
        change(&mut f);
        resolve(&f.asked, &f.inputs()).map(drop).map_err(|refusal| refusal.reason)
    };
    let none = |f: &mut Fixture| f.template().extension = None;
    let shorter = |f: &mut Fixture| f.template().extension = Some(ExtensionLimits { chain: long("1h"), per_day: long("1h") });
    let ceiling = |f: &mut Fixture| f.ceiling = Some(long("1h"));
    for (change, reason) in
        [(&none as &dyn Fn(&mut Fixture), Reason::NotExtendable), (&shorter, Reason::OverMaximum), (&ceiling, Reason::OverMaximum)]
    {
        assert_eq!(judged(None, change), Err(reason));
        assert_eq!(judged(Some(until().plus_secs(45 * 60)), change), Ok(()));
    }
}

/// The ceiling per day of a role is about new requests, too: otherwise one after the end would go on where an extension is refused.
#[test]
fn a_new_request_keeps_the_ceiling_per_day() {
    let hours_ago = |from: i64, to: i64| Span { from: NOW.plus_secs(-from * 3_600), to: NOW.plus_secs(-to * 3_600) };
    let asked = |per_day: &str, held: Option<Vec<Span>>| {
        let mut f = fixture();
        f.template().extension = Some(ExtensionLimits { chain: long("1h"), per_day: long(per_day) });
        f.asked.held = held;
        f
    };
    let judged = |f: &Fixture| resolve(&f.asked, &f.inputs()).map(drop);
    // 45 minutes are asked for.
    let had = || Some(vec![hours_ago(5, 3)]);
    assert_eq!(judged(&asked("165m", had())), Ok(()), "to the second");
    let refused = judged(&asked("164m", had())).unwrap_err();
    let from = NOW.plus_secs(-5 * 3_600 + 86_400 - 45 * 60 + 60);
    for words in [
        "with it user alice would hold role admin for 2h45m of 24 hours",
        "role admin (activation.extension) allows at most 164m per day, new requests included",
        &format!("a new request for 45m is possible from {from} on"),
    ] {
        assert!(refused.reason == Reason::OverMaximum && refused.message.contains(words), "{words:?}: {refused:?}");
    }
    let refused = judged(&asked("30m", Some(Vec::new()))).unwrap_err();
    assert!(refused.message.ends_with("ask for at most 30m"), "{refused:?}");
    assert_eq!(judged(&asked("164m", Some(vec![hours_ago(30, 24)]))), Ok(()), "a day ago is another day");
    assert_eq!(judged(&asked("164m", None)), Ok(()), "what is not known refuses nothing");
    let mut unlimited = asked("164m", had());
    unlimited.template().extension = None;
    assert_eq!(judged(&unlimited), Ok(()), "a role without the ceiling");
    // What waits does not evade it, and a start to come is judged as the time that it asks for.
    let mut waits = asked("164m", had());
    waits.asked.progress = Progress::Accepted;
    assert_eq!(judged(&waits).unwrap_err().reason, Reason::OverMaximum);
    let start = |secs: i64| {
        let mut f = asked("164m", had());
        f.asked.start = Some(NOW.plus_secs(secs));
        judged(&f)
    };
    let fits = from.millis_since(NOW) / 1000;
    assert_eq!((start(fits), start(fits - 1).is_err()), (Ok(()), true), "it fits from the moment that is told, and not before");
    // What is granted goes on.
    let mut granted = asked("164m", had());
    granted.asked.progress = Progress::Granted(NOW.plus_secs(45 * 60));
    assert_eq!(judged(&granted), Ok(()));
    let lines = explain(&asked("164m", had()).asked, &asked("164m", had()).inputs());
    assert_eq!(lines.refusal.map(|refusal| refusal.reason), Some(Reason::OverMaximum));
}

#[test]
fn explain_tells_what_an_extension_extends_and_until_when() {
    let f = extending();
    let line = |f: &Fixture| {
        let explained = explain(&f.asked, &f.inputs());
        explained.rules.into_iter().find(|judged| judged.rule == Rule::Extension).map(|judged| judged.answer)
    };
    let end = until().plus_secs(45 * 60);
    assert_eq!(line(&f), Some(Ok(format!("request first lasts until {}, and the extension until {end}", until()))));
    let mut over = extending();
    over.template().extension = None;
    assert_eq!(line(&over).unwrap().unwrap_err().reason, Reason::NotExtendable);
    assert_eq!(line(&fixture()), None, "of a request that extends nothing there is nothing to say");
}
