//! A cluster from the recorded files, as the process that analyses would give it to the server.
use curfew_analytics::{
    bands::Band,
    details::PermissionUse,
    history::{DailyScore, Day, Point, Window},
    kubernetes::{
        analysis::analyse,
        details::details,
        dump::Dump,
        event::{Line, parse},
        inventory::{Exclusions, Inventory, Key},
        permissions::Permissions,
        usage::Usage,
    },
    report::{IdentityKind, InputSummary, Report, Row},
    rightsize::kubernetes::observed::Observed,
    serve::{
        rightsize::{Known, of_cluster},
        systems::{Analysis, Missing, Proposal, RightsizeAsk, System, Systems},
    },
};
use std::sync::Arc;

const RBAC: &str = include_str!("../data/rbac.json");
const LOG: &str = include_str!("../data/audit.log");

fn key(identity: &Row) -> Key {
    if identity.kind == IdentityKind::Group { Key::group(&identity.name) } else { Key::user(&identity.name) }
}

/// One analysis, which lives as long as the test.
pub struct Recorded {
    inventory: &'static Inventory<'static>,
    usage: &'static Usage<'static>,
    observed: Observed,
    window: Window,
    report: Report,
}

impl Recorded {
    /// Of the recorded files, in a window of a day.
    pub fn read() -> Self {
        let dump: &'static Dump = Box::leak(Box::new(Dump::parse(RBAC).unwrap()));
        let permissions: &'static Permissions = Box::leak(Box::new(Permissions::build(None, dump)));
        let mut usage = Usage::new(permissions, &dump.namespaces, i64::MAX);
        let mut observed = Observed::new(&dump.namespaces, None, i64::MAX);
        for line in LOG.lines() {
            if let Line::Events { events, .. } = parse(line.as_bytes()) {
                events.iter().for_each(|event| {
                    usage.record(event);
                    observed.record(event);
                });
            }
        }
        let usage: &'static Usage = Box::leak(Box::new(usage));
        let window = Window::ending(usage.newest.unwrap(), 86_400);
        let inventory: &'static Inventory = Box::leak(Box::new(Inventory::build(dump, permissions, usage, window, &Exclusions::default())));
        let report = analyse(inventory, usage, window, InputSummary::default());
        Self { inventory, usage, observed, window, report }
    }
}

impl Analysis for Recorded {
    fn report(&self) -> &Report {
        &self.report
    }
    fn permissions(&self, identity: &Row) -> Result<Vec<PermissionUse>, Missing> {
        Ok(details(self.inventory, self.usage, self.window, &key(identity)))
    }
}

/// `prod` is analysed, `new` is not yet.
#[derive(Clone)]
pub struct Company(pub Arc<Recorded>);

impl Company {
    pub fn read() -> Self {
        Self(Arc::new(Recorded::read()))
    }
}

impl Systems for Company {
    fn list(&self) -> Vec<System> {
        let system = |name: &str, score: Option<u8>| System {
            name: name.into(),
            provider: "Kubernetes".into(),
            score,
            band: score.map(Band::of),
            change_7d: score.map(|_| -3),
            confidence: score.map(|_| 1.0),
            evaluated_at: score.map(|_| "2026-11-26T12:00:00Z".into()),
            problem: score.is_none().then(|| "no audit event came yet".into()),
        };
        vec![system("new", None), system("prod", Some(self.0.report.system.score))]
    }
    fn analysis(&self, system: &str) -> Result<Arc<dyn Analysis>, Missing> {
        match system {
            "prod" => Ok(self.0.clone()),
            "new" => Err(Missing::NotYet { system: "new".into(), why: "no audit event came yet".into() }),
            other => Err(Missing::System(other.into())),
        }
    }
    fn history(&self, system: &str, days: u32) -> Result<Vec<DailyScore>, Missing> {
        self.analysis(system)?;
        let last = Day::of(self.window());
        // The third day from the end has no score.
        let all = (0..days.min(90)).rev().filter(|back| *back != 2);
        let score = |back: u32| u8::try_from(40 + (back * 7) % 50).unwrap();
        Ok(all.map(|back| DailyScore { day: last.back(back), score: score(back), confidence: 1.0, ..DailyScore::default() }).collect())
    }
    fn history_of(&self, system: &str, _: &Row) -> Result<Vec<Point>, Missing> {
        self.analysis(system)?;
        let last = Day::of(self.window());
        let point = |back, score| Point { day: last.back(back), exists: true, score: Some(score), x: None };
        Ok(vec![point(200, 20), point(30, 90), point(4, 95)])
    }
    fn rightsize(&self, system: &str, identity: &Row, ask: &RightsizeAsk) -> Result<Proposal, Missing> {
        self.analysis(system)?;
        let Recorded { inventory, usage, observed, window, .. } = &*self.0;
        let known = Known { system, inventory, usage, observed, window: *window, now: window.until };
        of_cluster(&known, &key(identity), ask)
    }
}

impl Company {
    fn window(&self) -> i64 {
        self.0.window.until
    }
}
