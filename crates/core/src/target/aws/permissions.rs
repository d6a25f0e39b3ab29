//! What a template names, what an AccessPolicy lets it name, and what the account holds of it.
use super::{coverage, document::Document};
use crate::{duration::Duration, target::patterns};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a role gives in an AWS account. A template has exactly one member; an AccessPolicy names those that it allows.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AwsPermissions", extend("minProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Policies that are attached to the IAM user of the beneficiary, as copies in which every statement ends at the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Policies>,
    /// An IAM role of its own for each grant, which the beneficiary may assume until the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RolePolicies>,
    /// An account assignment in IAM Identity Center: of a permission set of its own for each grant, or of what stands there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_center: Option<IdentityCenter>,
}

/// Managed policies by ARN, and one policy that is written here; at least one of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub struct Policies {
    /// Managed policies by ARN, of AWS or of this account. In an AccessPolicy also with `*` as the whole last segment.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_POLICIES), inner(length(min = 1, max = 2048), regex(pattern = POLICY_PATTERN)), extend("x-kubernetes-list-type" = "set")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_policies: Vec<String>,
    /// A policy document, version 2012-10-17. In an AccessPolicy its widest form: each Allow statement of a template's must lie within one Allow statement of this one, and what this one denies must be denied there, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline_policy: Option<PolicyObject>,
}

/// The policies of a role of its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub struct RolePolicies {
    /// Managed policies by ARN, of AWS or of this account. In an AccessPolicy also with `*` as the whole last segment.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_POLICIES), inner(length(min = 1, max = 2048), regex(pattern = POLICY_PATTERN)), extend("x-kubernetes-list-type" = "set")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_policies: Vec<String>,
    /// A policy document, version 2012-10-17. In an AccessPolicy its widest form: each Allow statement of a template's must lie within one Allow statement of this one, and what this one denies must be denied there, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline_policy: Option<PolicyObject>,
    /// The longest session of the role, from `1h` (the default) to `12h`. No session outlives the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_session: Option<Duration>,
}

/// Policies of a permission set of its own, or a permission set or group that stands. In a template exactly one of the three.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub struct IdentityCenter {
    /// Managed policies by ARN, of AWS or of this account. In an AccessPolicy also with `*` as the whole last segment.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_POLICIES), inner(length(min = 1, max = 2048), regex(pattern = POLICY_PATTERN)), extend("x-kubernetes-list-type" = "set")))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_policies: Vec<String>,
    /// A policy document, version 2012-10-17. In an AccessPolicy its widest form: each Allow statement of a template's must lie within one Allow statement of this one, and what this one denies must be denied there, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline_policy: Option<PolicyObject>,
    /// A standing permission set by ARN. AWS cannot end its assignment: Curfew does. In an AccessPolicy also with `*` as the whole last segment.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1224), regex(pattern = PERMISSION_SET_PATTERN)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_set: Option<String>,
    /// A standing group by its id. AWS cannot end the membership: Curfew does. In an AccessPolicy also `*`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 47), regex(pattern = GROUP_PATTERN)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// How many managed policies a template names at most: as many as AWS attaches to one user or role at most.
#[cfg(feature = "schema")]
const MAX_POLICIES: usize = 20;
/// ARNs of managed policies (IAM User Guide, "IAM identifiers").
#[cfg(feature = "schema")]
const POLICY_PATTERN: &str = "^([*]|arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/([A-Za-z0-9+=,.@_-]+/)*([A-Za-z0-9+=,.@_-]+|[*]))$";
/// ARNs of permission sets (IAM Identity Center API Reference, CreateAccountAssignment).
#[cfg(feature = "schema")]
const PERMISSION_SET_PATTERN: &str = "^([*]|arn:aws[a-z-]*:sso:::permissionSet/(sso)?ins-[A-Za-z0-9.-]{16}/(ps-[A-Za-z0-9./-]{16}|[*]))$";
/// Ids of groups (Identity Store API Reference, CreateGroupMembership).
#[cfg(feature = "schema")]
const GROUP_PATTERN: &str = "^([*]|([0-9a-f]{10}-)?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$";

