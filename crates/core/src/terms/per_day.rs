//! For how long of any 24 hours a person may hold a role that has a ceiling per day (`activation.extension.atMost.perDay`).
use super::{Refusal, refuse, schedule};
use crate::{
    duration::Duration,
    extension::{Span, fits_from, most_per_day},
    policy_inputs::{PolicyInputs, Progress, RequestFacts, Template},
    principal::Subject,
    reason::Reason,
    text::brief,
};

/// Whether a request keeps the ceiling per day of its role. It is about every request of a person, whether or not it extends another one:
/// otherwise a new request after the end, or one of a second login, would go on where an extension is refused. What is held counts by the
/// Grants that are kept, so the deletion of a request changes nothing. Standing access is given by other rules, as for limits, and is neither
/// refused nor counted. A break-glass access counts and is refused like any other.
///
/// It binds the beginning: it is judged again with each look until the request is `Activating`, so that several requests that wait together
/// do not add up to more, and a stricter role stops what waits. What is granted goes on. What is held and cannot be read refuses nothing.
pub(super) fn check(a: &RequestFacts, t: &Template, holder: &Subject, lasts: &Duration, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    let (Some(limits), Some(held), Progress::New | Progress::Accepted) = (&t.extension, &a.held, a.progress) else { return Ok(()) };
    let end = schedule::end(a, h.now, lasts);
    let limit = limits.per_day.secs();
    let most = most_per_day(held, Span { from: end.plus_secs(-lasts.secs()), to: end });
    if i64::from(most) <= limit {
        return Ok(());
    }
    let (role, per_day) = (&t.reference.name, &limits.per_day);
    let next = match fits_from(held, lasts.secs(), limit, h.now) {
        None => format!("ask for at most {per_day}"),
        Some(from) => format!("a new request for {lasts} is possible from {from} on"),
    };
    refuse(
        Reason::OverMaximum,
        format!(
            "with it {} would hold role {role} for {} of 24 hours, and role {role} (activation.extension) allows at most {per_day} per day, new requests included; {next}",
            brief(&holder.to_string()),
            Duration::from_secs(most),
        ),
    )
}
