//! Whether policies allow one request (IAM User Guide, "Policy evaluation logic"): within one account, without policies of resources.
use super::{
    condition::{Truth, holds},
    context::Context,
    document::{Document, Effect, Listed, Statement},
    glob::covers,
    variables::{Replaced, has_variables, replaced},
};

/// A request.
pub struct Request<'a> {
    /// Such as `s3:GetObject`.
    pub action: &'a str,
    /// The ARN, or `*` for an action without resources.
    pub resource: &'a str,
    /// The values of condition keys.
    pub context: &'a dyn Context,
}

/// What policies say of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Allowed.
    Allowed,
    /// Allowed, or not, depending on values that are not known. Counts as allowed.
    Undecided,
    /// No statement allows it, or a limit does not.
    NotAllowed,
    /// A statement denies it.
    Denied,
}

/// Decides a request: `policies` must allow it, each of `limits` (a permissions boundary, session policies, each level of service control
/// policies) must allow it, too, and none may deny it.
pub fn decide(policies: &[&Document], limits: &[&[&Document]], request: &Request) -> Decision {
    let layers = || std::iter::once(policies).chain(limits.iter().copied());
    let denied = layers().map(|layer| any(layer, Effect::Deny, request)).fold(Truth::No, Truth::or);
    let allowed = layers().map(|layer| any(layer, Effect::Allow, request)).fold(Truth::Yes, Truth::and);
    match (denied, allowed) {
        (Truth::Yes, _) => Decision::Denied,
        (_, Truth::No) => Decision::NotAllowed,
        (Truth::No, Truth::Yes) => Decision::Allowed,
        _ => Decision::Undecided,
    }
}

fn any(documents: &[&Document], effect: Effect, request: &Request) -> Truth {
    let statements = documents.iter().flat_map(|document| document.statements.iter().map(|statement| (statement, document.variables)));
    let of_effect = statements.filter(|(statement, _)| statement.effect == effect);
    of_effect.map(|(statement, variables)| applies(statement, variables, request)).fold(Truth::No, Truth::or)
}

/// Whether a statement applies to a request.
pub fn applies(statement: &Statement, variables: bool, request: &Request) -> Truth {
    if !names_action(&statement.actions, request.action) {
        return Truth::No;
    }
    let resource = names_resource(&statement.resources, variables, request);
    if resource == Truth::No {
        return Truth::No;
    }
    let known = if statement.undecided.is_some() { Truth::Maybe } else { Truth::Yes };
    resource.and(known).and(holds(&statement.conditions, request.context, variables))
}

/// Whether an element names an action, regardless of case.
pub fn names_action(actions: &Listed, action: &str) -> bool {
    let action = action.to_lowercase();
    let named = |list: &[String]| list.iter().any(|pattern| covers(&pattern.to_lowercase(), &action));
    match actions {
        Listed::These(list) => named(list),
        Listed::AllBut(list) => !named(list),
    }
}

fn names_resource(resources: &Listed, variables: bool, request: &Request) -> Truth {
    let one = |pattern: &String| {
        if !variables || !has_variables(pattern) {
            return Truth::of(covers(pattern, request.resource));
        }
        match replaced(pattern, request.context) {
            Replaced::Text(text) => Truth::of(covers(&text, request.resource)),
            Replaced::Unknown => Truth::Maybe,
            Replaced::Nothing => Truth::No,
        }
    };
    match resources {
        Listed::These(list) => list.iter().map(one).fold(Truth::No, Truth::or),
        Listed::AllBut(list) => list.iter().map(one).fold(Truth::No, Truth::or).negated(),
    }
}
