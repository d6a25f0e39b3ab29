//! Schema fragments that several kinds share.
use curfew_core::{
    conditions::ticket,
    duration::{DAYS, DURATION_PATTERN, PERIOD_PATTERN, WEEKS_AND_HOURS},
    text::INVISIBLE,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use schemars::{Schema, SchemaGenerator, json_schema};

/// Schema of `status.conditions`: metav1.Condition as a map by type, so that the order of the list does not cause conflicts between writers.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "description": "The conditions of this object, one for each type. Tools should read these; `kubectl wait --for=condition=...` does.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "maxItems": 16,
        "items": {
            "type": "object",
            "description": "A condition, as in metav1.Condition.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "description": "Type of the condition.", "maxLength": 64},
                "status": {"type": "string", "description": "True, False or Unknown.", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "description": "The `metadata.generation` that this condition describes."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When the status last changed."},
                "reason": {"type": "string", "description": "Reason for the status, in CamelCase.", "maxLength": 64},
                "message": {"type": "string", "description": "Explains the status and says what to do next.", "maxLength": 1024}
            }
        }
    })
}

/// CEL rule for an EligibleAssignment: the mark of the operator is taken out or stays as it is.
pub const ORIGIN_STAYS: &str = "!has(self.requestedBy) || (has(oldSelf.requestedBy) && self.requestedBy == oldSelf.requestedBy)";
/// What is answered otherwise.
pub const ORIGIN_STAYS_MESSAGE: &str = "requestedBy is set by the operator alone; leave it out, and the assignment stands by itself";

/// CEL rule for the permissions of a policy: a `*` is the whole name, or its whole last segment. Namespaces are names
/// (`namespace` is a reserved word of CEL, which is written with underscores).
pub const PATTERNS: &str = "!has(self.kubernetes) || (\
    (!has(self.kubernetes.clusterRoles) || self.kubernetes.clusterRoles.all(r, r.matches('^([^*]*|[*]|[^*]*[:./][*])$'))) && \
    (!has(self.kubernetes.roles) || self.kubernetes.roles.all(r, r.name.matches('^([^*]*|[*]|[^*]*[:./][*])$') && !r.__namespace__.contains('*'))))";

/// What a name that [`PATTERNS`] refuses is told.
pub const PATTERNS_MESSAGE: &str =
    "* stands for everything, or for the whole last segment after :, . or / (payments:*); write other names, and namespaces, in full";

/// CEL rule for what a login is compared with, such as a method of an `amr` claim: a claim that arrives as one text is split at these
/// characters, so that a value with one of them would never be found.
pub const ONE_CLAIM: &str = r#"!self.matches(r'[\s,"\\\[\]]')"#;
/// The same for a list of them.
pub const ONE_CLAIM_EACH: &str = r#"self.all(v, !v.matches(r'[\s,"\\\[\]]'))"#;
/// What is answered otherwise.
pub const ONE_CLAIM_MESSAGE: &str = "must be one value of a claim, without blanks, commas, quotes, backslashes and brackets";

/// CEL rule for a list of names: none is a pattern.
pub const NO_PATTERNS: &str = "self.all(n, !n.contains('*'))";

/// CEL rule for the scope of a policy: its namespaces are names.
pub const SCOPE_WITHOUT_PATTERNS: &str =
    "!has(self.kubernetes) || !has(self.kubernetes.namespaces) || self.kubernetes.namespaces.all(n, !n.contains('*'))";

/// CEL rule for what a request asks for: the entry of one provider.
pub const ONE_PROVIDER: &str = "!(has(self.kubernetes) && has(self.aws))";

/// CEL rule for permissions that are named, and not allowed by pattern.
pub const NO_PERMISSION_PATTERNS: &str = "!has(self.kubernetes) || (\
    (!has(self.kubernetes.clusterRoles) || self.kubernetes.clusterRoles.all(r, !r.contains('*'))) && \
    (!has(self.kubernetes.roles) || self.kubernetes.roles.all(r, !r.name.contains('*') && !r.__namespace__.contains('*'))))";