/// A policy document as it is written in a template: what it may hold is the matter of [`Document`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyObject(pub Value);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for PolicyObject {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PolicyObject".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // IAM takes a text or a list, an object or a list of objects: no structural schema can say so. Its size is limited by Document.
        schemars::json_schema!({"type": "object", "minProperties": 1, "maxProperties": 3, "x-kubernetes-preserve-unknown-fields": true})
    }
}

/// What an account holds of what a template names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inventory {
    /// The partition of the account: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// The account's id, as STS reports it.
    pub account: String,
    /// The ARN of the instance of IAM Identity Center, where the system names one.
    pub instance: Option<String>,
    /// The managed policies that exist, with the document of their default version.
    pub policies: Vec<PolicyContent>,
    /// The standing permission set, if it exists.
    pub permission_set: Option<PermissionSetContent>,
    /// The standing group, if it exists.
    pub group: Option<Group>,
    /// The quotas of the account.
    pub quotas: Quotas,
}

impl Inventory {
    /// A managed policy by ARN.
    pub fn policy(&self, arn: &str) -> Option<&PolicyContent> {
        self.policies.iter().find(|p| p.arn == arn)
    }
}

/// A managed policy as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyContent {
    /// Its ARN.
    pub arn: String,
    /// The document of its default version, as AWS returns it, without URL encoding.
    pub document: String,
}

/// A standing permission set as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PermissionSetContent {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The managed policies that are attached to it, of AWS and of the account.
    pub policies: Vec<PolicyContent>,
    /// Its inline policy.
    pub inline: Option<String>,
}

/// A group of IAM Identity Center.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// The quotas of an account (IAM API Reference, GetAccountSummary). The defaults are those of a new account (IAM User Guide, "IAM and
/// AWS STS quotas").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quotas {
    /// `AttachedPoliciesPerUserQuota`.
    pub attached_per_user: u16,
    /// `AttachedPoliciesPerRoleQuota`.
    pub attached_per_role: u16,
}

impl Default for Quotas {
    fn default() -> Self {
        Quotas { attached_per_user: 10, attached_per_role: 10 }
    }
}

/// The one way in which a template gives access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way<'a> {
    /// Policies of the beneficiary's IAM user.
    User(Named<'a>),
    /// A role of its own.
    Role(Named<'a>, Option<&'a Duration>),
    /// A permission set of its own.
    PermissionSet(Named<'a>),
    /// A standing permission set.
    Standing(&'a str),
    /// A standing group.
    Group(&'a str),
}

/// The policies that are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named<'a> {
    /// Managed policies by ARN.
    pub managed: &'a [String],
    /// A document that is written in the template.
    pub inline: Option<&'a PolicyObject>,
}

impl Named<'_> {
    fn is_empty(&self) -> bool {
        self.managed.is_empty() && self.inline.is_none()
    }
    /// The document that is written in the template.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn inline_document(&self) -> Result<Option<Document>, String> {
        self.inline.map(|object| Document::from_value(&object.0).map_err(|e| format!("inlinePolicy {e}"))).transpose()
    }
}

impl<'a> Way<'a> {
    /// The policies that are copied; none where something stands already.
    pub fn named(&self) -> Option<Named<'a>> {
        match self {
            Way::User(named) | Way::Role(named, _) | Way::PermissionSet(named) => Some(*named),
            Way::Standing(_) | Way::Group(_) => None,
        }
    }
}

impl Permissions {
    /// Everything that is named, by way: one in a template, any in an AccessPolicy.
    pub fn ways(&self) -> Vec<Way<'_>> {
        let mut ways = Vec::new();
        if let Some(p) = &self.user {
            ways.push(Way::User(Named { managed: &p.managed_policies, inline: p.inline_policy.as_ref() }));
        }
        if let Some(p) = &self.role {
            ways.push(Way::Role(Named { managed: &p.managed_policies, inline: p.inline_policy.as_ref() }, p.max_session.as_ref()));
        }
        if let Some(p) = &self.identity_center {
            let named = Named { managed: &p.managed_policies, inline: p.inline_policy.as_ref() };
            ways.extend((!named.is_empty()).then_some(Way::PermissionSet(named)));
            ways.extend(p.permission_set.as_deref().map(Way::Standing));
            ways.extend(p.group.as_deref().map(Way::Group));
        }
        ways
    }

    /// The one way of a template.
    ///
    /// # Errors
    /// That it names none or several, in words.
    pub fn way(&self) -> Result<Way<'_>, String> {
        let ways = self.ways();
        match ways.as_slice() {
            [one] => match one.named().is_some_and(|named| named.is_empty()) {
                true => Err("permissions.aws names no policy; name managedPolicies or an inlinePolicy".into()),
                false => Ok(*one),
            },
            _ => {
                Err("permissions.aws must give access in one way: user, role, or one of identityCenter's policies, permissionSet and group"
                    .into())
            }
        }
    }
}

