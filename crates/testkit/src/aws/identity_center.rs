//! What moto lacks of Identity Center: assignments that take time, conflicts meanwhile, and a way to use what is assigned.
use super::{
    client::{Answer, Aws, Keys, REGION, send},
    faults::AwsCall,
    proxy::refusal,
};
use crate::user::background;
use anyhow::{Context, Result, ensure};
use axum::response::{IntoResponse, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// An assignment that is being created or deleted.
#[derive(Clone)]
struct Operation {
    body: Value,
    account: String,
    creates: bool,
    /// `IN_PROGRESS`, `SUCCEEDED` or `FAILED`.
    status: &'static str,
}

#[derive(Clone)]
pub(super) struct IdentityCenter {
    moto: String,
    millis: Arc<AtomicU64>,
    operations: Arc<Mutex<HashMap<String, Operation>>>,
    /// The tags with which permission sets were created, by instance and name. Moto shows them to nobody.
    tags: Arc<Mutex<HashMap<(String, String), Value>>>,
}

/// A call of moto, as this account.
async fn moto(endpoint: &str, account: &str, service: &str, target: &str, body: &Value) -> Result<Answer> {
    let credential = format!("AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0");
    let request = http::Request::post(format!("{endpoint}/"))
        .header("authorization", credential)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", target)
        .header("x-moto-account-id", account);
    let (status, _, body) = send(request.body(Full::from(body.to_string()))?).await?;
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}

impl IdentityCenter {
    pub fn new(moto: String) -> Self {
        IdentityCenter { moto, millis: Arc::default(), operations: Arc::default(), tags: Arc::default() }
    }
    pub fn slow(&self, millis: u64) {
        self.millis.store(millis, Ordering::Relaxed);
    }
    fn operations(&self) -> MutexGuard<'_, HashMap<String, Operation>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a call that moto would answer otherwise than AWS; `None` for all others.
    pub async fn answer(&self, call: &AwsCall) -> Result<Option<Response>> {
        let body: Value = serde_json::from_str(call.parameter("")).unwrap_or_default();
        match call.action.as_str() {
            // https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_CreateGroupMembership.html: ConflictException
            "CreateGroupMembership" if self.is_stored(call, &body).await? => Ok(Some(refusal("identitystore", 400, "ConflictException"))),
            // https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_CreateAccountAssignment.html: ResourceNotFoundException
            "CreateAccountAssignment" if !self.exists(call, &body).await? => Ok(Some(refusal("sso", 400, "ResourceNotFoundException"))),
            "CreateAccountAssignment" => Ok(self.begin(call, body, true)),
            "DeleteAccountAssignment" => Ok(self.begin(call, body, false)),
            "ListAccountAssignmentCreationStatus" => Ok(Some(self.being_created(&body))),
            "CreatePermissionSet" => {
                self.tags.lock().unwrap_or_else(PoisonError::into_inner).insert(key(&body), body["Tags"].clone());
                Ok(None)
            }
            "ListTagsForResource" => self.tags_of(call, &body).await.map(Some),
            "DescribeAccountAssignmentCreationStatus" => Ok(self.described(&body["AccountAssignmentCreationRequestId"])),
            "DescribeAccountAssignmentDeletionStatus" => Ok(self.described(&body["AccountAssignmentDeletionRequestId"])),
            // https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_DeletePermissionSet.html: ConflictException
            "DeletePermissionSet" if self.is_assigned(call, &body).await? => Ok(Some(refusal("sso", 400, "ConflictException"))),
            _ => Ok(None),
        }
    }

    /// Whether the user of a call belongs to its group already.
    async fn is_stored(&self, call: &AwsCall, body: &Value) -> Result<bool> {
        Ok(moto(&self.moto, &call.account, "identitystore", "AWSIdentityStore.GetGroupMembershipId", body).await?.ok())
    }

    /// Whether the permission set of a call exists.
    async fn exists(&self, call: &AwsCall, body: &Value) -> Result<bool> {
        let ask = json!({"InstanceArn": body["InstanceArn"], "PermissionSetArn": body["PermissionSetArn"]});
        Ok(moto(&self.moto, &call.account, "sso", "SWBExternalService.DescribePermissionSet", &ask).await?.ok())
    }

    /// Whether a permission set is assigned to anything in its own account, which is the only one here.
    async fn is_assigned(&self, call: &AwsCall, body: &Value) -> Result<bool> {
        Ok(!self.assignments(&call.account, &body["InstanceArn"], &body["PermissionSetArn"]).await?.is_empty())
    }

    async fn assignments(&self, account: &str, instance: &Value, set: &Value) -> Result<Vec<Value>> {
        let ask = json!({"InstanceArn": instance, "PermissionSetArn": set, "AccountId": account});
        let listed = moto(&self.moto, account, "sso", "SWBExternalService.ListAccountAssignments", &ask).await?;
        if !listed.ok() {
            return Ok(Vec::new());
        }
        Ok(listed.json()?["AccountAssignments"].as_array().cloned().unwrap_or_default())
    }

    /// Begins an assignment or its deletion, where these take time.
    fn begin(&self, call: &AwsCall, body: Value, creates: bool) -> Option<Response> {
        let millis = self.millis.load(Ordering::Relaxed);
        if millis == 0 {
            return None;
        }
        let mut operations = self.operations();
        let same = |o: &Operation| {
            o.status == "IN_PROGRESS" && ["TargetId", "PermissionSetArn", "PrincipalId"].iter().all(|f| o.body[*f] == body[*f])
        };
        if operations.values().any(same) {
            return Some(refusal("sso", 400, "ConflictException"));
        }
        let id = format!("00000000-0000-4000-8000-{:012}", operations.len());
        let operation = Operation { body, account: call.account.clone(), creates, status: "IN_PROGRESS" };
        let answer = shown(&id, &operation);
        operations.insert(id.clone(), operation.clone());
        drop(operations);
        let center = self.clone();
        background().spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            let target = if creates { "SWBExternalService.CreateAccountAssignment" } else { "SWBExternalService.DeleteAccountAssignment" };
            let done = moto(&center.moto, &operation.account, "sso", target, &operation.body).await;
            let status = if done.is_ok_and(|answer| answer.ok()) { "SUCCEEDED" } else { "FAILED" };
            if let Some(operation) = center.operations().get_mut(&id) {
                operation.status = status;
            }
        });
        Some(answer)
    }

    /// https://docs.aws.amazon.com/singlesignon/latest/APIReference/API_ListAccountAssignmentCreationStatus.html
    fn being_created(&self, body: &Value) -> Response {
        let operations = self.operations();
        let of = operations.iter().filter(|(_, o)| o.creates && o.body["InstanceArn"] == body["InstanceArn"]);
        let status = &body["Filter"]["Status"];
        let of = of.filter(|(_, o)| status.is_null() || *status == o.status);
        let all: Vec<Value> = of.map(|(id, o)| json!({"RequestId": id, "Status": o.status})).collect();
        json_answer(&json!({"AccountAssignmentsCreationStatus": all}))
    }

    async fn tags_of(&self, call: &AwsCall, body: &Value) -> Result<Response> {
        let ask = json!({"InstanceArn": body["InstanceArn"], "PermissionSetArn": body["ResourceArn"]});
        let described = moto(&self.moto, &call.account, "sso", "SWBExternalService.DescribePermissionSet", &ask).await?;
        let named = json!({"InstanceArn": body["InstanceArn"], "Name": described.success()?.json()?["PermissionSet"]["Name"]});
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner).get(&key(&named)).cloned();
        Ok(json_answer(&json!({"Tags": tags.filter(|tags| !tags.is_null()).unwrap_or_else(|| json!([]))})))
    }

    fn described(&self, id: &Value) -> Option<Response> {
        let id = id.as_str().unwrap_or_default();
        self.operations().get(id).map(|operation| shown(id, operation))
    }
}

