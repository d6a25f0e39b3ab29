//! Findings about who can assume roles from outside of the account.
use super::Facts;
use crate::{
    assemble::{finding, percent, written},
    report::{Finding, FindingType},
};

impl Facts<'_> {
    /// Roles that everybody, other accounts or identity providers can assume.
    pub(super) fn about_trust(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for scored in self.reported() {
            let Some(trust) = &scored.identity.trust else { continue };
            let holds = format!("it holds {} of all power", percent(scored.score.granted));
            if let Some(why) = &trust.everyone {
                let advice = "Name the principals in its trust policy, or add a condition on the subject, the organisation or the account.";
                let evidence = vec![why.clone(), holds.clone()];
                let summary = "can be assumed by everybody".to_owned();
                found.push(finding(FindingType::TrustsEveryone, scored.arn.to_owned(), summary, evidence, advice));
            }
            // The roles of IAM Identity Center trust its own provider.
            let own_center = |provider: &&String| !provider.contains(":saml-provider/AWSSSO_");
            let federated: Vec<&String> = trust.federated.iter().filter(own_center).collect();
            if trust.external.is_empty() && federated.is_empty() {
                continue;
            }
            let accounts = trust.external.iter().map(|principal| format!("trusts {principal}"));
            let providers = federated.iter().map(|provider| format!("trusts identities of {provider}"));
            let own = format!(":{}:", self.inventory.input.details.account);
            let callers = self.usage.assumed.get(scored.arn).into_iter().flatten();
            let outside =
                callers.filter(|(caller, at)| !caller.contains(&own) && !caller.starts_with("AWSService ") && self.window.contains(**at));
            let assumed = outside.map(|(caller, at)| format!("assumed by {caller}, last {}", written(*at)));
            let evidence = accounts.chain(providers).chain([holds]).chain(assumed).collect();
            let summary = format!(
                "can be assumed from outside of the account: {} external principals, {} identity providers",
                trust.external.len(),
                federated.len()
            );
            let advice = "Check that each of them is still needed; require an external id of third parties.";
            found.push(finding(FindingType::ExternalAccess, scored.arn.to_owned(), summary, evidence, advice));
        }
        found
    }
}
