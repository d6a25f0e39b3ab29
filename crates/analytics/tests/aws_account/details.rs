//! Account details as the AWS CLI and the API print them, whole and broken.
use crate::account::{Account, ID, allow, arn, document};
use curfew_analytics::aws::details::Details;
use serde_json::{Value, json};

fn details() -> Value {
    Account::new()
        .user("alice", &[allow(json!("s3:*"), json!("*"))])
        .group("g", &[allow(json!("ec2:*"), json!("*"))])
        .role("r", document(&[]), &[])
        .policy(&arn("policy", "p"), &[allow(json!("*"), json!("*"))])
        .details
}

fn refused(text: &str) -> String {
    Details::parse(text).unwrap_err()
}

#[test]
fn pages_are_read_together_and_what_appears_twice_counts_once() {
    let whole = details();
    let expected = Details::parse(&whole.to_string()).unwrap();
    assert_eq!((expected.account.as_str(), expected.partition.as_str(), expected.users.len(), expected.policies.len()), (ID, "aws", 1, 1));
    let mut first = json!({"UserDetailList": whole["UserDetailList"], "GroupDetailList": [], "IsTruncated": true, "Marker": "x"});
    let second = json!({"GroupDetailList": whole["GroupDetailList"], "RoleDetailList": whole["RoleDetailList"], "Policies": whole["Policies"],
        "UserDetailList": whole["UserDetailList"], "IsTruncated": false});
    for text in [format!("{first}\n{second}"), format!("{first}{second}"), json!([first, second]).to_string()] {
        assert_eq!(Details::parse(&text).unwrap(), expected, "{text}");
    }
    // Only the first page.
    assert!(refused(&first.to_string()).contains("only the first pages"), "{}", refused(&first.to_string()));
    first["IsTruncated"] = json!(false);
    assert!(Details::parse(&first.to_string()).unwrap().roles.is_empty());
}

#[test]
fn documents_are_objects_texts_or_url_encoded_texts() {
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::a b/ü*"}}"#;
    let encoded: String =
        text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect();
    let of = |document: Value| {
        let list = json!([{"PolicyName": "own", "PolicyDocument": document}]);
        Details::parse(&Account::new().user("u", &[]).with("UserDetailList", "UserPolicyList", list).details.to_string()).unwrap()
    };
    let expected = of(serde_json::from_str(text).unwrap());
    assert_eq!(expected.users[&arn("user", "u")].holder.inline[0].document.statements.len(), 1);
    assert_eq!(of(json!(encoded)), expected);
    assert_eq!(of(json!(text)), expected);
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_counts() {
    let mut account = details();
    account["UserDetailList"].as_array_mut().unwrap().push(json!({"UserName": "broken", "Arn": 7}));
    account["UserDetailList"].as_array_mut().unwrap().push(json!({"UserName": "mallory", "Arn": arn("user", "mallory"),
        "UserPolicyList": [{"PolicyName": "bad", "PolicyDocument": "%7B%2"}, {"PolicyName": "odd", "PolicyDocument": {"Statement": [{"Effect": "Maybe"}]}}]}));
    let read = Details::parse(&account.to_string()).unwrap();
    assert_eq!(read.users.len(), 2);
    assert_eq!(read.broken.len(), 3, "{:?}", read.broken);
    assert!(read.broken[0].starts_with("UserDetailList: broken: "), "{}", read.broken[0]);
    assert!(read.broken[1].contains("inline policy bad") && read.broken[1].contains("cut off"), "{}", read.broken[1]);
    assert!(read.broken[2].contains("neither Effect Allow nor Deny in statement 1"), "{}", read.broken[2]);
}

#[test]
fn what_is_not_the_output_is_refused_with_the_command() {
    for (text, why) in [
        ("{", "is not JSON"),
        ("{}", "has neither users nor groups"),
        ("", "has neither users nor groups"),
        ("[1]", "not an object"),
        (r#"{"Users": []}"#, "get-account-authorization-details"),
        (r#"{"UserDetailList": {}}"#, "is not a list"),
        (r#"{"UserDetailList": []}"#, "names no account"),
    ] {
        assert!(refused(text).contains(why), "{text}: {}", refused(text));
    }
    let mut other = details();
    other["RoleDetailList"][0]["Arn"] = json!("arn:aws:iam::999988887777:role/r");
    assert!(refused(&other.to_string()).contains("several accounts"), "{}", refused(&other.to_string()));
}
