//! Ticket, MFA and authentication context in the terms of a request: what is refused, what is not ready, and what they bind.
#[allow(dead_code)]
mod fixture;

use curfew_core::{
    approval::ApprovalStage,
    conditions::{LoginKeys, mfa, ticket},
    policy_inputs::{Policy, Progress},
    readiness::requires,
    reason::{Reason, TerminalState},
    terms::{Refusal, ready},
};
use fixture::{Fixture, NOW, active, delegated, fixture, logged_in, long, reference, with, with_mfa, with_ticket};

/// The refusal has this reason, and its message contains this text.
fn refused(reason: Reason, words: &str, change: impl FnOnce(&mut Fixture)) {
    let refusal = with(change).expect_err(words);
    assert!(refusal.reason == reason && refusal.message.contains(words), "expected {reason} {words:?}, got {refusal:?}");
}

fn template_ready(change: impl FnOnce(&mut Fixture)) -> Result<String, Refusal> {
    let mut f = fixture();
    change(&mut f);
    ready(f.template.as_ref().unwrap(), &f.inputs()).map(|policy| policy.reference.name.clone())
}

fn ticket(f: &mut Fixture, system: &str, number: &str) {
    f.asked.ticket = Some(ticket::Ticket { system: system.into(), number: number.into() });
}

#[test]
fn a_request_without_an_accepted_ticket_is_denied_by_value_and_pattern() {
    let inc = |f: &mut Fixture| with_ticket(f, "^INC-[0-9]+$", None);
    refused(Reason::TicketRequired, "role admin asks for a ticket whose number matches ^INC-[0-9]+$; name it", inc);
    refused(Reason::TicketRequired, "matches ^INC-[0-9]+$, and OPS-1 does not; name it", |f| {
        inc(f);
        ticket(f, "jira", "OPS-1");
    });
    refused(Reason::TicketRequired, "a ticket of jira, snow whose number matches ., and github is not one of these", |f| {
        with_ticket(f, ".", Some(&["jira", "snow"]));
        ticket(f, "github", "4711");
    });
    assert!(
        with(|f| {
            inc(f);
            ticket(f, "jira", "INC-4711");
        })
        .is_ok()
    );
    assert_eq!(Reason::TicketRequired.terminal_state(false), TerminalState::Denied);
}

#[test]
fn a_policy_asks_for_a_ticket_that_the_role_does_not_ask_for() {
    let floor = |f: &mut Fixture| f.policies[0].ticket = true;
    refused(Reason::TicketRequired, "policy payments asks for a ticket; name it in spec.ticket", floor);
    assert_eq!(template_ready(floor), Ok("payments".into()), "a template need not ask for it");
    assert!(
        with(|f| {
            floor(f);
            ticket(f, "jira", "anything");
        })
        .is_ok()
    );
    // The role's own rule holds beside the policy's.
    refused(Reason::TicketRequired, "OPS-1 does not", |f| {
        floor(f);
        with_ticket(f, "^INC", None);
        ticket(f, "jira", "OPS-1");
    });
}

#[test]
fn a_login_without_fresh_mfa_is_denied_by_what_it_has() {
    for (methods, age, words) in [
        (&["mfa"][..], 901, "asks for MFA not older than 15m, and the login of 1970-01-12T13:31:39Z was 15m1s old when this was created"),
        (&["mfa"], 86_400, "was 24h old when this was created; log in again"),
        (&["mfa"], -11, "the login of 1970-01-12T13:46:51Z was 11s in the future when this was created"),
        (&["pwd"], 60, "the login has pwd under extra key curfew.dev/amr, and none of mfa, otp; log in again"),
        (&[], 60, "the login has no value under extra key curfew.dev/amr"),
    ] {
        refused(Reason::MfaRequired, words, |f| {
            with_mfa(f);
            logged_in(f, methods, age);
        });
    }
    for age in [0, 900, -10] {
        assert!(
            with(|f| {
                with_mfa(f);
                logged_in(f, &["pwd", "otp"], age);
            })
            .is_ok()
        );
    }
    // A login that was recorded while the keys were not configured is unknown, and not one without MFA.
    refused(Reason::UnprovenLogin, "curfew.dev/amr, curfew.dev/auth-time in spec.identity", with_mfa);
}