/// What a name that [`NO_PERMISSION_PATTERNS`] refuses is told.
pub const NO_PERMISSION_PATTERNS_MESSAGE: &str = "name each role in full, as the RoleTemplate names it; * is for AccessPolicies";

/// CEL rule for one beneficiary: not a user name that Kubernetes reserves.
pub const NO_SYSTEM_BENEFICIARY: &str = "!(has(self.user) && self.user.startsWith('system:'))";

/// CEL rule for a list of beneficiaries.
pub const NO_SYSTEM_BENEFICIARIES: &str = "self.all(s, !(has(s.user) && s.user.startsWith('system:')))";

/// CEL rule: no user or group in the list has a name that begins with `system:`, the prefix that Kubernetes reserves.
pub const NO_SYSTEM_SUBJECTS: &str =
    "self.all(s, !(has(s.user) && s.user.startsWith('system:')) && !(has(s.group) && s.group.startsWith('system:')))";

/// Texts that may have several lines. All other texts and names are one line.
const SEVERAL_LINES: [&str; 3] = ["justification", "comment", "description"];

/// CEL rules for the pattern of a ticket: its notation is common to RE2 and to Curfew, and RE2 can compile it.
pub fn ticket_pattern() -> serde_json::Value {
    serde_json::json!([
        {"rule": format!("self.matches(r'{}') && !self.matches(r'{}')", ticket::NOTATION, ticket::NOT_COMMON), "message": ticket::NOTATION_MESSAGE},
        // An expression that RE2 cannot compile is an error, which says why.
        {"rule": "''.matches(self) in [true, false]", "message": "write a regular expression of RE2"},
    ])
}

/// What a request without requester is told. The plugin sends the requester itself then.
pub const NO_REQUESTER: &str = "requester is missing or null: leave the field out, do not write null, and the API server fills it in; \
    if you did leave it out, this API server has just started, is too old to fill it in, or lacks Curfew's mutating policies: \
    use kubectl curfew request, or kubectl curfew stamp -f FILE | kubectl create -f -";

/// What a decision without decider is told.
pub const NO_DECIDER: &str = "decider is missing or null: leave the field out, do not write null, and the API server fills it in; \
    if you did leave it out, this API server has just started, is too old to fill it in, or lacks Curfew's mutating policies: \
    use kubectl curfew approve, deny or revoke, or kubectl curfew stamp -f FILE | kubectl create -f -";

/// What an ActiveAssignment without author is told.
pub const NO_AUTHOR: &str = "author is missing or null: leave the field out, do not write null, and the API server fills it in; \
    if you did leave it out, this API server has just started, is too old to fill it in, or lacks Curfew's mutating policies: \
    use kubectl curfew stamp -f FILE | kubectl create -f -";

/// The kinds whose objects record the login that creates them, and the field of their spec that does.
pub const RECORDED: [(&str, &str); 4] =
    [("ActivationRequest", "requester"), ("AssignmentRequest", "requester"), ("AccessDecision", "decider"), ("ActiveAssignment", "author")];

/// The part of [`NO_REQUESTER`], [`NO_DECIDER`] and [`NO_AUTHOR`] that every version has: CRDs and plugin may be of different ones.
pub fn says_missing(refusal: &str, field: &str) -> bool {
    refusal.contains(&format!("{field} is missing or null"))
}

/// CEL rule: of an ActiveAssignment only `suspend` changes, and its end moves earlier. The window, the permissions and the author have
/// rules of their own, which are not evaluated where a field comes or goes.
pub const STANDING_IS_FROZEN: &str = "self.roleRef == oldSelf.roleRef && self.subject == oldSelf.subject && self.scope == oldSelf.scope \
    && self.justification == oldSelf.justification && has(self.author) == has(oldSelf.author) \
    && has(self.permissions) == has(oldSelf.permissions) && has(self.system) == has(oldSelf.system) \
    && (!has(self.system) || self.system == oldSelf.system)";

/// CEL rule: a field of an ActiveAssignment that does not change.
pub const FROZEN: &str = "self == oldSelf";

