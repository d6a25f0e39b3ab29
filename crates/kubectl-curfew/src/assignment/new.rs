//! `kubectl curfew assignment new`: asks for an EligibleAssignment that does not exist yet.
use super::Asked;
use crate::{
    context::CliContext,
    init::{object_name, subject as person_or_group},
    read, spec,
};
use clap::Args;
use curfew_api::{
    RoleTemplate,
    assignment::{AssignmentScope, NameRef},
    assignment_request::{Action, New as Wanted},
};
use curfew_core::{
    digest::Digest,
    principal::{ServiceAccount, Subject},
    target::{Empty, PermissionsByProvider, ScopeByProvider},
    time::Time,
};

#[derive(Args, Debug)]
pub(super) struct New {
    /// Name of the RoleTemplate; `kubectl get rtpl` lists them.
    role: String,
    /// The end of the eligibility, in UTC, such as 2027-03-01T00:00:00Z.
    #[arg(long, value_parser = spec::time, value_name = "TIME")]
    until: Time,
    /// The start of the eligibility, in UTC. Default: now.
    #[arg(long, value_parser = spec::time, value_name = "TIME")]
    start: Option<Time>,
    /// Who will be eligible, as user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME. Default: you. For others you need the verb manage on all EligibleAssignments of the namespace.
    #[arg(long = "for", value_parser = subject, value_name = "KIND:NAME")]
    subject: Option<Subject>,
    /// A narrower scope than that of the role, as YAML: '{kubernetes: {namespaces: [payments]}}'.
    #[arg(long, value_parser = spec::yaml::<ScopeByProvider>, value_name = "YAML")]
    scope: Option<ScopeByProvider>,
    /// Fewer permissions than those of the role, as YAML: '{kubernetes: {clusterRoles: [view]}}'.
    #[arg(long, value_parser = spec::yaml::<PermissionsByProvider>, value_name = "YAML")]
    permissions: Option<PermissionsByProvider>,
    /// Name that the EligibleAssignment gets. Default: from role, subject and end.
    #[arg(long, value_name = "NAME")]
    assignment: Option<String>,
    #[command(flatten)]
    pub(super) asked: Asked,
}

fn subject(text: &str) -> Result<Subject, String> {
    let told = "write it as user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME";
    match text.split_once(':') {
        Some(("serviceaccount", account)) => match account.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Subject::ServiceAccount(ServiceAccount { namespace: namespace.into(), name: name.into() }))
            }
            _ => Err(told.into()),
        },
        Some(("user" | "group", name)) if !name.is_empty() => person_or_group(text),
        _ => Err(told.into()),
    }
}

impl New {
    /// What is asked for.
    ///
    /// # Errors
    /// If the role is known not to exist, or the API server does not answer.
    pub(super) async fn action(&self, me: &CliContext) -> anyhow::Result<Action> {
        if let Ok(None) = read::one::<RoleTemplate>(me, &me.namespace, &self.role).await? {
            return spec::refuse_missing_role(me, &self.role).await;
        }
        let subject = match &self.subject {
            Some(subject) => subject.clone(),
            None => {
                let login = me.who().await?;
                login.service_account().unwrap_or(Subject::User(login.username))
            }
        };
        let name = self.assignment.clone().unwrap_or_else(|| name_of(&self.role, &subject, self.until));
        Ok(Action::New(Box::new(Wanted {
            name,
            role_ref: NameRef { name: self.role.clone() },
            subject,
            scope: scope(self.scope.clone()),
            permissions: self.permissions.clone(),
            start: self.start,
            until: self.until,
        })))
    }
}

fn scope(narrower: Option<ScopeByProvider>) -> AssignmentScope {
    match narrower {
        None => AssignmentScope { all: Some(Empty {}), ..AssignmentScope::default() },
        Some(scope) => {
            // Test builds have a provider more.
            let mut narrower = AssignmentScope::default();
            (narrower.kubernetes, narrower.aws) = (scope.kubernetes, scope.aws);
            narrower
        }
    }
}

/// A name that people recognise, and that is another one for another subject or end: the same command twice asks for the same assignment.
fn name_of(role: &str, subject: &Subject, until: Time) -> String {
    let digest = Digest::of(&(role, subject, until)).to_string();
    let of = subject.principal();
    let of = of.rsplit(':').next().unwrap_or(&of).split('@').next().unwrap_or_default();
    format!("{}-{}", object_name(&format!("{role}-{of}")), &digest[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_follows_from_role_subject_and_end() {
        let until = Time::from_secs(1_800_000_000);
        let dana = Subject::User("dana@example.com".into());
        let name = name_of("payments-admin", &dana, until);
        assert!(name.starts_with("payments-admin-dana-") && name.len() == "payments-admin-dana-".len() + 6, "{name}");
        assert_eq!(name, name_of("payments-admin", &dana, until));
        assert_ne!(name, name_of("payments-admin", &Subject::User("dana@example.org".into()), until));
        assert_ne!(name, name_of("payments-admin", &dana, until.plus_secs(1)));
        let group = name_of("payments-admin", &Subject::Group("Payments Devs".into()), until);
        assert!(group.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-')), "{group}");
    }

    #[test]
    fn whom_it_is_for_is_written_with_its_kind() {
        assert_eq!(subject("user:dana"), Ok(Subject::User("dana".into())));
        assert_eq!(subject("group:devs"), Ok(Subject::Group("devs".into())));
        let account = ServiceAccount { namespace: "payments".into(), name: "deployer".into() };
        assert_eq!(subject("serviceaccount:payments/deployer"), Ok(Subject::ServiceAccount(account)));
        for wrong in ["dana", "user:", "user:system:admin", "serviceaccount:deployer", "role:x"] {
            assert!(subject(wrong).is_err(), "{wrong}");
        }
    }
}