#[test]
fn an_authentication_context_has_no_fallback_to_mfa() {
    let asks = |f: &mut Fixture, context: &str| {
        f.template().authentication_context = Some(context.into());
        logged_in(f, &["mfa"], 0);
    };
    assert!(with(|f| asks(f, "c2")).is_ok());
    refused(Reason::AuthenticationContextRequired, "asks for authentication context c1, and the login has c2 under extra key", |f| {
        asks(f, "c1")
    });
    refused(Reason::UnprovenLogin, "curfew.dev/acrs", |f| f.template().authentication_context = Some("c1".into()));
}

#[test]
fn a_service_account_does_not_meet_conditions_of_a_login_also_where_it_asks_for_a_person() {
    let logged_in_agent = |f: &mut Fixture| {
        logged_in(f, &["mfa"], 0);
        let extra = std::mem::take(&mut f.asked.requester.extra);
        delegated(f);
        f.asked.requester.extra = extra;
    };
    assert!(with(logged_in_agent).is_ok());
    refused(Reason::MfaRequired, "system:serviceaccount:flux:agent is not a person and has no MFA", |f| {
        logged_in_agent(f);
        with_mfa(f);
    });
    refused(Reason::AuthenticationContextRequired, "system:serviceaccount:flux:agent is not a person", |f| {
        logged_in_agent(f);
        f.template().authentication_context = Some("c2".into());
    });
}

