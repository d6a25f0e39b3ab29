//! What the operator may do in an account, and no more: the one source of `deploy/aws/`.
//!
//! It may create, attach and remove policies and roles below `/curfew/`, read the policies that it copies, and count quotas. It may
//! make no user, no key and no password, pass no role, and change neither itself nor its own policy. What it writes may give
//! anything that AccessPolicies allow: that is its task, and the reason why its role deserves the protection of an administrator's.
//!
//! Which actions know which resources and conditions:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html>.
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// The name of the operator's role and of its policy. It must not lie below `/curfew/`.
pub const OPERATOR: &str = "curfew-operator";

const POLICIES: &str = "arn:aws:iam::*:policy/curfew/*";
const ROLES: &str = "arn:aws:iam::*:role/curfew/*";
const USERS: &str = "arn:aws:iam::*:user/*";
const GROUPS: &str = "arn:aws:iam::*:group/*";
const ALL_ROLES: &str = "arn:aws:iam::*:role/*";

/// What grants of IAM users need: beside the revocation, one action gives access, and only for policies below `/curfew/`.
pub const POLICY_ACTIONS: [&str; 8] = [
    "iam:CreatePolicy",
    "iam:DeletePolicy",
    "iam:DeletePolicyVersion",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:ListEntitiesForPolicy",
    "iam:ListPolicyVersions",
    "iam:TagPolicy",
];

/// Of these, what the end of a grant needs.
pub const TAKING_ACTIONS: [&str; 6] = [
    "iam:DeletePolicy",
    "iam:DeletePolicyVersion",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:ListEntitiesForPolicy",
    "iam:ListPolicyVersions",
];

/// What grants by a role of their own need.
pub const ROLE_ACTIONS: [&str; 10] = [
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "iam:PutRolePolicy",
    "iam:TagRole",
    "iam:UpdateAssumeRolePolicy",
];

/// What the operator never does, even if its role gets other policies: each of these makes access that has no end.
const NEVER: [&str; 15] = [
    "iam:AddUserToGroup",
    "iam:CreateAccessKey",
    "iam:CreateLoginProfile",
    "iam:CreatePolicyVersion",
    "iam:CreateServiceSpecificCredential",
    "iam:CreateUser",
    "iam:DeleteRolePermissionsBoundary",
    "iam:DeleteUserPermissionsBoundary",
    "iam:PassRole",
    "iam:PutGroupPolicy",
    "iam:PutUserPolicy",
    "iam:SetDefaultPolicyVersion",
    "iam:UpdateAccessKey",
    "iam:UpdateLoginProfile",
    "iam:UploadSigningCertificate",
];

fn arn(kind: &str) -> String {
    format!("arn:aws:iam::*:{kind}/{OPERATOR}")
}

/// The policy of the operator for IAM.
pub fn iam() -> Value {
    let only_own = json!({"ArnLike": {"iam:PolicyARN": POLICIES}});
    json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "OwnPolicies", "Effect": "Allow", "Action": POLICY_ACTIONS, "Resource": POLICIES},
        {"Sid": "GiveOwnPoliciesToUsers", "Effect": "Allow", "Action": ["iam:AttachUserPolicy"], "Resource": USERS, "Condition": only_own},
        {
            "Sid": "TakeOwnPolicies", "Effect": "Allow",
            "Action": ["iam:DetachGroupPolicy", "iam:DetachRolePolicy", "iam:DetachUserPolicy"],
            "Resource": [USERS, GROUPS, ALL_ROLES], "Condition": only_own,
        },
        {"Sid": "OwnRoles", "Effect": "Allow", "Action": ROLE_ACTIONS, "Resource": ROLES},
        {"Sid": "PoliciesOfOwnRoles", "Effect": "Allow", "Action": ["iam:AttachRolePolicy", "iam:DetachRolePolicy"], "Resource": ROLES},
        {
            "Sid": "ReadWhatIsCopied", "Effect": "Allow",
            "Action": ["iam:GetPolicy", "iam:GetPolicyVersion"], "Resource": ["arn:aws:iam::aws:policy/*", "arn:aws:iam::*:policy/*"],
        },
        {
            "Sid": "ReadQuotasAndLists", "Effect": "Allow",
            "Action": ["iam:GetAccountSummary", "iam:ListAttachedUserPolicies", "iam:ListPolicies", "iam:ListRoles"], "Resource": "*",
        },
        {"Sid": "AskForOwnRights", "Effect": "Allow", "Action": ["iam:GetRole", "iam:SimulatePrincipalPolicy"], "Resource": arn("role")},
        {"Sid": "NeverAccessWithoutEnd", "Effect": "Deny", "Action": NEVER, "Resource": "*"},
        {
            "Sid": "NeverItself", "Effect": "Deny",
            "NotAction": ["iam:Get*", "iam:List*", "iam:SimulatePrincipalPolicy"], "Resource": [arn("role"), arn("policy")],
        },
    ]})
}

