//! The parameters of a question, checked. A parameter that is not known is an error: a filter that does not filter would give a wrong answer.
use super::systems::{Giving, RightsizeAsk};
use crate::{
    bands::Band,
    details::UseState,
    report::{FindingType, IdentityKind, Severity},
    rightsize::kubernetes::manifests::Form as RoleForm,
};
use curfew_core::principal::Subject;
use serde::Serialize;
use std::collections::BTreeSet;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// The systems that the caller may read.
    Systems,
    /// Everything about a system.
    Report,
    /// High-risk permissions and deletions in numbers.
    Summary,
    /// Its identities.
    Identities,
    /// One identity: granted, used, unused, last used, why this score.
    Identity,
    /// Permissions by identity.
    Permissions,
    /// Of these, the ones that are not used everywhere.
    Unused,
    /// Permissions that were used, and by how many of those who have them.
    Tasks,
    /// Places in which something was done.
    Resources,
    /// Findings with evidence.
    Findings,
    /// Scores by day.
    History,
    /// A role from what was used.
    Rightsize,
}

impl View {
    /// Those of one system.
    pub const OF_SYSTEM: [Self; 11] = [
        Self::Report,
        Self::Summary,
        Self::Identities,
        Self::Identity,
        Self::Permissions,
        Self::Unused,
        Self::Tasks,
        Self::Resources,
        Self::Findings,
        Self::History,
        Self::Rightsize,
    ];
    /// Its name in a path.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Systems => "systems",
            Self::Report => "report",
            Self::Summary => "summary",
            Self::Identities => "identities",
            Self::Identity => "identity",
            Self::Permissions => "permissions",
            Self::Unused => "unused",
            Self::Tasks => "tasks",
            Self::Resources => "resources",
            Self::Findings => "findings",
            Self::History => "history",
            Self::Rightsize => "rightsize",
        }
    }
    /// The view of one system with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::OF_SYSTEM.into_iter().find(|view| view.name() == name)
    }
    /// Says which views there are.
    pub fn unknown(name: &str) -> String {
        let known: Vec<&str> = Self::OF_SYSTEM.iter().map(|view| view.name()).collect();
        format!("there is no view {name}: use one of {}", known.join(", "))
    }
    /// The parameters that it knows, besides `output`.
    const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Systems | Self::Report | Self::Summary => &[],
            Self::Identities => &["kind", "band", "name", "state", "builtIn", "limit"],
            Self::Identity => &["name", "kind", "days", "limit"],
            Self::Permissions => &["identity", "kind", "band", "permission", "state", "highRisk", "limit"],
            Self::Unused => &["identity", "kind", "band", "permission", "highRisk", "limit"],
            Self::Tasks => &["kind", "permission", "highRisk", "limit"],
            Self::Resources => &["kind", "highRisk", "limit"],
            Self::Findings => &["type", "severity", "subject", "limit"],
            Self::History => &["identity", "kind", "days"],
            Self::Rightsize => &["identity", "kind", "days", "roles", "giving", "namespace", "approvers"],
        }
    }
    /// The forms of its answer.
    const fn forms(self) -> &'static [Form] {
        match self {
            Self::Rightsize => &[Form::Table, Form::Json, Form::Csv, Form::Html, Form::Yaml],
            _ => &[Form::Table, Form::Json, Form::Csv, Form::Html],
        }
    }
}

/// The form of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Form {
    /// Text for a terminal.
    Table,
    /// Everything, for programs.
    #[default]
    Json,
    /// Rows for a spreadsheet.
    Csv,
    /// A page that opens offline.
    Html,
    /// Documents for kubectl.
    Yaml,
}

/// Whether an identity did something in the window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IdentityState {
    /// It did.
    Active,
    /// It has grants, and did nothing.
    Inactive,
    /// It is younger than the window.
    New,
    /// It is left out of scores.
    Excluded,
}

impl IdentityState {
    const ALL: [Self; 4] = [Self::Active, Self::Inactive, Self::New, Self::Excluded];
}

