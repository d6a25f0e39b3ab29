//! Who may do what in an account: identities with the policies that reach them.
use super::{
    catalogue::Actions,
    credentials::CredentialReport,
    details::{Details, Holder, Role, User},
    documents::{Documents, context, texts},
    effective::{Compiler, Evaluator, Granted, Policy},
    policy::{Document, context::OfIdentity},
    resources::Resources,
    spaces::Spaces,
    trust::Trust,
    usage::{ActionId, ActionUse, Usage},
};
use crate::{
    history::{EXCLUDE_FROM_PCI, EXCLUDE_FROM_REPORTS, Excluded, Window, is_set},
    places::Places,
    report::IdentityKind,
};
use curfew_core::target::aws::names;
use std::collections::{BTreeMap, BTreeSet};

/// What an analysis is made from, besides the usage.
#[derive(Clone, Default, Debug)]
pub struct Input {
    /// The account's users, groups, roles and policies.
    pub details: Details,
    /// Passwords, MFA and keys, if the report is there.
    pub credentials: Option<CredentialReport>,
    /// ARNs of resources that exist, in addition to those that details, policies and logs name.
    pub resources: Vec<String>,
    /// Service control policies: for each level of the organisation the policies that are attached there. Each level must allow.
    pub service_control: Vec<Vec<Document>>,
    /// Names to leave out, in addition to tags.
    pub exclusions: Exclusions,
}

/// ARNs that are excluded in addition to tags.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Exclusions {
    /// As `ck_exclude_from_pci`.
    pub from_pci: BTreeSet<String>,
    /// As `ck_exclude_from_reports`.
    pub from_reports: BTreeSet<String>,
}

/// A policy of the account, as people know it.
#[derive(Clone, Debug)]
pub struct NamedPolicy {
    /// `policy NAME`, `inline policy NAME`, or the ARN of one whose document is not known.
    pub label: String,
    /// The ARN of a managed one.
    pub arn: Option<String>,
    /// What it says; `None` if the details do not have it and it is not AWS's.
    pub policy: Option<Policy>,
    /// Whether the document is the one that this program was built with, because the details do not have it.
    pub embedded: bool,
    /// The grant of Curfew that wrote it.
    pub grant: Option<String>,
}

/// A policy that reaches an identity, by itself or through a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// The index of the policy.
    pub policy: usize,
    /// The name of the group.
    pub via: Option<String>,
}

/// One identity.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What it is.
    pub kind: IdentityKind,
    /// Its name without path and account.
    pub name: String,
    /// Whether AWS owns it: a service-linked role.
    pub built_in: bool,
    /// When it was created.
    pub created: Option<i64>,
    /// Its tags.
    pub excluded: Excluded,
    /// The policies that reach it.
    pub attachments: Vec<Attachment>,
    /// The permissions boundary, as an index of the policies.
    pub boundary: Option<usize>,
    /// The users of this group, by ARN.
    pub members: BTreeSet<String>,
    /// Who may assume this role.
    pub trust: Option<Trust>,
    /// The last use of this role, as IAM records it.
    pub last_used: Option<i64>,
    /// The grant of Curfew that created this role.
    pub grant: Option<String>,
    context: OfIdentity,
}

/// The inventory of an account.
pub struct Inventory<'a> {
    /// The catalogue.
    pub actions: &'a Actions,
    /// The spaces of the catalogue.
    pub spaces: &'a Spaces,
    /// The places of the account.
    pub resources: Resources<'a>,
    /// What was read.
    pub input: &'a Input,
    /// The identities, by ARN.
    pub identities: BTreeMap<String, Identity>,
    /// The policies.
    pub policies: Vec<NamedPolicy>,
    service_control: Vec<Vec<Policy>>,
}

/// The grant in the name of a policy or role that Curfew created: below its path, or a role of IAM Identity Center for its permission set.
fn grant_of(path: &str, name: &str) -> Option<String> {
    if path == names::PATH {
        return names::parse(name).map(|(mark, _)| mark.grant);
    }
    let set = name.strip_prefix("AWSReservedSSO_").and_then(|rest| rest.rsplit_once('_')).map(|(set, _)| set)?;
    names::parse_permission_set(set).map(|mark| mark.grant)
}

/// The path and name in the ARN of a managed policy.
fn path_and_name(arn: &str) -> (String, &str) {
    let (head, name) = arn.rsplit_once('/').unwrap_or(("", arn));
    let path = head.split_once(":policy").map_or("", |(_, path)| path);
    (format!("{path}/"), name)
}

