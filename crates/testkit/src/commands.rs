//! What tests write, in kubectl's words and without its process: each word is one request of this user to the API server.
//!
//! Only what the tests need; anything else is an error that names it. Where kubectl itself is the subject, use
//! [`User::kubectl`].
use super::{
    SOON,
    arguments::{Arguments, Selection},
    eventually,
    kinds::Kind,
    rest::{self, Answer, send},
    user::{Output, User},
    watch::Watch,
};
use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use kube::Client;
use serde_json::{Value, json};
use std::time::Duration;

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

impl User {
    /// `apply` of every document of a text.
    ///
    /// # Errors
    /// If the text cannot be parsed or the server cannot be asked.
    pub async fn apply(&self, yaml: &str) -> Result<Output> {
        self.api_stdin(&["apply", "-f", "-"], yaml).await
    }
    /// `create` of every document of a text, for generated names.
    ///
    /// # Errors
    /// If the text cannot be parsed or the server cannot be asked.
    pub async fn create(&self, yaml: &str) -> Result<Output> {
        self.api_stdin(&["create", "-f", "-"], yaml).await
    }

    /// Creates many objects of one kind in a namespace, `at_a_time` of them at a time.
    ///
    /// # Errors
    /// If one is refused, with its refusal; if the server cannot be asked.
    pub async fn flood(&self, namespace: &str, objects: impl Iterator<Item = Value> + Send, at_a_time: usize) -> Result<()> {
        let client = self.cached().await?;
        let post = async |body: Value| {
            let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
            let uri = Kind::of(&text("apiVersion"), &text("kind"))?.path(Some(namespace), None);
            anyhow::Ok(match send(&client, Method::POST, &uri, JSON, Some(body)).await? {
                Answer::Refused(why) => Some(why.message),
                Answer::Ok(_) => None,
            })
        };
        let answers: Vec<Option<String>> = stream::iter(objects).map(post).buffer_unordered(at_a_time).try_collect().await?;
        let (all, refused) = (answers.len(), answers.into_iter().flatten().collect::<Vec<_>>());
        ensure!(refused.is_empty(), "{} of {all} objects were refused, the first of them: {}", refused.len(), refused[0]);
        Ok(())
    }

    /// A command in kubectl's words: `patch`, `delete`, `label`, `create KIND`.
    ///
    /// # Errors
    /// If the command is not known here or the server cannot be asked.
    pub async fn api(&self, args: &[&str]) -> Result<Output> {
        self.api_stdin(args, "").await
    }

    /// A command with a text on its standard input: `create -f -`, `apply -f -`.
    ///
    /// # Errors
    /// If the command is not known here or the server cannot be asked.
    pub async fn api_stdin(&self, args: &[&str], stdin: &str) -> Result<Output> {
        let (client, parsed) = (self.cached().await?, Arguments::parse(args)?);
        let outcome = match parsed.words.first().map(String::as_str) {
            Some("patch") => patch(&client, &parsed).await,
            Some("label") => label(&client, &parsed).await,
            Some("delete") => delete(self, &client, &parsed).await,
            Some("apply" | "create") if parsed.has("-f") => manifests(&client, &parsed, stdin).await,
            Some("create") => {
                let body = generated(&parsed)?;
                let made = manifest(&client, &body, false, "").await;
                if made.as_ref().is_ok_and(|m| m.ok) {
                    in_effect(&client, &body).await?;
                }
                made
            }
            other => bail!("the test kit does not know the command {other:?}: use the real kubectl"),
        };
        match outcome {
            // kubectl prints that it cannot reach the server and fails; so does this.
            Err(e) if e.downcast_ref::<kube::Error>().is_some() => {
                Ok(Output { ok: false, stdout: String::new(), stderr: format!("{e:#}\n") })
            }
            other => other,
        }
    }
}

