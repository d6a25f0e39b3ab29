//! Whether the operator has the rights that it needs, asked of IAM's own policy simulator: about itself, without an effect.
//!
//! The simulator knows the policies of the operator's role, its boundary and the policies of the organisation. It may be asked only
//! by who has `iam:SimulatePrincipalPolicy` on itself. Where that is denied nothing is claimed: what is missing shows when it is used.
use super::{Aws, errors::Call, identity::Caller, least_privilege};
use crate::providers::port::ProviderError;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use curfew_core::target::aws::{Access, Plan};

/// The file whose policy has all of these rights, for messages.
pub const WHERE: &str = "the policy of its role (deploy/aws/iam.json)";

/// Actions on one resource, for one call of the simulator.
pub struct Question<'a> {
    /// The actions, at most 100.
    pub actions: &'a [&'a str],
    /// The ARN of the resource, or `*`.
    pub on: String,
    /// The policy that is attached or detached: conditions ask for it.
    pub policy: Option<String>,
}

/// Who is asked about.
enum Source {
    /// The user or the role.
    Arn(String),
    /// The root of the account may do everything.
    Root,
    /// IAM does not simulate this kind of caller.
    Other,
}

impl Aws {
    /// The actions of which the operator has not the right, with their resource. `None` where IAM does not let it ask.
    pub(super) async fn denied(&self, questions: &[Question<'_>]) -> Result<Option<Vec<String>>, ProviderError> {
        let source = match self.source().await {
            Ok(Source::Arn(arn)) => arn,
            Ok(Source::Root) => return Ok(Some(Vec::new())),
            Ok(Source::Other) | Err(ProviderError::Denied(_)) => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut denied = Vec::new();
        for question in questions {
            match self.simulate(&source, question).await {
                Ok(found) => denied.extend(found),
                Err(ProviderError::Denied(_)) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
        Ok(Some(denied))
    }

    /// What sweeping and revoking need in every account.
    ///
    /// # Errors
    /// [`ProviderError::Denied`] if IAM does not let the operator ask.
    pub(super) async fn missing_everywhere(&self) -> Result<Vec<String>, ProviderError> {
        let caller = self.confirmed_caller().await?;
        let (policy, user) = (own(&caller, "policy"), format!("arn:{}:iam::{}:user/*", caller.partition(), caller.account));
        let questions = [
            Question { actions: &least_privilege::TAKING_ACTIONS, on: policy.clone(), policy: None },
            Question { actions: &["iam:DetachUserPolicy"], on: user, policy: Some(policy) },
            Question { actions: &["iam:ListPolicies", "iam:ListRoles"], on: "*".into(), policy: None },
        ];
        self.denied(&questions).await?.ok_or_else(|| {
            ProviderError::Denied(
                "whether the operator has the rights that it needs is not known; allow iam:GetRole and iam:SimulatePrincipalPolicy on its own role (deploy/aws/iam.json)".into(),
            )
        })
    }

    async fn source(&self) -> Result<Source, ProviderError> {
        let caller = self.confirmed_caller().await?;
        let Some(role) = caller.role() else {
            return Ok(match caller.arn.split(':').nth(5) {
                Some("root") => Source::Root,
                Some(user) if user.starts_with("user/") => Source::Arn(caller.arn),
                Some(_) | None => Source::Other,
            });
        };
        // The ARN of a session leaves out the path of its role.
        let call = Call { action: "iam:GetRole", on: role };
        let found = self.clients().await.iam.get_role().role_name(role).send().await.map_err(|e| call.failed(e))?;
        Ok(found.role().map_or(Source::Other, |role| Source::Arn(role.arn().to_owned())))
    }

    async fn simulate(&self, source: &str, question: &Question<'_>) -> Result<Vec<String>, ProviderError> {
        let call = Call { action: "iam:SimulatePrincipalPolicy", on: source };
        let actions = question.actions.iter().map(|action| (*action).to_owned()).collect();
        let mut asked = self.clients().await.iam.simulate_principal_policy().policy_source_arn(source).set_action_names(Some(actions));
        asked = asked.resource_arns(&question.on).max_items(1_000);
        if let Some(policy) = &question.policy {
            let entry = ContextEntry::builder().context_key_name("iam:PolicyARN").context_key_type(ContextKeyTypeEnum::String);
            asked = asked.context_entries(entry.context_key_values(policy).build());
        }
        let said = asked.send().await.map_err(|e| call.failed(e))?;
        let denied = said.evaluation_results().iter().filter(|result| *result.eval_decision() != PolicyEvaluationDecisionType::Allowed);
        Ok(denied.map(|result| format!("{} on {}", result.eval_action_name(), question.on)).collect())
    }
}

/// An ARN below `/curfew/`, as every object of a grant has one.
pub fn own(caller: &Caller, kind: &str) -> String {
    format!("arn:{}:iam::{}:{kind}/curfew/any", caller.partition(), caller.account)
}

impl Aws {
    /// The first right that the operator lacks to write and remove such a plan, with the file that grants it. `None` if it lacks none, or
    /// may not ask. Of Identity Center nothing is asked: its rights depend on tags and on another account.
    pub(super) async fn missing_for(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        let caller = self.confirmed_caller().await?;
        let (policy, role) = (own(&caller, "policy"), own(&caller, "role"));
        let on = |actions, on: &str, policy: Option<&String>| Question { actions, on: on.to_owned(), policy: policy.cloned() };
        let policies = on(&least_privilege::POLICY_ACTIONS, &policy, None);
        let questions = match &plan.access {
            Access::User(_) => {
                let user = format!("arn:{}:iam::{}:user/any", caller.partition(), caller.account);
                vec![
                    policies,
                    on(&["iam:AttachUserPolicy", "iam:DetachUserPolicy"], &user, Some(&policy)),
                    on(&["iam:ListAttachedUserPolicies"], &user, None),
                ]
            }
            Access::Role(_) => vec![
                policies,
                on(&least_privilege::ROLE_ACTIONS, &role, None),
                on(&["iam:AttachRolePolicy", "iam:DetachRolePolicy"], &role, Some(&policy)),
            ],
            Access::PermissionSet(_) | Access::Assignment(_) | Access::Membership(_) => return Ok(None),
        };
        let denied = self.denied(&questions).await?.unwrap_or_default();
        Ok((!denied.is_empty()).then(|| format!("the operator may not call {}; allow it in {WHERE}", denied.join(", "))))
    }

    /// What AWS would refuse of every such plan: a quota that is full.
    pub(super) async fn refusal_of(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        match &plan.access {
            Access::User(_) => Ok(self.quotas().await?.full_policies(1)),
            Access::Role(_) => {
                let quotas = self.quotas().await?;
                Ok(quotas.full_roles(1).or_else(|| quotas.full_policies(1)))
            }
            Access::PermissionSet(_) | Access::Assignment(_) | Access::Membership(_) => Ok(None),
        }
    }
}
