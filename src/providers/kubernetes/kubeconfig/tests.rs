use super::*;
use kube::Client;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::json;

/// A certificate and its key in PEM.
struct Pair(String, String);

fn pair(ca: bool) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    params.is_ca = if ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    Pair(params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

fn with(server: &str, ca: &str, user: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": "c",
        "clusters": [{"name": "far", "cluster": {"server": server, "certificate-authority-data": ca}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "far", "user": "u"}}],
    })
}

fn good() -> Value {
    with("https://10.0.0.1:6443", &base64(&pair(true).0), json!({"token": "t"}))
}

fn read_value(v: &Value) -> Result<Checked, ProviderError> {
    read(&v.to_string())
}

/// What is read makes a client: nothing is left for it to refuse, or to panic at.
#[track_caller]
fn accepted(change: impl FnOnce(&mut Value)) -> Checked {
    let mut v = good();
    change(&mut v);
    let checked = read_value(&v).unwrap();
    let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _inside = rt.enter();
    Client::try_from(checked.config.clone()).map(drop).unwrap();
    checked
}

#[track_caller]
fn refused(words: &str, change: impl FnOnce(&mut Value)) {
    let mut v = good();
    change(&mut v);
    let why = read_value(&v).err().unwrap_or_else(|| panic!("accepted, instead of {words}: {v}")).to_string();
    assert!(why.contains(words), "{why} does not say {words}");
}

fn user(v: &mut Value) -> &mut Value {
    &mut v["users"][0]["user"]
}
fn cluster(v: &mut Value) -> &mut Value {
    &mut v["clusters"][0]["cluster"]
}

#[test]
fn an_address_a_ca_and_a_credential_and_nothing_else() {
    accepted(|_| {});
    refused("users.user.exec.command is not allowed", |v| user(v)["exec"] = json!({"command": "/bin/sh"}));
    refused("users.user.auth-provider.name is not allowed", |v| user(v)["auth-provider"] = json!({"name": "gcp"}));
    for key in ["tokenFile", "client-certificate", "client-key", "username", "password", "as", "act-as", "as-groups"] {
        refused(&format!("users.user.{key} is not allowed"), |v| user(v)[key] = "x".into());
    }
    for key in ["certificate-authority", "proxy-url", "insecure-skip-tls-verify", "tls-server-name"] {
        refused(&format!("clusters.cluster.{key} is not allowed"), |v| cluster(v)[key] = "x".into());
    }
    refused("extensions", |v| v["extensions"] = json!([{"name": "x"}]));
    refused("not a mapping", |v| *v = "x".into());
    // Also in entries that the current context does not use: a later edit could.
    refused("users.user.exec", |v| {
        v["users"].as_array_mut().unwrap().push(json!({"name": "other", "user": {"token": "t", "exec": {"command": "x"}}}));
    });
}

#[test]
fn a_value_that_cannot_be_used_is_refused_by_the_name_of_its_member() {
    for token in ["abc\n", "\nabc", "a\r\nb", "a b", "a\tb", "a\0b", "\u{200b}abc", "ä"] {
        refused("users.user.token contains", |v| user(v)["token"] = token.into());
    }
    refused("users.user needs a token", |v| user(v)["token"] = "".into());
    for server in ["http://10.0.0.1", "ftp://10.0.0.1", "unix:///run/x"] {
        refused("clusters.cluster.server must begin with https://", |v| cluster(v)["server"] = server.into());
    }
    for server in [
        "https://",
        "https:// x",
        "https://a\nb",
        "https://[::1",
        "https://a:b",
        "https://a:99999",
        "https://a:0",
        "https://:6443",
        "/path",
    ] {
        refused("clusters.cluster.server", |v| cluster(v)["server"] = server.into());
    }
    for server in ["https://u:p@a", "https://a?x=y", "https://a#x"] {
        refused("clusters.cluster.server has a user, a query or a fragment", |v| cluster(v)["server"] = server.into());
    }
    refused("clusters.cluster.server is missing", |v| cluster(v)["server"] = Value::Null);

    let (ca, other) = (pair(true), pair(true));
    let member = "clusters.cluster.certificate-authority-data";
    let broken = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    let not_one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (says, data) in [
        ("is missing", String::new()),
        ("is not base64", "a!".into()),
        ("is not base64; it is PEM", ca.0.clone()),
        ("holds no certificate in PEM", base64("hello")),
        ("holds no certificate in PEM", base64(&ca.1)),
        ("holds broken PEM", base64(broken)),
        ("holds a certificate that cannot be used", base64(not_one)),
    ] {
        refused(&format!("{member} {says}"), |v| cluster(v)["certificate-authority-data"] = data.into());
    }
    let by = |certificate: String, key: String| json!({"client-certificate-data": certificate, "client-key-data": key});
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (says, user_is) in [
        ("users.user.client-certificate-data is not base64", by("a!".into(), base64(&ca.1))),
        ("users.user.client-certificate-data holds no certificate", by(base64("x"), base64(&ca.1))),
        ("users.user.client-key-data is not base64", by(base64(&ca.0), "a!".into())),
        ("users.user.client-key-data holds no private key", by(base64(&ca.0), base64("x"))),
        ("users.user.client-key-data holds no private key", by(base64(&ca.0), base64(encrypted))),
        ("cannot be used together", by(base64(&ca.0), base64(&other.1))),
        ("users.user.client-key-data is missing", json!({"client-certificate-data": base64(&ca.0)})),
        ("users.user.client-certificate-data is missing", json!({"client-key-data": base64(&ca.1), "token": "t"})),
    ] {
        refused(says, |v| *user(v) = user_is);
    }
}

