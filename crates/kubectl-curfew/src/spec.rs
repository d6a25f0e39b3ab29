//! The spec of an ActivationRequest, from options and a file. Every field has an option; a file sets what the options leave out.
use crate::{
    context::{CliContext, plain},
    read,
};
use anyhow::{Context as _, bail, ensure};
use curfew_api::{
    ActivationRequest, RoleTemplate,
    assignment::NameRef,
    policy::Beneficiary,
    request::{ActivationRequestSpec, Ticket, UidRef},
};
use curfew_core::{
    duration::{Duration, Period},
    principal::{RESERVED, ServiceAccount},
    target::{PermissionsByProvider, ScopeByProvider},
    time::Time,
};
use kube::{Api, ResourceExt, api::ListParams};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// What is requested.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Wanted {
    /// Name of the RoleTemplate; `kubectl get rtpl` lists them.
    #[arg(required_unless_present = "filename")]
    pub(crate) role: Option<String>,
    /// Duration of the access, such as 45m or 1h30m. Default: the default of the role.
    #[arg(short, long)]
    pub(crate) duration: Option<Duration>,
    /// Why you need the access; approvers read this.
    #[arg(short, long)]
    pub(crate) justification: Option<String>,
    /// AuthorizationSystem; required if the role allows several.
    #[arg(long)]
    pub(crate) system: Option<String>,
    /// Ticket, as SYSTEM/NUMBER, such as jira/INC-4711.
    #[arg(long, value_parser = ticket, value_name = "SYSTEM/NUMBER")]
    pub(crate) ticket: Option<Ticket>,
    /// Start of the access, such as 2026-11-23T08:15:00Z. Default: at once.
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) start: Option<Time>,
    /// Latest end of the access, such as 2026-11-23T18:00:00Z.
    #[arg(long, value_parser = time, value_name = "TIME")]
    pub(crate) not_after: Option<Time>,
    /// A narrower scope, as YAML: '{kubernetes: {namespaces: [payments]}}'.
    #[arg(long, value_parser = yaml::<ScopeByProvider>, value_name = "YAML")]
    pub(crate) scope: Option<ScopeByProvider>,
    /// Fewer permissions, as YAML: '{kubernetes: {clusterRoles: [view]}}'.
    #[arg(long, value_parser = yaml::<PermissionsByProvider>, value_name = "YAML")]
    pub(crate) permissions: Option<PermissionsByProvider>,
    /// Who gets the access, as user:NAME or serviceaccount:NAMESPACE/NAME. Default: you.
    #[arg(long = "for", value_parser = beneficiary, value_name = "KIND:NAME")]
    pub(crate) beneficiary: Option<Beneficiary>,
    /// Name of your active request that this one extends; see also kubectl curfew extend.
    #[arg(long, value_name = "REQUEST")]
    pub(crate) extends: Option<String>,
    /// Break-glass, in an emergency: the access waits for no approval, and another person must review it afterwards. Until then you cannot use break-glass again. Needs a justification.
    #[arg(long)]
    pub(crate) break_glass: bool,
    /// How long the request is kept after its end, such as 14d.
    #[arg(long, value_name = "PERIOD")]
    pub(crate) ttl_after_finished: Option<Period>,
    /// Name of the request. Default: the name of the role with a random suffix.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A file with more fields: an ActivationRequest, or its spec, as YAML or JSON; - reads standard input. Options override it.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) filename: Option<PathBuf>,
}

pub(crate) fn ticket(text: &str) -> Result<Ticket, String> {
    match text.split_once(['/', ':']) {
        Some((system, number)) if !system.is_empty() && !number.is_empty() => Ok(Ticket { system: system.into(), number: number.into() }),
        _ => Err("write it as SYSTEM/NUMBER, such as jira/INC-4711".into()),
    }
}

pub(crate) fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "write it as 2026-11-23T08:15:00Z".into())
}

