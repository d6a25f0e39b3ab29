//! What was done: by permission, by place, and in numbers.
use super::{
    Limited, format_of, or_dash,
    permissions::{is_asked_for, is_counted},
    permissions_of, render, window_in_words,
};
use crate::{
    catalogue::Level,
    details::{Extent, PermissionUse},
    output::document::{Column, Document, List},
    report::Row,
    serve::{
        query::{Query, View, wire},
        systems::{Analysis, Missing},
        views::Answer,
    },
};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Calls `take` for each permission that the filters let pass, of every identity that counts here.
fn each(analysis: &dyn Analysis, query: &Query, mut take: impl FnMut(&Row, PermissionUse)) -> Result<(), Missing> {
    for row in analysis.report().identities.iter().filter(|row| is_counted(row, query)) {
        permissions_of(analysis, row)?.into_iter().filter(|used| is_asked_for(used, query)).for_each(|used| take(row, used));
    }
    Ok(())
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    permission: String,
    level: Level,
    high_risk: bool,
    identities_with_access: usize,
    identities_that_used: usize,
    places: usize,
    everywhere: bool,
    last_used: Option<String>,
}

/// Permissions that were used in the window: by how many of those who have them, and in how many places.
pub(super) fn tasks(system: &str, analysis: &dyn Analysis, query: &Query) -> Result<Answer, Missing> {
    let mut found: BTreeMap<String, (Task, BTreeSet<String>)> = BTreeMap::new();
    each(analysis, query, |_, used| {
        let (task, places) = found.entry(used.permission.clone()).or_insert_with(|| {
            let task = Task {
                permission: used.permission.clone(),
                level: used.level,
                high_risk: used.high_risk,
                identities_with_access: 0,
                identities_that_used: 0,
                places: 0,
                everywhere: false,
                last_used: None,
            };
            (task, BTreeSet::new())
        });
        task.identities_with_access += usize::from(!used.granted.is_empty());
        task.identities_that_used += usize::from(!used.used.is_empty());
        task.everywhere |= used.used == Extent::Everywhere;
        places.extend(used.used.places().map(str::to_owned));
        task.last_used = task.last_used.take().max(used.last_used);
    })?;
    let with_places = found.into_values().map(|(task, places)| Task { places: places.len(), ..task });
    let mut tasks: Vec<Task> = with_places.filter(|task| task.identities_that_used > 0).collect();
    tasks.sort_by(|a, b| b.high_risk.cmp(&a.high_risk).then(b.last_used.cmp(&a.last_used)).then_with(|| a.permission.cmp(&b.permission)));
    let Limited { rows, more } = Limited::new(tasks, query)?;
    let value =
        json!({"format": format_of(View::Tasks), "system": system, "window": analysis.report().window, "items": rows, "more": more});
    let row = |task: &Task| {
        vec![
            task.permission.clone(),
            wire(&task.level),
            task.high_risk.to_string(),
            task.identities_with_access.to_string(),
            task.identities_that_used.to_string(),
            task.identities_with_access.saturating_sub(task.identities_that_used).to_string(),
            if task.everywhere { "everywhere".into() } else { task.places.to_string() },
            task.last_used.clone().unwrap_or_default(),
        ]
    };
    render(query, &value, || Document {
        title: format!("Active tasks of {system} in {}", window_in_words(&analysis.report().window)),
        lists: vec![List {
            heading: "High-risk tasks first, then the newest".into(),
            columns: vec![
                Column::text("permission", "task"),
                Column::text("level", "level"),
                Column::text("high_risk", "high-risk"),
                Column::number("identities_with_access", "may"),
                Column::number("identities_that_used", "did"),
                Column::number("identities_that_did_not", "did not"),
                Column::number("places", "places"),
                Column::text("last_used", "last used"),
            ],
            rows: rows.iter().map(row).collect(),
            more,
            empty: "nothing that matches was done in the window",
            ..List::default()
        }],
        ..Document::default()
    })
}

#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    place: String,
    permissions_granted: usize,
    permissions_used: usize,
    identities_with_access: usize,
    identities_that_used: usize,
}

