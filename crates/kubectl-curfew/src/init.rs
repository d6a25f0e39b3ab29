//! `kubectl curfew init`: prints a first policy, quota, template and assignment, and applies nothing.
use anyhow::ensure;
use curfew_core::{
    digest::Digest,
    duration::Duration,
    principal::Subject,
    text::{is_blank, is_invisible, printable},
};
use serde_json::{Value, json};

/// Print a first policy, quota, template and assignment for a ClusterRole. Applies nothing.
///
/// Review the output: the first half is for the platform team, the second half for the team that owns the role. The policy refuses roles
/// that outlive a grant: `allow.persistence` is false.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes:\n  0  the documents were printed\n  1  they could not be; the error says why\n  2  wrong usage\n\nExample:\n  kubectl curfew init -n payments --role payments-admin --eligible group:payments-devs --approver group:payments-leads > payments.yaml"
)]
pub struct Init {
    /// ClusterRole that requesters can get.
    #[arg(long, value_parser = role)]
    role: String,
    /// Who may request the role, as group:NAME or user:NAME. Can be repeated.
    #[arg(long, required = true, value_name = "KIND:NAME", value_parser = subject)]
    eligible: Vec<Subject>,
    /// Who may approve, as group:NAME or user:NAME. Can be repeated.
    #[arg(long, required = true, value_name = "KIND:NAME", value_parser = subject)]
    approver: Vec<Subject>,
    /// Name of the AuthorizationSystem.
    #[arg(long, default_value = "this-cluster", value_parser = system)]
    system: String,
    /// Maximum duration of an access.
    #[arg(long, default_value = "4h")]
    max: Duration,
}

pub(crate) fn subject(text: &str) -> Result<Subject, String> {
    let parsed = match text.split_once(':') {
        Some(("group", name)) if !name.is_empty() => Subject::Group(name.into()),
        Some(("user", name)) if !name.is_empty() => Subject::User(name.into()),
        _ => return Err("write it as group:NAME or user:NAME".into()),
    };
    if parsed.is_reserved() {
        return Err("names that begin with system: are reserved for Kubernetes".into());
    }
    check_name("the name", &parsed.principal())?;
    Ok(parsed)
}

/// How many requests and decisions the quota of a namespace allows, as in `examples/quota/quota.yaml`.
const REQUESTS: &str = "500";
const DECISIONS: &str = "1000";

/// The longest name that a policy or a subject holds, and that an object may have.
const LONGEST: usize = 253;

/// A name as the CRDs take it: not too long, and visible.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    match () {
        () if is_blank(name) => Err(format!("{what} is blank")),
        () if name.chars().count() > LONGEST => Err(format!("{what} is longer than {LONGEST} characters")),
        () if name.chars().any(is_invisible) => Err(format!("{what} {} has invisible characters", printable(name))),
        () => Ok(()),
    }
}

/// A name that an AccessPolicy can write in full, of a ClusterRole as Kubernetes takes it.
fn role(name: &str) -> Result<String, String> {
    check_name("the name of the role", name)?;
    let illegal = name.contains(['/', '%']) || [".", ".."].contains(&name);
    if illegal {
        return Err("a ClusterRole cannot have this name: / and % are not allowed".into());
    }
    if name.contains('*') {
        return Err("an AccessPolicy takes * for a pattern, so this role cannot be named alone; write the policy by hand".into());
    }
    Ok(name.into())
}

/// Whether a text is a DNS label, or a DNS subdomain of several.
fn is_dns(name: &str, longest: usize, several: bool) -> bool {
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= longest && if several { name.split('.').all(label) } else { label(name) }
}

fn system(name: &str) -> Result<String, String> {
    if is_dns(name, LONGEST, true) { Ok(name.into()) } else { Err("an AuthorizationSystem cannot have this name".into()) }
}

/// How long the name of a role may be to stay as it is: the names of the other objects are longer.
const KEPT: usize = 200;

/// The name of the objects for a role. A ClusterRole may have a name that other objects may not (`custom:payments:admin`): what is not
/// allowed becomes `-`, and part of the digest of the whole name keeps two such roles apart.
pub(crate) fn object_name(role: &str) -> String {
    if is_dns(role, KEPT, true) {
        return role.to_owned();
    }
    let mut name = String::new();
    for c in role.chars().flat_map(char::to_lowercase).take(KEPT) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(48);
    let digest = Digest::of_bytes(role.as_bytes()).to_string();
    let separator = if name.is_empty() || name.ends_with('-') { "" } else { "-" };
    format!("{name}{separator}{}", &digest[..8])
}

