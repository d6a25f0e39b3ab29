//! Patterns of actions and resources: `*` stands for any text, `?` for any character (IAM User Guide, "IAM JSON policy elements: Action" and
//! "IAM JSON policy elements: Resource"). Actions are compared regardless of case, resources exactly.
//!
//! Where two patterns cannot be compared, the answer is the careful one: [`covers`] says no, [`overlaps`] says yes.

/// Whether a pattern stands for everything that another one stands for.
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

/// Whether one pattern of actions stands for everything that another one stands for.
pub fn action_covers(general: &str, specific: &str) -> bool {
    covers(&general.to_ascii_lowercase(), &specific.to_ascii_lowercase())
}

/// Whether some action fits both patterns.
pub fn action_overlaps(a: &str, b: &str) -> bool {
    overlaps(&a.to_ascii_lowercase(), &b.to_ascii_lowercase())
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

/// Whether one resource pattern stands for everything that another one stands for. Wildcards stay inside of a part of the ARN.
pub fn resource_covers(general: &str, specific: &str) -> bool {
    if general == "*" || general == specific {
        return true;
    }
    let specific = without_variables(specific);
    let comparable = !general.contains("${") && specific != "*";
    comparable && fields(general).into_iter().zip(fields(&specific)).all(|(general, specific)| covers(general, specific))
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
