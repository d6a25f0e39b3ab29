//! The conditions of activation at apply time, in CEL: ticket, MFA and authentication context, in the words of `curfew_core::conditions`.
//!
//! Part of the policy `curfew-answers`, whose parameter is the RoleTemplate. Its status says under which extra keys CurfewConfig looks for
//! MFA and contexts, since a policy has one parameter. CEL has no clock; what is compared with the time of the authentication is the
//! creation time of the request, which validation sees. Where this knows too little it admits the request, and the rules decide.
use serde_json::{Value, json};

/// What to do after a login without MFA, as `curfew_core::conditions::mfa` says it.
const LOG_IN_AGAIN: &str = "log in again with MFA, and create it again";
/// What to do about a login that cannot be read.
const CORRECT_THE_MAPPING: &str = "the platform team must correct the claim mapping";
/// The seconds by which an authentication may lie in the future.
const SKEW: i64 = curfew_core::conditions::mfa::SKEW_SECS;

fn variable(name: &str, expression: impl Into<String>) -> Value {
    json!({"name": name, "expression": expression.into()})
}

/// CEL: the members of a claim under this key, as `curfew_core::conditions` reads it: values, one JSON list, or words.
fn members(key: &str) -> String {
    format!(
        "variables.extra[?{key}].orValue([]).map(v, v.trim().startsWith('[') \
         ? v.replace('[', ' ').replace(']', ' ').replace('\"', ' ').replace(',', ' ') : v).join(' ').split(' ').filter(m, m != '')"
    )
}

/// CEL: whether a value is a JSON list with escapes, which CEL cannot read.
fn is_escaped(key: &str) -> String {
    format!("variables.extra[?{key}].orValue([]).exists(v, v.contains('\\\\'))")
}

/// Returns the variables that [`validations`] use.
pub fn variables() -> Vec<Value> {
    vec![
        variable("role", "'role ' + params.metadata.name"),
        variable("pattern", "params.spec.activation.ticket.?pattern.orValue(params.spec.activation.ticket.?required.?pattern.orValue(''))"),
        variable("systems", "params.spec.activation.ticket.?required.?systems.orValue([])"),
        variable("user", "object.spec.?requester.?username.orValue('')"),
        variable("extra", "object.spec.?requester.?extra.orValue({})"),
        variable("methodsKey", "params.?status.?login.?mfa.?methodsKey.orValue('')"),
        variable("timeKey", "params.?status.?login.?mfa.?timeKey.orValue('')"),
        variable("accepted", "params.?status.?login.?mfa.?methods.orValue([])"),
        variable("methods", members("variables.methodsKey")),
        variable("times", "variables.extra[?variables.timeKey].orValue([]).map(v, v.trim()).filter(v, v != '')"),
        variable("isTime", "variables.times.size() == 1 && variables.times[0].matches('^[0-9]{1,11}([.][0-9]+)?(e[+][0-9]{1,2})?$')"),
        variable("since", "variables.isTime ? int(double(variables.times[0])) : 0"),
        variable("age", "int(timestamp(object.metadata.creationTimestamp)) - variables.since"),
        variable("gap", "variables.age < 0 ? -variables.age : variables.age"),
        variable(
            "gapText",
            "(variables.gap >= 3600 ? string(variables.gap / 3600) + 'h' : '') \
             + (variables.gap % 3600 >= 60 ? string(variables.gap % 3600 / 60) + 'm' : '') \
             + (variables.gap % 60 > 0 ? string(variables.gap % 60) + 's' : '')",
        ),
        variable("mfaLack", mfa_lack()),
        variable("contextKey", "params.?status.?login.?authenticationContext.?key.orValue('')"),
        variable("contexts", members("variables.contextKey")),
        variable("contextLack", context_lack()),
    ]
}

