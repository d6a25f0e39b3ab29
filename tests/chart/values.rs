//! Values: what is refused, and what each of them changes.
use super::objects::{Objects, helm, rendered, template};
use anyhow::{Context, Result, ensure};
use curfew_testkit::path;
use serde_json::Value;

/// The one object of this kind and name.
fn one<'a>(objects: &'a Objects, kind: &str, name: &str) -> Result<&'a Value> {
    objects.iter().find(|(id, _)| id.is(kind) && id.name() == name).map(|(_, object)| object).with_context(|| format!("no {kind} {name}"))
}

fn there(objects: &Objects, kind: &str, name: &str) -> bool {
    one(objects, kind, name).is_ok()
}

#[test]
fn the_chart_passes_lint() -> Result<()> {
    helm(&["lint", "--strict", "--namespace", "curfew-system", &path("charts/curfew")])?.success().map(drop)
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_reason() -> Result<()> {
    let identity = r#"config.spec={"ceilings":{"duration":"24h"},"retention":"30d","identity":{"aliases":{"none":{}},"uids":{"personal":{}},"deciderProof":{"none":{}}"#;
    let closed = format!("{identity},\"deciderProofs\":{{}}}}}}");
    let table: &[(&[&str], &[&str])] = &[
        (&["--set=operator.replica=3"], &["replica", "not allowed"]),
        (&["--set=unknown=1"], &["unknown", "not allowed"]),
        (&["--set=operator.resources.limits.memory=null", "--set=operator.resources.limit.memory=1Gi"], &["limit", "not allowed"]),
        (&["--set=image.digest=sha256:abc"], &["digest"]),
        (&["--set=operator.replicas=0"], &["replicas"]),
        (&["--set=thisCluster.mode=Write"], &["mode"]),
        // A spec of CurfewConfig is whole, and has no fields that the API server would prune.
        (&["--set=config.spec.retention=30d"], &["ceilings", "identity"]),
        (&["--set-json", &closed], &["deciderProofs", "not allowed"]),
        (&["--set=image.tag="], &["set image.tag or image.digest"]),
        (&["--set=priorityClass.name=mine"], &["priorityClass.create=false"]),
        (&["--set=monitoring.podMonitor.enabled=true", "--set=monitoring.serviceMonitor.enabled=true"], &["not both"]),
    ];
    for (args, words) in table {
        let refusal = template(args)?.refused().with_context(|| format!("{args:?}"))?;
        ensure!(words.iter().all(|word| refusal.contains(word)), "{args:?}: {refusal}");
    }
    let elsewhere = helm(&["template", "curfew", &path("charts/curfew"), "--namespace=tools", super::objects::KUBERNETES])?.refused()?;
    ensure!(elsewhere.contains("the namespace must be curfew-system, not tools"), "{elsewhere}");
    let other = helm(&["template", "jit", &path("charts/curfew"), "--namespace=curfew-system", super::objects::KUBERNETES])?.refused()?;
    ensure!(other.contains("the release must be named curfew, not jit"), "{other}");
    let old = helm(&["template", "curfew", &path("charts/curfew"), "--namespace=curfew-system", "--kube-version=1.33.13"])?.refused()?;
    ensure!(old.contains("1.34.0"), "{old}");
    Ok(())
}

/// What the API server of the version serves is installed, and a value decides where nobody can be asked. What protects is there always.
#[test]
fn the_mutating_policies_are_there_where_they_are_served() -> Result<()> {
    let is_stamp = |id: &super::objects::Id| id.is("MutatingAdmissionPolicy") || id.is("MutatingAdmissionPolicyBinding");
    let all = rendered(&[])?;
    ensure!(all.keys().filter(|id| is_stamp(id)).count() == 8, "{:?}", all.keys());
    for (args, stamps) in [
        (&["--kube-version=1.36.0"][..], true),
        (&["--kube-version=1.36.2-gke.1"], true),
        (&["--kube-version=1.35.9"], false),
        // As helm with a cluster and Argo CD tell: what is served counts, and not the version.
        (&["--api-versions=v1/Pod"], false),
        (&["--kube-version=1.35.9", "--api-versions=v1/Pod,admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"], true),
        (&["--kube-version=1.34.0-eks-1"], false),
        (&["--set=mutatingPolicies=never"], false),
        (&["--kube-version=1.34.4", "--set=mutatingPolicies=always"], true),
    ] {
        let some = rendered(args)?;
        ensure!(some.keys().any(is_stamp) == stamps, "{args:?}");
        ensure!(some.len() == all.len() - if stamps { 0 } else { 8 }, "{args:?}: {} objects", some.len());
    }
    ensure!(template(&["--set=mutatingPolicies=sometimes"])?.refused()?.contains("mutatingPolicies"));
    Ok(())
}

#[test]
fn what_can_be_left_out_is_left_out_and_nothing_else() -> Result<()> {
    let all = rendered(&[])?;
    let table: &[(&str, &[(&str, &str)])] = &[
        (
            "revoker.enabled=false",
            &[
                ("Deployment", "curfew-revoker"),
                ("ServiceAccount", "curfew-revoker"),
                ("ClusterRole", "curfew-revoker"),
                ("ClusterRoleBinding", "curfew-revoker"),
                ("Role", "curfew-revoker"),
                ("RoleBinding", "curfew-revoker"),
            ],
        ),
        (
            "sweep.enabled=false",
            &[
                ("CronJob", "curfew-sweep"),
                ("ServiceAccount", "curfew-sweep"),
                ("ClusterRole", "curfew-sweep"),
                ("ClusterRoleBinding", "curfew-sweep"),
            ],
        ),
        ("config.enabled=false", &[("CurfewConfig", "curfew")]),
        ("thisCluster.enabled=false", &[("AuthorizationSystem", "this-cluster")]),
        ("networkPolicy.enabled=false", &[("NetworkPolicy", "curfew")]),
        ("operator.disruptionBudget=false", &[("PodDisruptionBudget", "curfew-operator")]),
        ("priorityClass.create=false", &[("PriorityClass", "curfew")]),
        (
            "uninstall.force=true",
            &[
                ("Job", "curfew-no-live-grants"),
                ("ServiceAccount", "curfew-uninstall"),
                ("ClusterRole", "curfew-uninstall"),
                ("ClusterRoleBinding", "curfew-uninstall"),
            ],
        ),
    ];
    for (value, gone) in table {
        let left = rendered(&["--set", value])?;
        for (kind, name) in *gone {
            ensure!(there(&all, kind, name) && !there(&left, kind, name), "{value}: {kind} {name}");
        }
        ensure!(left.len() == all.len() - gone.len(), "{value}: {} of {} objects are left", left.len(), all.len());
    }
    for (value, kind) in [("crds.enabled=false", "CustomResourceDefinition"), ("flowControl.enabled=false", "FlowSchema")] {
        ensure!(!rendered(&["--set", value])?.keys().any(|id| id.is(kind)), "{value}");
    }
    let no_people = rendered(&["--set=people.enabled=false"])?;
    ensure!(!there(&no_people, "ClusterRole", "curfew-requester") && there(&no_people, "ClusterRole", "curfew-operator"));
    // What protects cannot be left out: the admission policies have no value.
    ensure!(all.keys().filter(|id| id.is("ValidatingAdmissionPolicy")).count() >= 6);
    Ok(())
}

#[test]
fn values_reach_the_objects() -> Result<()> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let objects = rendered(&[
        "--set=image.repository=registry.example.com/curfew",
        &format!("--set=image.digest={digest}"),
        "--set=image.pullSecrets[0].name=pull",
        "--set=logLevel=debug",
        "--set=operator.replicas=3",
        "--set=operator.nodeSelector.pool=system",
        "--set=operator.podLabels.team=a",
        "--set=operator.serviceAccountAnnotations.eks\\.amazonaws\\.com/role-arn=arn:aws:iam::1:role/curfew",
        "--set=operator.extraEnv[0].name=HTTPS_PROXY",
        "--set=operator.extraEnv[0].value=http://proxy:3128",
        "--set=operator.extraArgs[0]=--x",
        "--set=sweep.schedule=*/2 * * * *",
        "--set=priorityClass.name=",
        "--set=priorityClass.create=false",
        "--set=thisCluster.mode=ReadWrite",
        "--set=quotas.namespaces={payments,search}",
        "--set=quotas.requests=1000000",
        "--set-json=networkPolicy.apiServer.to=[{\"ipBlock\":{\"cidr\":\"10.0.0.1/32\"}}]",
        "--set=networkPolicy.cloud.ports={443}",
        "--set=networkPolicy.notifications.ports={587}",
        "--set=networkPolicy.metricsFrom=null",
        "--set-json",
        r#"config.spec={"ceilings":{"duration":"8h"},"retention":"90d","identity":{"aliases":{"none":{}},"uids":{"shared":{}},"deciderProof":{"none":{}}}}"#,
    ])?;
    let image = format!("registry.example.com/curfew@{digest}");
    for (kind, name, pod) in [
        ("Deployment", "curfew-operator", "/spec/template"),
        ("Deployment", "curfew-revoker", "/spec/template"),
        ("CronJob", "curfew-sweep", "/spec/jobTemplate/spec/template"),
        ("Job", "curfew-no-live-grants", "/spec/template"),
    ] {
        let pod = one(&objects, kind, name)?.pointer(pod).context("no Pod template")?;
        let container = &pod["spec"]["containers"][0];
        ensure!(container["image"] == image.as_str() && pod["spec"]["imagePullSecrets"][0]["name"] == "pull", "{name}: {container}");
        ensure!(pod["spec"]["priorityClassName"].is_null(), "{name}");
        let debug = container["env"].as_array().is_some_and(|env| env.iter().any(|e| e["name"] == "RUST_LOG" && e["value"] == "debug"));
        ensure!(debug, "{name}: {container}");
    }
    let operator = one(&objects, "Deployment", "curfew-operator")?;
    let pod = &operator["spec"]["template"];
    ensure!(
        operator["spec"]["replicas"] == 3 && pod["spec"]["nodeSelector"]["pool"] == "system" && pod["metadata"]["labels"]["team"] == "a",
        "{operator}"
    );
    ensure!(pod["spec"]["containers"][0]["args"].as_array().and_then(|args| args.last()).is_some_and(|last| last == "--x"), "{pod}");
    // Labels of Pods leave the selector alone, which cannot change.
    ensure!(operator["spec"]["selector"]["matchLabels"].as_object().is_some_and(|labels| labels.len() == 2), "{operator}");
    let account = one(&objects, "ServiceAccount", "curfew-operator")?;
    ensure!(account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == "arn:aws:iam::1:role/curfew", "{account}");
    ensure!(one(&objects, "CronJob", "curfew-sweep")?["spec"]["schedule"] == "*/2 * * * *");
    ensure!(one(&objects, "AuthorizationSystem", "this-cluster")?["spec"]["mode"] == "ReadWrite");
    let config = one(&objects, "CurfewConfig", "curfew")?;
    ensure!(
        config["spec"]["identity"]["uids"] == serde_json::json!({"shared": {}}) && config["spec"]["ceilings"]["duration"] == "8h",
        "{config}"
    );
    let quotas: Vec<_> = objects.iter().filter(|(id, _)| id.is("ResourceQuota")).collect();
    ensure!(
        quotas.len() == 2 && quotas.iter().all(|(_, q)| q["spec"]["hard"]["count/activationrequests.curfew.dev"] == "1000000"),
        "{quotas:?}"
    );
    let network = &one(&objects, "NetworkPolicy", "curfew")?["spec"];
    ensure!(
        network["egress"][1]["to"][0]["ipBlock"]["cidr"] == "10.0.0.1/32"
            && network["egress"][2]["ports"][0]["port"] == 443
            && network["egress"][3]["ports"] == serde_json::json!([{"protocol": "TCP", "port": 587}]),
        "{network}"
    );
    ensure!(network["ingress"] == serde_json::json!([]), "{network}");
    Ok(())
}

