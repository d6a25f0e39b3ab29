//! The state of a simulated directory: memberships with their history, operations that take effect later, and what it refuses.
//! No I/O: every function is told the time, in milliseconds since the epoch.
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What a directory does to its clients. Every delay is in milliseconds; zero, empty and `null` switch a quirk off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    /// From the acceptance of a write until it takes effect.
    pub operation_millis: i64,
    /// For how long an operation is known after it has ended. Then it is answered 404.
    pub operation_kept_millis: i64,
    /// How far each read endpoint lags behind the writes. Reads go to the endpoints in turn.
    pub lag_millis: Vec<i64>,
    /// A membership younger than this is not removed: 400 `ActiveDurationTooShort`.
    pub min_age_millis: i64,
    /// The removal of a membership younger than this is answered 404 `DoesNotExist`, although it exists and stays.
    pub does_not_exist_millis: i64,
    /// Whether memberships end at their end dates.
    pub expiry: bool,
    /// How many requests it takes.
    pub throttle: Option<Throttle>,
    /// How many of the next writes are accepted and answered 503 all the same.
    pub lost_answers: u32,
    /// Whether every request is answered 503.
    pub unavailable: bool,
    /// Groups, by name, whose members the client may not change.
    pub unmanageable: Vec<String>,
    /// Members that the directory does not know. Their addition is answered 400.
    pub unknown_members: Vec<String>,
    /// Whether an item that is refused, 400 or 403, fails its whole combined call, and nothing of the call is done.
    pub all_or_nothing: bool,
    /// From the effect of a request until its answer.
    pub answer_millis: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            operation_millis: 0,
            operation_kept_millis: 600_000,
            lag_millis: Vec::new(),
            min_age_millis: 0,
            does_not_exist_millis: 0,
            expiry: true,
            throttle: None,
            lost_answers: 0,
            unavailable: false,
            unmanageable: Vec::new(),
            unknown_members: Vec::new(),
            all_or_nothing: false,
            answer_millis: 0,
        }
    }
}

impl Config {
    /// Everything at once, scaled down from minutes to what fits the time limit and the settle time of the provider's plans.
    #[must_use]
    pub fn difficult() -> Self {
        Config { operation_millis: 1_500, lag_millis: vec![0, 2_500, 1_000], does_not_exist_millis: 1_000, ..Config::default() }
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Throttle {
    /// How many requests it takes at once.
    pub burst: f64,
    /// How many more each second.
    pub per_second: f64,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}

/// A membership as a read shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Who.
    pub member: String,
    /// The end date, in milliseconds since the epoch.
    #[serde(skip)]
    pub expires_at: Option<i64>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 404: the group, the membership or the operation does not exist, or it says so.
    DoesNotExist,
    /// 409: the membership exists.
    AlreadyExists,
    /// 400: the membership is too young to be removed.
    ActiveDurationTooShort,
    /// 400: the directory does not know the member.
    UnknownMember,
    /// 403: this client may not change the members of the group.
    Forbidden,
}

impl Refusal {
    /// Whether an item is refused, rather than said to be done already.
    pub fn is_refusal_of_the_item(self) -> bool {
        match self {
            Refusal::DoesNotExist | Refusal::AlreadyExists => false,
            Refusal::ActiveDurationTooShort | Refusal::UnknownMember | Refusal::Forbidden => true,
        }
    }
}

/// How an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationState {
    /// It has not taken effect.
    Running,
    /// It has taken effect.
    Succeeded,
    /// It has ended without effect.
    Failed(&'static str),
}

type Key = (String, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Absent,
    Present { since: i64, expires_at: Option<i64> },
}

#[derive(Clone, Copy, Debug)]
enum Write {
    Add { expires_at: Option<i64> },
    Extend { expires_at: i64 },
    Remove,
}

#[derive(Clone, Debug)]
struct Operation {
    key: Key,
    write: Write,
    effective_at: i64,
    state: OperationState,
}

/// One directory.
#[derive(Clone, Debug)]
pub struct State {
    config: Config,
    groups: Vec<Group>,
    /// Each version of a membership, with the time from which it holds.
    memberships: BTreeMap<Key, Vec<(i64, Version)>>,
    operations: HashMap<String, Operation>,
    next_operation: u64,
    next_endpoint: usize,
    tokens: f64,
    refilled: i64,
    /// Since when end dates are obeyed.
    expiry_since: i64,
}

impl State {
    /// A directory with these groups and nobody in them.
    pub fn new(groups: &[&str], now: i64) -> Self {
        let groups = groups.iter().map(|name| Group { name: (*name).to_owned(), id: format!("id-of-{name}") }).collect();
        State {
            config: Config::default(),
            groups,
            memberships: BTreeMap::new(),
            operations: HashMap::new(),
            next_operation: 1,
            next_endpoint: 0,
            tokens: f64::MAX,
            refilled: now,
            expiry_since: now,
        }
    }