/// `apply -f` and `create -f`, of standard input or of a file.
async fn manifests(client: &Client, parsed: &Arguments, stdin: &str) -> Result<Output> {
    parsed.only(&["-f", "--dry-run", "--validate", "-n"])?;
    let from = parsed.flag("-f").unwrap_or("-");
    let text = if from == "-" { stdin.to_owned() } else { std::fs::read_to_string(from).with_context(|| format!("cannot read {from}"))? };
    let apply = parsed.words.first().is_some_and(|w| w == "apply");
    let mut query = format!("?fieldValidation={}", if parsed.flag("--validate") == Some("ignore") { "Ignore" } else { "Strict" });
    match parsed.flag("--dry-run") {
        Some("server") => query.push_str("&dryRun=All"),
        Some(other) => bail!("the test kit does not know --dry-run={other}"),
        None => {}
    }
    let mut all = Output { ok: true, stdout: String::new(), stderr: String::new() };
    for document in documents(&text)? {
        let one = manifest(client, &document, apply, &query).await?;
        all.ok &= one.ok;
        all.stdout.push_str(&one.stdout);
        all.stderr.push_str(&one.stderr);
    }
    Ok(all)
}

/// The documents of a YAML text.
fn documents(text: &str) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for part in text.split("\n---").map(|d| d.trim_start_matches('-')) {
        let document: Value = serde_saphyr::from_str(part).with_context(|| format!("not YAML: {part}"))?;
        if !document.is_null() {
            all.push(document);
        }
    }
    Ok(all)
}

/// Creates one object; with `apply`, changes it if it is there and differs.
async fn manifest(client: &Client, body: &Value, apply: bool, query: &str) -> Result<Output> {
    let text = |p: &str| body.pointer(p).and_then(Value::as_str);
    let kind = Kind::of(text("/apiVersion").unwrap_or_default(), text("/kind").unwrap_or_default())?;
    let namespace = text("/metadata/namespace").unwrap_or("default");
    let said = |v: &Value, done: &str| format!("{}/{} {done}\n", kind.printed(), v["metadata"]["name"].as_str().unwrap_or_default());
    if let Some(name) = text("/metadata/name").filter(|_| apply) {
        let uri = kind.path(Some(namespace), Some(name));
        match rest::get(client, &uri).await? {
            Answer::Ok(live) => {
                let mut next = live.clone();
                merge(&mut next, body);
                if next == live {
                    return Ok(Answer::Ok(live).printed(|v| said(v, "unchanged")));
                }
                let answer = send(client, Method::PATCH, &format!("{uri}{query}"), MERGE, Some(body.clone())).await?;
                return Ok(answer.printed(|v| said(v, "configured")));
            }
            refused if !refused.is(404) => return Ok(refused.printed(|_| String::new())),
            Answer::Refused(_) => {}
        }
    }
    let uri = format!("{}{query}", kind.path(Some(namespace), None));
    let mut answer = send(client, Method::POST, &uri, JSON, Some(body.clone())).await?;
    if let Answer::Refused(why) = &answer
        && let Some(stamped) = with_record(client, body, &why.message).await?
    {
        answer = send(client, Method::POST, &uri, JSON, Some(stamped)).await?;
    }
    Ok(answer.printed(|v| said(v, "created")))
}

