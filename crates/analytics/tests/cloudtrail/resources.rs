//! Which resources a call named, and what it used besides.
use crate::log::{Told, call, read_records, with};
use serde_json::{Value, json};

/// What a call with these parameters and resources tells.
fn told(source: &str, name: &str, parameters: Value, resources: &[&str]) -> Told {
    let list: Vec<Value> = resources.iter().map(|arn| json!({"ARN": arn, "accountId": "123456789012"})).collect();
    let record = with(with(call(source, name), "/requestParameters", parameters), "/resources", json!(list));
    read_records(&[record]).uses.remove(0)
}

fn named(source: &str, name: &str, parameters: Value) -> Vec<String> {
    told(source, name, parameters, &[]).resources
}

/// Operations and resources of what follows.
fn implied(source: &str, name: &str, parameters: Value) -> Vec<(String, Option<String>)> {
    told(source, name, parameters, &[]).implied.into_iter().map(|implied| (implied.operation, implied.resource)).collect()
}

#[test]
fn resources_of_the_record_are_those_that_the_action_can_have() {
    let object = ["arn:aws:s3:::b/dir/key", "arn:aws:s3:::b"];
    assert_eq!(told("s3", "GetObject", json!({"bucketName": "b", "key": "dir/key"}), &object).resources, ["arn:aws:s3:::b/dir/key"]);
    assert_eq!(told("s3", "ListObjectsV2", json!({"bucketName": "b"}), &object).resources, ["arn:aws:s3:::b"]);
    let key = "arn:aws:kms:eu-central-1:123456789012:key/1234";
    assert_eq!(told("kms", "Decrypt", json!({"keyId": "alias/x"}), &[key]).resources, [key]);
    let role = "arn:aws:iam::123456789012:role/x/deploy";
    assert_eq!(told("sts", "AssumeRole", json!({"roleArn": role}), &[role]).resources, [role]);
}