#[test]
fn traces_are_sent_by_operator_and_revoker_where_an_endpoint_is_named() -> Result<()> {
    let endpoint = |objects: &Objects, name: &str| -> Result<Option<String>> {
        let env = one(objects, "Deployment", name)?["spec"]["template"]["spec"]["containers"][0]["env"].clone();
        let found = env.as_array().and_then(|env| env.iter().find(|e| e["name"] == "OTEL_EXPORTER_OTLP_ENDPOINT")).cloned();
        Ok(found.and_then(|e| e["value"].as_str().map(str::to_owned)))
    };
    let (off, on) = (
        rendered(&[])?,
        rendered(&[
            "--set=traces.endpoint=https://collector.observability:4318",
            "--set=traces.headersSecret.name=collector",
            "--set=traces.caSecret.name=authorities",
            "--set=traces.resourceAttributes.k8s\\.cluster\\.name=prod eu+1",
            "--set=networkPolicy.traces.ports={4318}",
            "--set=operator.extraEnv[0].name=OTEL_BSP_SCHEDULE_DELAY",
            "--set-string=operator.extraEnv[0].value=5000",
        ])?,
    );
    for name in ["curfew-operator", "curfew-revoker"] {
        ensure!(endpoint(&off, name)?.is_none(), "{name}: off by default");
        ensure!(endpoint(&on, name)?.as_deref() == Some("https://collector.observability:4318"), "{name}");
        let pod = &one(&on, "Deployment", name)?["spec"]["template"]["spec"];
        let env = pod["containers"][0]["env"].as_array().context("env")?;
        let of = |name: &str| env.iter().find(|e| e["name"] == name).cloned().unwrap_or_default();
        ensure!(
            of("OTEL_EXPORTER_OTLP_HEADERS")["valueFrom"]["secretKeyRef"]
                == serde_json::json!({"name": "collector", "key": "headers", "optional": true})
        );
        ensure!(of("OTEL_RESOURCE_ATTRIBUTES")["value"] == "k8s.cluster.name=prod%20eu%2B1", "{env:?}");
        ensure!(of("OTEL_EXPORTER_OTLP_CERTIFICATE")["value"] == "/etc/curfew/traces/ca.crt" && of("CURFEW_TRACES_TRANSPORT").is_null());
        ensure!(of("CURFEW_REPLICA")["valueFrom"].is_object(), "what it has beside that stays: {env:?}");
        ensure!(pod["volumes"][0]["secret"]["secretName"] == "authorities" && pod["volumes"][0]["secret"]["optional"] == true, "{pod}");
        ensure!(pod["containers"][0]["volumeMounts"][0]["mountPath"] == "/etc/curfew/traces", "{pod}");
    }
    ensure!(!one(&on, "CronJob", "curfew-sweep")?.to_string().contains("OTEL_"), "the sweep has no traces");
    let egress = &one(&on, "NetworkPolicy", "curfew")?["spec"]["egress"];
    ensure!(egress[2]["ports"] == serde_json::json!([{"protocol": "TCP", "port": 4318}]), "{egress}");
    let plain = template(&["--set=traces.endpoint=http://collector.observability:4318"])?;
    ensure!(!plain.ok && plain.stderr.contains("traces.transport=Plaintext"), "{}", plain.stderr);
    ensure!(template(&["--set=traces.endpoint=http://collector:4318", "--set=traces.transport=Plaintext"])?.ok);
    ensure!(template(&["--set=traces.endpoint=http://127.0.0.1:4318"])?.ok, "a sidecar");
    Ok(())
}