/// The policy of the operator for IAM Identity Center: in the management account of the organisation, or in the delegated
/// administrator's. Permission sets have no path, so their actions are limited by the tag that Curfew sets when it creates one.
pub fn identity_center() -> Value {
    let set = "arn:aws:sso:::permissionSet/*/*";
    let places = ["arn:aws:sso:::instance/*", set, "arn:aws:sso:::account/*"];
    json!({"Version": "2012-10-17", "Statement": [
        {
            "Sid": "CreateMarkedPermissionSets", "Effect": "Allow", "Action": ["sso:CreatePermissionSet", "sso:TagResource"],
            "Resource": ["arn:aws:sso:::instance/*", set], "Condition": {"Null": {"aws:RequestTag/curfew.dev/grant": "false"}},
        },
        {
            "Sid": "OwnPermissionSets", "Effect": "Allow",
            "Action": ["sso:AttachManagedPolicyToPermissionSet", "sso:DeletePermissionSet", "sso:PutInlinePolicyToPermissionSet"],
            "Resource": places, "Condition": {"Null": {"aws:ResourceTag/curfew.dev/grant": "false"}},
        },
        {
            "Sid": "Assignments", "Effect": "Allow", "Action": ["sso:CreateAccountAssignment", "sso:DeleteAccountAssignment"],
            "Resource": places,
        },
        {
            "Sid": "Memberships", "Effect": "Allow", "Action": ["identitystore:CreateGroupMembership", "identitystore:DeleteGroupMembership"],
            "Resource": "*",
        },
        {
            "Sid": "Read", "Effect": "Allow",
            "Action": [
                "identitystore:DescribeGroup", "identitystore:GetGroupMembershipId", "identitystore:GetUserId",
                "identitystore:DescribeUser",
                "sso:DescribeAccountAssignmentCreationStatus", "sso:DescribeAccountAssignmentDeletionStatus", "sso:DescribeInstance",
                "sso:DescribePermissionSet", "sso:GetInlinePolicyForPermissionSet", "sso:ListAccountAssignments",
                "sso:ListCustomerManagedPolicyReferencesInPermissionSet", "sso:ListManagedPoliciesInPermissionSet",
                "sso:ListPermissionSets", "sso:ListTagsForResource",
            ],
            "Resource": "*",
        },
    ]})
}

/// The same for CloudFormation, with the partition of the stack in each ARN.
fn in_cloudformation(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with("arn:aws:") => {
            json!({"Fn::Sub": text.replacen("arn:aws:", "arn:${AWS::Partition}:", 1)})
        }
        Value::Array(all) => Value::Array(all.into_iter().map(in_cloudformation).collect()),
        Value::Object(all) => Value::Object(all.into_iter().map(|(key, value)| (key, in_cloudformation(value))).collect()),
        plain => plain,
    }
}

