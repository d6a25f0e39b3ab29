//! What an extension finds of what it extends. The rules of the library are asked, with the inputs that the tests of these rules have.
use super::{Gr, Policies, Req, Tick, UNTIL};
use crate::fixture::{
    Fixture, NOW, active,
    extension::{extend, extension},
    fixture, long,
};
use curfew_core::{
    extension::{ExtensionLimits, Parent},
    grant::State as GrantState,
    policy_inputs::{PolicyInputs, Progress},
    reason::Reason,
    request::State,
    resolved::Extended,
    terms::resolve,
    time::Time,
};

/// What is extended, as far as the caches show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Extends {
    pub request: Option<Req>,
    pub grant: Option<Gr>,
}

/// The fixture's clock.
fn at(t: Tick) -> Time {
    NOW.plus_secs(60 * i64::from(t))
}

fn extended(until: Tick) -> Extended {
    Extended { name: "first".into(), uid: "r0".into(), until: at(until), since: at(0) }
}

fn stands(f: &mut Fixture, is: Extends) -> Parent {
    let Parent::Active(resolved) = extension(f).parent.clone() else { unreachable!("the fixture extends what is active") };
    match is.request.map(|request| request.state) {
        None => Parent::Absent,
        Some(State::Active) if is.grant.is_some_and(|grant| grant.state == GrantState::Active) => Parent::Active(resolved),
        Some(State::Revoking(reason) | State::Ended(_, reason)) => Parent::Ended(reason),
        Some(State::Pending | State::AwaitingApproval | State::Scheduled | State::Activating | State::Active) => Parent::NotActive,
    }
}

/// What a child in this state would be granted.
pub fn verdict(is: Extends, child: Req, child_was_active: bool, now: Tick) -> Policies {
    let mut f = fixture();
    extend(&mut f);
    f.template().extension = Some(ExtensionLimits { chain: long("4h"), per_day: long("6h") });
    f.asked.duration = Some(long("1m"));
    let parent = stands(&mut f, is);
    if child_was_active {
        active(&mut f, at(UNTIL + super::DURATION));
    } else {
        f.asked.progress = match child.state {
            State::Pending => Progress::New,
            State::AwaitingApproval | State::Scheduled => Progress::Accepted,
            _ => child.expires.map_or(Progress::Accepted, |end| Progress::Granted(at(end))),
        };
    }
    let e = extension(&mut f);
    e.parent = parent;
    e.granted = is.grant.map(|grant| extended(grant.expires));
    e.frozen = child.frozen.map(|_| extended(UNTIL));
    let judged = resolve(&f.asked, &PolicyInputs { now: at(now), ..f.inputs() });
    match judged {
        Ok(_) => Policies::Plain,
        Err(refusal) if refusal.reason == Reason::ParentEnded => Policies::ParentEnded,
        Err(refusal) if refusal.reason == Reason::NothingToExtend => Policies::NothingToExtend,
        Err(refusal) => unreachable!("{refusal:?}"),
    }
}
