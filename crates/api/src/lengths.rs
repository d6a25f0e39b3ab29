//! Every text that the operator stores fits: what it copies whole is no longer than the field that takes it, and the rest is shortened.
use crate::tests::all_texts;
use std::collections::{BTreeMap, BTreeSet};

/// Where the text in a field comes from.
enum Origin {
    /// Copied whole from one of these fields, or from an object's metadata, with so many characters more.
    Copied(&'static [&'static str], i64),
    /// Shortened by `text::clip`, or refused by the operator where it is read.
    Bounded,
    /// Written by Curfew or computed by it: a word, a number, a time, a digest.
    Own,
}
use Origin::{Bounded, Copied, Own};

/// The limits of `metadata`.
const METADATA: [(&str, i64); 3] = [("NAME", 253), ("NAMESPACE", 63), ("UID", 36)];
/// A user who holds access: the requester, or whom a service account names.
const HOLDER: &[&str] =
    &["ActivationRequest.spec.requester.username", "ActivationRequest.spec.beneficiary.user", "ActiveAssignment.spec.subject.user"];
const ACCOUNT: &[&str] = &["ActivationRequest.spec.beneficiary.serviceAccount.name", "STAGE.approvers[].serviceAccount.name"];
const ACCOUNT_NAMESPACE: &[&str] =
    &["ActivationRequest.spec.beneficiary.serviceAccount.namespace", "STAGE.approvers[].serviceAccount.namespace"];
const ROLE: &[&str] = &["RoleTemplate.spec.permissions.kubernetes.clusterRoles[]", "RoleTemplate.spec.permissions.kubernetes.roles[].name"];
const AWS_POLICY: &[&str] = &[
    "RoleTemplate.spec.permissions.aws.user.managedPolicies[]",
    "RoleTemplate.spec.permissions.aws.role.managedPolicies[]",
    "RoleTemplate.spec.permissions.aws.identityCenter.managedPolicies[]",
];
const AWS_INSTANCE: &[&str] = &["AuthorizationSystem.spec.provider.aws.identityCenter.instanceArn"];
const AWS_SET: &[&str] = &["RoleTemplate.spec.permissions.aws.identityCenter.permissionSet"];
const AWS_GROUP: &[&str] = &["RoleTemplate.spec.permissions.aws.identityCenter.group"];
const AWS_ACCOUNT: &[&str] = &["AuthorizationSystem.spec.provider.aws.accountId"];
const STAGE: &str = "RoleTemplate.spec.activation.approval.stages[]";

