//! What `aws iam get-account-authorization-details` prints of an account: users, groups, roles and managed policies.
//!
//! One page, several pages one after the other, or a list of pages. Policy documents are objects (AWS CLI) or URL-encoded texts (API). An item
//! that appears twice counts once. An item that cannot be read is left out and named.
use super::policy::Document;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The command that writes the file.
pub const COMMAND: &str = "aws iam get-account-authorization-details --output json > details.json";
const LISTS: [&str; 4] = ["UserDetailList", "GroupDetailList", "RoleDetailList", "Policies"];

/// A policy that belongs to one identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inline {
    /// Its name.
    pub name: String,
    /// What it says.
    pub document: Document,
}

/// What users, groups and roles have in common.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Holder {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The path, such as `/` or `/aws-service-role/`.
    pub path: String,
    /// When it was created, in Unix seconds.
    pub created: Option<i64>,
    /// Its own policies.
    pub inline: Vec<Inline>,
    /// The ARNs of attached managed policies.
    pub attached: Vec<String>,
    /// The ARN of the permissions boundary.
    pub boundary: Option<String>,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
}

/// A user.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct User {
    /// Names, policies and tags.
    pub holder: Holder,
    /// The names of its groups.
    pub groups: Vec<String>,
}

/// A role.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Role {
    /// Names, policies and tags.
    pub holder: Holder,
    /// Who may assume it.
    pub trust: Document,
    /// The last use in up to 400 days, in Unix seconds, as IAM records it.
    pub last_used: Option<i64>,
}

/// A managed policy, of AWS or of the customer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Managed {
    /// The ARN.
    pub arn: String,
    /// The name.
    pub name: String,
    /// When it was created, in Unix seconds.
    pub created: Option<i64>,
    /// The default version; `None` if the file does not have it or it cannot be read.
    pub document: Option<Document>,
}

impl Managed {
    /// Whether AWS owns it.
    pub fn is_of_aws(&self) -> bool {
        is_of_aws(&self.arn)
    }
}

/// Whether AWS owns the managed policy of this ARN.
pub fn is_of_aws(arn: &str) -> bool {
    arn.split(':').nth(4) == Some("aws")
}

/// Everything in the file.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Details {
    /// The account's id.
    pub account: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// Users by ARN.
    pub users: BTreeMap<String, User>,
    /// Groups by name: users name them so.
    pub groups: BTreeMap<String, Holder>,
    /// Roles by ARN.
    pub roles: BTreeMap<String, Role>,
    /// Managed policies by ARN.
    pub policies: BTreeMap<String, Managed>,
    /// What could not be read, and why.
    pub broken: Vec<String>,
    /// The lists that the file has.
    pub lists: BTreeSet<String>,
}