/// The object with its author, as `kubectl curfew stamp` writes it, where the API server of an old Kubernetes does not fill it in. So the
/// same tests run there.
async fn with_record(client: &Client, body: &Value, refusal: &str) -> Result<Option<Value>> {
    let absent = |field: &&str| refusal.contains(&format!("{field} is missing or null")) && body["spec"].get(*field).is_none();
    let Some(field) = ["requester", "decider", "author"].into_iter().find(absent) else { return Ok(None) };
    if rest::serves_mutating_policies(client).await? {
        return Ok(None);
    }
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let config = rest::get(client, "/apis/curfew.dev/v1alpha1/curfewconfigs/curfew").await?;
    let review = send(client, Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", JSON, Some(review)).await?;
    let (Answer::Ok(review), Answer::Ok(config)) = (review, config) else { bail!("cannot find out who this is") };
    let (login, identity) = (&review["status"]["userInfo"], &config["spec"]["identity"]);
    let lists = [&identity["aliases"]["keys"], &identity["deciderProof"]["keys"]].into_iter().filter_map(Value::as_array).flatten();
    let single = [&identity["mfa"]["methodsKey"], &identity["mfa"]["timeKey"], &identity["authenticationContext"]["key"]];
    let keys = lists.chain(single).filter_map(Value::as_str);
    let extra: Value =
        keys.map(|key| (key.to_owned(), login["extra"].get(key).cloned().unwrap_or(json!([])))).collect::<serde_json::Map<_, _>>().into();
    let mut stamped = body.clone();
    stamped["spec"][field] = json!({"username": login["username"], "groups": login["groups"], "extra": extra});
    if login["uid"].is_string() {
        stamped["spec"][field]["uid"] = login["uid"].clone();
    }
    Ok(Some(stamped))
}

/// JSON merge patch (RFC 7396).
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            into.as_object_mut().map(|o| o.remove(key));
        } else {
            merge(&mut into[key], value);
        }
    }
}

/// `create namespace|secret generic|configmap|serviceaccount|role|clusterrole|rolebinding|clusterrolebinding`.
fn generated(a: &Arguments) -> Result<Value> {
    const RBAC: &str = "rbac.authorization.k8s.io";
    let words: Vec<&str> = a.words.iter().map(String::as_str).collect();
    let name = words.last().copied().unwrap_or_default();
    let flag = |f: &str| a.flag(f).with_context(|| format!("{f} is missing"));
    let (api, kind, more) = match words.as_slice() {
        ["create", "namespace", _] => ("v1", "Namespace", json!({})),
        ["create", "configmap", _] => ("v1", "ConfigMap", json!({})),
        ["create", "serviceaccount", _] => ("v1", "ServiceAccount", json!({})),
        ["create", "secret", "generic", _] => {
            let (key, value) = flag("--from-literal")?.split_once('=').context("key=value")?;
            ("v1", "Secret", json!({"stringData": {key: value}}))
        }
        ["create", "clusterrole" | "role", _] => {
            let (resource, group) = flag("--resource")?.split_once('.').unwrap_or((flag("--resource")?, ""));
            let verbs: Vec<&str> = flag("--verb")?.split(',').collect();
            let rules = json!([{"apiGroups": [group], "resources": [resource], "verbs": verbs}]);
            let kind = if words[1] == "role" { "Role" } else { "ClusterRole" };
            ("rbac.authorization.k8s.io/v1", kind, json!({"rules": rules}))
        }
        ["create", "clusterrolebinding" | "rolebinding", _] => {
            let subjects = a.repeated.iter().filter_map(|(f, v)| match f.as_str() {
                "--user" => Some(json!({"apiGroup": RBAC, "kind": "User", "name": v})),
                "--serviceaccount" => v.split_once(':').map(|(ns, n)| json!({"kind": "ServiceAccount", "namespace": ns, "name": n})),
                _ => None,
            });
            let role = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": flag("--clusterrole")?});
            let kind = if words[1] == "rolebinding" { "RoleBinding" } else { "ClusterRoleBinding" };
            ("rbac.authorization.k8s.io/v1", kind, json!({"roleRef": role, "subjects": subjects.collect::<Vec<_>>()}))
        }
        other => bail!("the test kit cannot make {other:?}: use the real kubectl"),
    };
    a.only(&["-n", "--from-literal", "--verb", "--resource", "--clusterrole", "--user", "--serviceaccount"])?;
    let mut body = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": a.namespace()}});
    if !Kind::of(api, kind)?.namespaced {
        body["metadata"]["namespace"].take();
    }
    merge(&mut body, &more);
    Ok(body)
}

