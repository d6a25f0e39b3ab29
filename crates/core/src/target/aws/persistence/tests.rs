use super::*;
use serde_json::{Value, json};

fn document(statements: &Value) -> Document {
    Document::from_value(&json!({"Version": "2012-10-17", "Statement": statements})).unwrap()
}

fn allowed(actions: &Value) -> Option<String> {
    lasting(&document(&json!([{"Effect": "Allow", "Action": actions, "Resource": "*"}])))
}

#[test]
fn an_action_is_found_however_it_is_written() {
    let key = Some("create credentials of users (iam:CreateAccessKey)".to_owned());
    for actions in
        [json!("iam:CreateAccessKey"), json!("IAM:createaccesskey"), json!(["s3:Get*", "iam:*AccessKey"]), json!("iam:Create?ccessKey")]
    {
        assert_eq!(allowed(&actions), key, "{actions}");
    }
    for actions in [json!("*"), json!("iam:*"), json!("iam:Create*"), json!("*:*")] {
        assert!(allowed(&actions).is_some_and(|said| said.starts_with(key.as_deref().unwrap_or_default())), "{actions}");
    }
    for actions in [
        json!("s3:GetObject"),
        json!(["ec2:Describe*", "ec2:StartInstances", "ec2:StopInstances"]),
        json!("iam:Get*"),
        json!("s3:PutObject"),
    ] {
        assert_eq!(allowed(&actions), None, "{actions}");
    }
    let many = allowed(&json!("*")).unwrap();
    assert!(many.ends_with(&format!(", {} more rights", LASTING.len() - 3)), "{many}");
}

#[test]
fn everything_but_some_is_everything_else() {
    let all_but = |except: Value| lasting(&document(&json!([{"Effect": "Allow", "NotAction": except, "Resource": "*"}])));
    let power_user = all_but(json!(["iam:*", "organizations:*", "account:*"])).unwrap();
    assert!(power_user.starts_with("change who may assume roles (rolesanywhere:CreateTrustAnchor)"), "{power_user}");
    assert!(all_but(json!("iam:CreateAccessKey")).unwrap().contains("(iam:CreateLoginProfile)"));
}