/// The ends of paths; the first that fits.
const ORIGINS: &[(&str, Origin)] = &[
    // What a new assignment gives is what the request asks for.
    ("gives.permissions.aws.identityCenter.group", Copied(&["AssignmentRequest.spec.action.new.permissions.aws.identityCenter.group"], 0)),
    (
        "gives.permissions.aws.identityCenter.managedPolicies[]",
        Copied(&["AssignmentRequest.spec.action.new.permissions.aws.identityCenter.managedPolicies[]"], 0),
    ),
    (
        "gives.permissions.aws.identityCenter.permissionSet",
        Copied(&["AssignmentRequest.spec.action.new.permissions.aws.identityCenter.permissionSet"], 0),
    ),
    (
        "gives.permissions.aws.role.managedPolicies[]",
        Copied(&["AssignmentRequest.spec.action.new.permissions.aws.role.managedPolicies[]"], 0),
    ),
    ("gives.permissions.aws.role.maxSession", Own),
    (
        "gives.permissions.aws.user.managedPolicies[]",
        Copied(&["AssignmentRequest.spec.action.new.permissions.aws.user.managedPolicies[]"], 0),
    ),
    (
        "gives.permissions.kubernetes.clusterRoles[]",
        Copied(&["AssignmentRequest.spec.action.new.permissions.kubernetes.clusterRoles[]"], 0),
    ),
    ("gives.permissions.kubernetes.roles[].name", Copied(&["AssignmentRequest.spec.action.new.permissions.kubernetes.roles[].name"], 0)),
    (
        "gives.permissions.kubernetes.roles[].namespace",
        Copied(&["AssignmentRequest.spec.action.new.permissions.kubernetes.roles[].namespace"], 0),
    ),
    ("gives.scope.kubernetes.namespaces[]", Copied(&["AssignmentRequest.spec.action.new.scope.kubernetes.namespaces[]"], 0)),
    ("aws.accountId", Copied(AWS_ACCOUNT, 0)),
    ("aws.region", Copied(&["AuthorizationSystem.spec.provider.aws.region"], 0)),
    ("aws.assumeRole.roleArn", Copied(&["AuthorizationSystem.spec.provider.aws.assumeRole.roleArn"], 0)),
    ("aws.assumeRole.externalId", Copied(&["AuthorizationSystem.spec.provider.aws.assumeRole.externalId"], 0)),
    ("identityCenter.instanceArn", Copied(AWS_INSTANCE, 0)),
    ("identityCenter.identityStoreId", Copied(&["AuthorizationSystem.spec.provider.aws.identityCenter.identityStoreId"], 0)),
    ("identityCenter.region", Copied(&["AuthorizationSystem.spec.provider.aws.identityCenter.region"], 0)),
    ("identityCenter.assumeRole.roleArn", Copied(&["AuthorizationSystem.spec.provider.aws.identityCenter.assumeRole.roleArn"], 0)),
    ("identityCenter.assumeRole.externalId", Copied(&["AuthorizationSystem.spec.provider.aws.identityCenter.assumeRole.externalId"], 0)),
    // Names and ARNs that AWS takes, checked where a request is accepted; documents that are limited where they are frozen.
    ("principal.aws.name", Bounded),
    ("role.principal", Bounded),
    ("role.sourceIdentity", Bounded),
    ("role.trust", Bounded),
    ("role.inertTrust", Own),
    ("access.user.user", Bounded),
    ("permissionSet.user", Bounded),
    ("assignment.user", Bounded),
    ("membership.user", Bounded),
    ("managed[].arn", Copied(AWS_POLICY, 0)),
    ("attached[]", Copied(AWS_POLICY, 0)),
    (".document", Bounded),
    (".inline", Bounded),
    (".instance", Copied(AWS_INSTANCE, 0)),
    ("standingSet.arn", Copied(AWS_SET, 0)),
    ("standingSet.name", Bounded),
    ("assignment.permissionSet", Copied(AWS_SET, 0)),
    ("aws.group.id", Copied(AWS_GROUP, 0)),
    ("aws.group.name", Bounded),
    ("membership.group", Copied(AWS_GROUP, 0)),
    ("aws.partition", Bounded),
    ("aws.account", Copied(AWS_ACCOUNT, 0)),
    ("scope.aws.regions[]", Copied(&["RoleTemplate.spec.scope.aws.regions[]"], 0)),
    ("scope.aws.resources[]", Copied(&["RoleTemplate.spec.scope.aws.resources[]"], 0)),
    ("emergencyUse.login", Copied(&["ActivationRequest.spec.requester.username"], 0)),
    ("emergencyUse.object", Bounded),
    ("status.slots[]", Own),
    ("policies[].name", Own),
    ("access.role.name", Own),
    ("permissionSet.name", Own),
    ("beneficiary.user", Copied(HOLDER, 0)),
    ("principal.kubernetes.user", Copied(HOLDER, 0)),
    ("subject.user", Copied(HOLDER, 0)),
    ("review.requester.username", Copied(HOLDER, 0)),
    ("review.requester.groups[]", Copied(&["ActivationRequest.spec.requester.groups[]"], 0)),
    ("review.requester.extra{}[]", Copied(&["ActivationRequest.spec.requester.extra{}[]"], 0)),
    ("reviewers[].user", Copied(&["STAGE.approvers[].user"], 0)),
    ("approvers[].user", Copied(&["STAGE.approvers[].user"], 0)),
    (".group", Copied(&["STAGE.approvers[].group"], 0)),
    ("serviceAccount.name", Copied(ACCOUNT, 0)),
    ("serviceAccount.namespace", Copied(ACCOUNT_NAMESPACE, 0)),
    ("requester", Copied(HOLDER, 0)),
    ("resolved.author", Copied(&["ActiveAssignment.spec.author.username"], 0)),
    (".decider", Copied(&["AccessDecision.spec.decider.username"], 0)),
    (".aliases[]", Bounded),
    ("request.requesterUid", Copied(&["ActivationRequest.spec.requester.uid"], 0)),
    ("stages[].name", Copied(&["STAGE.name"], 0)),
    ("approval[].name", Copied(&["STAGE.name"], 0)),
    (".timeout", Own),
    (".mfa.maxAge", Own),
    (".after", Own),
    (".duration", Own),
    ("roles[].name", Copied(ROLE, 0)),
    ("bindings[].role", Copied(ROLE, 0)),
    ("roles[].namespace", Copied(&["RoleTemplate.spec.permissions.kubernetes.roles[].namespace"], 0)),
    ("bindings[].namespace", Copied(&["NAMESPACE"], 0)),
    ("namespaces[].name", Copied(&["NAMESPACE"], 0)),
    ("request.namespace", Copied(&["NAMESPACE"], 0)),
    ("request.name", Copied(&["NAME"], 0)),
    ("request.role", Copied(&["NAME"], 0)),
    ("extends.name", Copied(&["NAME"], 0)),
    ("extendedBy.name", Copied(&["NAME"], 0)),
    ("system.name", Copied(&["NAME"], 0)),
    ("role.name", Copied(&["NAME"], 0)),
    ("assignment.name", Copied(&["NAME"], 0)),
    ("policy.name", Copied(&["NAME"], 0)),
    ("uid", Copied(&["UID"], 0)),
    ("assignmentUid", Copied(&["UID"], 0)),
    ("resolved.request", Copied(&["UID"], 0)),
    ("kubeconfigSecretRef.name", Copied(&["AuthorizationSystem.spec.provider.kubernetes.kubeconfigSecretRef.name"], 0)),
    ("kubeconfigSecretRef.key", Copied(&["AuthorizationSystem.spec.provider.kubernetes.kubeconfigSecretRef.key"], 0)),
    // What a target says of itself, and what a kubeconfig says of it.
    ("fingerprint.server", Bounded),
    ("system.target", Copied(&["UID"], 0)),
    ("target.id", Copied(&["UID"], 0)),
    ("operation.id", Bounded),
    // A template whose roles hold more than can be frozen is not Ready.
    ("content[].apiGroups[]", Bounded),
    ("content[].nonResourceURLs[]", Bounded),
    ("content[].resourceNames[]", Bounded),
    ("content[].resources[]", Bounded),
    ("content[].verbs[]", Bounded),
    ("plan.kubernetes.fuse.job.image", Copied(&["CurfewConfig.spec.kubernetes.fuse.job.image"], 0)),
    ("plan.kubernetes.fuse.job.labels{}", Copied(&["CurfewConfig.spec.kubernetes.fuse.job.labels{}"], 0)),
    ("plan.kubernetes.fuse.job.annotations{}", Copied(&["CurfewConfig.spec.kubernetes.fuse.job.annotations{}"], 0)),
    ("status.gone[]", Copied(&["NAMESPACE"], 0)),
    // Composed for people and columns.
    ("display.about", Copied(&["NAME"], 6)),
    ("change.by.name", Copied(&["NAME"], 0)),
    ("display.action", Own),
    ("display.assignment", Copied(&["AssignmentRequest.spec.action.extend.assignment.name"], 4)),
    ("display.until", Own),
    ("status.display.principal", Copied(HOLDER, 0)),
    ("display.beneficiary", Bounded),
    ("display.subject", Bounded),
    ("display.namespaces", Bounded),
    ("display.limits", Own),
    ("display.systems", Bounded),
    ("display.approval", Bounded),
    ("display.requires", Bounded),
    ("login.mfa.methodsKey", Copied(&["CurfewConfig.spec.identity.mfa.methodsKey"], 0)),
    ("login.mfa.methods[]", Copied(&["CurfewConfig.spec.identity.mfa.methods[]"], 0)),
    ("login.mfa.timeKey", Copied(&["CurfewConfig.spec.identity.mfa.timeKey"], 0)),
    ("login.authenticationContext.key", Copied(&["CurfewConfig.spec.identity.authenticationContext.key"], 0)),
    (".message", Bounded),
    (".lastError", Bounded),
    (".waitingFor", Bounded),
    // A replica's name has 63 characters at most.
    ("inFlight.holder", Bounded),
    ("auditHeads[].writer", Bounded),
    ("artifacts[].id", Copied(&["NAME"], 64)),
    ("artifacts[].kind", Own),
    ("bindings[].name", Own),
    ("grantRef.name", Own),
    ("clusterKeys[]", Own),
    ("fingerprint.keys[]", Own),
    ("digest", Own),
    ("fingerprint.ca", Own),
    ("roles[].rules", Own),
    (".hash", Own),
    ("status.reason", Own),
    (".enforcedBy", Own),
    (".sessionTail", Own),
    ("display.expires", Own),
    ("display.ends", Own),
    ("display.max", Own),
    ("display.provider", Own),
    // Measured by curfew-analytics: names of identities are shortened, labels are those of the system, and the rest is its own.
    ("pci.confidence", Own),
    ("pci.catalogVersion", Bounded),
    ("top[].name", Bounded),
    ("top[].kind", Own),
    ("top[].escalation", Bounded),
    ("trend[].day", Own),
    ("folders[].label", Copied(&["AuthorizationSystem.spec.analytics.folders[]"], 0)),
    ("folders[].value", Bounded),
    ("targetsExceeded[].target", Own),
    ("findings[].type", Own),
    ("findings[].severity", Own),
];