/// Waits until the API server goes by a new binding: RBAC follows a change some milliseconds later, and a test that goes on
/// at once would be refused now and then.
async fn in_effect(client: &Client, body: &Value) -> Result<()> {
    let Some(subject) = body["subjects"].get(0) else { return Ok(()) };
    let role = Kind::named("clusterrole")?.path(None, body["roleRef"]["name"].as_str());
    let Answer::Ok(role) = rest::get(client, &role).await? else { return Ok(()) };
    let Some(rule) = role["rules"].as_array().into_iter().flatten().find(|r| r["resources"].is_array()) else { return Ok(()) };
    let user = match subject["kind"].as_str() {
        Some("ServiceAccount") => {
            let part = |p: &str| subject[p].as_str().unwrap_or_default();
            format!("system:serviceaccount:{}:{}", part("namespace"), part("name"))
        }
        _ => subject["name"].as_str().unwrap_or_default().to_owned(),
    };
    let resource = rule["resources"][0].as_str().unwrap_or_default();
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
    let what = json!({"namespace": body["metadata"]["namespace"], "verb": rule["verbs"][0], "group": rule["apiGroups"][0], "resource": resource,
        "subresource": sub, "name": rule["resourceNames"][0]});
    let ask =
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": user, "resourceAttributes": what}});
    eventually(&format!("the rights of {user} to be in effect"), SOON, || async {
        match send(client, Method::POST, "/apis/authorization.k8s.io/v1/subjectaccessreviews", JSON, Some(ask.clone())).await? {
            Answer::Ok(v) => Ok((v["status"]["allowed"] == true).then_some(())),
            Answer::Refused(s) => bail!("{}", s.message),
        }
    })
    .await
}

/// The one object that a command names.
fn one(a: &Arguments, words: usize) -> Result<(Kind, String, String)> {
    let mut shortened = Arguments::parse(&[])?;
    shortened.words = a.words.iter().take(words).cloned().collect();
    let what = Selection::of(&shortened, 1)?;
    let (kind, name) = (what.kinds.first().copied().context("no kind")?, what.name.context("no name")?);
    Ok((kind, kind.path(Some(a.namespace()), Some(&name)), name))
}

async fn patch(client: &Client, a: &Arguments) -> Result<Output> {
    a.only(&["-n", "-p", "--type", "--subresource"])?;
    let (kind, mut uri, name) = one(a, 3)?;
    if let Some(sub) = a.flag("--subresource") {
        uri = format!("{uri}/{sub}");
    }
    let how = match a.flag("--type") {
        Some("json") => "application/json-patch+json",
        Some("merge") => MERGE,
        other => bail!("--type is merge or json, not {other:?}"),
    };
    let body: Value = serde_json::from_str(a.flag("-p").context("-p is missing")?)?;
    let answer = send(client, Method::PATCH, &format!("{uri}?fieldValidation=Strict"), how, Some(body)).await?;
    Ok(answer.printed(|_| format!("{}/{name} patched\n", kind.printed())))
}

async fn label(client: &Client, a: &Arguments) -> Result<Output> {
    a.only(&["-n"])?;
    let (kind, uri, name) = one(a, 3)?;
    let mut labels = json!({});
    for change in a.words.iter().skip(3) {
        match (change.split_once('='), change.strip_suffix('-')) {
            (Some((key, value)), _) => labels[key] = json!(value),
            (None, Some(key)) => labels[key] = Value::Null,
            (None, None) => bail!("{change} is neither key=value nor key-"),
        }
    }
    let answer = send(client, Method::PATCH, &uri, MERGE, Some(json!({"metadata": {"labels": labels}}))).await?;
    Ok(answer.printed(|_| format!("{}/{name} labeled\n", kind.printed())))
}