    /// How it behaves.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes how it behaves from now on.
    pub fn configure(&mut self, config: Config, now: i64) {
        self.advance(now);
        if config.expiry && !self.config.expiry {
            self.expiry_since = now;
        }
        self.tokens = config.throttle.map_or(f64::MAX, |t| t.burst);
        self.refilled = now;
        self.config = config;
    }

    /// Takes one request, or says after how many seconds to come back.
    pub fn admit(&mut self, now: i64) -> Result<(), u64> {
        let Some(throttle) = self.config.throttle else { return Ok(()) };
        let passed = (now - self.refilled).max(0) as f64 / 1_000.0;
        self.tokens = (self.tokens + passed * throttle.per_second).min(throttle.burst);
        self.refilled = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(((1.0 - self.tokens) / throttle.per_second).ceil().max(1.0) as u64)
    }

    /// Whether the answer to this accepted write is lost.
    pub fn loses_answer(&mut self) -> bool {
        let lost = self.config.lost_answers > 0;
        self.config.lost_answers = self.config.lost_answers.saturating_sub(1);
        lost
    }

    /// The groups.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The names of the groups whose members the client may change.
    pub fn manageable(&self) -> Vec<String> {
        self.groups.iter().map(|g| g.name.clone()).filter(|n| !self.config.unmanageable.contains(n)).collect()
    }

    /// The members as the next read endpoint shows them: as they were some time ago.
    pub fn members(&mut self, group: &str, now: i64) -> Result<Vec<Member>, Refusal> {
        self.advance(now);
        self.group(group)?;
        let lags = &self.config.lag_millis;
        let lag = if lags.is_empty() { 0 } else { lags[self.next_endpoint % lags.len()] };
        self.next_endpoint += 1;
        let shown = self.memberships.iter().filter(|((g, _), _)| g == group).filter_map(|((_, member), versions)| {
            let version = versions.iter().rev().find(|(from, _)| *from <= now - lag)?.1;
            let Version::Present { expires_at, .. } = version else { return None };
            Some(Member { member: member.clone(), expires_at })
        });
        Ok(shown.collect())
    }

    /// Whether the member has the access of the group at this moment. For tests: no client of a real directory can ask this.
    pub fn has_access(&mut self, group: &str, member: &str, now: i64) -> bool {
        self.advance(now);
        let id = self.groups.iter().find(|g| g.name == group).map_or(group, |g| &g.id).to_owned();
        matches!(self.current(&(id, member.to_owned())), Version::Present { .. })
    }

    /// Adds or removes a membership at once, as another administrator does. For tests.
    pub fn set_by_hand(&mut self, group: &str, member: &str, present: bool, now: i64) -> Result<(), Refusal> {
        self.advance(now);
        let id = self.groups.iter().find(|g| g.name == group).map(|g| g.id.clone()).ok_or(Refusal::DoesNotExist)?;
        let version = if present { Version::Present { since: now, expires_at: None } } else { Version::Absent };
        self.memberships.entry((id, member.to_owned())).or_default().push((now, version));
        Ok(())
    }

    /// Accepts a new membership and answers the id of the operation.
    pub fn add(&mut self, group: &str, member: &str, expires_at: Option<i64>, now: i64) -> Result<String, Refusal> {
        self.advance(now);
        let key = self.writable(group, member)?;
        match self.current(&key) {
            Version::Absent if self.config.unknown_members.iter().any(|m| m == member) => Err(Refusal::UnknownMember),
            Version::Present { .. } => Err(Refusal::AlreadyExists),
            Version::Absent => Ok(self.begin(key, Write::Add { expires_at }, now)),
        }
    }

