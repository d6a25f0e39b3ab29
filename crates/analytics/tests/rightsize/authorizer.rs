//! RBAC as Kubernetes documents it, on JSON objects, written without the code under test.
use serde_json::{Value, json};

/// What the authorizer is asked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Request {
    pub verb: String,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// For URLs that are not resources.
    pub path: String,
    /// Whether it is a check beside a request, which has the name of the object also for `create`.
    pub beside: bool,
}

impl Request {
    /// `verb group/resource/subresource namespace name`, where `-` is nothing and `core` the core group.
    pub fn of(text: &str) -> Self {
        let words: Vec<&str> = text.split(' ').map(|word| if word == "-" { "" } else { word }).collect();
        let mut parts = words[1].splitn(3, '/');
        let mut next = || parts.next().unwrap_or_default().to_owned();
        let (group, resource, subresource) = (next(), next(), next());
        let word = |at: usize| words.get(at).map_or(String::new(), |word| (*word).to_owned());
        let group = if group == "core" { String::new() } else { group };
        Self { verb: words[0].into(), group, resource, subresource, namespace: word(2), name: word(3), ..Self::default() }
    }
    pub fn url(verb: &str, path: &str) -> Self {
        Self { verb: verb.into(), path: path.into(), ..Self::default() }
    }
    /// The event that the API server logs.
    pub fn event(&self, user: &str, code: i64, at: i64) -> Value {
        let time = jiff::Timestamp::from_second(at).unwrap().to_string();
        let mut event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "stage": "ResponseComplete", "verb": self.verb, "requestURI": self.path,
            "user": {"username": user, "groups": ["devs"]}, "responseStatus": {"code": code}, "requestReceivedTimestamp": time});
        if self.path.is_empty() {
            event["objectRef"] = json!({"resource": self.resource, "subresource": self.subresource, "apiGroup": self.group,
                "namespace": self.namespace, "name": self.name});
        }
        event
    }
    /// What the authorizer is given: for an object that is created, the log has a name that the request does not have.
    fn asked_name(&self) -> &str {
        if self.verb == "create" && self.subresource.is_empty() && !self.beside { "" } else { &self.name }
    }
}

fn list<'a>(rule: &'a Value, key: &str) -> Vec<&'a str> {
    rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn rule_allows(rule: &Value, request: &Request) -> bool {
    let verbs = list(rule, "verbs");
    if !verbs.contains(&"*") && !verbs.contains(&request.verb.as_str()) {
        return false;
    }
    if !request.path.is_empty() {
        let matches =
            |url: &&str| *url == "*" || *url == request.path || url.strip_suffix('*').is_some_and(|p| request.path.starts_with(p));
        return list(rule, "nonResourceURLs").iter().any(matches);
    }
    let groups = list(rule, "apiGroups");
    let combined =
        if request.subresource.is_empty() { request.resource.clone() } else { format!("{}/{}", request.resource, request.subresource) };
    let resource = |entry: &&str| {
        *entry == "*" || *entry == combined || (!request.subresource.is_empty() && *entry == format!("*/{}", request.subresource))
    };
    let names = list(rule, "resourceNames");
    (groups.contains(&"*") || groups.contains(&request.group.as_str()))
        && list(rule, "resources").iter().any(resource)
        && (names.is_empty() || names.contains(&request.asked_name()))
}

/// Whether the bindings among these objects allow a request of a user in some groups.
pub fn allows(objects: &[Value], user: &str, groups: &[&str], request: &Request) -> bool {
    let is_subject = |subject: &Value| match subject["kind"].as_str() {
        Some("User") => subject["name"] == user,
        Some("Group") => groups.iter().any(|group| subject["name"] == *group),
        Some("ServiceAccount") => {
            format!("system:serviceaccount:{}:{}", subject["namespace"].as_str().unwrap(), subject["name"].as_str().unwrap()) == user
        }
        _ => false,
    };
    objects.iter().filter(|object| object["kind"].as_str().is_some_and(|kind| kind.ends_with("Binding"))).any(|binding| {
        let at = binding["metadata"]["namespace"].as_str().unwrap_or_default();
        let reaches = at.is_empty() || (request.path.is_empty() && request.namespace == at);
        let role = objects.iter().find(|role| {
            let same = role["kind"] == binding["roleRef"]["kind"] && role["metadata"]["name"] == binding["roleRef"]["name"];
            same && (role["kind"] == "ClusterRole" || role["metadata"]["namespace"] == at)
        });
        reaches
            && binding["subjects"].as_array().into_iter().flatten().any(is_subject)
            && role.is_some_and(|role| role["rules"].as_array().into_iter().flatten().any(|rule| rule_allows(rule, request)))
    })
}