#[test]
fn only_a_denial_without_conditions_takes_a_right_away() {
    let with = |deny: Value| {
        let allow = json!({"Effect": "Allow", "Action": ["iam:CreateAccessKey", "s3:Get*"], "Resource": "*"});
        lasting(&document(&json!([allow, deny])))
    };
    let deny = |more: Value| {
        let mut one = json!({"Effect": "Deny", "Action": "iam:*", "Resource": "*"});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one
    };
    assert_eq!(with(deny(json!({}))), None);
    assert!(with(deny(json!({"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "false"}}}))).is_some());
    assert!(with(deny(json!({"Resource": "arn:aws:iam::123456789012:user/alice"}))).is_some());
    assert!(with(deny(json!({"Action": "iam:Create*Profile"}))).is_some());
    let mut rest = json!({"Effect": "Deny", "NotAction": "s3:*", "Resource": "*"});
    assert_eq!(with(rest.clone()), None);
    rest["NotAction"] = json!("iam:*Key");
    assert!(with(rest).is_some());
}

/// pathfinding.cloud: a path needs all of its permissions, so one that is in the list is enough.
#[test]
fn every_path_of_the_public_catalogue_is_found() {
    let paths: &[(&str, &[&str])] = &[
        ("apprunner-001", &["iam:PassRole", "apprunner:CreateService"]),
        ("apprunner-002", &["apprunner:UpdateService"]),
        ("bedrock-002", &["bedrock-agentcore:StartCodeInterpreterSession", "bedrock-agentcore:InvokeCodeInterpreter"]),
        ("cloudformation-001", &["iam:PassRole", "cloudformation:CreateStack"]),
        ("cloudformation-002", &["cloudformation:UpdateStack"]),
        ("cloudformation-005", &["cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet"]),
        ("codebuild-002", &["codebuild:StartBuild"]),
        ("codebuild-003", &["codebuild:StartBuildBatch"]),
        ("ec2instanceconnect-003", &["ec2-instance-connect:SendSSHPublicKey", "ec2:DescribeInstances"]),
        ("ec2-001", &["iam:PassRole", "ec2:RunInstances"]),
        ("ec2-002", &["ec2:ModifyInstanceAttribute", "ec2:StopInstances", "ec2:StartInstances"]),
        ("ec2-004", &["ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate"]),
        ("ecs-004", &["iam:PassRole", "ecs:RegisterTaskDefinition", "ecs:RunTask"]),
        ("glue-002", &["glue:UpdateDevEndpoint"]),
        ("iam-001", &["iam:CreatePolicyVersion"]),
        ("iam-002", &["iam:CreateAccessKey"]),
        ("iam-004", &["iam:CreateLoginProfile"]),
        ("iam-005", &["iam:PutRolePolicy"]),
        ("iam-006", &["iam:UpdateLoginProfile"]),
        ("iam-007", &["iam:PutUserPolicy"]),
        ("iam-008", &["iam:AttachUserPolicy"]),
        ("iam-009", &["iam:AttachRolePolicy"]),
        ("iam-010", &["iam:AttachGroupPolicy"]),
        ("iam-011", &["iam:PutGroupPolicy"]),
        ("iam-012", &["iam:UpdateAssumeRolePolicy"]),
        ("iam-013", &["iam:AddUserToGroup"]),
        ("lambda-003", &["lambda:UpdateFunctionCode"]),
        ("sagemaker-004", &["sagemaker:CreatePresignedNotebookInstanceUrl"]),
        (
            "sagemaker-005",
            &[
                "sagemaker:CreateNotebookInstanceLifecycleConfig",
                "sagemaker:StopNotebookInstance",
                "sagemaker:UpdateNotebookInstance",
                "sagemaker:StartNotebookInstance",
            ],
        ),
        ("ssm-001", &["ssm:StartSession"]),
        ("ssm-002", &["ssm:SendCommand"]),
        ("sts-001", &["sts:AssumeRole"]),
    ];
    for (id, permissions) in paths {
        assert!(allowed(&json!(permissions)).is_some(), "{id}");
    }
}

#[test]
fn the_list_is_well_formed() {
    let mut seen = std::collections::BTreeSet::new();
    for right in LASTING {
        assert!(!right.allows.is_empty() && !right.source.is_empty());
        for action in right.actions {
            let (service, name) = action.split_once(':').expect(action);
            assert!(service.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{action}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()) && name.starts_with(|c: char| c.is_ascii_uppercase()), "{action}");
            assert!(seen.insert(*action), "{action} stands there twice");
        }
    }
}

/// What an independent review of the list found missing.
#[test]
fn these_are_in_the_list_too() {
    for action in [
        "quicksight:CreateUser",
        "quicksight:CreateAdmin",
        "quicksight:UpdateUser",
        "quicksight:CreateIAMPolicyAssignment",
        "quicksight:UpdateIAMPolicyAssignment",
        "quicksight:UpdateTemplatePermissions",
        "cognito-identity:CreateIdentityPool",
        "cognito-identity:UpdateIdentityPool",
        "iotsitewise:CreateAccessPolicy",
        "iotsitewise:UpdateAccessPolicy",
        "opsworks:SetPermission",
        "opsworks:UpdateUserProfile",
        "opsworks:CreateUserProfile",
        "chime:CreateApiKey",
        "sso:CreateProfile",
        "sso:UpdateProfile",
        "sso:CreateTrust",
        "sso:UpdateTrust",
        "sso:UpdateDirectoryAssociation",
        "sso-directory:UpdateGroup",
        "cloud9:CreateEnvironmentSSH",
        "cloud9:CreateEnvironmentToken",
        "cloud9:CreateEnvironmentMembership",
        "cloud9:UpdateEnvironmentMembership",
        "codebuild:ImportSourceCredentials",
        "iam:ChangePassword",
        "iam:UpdateRole",
        "iam:SetSecurityTokenServicePreferences",
        "s3:ObjectOwnerOverrideToBucketOwner",
        "codestar:CreateProject",
        "codestar:AssociateTeamMember",
        "codestar:UpdateTeamMember",
        "elasticmapreduce:AddJobFlowSteps",
        "batch:SubmitJob",
        "codedeploy:CreateDeployment",
        "elasticbeanstalk:UpdateEnvironment",
        "codecommit:GitPush",
        "ecr:PutImage",
        "ssm:ResumeSession",
        "ssm:UpdateDocument",
        "ssm:UpdateDocumentDefaultVersion",
        "ssm:UpdateMaintenanceWindowTask",
        "lambda:CreateEventSourceMapping",
        "lambda:UpdateEventSourceMapping",
        "glue:StartJobRun",
        "glue:CreateSession",
        "apigateway:POST",
        "apigateway:PATCH",
        "apigateway:PUT",
        "cognito-idp:CreateUserPoolClient",
        "cognito-idp:CreateIdentityProvider",
        "cognito-idp:UpdateIdentityProvider",
        "redshift:GetClusterCredentials",
        "redshift:GetClusterCredentialsWithIAM",
        "rds-data:ExecuteStatement",
        "rds-data:BatchExecuteStatement",
        "redshift-data:ExecuteStatement",
        "redshift-data:BatchExecuteStatement",
        "ec2:AuthorizeSecurityGroupIngress",
        "iam:TagPolicy",
        "iam:UntagPolicy",
        "iam:TagInstanceProfile",
        "iam:UntagInstanceProfile",
    ] {
        assert!(allowed(&json!(action)).is_some_and(|said| said.contains(action)), "{action}");
    }
}
