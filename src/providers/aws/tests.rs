//! An account, a plan and the answers about it, for unit tests. The account is that of the examples of AWS's documentation.
use super::replay::{Recorded, iam};
use crate::api::system::AwsConnection;
use curfew_core::{
    target::{
        PlanNames,
        aws::{Access, Plan, PlannedPolicy, dating::dated, document::Document, names, plan::PlannedUser},
    },
    time::Time,
};

pub const ACCOUNT: &str = "111122223333";
pub const USER: &str = "alice";
pub const GRANT: &str = "00000000000000a1";

pub fn connection() -> AwsConnection {
    AwsConnection { account_id: ACCOUNT.into(), region: "us-east-1".into(), assume_role: None, identity_center: None }
}

pub fn deadline() -> Time {
    Time::parse("2026-11-26T18:00:00Z").unwrap()
}

/// A policy that ends at the deadline, as a plan has it.
pub fn policy(n: usize, action: &str) -> PlannedPolicy {
    let text = serde_json::json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]});
    let document = dated(&Document::parse(&text.to_string()).unwrap(), deadline()).unwrap().text();
    PlannedPolicy { name: names::name(PlanNames { install: "0123abcd", grant: GRANT, deadline: deadline() }, n), document }
}

pub fn plan(access: Access) -> Plan {
    Plan { partition: "aws".into(), account: ACCOUNT.into(), deadline: deadline(), access }
}

/// A plan of one policy for the user.
pub fn user_plan() -> (Plan, PlannedUser) {
    let user = PlannedUser { user: USER.into(), policies: vec![policy(0, "s3:GetObject")] };
    (plan(Access::User(user.clone())), user)
}

pub fn arn(policy: &PlannedPolicy) -> String {
    names::policy_arn("aws", ACCOUNT, &policy.name)
}

/// How IAM shows a policy of a plan.
#[derive(Clone)]
pub struct Stored {
    pub planned: PlannedPolicy,
    pub id: &'static str,
    pub version: &'static str,
    pub attachments: u32,
    pub tag: &'static str,
}

pub fn stored(planned: &PlannedPolicy) -> Stored {
    Stored { planned: planned.clone(), id: "ANPA0123456789EXAMPLE", version: "v1", attachments: 0, tag: GRANT }
}

impl Stored {
    /// As a member of a list, which has no tags.
    pub fn listed(&self) -> String {
        self.content("member", "")
    }
    fn xml(&self) -> String {
        let tag = format!("<Tags><member><Key>curfew.dev/grant</Key><Value>{}</Value></member></Tags>", self.tag);
        self.content("Policy", &tag)
    }
    fn content(&self, element: &str, tags: &str) -> String {
        format!(
            "<{element}><PolicyName>{}</PolicyName><PolicyId>{}</PolicyId><Arn>{}</Arn><Path>/curfew/</Path>\
             <DefaultVersionId>{}</DefaultVersionId><AttachmentCount>{}</AttachmentCount>\
             <PermissionsBoundaryUsageCount>0</PermissionsBoundaryUsageCount><IsAttachable>true</IsAttachable>\
             <CreateDate>2026-11-26T12:00:00Z</CreateDate><UpdateDate>2026-11-26T12:00:00Z</UpdateDate>\
             {tags}</{element}>",
            self.planned.name,
            self.id,
            arn(&self.planned),
            self.version,
            self.attachments,
        )
    }
    pub fn created(&self) -> Recorded {
        iam("CreatePolicy", &self.xml())
    }
    pub fn read(&self) -> Recorded {
        iam("GetPolicy", &self.xml())
    }
    /// The document of its default version, encoded as AWS encodes it.
    pub fn document(&self) -> Recorded {
        let encoded = percent_encoding::utf8_percent_encode(&self.planned.document, percent_encoding::NON_ALPHANUMERIC);
        let version = self.version;
        iam(
            "GetPolicyVersion",
            &format!(
                "<PolicyVersion><Document>{encoded}</Document><VersionId>{version}</VersionId>\
                 <IsDefaultVersion>true</IsDefaultVersion><CreateDate>2026-11-26T12:00:00Z</CreateDate></PolicyVersion>"
            ),
        )
    }
}

/// What ListAttachedUserPolicies answers.
pub fn attached(arns: &[String]) -> Recorded {
    let members: String =
        arns.iter().map(|arn| format!("<member><PolicyName>p</PolicyName><PolicyArn>{arn}</PolicyArn></member>")).collect();
    iam("ListAttachedUserPolicies", &format!("<AttachedPolicies>{members}</AttachedPolicies><IsTruncated>false</IsTruncated>"))
}

/// What GetAccountSummary answers.
pub fn summary(numbers: &[(&str, u32)]) -> Recorded {
    let entries: String = numbers.iter().map(|(key, n)| format!("<entry><key>{key}</key><value>{n}</value></entry>")).collect();
    iam("GetAccountSummary", &format!("<SummaryMap>{entries}</SummaryMap>"))
}

/// An answer of IAM without a result.
pub fn done(action: &'static str) -> Recorded {
    iam(action, "")
}

mod center_ends;
mod credentials;
mod identity;
mod identity_center;
mod managed;
mod odd_answers;
mod published;
mod rights;
mod role;
mod simulation;
mod standing;
mod user;