#[test]
fn parameters_become_arns() {
    let own = |rest: &str| format!("arn:aws:{rest}");
    for (source, name, parameters, expected) in [
        ("s3", "GetBucketPolicy", json!({"bucketName": "b", "Host": "s3"}), vec!["s3:::b"]),
        (
            "ec2",
            "StartInstances",
            json!({"instancesSet": {"items": [{"instanceId": "i-1"}, {"instanceId": "i-2"}]}}),
            vec!["ec2:eu-central-1:123456789012:instance/i-1", "ec2:eu-central-1:123456789012:instance/i-2"],
        ),
        ("ec2", "GetPasswordData", json!({"instanceId": "i-1"}), vec!["ec2:eu-central-1:123456789012:instance/i-1"]),
        ("iam", "CreateAccessKey", json!({"userName": "bob"}), vec!["iam::123456789012:user/bob"]),
        (
            "iam",
            "AttachRolePolicy",
            json!({"roleName": "r", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
            vec!["iam::123456789012:role/r"],
        ),
        ("lambda", "AddPermission20150331v2", json!({"functionName": "f"}), vec!["lambda:eu-central-1:123456789012:function:f"]),
        (
            "lambda",
            "UpdateFunctionCode20150331v2",
            json!({"functionName": "arn:aws:lambda:eu-central-1:123456789012:function:f"}),
            vec!["lambda:eu-central-1:123456789012:function:f"],
        ),
        (
            "secretsmanager",
            "GetSecretValue",
            json!({"secretId": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:s-AbCdEf"}),
            vec!["secretsmanager:eu-central-1:123456789012:secret:s-AbCdEf"],
        ),
        ("sns", "Publish", json!({"topicArn": "arn:aws:sns:eu-central-1:123456789012:t"}), vec!["sns:eu-central-1:123456789012:t"]),
        ("dynamodb", "PutItem", json!({"tableName": "t"}), vec!["dynamodb:eu-central-1:123456789012:table/t"]),
        ("cloudtrail", "StopLogging", json!({"name": "trail"}), vec!["cloudtrail:eu-central-1:123456789012:trail/trail"]),
    ] {
        assert_eq!(named(source, name, parameters), expected.into_iter().map(own).collect::<Vec<_>>(), "{source}:{name}");
    }
}

/// A part of what was used must not be taken for all of it.
#[test]
fn a_call_that_does_not_name_all_of_its_resources_names_none() {
    for (source, name, parameters) in [
        // The new instance has no name yet.
        ("ec2", "RunInstances", json!({"instancesSet": {"items": [{"imageId": "ami-1"}]}, "subnetId": "subnet-1"})),
        // The ARN of a secret has more than its name.
        ("secretsmanager", "GetSecretValue", json!({"secretId": "name"})),
        ("ec2", "DescribeInstances", json!({"instancesSet": {"items": [{"instanceId": "i-1"}]}})),
        ("s3", "GetBucketPolicy", Value::Null),
        ("s3", "GetBucketPolicy", json!("hidden")),
        ("s3", "GetBucketPolicy", json!({"bucketName": ""})),
        ("kms", "Decrypt", json!({"keyId": "alias/x"})),
    ] {
        let named = named(source, name, parameters);
        if source == "kms" {
            // An alias is not a key.
            assert!(named.is_empty() || named == ["arn:aws:kms:eu-central-1:123456789012:key/alias/x"], "{named:?}");
        } else {
            assert!(named.is_empty(), "{source}:{name}: {named:?}");
        }
    }
    let many: Vec<Value> = (0..101).map(|n| json!({"instanceId": format!("i-{n}")})).collect();
    assert!(named("ec2", "StartInstances", json!({"instancesSet": {"items": many}})).is_empty());
}

#[test]
fn partitions_follow_the_region() {
    let record =
        with(with(call("dynamodb", "PutItem"), "/requestParameters", json!({"tableName": "t"})), "/awsRegion", json!("us-gov-west-1"));
    let read = read_records(&[record]);
    assert_eq!(read.uses[0].resources, ["arn:aws-us-gov:dynamodb:us-gov-west-1:123456789012:table/t"]);
}

#[test]
fn a_role_that_is_given_to_a_service_is_passed() {
    let role = "arn:aws:iam::123456789012:role/service-role/f";
    let passed = |role: Option<&str>| vec![("iam:PassRole".to_owned(), role.map(Into::into))];
    assert_eq!(implied("lambda", "CreateFunction20150331", json!({"functionName": "f", "role": role})), passed(Some(role)));
    assert_eq!(implied("ecs", "RegisterTaskDefinition", json!({"taskRoleArn": role, "executionRoleArn": role})), passed(Some(role)));
    assert_eq!(implied("glue", "CreateJob", json!({"command": {"x": [{"roleArn": role}]}})), passed(Some(role)));
    assert_eq!(implied("rolesanywhere", "CreateProfile", json!({"roleArns": [role]})), passed(Some(role)));
    // The record names the profile, and not its role.
    assert_eq!(implied("ec2", "RunInstances", json!({"iamInstanceProfile": {"name": "p"}})), passed(None));
    for (source, name, parameters) in [
        ("sts", "AssumeRole", json!({"roleArn": role})),
        ("lambda", "GetFunction20150331v2", json!({"role": role})),
        ("lambda", "CreateFunction20150331", json!({"functionName": role})),
        ("lambda", "CreateFunction20150331", json!({"role": "HIDDEN_DUE_TO_SECURITY_REASONS"})),
        ("ec2", "RunInstances", json!({"iamInstanceProfile": {}})),
    ] {
        assert_eq!(implied(source, name, parameters), [], "{source}:{name}");
    }
}

#[test]
fn tags_versions_and_copies_need_more() {
    let one = |operation: &str, resource: Option<&str>| vec![(operation.to_owned(), resource.map(Into::into))];
    assert_eq!(implied("iam", "CreateRole", json!({"tags": [{"key": "a", "value": "b"}]})), one("iam:TagRole", None));
    assert_eq!(implied("iam", "CreateRole", json!({"tags": []})), []);
    assert_eq!(implied("ec2", "RunInstances", json!({"tagSpecificationSet": {"items": [{}]}})), one("ec2:CreateTags", None));
    assert_eq!(implied("s3", "GetObject", json!({"bucketName": "b", "key": "k", "versionId": "1"})), one("s3:GetObjectVersion", None));
    assert_eq!(implied("s3", "CopyObject", json!({"x-amz-copy-source": "/b/k"})), one("s3:GetObject", Some("arn:aws:s3:::b/k")));
    assert_eq!(implied("s3", "CopyObject", json!({"x-amz-copy-source": "b/k%20"})), one("s3:GetObject", None));
    assert_eq!(implied("s3", "CopyObject", json!({"bucketName": "b"})), one("s3:GetObject", None));
    assert_eq!(implied("sts", "AssumeRole", json!({"sourceIdentity": "me"})), one("sts:SetSourceIdentity", None));
}

/// With more roles than are kept, none is named: each counts as passed.
#[test]
fn many_roles_are_all_of_them() {
    let roles: Vec<String> = (0..30).map(|n| format!("arn:aws:iam::123456789012:role/r{n}")).collect();
    assert_eq!(implied("x", "Create", json!({"roleArns": roles})), [("iam:PassRole".to_owned(), None)]);
}