/// The default quota is the one of the example, which `kubectl curfew init` prints, too.
#[test]
fn the_quota_is_that_of_the_example() -> Result<()> {
    let example = super::objects::directory("examples/quota")?;
    let chart = rendered(&["--set=quotas.namespaces={payments}"])?;
    ensure!(one(&chart, "ResourceQuota", "curfew")?["spec"] == one(&example, "ResourceQuota", "curfew")?["spec"]);
    Ok(())
}

#[test]
fn analytics_is_installed_on_demand_with_its_secrets_and_storage() -> Result<()> {
    ensure!(!there(&rendered(&[])?, "StatefulSet", "curfew-analytics"));
    let with = rendered(&[
        "--set=analytics.enabled=true",
        "--set=analytics.tlsSecret=mine",
        "--set=analytics.storage.size=9Gi",
        "--set=analytics.extraArgs={--logs=/logs}",
        "--set=networkPolicy.enabled=false",
    ])?;
    for (kind, name) in [("ServiceAccount", "curfew-analytics"), ("ClusterRole", "curfew-analytics"), ("Service", "curfew-analytics")] {
        ensure!(there(&with, kind, name), "{kind} {name}");
    }
    ensure!(!there(&with, "NetworkPolicy", "curfew-analytics"));
    let spec = &one(&with, "StatefulSet", "curfew-analytics")?["spec"];
    let pod = &spec["template"]["spec"];
    ensure!(
        pod["volumes"][0]["secret"]["secretName"] == "mine" && pod["volumes"][1]["secret"]["secretName"] == "curfew-analytics-tokens",
        "{pod}"
    );
    ensure!(spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "9Gi", "{spec}");
    let args = pod["containers"][0]["args"].as_array().context("no arguments")?;
    ensure!(args.first() == Some(&Value::from("run")) && args.last() == Some(&Value::from("--logs=/logs")), "{args:?}");
    // It must not take the place of what revokes.
    ensure!(pod["priorityClassName"].is_null(), "{pod}");
    Ok(())
}