#[test]
fn every_text_that_is_stored_fits_its_field() {
    let mut limits: BTreeMap<String, Option<i64>> = METADATA.map(|(name, limit)| (name.to_owned(), Some(limit))).into();
    let mut stored = Vec::new();
    all_texts(|path, schema| {
        limits.insert(path.to_owned(), schema.max_length);
        let by_operator = path.contains(".status") || path.starts_with("Grant.spec");
        let limited = schema.enum_.is_some() || schema.format.is_some() || path.contains(".conditions[]") || path.contains(".simulated");
        if by_operator && !limited {
            stored.push((path.to_owned(), schema.max_length));
        }
    });
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for (path, limit) in &stored {
        let Some((end, origin)) = ORIGINS.iter().find(|(end, _)| path.ends_with(end)) else {
            wrong.push(format!("{path}: say where it comes from"));
            continue;
        };
        used.insert(*end);
        let Copied(sources, more) = origin else { continue };
        for source in *sources {
            let source = source.replace("STAGE", STAGE);
            match (limits.get(&source), limit) {
                (None, _) => wrong.push(format!("{path}: there is no field {source}")),
                (Some(Some(longest)), Some(limit)) if longest + more <= *limit => {}
                // Of a login's groups and extras the API server limits no length, in neither field.
                (Some(None), None) => {}
                (Some(longest), limit) => {
                    wrong.push(format!("{path} takes {limit:?}, and {source} has up to {longest:?}, and {more} more"))
                }
            }
        }
    }
    wrong.extend(ORIGINS.iter().filter(|(end, _)| !used.contains(end)).map(|(end, _)| format!("no field ends with {end}")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Texts are cut in one place, by bytes: characters are up to four times as long.
#[test]
fn texts_are_shortened_by_clip_alone() {
    fn sources(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let own = std::path::Path::new(file!()).file_name();
    let all: Vec<_> = ["src", "crates/core/src", "crates/api/src"].iter().flat_map(|folder| sources(&root.join(folder))).collect();
    assert!(all.len() > 100, "the sources are found");
    let cuts = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap().contains("chars().take(");
    let found: Vec<_> = all.into_iter().filter(|path| path.file_name() != own && cuts(path)).collect();
    assert!(found.is_empty(), "use curfew_core::text::clip: {found:?}");
}