/// A question. An empty set of a filter lets everything pass.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Query {
    /// The form of the answer.
    pub form: Form,
    /// The most rows.
    pub limit: Option<usize>,
    /// Kinds of identities.
    pub kinds: BTreeSet<IdentityKind>,
    /// Bands of their scores.
    pub bands: BTreeSet<Band>,
    /// States of identities.
    pub identity_states: BTreeSet<IdentityState>,
    /// States of permissions.
    pub states: BTreeSet<UseState>,
    /// Types of findings.
    pub types: BTreeSet<FindingType>,
    /// Severities of findings.
    pub severities: BTreeSet<Severity>,
    /// Only high-risk permissions, or only others.
    pub high_risk: Option<bool>,
    /// Also what belongs to the system itself.
    pub built_in: bool,
    /// The name of the identity that is asked about, or a part of the names in a list of identities.
    pub identity: Option<String>,
    /// A part of names of permissions, or of subjects of findings.
    pub part: Option<String>,
    /// Days back.
    pub days: Option<u32>,
    /// Whether new roles are proposed or existing ones.
    pub roles: RoleForm,
    /// How a proposed role is given.
    pub giving: Option<Giving>,
    /// The namespace of the objects that a proposal has.
    pub namespace: Option<String>,
    /// Who approves access to a proposed role.
    pub approvers: Vec<Subject>,
}

