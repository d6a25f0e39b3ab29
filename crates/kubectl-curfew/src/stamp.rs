//! `kubectl curfew stamp`: fills in who creates what manifests describe, where the API server does not.
use crate::{context::CliContext, output::put};
use anyhow::{Context as _, bail, ensure};
use curfew_api::{GROUP, schema};
use curfew_core::principal::UserInfo;
use serde_json::{Value, json};
use std::{io::Read, path::PathBuf};

/// Fill in requester, decider and author of manifests, for API servers that do not.
///
/// Prints the objects with your login as this API server sees it, and creates nothing. Kubernetes before 1.36 needs it for plain kubectl:
/// newer ones fill in the fields themselves. What is printed is proven like what any client sends, so a record that is not yours is refused.
/// A field that is there is left as it is, and so are objects that record nobody.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Exit codes:\n  0  the objects were printed\n  1  they could not be; the error says why\n  2  wrong usage\n\nExample:\n  kubectl curfew stamp -f request.yaml | kubectl create -f -"
)]
pub struct Stamp {
    /// File with manifests in YAML or JSON, or - for standard input. Can be repeated.
    #[arg(short, long, required = true, value_name = "FILE")]
    filename: Vec<PathBuf>,
}

/// Standard input and files are read up to this size.
const LARGEST: u64 = 16 << 20;

pub async fn run(me: &CliContext, args: &Stamp) -> anyhow::Result<u8> {
    let mut all = Vec::new();
    for file in &args.filename {
        let name = if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() };
        let read = documents(&text(file).with_context(|| format!("cannot read {name}"))?);
        all.extend(read.with_context(|| format!("{name} cannot be used"))?);
    }
    ensure!(!all.is_empty(), "there is not an object in what was read");
    // Asked once, and not at all where nothing is to be filled in.
    let record = if all.iter().any(lacks_record) { Some(me.record().await?) } else { None };
    let stamped = all.into_iter().map(|object| with_record(object, record.as_ref()));
    let written: Vec<String> = stamped.map(|object| serde_saphyr::to_string(&object)).collect::<Result<_, _>>()?;
    put(written.join("---\n"))?;
    Ok(0)
}

fn is_stdin(file: &std::path::Path) -> bool {
    file.as_os_str() == "-"
}

fn text(file: &std::path::Path) -> anyhow::Result<String> {
    let reader: Box<dyn Read> = if is_stdin(file) { Box::new(std::io::stdin()) } else { Box::new(std::fs::File::open(file)?) };
    let mut text = String::new();
    reader.take(LARGEST + 1).read_to_string(&mut text)?;
    ensure!(text.len() as u64 <= LARGEST, "it has more than {LARGEST} bytes");
    Ok(text)
}

/// The objects of a text, those of lists one by one.
fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    let read: Vec<Value> = serde_saphyr::from_multiple(text)?;
    let mut all = Vec::new();
    for (number, document) in read.into_iter().enumerate() {
        match document {
            Value::Null => {}
            Value::Object(mut fields) if fields.get("kind").and_then(Value::as_str) == Some("List") => match fields.remove("items") {
                Some(Value::Array(items)) => all.extend(items),
                _ => bail!("document {} is a List without items", number + 1),
            },
            Value::Object(fields) => all.push(Value::Object(fields)),
            _ => bail!("document {} is not an object", number + 1),
        }
    }
    Ok(all)
}

/// The field of an object that records who creates it, if it is of a kind that has one.
fn recorded_field(object: &Value) -> Option<&'static str> {
    let group = object["apiVersion"].as_str()?.split_once('/')?.0;
    let kind = object["kind"].as_str().filter(|_| group == GROUP)?;
    schema::RECORDED.iter().find(|(recorded, _)| *recorded == kind).map(|(_, field)| *field)
}

fn lacks_record(object: &Value) -> bool {
    recorded_field(object).is_some_and(|field| object["spec"][field].is_null())
}

fn with_record(mut object: Value, record: Option<&UserInfo>) -> Value {
    if let (Some(field), Some(record), true) = (recorded_field(&object), record, object["spec"].is_object() && lacks_record(&object)) {
        object["spec"][field] = json!(record);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> UserInfo {
        let extra = [("key".to_owned(), vec!["X".to_owned()]), ("absent".to_owned(), Vec::new())].into();
        UserInfo { username: "alice".into(), groups: std::sync::Arc::new(vec!["devs".into()]), extra, ..UserInfo::default() }
    }

    #[test]
    fn each_kind_gets_its_field_and_what_is_there_stays() {
        let record = json!({"username": "alice", "groups": ["devs"], "extra": {"key": ["X"], "absent": []}});
        for (kind, field) in schema::RECORDED {
            let object = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": kind, "spec": {"a": "no", field: null}});
            assert!(lacks_record(&object));
            let stamped = with_record(object, Some(&alice()));
            assert_eq!(stamped["spec"], json!({"a": "no", field: record}), "{kind}");
            assert!(!lacks_record(&stamped));
            let forged = json!({"apiVersion": "curfew.dev/v1alpha1", "kind": kind, "spec": {field: {"username": "carol"}}});
            assert_eq!(with_record(forged.clone(), Some(&alice())), forged, "the API server is to refuse it");
        }
        for other in [
            json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate", "spec": {}}),
            json!({"apiVersion": "example.com/v1", "kind": "ActivationRequest", "spec": {}}),
            json!({"apiVersion": "v1", "kind": "Namespace"}),
            json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest"}),
        ] {
            assert_eq!(with_record(other.clone(), Some(&alice())), other);
        }
    }

    #[test]
    fn documents_and_lists_are_read_and_written_as_they_are() {
        let text = "# a comment\n---\na: '2026-01-01'\nb: 'yes'\n---\n---\nkind: List\napiVersion: v1\nitems:\n- {c: 1}\n- {d: null}\n";
        let read = documents(text).unwrap();
        assert_eq!(read, [json!({"a": "2026-01-01", "b": "yes"}), json!({"c": 1}), json!({"d": null})]);
        let written: Vec<String> = read.iter().map(|object| serde_saphyr::to_string(object).unwrap()).collect();
        assert_eq!(documents(&written.join("---\n")).unwrap(), read);
        assert_eq!(documents("{\"e\": [true]}").unwrap(), [json!({"e": [true]})]);
        assert!(documents("- 1").unwrap_err().to_string().contains("document 1 is not an object"));
        assert!(documents("kind: List").unwrap_err().to_string().contains("without items"));
        assert!(documents("a: [").is_err());
    }
}
