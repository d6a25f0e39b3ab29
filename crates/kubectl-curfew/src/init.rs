//! `kubectl curfew init`: a first policy, template and assignment, printed and not applied.
use anyhow::ensure;
use curfew_core::{duration::Duration, principal::Subject};
use serde_json::{Value, json};

/// Print a first policy, template and assignment for a ClusterRole. Applies nothing.
///
/// Read what it prints: the first half is for the platform team, the second for the team that owns the role.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  kubectl curfew init -n payments --role payments-admin --eligible group:payments-devs --approver group:payments-leads > payments.yaml"
)]
pub struct Init {
    /// The ClusterRole to hand out.
    #[arg(long)]
    role: String,
    /// Who may ask, as group:NAME or user:NAME. May be given several times.
    #[arg(long, required = true, value_parser = subject)]
    eligible: Vec<Subject>,
    /// Who must approve, as group:NAME or user:NAME. May be given several times.
    #[arg(long, required = true, value_parser = subject)]
    approver: Vec<Subject>,
    /// The AuthorizationSystem.
    #[arg(long, default_value = "this-cluster")]
    system: String,
    /// The longest that an access may last.
    #[arg(long, default_value = "4h")]
    max: Duration,
}

fn subject(text: &str) -> Result<Subject, String> {
    let parsed = match text.split_once(':') {
        Some(("group", n)) if !n.is_empty() => Subject::Group(n.into()),
        Some(("user", n)) if !n.is_empty() => Subject::User(n.into()),
        _ => return Err("write it as group:NAME or user:NAME".into()),
    };
    if parsed.is_reserved() {
        return Err("names that begin with system: are Kubernetes' own".into());
    }
    Ok(parsed)
}

/// The documents, in the order in which they apply.
pub fn yaml(init: &Init, namespace: Option<&str>) -> anyhow::Result<String> {
    let ns = namespace.unwrap_or("default");
    ensure!(init.role.len() <= 200, "the role's name is too long");
    let documents = documents(init, ns);
    let mut out = format!(
        "# A first role for namespace {ns}. Read it, keep it in Git, then: kubectl apply -f FILE\n\
         # Who asks needs ClusterRole curfew-requester there, who decides curfew-approver: kubectl create rolebinding -n {ns} ...\n\
         # The system must say mode: ReadWrite: kubectl patch authsys {} --type merge -p '{{\"spec\":{{\"mode\":\"ReadWrite\"}}}}'\n",
        init.system
    );
    for (comment, document) in documents {
        out.push_str(&format!("---\n# {comment}\n{}", serde_saphyr::to_string(&document)?));
    }
    Ok(out)
}

fn documents(init: &Init, ns: &str) -> Vec<(&'static str, Value)> {
    let Init { role, eligible, approver, system, max } = init;
    let bind = format!("curfew-bind-{role}");
    let rbac = "rbac.authorization.k8s.io";
    let kubernetes = json!({"kubernetes": {"clusterRoles": [role]}});
    let scope = json!({"kubernetes": {"namespaces": [ns]}});
    let none = json!({"none": {}});
    let mut all = vec![
        (
            "The operator may bind this role and no other.",
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": bind},
                "rules": [{"apiGroups": [rbac], "resources": ["clusterroles"], "resourceNames": [role], "verbs": ["bind"]}]}),
        ),
        (
            "... by this.",
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": bind},
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": bind},
                "subjects": [{"kind": "ServiceAccount", "name": curfew_api::OPERATOR_ACCOUNT, "namespace": curfew_api::OPERATOR_NAMESPACE}]}),
        ),
        (
            "What the namespace may hand out; nothing without it.",
            json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": ns}, "spec": {
                "namespaces": {"names": [ns]}, "systems": {"names": [system]}, "permissions": kubernetes, "scope": scope,
                "eligible": eligible, "max": {"duration": max, "eligibility": "365d"},
                "min": {"approval": {"atLeast": {"quorum": 1, "from": approver}}, "justification": true, "mfa": none, "ticket": none},
                "allow": {"permanentEligibility": true}}}),
        ),
        (
            "The role and the rules for using it.",
            json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate", "metadata": {"name": role, "namespace": ns}, "spec": {
                "systems": {"names": [system]}, "permissions": kubernetes, "scope": scope,
                "activation": {"duration": {"default": max, "max": max}, "justification": "Required", "ticket": none, "mfa": none,
                    "approval": {"stages": [{"name": "owners", "approvers": approver, "quorum": 1}]}, "limits": none},
                "assignment": {"eligible": {"permanent": true}}}}),
        ),
    ];
    for (i, who) in eligible.iter().enumerate() {
        all.push((
            "Who may ask for it.",
            json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": {"name": format!("{role}-{i}"), "namespace": ns},
                "spec": {"roleRef": {"name": role}, "subject": who, "scope": {"all": {}}, "window": {"permanent": {}}}}),
        ));
    }
    all
}