impl Details {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// If it is not JSON, not the output of the command, of several accounts, or not complete.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut details = Self::default();
        let mut more = false;
        for page in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            let page = page.map_err(|error| format!("is not JSON: {error}; write it with: {COMMAND}"))?;
            let pages = match page {
                Value::Array(pages) => pages,
                page => vec![page],
            };
            for page in pages {
                more = details.add_page(page)?;
            }
        }
        if details.lists.is_empty() {
            return Err(format!("has neither users nor groups, roles or policies (no {}); write it with: {COMMAND}", LISTS.join(", ")));
        }
        if more {
            return Err("has only the first pages (IsTruncated); write all of them, without --max-items and --no-paginate".into());
        }
        if details.account.is_empty() {
            return Err("names no account: it has no user, group, role or policy of a customer".into());
        }
        Ok(details)
    }

    /// Adds one page. Returns whether more pages follow.
    fn add_page(&mut self, page: Value) -> Result<bool, String> {
        let Value::Object(mut page) = page else {
            return Err(format!("contains something that is not an object; write it with: {COMMAND}"));
        };
        for list in LISTS {
            let items = match page.remove(list) {
                None | Some(Value::Null) => continue,
                Some(Value::Array(items)) => items,
                Some(_) => return Err(format!("has a {list} that is not a list; write it with: {COMMAND}")),
            };
            self.lists.insert(list.to_owned());
            for item in items {
                self.add(list, item)?;
            }
        }
        Ok(page.get("IsTruncated").and_then(Value::as_bool).unwrap_or(false))
    }

    fn add(&mut self, list: &str, item: Value) -> Result<(), String> {
        let name = ["Arn", "UserName", "GroupName", "RoleName", "PolicyName"].iter().find_map(|key| item.get(key)?.as_str());
        let label = format!("{list}: {}", name.unwrap_or("an item without a name"));
        let raw: Raw = match serde_json::from_value(item) {
            Ok(raw) => raw,
            Err(error) => {
                self.broken.push(format!("{label}: {error}"));
                return Ok(());
            }
        };
        self.locate(&raw.arn)?;
        match list {
            "UserDetailList" => {
                let (groups, holder) = (raw.group_list.clone(), self.holder(&raw, &raw.user_name, &raw.user_policy_list));
                self.users.entry(raw.arn).or_insert(User { holder, groups });
            }
            "GroupDetailList" => {
                let holder = self.holder(&raw, &raw.group_name, &raw.group_policy_list);
                self.groups.entry(raw.group_name).or_insert(holder);
            }
            "RoleDetailList" => {
                let holder = self.holder(&raw, &raw.role_name, &raw.role_policy_list);
                let trust =
                    self.document(&raw.assume_role_policy_document, &format!("the trust policy of {}", raw.arn)).unwrap_or_default();
                let last_used = raw.role_last_used.last_used_date;
                self.roles.entry(raw.arn).or_insert(Role { holder, trust, last_used });
            }
            _ => {
                let default = raw.policy_version_list.iter().find(|version| version.is_default_version);
                let document = default.and_then(|version| self.document(&version.document, &raw.arn));
                let managed = Managed { arn: raw.arn.clone(), name: raw.policy_name, created: raw.create_date, document };
                self.policies.entry(raw.arn).or_insert(managed);
            }
        }
        Ok(())
    }

    /// Takes the account and partition from the first ARN of a customer.
    fn locate(&mut self, arn: &str) -> Result<(), String> {
        let mut parts = arn.split(':').skip(1);
        let (partition, account) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
        if account.is_empty() || account == "aws" || account == self.account {
            return Ok(());
        }
        if !self.account.is_empty() {
            return Err(format!("is of several accounts ({} and {account}); analyse one account at a time", self.account));
        }
        (self.account, self.partition) = (account.to_owned(), partition.to_owned());
        Ok(())
    }

    fn holder(&mut self, raw: &Raw, name: &str, policies: &[RawInline]) -> Holder {
        let mut inline = Vec::new();
        for policy in policies {
            let label = format!("the inline policy {} of {}", policy.policy_name, raw.arn);
            if let Some(document) = self.document(&policy.policy_document, &label) {
                inline.push(Inline { name: policy.policy_name.clone(), document });
            }
        }
        let attached: BTreeSet<String> = raw.attached_managed_policies.iter().map(|policy| policy.policy_arn.clone()).collect();
        Holder {
            name: name.to_owned(),
            arn: raw.arn.clone(),
            path: raw.path.clone(),
            created: raw.create_date,
            inline,
            attached: attached.into_iter().collect(),
            boundary: raw.permissions_boundary.permissions_boundary_arn.clone(),
            tags: raw.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect(),
        }
    }

    fn document(&mut self, value: &Value, label: &str) -> Option<Document> {
        match Document::read(value) {
            Ok(document) => Some(document),
            Err(why) => {
                self.broken.push(format!("{label} {why}; what it grants or denies is not counted"));
                None
            }
        }
    }
}

/// An item of any of the lists.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    arn: String,
    #[serde(default)]
    path: String,
    #[serde(default, deserialize_with = "moment")]
    create_date: Option<i64>,
    #[serde(default)]
    user_name: String,
    #[serde(default)]
    group_name: String,
    #[serde(default)]
    role_name: String,
    #[serde(default)]
    policy_name: String,
    #[serde(default, deserialize_with = "or_default")]
    user_policy_list: Vec<RawInline>,
    #[serde(default, deserialize_with = "or_default")]
    group_policy_list: Vec<RawInline>,
    #[serde(default, deserialize_with = "or_default")]
    role_policy_list: Vec<RawInline>,
    #[serde(default, deserialize_with = "or_default")]
    group_list: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    attached_managed_policies: Vec<RawAttached>,
    #[serde(default, deserialize_with = "or_default")]
    permissions_boundary: RawBoundary,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<RawTag>,
    #[serde(default)]
    assume_role_policy_document: Value,
    #[serde(default, deserialize_with = "or_default")]
    role_last_used: RawLastUsed,
    #[serde(default, deserialize_with = "or_default")]
    policy_version_list: Vec<RawVersion>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawInline {
    policy_name: String,
    policy_document: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawAttached {
    policy_arn: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawBoundary {
    permissions_boundary_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawTag {
    key: String,
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawLastUsed {
    #[serde(deserialize_with = "moment")]
    last_used_date: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawVersion {
    #[serde(default)]
    document: Value,
    #[serde(default)]
    is_default_version: bool,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(d).map(Option::unwrap_or_default)
}

/// A moment as the AWS CLI and the SDKs write it: RFC 3339, or seconds since the epoch.
fn moment<'de, D: Deserializer<'de>>(d: D) -> Result<Option<i64>, D::Error> {
    match Option::<Value>::deserialize(d)? {
        None => Ok(None),
        Some(Value::Number(seconds)) => Ok(seconds.as_f64().map(|seconds| seconds as i64)),
        Some(Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(time) => Ok(Some(time.as_second())),
            Err(error) => Err(serde::de::Error::custom(format!("{text:?} is not a time: {error}"))),
        },
        Some(other) => Err(serde::de::Error::custom(format!("{other} is not a time"))),
    }
}
