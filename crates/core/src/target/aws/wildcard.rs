//! Patterns of actions and resources: `*` stands for any text, `?` for any character (IAM User Guide, "IAM JSON policy elements: Action" and
//! "IAM JSON policy elements: Resource"). Actions are compared regardless of case, resources exactly.
//!
//! Where two patterns cannot be compared, the answer is the careful one: [`covers`] says no, [`overlaps`] says yes.

use std::collections::BTreeMap;

/// Whether every text that matches `specific` matches `general`, too.
pub fn covers(general: &str, specific: &str) -> bool {
    // A `*` of the specific one can only be inside of a `*` of the general one, as if it were a character.
    walk(general, specific, |general, specific| general == '?' && specific != '*' || general == specific && general != '*')
}

/// The walk over both texts: `*` of the first takes any number of characters of the second, and `single` says which pairs fit.
fn walk(general: &str, specific: &str, single: impl Fn(char, char) -> bool) -> bool {
    let specific: Vec<char> = specific.chars().collect();
    // fits[j]: the part of the general pattern so far fits the first j characters.
    let mut fits = vec![false; specific.len() + 1];
    fits[0] = true;
    for g in general.chars() {
        let mut next = vec![false; specific.len() + 1];
        for j in 0..=specific.len() {
            next[j] = match g {
                '*' => fits[j] || j > 0 && next[j - 1],
                _ => j > 0 && fits[j - 1] && single(g, specific[j - 1]),
            };
        }
        fits = next;
    }
    fits[specific.len()]
}

/// Whether some text fits both patterns.
pub fn overlaps(a: &str, b: &str) -> bool {
    let b: Vec<char> = b.chars().collect();
    // fits[j]: some text fits the part of `a` so far and the first j characters of `b`.
    let mut fits = vec![false; b.len() + 1];
    fits[0] = true;
    for j in 0..b.len() {
        fits[j + 1] = fits[j] && b[j] == '*';
    }
    for x in a.chars() {
        let mut next = vec![false; b.len() + 1];
        next[0] = fits[0] && x == '*';
        for (j, y) in b.iter().enumerate() {
            next[j + 1] = match (x, *y) {
                ('*', _) => fits[j + 1] || next[j] || fits[j],
                (_, '*') => next[j] || fits[j + 1] || fits[j],
                (x, y) => fits[j] && (x == y || x == '?' || y == '?'),
            };
        }
        fits = next;
    }
    fits[b.len()]
}

/// Patterns of actions by their service: a policy may have thousands of them.
#[derive(Clone, Debug, Default)]
pub struct Actions {
    by_service: BTreeMap<String, Vec<String>>,
    /// Those whose service is a pattern itself.
    of_any: Vec<String>,
}

impl Actions {
    /// Of a list.
    pub fn of(list: &[String]) -> Self {
        let mut actions = Actions::default();
        for pattern in list.iter().map(|pattern| pattern.to_ascii_lowercase()) {
            match service(&pattern).map(str::to_owned) {
                Some(service) => actions.by_service.entry(service).or_default().push(pattern),
                None => actions.of_any.push(pattern),
            }
        }
        actions
    }

    /// Those that may have an action in common with a pattern in lower case.
    fn near<'a>(&'a self, pattern: &str) -> impl Iterator<Item = &'a String> {
        let (same, all) = match service(pattern) {
            Some(service) => (self.by_service.get(service), None),
            None => (None, Some(self.by_service.values().flatten())),
        };
        self.of_any.iter().chain(same.into_iter().flatten()).chain(all.into_iter().flatten())
    }

    /// Whether one of them matches every action that this pattern matches.
    pub fn cover(&self, specific: &str) -> bool {
        let specific = specific.to_ascii_lowercase();
        self.near(&specific).any(|general| *general == specific || covers(general, &specific))
    }

    /// Whether some action fits this pattern and one of them.
    pub fn overlap(&self, pattern: &str) -> bool {
        let pattern = pattern.to_ascii_lowercase();
        self.near(&pattern).any(|other| overlaps(other, &pattern))
    }
}

/// The service of an action; nothing if that is a pattern, too.
fn service(action: &str) -> Option<&str> {
    action.split_once(':').map(|(service, _)| service).filter(|service| !service.contains(['*', '?']))
}

/// The parts of an ARN. AWS completes one that has fewer with `*` (IAM User Guide, "IAM JSON policy elements: Resource").
fn fields(arn: &str) -> [&str; 6] {
    let mut all = ["*"; 6];
    for (field, text) in all.iter_mut().zip(arn.splitn(6, ':')) {
        *field = text;
    }
    all
}

/// Policy variables stand for what is not known here. An escaped wildcard counts as one.
fn without_variables(text: &str) -> String {
    let mut parts = text.split("${");
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        all.push('*');
        all.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    all
}

/// Whether every ARN that matches `specific` matches `general`, too. A wildcard matches within one part of the ARN.
pub fn resource_covers(general: &str, specific: &str) -> bool {
    if general == "*" || general == specific {
        return true;
    }
    let specific = without_variables(specific);
    let comparable = !general.contains("${") && specific != "*";
    // By reference: of arrays by value, LLVM 22 unrolls the loop to other IR in each compilation, and releases are compared byte by byte.
    comparable && std::iter::zip(&fields(general), &fields(&specific)).all(|(general, specific)| covers(general, specific))
}

/// Whether some resource may fit both patterns. A wildcard may reach over the parts of an ARN.
pub fn resource_overlaps(a: &str, b: &str) -> bool {
    let whole = |text: &str| match text {
        "*" => "*".to_owned(),
        arn => fields(&without_variables(arn)).join(":"),
    };
    overlaps(&whole(a), &whole(b))
}

/// What two resource patterns have in common.
///
/// # Errors
/// They overlap in a way that one pattern cannot express.
pub fn resource_intersection(a: &str, b: &str) -> Result<Option<String>, Inexact> {
    if resource_covers(a, b) {
        return Ok(Some(b.to_owned()));
    }
    if resource_covers(b, a) {
        return Ok(Some(a.to_owned()));
    }
    if !resource_overlaps(a, b) {
        return Ok(None);
    }
    if a.contains("${") || b.contains("${") || a == "*" || b == "*" {
        return Err(Inexact);
    }
    let narrower = |(a, b): (&str, &str)| match (covers(a, b), covers(b, a)) {
        (true, _) => Ok(b.to_owned()),
        (false, true) => Ok(a.to_owned()),
        (false, false) => Err(Inexact),
    };
    let all: Vec<String> = fields(a).into_iter().zip(fields(b)).map(narrower).collect::<Result<_, _>>()?;
    Ok(Some(all.join(":")))
}

/// Two patterns overlap in a way that one pattern cannot express.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inexact;

#[cfg(test)]
mod tests;
