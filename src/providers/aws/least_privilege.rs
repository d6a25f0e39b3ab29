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
pub const ROLE_ACTIONS: [&str; 9] = [
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:GetRole",
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

/// The policy of the role by which `curfew-analytics run` reads an account: who may do what, and nothing of what is stored there.
pub fn analytics() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "ReadWhoMayDoWhat",
            "Effect": "Allow",
            "Action": ["iam:GenerateCredentialReport", "iam:GetAccountAuthorizationDetails", "iam:GetCredentialReport"],
            "Resource": "*",
        }],
    })
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
        {
            "Sid": "ReadWhatDeniesAGrant", "Effect": "Allow",
            "Action": ["iam:GetUser", "iam:SimulatePrincipalPolicy"], "Resource": [USERS, ROLES],
        },
        {"Sid": "AskForOwnRights", "Effect": "Allow", "Action": ["iam:GetRole", "iam:SimulatePrincipalPolicy"], "Resource": arn("role")},
        {"Sid": "NeverAccessWithoutEnd", "Effect": "Deny", "Action": NEVER, "Resource": "*"},
        // The operator's role has the same name in every account, and may be assumed where this one is trusted.
        {
            "Sid": "NeverItself", "Effect": "Deny",
            "NotAction": ["iam:Get*", "iam:List*", "iam:SimulatePrincipalPolicy", "sts:AssumeRole", "sts:TagSession"],
            "Resource": [arn("role"), arn("policy")],
        },
    ]})
}

