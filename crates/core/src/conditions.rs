//! Conditions of activation: what a request must name, and what the login of a requester or an approver must show. Pure.
//!
//! [`crate::terms`] turns a condition that is not met into a refusal, and [`crate::approval`] into an approval that does not count. A
//! condition binds the beginning: what is active is not judged by it again.
pub mod authentication_context;
mod claims;
pub mod mfa;
pub mod ticket;

use crate::policy_inputs::Template;

/// Under which extra keys a login says how it was authenticated, from `spec.identity` of CurfewConfig.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LoginKeys {
    /// Methods and time of the authentication; `None` where CurfewConfig does not configure MFA.
    pub mfa: Option<mfa::Keys>,
    /// The authentication contexts that the login satisfies; `None` where CurfewConfig does not configure them.
    pub authentication_context: Option<String>,
}

impl LoginKeys {
    /// Nothing is configured: nothing that needs a key is granted.
    pub const NONE: LoginKeys = LoginKeys { mfa: None, authentication_context: None };
}

/// What a request for a template needs beside approval, as one line for people; `none` if it needs nothing.
pub fn in_words(t: &Template) -> String {
    let justification = t.justification.then(|| "justification".to_owned());
    let ticket = t.ticket.as_ref().map(ticket::Rule::in_words);
    let mfa = t.mfa.as_ref().map(|max_age| format!("MFA not older than {max_age}"));
    let context = t.authentication_context.as_ref().map(|context| format!("authentication context {context}"));
    let all: Vec<String> = [justification, ticket, mfa, context].into_iter().flatten().collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}
