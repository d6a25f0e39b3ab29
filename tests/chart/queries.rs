//! What each query of the dashboards returns. The expected values are in `dashboards.series.yaml`, with the series from which they follow. `make
//! chart-test` lets promtool compare them, in the file that is written here.
use super::dashboards::{FILES, dashboard, panels};
use anyhow::{Context, Result, ensure};
use curfew_testkit::root;
use serde_json::{Value, json};

/// When the queries are evaluated: a time at which every series has a value.
const AT: &str = "40d";

/// A query as Grafana sends it, with all systems chosen.
fn sent(expression: &str) -> Result<String> {
    let sent = expression.replace("$__rate_interval", "4h").replace("$system", ".*");
    ensure!(!sent.contains('$'), "a variable that this test does not know: {sent}");
    Ok(sent)
}

#[test]
fn every_query_has_an_expected_result_that_is_not_empty() -> Result<()> {
    let given: Value = serde_saphyr::from_str(&std::fs::read_to_string(root().join("tests/chart/dashboards.series.yaml"))?)?;
    let mut tests = Vec::new();
    for file in FILES {
        let expected = given["expected"][file].as_object().with_context(|| format!("nothing is expected of {file}"))?;
        let mut count = 0;
        for panel in panels(&dashboard(file)?)?.iter().filter(|panel| panel["type"] != "text") {
            let title = panel["title"].as_str().context("no title")?;
            let results =
                expected.get(title).and_then(Value::as_array).with_context(|| format!("{file}: nothing is expected of {title}"))?;
            let targets = panel["targets"].as_array().context("no queries")?;
            ensure!(results.len() == targets.len(), "{file}: {title} has {} queries", targets.len());
            for (target, samples) in targets.iter().zip(results) {
                ensure!(samples.as_array().is_some_and(|samples| !samples.is_empty()), "{file}: {title}: {target}");
                tests.push(json!({"expr": sent(target["expr"].as_str().context("no query")?)?, "eval_time": AT, "exp_samples": samples}));
            }
            count += 1;
        }
        ensure!(count == expected.len(), "{file}: something is expected of a panel that is not there");
    }
    let file = json!({"tests": [{"name": "dashboards", "interval": "1h", "input_series": given["series"], "promql_expr_test": tests}]});
    std::fs::write(root().join("target/dashboards.test.yaml"), file.to_string())?;
    Ok(())
}
