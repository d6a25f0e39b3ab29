//! Which actions of IAM a call used.
use crate::log::{call, read_records};
use curfew_analytics::aws::{
    catalogue::Actions,
    cloudtrail::{
        operations::{Used, operation, used},
        table::{GATEWAY, RENAMED, SERVICES, WITHOUT_PERMISSION},
    },
};

/// The names of the actions of an operation.
fn actions(operation: &str) -> Vec<&'static str> {
    let catalogue = Actions::builtin();
    match used(catalogue, operation) {
        Used::Actions(ids) => ids.into_iter().map(|id| catalogue.name(id)).collect(),
        Used::NoPermission => vec!["no permission"],
        Used::Unknown => vec![],
    }
}

#[test]
fn the_tables_name_actions_and_services_of_the_catalogue() {
    let catalogue = Actions::builtin();
    assert!(SERVICES.is_sorted_by(|(a, _), (b, _)| a < b), "the table is searched by halves");
    for (source, prefix) in SERVICES {
        assert!(catalogue.services().iter().any(|service| service.prefix == *prefix), "{source}: the catalogue has no service {prefix}");
    }
    for (operation, names) in RENAMED {
        assert!(catalogue.find(operation).is_none(), "{operation} is an action: it needs no other name");
        assert!(!names.is_empty());
        for name in *names {
            assert!(catalogue.find(name).is_some(), "{operation}: the catalogue has no action {name}");
        }
    }
    for (_, name) in GATEWAY {
        assert!(catalogue.find(name).is_some(), "the catalogue has no action {name}");
    }
    for prefix in WITHOUT_PERMISSION {
        assert!(catalogue.services().iter().any(|service| service.prefix == *prefix), "the catalogue has no service {prefix}");
    }
}

#[test]
fn operations_become_actions() {
    for (operation, expected) in [
        ("ec2:RunInstances", &["ec2:RunInstances"][..]),
        ("s3:ListBuckets", &["s3:ListAllMyBuckets"]),
        ("s3:ListObjectsV2", &["s3:ListBucket"]),
        ("s3:HeadObject", &["s3:GetObject"]),
        ("s3:GetBucketCors", &["s3:GetBucketCORS"]),
        ("monitoring:PutMetricData", &["cloudwatch:PutMetricData"]),
        ("streams.dynamodb:GetRecords", &["dynamodb:GetRecords"]),
        ("email:SendEmail", &["ses:SendEmail"]),
        ("lambda:UpdateFunctionCode20150331v2", &["lambda:UpdateFunctionCode"]),
        ("lambda:ListFunctions20150331", &["lambda:ListFunctions"]),
        ("lambda:Invoke", &["lambda:InvokeFunction"]),
        ("cloudfront:GetDistribution2020_05_31", &["cloudfront:GetDistribution"]),
        ("cloudfront:CreateDistributionWithTags2020_05_31", &["cloudfront:CreateDistribution", "cloudfront:TagResource"]),
        ("kms:ReEncrypt", &["kms:ReEncryptFrom", "kms:ReEncryptTo"]),
        ("apigateway:CreateRestApi", &["apigateway:POST"]),
        ("apigateway:GetRestApis", &["apigateway:GET"]),
        ("apigateway:ImportRestApi", &["apigateway:POST"]),
        ("apigateway:ImportApi", &["apigateway:PUT"]),
        ("signin:ConsoleLogin", &["no permission"]),
        ("sso:Authenticate", &["no permission"]),
        ("ec2:NewOperation", &[]),
        ("new:Operation", &[]),
        ("nonsense", &[]),
        ("lambda:20150331", &[]),
        ("lambda:é20150331v2", &[]),
    ] {
        assert_eq!(actions(operation), expected, "{operation}");
    }
    assert_eq!(operation("s3.amazonaws.com", "ListBuckets"), "s3:ListBuckets");
    assert_eq!(operation("ec2.amazonaws.com.cn", "RunInstances"), "ec2:RunInstances");
    assert_eq!(operation("other.example", "X"), "other.example:X");
}

/// Versions at the end of names that AWS uses itself stay.
#[test]
fn a_name_with_digits_of_its_own_is_found_as_it_is() {
    let catalogue = Actions::builtin();
    let digits = (0..catalogue.len()).map(|id| catalogue.name(id)).filter(|name| name.ends_with(|c: char| c.is_ascii_digit()));
    let mut count = 0;
    for name in digits {
        // The prefix is the first word of the event source, but for a few services.
        if actions(name) == [name] {
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn the_name_of_the_operation_stays_as_it_is_in_the_record() {
    let read = read_records(&[call("monitoring", "PutMetricData")]);
    assert_eq!(read.table, [("arn:aws:iam::123456789012:user/alice".into(), "monitoring:PutMetricData".into(), 1)]);
}
