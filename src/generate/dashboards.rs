//! The dashboards of Grafana: what Curfew does and whether it does it in time, and how much privilege goes unused, from its own metrics. Metrics do not
//! name users, so who holds what is asked of the API server and of `curfew-analytics`, by the commands that the dashboards name.
//!
//! Every option that Grafana requires is written, so that its own types accept each file as it is (`hack/dashboards`).
mod access;
mod operations;
mod pci;

use serde_json::{Value, json};

/// From which score on a band begins (docs/pci.md), with its colour.
const BANDS: [(f64, &str); 3] = [(0.0, "green"), (34.0, "orange"), (68.0, "red")];
/// Colours by what the legend of a series has in it.
const COLOURS: [(&str, &str); 3] = [("high", "red"), ("medium", "orange"), ("low", "green")];

/// How a panel shows its queries.
enum Show {
    /// The last value, green, and red from this value on.
    RedFrom(f64),
    /// The last value, red, and green from this value on.
    GreenFrom(f64),
    /// The last value, a score, in the colour of its band.
    Score,
    /// Lines over time.
    Lines,
    /// Lines over time, one on top of the other.
    Stacked,
    /// Lines over time of scores, with the limits of the bands. Series of a target are dashed.
    Scores,
    /// A row for each series, and in it a cell for each step in time, in the colour of the band.
    HeatMap,
    /// The same with 1 in green and 0 in red.
    States,
    /// A bar for each series with the last value, red from this value on.
    BarsRedFrom(f64),
    /// The same, green from this value on.
    BarsGreenFrom(f64),
    /// A bar for each series with the last value, in the colour that its legend names.
    Levels,
    /// Narrow: a bar for each series with the last value, in this colour.
    Movers(&'static str),
    /// No queries: this text, in Markdown.
    Text(&'static str),
}

struct Panel {
    title: &'static str,
    /// What it means, and what to do if it is not as it should be.
    says: &'static str,
    /// The unit, as Grafana names it.
    unit: &'static str,
    show: Show,
    /// PromQL, and the legend. Each is over all replicas.
    queries: &'static [(&'static str, &'static str)],
}

struct Dashboard {
    uid: &'static str,
    title: &'static str,
    /// What is shown at first, up to now.
    from: &'static str,
    refresh: &'static str,
    /// The metric whose label `system` can be chosen from, if there is a choice.
    systems: Option<&'static str>,
    panels: &'static [Panel],
}

/// Each dashboard by the name of its file, as JSON.
pub fn files() -> [(&'static str, String); 3] {
    let operations = Dashboard {
        uid: "curfew-operations",
        title: "Curfew: operations",
        from: "now-6h",
        refresh: "30s",
        systems: None,
        panels: operations::PANELS,
    };
    let access = Dashboard { uid: "curfew-access", title: "Curfew: access", panels: access::PANELS, ..operations };
    let pci = Dashboard {
        uid: "curfew-pci",
        title: "Curfew: unused privilege (PCI)",
        from: "now-30d",
        refresh: "5m",
        systems: Some("curfew_analytics_inventory_fresh"),
        panels: pci::PANELS,
    };
    [("operations.json", document(&operations)), ("access.json", document(&access)), ("pci.json", document(&pci))]
}

fn document(dashboard: &Dashboard) -> String {
    let variables: Vec<Value> = std::iter::once(datasource()).chain(dashboard.systems.map(systems)).collect();
    let document = json!({
        "uid": dashboard.uid, "title": dashboard.title, "tags": ["curfew"], "schemaVersion": 39, "version": 1, "editable": false,
        "refresh": dashboard.refresh, "time": {"from": dashboard.from, "to": "now"}, "timezone": "utc",
        "templating": {"list": variables}, "annotations": {"list": []},
        "panels": placed(dashboard.panels),
    });
    serde_json::to_string_pretty(&document).expect("JSON is text") + "\n"
}

/// The choice of a Prometheus.
fn datasource() -> Value {
    json!({
        "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0,
        "current": {"text": "default", "value": "default"},
    })
}

/// The choice of systems; all of them at first.
fn systems(metric: &str) -> Value {
    let query = format!("label_values({metric}, system)");
    json!({
        "name": "system", "label": "System", "type": "query", "datasource": source(), "definition": query,
        "query": {"query": query, "refId": "StandardVariableQuery"}, "refresh": 2, "sort": 1, "hide": 0,
        "multi": true, "includeAll": true, "allValue": ".*", "current": {"text": "All", "value": "$__all"},
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// Panels of one height are side by side as long as they have room, of the 24 columns.
fn placed(panels: &[Panel]) -> Vec<Value> {
    let (mut x, mut y, mut row) = (0, 0, 0);
    let mut place = |panel: &Panel| {
        let (width, height) = match panel.show {
            Show::RedFrom(_) | Show::GreenFrom(_) | Show::Score => (6, 4),
            Show::Movers(_) => (6, 8),
            Show::Lines | Show::Stacked | Show::Scores | Show::States => (12, 8),
            Show::BarsRedFrom(_) | Show::BarsGreenFrom(_) | Show::Levels => (12, 8),
            Show::HeatMap => (24, 8),
            Show::Text(_) => (24, 5),
        };
        if x + width > 24 || (row != height && x > 0) {
            (x, y) = (0, y + row);
        }
        row = height;
        let at = json!({"x": x, "y": y, "w": width, "h": height});
        x += width;
        at
    };
    panels.iter().zip(1..).map(|(panel, id)| drawn(panel, id, &place(panel))).collect()
}

fn drawn(panel: &Panel, id: u32, place: &Value) -> Value {
    if let Show::Text(content) = panel.show {
        return json!({
            "id": id, "type": "text", "title": panel.title, "description": panel.says, "gridPos": place,
            "options": {"mode": "markdown", "content": content},
        });
    }
    // Of a bar only the present counts.
    let is_now = matches!(panel.show, Show::BarsRedFrom(_) | Show::BarsGreenFrom(_) | Show::Levels | Show::Movers(_));
    let target = |(n, (query, legend)): (usize, &(&str, &str))| {
        let name = char::from(b"ABCDEFGH"[n % 8]).to_string();
        let mut target = json!({"refId": name, "datasource": source(), "expr": query, "legendFormat": legend});
        if is_now {
            target["instant"] = json!(true);
            target["range"] = json!(false);
        }
        target
    };
    let (kind, mut defaults, overrides, options) = shown(&panel.show);
    defaults["unit"] = json!(panel.unit);
    let mut drawn = json!({
        "id": id, "type": kind, "title": panel.title, "description": panel.says, "gridPos": place, "datasource": source(),
        "targets": panel.queries.iter().enumerate().map(target).collect::<Vec<_>>(),
        "fieldConfig": {"defaults": defaults, "overrides": overrides}, "options": options,
    });
    if kind == "status-history" {
        // As many cells as are wide enough to be told apart.
        drawn["maxDataPoints"] = json!(60);
    }
    drawn
}

/// The type of the panel, the defaults and overrides of its fields, and its options.
fn shown(show: &Show) -> (&'static str, Value, Value, Value) {
    let coloured = |steps: &[(f64, &str)]| json!({"color": {"mode": "thresholds"}, "thresholds": thresholds(steps)});
    let two = |below, from: &f64, above| coloured(&[(0.0, below), (*from, above)]);
    let bars = |mut defaults: Value| {
        defaults["min"] = json!(0);
        defaults["noValue"] = json!("none");
        defaults
    };
    match show {
        Show::RedFrom(from) => ("stat", two("green", from, "red"), json!([]), stat()),
        Show::GreenFrom(from) => ("stat", two("red", from, "green"), json!([]), stat()),
        Show::Score => ("stat", coloured(&BANDS), json!([]), stat()),
        Show::Lines => ("timeseries", json!({"min": 0}), json!([]), lines()),
        Show::Stacked => {
            let custom = json!({"fillOpacity": 20, "stacking": {"mode": "normal", "group": "A"}});
            ("timeseries", json!({"min": 0, "custom": custom}), by_legend(), lines())
        }
        Show::Scores => {
            let dashed = json!({"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 8]}});
            let overrides = json!([{"matcher": {"id": "byRegexp", "options": "/target/"}, "properties": [dashed]}]);
            let custom = json!({"thresholdsStyle": {"mode": "dashed"}});
            ("timeseries", json!({"min": 0, "max": 100, "thresholds": thresholds(&BANDS), "custom": custom}), overrides, lines())
        }
        Show::HeatMap => ("status-history", cells(coloured(&BANDS)), json!([]), history("auto")),
        Show::States => {
            let mut defaults = cells(two("red", &1.0, "green"));
            defaults["mappings"] = json!([{"type": "value", "options": {"0": {"text": "no"}, "1": {"text": "yes"}}}]);
            ("status-history", defaults, json!([]), history("never"))
        }
        Show::BarsRedFrom(from) => ("bargauge", bars(two("green", from, "red")), json!([]), gauge()),
        Show::BarsGreenFrom(from) => {
            let mut defaults = bars(two("orange", from, "green"));
            defaults["max"] = json!(from);
            ("bargauge", defaults, json!([]), gauge())
        }
        Show::Levels => ("bargauge", bars(coloured(&[(0.0, "blue")])), by_legend(), gauge()),
        Show::Movers(colour) => ("bargauge", bars(coloured(&[(0.0, colour)])), json!([]), gauge()),
        Show::Text(_) => ("text", json!({}), json!([]), json!({})),
    }
}

/// The first step holds from any value on.
fn thresholds(steps: &[(f64, &str)]) -> Value {
    let step = |(n, (from, colour)): (usize, &(f64, &str))| json!({"color": colour, "value": (n > 0).then_some(from)});
    json!({"mode": "absolute", "steps": steps.iter().enumerate().map(step).collect::<Vec<_>>()})
}

fn by_legend() -> Value {
    let colour = |(word, colour): &(&str, &str)| {
        let fixed = json!({"id": "color", "value": {"mode": "fixed", "fixedColor": colour}});
        json!({"matcher": {"id": "byRegexp", "options": format!("/\\b{word}\\b/")}, "properties": [fixed]})
    };
    COLOURS.iter().map(colour).collect()
}

fn cells(mut defaults: Value) -> Value {
    defaults["custom"] = json!({"fillOpacity": 80, "lineWidth": 1});
    defaults
}

fn reduced() -> Value {
    json!({"calcs": ["lastNotNull"], "fields": "", "values": false})
}

fn stat() -> Value {
    json!({
        "reduceOptions": reduced(), "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "textMode": "auto",
        "orientation": "auto", "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
    })
}

fn legend(is_shown: bool) -> Value {
    json!({"displayMode": "list", "placement": "bottom", "showLegend": is_shown, "calcs": []})
}

fn lines() -> Value {
    json!({"legend": legend(true), "tooltip": {"mode": "multi", "sort": "desc"}})
}

fn history(values: &str) -> Value {
    json!({"rowHeight": 0.9, "colWidth": 0.95, "showValue": values, "legend": legend(false), "tooltip": {"mode": "single", "sort": "none"}})
}

fn gauge() -> Value {
    json!({
        "reduceOptions": reduced(), "orientation": "horizontal", "displayMode": "basic", "valueMode": "color", "namePlacement": "left",
        "showUnfilled": true, "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 32, "legend": legend(false),
    })
}
