//! The same questions, asked of DuckDB over the export, in the SQL of docs/analytics-store.md.
use crate::model::{ALL, Random, SYSTEM, TODAY, batch, memory};
use curfew_analytics::store::{Batch, Form, Store, UsageEvent, Used};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The SQL blocks of the page. Each begins with `-- name: NAME`.
fn queries() -> Vec<(String, String)> {
    let page = fs::read_to_string(root().join("docs/analytics-store.md")).unwrap();
    let blocks = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    let name = |sql: &str| sql.strip_prefix("-- name: ").and_then(|rest| rest.lines().next()).map(str::to_owned);
    blocks.map(|sql| (name(sql).expect("a statement has a name"), sql.to_owned())).collect()
}

fn python() -> PathBuf {
    let built = Command::new(root().join("hack/peers/build")).output().unwrap();
    assert!(built.status.success(), "hack/peers/build: {}", String::from_utf8_lossy(&built.stderr));
    Path::new(String::from_utf8(built.stdout).unwrap().trim()).join("bin/python")
}

/// Loads an export into a table `usage_daily`, asks the questions, and prints the rows as JSON.
const SCRIPT: &str = r#"
import datetime, duckdb, json, sys
given = json.load(open(sys.argv[1]))
answers = {}
for form, reader in (("csv", "read_csv(?, header=true, quote='\"', escape='\"', nullstr='\\N', columns=$COLUMNS)"), ("jsonl", "read_json(?, format='newline_delimited', columns=$COLUMNS)")):
    base = duckdb.connect()
    base.execute("SET TimeZone = 'UTC'")
    columns = "{system: 'VARCHAR', day: 'DATE', identity: 'VARCHAR', operation: 'VARCHAR', resource: 'VARCHAR', context: 'VARCHAR', count: 'UBIGINT', last: 'TIMESTAMP'}"
    base.execute("CREATE TABLE usage_daily AS SELECT * FROM " + reader.replace("$COLUMNS", columns), [given[form]])
    parameters = {"system": given["system"], "from": given["from"], "to": given["to"]}
    def value(x):
        if isinstance(x, datetime.datetime):
            return int(x.replace(tzinfo=datetime.timezone.utc).timestamp())
        return x.isoformat() if isinstance(x, datetime.date) else int(x) if isinstance(x, float) else x
    answers[form] = {}
    for name, sql in given["queries"]:
        used = {k: v for k, v in parameters.items() if "$" + k in sql}
        answers[form][name] = sorted([value(x) for x in row] for row in base.execute(sql, used).fetchall())
json.dump(answers, sys.stdout)
"#;

/// The answers of the store, as rows in order.
fn answers(store: &Store) -> Value {
    let (from, to) = (TODAY.back(1), TODAY);
    let by_operation = |rows: BTreeMap<String, BTreeMap<String, Used>>| {
        let row = |identity: &String, (operation, used): (&String, &Used)| json!([identity, operation, used.count, used.last]);
        sorted(rows.iter().flat_map(|(identity, operations)| operations.iter().map(move |entry| row(identity, entry))).collect())
    };
    json!({
        "used": by_operation(store.used(SYSTEM, from, to).unwrap()),
        "no longer used": by_operation(store.no_longer_used(SYSTEM, from, to).unwrap()),
        "last used": sorted(store.last_used(SYSTEM).unwrap().iter().map(|(identity, last)| json!([identity, last])).collect()),
        "daily": sorted(store.daily(SYSTEM, from, to).unwrap().iter().map(|((day, identity), count)| json!([day.to_string(), identity, count])).collect()),
    })
}

/// In the order of Python: texts by code point, which is that of their bytes.
fn sorted(mut rows: Vec<Value>) -> Value {
    rows.sort_by_key(|row| {
        row.as_array().unwrap().iter().map(|cell| (cell.as_str().map(str::to_owned), cell.as_i64())).collect::<Vec<_>>()
    });
    Value::Array(rows)
}

#[test]
fn a_second_engine_gives_the_same_answers() {
    let store = memory();
    let mut random = Random(11);
    for number in 0..10 {
        store.ingest(&batch(None), random.events(number * 40, 40)).unwrap();
    }
    // What was used before the window only, and what was refused.
    let old = ["alice", "bob"].map(|identity| UsageEvent {
        identity: identity.into(),
        operation: "delete core/pods".into(),
        at: TODAY.back(4).start(),
        ..random.event(900)
    });
    let refused = UsageEvent { operation: "!failed 403".into(), at: TODAY.back(4).start(), identity: "eve".into(), ..random.event(901) };
    store.ingest(&batch(None), old.into_iter().chain([refused])).unwrap();
    // Another system, which no answer shows.
    store.ingest(&Batch { system: "other", ..batch(None) }, random.events(0, 30)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let export = |form, name: &str| {
        let path = directory.path().join(name);
        let rows = store.export(&store.systems().unwrap(), ALL.0, ALL.1, form, &mut fs::File::create(&path).unwrap()).unwrap();
        assert!(rows > 200, "{rows}");
        path
    };
    let (csv, json_lines) = (export(Form::Csv, "usage.csv"), export(Form::JsonLines, "usage.jsonl"));
    let input = directory.path().join("input.json");
    let queries = queries();
    let given = json!({"csv": csv, "jsonl": json_lines, "system": SYSTEM, "from": TODAY.back(1), "to": TODAY, "queries": queries});
    fs::write(&input, given.to_string()).unwrap();
    let out = Command::new(python()).args(["-c", SCRIPT]).arg(&input).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let found: Value = serde_json::from_slice(&out.stdout).unwrap();
    let expected = answers(&store);
    assert_eq!(queries.len(), expected.as_object().unwrap().len(), "the page has a query for each question");
    for form in ["csv", "jsonl"] {
        for (question, answer) in expected.as_object().unwrap() {
            assert!(answer.as_array().unwrap().len() > 1, "{question}");
            assert_eq!(&found[form][question], answer, "{question}, {form}");
        }
    }
}
