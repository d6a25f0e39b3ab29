//! The arguments that select objects, in kubectl's words: `areq -n payments name`, `rolebinding,job -A -l curfew.dev/grant`.
use super::kinds::Kind;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// Flags that stand alone. Every other flag takes a value.
const SWITCHES: &[&str] = &["-A", "--all", "--all-namespaces", "--server-side", "--force-conflicts", "--ignore-not-found"];
/// Flags whose value is in the next argument.
const WITH_NEXT: &[&str] = &["-n", "-l", "-p", "-f", "-o", "--field-selector"];

/// Parsed arguments.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub words: Vec<String>,
    flags: BTreeMap<String, String>,
    /// Flags that may be given more than once, in order.
    pub repeated: Vec<(String, String)>,
}

impl Arguments {
    pub fn parse(args: &[&str]) -> Result<Self> {
        let mut parsed = Arguments::default();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            if SWITCHES.contains(arg) {
                parsed.flags.insert((*arg).into(), String::new());
            } else if WITH_NEXT.contains(arg) {
                let value = rest.next().with_context(|| format!("{arg} needs a value"))?;
                parsed.flags.insert((*arg).into(), (*value).into());
            } else if let Some((flag, value)) = arg.split_once('=').filter(|_| arg.starts_with("--")) {
                parsed.repeated.push((flag.into(), value.into()));
                parsed.flags.insert(flag.into(), value.into());
            } else if arg.starts_with('-') && *arg != "-" {
                bail!("the test kit does not know the flag {arg}: use the real kubectl");
            } else {
                parsed.words.push((*arg).into());
            }
        }
        Ok(parsed)
    }

    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.get(name).map(String::as_str)
    }
    pub fn has(&self, name: &str) -> bool {
        self.flags.contains_key(name)
    }
    pub fn namespace(&self) -> &str {
        self.flag("-n").unwrap_or("default")
    }
    /// Fails for a flag that is not among these, so that nothing asked for is silently left out.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        match self.flags.keys().find(|f| !known.contains(&f.as_str())) {
            Some(flag) => bail!("the test kit does not know {flag} here: use the real kubectl"),
            None => Ok(()),
        }
    }
}

/// Which objects are meant.
#[derive(Clone, Debug)]
pub struct Selection {
    pub(crate) kinds: Vec<Kind>,
    /// All namespaces if none.
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) labels: Option<String>,
    pub(crate) fields: Option<String>,
}

impl Selection {
    /// From kubectl's arguments after the verb.
    ///
    /// # Errors
    /// If a kind or a flag is not known.
    pub fn parse(args: &[&str]) -> Result<Self> {
        Self::of(&Arguments::parse(args)?, 0)
    }

    /// From the words after the first `skip` ones.
    pub(crate) fn of(parsed: &Arguments, skip: usize) -> Result<Self> {
        let words: Vec<&str> = parsed.words.iter().skip(skip).map(String::as_str).collect();
        let (kinds, name) = match words.as_slice() {
            [both] if both.contains('/') => both.split_once('/').map(|(k, n)| (k, Some(n))).context("no kind")?,
            [kinds] => (*kinds, None),
            [kind, name] => (*kind, Some(*name)),
            other => bail!("expected a kind and at most one name, not {other:?}"),
        };
        let everywhere = parsed.has("-A") || parsed.has("--all-namespaces");
        Ok(Selection {
            kinds: kinds.split(',').map(Kind::named).collect::<Result<_>>()?,
            namespace: (!everywhere).then(|| parsed.namespace().to_owned()),
            name: name.map(str::to_owned),
            labels: parsed.flag("-l").map(str::to_owned),
            fields: parsed.flag("--field-selector").map(str::to_owned),
        })
    }

    /// The field selector of a list or a watch.
    pub(crate) fn field_selector(&self) -> Option<String> {
        let name = self.name.as_ref().map(|n| format!("metadata.name={n}"));
        let all: Vec<String> = name.into_iter().chain(self.fields.clone()).collect();
        (!all.is_empty()).then(|| all.join(","))
    }
}
