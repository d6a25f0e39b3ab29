//! Small accounts written out.
use curfew_analytics::{
    aws::{
        analysis::analyse,
        catalogue::Actions,
        credentials,
        details::Details,
        inventory::{Exclusions, Input, Inventory},
        policy::Document,
        spaces::Spaces,
        usage::Usage,
    },
    history::{DAY, Window},
    report::{Finding, FindingType, InputSummary, Report, Row},
    score::holding,
};
use serde_json::{Value, json};

/// The account's id.
pub const ID: &str = "111122223333";
/// The end of the window: 2026-06-01T00:00:00Z.
pub const NOW: i64 = 1_780_272_000;

/// An account with its logs.
#[derive(Clone, Default)]
pub struct Account {
    /// What the AWS CLI would print.
    pub details: Value,
    /// What was done.
    pub usage: Usage,
    /// The rest of the input.
    pub input: Input,
}

/// The ARN of an IAM object.
pub fn arn(kind: &str, name: &str) -> String {
    format!("arn:aws:iam::{ID}:{kind}/{name}")
}

/// One statement.
pub fn allow(action: Value, resource: Value) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": resource})
}

/// A document of these statements.
pub fn document(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// A trust policy for services or principals.
pub fn trusts(principal: Value) -> Value {
    document(&[json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"})])
}

impl Account {
    /// An account of nothing, with logs on every day of the window.
    pub fn new() -> Self {
        let details = json!({"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []});
        let usage = Usage { hours: (0..91).map(|day| (NOW - day * DAY) / 3600).collect(), newest: Some(NOW), ..Usage::default() };
        Self { details, usage, input: Input::default() }
    }
    fn push(mut self, list: &str, item: Value) -> Self {
        self.details[list].as_array_mut().unwrap().push(item);
        self
    }
    /// A user of 2020 with one inline policy.
    pub fn user(self, name: &str, statements: &[Value]) -> Self {
        let policies =
            if statements.is_empty() { json!([]) } else { json!([{"PolicyName": "own", "PolicyDocument": document(statements)}]) };
        let item = json!({"UserName": name, "Arn": arn("user", name), "Path": "/", "CreateDate": "2020-01-01T00:00:00+00:00",
            "UserPolicyList": policies, "GroupList": [], "AttachedManagedPolicies": [], "Tags": []});
        self.push("UserDetailList", item)
    }
    /// A group with one inline policy.
    pub fn group(self, name: &str, statements: &[Value]) -> Self {
        let item = json!({"GroupName": name, "Arn": arn("group", name), "Path": "/", "CreateDate": "2020-01-01T00:00:00Z",
            "GroupPolicyList": [{"PolicyName": "own", "PolicyDocument": document(statements)}], "AttachedManagedPolicies": []});
        self.push("GroupDetailList", item)
    }
    /// A role with one inline policy.
    pub fn role(self, name: &str, trust: Value, statements: &[Value]) -> Self {
        let item = json!({"RoleName": name, "Arn": arn("role", name), "Path": "/", "CreateDate": "2020-01-01T00:00:00Z",
            "AssumeRolePolicyDocument": trust, "RolePolicyList": [{"PolicyName": "own", "PolicyDocument": document(statements)}],
            "AttachedManagedPolicies": []});
        self.push("RoleDetailList", item)
    }
    /// A managed policy of the customer, at its ARN.
    pub fn policy(self, arn: &str, statements: &[Value]) -> Self {
        let item = json!({"PolicyName": arn.rsplit('/').next(), "Arn": arn, "CreateDate": "2020-01-01T00:00:00Z", "PolicyVersionList": [
            {"Document": document(&[]), "VersionId": "v1", "IsDefaultVersion": false, "CreateDate": "2020-01-01T00:00:00Z"},
            {"Document": document(statements), "VersionId": "v2", "IsDefaultVersion": true, "CreateDate": "2020-01-01T00:00:00Z"}]});
        self.push("Policies", item)
    }
    /// Changes the last item of a list.
    pub fn with(mut self, list: &str, field: &str, value: Value) -> Self {
        self.details[list].as_array_mut().unwrap().last_mut().unwrap()[field] = value;
        self
    }
    /// Puts the last user in a group.
    pub fn member_of(self, group: &str) -> Self {
        self.with("UserDetailList", "GroupList", json!([group]))
    }
    /// Attaches a managed policy to the last item of a list.
    pub fn attach(self, list: &str, arn: &str) -> Self {
        self.with(list, "AttachedManagedPolicies", json!([{"PolicyName": "x", "PolicyArn": arn}]))
    }
    /// A use some days before the end of the window; "" names no resource.
    pub fn used(mut self, identity: &str, action: &str, resource: &str, days: i64) -> Self {
        let id = Actions::builtin().find(action).unwrap_or_else(|| panic!("{action} is in the catalogue"));
        let at = NOW - days * DAY;
        let activity = self.usage.identities.entry(identity.to_owned()).or_default();
        activity.last = activity.last.max(Some(at));
        let uses = activity.actions.entry(id).or_default();
        if resource.is_empty() {
            uses.unnamed = uses.unnamed.max(Some(at));
        } else {
            let last = uses.resources.entry(resource.to_owned()).or_insert(at);
            *last = (*last).max(at);
        }
        self
    }
    /// The lines of a credential report after the root's and the header.
    pub fn credentials(mut self, lines: &[&str]) -> Self {
        let header = "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,mfa_active,access_key_1_active,\
            access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_service";
        self.input.credentials = Some(credentials::parse(&[&[header], lines].concat().join("\n")).unwrap().0);
        self
    }
    /// Service control policies of one more level.
    pub fn level(mut self, statements: &[Value]) -> Self {
        self.input.service_control.push(vec![Document::read(&document(statements)).unwrap()]);
        self
    }
    /// The input with the details read.
    pub fn input(&self) -> Input {
        Input { details: Details::parse(&self.details.to_string()).unwrap(), ..self.input.clone() }
    }
    /// The report.
    pub fn report(&self) -> Report {
        let (input, window) = (self.input(), Window::ending(NOW, 90 * DAY));
        let inventory = Inventory::build(Actions::builtin(), Spaces::builtin(), &input, &self.usage, window);
        analyse(&inventory, &self.usage, window, None, InputSummary::default())
    }
    /// Where an identity may use an action, and where it did, for people.
    pub fn places(&self, identity: &str, action: &str) -> (String, String) {
        let (input, window) = (self.input(), Window::ending(NOW, 90 * DAY));
        let inventory = Inventory::build(Actions::builtin(), Spaces::builtin(), &input, &self.usage, window);
        let id = Actions::builtin().find(action).unwrap_or_else(|| panic!("{action} is in the catalogue"));
        let granted = inventory.granted(&inventory.identities[identity]);
        let activity = self.usage.identities.get(identity).into_iter();
        let held = curfew_analytics::aws::scored::holdings(&inventory, &granted, activity, window);
        let held = holding(&held, id as usize).cloned().unwrap_or_default();
        (inventory.describe(id, &held.granted), inventory.describe(id, &held.used))
    }
    /// Leaves an identity out of scores.
    pub fn exclude(mut self, identity: &str) -> Self {
        self.input.exclusions = Exclusions { from_pci: [identity.to_owned()].into(), ..Exclusions::default() };
        self
    }
}

/// The row of an identity.
pub fn row<'a>(report: &'a Report, name: &str) -> &'a Row {
    report.identities.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row of {name}"))
}

/// The findings of a type.
pub fn found(report: &Report, kind: FindingType) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.kind == kind).collect()
}

/// Granted and used places.
pub fn pair(granted: &str, used: &str) -> (String, String) {
    (granted.into(), used.into())
}