/// CEL rule: the window of an ActiveAssignment ends earlier, or does not change.
pub const ENDS_EARLIER: &str = "self == oldSelf \
    || (has(self.between) && has(oldSelf.between) && self.between.start == oldSelf.between.start && self.between.end <= oldSelf.between.end) \
    || (has(self.recurring) && has(oldSelf.recurring) && has(self.recurring.bounds.between) && has(oldSelf.recurring.bounds.between) \
    && self.recurring.every == oldSelf.recurring.every && self.recurring.times == oldSelf.recurring.times \
    && self.recurring.duration == oldSelf.recurring.duration && self.recurring.bounds.between.start == oldSelf.recurring.bounds.between.start \
    && self.recurring.bounds.between.end <= oldSelf.recurring.bounds.between.end)";

/// What a change of an ActiveAssignment is told that is not one of these.
pub const FROZEN_MESSAGE: &str = "only suspend may change, and the window may end earlier: who created an assignment, and by which login, \
    is recorded for exactly this; create another one";

/// Identities that the API server has authenticated. Admission proves that they are the login's own.
const STAMPED: [&str; 3] = ["requester", "decider", "author"];

/// Makes the CEL expression of a message.
pub type MessageExpression = fn() -> String;

/// The patterns of durations and periods, and what another text is told, in CEL.
pub const LENGTHS: [(&str, MessageExpression); 2] = [(DURATION_PATTERN, duration_message), (PERIOD_PATTERN, period_message)];

/// Longer than any duration, so that the rule and not `maxLength` answers other notations.
const LENGTH_TEXT: i64 = 64;

/// CEL rule: the value is a text that matches this pattern.
pub fn matches(pattern: &str) -> String {
    format!("type(self) == string && self.matches('{pattern}')")
}

/// CEL rule for a maximum and a default. Another rule says what is wrong with a text that is not a duration.
pub const DEFAULT_WITHIN_MAX: &str = "!has(self.default) || type(self.default) != string || type(self.max) != string \
    || !self.default.matches('^([1-9][0-9]{0,4}(s|m|h)){1,3}$') \
    || !self.max.matches('^([1-9][0-9]{0,4}(s|m|h)){1,3}$') || duration(self.default) <= duration(self.max)";

/// CEL rule for a list of stages: each escalates before it times out. Another rule says what is wrong with a text that is not a duration.
pub const ESCALATES_IN_TIME: &str = "self.all(x, !has(x.escalation) || type(x.escalation.after) != string \
    || !x.escalation.after.matches('^([1-9][0-9]{0,4}(s|m|h)){1,3}$') \
    || (has(x.timeout) && (type(x.timeout) != string || !x.timeout.matches('^([1-9][0-9]{0,4}(s|m|h)){1,3}$'))) \
    || duration(x.escalation.after) < duration(has(x.timeout) ? x.timeout : '24h'))";

/// Replaces the pattern of every duration and period by a rule that says how to write what was meant: the API server answers a pattern with
/// the pattern.
pub fn explain_lengths(schema: &mut JSONSchemaProps) {
    if let Some((pattern, message)) = LENGTHS.iter().find(|(pattern, _)| schema.pattern.as_deref() == Some(pattern)) {
        schema.pattern = None;
        schema.max_length = Some(LENGTH_TEXT);
        // With one type, a number would be answered with the names of the types.
        schema.type_ = None;
        schema.x_kubernetes_int_or_string = Some(true);
        schema.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
            rule: matches(pattern),
            message: Some(format!("must match {pattern}")),
            message_expression: Some(message()),
            ..ValidationRule::default()
        });
    }
    schema.properties.iter_mut().flatten().for_each(|(_, property)| explain_lengths(property));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        explain_lengths(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        explain_lengths(values);
    }
}

/// Gives every text in a `spec` the character rule: a name or text must not imitate another one, or other output on a terminal. A field
/// that has an enum, a format or a pattern for all of it needs none, and neither have identities that the API server fills in.
pub fn require_visible_text(name: &str, schema: &mut JSONSchemaProps) {
    if STAMPED.contains(&name) {
        return;
    }
    if needs_character_rule(schema) {
        schema.x_kubernetes_validations.get_or_insert_default().push(visible_text(SEVERAL_LINES.contains(&name)));
    }
    schema.properties.iter_mut().flatten().for_each(|(name, property)| require_visible_text(name, property));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        require_visible_text(name, items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        require_visible_text(name, values);
    }
}

