//! One AWS account for a test: its users with their keys, policies, roles, and the role of the operator.
use super::{
    client::{Answer, Aws, Keys, REGION},
    emulators::Emulators,
    identity_center::SignIn,
    proxy::environment,
};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// An account. Every test has one of its own.
#[derive(Clone)]
pub struct Account<'a> {
    emulators: &'a Emulators,
    /// Twelve digits.
    pub id: String,
}

/// A user of an account, with its keys.
#[derive(Clone, Debug)]
pub struct AwsUser {
    /// The user name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// A client with the user's own keys.
    pub aws: Aws,
}

/// A policy of these statements.
pub fn policy(statements: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// A policy that allows these actions on everything.
pub fn allow(actions: &[&str]) -> Value {
    policy(json!([{"Effect": "Allow", "Action": actions, "Resource": "*"}]))
}

/// A trust policy that lets these principals in.
pub fn trust(principals: &[&str], condition: &Value) -> Value {
    let mut statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principals}});
    if !condition.is_null() {
        statement["Condition"] = condition.clone();
    }
    policy(json!([statement]))
}

impl<'a> Account<'a> {
    /// A new, empty account.
    pub fn new(emulators: &'a Emulators) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(100_000_000_001);
        Account { emulators, id: NEXT.fetch_add(1, Ordering::Relaxed).to_string() }
    }

    /// The root of the account, past all faults: what an administrator does by hand.
    pub fn root(&self) -> Aws {
        Aws { endpoint: self.emulators.proxy().emulator().into(), keys: Keys::root(&self.id) }
    }

    /// A call of IAM by an administrator.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        self.root().iam(action, parameters).await?.success().with_context(|| format!("{action} {parameters:?}"))
    }

    /// A new user with keys.
    ///
    /// # Errors
    /// If there is one of that name.
    pub async fn user(&self, name: &str) -> Result<AwsUser> {
        let made = self.iam("CreateUser", &[("UserName", name)]).await?;
        let arn = made.text("Arn").context("no ARN")?;
        Ok(AwsUser { name: name.into(), arn, aws: self.keys(name).await? })
    }

    /// New keys of a user.
    ///
    /// # Errors
    /// If there is no such user.
    pub async fn keys(&self, user: &str) -> Result<Aws> {
        let made = self.iam("CreateAccessKey", &[("UserName", user)]).await?;
        let text = |element: &str| made.text(element).with_context(|| format!("no {element}"));
        let keys = Keys { access_key: text("AccessKeyId")?, secret: text("SecretAccessKey")?, token: None };
        self.emulators.proxy().register(&keys.access_key, &self.id);
        Ok(Aws { endpoint: self.emulators.proxy().endpoint(), keys })
    }

    /// A new customer-managed policy; answers its ARN.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn policy(&self, name: &str, document: &Value) -> Result<String> {
        let made = self.iam("CreatePolicy", &[("PolicyName", name), ("PolicyDocument", &document.to_string())]).await?;
        made.text("Arn").context("no ARN")
    }

    /// A new role; answers its ARN.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn role(&self, name: &str, trust: &Value, document: &Value) -> Result<String> {
        let made = self.iam("CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())]).await?;
        let inline = [("RoleName", name), ("PolicyName", "rights"), ("PolicyDocument", &document.to_string())];
        self.iam("PutRolePolicy", &inline).await?;
        made.text("Arn").context("no ARN")
    }

    /// A new, empty bucket.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn bucket(&self, name: &str) -> Result<()> {
        let path = format!("/{name}");
        self.root().send_to((REGION, &path), http::Method::PUT, "s3", &[], String::new()).await?.success().map(drop)
    }

    /// The policies that are attached to a user, by ARN.
    ///
    /// # Errors
    /// If there is no such user.
    pub async fn attached_to(&self, user: &str) -> Result<Vec<String>> {
        Ok(self.iam("ListAttachedUserPolicies", &[("UserName", user)]).await?.texts("PolicyArn"))
    }

    /// The ARNs of everything under a path: customer-managed policies and roles.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn under(&self, path: &str) -> Result<Vec<String>> {
        let mut all = self.iam("ListPolicies", &[("Scope", "Local"), ("PathPrefix", path)]).await?.texts("Arn");
        all.extend(self.iam("ListRoles", &[("PathPrefix", path)]).await?.texts("Arn"));
        Ok(all)
    }

    /// The environment of a process that has this user's keys.
    pub fn environment(&self, user: &AwsUser) -> Vec<(String, String)> {
        environment(&self.emulators.proxy().endpoint(), &user.aws.keys)
    }

    /// Signs in at the access portal of Identity Center; `None` for a user who is not assigned.
    ///
    /// # Errors
    /// If the emulators do not answer.
    pub async fn sign_in(&self, s: &SignIn<'_>) -> Result<Option<Aws>> {
        let proxy = self.emulators.proxy();
        let signed_in = proxy.inner.identity_center.sign_in(proxy.emulator(), s).await?;
        Ok(signed_in.map(|aws| {
            proxy.register(&aws.keys.access_key, &self.id);
            Aws { endpoint: proxy.endpoint(), keys: aws.keys }
        }))
    }
}