/// Returns the YAML documents in the order in which `kubectl apply` needs them.
pub fn yaml(init: &Init, namespace: Option<&str>) -> anyhow::Result<String> {
    let ns = namespace.unwrap_or("default");
    ensure!(is_dns(ns, 63, false), "{} cannot be the name of a namespace", printable(ns));
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
    let name = object_name(role);
    let bind = format!("curfew-bind-{name}");
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
            "The limits for this namespace; without a policy nothing can be granted in it.\n\
             # persistence: false refuses a role whose holder can make access that outlives the grant, such as one that may create pods,\n\
             # tokens or bindings. The RoleTemplate is then not Ready, and its condition names the rule. Set it to true only to accept that.",
            json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "AccessPolicy", "metadata": {"name": ns}, "spec": {
                "namespaces": {"names": [ns]}, "systems": {"names": [system]}, "permissions": kubernetes, "scope": scope,
                "eligible": eligible, "max": {"duration": max, "eligibility": "365d"},
                "min": {"approval": {"atLeast": {"quorum": 1, "from": approver}}, "justification": true, "mfa": none, "ticket": none},
                "allow": {"permanentEligibility": true, "persistence": false}}}),
        ),
        (
            "Limits how many requests and decisions the namespace holds, so that a person who may create them cannot fill the cluster.\n\
             # Ended requests count until they are deleted: 7 days after their end where they do not say. Raise it where teams need more.",
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "curfew", "namespace": ns}, "spec": {"hard": {
                "count/activationrequests.curfew.dev": REQUESTS, "count/assignmentrequests.curfew.dev": REQUESTS, "count/accessdecisions.curfew.dev": DECISIONS}}}),
        ),
        (
            "The role and the rules for using it.",
            json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate", "metadata": {"name": name, "namespace": ns}, "spec": {
                "systems": {"names": [system]}, "permissions": kubernetes, "scope": scope,
                "activation": {"duration": {"default": max, "max": max}, "justification": "Required", "ticket": none, "mfa": none,
                    "approval": {"stages": [{"name": "owners", "approvers": approver, "quorum": 1}]}, "limits": none},
                "assignment": {"eligible": {"permanent": true}}}}),
        ),
    ];
    for (i, who) in eligible.iter().enumerate() {
        all.push((
            "Who may request the role.",
            json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": {"name": format!("{name}-{i}"), "namespace": ns},
                "spec": {"roleRef": {"name": name}, "subject": who, "scope": {"all": {}}, "window": {"permanent": {}}}}),
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Names of every form, by a generator with a fixed seed: from a few characters that are legal and illegal in DNS names.
    fn names() -> impl Iterator<Item = String> {
        const CHARACTERS: &[char] = &['a', 'b', 'Z', '0', '-', '.', ':', '_', '@', ' ', 'é', '京', 'İ', '\'', '"', '#', '\\', '{', '&'];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        (0..20_000).map(move |i| {
            let length = 1 + next(if i % 50 == 0 { 253 } else { 6 });
            (0..length).map(|_| CHARACTERS[next(CHARACTERS.len())]).collect()
        })
    }

    fn init(role: &str) -> Init {
        let subject = |name: &str| vec![Subject::Group(name.into())];
        let max = "4h".parse().unwrap();
        Init { role: role.into(), eligible: subject("devs"), approver: subject("leads"), system: "this-cluster".into(), max }
    }

    #[test]
    fn every_name_of_a_role_gives_names_that_objects_may_have() {
        let mut roles_by_name = BTreeMap::new();
        for name in names().filter(|name| role(name).is_ok()) {
            for (_, document) in documents(&init(&name), "payments") {
                let object = document["metadata"]["name"].as_str().unwrap();
                assert!(is_dns(object, LONGEST, true), "{name:?} gives {object:?}");
            }
            let object = object_name(&name);
            let other = roles_by_name.insert(object.clone(), name.clone()).filter(|other| *other != name);
            assert_eq!(other, None, "{object} stands for {name:?}, too");
        }
        assert!(roles_by_name.len() > 10_000);
    }

    #[test]
    fn a_legal_name_stays_and_another_one_is_recognised() {
        assert_eq!(object_name("payments-admin"), "payments-admin");
        assert_eq!(object_name("custom:payments:admin"), "custom-payments-admin-3cbf5062");
        assert_ne!(object_name("custom:payments:admin"), object_name("custom-payments:admin"));
        assert!(is_dns(&object_name("京"), 253, true) && is_dns(&object_name(&"a".repeat(253)), 253, true));
    }

    #[test]
    fn what_no_file_can_name_is_refused() {
        for (name, told) in
            [("a/b", "/ and %"), ("..", "cannot have this name"), ("custom*", "pattern"), (" ", "blank"), ("a\nb", "invisible")]
        {
            assert!(role(name).is_err_and(|error| error.contains(told)), "{name:?}");
        }
        assert!(role(&"a".repeat(254)).is_err() && role(&"a".repeat(253)).is_ok());
        assert!(system("Prod").is_err() && system("prod.eu-1").is_ok());
        assert!(subject("group:devs\n").is_err() && subject("user:carol@example.com").is_ok());
        assert!(yaml(&init("view"), Some("a\nb")).is_err() && yaml(&init("view"), Some("a.b")).is_err());
    }

    #[test]
    fn the_policy_says_what_it_does_not_allow() {
        let printed = yaml(&init("custom:payments:admin"), Some("payments")).unwrap();
        assert!(printed.contains("persistence: false") && printed.contains("# persistence: false refuses"), "{printed}");
        let comments = printed.lines().filter(|line| line.starts_with('#')).count();
        assert_eq!(comments, 3 + 6 + 3, "{printed}");
    }
}