/// The name of a value in JSON.
pub fn wire(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The value of a parameter: one of these names.
fn one_of<T: Copy + Serialize>(parameter: &str, text: &str, all: &[T]) -> Result<T, String> {
    all.iter().copied().find(|value| wire(value).eq_ignore_ascii_case(text)).ok_or_else(|| {
        let known: Vec<String> = all.iter().map(wire).collect();
        format!("{parameter}={text} is not known: use one of {}", known.join(", "))
    })
}

/// The same of several, with commas between them.
fn some_of<T: Copy + Ord + Serialize>(parameter: &str, text: &str, all: &[T]) -> Result<BTreeSet<T>, String> {
    text.split(',').map(|one| one_of(parameter, one.trim(), all)).collect()
}

fn roles(text: &str) -> Result<RoleForm, String> {
    match text {
        "custom" => Ok(RoleForm::Custom),
        "builtIn" => Ok(RoleForm::BuiltIn),
        _ => Err(format!("roles={text} is not known: use one of custom, builtIn")),
    }
}

/// An approver. Several have a line each: names may have commas.
fn subject(text: &str) -> Result<Subject, String> {
    let subject = match text.split_once(':') {
        Some(("group", name)) if !name.is_empty() => Subject::Group(name.into()),
        Some(("user", name)) if !name.is_empty() => Subject::User(name.into()),
        _ => return Err(format!("approvers={text} is neither user:NAME nor group:NAME")),
    };
    if subject.is_reserved() {
        return Err(format!("approvers={text}: names that begin with system: are reserved for Kubernetes"));
    }
    Ok(subject)
}

fn number(parameter: &str, text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{parameter}={text} is not a number from {least} to {most}"))
}

fn flag(parameter: &str, text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{parameter}={text} is neither true nor false"))
}

/// The most days of a history that can be asked for: ten years.
pub const MAX_DAYS: u32 = 3_660;
/// The most rows that can be asked for.
const MAX_LIMIT: u32 = 1_000_000;

impl Query {
    /// Reads the parameters of a view.
    ///
    /// # Errors
    /// If one is not known, is there twice, or has a value that is not known; the text lists what is.
    pub fn parse(view: View, pairs: &[(String, String)]) -> Result<Self, String> {
        let mut query = Self::default();
        let mut seen = BTreeSet::new();
        for (name, value) in pairs {
            if !seen.insert(name.as_str()) {
                return Err(format!("{name} is there twice; several values of one parameter have commas between them"));
            }
            if name != "output" && !view.parameters().contains(&name.as_str()) {
                let known: Vec<&str> = ["output"].iter().chain(view.parameters()).copied().collect();
                return Err(format!("{} has no parameter {name}: use {}", view.name(), known.join(", ")));
            }
            query.set(view, name, value)?;
        }
        let needs = match view {
            View::Identity => Some("name"),
            View::Rightsize => Some("identity"),
            _ => None,
        };
        match needs {
            Some(needed) if query.identity.is_none() => Err(format!("{} needs {needed}=, the name of an identity", view.name())),
            _ => Ok(query),
        }
    }

    fn set(&mut self, view: View, name: &str, value: &str) -> Result<(), String> {
        match name {
            "output" => self.form = one_of(name, value, view.forms())?,
            "limit" => self.limit = Some(number(name, value, 1, MAX_LIMIT)? as usize),
            "kind" => self.kinds = some_of(name, value, &IdentityKind::ALL)?,
            "band" => self.bands = some_of(name, value, &Band::ALL)?,
            "state" if view == View::Identities => self.identity_states = some_of(name, value, &IdentityState::ALL)?,
            "state" => self.states = some_of(name, value, &UseState::ALL)?,
            "type" => self.types = some_of(name, value, &FindingType::ALL)?,
            "severity" => self.severities = some_of(name, value, &[Severity::High, Severity::Medium, Severity::Low])?,
            "highRisk" => self.high_risk = Some(flag(name, value)?),
            "builtIn" => self.built_in = flag(name, value)?,
            "days" => self.days = Some(number(name, value, 1, MAX_DAYS)?),
            "roles" => self.roles = roles(value)?,
            "giving" => self.giving = Some(one_of(name, value, &[Giving::Eligible, Giving::Standing])?),
            "namespace" => self.namespace = Some(value.to_owned()),
            "approvers" => self.approvers = value.lines().map(subject).collect::<Result<_, _>>()?,
            "permission" | "subject" => self.part = Some(value.to_owned()),
            _ => self.identity = Some(value.to_owned()).filter(|name| !name.is_empty()),
        }
        Ok(())
    }

    /// The options of a proposal.
    pub fn rightsize(&self) -> RightsizeAsk {
        let (namespace, approvers) = (self.namespace.clone(), self.approvers.clone());
        RightsizeAsk { days: self.days, form: self.roles, giving: self.giving, namespace, approvers }
    }
}

/// Whether a filter lets a value pass.
pub fn passes<T: Ord>(filter: &BTreeSet<T>, value: &T) -> bool {
    filter.is_empty() || filter.contains(value)
}

/// Whether a text has a part, in either case.
pub fn has_part(part: Option<&str>, text: &str) -> bool {
    part.is_none_or(|part| text.to_lowercase().contains(&part.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(view: View, pairs: &[(&str, &str)]) -> Result<Query, String> {
        Query::parse(view, &pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn filters_have_the_names_of_the_report() {
        let query =
            parse(View::Identities, &[("kind", "human,workload"), ("band", "HIGH"), ("state", "inactive"), ("limit", "5")]).unwrap();
        assert_eq!(query.kinds, [IdentityKind::Human, IdentityKind::Workload].into());
        assert_eq!((query.bands, query.limit), ([Band::High].into(), Some(5)));
        let query = parse(View::Findings, &[("type", "overprovisionedActive"), ("severity", "medium"), ("output", "csv")]).unwrap();
        assert_eq!((query.types, query.form), ([FindingType::OverprovisionedActive].into(), Form::Csv));
        assert_eq!(parse(View::Unused, &[("highRisk", "true")]).unwrap().high_risk, Some(true));
    }

    #[test]
    fn what_is_not_known_is_an_error_that_lists_what_is() {
        let refused = |view, pairs: &[(&str, &str)]| parse(view, pairs).unwrap_err();
        assert!(refused(View::Identities, &[("bnad", "high")]).contains("has no parameter bnad: use output, kind, band"));
        assert!(refused(View::Identities, &[("band", "severe")]).contains("use one of low, medium, high"));
        assert!(refused(View::Identities, &[("band", "low"), ("band", "high")]).contains("twice"));
        assert!(refused(View::Identity, &[]).contains("needs name="));
        assert!(refused(View::Rightsize, &[("identity", "")]).contains("needs identity="));
        assert!(refused(View::History, &[("days", "0")]).contains("from 1 to"));
        assert!(refused(View::Report, &[("output", "yaml")]).contains("use one of table, json, csv, html"));
    }
}
