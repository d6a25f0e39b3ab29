//! `kubectl curfew init`: prints a first policy, template and assignment, and applies nothing.
use anyhow::ensure;
use curfew_core::{duration::Duration, principal::Subject};
use serde_json::{Value, json};

/// Print a first policy, template and assignment for a ClusterRole. Applies nothing.
///
/// Review the output: the first half is for the platform team, the second half for the team that owns the role.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Example:\n  kubectl curfew init -n payments --role payments-admin --eligible group:payments-devs --approver group:payments-leads > payments.yaml"
)]
pub struct Init {
    /// ClusterRole that requesters can get.
    #[arg(long)]
    role: String,
    /// Who may request the role, as group:NAME or user:NAME. Can be repeated.
    #[arg(long, required = true, value_name = "KIND:NAME", value_parser = subject)]
    eligible: Vec<Subject>,
    /// Who may approve, as group:NAME or user:NAME. Can be repeated.
    #[arg(long, required = true, value_name = "KIND:NAME", value_parser = subject)]
    approver: Vec<Subject>,
    /// Name of the AuthorizationSystem.
    #[arg(long, default_value = "this-cluster")]
    system: String,
    /// Maximum duration of an access.
    #[arg(long, default_value = "4h")]
    max: Duration,
}

fn subject(text: &str) -> Result<Subject, String> {
    let parsed = match text.split_once(':') {
        Some(("group", name)) if !name.is_empty() => Subject::Group(name.into()),
        Some(("user", name)) if !name.is_empty() => Subject::User(name.into()),
        _ => return Err("write it as group:NAME or user:NAME".into()),
    };
    if parsed.is_reserved() {
        return Err("names that begin with system: are reserved for Kubernetes".into());
    }
    Ok(parsed)
}

/// Returns the YAML documents in the order in which `kubectl apply` needs them.
pub fn yaml(init: &Init, namespace: Option<&str>) -> anyhow::Result<String> {
    let ns = namespace.unwrap_or("default");
    ensure!(init.role.len() <= 200, "the name of the role is longer than 200 characters");
    let documents = documents(init, ns);
    let mut out = format!(
        "# A first role for namespace {ns}. Read it, keep it in Git, then: kubectl apply -f FILE\n\
         # In that namespace, requesters need ClusterRole curfew-requester and approvers curfew-approver: kubectl create rolebinding -n {ns} ...\n\
         # The system must have mode: ReadWrite: kubectl patch authsys {} --type merge -p '{{\"spec\":{{\"mode\":\"ReadWrite\"}}}}'\n",
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
            "Allows binding this role and no other.",
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": bind},
                "rules": [{"apiGroups": [rbac], "resources": ["clusterroles"], "resourceNames": [role], "verbs": ["bind"]}]}),
        ),
        (
            "Gives the operator that right.",
            json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": bind},
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": bind},
                "subjects": [{"kind": "ServiceAccount", "name": curfew_api::OPERATOR_ACCOUNT, "namespace": curfew_api::OPERATOR_NAMESPACE}]}),
        ),
        (
            "The limits for this namespace; without a policy nothing can be granted in it.",
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
            "Who may request the role.",
            json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": {"name": format!("{role}-{i}"), "namespace": ns},
                "spec": {"roleRef": {"name": role}, "subject": who, "scope": {"all": {}}, "window": {"permanent": {}}}}),
        ));
    }
    all
}