    /// Accepts a later end date; `None` if the membership has none, or a later one.
    pub fn extend(&mut self, group: &str, member: &str, expires_at: i64, now: i64) -> Result<Option<String>, Refusal> {
        self.advance(now);
        let key = self.writable(group, member)?;
        match self.current(&key) {
            Version::Absent => Err(Refusal::DoesNotExist),
            Version::Present { expires_at: Some(old), .. } if old < expires_at => {
                Ok(Some(self.begin(key, Write::Extend { expires_at }, now)))
            }
            Version::Present { .. } => Ok(None),
        }
    }

    /// Accepts a removal and answers the id of the operation.
    pub fn remove(&mut self, group: &str, member: &str, now: i64) -> Result<String, Refusal> {
        self.advance(now);
        let key = self.writable(group, member)?;
        let Version::Present { since, .. } = self.current(&key) else { return Err(Refusal::DoesNotExist) };
        if now - since < self.config.does_not_exist_millis {
            return Err(Refusal::DoesNotExist);
        }
        if now - since < self.config.min_age_millis {
            return Err(Refusal::ActiveDurationTooShort);
        }
        Ok(self.begin(key, Write::Remove, now))
    }

    /// How an operation stands.
    pub fn operation(&mut self, id: &str, now: i64) -> Result<OperationState, Refusal> {
        self.advance(now);
        let kept = self.config.operation_kept_millis;
        self.operations.retain(|_, o| o.state == OperationState::Running || now - o.effective_at < kept);
        self.operations.get(id).map(|o| o.state).ok_or(Refusal::DoesNotExist)
    }

    fn group(&self, id: &str) -> Result<&Group, Refusal> {
        self.groups.iter().find(|g| g.id == id).ok_or(Refusal::DoesNotExist)
    }

    fn writable(&self, group: &str, member: &str) -> Result<Key, Refusal> {
        let found = self.group(group)?;
        if self.config.unmanageable.contains(&found.name) {
            return Err(Refusal::Forbidden);
        }
        Ok((group.to_owned(), member.to_owned()))
    }

    fn current(&self, key: &Key) -> Version {
        self.memberships.get(key).and_then(|v| v.last()).map_or(Version::Absent, |(_, version)| *version)
    }

    fn begin(&mut self, key: Key, write: Write, now: i64) -> String {
        let id = format!("op-{}", self.next_operation);
        self.next_operation += 1;
        let effective_at = now + self.config.operation_millis;
        self.operations.insert(id.clone(), Operation { key, write, effective_at, state: OperationState::Running });
        self.advance(now);
        id
    }

    /// Carries out everything that is due, in the order of time.
    fn advance(&mut self, now: i64) {
        loop {
            let number = |id: &str| id.trim_start_matches("op-").parse::<u64>().unwrap_or_default();
            let running = self.operations.iter().filter(|(_, o)| o.state == OperationState::Running && o.effective_at <= now);
            let write = running.map(|(id, o)| (o.effective_at, number(id), id.clone())).min();
            let expiring = self.memberships.iter().filter_map(|(key, versions)| match versions.last()?.1 {
                Version::Present { expires_at: Some(end), .. } if self.config.expiry => Some((end.max(self.expiry_since), key.clone())),
                Version::Present { .. } | Version::Absent => None,
            });
            let end = expiring.filter(|(at, _)| *at <= now).min();
            match (write, end) {
                (Some((at, _, id)), end) if end.as_ref().is_none_or(|(e, _)| at <= *e) => self.carry_out(&id),
                (_, Some((at, key))) => self.memberships.entry(key).or_default().push((at, Version::Absent)),
                (_, None) => return,
            }
        }
    }