/// Deletes what is selected and waits until it is gone, unless `--wait=false`.
async fn delete(who: &User, client: &Client, a: &Arguments) -> Result<Output> {
    a.only(&["-n", "-l", "--all", "--wait", "--timeout", "--cascade"])?;
    let what = Selection::of(a, 1)?;
    ensure!(what.name.is_some() || what.labels.is_some() || a.has("--all"), "delete needs a name, -l or --all");
    let propagation = match a.flag("--cascade") {
        None | Some("background") => "Background",
        Some("foreground") => "Foreground",
        Some("orphan") => "Orphan",
        Some(other) => bail!("--cascade={other} is not known"),
    };
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation});
    let limit = match a.flag("--timeout") {
        Some(t) => Duration::from_secs(t.trim_end_matches('s').parse()?),
        None => SOON + SOON,
    };
    let mut all = Output { ok: true, stdout: String::new(), stderr: String::new() };
    for kind in &what.kinds {
        let names = match &what.name {
            Some(n) => vec![n.clone()],
            None => {
                let found = rest::list(client, kind, &what).await?;
                found.iter().filter_map(|v| v["metadata"]["name"].as_str()).map(str::to_owned).collect()
            }
        };
        for name in names {
            let uri = kind.path(what.namespace.as_deref(), Some(&name));
            let answer = send(client, Method::DELETE, &uri, JSON, Some(options.clone())).await?;
            if what.name.is_none() && answer.is(404) {
                continue;
            }
            let deleted = matches!(answer, Answer::Ok(_));
            let out = answer.printed(|_| format!("{} \"{name}\" deleted\n", kind.printed()));
            all.ok &= out.ok;
            all.stdout.push_str(&out.stdout);
            all.stderr.push_str(&out.stderr);
            if deleted
                && a.flag("--wait") != Some("false")
                && let Err(e) = gone(who, &uri, *kind, &what, &name, limit).await
            {
                all.ok = false;
                all.stderr.push_str(&format!("error: {e:#}\n"));
            }
        }
    }
    Ok(all)
}

/// Waits until an object is gone, or replaced by another of its name.
async fn gone(who: &User, uri: &str, kind: Kind, what: &Selection, name: &str, limit: Duration) -> Result<()> {
    let client = who.cached().await?;
    let first = match rest::get(&client, uri).await? {
        Answer::Ok(v) => v["metadata"]["uid"].clone(),
        // A user who may delete and not read cannot wait for more.
        Answer::Refused(_) => return Ok(()),
    };
    let one = Selection { kinds: vec![kind], namespace: what.namespace.clone(), name: Some(name.into()), labels: None, fields: None };
    let mut watch = Watch::start(who, &one).await?;
    watch.until_gone(&format!("{name} to be gone"), limit, &first).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_become_the_objects_that_kubectl_makes() {
        let made = |args: &[&str]| generated(&Arguments::parse(args).unwrap()).unwrap();
        let binding = made(&["create", "rolebinding", "-n", "a", "b", "--clusterrole=c", "--user=d"]);
        assert_eq!(binding["metadata"], json!({"name": "b", "namespace": "a"}));
        assert_eq!(binding["roleRef"]["name"], "c");
        assert_eq!(binding["subjects"][0]["name"], "d");
        let role = made(&["create", "clusterrole", "r", "--verb=get,delete", "--resource=activationrequests.curfew.dev"]);
        assert_eq!(role["rules"][0], json!({"apiGroups": ["curfew.dev"], "resources": ["activationrequests"], "verbs": ["get", "delete"]}));
        assert!(generated(&Arguments::parse(&["create", "quota", "q"]).unwrap()).is_err());
    }

    #[test]
    fn documents_are_split_and_empty_ones_are_left_out() {
        let all = documents("# a comment\na: 1\n---\n# nothing\n---\n{b: 2}\n").unwrap();
        assert_eq!(all, [json!({"a": 1}), json!({"b": 2})]);
    }

    #[test]
    fn a_merge_that_changes_nothing_is_seen() {
        let live = json!({"a": {"b": 1, "c": 2}});
        let mut next = live.clone();
        merge(&mut next, &json!({"a": {"b": 1}}));
        assert_eq!(next, live);
        merge(&mut next, &json!({"a": {"c": null}}));
        assert_eq!(next, json!({"a": {"b": 1}}));
    }
}