/// A condition, and what is told about it.
type Case = (fn(&mut Fixture), &'static str);

#[test]
fn conditions_without_configured_keys_are_not_ready() {
    let stage = |f: &mut Fixture| f.template().approval[0].mfa = Some(mfa::Requirement { max_age: long("5m") });
    let context = |f: &mut Fixture| f.template().authentication_context = Some("c1".into());
    let cases: [Case; 3] = [
        (with_mfa, "activation.mfa needs spec.identity.mfa of CurfewConfig; the platform team must set it"),
        (stage, "mfa of stage owners needs spec.identity.mfa of CurfewConfig"),
        (context, "activation.authenticationContext needs spec.identity.authenticationContext of CurfewConfig"),
    ];
    for (change, words) in cases {
        let told = template_ready(|f| {
            change(f);
            f.login_keys = LoginKeys::NONE;
        })
        .expect_err(words);
        assert!(told.reason == Reason::NotReady && told.message.contains(words), "{told:?}");
        refused(Reason::NotReady, words, |f| {
            change(f);
            f.login_keys = LoginKeys::NONE;
        });
        assert!(template_ready(change).is_ok(), "{words}");
    }
    let told = template_ready(|f| with_ticket(f, "(?i)inc", None)).unwrap_err();
    assert!(told.reason == Reason::NotReady && told.message.contains("activation.ticket has pattern (?i)inc"), "{told:?}");
}

#[test]
fn a_role_below_the_mfa_of_the_policy_is_below_its_floor() {
    let floor = |f: &mut Fixture| f.policies[0].mfa = Some(long("15m"));
    for (own, words) in [(None, "role admin asks for none"), (Some("1h"), "role admin allows it to be 1h old"), (Some("901s"), "901s old")]
    {
        let below = |f: &mut Fixture| {
            floor(f);
            f.template().mfa = own.map(long);
        };
        let told = template_ready(below).expect_err(words);
        assert!(
            told.reason == Reason::BelowFloor && told.message.contains("MFA not older than 15m") && told.message.contains(words),
            "{told:?}"
        );
        refused(Reason::NotReady, words, below);
    }
    for own in ["15m", "1m"] {
        let meets = |f: &mut Fixture| {
            floor(f);
            f.template().mfa = Some(long(own));
        };
        assert_eq!(template_ready(meets), Ok("payments".into()));
    }
    // Another policy without the floor may allow the role.
    let other = |f: &mut Fixture| {
        let other = Policy { reference: reference("z-other"), mfa: None, ..f.policies[0].clone() };
        floor(f);
        f.policies.push(other);
    };
    assert_eq!(template_ready(other), Ok("z-other".into()));
}

/// Every condition, made stricter or unmet.
const STRICTER: [fn(&mut Fixture); 6] = [
    |f| with_ticket(f, "^INC", None),
    |f| f.policies[0].ticket = true,
    with_mfa,
    |f| f.template().authentication_context = Some("c1".into()),
    |f| f.policies[0].mfa = Some(long("1m")),
    |f| {
        with_mfa(f);
        f.login_keys = LoginKeys::NONE;
    },
];

#[test]
fn what_waits_is_held_to_the_present_conditions_and_what_is_active_is_not() {
    for (i, stricter) in STRICTER.iter().enumerate() {
        let progressed = |progress| {
            with(|f| {
                logged_in(f, &["mfa"], 1_000);
                stricter(f);
                f.asked.progress = progress;
            })
        };
        // From its acceptance until its Grant is active, the moment between approval and Grant included.
        for progress in [Progress::New, Progress::Accepted, Progress::Granted(NOW.plus_secs(600))] {
            assert!(progressed(progress).is_err(), "condition {i} is evaded by a request that is {progress:?}");
        }
        let held = with(|f| {
            logged_in(f, &["mfa"], 1_000);
            active(f, NOW.plus_secs(600));
            stricter(f);
        });
        assert!(held.is_ok(), "condition {i} ends what is active: {held:?}");
    }
}

#[test]
fn time_that_passes_while_a_request_waits_makes_its_mfa_no_older() {
    let mut f = fixture();
    with_mfa(&mut f);
    logged_in(&mut f, &["mfa"], 900);
    // The inputs are of a time a day later; the evidence is of the creation.
    f.asked.created = NOW.plus_secs(-86_400);
    f.admission.since = Some(NOW.plus_secs(-2 * 86_400));
    let time = (NOW.as_millis() / 1000 - 86_400 - 900).to_string();
    f.asked.requester.extra.insert("curfew.dev/auth-time".into(), vec![time]);
    f.asked.progress = Progress::Accepted;
    assert!(curfew_core::terms::resolve(&f.asked, &f.inputs()).is_ok());
    let age = mfa::age_at(f.login_keys.mfa.as_ref(), &f.asked.requester, NOW);
    assert_eq!(age, Ok((86_400 + 900) * 1000), "a scheduled start asks for the age at its own time");
}

#[test]
fn mfa_of_a_stage_is_frozen_with_it() {
    let plain = with(|_| ()).unwrap();
    let with_stage = |age: &str| {
        with(|f| {
            let stage = f.template().approval[0].clone();
            f.template().approval = vec![ApprovalStage { mfa: Some(mfa::Requirement { max_age: long(age) }), ..stage }];
        })
        .unwrap()
    };
    let (five, ten) = (with_stage("5m"), with_stage("10m"));
    assert!(plain.digest != five.digest && five.digest != ten.digest);
    assert_eq!(ten.resolved.changed_since(&five.resolved), "the approvers have changed");
    let stored = serde_json::to_value(&plain.resolved.approval[0]).unwrap();
    assert!(stored.get("mfa").is_none(), "what does not use it is stored as before: {stored}");
    assert_eq!(serde_json::to_value(&five.resolved.approval[0]).unwrap()["mfa"]["maxAge"], "5m");
}

#[test]
fn what_a_role_requires_is_one_line() {
    let mut f = fixture();
    assert_eq!(requires(f.template()), "justification");
    f.template().justification = false;
    assert_eq!(requires(f.template()), "none");
    with_mfa(&mut f);
    with_ticket(&mut f, "^INC", Some(&["jira"]));
    f.template().authentication_context = Some("c1".into());
    assert_eq!(requires(f.template()), "a ticket of jira whose number matches ^INC, MFA not older than 15m, authentication context c1");
}