#[test]
fn what_the_current_context_names_must_be_there_once() {
    refused("current-context is missing", |v| v["current-context"] = "".into());
    refused("current-context names no element of contexts", |v| v["current-context"] = "x".into());
    refused("contexts.context.cluster names no element of clusters", |v| v["contexts"][0]["context"]["cluster"] = "x".into());
    refused("contexts.context.user names no element of users", |v| v["contexts"][0]["context"]["user"] = "x".into());
    refused("contexts.context.user is missing", |v| v["contexts"][0]["context"]["user"] = Value::Null);
    refused("users has two elements", |v| {
        let first = v["users"][0].clone();
        v["users"].as_array_mut().unwrap().push(first);
    });
    for empty in ["", "{}", "[]", "null", "a: b"] {
        assert!(read(empty).is_err(), "{empty}");
    }
}

#[test]
fn every_form_that_kubectl_reads_is_read() {
    let (ca, other) = (pair(true), pair(true));
    for server in ["10.0.0.1:6443", "HTTPS://10.0.0.1:6443", "https://10.0.0.1:6443/", "https://10.0.0.1:6443"] {
        assert_eq!(accepted(|v| cluster(v)["server"] = server.into()).server, "https://10.0.0.1:6443");
    }
    let path = accepted(|v| cluster(v)["server"] = "https://rancher.example.com/k8s/clusters/c-1".into());
    assert_eq!(path.server, "https://rancher.example.com/k8s/clusters/c-1");
    accepted(|v| cluster(v)["server"] = "https://[::1]:6443".into());
    accepted(|v| cluster(v)["server"] = "[::1]".into());

    let wrapped = |text: &str| base64(text).as_bytes().chunks(64).map(|c| String::from_utf8_lossy(c) + "\n").collect::<String>();
    let plain = accepted(|v| cluster(v)["certificate-authority-data"] = base64(&ca.0).into());
    let folded = accepted(|v| cluster(v)["certificate-authority-data"] = wrapped(&ca.0).into());
    let commented = accepted(|v| cluster(v)["certificate-authority-data"] = base64(&format!("subject=x\r\n\n{}\nafter", ca.0)).into());
    assert!(plain.ca == folded.ca && plain.ca == commented.ca, "the same CA, written otherwise");
    let both = |a: &Pair, b: &Pair| accepted(|v| cluster(v)["certificate-authority-data"] = base64(&format!("{}{}", a.0, b.0)).into()).ca;
    assert_eq!(both(&ca, &other), both(&other, &ca), "a bundle in another order is the same CA");
    assert_ne!(both(&ca, &other), plain.ca);

    accepted(|v| *user(v) = json!({"client-certificate-data": wrapped(&ca.0), "client-key-data": wrapped(&ca.1)}));
    accepted(|v| *user(v) = json!({"client-certificate-data": base64(&ca.0), "client-key-data": base64(&ca.1), "token": "t"}));
    accepted(|v| *v = json!({"current-context": "c", "clusters": v["clusters"], "users": v["users"], "contexts": v["contexts"]}));
    // Other entries are not in use, so their values do not count.
    accepted(|v| {
        v["clusters"].as_array_mut().unwrap().push(json!({"name": "x", "cluster": {"server": "http://x"}}));
        v["users"].as_array_mut().unwrap().push(json!({"name": "x", "user": {}}));
        v["contexts"].as_array_mut().unwrap().push(json!({"name": "x", "context": {"cluster": "gone", "user": "x", "namespace": "n"}}));
    });
    let block = format!(
        "---\napiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: far\n  cluster:\n    server: https://a\n    \
         certificate-authority-data: |\n{}users:\n- name: u\n  user: {{token: t}}\ncontexts:\n- name: c\n  context: {{cluster: far, user: u}}\n",
        wrapped(&ca.0).lines().map(|l| format!("      {l}\n")).collect::<String>()
    );
    assert_eq!(read(&block).unwrap().ca, plain.ca);
    assert!(read(&format!("\u{feff}{block}")).is_ok());
}

#[test]
fn a_deep_or_growing_document_is_refused_and_exhausts_nothing() {
    // As large as the stack of a worker of the async runtime.
    let worker = std::thread::Builder::new().stack_size(2 << 20);
    let deep = || {
        for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
            for depth in [100, 10_000, 200_000] {
                assert!(read(&(open.repeat(depth) + &close.repeat(depth))).is_err());
                assert!(read(&open.repeat(depth)).is_err());
            }
        }
        let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        (1..12).for_each(|i| laughs.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","))));
        assert!(read(&laughs).is_err());
    };
    worker.spawn(deep).unwrap().join().unwrap();
}

#[test]
fn a_value_is_never_quoted() {
    let secret = "hunter2";
    for text in [
        "{users: [{user: {password: hunter2}}]}".to_owned(),
        {
            let mut v = good();
            user(&mut v)["token"] = "hunter2\n".into();
            v.to_string()
        },
        {
            let mut v = good();
            cluster(&mut v)["server"] = "https://a:hunter2".into();
            v.to_string()
        },
        {
            let mut v = good();
            cluster(&mut v)["certificate-authority-data"] = "hunter2!".into();
            v.to_string()
        },
        "hunter2: [".to_owned(),
    ] {
        let why = read(&text).unwrap_err().to_string();
        assert!(!why.contains(secret), "{why}");
    }
}