/// CEL: what the login lacks of MFA, or an empty text.
fn mfa_lack() -> String {
    let (step, is_future) = (LOG_IN_AGAIN, format!("variables.age < -{SKEW}"));
    let cases = [
        ("!has(params.spec.activation.mfa.maxAge)", "''".to_owned()),
        (
            "variables.user.startsWith('system:')",
            "variables.user + ' is not a person and has no MFA; a person must create the request'".into(),
        ),
        // Not configured, or not recorded: the rules say which.
        ("!(variables.methodsKey in variables.extra) || !(variables.timeKey in variables.extra)", "''".into()),
        (
            "variables.methods.size() == 0",
            format!("'the login has no value under extra key ' + variables.methodsKey + ', which names its methods; {step}'"),
        ),
        (
            "!variables.methods.exists(m, m in variables.accepted)",
            format!(
                "{} ? '' : 'the login has ' + variables.methods.join(', ') + ' under extra key ' + variables.methodsKey \
                 + ', and none of ' + variables.accepted.join(', ') + '; {step}'",
                is_escaped("variables.methodsKey")
            ),
        ),
        (
            "variables.times.size() == 0",
            format!("'the login has no value under extra key ' + variables.timeKey + ', which tells its time; {step}'"),
        ),
        (
            "variables.times.size() > 1",
            format!(
                "'the login has ' + string(variables.times.size()) + ' values under extra key ' + variables.timeKey \
                 + ', and which of them counts is unknown; {CORRECT_THE_MAPPING}'"
            ),
        ),
        (
            "!variables.isTime",
            format!(
                "'extra key ' + variables.timeKey + ' of the login has ' + variables.times[0] \
                 + ', which is not a time in seconds since 1970; {CORRECT_THE_MAPPING}'"
            ),
        ),
        (
            "duration(string(variables.age) + 's') > duration(params.spec.activation.mfa.maxAge)",
            format!(
                "'the login of ' + string(timestamp(variables.since)) + ' was ' + variables.gapText + ' old when this was created; {step}'"
            ),
        ),
        (
            is_future.as_str(),
            format!(
                "'the login of ' + string(timestamp(variables.since)) + ' was ' + variables.gapText + ' in the future when this was created; {step}'"
            ),
        ),
    ];
    first_case(&cases)
}

/// CEL: what the login lacks of the authentication context, or an empty text.
fn context_lack() -> String {
    let step = "log in again for that context, and create it again";
    let cases = [
        ("!has(params.spec.activation.authenticationContext)", "''".to_owned()),
        (
            "variables.user.startsWith('system:')",
            "variables.user + ' is not a person and has none; a person must create the request'".into(),
        ),
        ("!(variables.contextKey in variables.extra)", "''".into()),
        ("variables.contexts.size() == 0", format!("'the login has no value under extra key ' + variables.contextKey + '; {step}'")),
        (
            "!(params.spec.activation.authenticationContext in variables.contexts)",
            format!(
                "{} ? '' : 'the login has ' + variables.contexts.join(', ') + ' under extra key ' + variables.contextKey + '; {step}'",
                is_escaped("variables.contextKey")
            ),
        ),
    ];
    first_case(&cases)
}

/// CEL: the value of the first case that holds, or an empty text.
fn first_case(cases: &[(&str, String)]) -> String {
    let all: String = cases.iter().map(|(holds, value)| format!("{holds} ? ({value}) : ")).collect();
    format!("{all}''")
}

/// Returns the validations: an expression, a message, and the expression of the message that names value and limit.
pub fn validations() -> [(String, &'static str, String); 3] {
    let ticket = "variables.pattern == '' || (has(object.spec.ticket) && (variables.systems.size() == 0 || object.spec.ticket.system in variables.systems) \
                  && object.spec.ticket.number.matches(variables.pattern))";
    let ticket_message = "variables.role + ' asks for a ticket' + (variables.systems.size() == 0 ? '' : ' of ' + variables.systems.join(', ')) \
                          + ' whose number matches ' + variables.pattern \
                          + (!has(object.spec.ticket) ? '' : variables.systems.size() > 0 && !(object.spec.ticket.system in variables.systems) \
                          ? ', and ' + object.spec.ticket.system + ' is not one of these' : ', and ' + object.spec.ticket.number + ' does not') \
                          + '; name it in spec.ticket'";
    [
        (ticket.into(), "the role asks for a ticket; name it in spec.ticket", ticket_message.into()),
        (
            "variables.mfaLack == ''".into(),
            "the role asks for MFA, and the login has none that it accepts; log in again with MFA",
            "variables.role + ' asks for MFA not older than ' + params.spec.activation.mfa.maxAge + ', and ' + variables.mfaLack".into(),
        ),
        (
            "variables.contextLack == ''".into(),
            "the role asks for an authentication context that the login does not carry; log in again for it",
            "variables.role + ' asks for authentication context ' + params.spec.activation.authenticationContext + ', and ' + variables.contextLack".into(),
        ),
    ]
}
