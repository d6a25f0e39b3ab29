//! Whether an access that is written works, asked of IAM's own policy simulator, without an effect.
//!
//! What else concerns the same user or role may deny it: a policy that denies, a permissions boundary, a policy of the organisation. Only
//! such a denial is reported. That something is not allowed is not one: the simulator does not know every condition, and what was
//! written a moment ago may not be there yet.
use super::{Aws, errors::Call};
use crate::providers::port::ProviderError;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType};
use curfew_core::{
    target::aws::{
        Access, Plan, PlannedPolicy,
        dating::CURRENT_TIME,
        names,
        narrowing::REGION,
        sample::{Sample, samples},
    },
    time::Time,
};

/// For how long an answer is believed. It ends nothing and begins nothing, so it may be old; but a person who has removed a denial looks
/// whether it is gone.
fn believed_secs(said: Option<&String>) -> i64 {
    if said.is_some() { 60 } else { 3_600 }
}

/// Whom the simulator is asked about.
struct Subject<'a> {
    policies: &'a [PlannedPolicy],
    /// In words.
    who: &'a str,
    arn: String,
}

impl Aws {
    /// What denies the access of this plan, in words. `None` if nothing is known to, or the simulator cannot be asked.
    pub(super) async fn denial_of(&self, plan: &Plan) -> Result<Option<String>, ProviderError> {
        let (policies, who) = match &plan.access {
            Access::User(user) => (&user.policies, &user.user),
            Access::Role(role) => (&role.policies, &role.name),
            Access::PermissionSet(_) | Access::Assignment(_) | Access::Membership(_) => return Ok(None),
        };
        let Some(key) = policies.first().map(|policy| policy.name.clone()) else { return Ok(None) };
        let now = self.clock.now();
        let young = |(at, said): &(Time, Option<String>)| (0..believed_secs(said.as_ref()) * 1_000).contains(&now.millis_since(*at));
        if let Some((_, said)) = self.simulated.get(&key).filter(young) {
            return Ok(said);
        }
        let said = match self.simulated_now(plan, policies, who, now).await {
            // Not allowed to ask, or no longer there: nothing is claimed.
            Err(ProviderError::Denied(_) | ProviderError::Gone | ProviderError::Invalid(_)) => None,
            other => other?,
        };
        self.simulated.insert(key, (now, said.clone()));
        Ok(said)
    }

    async fn simulated_now(&self, plan: &Plan, policies: &[PlannedPolicy], who: &str, now: Time) -> Result<Option<String>, ProviderError> {
        let questions = samples(policies);
        if questions.is_empty() {
            return Ok(None);
        }
        let arn = match &plan.access {
            Access::Role(role) => names::role_arn(&plan.partition, &plan.account, &role.name),
            _ => self.user_arn(who).await?,
        };
        let subject = Subject { policies, who, arn };
        for question in &questions {
            if let Some(denial) = self.ask(&subject, question, now).await? {
                return Ok(Some(denial));
            }
        }
        Ok(None)
    }

    /// The ARN of a user, which has a path that the name does not tell.
    async fn user_arn(&self, name: &str) -> Result<String, ProviderError> {
        let call = Call { action: "iam:GetUser", on: name };
        let found = self.clients().await.iam.get_user().user_name(name).send().await.map_err(|e| call.failed(e))?;
        found.user().map(|user| user.arn().to_owned()).filter(|arn| !arn.is_empty()).ok_or_else(|| call.incomplete())
    }

    async fn ask(&self, of: &Subject<'_>, question: &Sample, now: Time) -> Result<Option<String>, ProviderError> {
        let call = Call { action: "iam:SimulatePrincipalPolicy", on: &of.arn };
        let context = |key: &str, kind, value: String| {
            ContextEntry::builder().context_key_name(key).context_key_type(kind).context_key_values(value).build()
        };
        let asked = self.clients().await.iam.simulate_principal_policy().policy_source_arn(&of.arn);
        let asked = asked.set_action_names(Some(question.actions.clone())).resource_arns(&question.resource);
        let mut asked = asked.context_entries(context(CURRENT_TIME, ContextKeyTypeEnum::Date, now.floor_secs().to_string()));
        if let Some(region) = &question.region {
            asked = asked.context_entries(context(REGION, ContextKeyTypeEnum::String, region.clone()));
        }
        let said = asked.send().await.map_err(|e| call.failed(e))?;
        let own = |id: &str| of.policies.iter().any(|policy| policy.name == id);
        let denied = said.evaluation_results().iter().find_map(|result| denial(result, own).map(|why| (result, why)));
        Ok(denied.map(|(result, why)| {
            format!("{} may not call {} on {}, which this grant allows: {why}", of.who, result.eval_action_name(), question.resource)
        }))
    }
}

/// What denies an action, in words; nothing where it is allowed, or only not allowed.
fn denial(result: &EvaluationResult, own: impl Fn(&str) -> bool) -> Option<String> {
    if *result.eval_decision() == PolicyEvaluationDecisionType::Allowed {
        return None;
    }
    if result.organizations_decision_detail().is_some_and(|detail| !detail.allowed_by_organizations()) {
        return Some("a policy of the organisation does not".into());
    }
    if result.permissions_boundary_decision_detail().is_some_and(|detail| !detail.allowed_by_permissions_boundary()) {
        return Some("the permissions boundary does not".into());
    }
    if *result.eval_decision() != PolicyEvaluationDecisionType::ExplicitDeny {
        return None;
    }
    let others = result.matched_statements().iter().filter_map(|statement| statement.source_policy_id()).find(|id| !own(id));
    Some(others.map_or("another policy denies it".to_owned(), |id| format!("policy {id} denies it")))
}