/// The first permission that a policy's patterns do not allow, in words.
pub fn not_allowed(permissions: &Permissions, patterns: &Permissions) -> Option<String> {
    let way = match permissions.way() {
        Ok(way) => way,
        Err(what) => return Some(format!("what cannot be granted: {what}")),
    };
    let allowed = patterns.ways();
    match way {
        Way::User(named) => {
            let found = allowed.iter().find(|way| matches!(way, Way::User(_)));
            not_within(named, found.and_then(Way::named), "policies of IAM users")
        }
        Way::PermissionSet(named) => {
            let found = allowed.iter().find(|way| matches!(way, Way::PermissionSet(_)));
            not_within(named, found.and_then(Way::named), "permission sets of its own in IAM Identity Center")
        }
        Way::Role(named, session) => {
            let found = allowed.iter().find_map(|way| if let Way::Role(named, longest) = way { Some((*named, *longest)) } else { None });
            not_within(named, found.map(|(named, _)| named), "IAM roles of its own")
                .or_else(|| longer(session, found.and_then(|(_, longest)| longest)))
        }
        Way::Standing(arn) => {
            let allows = |way: &Way<'_>| matches!(way, Way::Standing(pattern) if patterns::allows(pattern, arn));
            (!allowed.iter().any(allows)).then(|| format!("permission set {arn}"))
        }
        Way::Group(id) => {
            let allows = |way: &Way<'_>| matches!(way, Way::Group(pattern) if patterns::allows(pattern, id));
            (!allowed.iter().any(allows)).then(|| format!("group {id} of IAM Identity Center"))
        }
    }
}

/// A session that is longer than a policy allows. A policy that says nothing allows the default.
fn longer(session: Option<&Duration>, longest: Option<&Duration>) -> Option<String> {
    let secs = |d: Option<&Duration>| d.map_or(DEFAULT_SESSION_SECS, Duration::secs);
    (secs(session) > secs(longest)).then(|| format!("sessions of {}", session.map(ToString::to_string).unwrap_or_default()))
}

/// The longest session of a role that says nothing (IAM API Reference, CreateRole).
pub const DEFAULT_SESSION_SECS: i64 = 3600;

fn not_within(named: Named<'_>, allowed: Option<Named<'_>>, what: &str) -> Option<String> {
    let Some(allowed) = allowed else { return Some(what.to_owned()) };
    let managed = named.managed.iter().find(|arn| !allowed.managed.iter().any(|pattern| patterns::allows(pattern, arn)));
    if let Some(arn) = managed {
        return Some(format!("managed policy {arn}"));
    }
    let inline = named.inline_document().transpose()?;
    match (inline, allowed.inline_document()) {
        (Err(what), _) => Some(format!("an inlinePolicy that cannot be read: {what}")),
        (Ok(_), Err(what)) => Some(format!("an inlinePolicy, since its own cannot be read: {what}")),
        (Ok(_), Ok(None)) => Some("an inlinePolicy".into()),
        (Ok(inline), Ok(Some(widest))) => coverage::beyond(&inline, &widest, "inlinePolicy"),
    }
}

/// The first name in a policy that looks like a pattern and allows nothing.
pub fn not_a_pattern(permissions: &Permissions) -> Option<&str> {
    permissions.ways().into_iter().find_map(|way| match way {
        Way::Standing(name) | Way::Group(name) => patterns::is_wrong(name).then_some(name),
        Way::User(named) | Way::Role(named, _) | Way::PermissionSet(named) => {
            named.managed.iter().map(String::as_str).find(|name| patterns::is_wrong(name))
        }
    })
}