    fn carry_out(&mut self, id: &str) {
        let Some(operation) = self.operations.get_mut(id) else { return };
        let versions = self.memberships.entry(operation.key.clone()).or_default();
        let (at, current) = (operation.effective_at, versions.last().map_or(Version::Absent, |v| v.1));
        operation.state = OperationState::Succeeded;
        let next = match (operation.write, current) {
            (Write::Add { expires_at }, Version::Absent) => Version::Present { since: at, expires_at },
            (Write::Extend { expires_at }, Version::Present { since, expires_at: Some(old) }) => {
                Version::Present { since, expires_at: Some(old.max(expires_at)) }
            }
            (Write::Extend { .. }, Version::Absent) => {
                operation.state = OperationState::Failed("the membership does not exist");
                return;
            }
            (Write::Remove, Version::Present { .. }) => Version::Absent,
            (Write::Add { .. } | Write::Extend { .. }, Version::Present { .. }) | (Write::Remove, Version::Absent) => return,
        };
        versions.push((at, next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "id-of-a";

    fn directory(config: Config) -> State {
        let mut state = State::new(&["a"], 0);
        state.configure(config, 0);
        state
    }

    fn listed(state: &mut State, now: i64) -> bool {
        !state.members(GROUP, now).unwrap().is_empty()
    }

    #[test]
    fn writes_take_effect_later_and_reads_lag_behind_in_both_directions() {
        let mut d = directory(Config { operation_millis: 100, lag_millis: vec![50], ..Config::default() });
        let id = d.add(GROUP, "m", None, 0).unwrap();
        assert_eq!((d.operation(&id, 99), d.has_access("a", "m", 99)), (Ok(OperationState::Running), false));
        assert_eq!((d.operation(&id, 100), d.has_access("a", "m", 100)), (Ok(OperationState::Succeeded), true));
        assert!(!listed(&mut d, 149) && listed(&mut d, 150));
        d.remove(GROUP, "m", 200).unwrap();
        assert!(d.has_access("a", "m", 299) && !d.has_access("a", "m", 300));
        assert!(listed(&mut d, 349) && !listed(&mut d, 350));
    }

    #[test]
    fn a_young_membership_does_not_exist_and_then_is_too_young_to_be_removed() {
        let mut d = directory(Config { does_not_exist_millis: 10, min_age_millis: 20, ..Config::default() });
        d.add(GROUP, "m", None, 0).unwrap();
        assert_eq!(d.remove(GROUP, "m", 9), Err(Refusal::DoesNotExist));
        assert_eq!(d.remove(GROUP, "m", 19), Err(Refusal::ActiveDurationTooShort));
        assert!(d.has_access("a", "m", 19));
        assert!(d.remove(GROUP, "m", 20).is_ok() && !d.has_access("a", "m", 20));
        assert_eq!(d.remove(GROUP, "m", 21), Err(Refusal::DoesNotExist));
    }

    #[test]
    fn an_end_date_is_obeyed_only_while_expiry_is_on_and_moves_only_later() {
        let mut d = directory(Config { expiry: false, ..Config::default() });
        d.add(GROUP, "m", Some(100), 0).unwrap();
        assert_eq!(d.add(GROUP, "m", Some(900), 1), Err(Refusal::AlreadyExists));
        assert_eq!(d.extend(GROUP, "m", 90, 2), Ok(None));
        assert!(d.extend(GROUP, "m", 200, 3).unwrap().is_some());
        assert!(d.has_access("a", "m", 300), "nothing obeys the end date");
        d.configure(Config::default(), 400);
        assert!(!d.has_access("a", "m", 400));
        d.set_by_hand("a", "standing", true, 500).unwrap();
        assert_eq!(d.extend(GROUP, "standing", 600, 501), Ok(None), "one without an end date keeps none");
        assert!(d.has_access("a", "standing", 10_000));
    }

    #[test]
    fn a_late_add_takes_effect_although_its_removal_was_answered_does_not_exist() {
        let mut d = directory(Config { operation_millis: 100, ..Config::default() });
        d.add(GROUP, "m", None, 0).unwrap();
        assert_eq!(d.remove(GROUP, "m", 50), Err(Refusal::DoesNotExist));
        assert!(d.has_access("a", "m", 100));
    }

    #[test]
    fn an_empty_bucket_asks_to_come_back_and_operations_are_forgotten() {
        let throttle = Some(Throttle { burst: 1.0, per_second: 0.5 });
        let mut d = directory(Config { throttle, operation_kept_millis: 100, ..Config::default() });
        assert_eq!((d.admit(0), d.admit(0), d.admit(2_000)), (Ok(()), Err(2), Ok(())));
        let id = d.add(GROUP, "m", None, 0).unwrap();
        assert_eq!(d.operation(&id, 99), Ok(OperationState::Succeeded));
        assert_eq!(d.operation(&id, 100), Err(Refusal::DoesNotExist));
    }
}
