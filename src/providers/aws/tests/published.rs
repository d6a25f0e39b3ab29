//! The answers that AWS itself has published, as they stand in its API references ("Sample Response" of each action, 2026-11): other
//! orders of elements, white space inside documents, fields that are left out. What the emulators answer is not all that AWS answers.
//! The references of Identity Center have no sample responses.
use super::connection;
use crate::providers::{
    aws::{
        policies::Holder,
        replay::{Recorded, Replay, ok, xml_error},
    },
    port::Provider,
};
use aws_sdk_iam::types::PolicyUsageType;
use curfew_core::target::aws::document::Document;
use serde_json::json;

const NS: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const BUCKET_POLICY: &str = "arn:aws:iam::123456789012:policy/S3-read-only-example-bucket";

fn sample(action: &'static str, result: &str) -> Recorded {
    let body = format!(
        "<{action}Response xmlns=\"{NS}\">\n  {result}\n  <ResponseMetadata>\n    <RequestId>684f0917-3d22-11e4-a4a0-cffb9EXAMPLE</RequestId>\n\
         </ResponseMetadata>\n</{action}Response>"
    );
    ok(action, body)
}

fn get_policy() -> Recorded {
    sample(
        "GetPolicy",
        "<GetPolicyResult>
    <Policy>
      <PolicyName>S3-read-only-example-bucket</PolicyName>
      <Description>Allows read-only access to the example bucket</Description>
      <DefaultVersionId>v1</DefaultVersionId>
      <PolicyId>AGPACKCEVSQ6C2EXAMPLE</PolicyId>
      <Path>/</Path>
      <Arn>arn:aws:iam::123456789012:policy/S3-read-only-example-bucket</Arn>
      <AttachmentCount>9</AttachmentCount>
      <CreateDate>2014-09-15T17:36:14Z</CreateDate>
      <UpdateDate>2014-09-15T20:31:47Z</UpdateDate>
    </Policy>
  </GetPolicyResult>",
    )
}

fn get_policy_version() -> Recorded {
    sample(
        "GetPolicyVersion",
        "<GetPolicyVersionResult>
    <PolicyVersion>
      <Document>
      {\"Version\":\"2012-10-17\",\t\t \t \t \"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"s3:Get*\",\"s3:List*\"],
      \"Resource\":[\"arn:aws:s3:::EXAMPLE-BUCKET\",\"arn:aws:s3:::EXAMPLE-BUCKET/*\"]}]}
      </Document>
      <IsDefaultVersion>true</IsDefaultVersion>
      <VersionId>v1</VersionId>
      <CreateDate>2014-09-15T20:31:47Z</CreateDate>
    </PolicyVersion>
  </GetPolicyVersionResult>",
    )
}

#[tokio::test]
async fn a_policy_and_its_document() {
    let replay = Replay::of([get_policy(), get_policy_version()]).await;
    let aws = replay.aws(connection());
    let found = aws.policy(BUCKET_POLICY).await.unwrap().unwrap();
    assert_eq!((&*found.id, &*found.default_version, found.attachments), ("AGPACKCEVSQ6C2EXAMPLE", "v1", 9));
    let document = Document::parse(&aws.default_document(&found).await.unwrap()).unwrap();
    let plain = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"],
        "Resource": ["arn:aws:s3:::EXAMPLE-BUCKET", "arn:aws:s3:::EXAMPLE-BUCKET/*"]}]});
    assert_eq!(document, Document::parse(&plain.to_string()).unwrap());
}

#[tokio::test]
async fn who_has_a_policy() {
    let listed = sample(
        "ListEntitiesForPolicy",
        "<ListEntitiesForPolicyResult>
    <PolicyRoles>
      <member>
        <RoleName>DevRole</RoleName>
        <RoleId>AROADBQP57FF2AEXAMPLE</RoleId>
      </member>
    </PolicyRoles>
    <PolicyGroups>
      <member>
        <GroupName>Dev</GroupName>
        <GroupId>AGPACKCEVSQ6C2EXAMPLE</GroupId>
      </member>
    </PolicyGroups>
    <IsTruncated>false</IsTruncated>
    <PolicyUsers>
      <member>
        <UserName>Alice</UserName>
        <UserId>AIDACKCEVSQ6C2EXAMPLE</UserId>
      </member>
      <member>
        <UserName>Bob</UserName>
        <UserId>BIDACKCEVSQ6C2EXAMPLE</UserId>
      </member>
    </PolicyUsers>
  </ListEntitiesForPolicyResult>",
    );
    let replay = Replay::of([listed]).await;
    let all = replay.aws(connection()).holders(BUCKET_POLICY, PolicyUsageType::PermissionsPolicy).await.unwrap();
    let expected = [Holder::User("Alice".into()), Holder::User("Bob".into()), Holder::Group("Dev".into()), Holder::Role("DevRole".into())];
    assert_eq!(all.len(), expected.len());
    assert!(expected.iter().all(|one| all.contains(one)), "{all:?}");
}