/// Places in which something was done in the window, with how much may be done there and by how many.
pub(super) fn resources(system: &str, analysis: &dyn Analysis, query: &Query) -> Result<Answer, Missing> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    each(analysis, query, |_, used| names.extend(used.used.places().map(str::to_owned)))?;
    let mut found: BTreeMap<&str, [BTreeSet<String>; 4]> = names.iter().map(|name| (name.as_str(), Default::default())).collect();
    each(analysis, query, |row, used| {
        for (name, [granted, done, may, did]) in &mut found {
            if used.granted.contains(name) {
                granted.insert(used.permission.clone());
                may.insert(row.name.clone());
            }
            if used.used.contains(name) {
                done.insert(used.permission.clone());
                did.insert(row.name.clone());
            }
        }
    })?;
    let counted = found.into_iter().map(|(name, [granted, done, may, did])| Resource {
        place: name.to_owned(),
        permissions_granted: granted.len(),
        permissions_used: done.len(),
        identities_with_access: may.len(),
        identities_that_used: did.len(),
    });
    let mut resources: Vec<Resource> = counted.collect();
    resources.sort_by(|a, b| b.identities_with_access.cmp(&a.identities_with_access).then_with(|| a.place.cmp(&b.place)));
    let Limited { rows, more } = Limited::new(resources, query)?;
    let window = &analysis.report().window;
    let value = json!({"format": format_of(View::Resources), "system": system, "window": window, "items": rows, "more": more});
    let row = |resource: &Resource| {
        vec![
            resource.place.clone(),
            resource.permissions_granted.to_string(),
            resource.permissions_used.to_string(),
            resource.identities_with_access.to_string(),
            resource.identities_that_used.to_string(),
        ]
    };
    render(query, &value, || Document {
        title: format!("Active resources of {system} in {}", window_in_words(window)),
        lists: vec![List {
            heading: "Where most identities have access first".into(),
            columns: vec![
                Column::text("place", "place"),
                Column::number("permissions_granted", "permissions granted"),
                Column::number("permissions_used", "used"),
                Column::number("identities_with_access", "identities with access"),
                Column::number("identities_that_used", "that used it"),
            ],
            rows: rows.iter().map(row).collect(),
            more,
            empty: "no use in the window names a place",
            ..List::default()
        }],
        ..Document::default()
    })
}

/// One class of permissions in numbers.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Class {
    class: &'static str,
    identities: usize,
    identities_active: usize,
    identities_inactive: usize,
    permissions: usize,
    permissions_used: usize,
    permissions_unused: usize,
    places_used: usize,
}

#[derive(Default)]
struct Sets {
    may: BTreeSet<String>,
    did: BTreeSet<String>,
    granted: BTreeSet<String>,
    used: BTreeSet<String>,
    places: BTreeSet<String>,
}

/// High-risk permissions and deletions: who has them and uses them, how many of them are used, and in how many places.
pub(super) fn summary(system: &str, analysis: &dyn Analysis, query: &Query) -> Result<Answer, Missing> {
    let (mut high, mut delete) = (Sets::default(), Sets::default());
    each(analysis, query, |row, used| {
        let classes = [(used.high_risk, &mut high), (used.level == Level::Delete, &mut delete)];
        for (_, sets) in classes.into_iter().filter(|(is, _)| *is) {
            if !used.granted.is_empty() {
                sets.may.insert(row.name.clone());
                sets.granted.insert(used.permission.clone());
            }
            if !used.granted.is_empty() && !used.used.is_empty() {
                sets.did.insert(row.name.clone());
                sets.used.insert(used.permission.clone());
                sets.places.extend(used.used.places().map(str::to_owned));
            }
        }
    })?;
    let class = |class, sets: Sets| Class {
        class,
        identities: sets.may.len(),
        identities_active: sets.did.len(),
        identities_inactive: sets.may.len() - sets.did.len(),
        permissions: sets.granted.len(),
        permissions_used: sets.used.len(),
        permissions_unused: sets.granted.len() - sets.used.len(),
        places_used: sets.places.len(),
    };
    let classes = [class("high-risk", high), class("delete", delete)];
    let report = analysis.report();
    let value = json!({"format": format_of(View::Summary), "system": system, "window": report.window, "items": classes});
    let row = |class: &Class| {
        let numbers = [
            class.identities,
            class.identities_active,
            class.identities_inactive,
            class.permissions,
            class.permissions_used,
            class.permissions_unused,
            class.places_used,
        ];
        std::iter::once(class.class.to_owned()).chain(numbers.map(|number| number.to_string())).collect()
    };
    render(query, &value, || Document {
        title: format!("Permission Creep Index of {system}: {} ({})", report.system.score, report.system.band),
        facts: vec![
            ("window", window_in_words(&report.window)),
            ("identities", format!("{} count, {} are super identities", report.system.counted, report.system.super_identities)),
            ("highest", or_dash(report.identities.iter().find(|row| !row.built_in).map(|row| row.name.clone()))),
        ],
        lists: vec![List {
            heading: "Permissions that matter most".into(),
            columns: vec![
                Column::text("class", "class"),
                Column::number("identities", "identities"),
                Column::number("identities_active", "active"),
                Column::number("identities_inactive", "inactive"),
                Column::number("permissions", "permissions"),
                Column::number("permissions_used", "used"),
                Column::number("permissions_unused", "unused"),
                Column::number("places_used", "places used"),
            ],
            rows: classes.iter().map(row).collect(),
            ..List::default()
        }],
        ..Document::default()
    })
}