impl<'a> Inventory<'a> {
    /// Finds every identity of the account, and compiles the policies that reach it.
    pub fn build(actions: &'a Actions, spaces: &'a Spaces, input: &'a Input, usage: &Usage, window: Window) -> Self {
        let details = &input.details;
        let documents = Documents::of(details);
        let texts = texts(input, &documents, usage, window);
        let resources = Resources::build(spaces, &details.partition, &details.account, texts.iter().map(String::as_str));
        let mut builder = Builder {
            compiler: Compiler::new(actions, spaces, &resources),
            documents: &documents,
            policies: Vec::new(),
            managed: BTreeMap::new(),
            input,
        };
        let mut identities: BTreeMap<String, Identity> = BTreeMap::new();
        let mut of_groups: BTreeMap<String, Vec<Attachment>> = BTreeMap::new();
        for (name, group) in &details.groups {
            let attachments = builder.attachments(group);
            of_groups.insert(name.clone(), attachments.clone());
            identities.insert(group.arn.clone(), builder.identity(group, IdentityKind::Group, attachments, window));
        }
        for (arn, user) in &details.users {
            let mut attachments = builder.attachments(&user.holder);
            for name in &user.groups {
                let via = |attachment: &Attachment| Attachment { policy: attachment.policy, via: Some(name.clone()) };
                attachments.extend(of_groups.get(name).into_iter().flatten().map(via));
                let group = details.groups.get(name).and_then(|group| identities.get_mut(&group.arn));
                if let Some(group) = group {
                    group.members.insert(arn.clone());
                }
            }
            let kind = builder.kind_of_user(user);
            identities.insert(arn.clone(), builder.identity(&user.holder, kind, attachments, window));
        }
        for (arn, role) in &details.roles {
            let attachments = builder.attachments(&role.holder);
            let mut identity = builder.identity(&role.holder, IdentityKind::Role, attachments, window);
            of_role(&mut identity, role, &details.account);
            identities.insert(arn.clone(), identity);
        }
        let service_control =
            input.service_control.iter().map(|level| level.iter().map(|document| builder.compiler.compile(document)).collect());
        let service_control = service_control.collect();
        let policies = builder.policies;
        Self { actions, spaces, input, identities, policies, service_control, resources }
    }

    /// What the policies of an identity grant after groups, boundary, service control policies, denies and conditions.
    pub fn granted(&self, identity: &Identity) -> Granted {
        self.granted_by(identity, |_| true)
    }

    /// What it holds without live grants of Curfew.
    pub fn granted_standing(&self, identity: &Identity) -> Granted {
        if identity.grant.is_some() {
            return Granted::default();
        }
        self.granted_by(identity, |policy| policy.grant.is_none())
    }

    fn granted_by(&self, identity: &Identity, counts: impl Fn(&NamedPolicy) -> bool) -> Granted {
        let attached = identity.attachments.iter().map(|attachment| &self.policies[attachment.policy]);
        let policies: Vec<&Policy> = attached.filter(|policy| counts(policy)).filter_map(|policy| policy.policy.as_ref()).collect();
        let boundary = identity.boundary.and_then(|index| self.policies[index].policy.as_ref());
        let mut limits: Vec<Vec<&Policy>> = boundary.into_iter().map(|policy| vec![policy]).collect();
        // Service-linked roles are not restricted (AWS Organizations User Guide, "Service control policies").
        if !identity.built_in {
            limits.extend(self.service_control.iter().map(|level| level.iter().collect()));
        }
        let evaluator = Evaluator { spaces: self.spaces, resources: &self.resources };
        evaluator.granted(&policies, &limits, &identity.context)
    }

    /// The live grants of Curfew that reach an identity.
    pub fn live_grants(&self, identity: &Identity) -> BTreeSet<String> {
        let of_policies = identity.attachments.iter().filter_map(|attachment| self.policies[attachment.policy].grant.clone());
        of_policies.chain(identity.grant.clone()).collect()
    }

    /// The places in which an action was used in the window. A use whose record names no resource of the action's types counts everywhere.
    pub fn used(&self, action: ActionId, uses: &ActionUse, window: Window) -> Places {
        let space = self.spaces.of_action(action);
        let mut places = Places::default();
        let mut everywhere = uses.unnamed.is_some_and(|at| window.contains(at));
        for (arn, _) in uses.resources.iter().filter(|(_, at)| window.contains(**at)) {
            let named = self.resources.places_of(arn, space);
            everywhere |= named.is_empty();
            places.extend(&named);
        }
        if everywhere {
            return self.resources.all(space);
        }
        self.resources.complete(&mut places, space);
        places
    }

    /// The identities whose uses are those of one: itself, or the members of a group.
    pub fn users<'b>(&'b self, arn: &'b str) -> Vec<&'b str> {
        match self.identities.get(arn) {
            Some(identity) if identity.kind == IdentityKind::Group => identity.members.iter().map(String::as_str).collect(),
            _ => vec![arn],
        }
    }

    /// Whether a group counts through a member that counts itself.
    pub fn counts_by_members(&self, identity: &Identity) -> bool {
        identity.members.iter().filter_map(|member| self.identities.get(member)).any(|member| !member.excluded.from_pci)
    }

    /// The policies that may grant an action to an identity, in one line.
    pub fn granted_in(&self, identity: &Identity, action: ActionId) -> String {
        let mut names: Vec<String> = Vec::new();
        for attachment in &identity.attachments {
            let policy = &self.policies[attachment.policy];
            if policy.policy.as_ref().is_some_and(|of| of.may_allow(action, &identity.context)) {
                names.push(self.label(attachment));
            }
        }
        let more = names.len().saturating_sub(2);
        names.truncate(2);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{rest}", names.join(", "))
    }