fn key(body: &Value) -> (String, String) {
    let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
    (text("InstanceArn"), text("Name"))
}

fn json_answer(body: &Value) -> Response {
    ([("content-type", "application/x-amz-json-1.1")], body.to_string()).into_response()
}

fn shown(id: &str, operation: &Operation) -> Response {
    let mut status = operation.body.clone();
    status["RequestId"] = json!(id);
    status["Status"] = json!(operation.status);
    if operation.status == "FAILED" {
        status["FailureReason"] = json!("refused");
    }
    let name = if operation.creates { "AccountAssignmentCreationStatus" } else { "AccountAssignmentDeletionStatus" };
    json_answer(&json!({name: status}))
}

/// A permission set of an instance, for those who sign in.
#[derive(Clone, Debug)]
pub struct SignIn<'a> {
    /// The account of the instance and of the access.
    pub account: &'a str,
    /// The instance.
    pub instance: &'a str,
    /// The identity store of the instance.
    pub store: &'a str,
    /// The permission set, by ARN.
    pub permission_set: &'a str,
    /// The id of the user in the identity store.
    pub user: &'a str,
}

impl IdentityCenter {
    /// What the access portal does: gives keys of the permission set's role to a user who is assigned, directly or by a group; `None`
    /// to all others. The role has the policies that the permission set has at this moment.
    pub async fn sign_in(&self, ministack: &str, s: &SignIn<'_>) -> Result<Option<Aws>> {
        let (instance, set) = (json!(s.instance), json!(s.permission_set));
        let mut assigned = false;
        for assignment in self.assignments(s.account, &instance, &set).await? {
            assigned |= match assignment["PrincipalType"].as_str() {
                Some("GROUP") => self.is_member(s, &assignment["PrincipalId"]).await?,
                _ => assignment["PrincipalId"] == s.user,
            };
        }
        if !assigned {
            return Ok(None);
        }
        let of_set = json!({"InstanceArn": instance, "PermissionSetArn": set});
        let ask = async |action: &str| {
            moto(&self.moto, s.account, "sso", &format!("SWBExternalService.{action}"), &of_set).await?.success()?.json()
        };
        let inline = ask("GetInlinePolicyForPermissionSet").await?["InlinePolicy"].as_str().unwrap_or_default().to_owned();
        let managed = ask("ListManagedPoliciesInPermissionSet").await?["AttachedManagedPolicies"].clone();
        let root = Aws { endpoint: ministack.into(), keys: Keys::root(s.account) };
        let name = format!("AWSReservedSSO_{}", s.permission_set.rsplit('-').next().unwrap_or_default());
        let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {"AWS": format!("arn:aws:iam::{}:root", s.account)}}]});
        let path = ("Path", "/aws-reserved/sso.amazonaws.com/");
        let made = root.iam("CreateRole", &[path, ("RoleName", &name), ("AssumeRolePolicyDocument", &trust.to_string())]).await?;
        ensure!(made.ok() || made.code().as_deref() == Some("EntityAlreadyExists"), "{}", made.body);
        if !inline.is_empty() {
            let policy = [("RoleName", name.as_str()), ("PolicyName", "inline"), ("PolicyDocument", &inline)];
            root.iam("PutRolePolicy", &policy).await?.success()?;
        }
        for policy in managed.as_array().into_iter().flatten() {
            let arn = policy["Arn"].as_str().context("no ARN")?;
            root.iam("AttachRolePolicy", &[("RoleName", &name), ("PolicyArn", arn)]).await?.success()?;
        }
        root.assume(&format!("arn:aws:iam::{}:role/aws-reserved/sso.amazonaws.com/{name}", s.account), &[]).await
    }

    async fn is_member(&self, s: &SignIn<'_>, group: &Value) -> Result<bool> {
        let ask = json!({"IdentityStoreId": s.store, "GroupId": group});
        let listed = moto(&self.moto, s.account, "identitystore", "AWSIdentityStore.ListGroupMemberships", &ask).await?.success()?;
        let members = listed.json()?["GroupMemberships"].clone();
        Ok(members.as_array().into_iter().flatten().any(|m| m["MemberId"]["UserId"] == s.user))
    }
}
