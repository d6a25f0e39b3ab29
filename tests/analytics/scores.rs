//! Exact scores before and after people act, computed here by the formula of docs/pci.md.
use crate::plane::{Plane, SYSTEM};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, eventually, metric};
use serde_json::Value;

const DANA: &str = "dana@example.com";
const ERIN: &str = "erin@example.com";

/// `100 · ln(1 + 1000 x) / ln 1001`, rounded half up.
fn index(x: f64) -> u64 {
    ((100.0 * (1000.0 * x).ln_1p() / 1000f64.ln_1p()) * 1e9).round().mul_add(1e-9, 0.5).floor() as u64
}

/// The reach of so many places of all.
fn reach(places: f64, all: f64) -> f64 {
    (1.0 + places).log2() / (1.0 + all).log2()
}

/// The namespaces of the cluster, and the place of the cluster itself.
async fn places(plane: &Plane) -> Result<f64> {
    let names = plane.world.field(&["namespaces"], "{.items[*].metadata.name}").await?;
    Ok(names.split(' ').count() as f64 + 1.0)
}

fn number(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("not a number: {value}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_use_lowers_their_scores_and_what_they_get_raises_them() -> Result<()> {
    let plane = Plane::start("analytics").await?;
    let (world, analytics) = (&plane.world, plane.analytics().await?);
    let operator = world.operator("operator").await?;
    world.granting().await?;
    let asks = plane.questions().await?;

    // Before: dana may read ConfigMaps of one namespace, by two permissions of weight 2, and as everybody the CurfewConfig, by one. erin may do
    // everything. Both do nothing.
    let (dana, report) = asks.row(DANA, "has no use", |row| row["permissions"]["used"] == 0).await?;
    let (mass, all) = (number(&report["catalogue"]["mass"])?, places(&plane).await?);
    let after = |unused: f64, config: f64| (2.0 * unused * reach(1.0, all) + 2.0 * config) / mass;
    let is = |row: &Value, x: f64| Ok::<_, anyhow::Error>((number(&row["x"])? - x).abs() < 1e-12 && row["score"] == index(x));
    ensure!(is(&dana, after(2.0, 1.0))?, "{dana} {}", after(2.0, 1.0));
    let (erin, _) = asks.row(ERIN, "is idle", |row| row["permissions"]["used"] == 0).await?;
    ensure!(erin["score"] == 100 && erin["band"] == "high", "{erin}");

    // After: dana has read one. The other permission is left.
    let user = world.cp.user(DANA, &[])?;
    user.field(&["configmap", "-n", "payments", "kube-root-ca.crt"], "{.metadata.name}").await?;
    let (dana, _) = asks.row(DANA, "has one use", |row| row["permissions"]["used"] == 1).await?;
    ensure!(is(&dana, after(1.0, 1.0))?, "{dana}");
    user.field(&["configmap", "-n", "payments"], "{.items[*].metadata.name}").await?;
    let (dana, _) = asks.row(DANA, "has two uses", |row| row["permissions"]["used"] == 2).await?;
    ensure!(is(&dana, after(0.0, 1.0))?, "{dana}");
    user.field(&["curfewconfig", "curfew"], "{.metadata.name}").await?;
    let (dana, _) = asks.row(DANA, "has used everything", |row| row["permissions"]["used"] == 3).await?;
    ensure!(dana["score"] == 0 && dana["x"] == 0.0, "{dana}");
    // What is refused is not a use.
    ensure!(!user.can_read_secret("payments", "db").await?);

    // The status: the score of the system follows from the shares of all that count, and has the parts of the report.
    let (report, status) = eventually("status and report of one analysis", SOON, || async {
        let (report, status) =
            (asks.report().await?, plane.status("a score", |status| status["pci"]["score"].as_u64().map(|_| status.clone())).await?);
        Ok((report["system"]["score"] == status["pci"]["score"]).then_some((report, status)))
    })
    .await?;
    let shares = report["identities"].as_array().into_iter().flatten().filter(|row| row["counted"] == true);
    let product: f64 = shares.filter_map(|row| row["x"].as_f64()).map(|x| 1.0 - 0.02 * x).product();
    let pci = &status["pci"];
    ensure!(pci["score"] == index(1.0 - product), "{pci} {product}");
    ensure!(pci["confidence"] == "0.01" && pci["band"] != Value::Null && pci["evaluatedAt"].is_string(), "{pci}");
    ensure!(
        pci["top"].to_string().contains(ERIN) && pci["top"][0]["score"] == 100 && pci["catalogVersion"] == report["catalogue"]["version"],
        "{pci}"
    );
    ensure!(pci["trend"].as_array().is_some_and(|days| days.len() == 1 && days[0]["score"] == pci["score"]), "{pci}");
    ensure!(
        pci["folders"][0]["label"] == "env" && pci["folders"][0]["value"] == "prod" && pci["folders"][0]["score"] == pci["score"],
        "{pci}"
    );
    let exceeded: Vec<&str> = pci["targetsExceeded"].as_array().into_iter().flatten().filter_map(|one| one["target"].as_str()).collect();
    ensure!(exceeded == ["system", "human", "superIdentities"], "{exceeded:?}");
    let types: Vec<&str> = status["findings"].as_array().into_iter().flatten().filter_map(|one| one["type"].as_str()).collect();
    ensure!(types.contains(&"SuperIdentity") && types.contains(&"Escalation"), "{types:?}");
    ensure!(status["conditions"].as_array().into_iter().flatten().filter(|c| c["status"] == "True").count() >= 5, "{status}");
    ensure!(status.to_string().len() < 32 << 10);

    // The operator's part of the status is as it was, and who wrote what is told apart.
    ensure!(status["display"]["provider"] == "kubernetes" && status["target"]["id"].is_string(), "{status}");
    let managers = world.field(&["authsys", SYSTEM], "{.metadata.managedFields[*].manager}").await?;
    ensure!(managers.contains("curfew-analytics"), "{managers}");

    // Metrics have the same numbers, and no names.
    let metrics = analytics.metrics().await?;
    ensure!(
        metric(&metrics, &format!("curfew_pci_score{{system=\"{SYSTEM}\"}}")).is_some_and(|score| score as u64 == pci["score"]),
        "{metrics}"
    );
    ensure!(metrics.contains("curfew_pci_identities") && !metrics.contains("example.com"), "{metrics}");
    let of = |name: &str, labels: &str| metric(&metrics, &format!("curfew_{name}{{system=\"{SYSTEM}\"{labels}}}"));
    ensure!(of("analytics_inventory_fresh", "") == Some(1.0) && of("analytics_usage_fresh", "") == Some(1.0), "{metrics}");
    ensure!(of("analytics_newest_event_timestamp_seconds", "").is_some_and(|at| at > 1.7e9), "{metrics}");
    let (limit, value) = (of("pci_target_limit", ",target=\"system\""), of("pci_target_value", ",target=\"system\""));
    ensure!(value.is_some_and(|value| value as u64 == pci["score"]) && limit.is_some() && limit < value, "{metrics}");

    // A grant of Curfew counts, and is told apart; after its end the score is as before.
    world.unapproved_role().await?;
    let alice = world.alice()?;
    alice
        .create(
            "{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: measured, namespace: payments}, \
                  spec: {roleRef: {name: unapproved}, duration: 1h, justification: look}}",
        )
        .await?
        .success()?;
    world.state_is("measured", "Active").await?;
    let (row, _) =
        asks.row("alice@example.com", "has a live grant", |row| row["liveGrants"].as_array().is_some_and(|all| all.len() == 1)).await?;
    ensure!(row["score"].as_u64() > row["standingScore"].as_u64() && row["counted"] == true, "{row}");
    plane.status("one identity with a live grant", |status| (status["pci"]["withLiveGrants"] == 1).then_some(())).await?;
    world.admin()?.api(&["delete", "areq", "-n", "payments", "measured"]).await?.success()?;
    // Her own request is a use, which may have come in between.
    let standing = row["standingScore"].as_u64();
    let ended = |row: &Value| row["liveGrants"].as_array().is_some_and(Vec::is_empty) && row["score"].as_u64() <= standing;
    asks.row("alice@example.com", &format!("has at most {standing:?} again"), ended).await?;

    // What is taken away is gone, without a restart and long before the next hour.
    world.admin()?.api(&["delete", "clusterrolebinding", "erin"]).await?.success()?;
    plane.status("no super identity in the list", |status| (!status["pci"]["top"].to_string().contains(ERIN)).then_some(())).await?;
    drop(operator);
    Ok(())
}
