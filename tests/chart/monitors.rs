//! What scrapes the metrics: every process that serves some is selected, by a port that exists, and may be reached.
use super::objects::{Objects, directory, rendered};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// Every Pod template with the port `http`: the name of its owner, and the template.
fn served(objects: &Objects) -> Vec<(&str, &Value)> {
    let long_lived = objects.iter().filter(|(id, _)| id.is("Deployment") || id.is("StatefulSet"));
    let templates = long_lived.map(|(id, object)| (id.name(), &object["spec"]["template"]));
    templates.filter(|(_, template)| port(template).is_some()).collect()
}

/// The number of the port `http`.
fn port(template: &Value) -> Option<u64> {
    let containers = template["spec"]["containers"].as_array()?.iter();
    let ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    ports.filter(|port| port["name"] == "http").find_map(|port| port["containerPort"].as_u64())
}

/// Whether a selector of labels alone selects these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_some_and(|wanted| !wanted.is_empty() && wanted.iter().all(|(key, value)| &labels[key] == value))
}

fn found<'a>(objects: &'a Objects, kind: &str) -> Result<&'a Value> {
    objects.iter().find(|(id, _)| id.is(kind)).map(|(_, object)| object).with_context(|| format!("no {kind}"))
}

const PROCESSES: [&str; 3] = ["curfew-analytics", "curfew-operator", "curfew-revoker"];

#[test]
fn a_pod_monitor_selects_the_operator_the_revoker_and_analytics() -> Result<()> {
    let objects = rendered(&["--set=monitoring.podMonitor.enabled=true", "--set=analytics.enabled=true"])?;
    let spec = &found(&objects, "PodMonitor")?["spec"];
    let served = served(&objects);
    let mut names: Vec<&str> = served.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    ensure!(names == PROCESSES, "{names:?}");
    for (name, template) in served {
        ensure!(selects(&spec["selector"]["matchLabels"], &template["metadata"]["labels"]), "{name} is not scraped: {spec}");
        // The label by which dashboards tell the processes apart.
        ensure!(template["metadata"]["labels"]["app.kubernetes.io/component"].is_string(), "{name}");
    }
    ensure!(spec["podMetricsEndpoints"][0]["port"] == "http" && spec["podMetricsEndpoints"][0]["path"] == "/metrics", "{spec}");
    Ok(())
}

#[test]
fn a_service_monitor_reaches_the_same_by_one_service() -> Result<()> {
    let objects = rendered(&["--set=monitoring.serviceMonitor.enabled=true", "--set=analytics.enabled=true"])?;
    let spec = &found(&objects, "ServiceMonitor")?["spec"];
    ensure!(spec["endpoints"][0]["port"] == "http", "{spec}");
    let selected = objects.iter().filter(|(id, service)| {
        id.is("Service")
            && selects(&spec["selector"]["matchLabels"], &service["metadata"]["labels"])
            && service["spec"]["ports"].as_array().is_some_and(|ports| ports.iter().any(|port| port["name"] == "http"))
    });
    // By two of them, everything would be scraped twice.
    let selected: Vec<_> = selected.collect();
    ensure!(selected.len() == 1 && selected[0].0.name() == "curfew-metrics", "{selected:?}");
    for (name, template) in served(&objects) {
        ensure!(selects(&selected[0].1["spec"]["selector"], &template["metadata"]["labels"]), "{name} is not scraped");
    }
    Ok(())
}

/// Whether NetworkPolicies let anybody reach this port of a Pod, and from where.
fn reached_from(objects: &Objects, template: &Value, port: u64) -> Vec<Value> {
    let policies = objects.iter().filter(|(id, _)| id.is("NetworkPolicy")).map(|(_, policy)| &policy["spec"]);
    let about = policies.filter(|spec| selects(&spec["podSelector"]["matchLabels"], &template["metadata"]["labels"]));
    let rules = about.flat_map(|spec| spec["ingress"].as_array().into_iter().flatten());
    let open = rules.filter(|rule| rule["ports"].as_array().is_some_and(|ports| ports.iter().any(|open| open["port"] == port)));
    open.map(|rule| rule["from"].clone()).collect()
}

#[test]
fn network_policies_let_prometheus_reach_what_is_scraped() -> Result<()> {
    let from = r#"[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}}]"#;
    let metrics_from = format!("--set-json=networkPolicy.metricsFrom={from}");
    let objects = rendered(&["--set=analytics.enabled=true", &metrics_from])?;
    let expected: Value = serde_json::from_str(from)?;
    for (name, template) in served(&objects) {
        let port = port(template).context("no port")?;
        ensure!(reached_from(&objects, template, port) == [expected.clone()], "{name}: {port}");
    }
    let closed = rendered(&["--set=analytics.enabled=true", "--set=networkPolicy.metricsFrom=null"])?;
    for (name, template) in served(&closed) {
        ensure!(reached_from(&closed, template, port(template).context("no port")?).is_empty(), "{name}");
    }
    Ok(())
}

/// With the manifests of `deploy/`, too.
#[test]
fn the_manifests_let_prometheus_reach_analytics() -> Result<()> {
    let mut objects = directory("deploy")?;
    objects.extend(directory("deploy/analytics")?);
    let served = served(&objects);
    ensure!(served.len() == PROCESSES.len());
    for (name, template) in served {
        let from = reached_from(&objects, template, port(template).context("no port")?);
        ensure!(from == [json!([{"namespaceSelector": {}}])], "{name}: {from:?}");
    }
    Ok(())
}