    /// A policy with the group through which it comes, and the grant that wrote it.
    pub fn label(&self, attachment: &Attachment) -> String {
        let policy = &self.policies[attachment.policy];
        let via = attachment.via.as_ref().map(|group| format!(" through group {group}")).unwrap_or_default();
        let grant = policy.grant.as_ref().map(|grant| format!(" of Curfew's grant {grant}")).unwrap_or_default();
        format!("{}{grant}{via}", policy.label)
    }

    /// Names places for people.
    pub fn describe(&self, action: ActionId, places: &Places) -> String {
        let space = self.spaces.of_action(action);
        let (total, count) = (self.resources.count(space), places.len());
        if count == 0 {
            return "nowhere".into();
        }
        if self.spaces.shapes(space).is_empty() {
            return "the whole account".into();
        }
        let kind = self.resources.kind(space);
        if count >= total {
            return format!("every {kind}");
        }
        let names: Vec<&str> = places.iter().filter_map(|place| self.resources.name(space, place)).collect();
        match names.len() {
            0 => format!("a {kind} that is not known"),
            1..=2 if count as usize == names.len() => names.join(", "),
            _ => format!("{count} of {total} {kind} places"),
        }
    }
}

/// Collects policies while identities are made.
struct Builder<'a, 'b> {
    compiler: Compiler<'b>,
    documents: &'b Documents<'a>,
    policies: Vec<NamedPolicy>,
    managed: BTreeMap<String, usize>,
    input: &'a Input,
}

impl Builder<'_, '_> {
    fn attachments(&mut self, holder: &Holder) -> Vec<Attachment> {
        let mut all = Vec::new();
        for inline in &holder.inline {
            let policy = Some(self.compiler.compile(&inline.document));
            self.policies.push(NamedPolicy {
                label: format!("inline policy {}", inline.name),
                arn: None,
                policy,
                embedded: false,
                grant: None,
            });
            all.push(Attachment { policy: self.policies.len() - 1, via: None });
        }
        all.extend(holder.attached.iter().map(|arn| Attachment { policy: self.managed(arn), via: None }));
        all
    }

    fn managed(&mut self, arn: &str) -> usize {
        if let Some(index) = self.managed.get(arn) {
            return *index;
        }
        let found = self.documents.get(arn);
        let (policy, embedded) = (found.map(|(document, _)| self.compiler.compile(document)), found.is_some_and(|(_, embedded)| embedded));
        let (path, name) = path_and_name(arn);
        let (label, grant) = (format!("policy {name}"), grant_of(&path, name));
        self.policies.push(NamedPolicy { label, arn: Some(arn.to_owned()), policy, embedded, grant });
        self.managed.insert(arn.to_owned(), self.policies.len() - 1);
        self.policies.len() - 1
    }

    /// A user without a password and with an active key is a workload; without the credential report, users are taken as people.
    fn kind_of_user(&self, user: &User) -> IdentityKind {
        match self.input.credentials.as_ref().and_then(|report| report.get(&user.holder.arn)) {
            Some(credentials) if !credentials.password && credentials.keys.iter().any(|key| key.active) => IdentityKind::Workload,
            _ => IdentityKind::Human,
        }
    }

    fn identity(&mut self, holder: &Holder, kind: IdentityKind, attachments: Vec<Attachment>, window: Window) -> Identity {
        let user = matches!(kind, IdentityKind::Human | IdentityKind::Workload);
        let tagged = |key: &str| holder.tags.get(key).is_some_and(|value| is_set(value));
        let exclusions = &self.input.exclusions;
        Identity {
            kind,
            name: holder.name.clone(),
            built_in: false,
            created: holder.created,
            excluded: Excluded {
                from_pci: tagged(EXCLUDE_FROM_PCI) || exclusions.from_pci.contains(&holder.arn),
                from_reports: tagged(EXCLUDE_FROM_REPORTS) || exclusions.from_reports.contains(&holder.arn),
            },
            attachments,
            boundary: holder.boundary.as_ref().map(|arn| self.managed(arn)),
            members: BTreeSet::new(),
            trust: None,
            last_used: None,
            grant: None,
            context: context(&self.input.details, holder, user, window),
        }
    }
}

/// Adds what only roles have. A role that only services assume is a function's (of Lambda) or another workload's.
fn of_role(identity: &mut Identity, role: &Role, account: &str) {
    let trust = Trust::of(&role.trust, account);
    if trust.only_services() {
        let lambda = trust.services.iter().all(|service| matches!(service.as_str(), "lambda.amazonaws.com" | "edgelambda.amazonaws.com"));
        identity.kind = if lambda { IdentityKind::Function } else { IdentityKind::Workload };
    }
    identity.built_in = role.holder.path.starts_with("/aws-service-role/");
    identity.last_used = role.last_used;
    identity.grant = grant_of(&role.holder.path, &role.holder.name);
    identity.trust = Some(trust);
}