fn beneficiary(text: &str) -> Result<Beneficiary, String> {
    match text.split_once(':') {
        Some(("user", name)) if name.starts_with(RESERVED) => Err("names that begin with system: are reserved for Kubernetes".into()),
        Some(("user", name)) if !name.is_empty() => Ok(Beneficiary::User(name.into())),
        Some(("serviceaccount", account)) => match account.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                Ok(Beneficiary::ServiceAccount(ServiceAccount { namespace: namespace.into(), name: name.into() }))
            }
            _ => Err("write it as serviceaccount:NAMESPACE/NAME".into()),
        },
        _ => Err("write it as user:NAME or serviceaccount:NAMESPACE/NAME".into()),
    }
}

/// A value in YAML or JSON, of which every field is known.
pub(crate) fn yaml<T: DeserializeOwned + serde::Serialize>(text: &str) -> Result<T, String> {
    let value: Value = serde_saphyr::from_str(text).map_err(|error| format!("not valid YAML: {error}"))?;
    strict(&value).map_err(|error| format!("{error:#}"))
}

/// A value whose every field is known: a misspelt one must not be left out in silence.
fn strict<T: DeserializeOwned + serde::Serialize>(value: &Value) -> anyhow::Result<T> {
    let parsed: T = serde_json::from_value(value.clone())?;
    let known = serde_json::to_value(&parsed)?;
    match unknown_field("", value, &known) {
        Some(field) => bail!("there is no field {field}; kubectl explain activationrequest.spec lists them"),
        None => Ok(parsed),
    }
}

/// The path of the first field that was read and not understood.
fn unknown_field(path: &str, given: &Value, known: &Value) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => given.iter().find_map(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match known.get(key) {
                Some(other) => unknown_field(&path, value, other),
                // What is left out and what is empty are the same.
                None if value.is_null() || *value == json!([]) => None,
                None => Some(path),
            }
        }),
        (Value::Array(given), Value::Array(known)) => {
            given.iter().zip(known).enumerate().find_map(|(i, (a, b))| unknown_field(&format!("{path}[{i}]"), a, b))
        }
        _ => None,
    }
}

/// The fields of a file: those of `spec` of an ActivationRequest, or of a spec alone.
fn fields_of(text: &str, namespace: &str) -> anyhow::Result<Map<String, Value>> {
    let value: Value = serde_saphyr::from_str(text).context("is not valid YAML; it must be one document")?;
    let Value::Object(mut fields) = value else { bail!("does not hold an ActivationRequest or its spec") };
    let Some(kind) = fields.get("kind").cloned() else { return Ok(fields) };
    ensure!(kind == "ActivationRequest", "holds an object of kind {kind}, and not an ActivationRequest");
    let elsewhere = fields.get("metadata").and_then(|m| m.get("namespace")).and_then(Value::as_str).filter(|ns| *ns != namespace);
    if let Some(other) = elsewhere {
        bail!("is for namespace {other}, and the command for {namespace}; add -n {other}");
    }
    match fields.remove("spec") {
        Some(Value::Object(spec)) => Ok(spec),
        _ => bail!("has no spec"),
    }
}