/// The policy of the operator for IAM Identity Center: in the management account of the organisation, or in the delegated
/// administrator's. Permission sets have no path, so their actions are limited by the tag that Curfew sets when it creates one.
///
/// A call is judged for each resource that it concerns, and an instance has no such tag: it is named in a statement of its own
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsiamidentitycenter.html>).
pub fn identity_center() -> Value {
    let (instance, set) = ("arn:aws:sso:::instance/*", "arn:aws:sso:::permissionSet/*/*");
    let places = [instance, set, "arn:aws:sso:::account/*"];
    let own = ["sso:AttachManagedPolicyToPermissionSet", "sso:DeletePermissionSet", "sso:PutInlinePolicyToPermissionSet"];
    let marked = json!({"Null": {"aws:ResourceTag/curfew.dev/grant": "false"}});
    json!({"Version": "2012-10-17", "Statement": [
        // The tags come with the creation. Set later, they would make any permission set the operator's own.
        {
            "Sid": "CreateMarkedPermissionSets", "Effect": "Allow", "Action": "sso:CreatePermissionSet",
            "Resource": [instance, set], "Condition": {"Null": {"aws:RequestTag/curfew.dev/grant": "false"}},
        },
        {"Sid": "TagOwnPermissionSets", "Effect": "Allow", "Action": "sso:TagResource", "Resource": set, "Condition": marked},
        {"Sid": "OwnPermissionSets", "Effect": "Allow", "Action": own, "Resource": set, "Condition": marked},
        {"Sid": "InTheInstance", "Effect": "Allow", "Action": own, "Resource": instance},
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
                "sso:DescribeAccountAssignmentCreationStatus", "sso:DescribeAccountAssignmentDeletionStatus",
                "sso:DescribePermissionSet", "sso:GetInlinePolicyForPermissionSet", "sso:ListAccountAssignmentCreationStatus",
                "sso:ListAccountAssignments", "sso:ListAccountsForProvisionedPermissionSet",
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
            "Effect": "Allow", "Principal": {"AWS": {"Ref": "HubRoleArn"}}, "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}},
        }, {
            "Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {"StringEquals": {
                "aws:SourceAccount": {"Ref": "AWS::AccountId"},
                "aws:RequestTag/kubernetes-namespace": "curfew-system",
                "aws:RequestTag/eks-cluster-arn": {"Ref": "ClusterArn"},
            }},
        }]}]},
        "Policies": [{"Fn::If": ["Hub", {
            "PolicyName": "assume-roles-of-other-accounts",
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [{
                "Sid": "Spokes", "Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": {"Ref": "SpokeRoleArns"},
            }]},
        }, {"Ref": "AWS::NoValue"}]}],
        "ManagedPolicyArns": [{"Ref": "Policy"}, {"Fn::If": ["WithIdentityCenter", {"Ref": "IdentityCenterPolicy"}, {"Ref": "AWS::NoValue"}]}],
    }});
    let policy = |name: String, document: Value| json!({"ManagedPolicyName": name, "PolicyDocument": in_cloudformation(document)});
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The role of the Curfew operator in one account, with the least rights that it needs.",
        "Parameters": {
            "ClusterArn": parameter("ARN of the EKS cluster that Curfew runs in, for EKS Pod Identity. Leave it empty in accounts that are reached by assumeRole."),
            "HubRoleArn": parameter("ARN of the operator's role in the account that Curfew runs in. Only in other accounts, which are reached by assumeRole."),
            "SpokeRoleArns": {
                "Type": "CommaDelimitedList", "Default": "",
                "Description": "ARNs of the roles in other accounts that the operator may assume. Only in the account that Curfew runs in.",
            },
            "ExternalId": parameter("The externalId of the AuthorizationSystem. Required with HubRoleArn."),
            "IdentityCenter": {
                "Type": "String", "Default": "false", "AllowedValues": ["true", "false"],
                "Description": "true in the account that administers IAM Identity Center.",
            },
        },
        "Conditions": {
            "Spoke": given("HubRoleArn"),
            "Hub": {"Fn::Not": [{"Fn::Equals": [{"Fn::Join": ["", {"Ref": "SpokeRoleArns"}]}, ""]}]},
            "WithIdentityCenter": {"Fn::Equals": [{"Ref": "IdentityCenter"}, "true"]},
        },
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
    [
        ("iam.json", iam()),
        ("identity-center.json", identity_center()),
        ("cloudformation.json", cloudformation()),
        ("analytics.json", analytics()),
    ]
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
    fn statements(document: &Value) -> Vec<Value> {
        document["Statement"].as_array().unwrap().clone()
    }

    /// Whether a pattern of a policy, with `*`, fits.
    fn fits(pattern: &str, text: &str) -> bool {
        let mut parts = pattern.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let parts: Vec<&str> = parts.collect();
        let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
        for part in middle {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }

    /// Whether one of these patterns fits: a text, or a list of texts.
    fn one_fits(patterns: &Value, text: &str) -> bool {
        let one = |pattern: &Value| pattern.as_str().is_some_and(|pattern| fits(pattern, text));
        one(patterns) || patterns.as_array().is_some_and(|all| all.iter().any(one))
    }

    /// Whether a statement concerns a call. Conditions are left out.
    fn concerns(statement: &Value, action: &str, resource: &str) -> bool {
        let named = match &statement["NotAction"] {
            Value::Null => one_fits(&statement["Action"], action),
            others => !one_fits(others, action),
        };
        named && one_fits(&statement["Resource"], resource)
    }

    fn denies(document: &Value, action: &str, resource: &str) -> bool {
        statements(document).iter().any(|s| s["Effect"] == "Deny" && concerns(s, action, resource))
    }

    /// The actions that the files of this provider name, tests apart.
    fn called() -> std::collections::BTreeSet<String> {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/providers/aws");
        let mut all = std::collections::BTreeSet::new();
        for entry in std::fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            let apart = ["least_privilege.rs", "replay.rs", "tests.rs"].iter().any(|name| path.ends_with(name));
            if apart || path.extension().is_none_or(|kind| kind != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for literal in code.split('"').skip(1).step_by(2) {
                let service = ["iam:", "sso:", "identitystore:"].iter().find_map(|service| literal.strip_prefix(service));
                if service.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic()) && name != "PolicyARN") {
                    all.insert(literal.to_owned());
                }
            }
        }
        all
    }

    #[test]
    fn every_action_that_is_called_is_allowed() {
        let all: Vec<Value> = [iam(), identity_center()].iter().flat_map(statements).collect();
        let called = called();
        assert!(called.contains("iam:CreatePolicy") && called.contains("sso:CreateAccountAssignment"), "{called:?}");
        let lacking: Vec<&String> =
            called.iter().filter(|action| !all.iter().any(|s| s["Effect"] == "Allow" && one_fits(&s["Action"], action))).collect();
        assert!(lacking.is_empty(), "called and not allowed: {lacking:?}");
        let never: Vec<&String> =
            called.iter().filter(|action| denies(&iam(), action, "arn:aws:iam::111122223333:policy/curfew/x")).collect();
        assert!(never.is_empty(), "called and denied: {never:?}");
    }

    /// What is allowed and never called is a right that nobody needs.
    #[test]
    fn every_action_that_is_allowed_is_called() {
        let called = called();
        let allowed = [iam(), identity_center()].iter().flat_map(statements).filter(|s| s["Effect"] == "Allow").collect::<Vec<_>>();
        let named = |s: &Value| -> Vec<String> {
            let one = |v: &Value| v.as_str().map(str::to_owned);
            s["Action"].as_array().map_or_else(|| one(&s["Action"]).into_iter().collect(), |all| all.iter().filter_map(one).collect())
        };
        // Creating with tags is authorised by the right to tag as well.
        let with_creation = ["iam:TagPolicy", "iam:TagRole", "sso:TagResource"];
        let unused: Vec<String> =
            allowed.iter().flat_map(named).filter(|a| !called.contains(a) && !with_creation.contains(&a.as_str())).collect();
        assert!(unused.is_empty(), "allowed and never called: {unused:?}");
    }

    /// The role of another account has the same name, and EKS Pod Identity passes the tags of its session on.
    #[test]
    fn the_role_of_the_hub_may_assume_the_roles_of_other_accounts() {
        let spoke = "arn:aws:iam::444455556666:role/curfew-operator";
        let terraform = include_str!("../../../deploy/aws/main.tf");
        for action in ["sts:AssumeRole", "sts:TagSession"] {
            assert!(!denies(&iam(), action, spoke), "{action} on {spoke} is denied");
        }
        assert!(denies(&iam(), "iam:UpdateAssumeRolePolicy", spoke) && denies(&iam(), "iam:AttachRolePolicy", spoke));
        assert_eq!(terraform.matches("\"sts:AssumeRole\", \"sts:TagSession\"").count(), 3, "of the pod, of the hub, and to the spokes");
        let template = cloudformation();
        assert_eq!(template["Parameters"]["SpokeRoleArns"]["Type"], "CommaDelimitedList");
        let role = template["Resources"]["Role"]["Properties"].to_string();
        assert_eq!(role.matches("\"sts:TagSession\"").count(), 3, "{role}");
        assert!(role.contains("{\"Ref\":\"SpokeRoleArns\"}"), "{role}");
    }

    /// An instance and an account have no tag of Curfew, so a condition on it would refuse what concerns them.
    #[test]
    fn tags_are_asked_of_permission_sets_alone() {
        let set = "arn:aws:sso:::permissionSet/ssoins-1/ps-1";
        let tagged = |s: &Value| s["Condition"].to_string().contains("aws:ResourceTag");
        for action in ["sso:AttachManagedPolicyToPermissionSet", "sso:DeletePermissionSet", "sso:PutInlinePolicyToPermissionSet"] {
            let all = statements(&identity_center());
            let of = |on: &str| all.iter().filter(|s| concerns(s, action, on)).cloned().collect::<Vec<Value>>();
            let instance = of("arn:aws:sso:::instance/ssoins-1");
            assert!(!instance.is_empty() && !instance.iter().any(tagged), "{action}: {instance:?}");
            assert!(!of(set).is_empty() && of(set).iter().all(tagged), "{action}: {:?}", of(set));
        }
    }

    /// A tag that can be put on any permission set would make every one of them the operator's own.
    #[test]
    fn no_standing_permission_set_can_be_marked() {
        for statement in statements(&identity_center()).iter().filter(|s| one_fits(&s["Action"], "sso:TagResource")) {
            assert!(statement["Condition"]["Null"]["aws:ResourceTag/curfew.dev/grant"] == "false", "{statement}");
        }
    }

    /// Known, and said in docs/providers/aws.md: with these together the operator can give a role of its own anything, and use it.
    #[test]
    fn what_the_operator_can_do_beyond_its_words_is_known() {
        let any = "arn:aws:iam::aws:policy/AdministratorAccess";
        let own = "arn:aws:iam::111122223333:role/curfew/x";
        let all = statements(&iam());
        let attaches = all.iter().filter(|s| s["Effect"] == "Allow" && concerns(s, "iam:AttachRolePolicy", own));
        assert!(attaches.clone().count() == 1 && attaches.clone().all(|s| s["Condition"].is_null()), "{any} may be attached to {own}");
        assert!(include_str!("../../../docs/providers/aws.md").contains("iam:AttachRolePolicy"));
    }
}