/// The template of CloudFormation: the role of the operator, and its policies.
pub fn cloudformation() -> Value {
    let parameter = |about: &str| json!({"Type": "String", "Default": "", "Description": about});
    let given = |name: &str| json!({"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]});
    let role = json!({"Type": "AWS::IAM::Role", "Properties": {
        "RoleName": OPERATOR,
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [{"Fn::If": ["Spoke", {
            "Effect": "Allow", "Principal": {"AWS": {"Ref": "HubRoleArn"}}, "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}},
        }, {
            "Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {"StringEquals": {
                "aws:SourceAccount": {"Ref": "AWS::AccountId"},
                "aws:RequestTag/kubernetes-namespace": "curfew-system",
                "aws:RequestTag/eks-cluster-arn": {"Ref": "ClusterArn"},
            }},
        }]}]},
        "ManagedPolicyArns": [{"Ref": "Policy"}, {"Fn::If": ["WithIdentityCenter", {"Ref": "IdentityCenterPolicy"}, {"Ref": "AWS::NoValue"}]}],
    }});
    let policy = |name: String, document: Value| json!({"ManagedPolicyName": name, "PolicyDocument": in_cloudformation(document)});
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The role of the Curfew operator in one account, with the least rights that it needs.",
        "Parameters": {
            "ClusterArn": parameter("ARN of the EKS cluster that Curfew runs in, for EKS Pod Identity. Leave it empty in accounts that are reached by assumeRole."),
            "HubRoleArn": parameter("ARN of the operator's role in the account that Curfew runs in. Only in other accounts, which are reached by assumeRole."),
            "ExternalId": parameter("The externalId of the AuthorizationSystem. Required with HubRoleArn."),
            "IdentityCenter": {
                "Type": "String", "Default": "false", "AllowedValues": ["true", "false"],
                "Description": "true in the account that administers IAM Identity Center.",
            },
        },
        "Conditions": {"Spoke": given("HubRoleArn"), "WithIdentityCenter": {"Fn::Equals": [{"Ref": "IdentityCenter"}, "true"]}},
        "Rules": {"SpokeNeedsExternalId": {
            "RuleCondition": given("HubRoleArn"),
            "Assertions": [{"Assert": given("ExternalId"), "AssertDescription": "HubRoleArn needs an ExternalId."}],
        }},
        "Resources": {
            "Policy": {"Type": "AWS::IAM::ManagedPolicy", "Properties": policy(OPERATOR.to_owned(), iam())},
            "IdentityCenterPolicy": {
                "Type": "AWS::IAM::ManagedPolicy", "Condition": "WithIdentityCenter",
                "Properties": policy(format!("{OPERATOR}-identity-center"), identity_center()),
            },
            "Role": role,
        },
        "Outputs": {"RoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}},
    })
}

/// The generated files, by path relative to the root. `main.tf` beside them reads the two JSON files.
pub fn files() -> BTreeMap<PathBuf, String> {
    let pretty = |value: &Value| format!("{value:#}\n");
    [("iam.json", iam()), ("identity-center.json", identity_center()), ("cloudformation.json", cloudformation())]
        .into_iter()
        .map(|(name, value)| (PathBuf::from("deploy/aws").join(name), pretty(&value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IAM counts the characters of a policy without white space.
    #[test]
    fn each_policy_fits_into_one_managed_policy() {
        for document in [iam(), identity_center()] {
            assert!(document.to_string().len() <= 6_144, "{}", document.to_string().len());
        }
    }

    #[test]
    fn nothing_is_given_on_the_operator_itself_or_beyond_its_path() {
        let writes = |s: &&Value| s["Effect"] == "Allow" && s["Sid"].as_str().is_some_and(|sid| !sid.starts_with("Read"));
        let document = iam();
        for statement in document["Statement"].as_array().unwrap().iter().filter(writes) {
            let below = |value: &Value| value.as_str().is_some_and(|arn| arn.ends_with("/curfew/*"));
            let limited = below(&statement["Resource"]) || below(&statement["Condition"]["ArnLike"]["iam:PolicyARN"]);
            assert!(limited || statement["Sid"] == "AskForOwnRights", "{statement}");
        }
        assert!(!arn("role").starts_with(ROLES.trim_end_matches('*')) && !arn("policy").starts_with(POLICIES.trim_end_matches('*')));
    }
}