/// Whether a schema is that of a text whose characters nothing else limits.
pub fn needs_character_rule(schema: &JSONSchemaProps) -> bool {
    let limits_all = |pattern: &String| pattern.starts_with('^') && pattern.ends_with('$');
    let is_length = LENGTHS.iter().any(|(pattern, _)| schema.x_kubernetes_validations.iter().flatten().any(|r| r.rule == matches(pattern)));
    let is_limited = is_length || schema.enum_.is_some() || schema.format.is_some() || schema.pattern.as_ref().is_some_and(limits_all);
    schema.type_.as_deref() == Some("string") && !is_limited
}

/// CEL rule: no invisible characters, and not blanks alone. An empty text is a matter of `minLength`.
pub fn visible_text(several_lines: bool) -> ValidationRule {
    let code = |c: char| format!("\\x{{{:x}}}", u32::from(c));
    let ranges = INVISIBLE.iter().flat_map(|&(first, last)| match first {
        // Tab and line feed are next to one another.
        '\0' if several_lines => vec![('\0', '\u{8}'), ('\u{b}', last)],
        _ => vec![(first, last)],
    });
    let class: String = ranges.map(|(first, last)| format!("{}-{}", code(first), code(last))).collect();
    let lines = if several_lines { "a text, which may have several lines" } else { "one line" };
    ValidationRule {
        rule: format!(r"!self.matches(r'[{class}]') && (self == '' || self.matches(r'[^\s\p{{Z}}\x{{2800}}]'))"),
        message: Some(format!(
            "must be {lines}, of visible characters: no control, zero-width or bidirectional control characters, and not blank"
        )),
        ..ValidationRule::default()
    }
}

/// CEL: one of the listed texts, or else `otherwise`.
fn listed_cel(table: &[(&str, &str)], otherwise: &str) -> String {
    let case = |(text, written): &(&str, &str)| format!("self.lowerAscii().matches('^p?{text}$') ? '{written}' : ");
    format!("({}{otherwise})", table.iter().map(case).collect::<String>())
}

/// CEL: what a number, or a text that is not a duration, is told. The same words as `curfew_core::duration::NotALength`.
fn duration_message() -> String {
    let part = |unit: &str| format!("self.lowerAscii().find('[1-9][0-9]{{0,4}}{unit}')");
    let parts = format!(
        "self.lowerAscii().matches('^(pt)?([0-9]{{1,5}}h)?([0-9]{{1,5}}m)?([0-9]{{1,5}}s)?$') && self.matches('[1-9]') ? {} : '1h30m'",
        ["h", "m", "s"].map(part).join(" + ")
    );
    format!(
        "type(self) == int ? string(self) + ' is not a duration: a number needs a unit; write it as ' \
         + string(self) + 's, ' + string(self) + 'm or ' + string(self) + 'h' \
         : '\"' + self + (self.matches('^[0-9]+$') \
         ? '\" is not a duration: a number needs a unit; write it as ' + self + 's, ' + self + 'm or ' + self + 'h' \
         : '\" is not a duration; write it as ' + {})",
        listed_cel(DAYS, &parts)
    )
}

/// CEL: what a number, or a text that is not a period, is told. The same words as `curfew_core::duration::NotALength`.
fn period_message() -> String {
    let days = "self.lowerAscii().matches('^p?[0-9]{1,4}d$') && self.matches('[1-9]') ? self.lowerAscii().find('[1-9][0-9]{0,3}d') : '90d'";
    format!(
        "type(self) == int ? string(self) + ' is not a period: a number needs a unit; write it as ' + string(self) + 'd' \
         : '\"' + self + (self.matches('^[0-9]+$') \
         ? '\" is not a period: a number needs a unit; write it as ' + self + 'd' \
         : '\" is not a period; write it as ' + {})",
        listed_cel(WEEKS_AND_HOURS, days)
    )
}