#[tokio::test]
async fn the_versions_of_a_policy_but_the_default_one_are_deleted() {
    let version = |id: &str, default: bool| {
        format!(
            "<member>\n        <IsDefaultVersion>{default}</IsDefaultVersion>\n        <VersionId>{id}</VersionId>\n\
             <CreateDate>2014-09-17T22:32:43Z</CreateDate>\n      </member>"
        )
    };
    let all = [version("v3", false), version("v2", true), version("v1", false)].concat();
    let versions =
        format!("<ListPolicyVersionsResult>\n<Versions>{all}</Versions>\n<IsTruncated>false</IsTruncated>\n</ListPolicyVersionsResult>");
    let deleted = || sample("DeletePolicyVersion", "");
    let replay = Replay::of([sample("ListPolicyVersions", &versions), deleted(), deleted()]).await;
    replay.aws(connection()).delete_other_versions(BUCKET_POLICY).await.unwrap();
    let sent = replay.all_sent("DeletePolicyVersion");
    assert!(sent.len() == 2 && sent[0].contains("VersionId=v3") && sent[1].contains("VersionId=v1"), "{sent:?}");
}

#[tokio::test]
async fn what_a_user_has_and_what_an_account_may_have() {
    let attached = sample(
        "ListAttachedUserPolicies",
        "<ListAttachedUserPoliciesResult>
    <AttachedPolicies>
      <member>
        <PolicyName>AdministratorAccess</PolicyName>
        <PolicyArn>arn:aws:iam::aws:policy/AdministratorAccess</PolicyArn>
      </member>
    </AttachedPolicies>
    <IsTruncated>false</IsTruncated>
  </ListAttachedUserPoliciesResult>",
    );
    // Without the entries that nothing here reads. Quotas are those of a small account, and the roles are left out.
    let numbers = [
        ("Users", 32),
        ("AttachedPoliciesPerUserQuota", 2),
        ("AttachedPoliciesPerRoleQuota", 2),
        ("Policies", 22),
        ("PoliciesQuota", 1_000),
    ];
    let entries: String =
        numbers.iter().map(|(key, n)| format!("<entry>\n        <key>{key}</key>\n        <value>{n}</value>\n      </entry>")).collect();
    let summary = format!("<GetAccountSummaryResult>\n    <SummaryMap>\n{entries}</SummaryMap>\n  </GetAccountSummaryResult>");
    let replay = Replay::of([attached, sample("GetAccountSummary", &summary)]).await;
    let aws = replay.aws(connection());
    assert_eq!(aws.attached_to_user("Alice").await.unwrap().unwrap(), ["arn:aws:iam::aws:policy/AdministratorAccess"]);
    let quotas = aws.quotas().await.unwrap();
    assert_eq!((quotas.policies, quotas.most_policies, quotas.most_attached_to_user, quotas.most_roles), (22, 1_000, 2, 1_000));
}

#[tokio::test]
async fn a_role_with_its_trust_policy() {
    let role = sample(
        "GetRole",
        "<GetRoleResult>
  <Role>
    <Path>/application_abc/component_xyz/</Path>
    <Arn>arn:aws:iam::123456789012:role/application_abc/component_xyz/S3Access</Arn>
    <RoleName>S3Access</RoleName>
    <AssumeRolePolicyDocument>
      {\"Version\":\"2012-10-17\",\t\t \t \t \"Statement\":[{\"Effect\":\"Allow\",
      \"Principal\":{\"Service\":[\"ec2.amazonaws.com\"]},\"Action\":[\"sts:AssumeRole\"]}]}
    </AssumeRolePolicyDocument>
    <CreateDate>2012-05-08T23:34:01Z</CreateDate>
    <RoleId>AROADBQP57FF2AEXAMPLE</RoleId>
    <RoleLastUsed>
      <LastUsedDate>2019-11-20T17:09:20Z</LastUsedDate>
      <Region>us-east-1</Region>
    </RoleLastUsed>
  </Role>
</GetRoleResult>",
    );
    let replay = Replay::of([role]).await;
    let found = replay.aws(connection()).role("S3Access").await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.name.as_str()), ("AROADBQP57FF2AEXAMPLE", "S3Access"));
    assert_eq!(found.trust.unwrap()["Statement"][0]["Principal"], json!({"Service": ["ec2.amazonaws.com"]}));
}

#[tokio::test]
async fn who_we_are() {
    let body = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">
  <GetCallerIdentityResult>
  <Arn>arn:aws:iam::123456789012:user/Alice</Arn>
  <UserId>AIDACKCEVSQ6C2EXAMPLE</UserId>
  <Account>123456789012</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata>
    <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>
  </ResponseMetadata>
</GetCallerIdentityResponse>";
    let replay = Replay::of([ok("GetCallerIdentity", body)]).await;
    let why = replay.aws(connection()).identity().await.unwrap_err().to_string();
    assert!(why.contains("lead to account 123456789012 (arn:aws:iam::123456789012:user/Alice)"), "{why}");
}

/// The errors that a grant and its end meet, with the status that the references give them.
#[tokio::test]
async fn errors_have_the_status_of_the_references() {
    let gone = || xml_error("GetPolicy", 404, "NoSuchEntity", "Policy arn:aws:iam::123456789012:policy/x was not found.");
    let failed = || xml_error("GetPolicy", 500, "ServiceFailure", "The request processing has failed because of an unknown error.");
    let replay = Replay::of([gone(), failed()]).await;
    let aws = replay.aws(connection());
    assert_eq!(aws.policy(BUCKET_POLICY).await, Ok(None));
    assert!(aws.policy(BUCKET_POLICY).await.is_err(), "unknown is not absent");
}