/// The spec: the options over the fields of the file. The request that is extended is read for its uid.
///
/// # Errors
/// If the file cannot be read or has an unknown field, or the request that is extended does not exist.
pub(crate) async fn build(me: &CliContext, wanted: &Wanted) -> anyhow::Result<ActivationRequestSpec> {
    let fields = match &wanted.filename {
        None => Map::new(),
        Some(path) => {
            let named = || format!("file {}", path.display());
            let text = if path.as_os_str() == "-" { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
            fields_of(&text.with_context(named)?, &me.namespace).with_context(named)?
        }
    };
    let extends = match &wanted.extends {
        None => None,
        Some(name) => Some(reference(&find(me, name).await?)),
    };
    merge(fields, wanted, extends)
}

/// A request by name.
///
/// # Errors
/// If it does not exist or may not be read.
pub(crate) async fn find(me: &CliContext, name: &str) -> anyhow::Result<ActivationRequest> {
    let requests: Api<ActivationRequest> = Api::namespaced(me.client.clone(), &me.namespace);
    let name = bare_name(name);
    match requests.get_opt(name).await.map_err(plain).with_context(|| format!("cannot read request {name}"))? {
        Some(found) => Ok(found),
        None => {
            read::check_namespace(me).await?;
            bail!(
                "activationrequests.curfew.dev \"{name}\" not found in namespace {}; kubectl curfew list -n {} lists them",
                me.namespace,
                me.namespace
            )
        }
    }
}

/// The name of an object that may be written as kubectl prints it, such as `activationrequest.curfew.dev/NAME`.
pub(crate) fn bare_name(name: &str) -> &str {
    match name.split_once('/') {
        Some((
            "areq" | "activationrequest" | "activationrequests" | "activationrequest.curfew.dev" | "activationrequests.curfew.dev",
            name,
        )) => name,
        _ => name,
    }
}

/// What `extends` names.
pub(crate) fn reference(request: &ActivationRequest) -> UidRef {
    UidRef { name: request.name_any(), uid: request.uid().unwrap_or_default() }
}

/// How many names a message lists.
const NAMES: usize = 20;

/// Fails for a role that does not exist: with the namespace, if that is what does not exist, or with the names of the roles that do.
///
/// # Errors
/// Always.
pub(crate) async fn refuse_missing_role<T>(me: &CliContext, role: &str) -> anyhow::Result<T> {
    read::check_namespace(me).await?;
    let known = read::within::<RoleTemplate>(me, &me.namespace, &ListParams::default()).await?.unwrap_or_default();
    bail!("{}", no_such_role(role, &me.namespace, &known.iter().map(ResourceExt::name_any).collect::<Vec<_>>()))
}

/// What a role that does not exist is told, with those that do.
fn no_such_role(role: &str, namespace: &str, known: &[String]) -> String {
    let more = known.len().saturating_sub(NAMES);
    let listed = known.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match (known.len(), more) {
        (0, _) => format!("there is no RoleTemplate {role} in namespace {namespace}, and no other one; is -n right?"),
        (_, 0) => format!("there is no RoleTemplate {role} in namespace {namespace}; there are: {listed}"),
        (_, more) => format!("there is no RoleTemplate {role} in namespace {namespace}; there are: {listed}, and {more} more"),
    }
}

/// The object to create.
pub(crate) fn object(spec: &ActivationRequestSpec, name: Option<&str>) -> ActivationRequest {
    let mut request = ActivationRequest::new(name.unwrap_or_default(), spec.clone());
    if name.is_none() {
        request.metadata.name = None;
        request.metadata.generate_name = Some(format!("{}-", spec.role_ref.name));
    }
    request
}

/// The options over these fields.
///
/// # Errors
/// If no role is named, or a field is not known.
pub(crate) fn merge(mut fields: Map<String, Value>, wanted: &Wanted, extends: Option<UidRef>) -> anyhow::Result<ActivationRequestSpec> {
    let role = wanted.role.as_ref().map(|name| NameRef { name: name.clone() });
    let options = [
        ("roleRef", json!(role)),
        ("duration", json!(wanted.duration)),
        ("justification", json!(wanted.justification)),
        ("system", json!(wanted.system)),
        ("ticket", json!(wanted.ticket)),
        ("startTime", json!(wanted.start)),
        ("notAfter", json!(wanted.not_after)),
        ("scope", json!(wanted.scope)),
        ("permissions", json!(wanted.permissions)),
        ("beneficiary", json!(wanted.beneficiary)),
        ("extends", json!(extends)),
        ("breakGlass", json!(wanted.break_glass.then_some(true))),
        ("ttlAfterFinished", json!(wanted.ttl_after_finished)),
    ];
    fields.extend(options.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.to_owned(), value)));
    ensure!(fields.contains_key("roleRef"), "name the role: as an argument, or as roleRef in the file");
    ensure!(!fields.contains_key("requester"), "leave requester out of the file: the API server fills it in");
    strict(&Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted { role: Some("admin".into()), ..Wanted::default() }
    }

    #[test]
    fn every_field_of_the_spec_has_an_option() {
        let all = Wanted {
            duration: "45m".parse().ok(),
            justification: Some("x".into()),
            system: Some("prod".into()),
            ticket: ticket("jira/INC-1").ok(),
            start: time("2026-11-23T08:15:00Z").ok(),
            not_after: time("2026-11-23T18:00:00Z").ok(),
            scope: yaml("{kubernetes: {namespaces: [payments]}}").ok(),
            permissions: yaml("{kubernetes: {clusterRoles: [view]}}").ok(),
            beneficiary: beneficiary("user:bob").ok(),
            break_glass: true,
            ttl_after_finished: "14d".parse().ok(),
            ..wanted()
        };
        let spec = merge(Map::new(), &all, Some(UidRef { name: "old".into(), uid: "1".into() })).unwrap();
        let written = serde_json::to_value(&spec).unwrap();
        let crd = serde_json::to_value(<ActivationRequest as kube::CustomResourceExt>::crd()).unwrap();
        let fields = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        let fields: Vec<&String> = fields.as_object().unwrap().keys().collect();
        // Set by the API server, and by the operator alone.
        let not_asked = ["requester", "activeAssignment"];
        let missing: Vec<_> =
            fields.iter().filter(|field| !not_asked.contains(&field.as_str()) && written.get(field.as_str()).is_none()).collect();
        assert!(missing.is_empty(), "no option for {missing:?}");
    }

    #[test]
    fn options_override_the_file_and_an_unknown_field_is_named() {
        let file =
            fields_of("kind: ActivationRequest\nmetadata: {namespace: payments}\nspec: {roleRef: {name: view}, duration: 1h}", "payments")
                .unwrap();
        let spec = merge(file, &Wanted { duration: "45m".parse().ok(), ..Wanted::default() }, None).unwrap();
        assert_eq!((spec.role_ref.name.as_str(), spec.duration.unwrap().to_string().as_str()), ("view", "45m"));
        let misspelt = |text: &str| merge(fields_of(text, "payments").unwrap(), &wanted(), None).unwrap_err().to_string();
        assert!(misspelt("{justifcation: x}").contains("no field justifcation"));
        assert!(misspelt("{scope: {kubernetes: {namespaces: [a]}, k8s: {}, x: 1}}").contains("no field scope.k8s"));
        assert!(misspelt("{requester: {username: bob}}").contains("leave requester out"));
        assert!(merge(Map::new(), &Wanted::default(), None).unwrap_err().to_string().contains("name the role"));
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let refused = |text: &str| fields_of(text, "payments").unwrap_err().to_string();
        assert!(refused("kind: AccessDecision").contains("AccessDecision"));
        assert!(refused("kind: ActivationRequest\nmetadata: {namespace: shop}\nspec: {}").contains("add -n shop"));
        assert!(refused("kind: ActivationRequest").contains("has no spec"));
        assert!(refused("[]").contains("does not hold"));
    }

    #[test]
    fn values_of_options_say_how_to_write_them() {
        assert!(ticket("INC-4711").is_err() && ticket("/1").is_err());
        assert_eq!(ticket("jira:INC-1").unwrap(), ticket("jira/INC-1").unwrap());
        assert!(time("tomorrow").unwrap_err().contains("2026-11-23T08:15:00Z"));
        assert!(beneficiary("bob").is_err() && beneficiary("user:system:admin").is_err() && beneficiary("serviceaccount:ci").is_err());
        assert!(beneficiary("serviceaccount:ci/bot").is_ok());
        assert!(yaml::<ScopeByProvider>("{kubernets: {}}").unwrap_err().contains("no field kubernets"));
    }

    #[test]
    fn a_role_that_does_not_exist_is_told_with_those_that_do() {
        let names = |count: usize| (0..count).map(|i| format!("r{i}")).collect::<Vec<_>>();
        assert!(no_such_role("x", "payments", &[]).contains("no other one; is -n right?"));
        assert!(no_such_role("x", "payments", &names(2)).ends_with("there are: r0, r1"));
        assert!(no_such_role("x", "payments", &names(25)).ends_with("r19, and 5 more"));
    }

    #[test]
    fn names_may_be_written_as_kubectl_prints_them() {
        assert_eq!(bare_name("activationrequest.curfew.dev/a"), "a");
        assert_eq!((bare_name("areq/a"), bare_name("a"), bare_name("other/a")), ("a", "a", "other/a"));
    }
}
