//! An explanation as text.
use super::{Explained, Outcome};
use crate::output::{Cell, Colour, is_colourful, table};
use curfew_core::text::printable;

/// One line for each rule, and what the access would be.
pub(crate) fn text(explained: &Explained) -> String {
    let in_colour = is_colourful();
    let mut rows = vec![vec![Cell::from("RULE"), Cell::from("RESULT"), Cell::from("DETAIL")]];
    for line in &explained.rules {
        let result = match line.outcome {
            Outcome::Ok => Cell::coloured("ok", Colour::Green),
            Outcome::NotOk => Cell::coloured("not ok", Colour::Red),
            Outcome::Unknown => Cell::coloured("unknown", Colour::Yellow),
        };
        rows.push(vec![line.rule.into(), result, line.detail.clone().into()]);
    }
    let mut out = format!("{}\n\n{}\n", printable(&headline(explained)), table(&rows, in_colour));
    let facts = [
        ("approval", explained.approval.clone()),
        ("break-glass", explained.break_glass.clone()),
        ("extension", explained.extension.clone().into_iter().collect()),
        ("writes", explained.writes.clone()),
        ("lasts", explained.duration.clone().into_iter().collect()),
        ("until", explained.until.iter().map(|end| format!("{end}, if it begins as soon as it may")).collect()),
        ("ended by", explained.ended_by.clone().into_iter().collect()),
        ("may outlive", explained.session_tail.clone().into_iter().collect()),
    ];
    for (label, values) in facts {
        for (i, value) in values.iter().enumerate() {
            out.push_str(&format!("{:>12}  {}\n", if i == 0 { label } else { "" }, printable(value)));
        }
    }
    out
}

fn headline(explained: &Explained) -> String {
    let Explained { role, namespace, user, .. } = explained;
    match (explained.verdict, explained.ends.as_deref()) {
        (Outcome::Ok, _) => format!("{user} may request role {role} in namespace {namespace}: nothing that you may read refuses it"),
        (Outcome::Unknown, _) => format!("whether {user} may activate role {role} in namespace {namespace} is not known"),
        (Outcome::NotOk, ends) => {
            format!("{user} may not activate role {role} in namespace {namespace}: a request would end {}", ends.unwrap_or("Invalid"))
        }
    }
}
