//! Policy variables in resources and values of conditions (IAM User Guide, "IAM policy elements: Variables and tags").
use super::context::{Context, Known};

/// A text after its variables were replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Replaced {
    /// All values are known. Wildcards that the policy has escaped (`${*}`) are kept as the characters that they are.
    Text(String),
    /// A variable has no known value.
    Unknown,
    /// A variable has no value in any request: the statement does not match.
    Nothing,
}

/// Whether a text has variables.
pub fn has_variables(text: &str) -> bool {
    text.contains("${")
}

/// Replaces the variables of a text. A default (`${key, 'text'}`) takes the place of an absent value.
///
/// An escaped wildcard becomes the wildcard: it matches itself and more, which only a pattern with literal `*` or `?` would show.
pub fn replaced(text: &str, context: &dyn Context) -> Replaced {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((variable, rest)) = part.split_once('}') else { return Replaced::Unknown };
        match variable.trim() {
            escaped @ ("*" | "?" | "$") => out.push_str(escaped),
            variable => {
                let (key, default) = match variable.split_once(',') {
                    Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\''))),
                    None => (variable, None),
                };
                match (context.get(&key.to_lowercase()), default) {
                    (Known::One(value), _) => out.push_str(&value),
                    (Known::Absent, Some(default)) => out.push_str(default),
                    (Known::Absent, None) => return Replaced::Nothing,
                    (Known::Unknown | Known::Many(_), _) => return Replaced::Unknown,
                }
            }
        }
        out.push_str(rest);
    }
    Replaced::Text(out)
}

/// A text with every variable as `*`: it matches what any value would, and more.
pub fn widened(text: &str) -> String {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((variable, rest)) => {
                out.push_str(match variable.trim() {
                    escaped @ ("?" | "$") => escaped,
                    _ => "*",
                });
                out.push_str(rest);
            }
            None => out.push('*'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{super::context::Complete, *};

    #[test]
    fn variables_are_replaced_by_their_values_or_defaults() {
        let mut context = Complete::default();
        context.values.insert("aws:username".into(), Known::One("alice".into()));
        context.values.insert("aws:userid".into(), Known::Unknown);
        let text = |text: &str| replaced(text, &context);
        assert_eq!(text("home/${aws:UserName}/x"), Replaced::Text("home/alice/x".into()));
        assert_eq!(text("${aws:PrincipalTag/team, 'none'}-${$}"), Replaced::Text("none-$".into()));
        assert_eq!((text("${aws:userid}"), text("${aws:PrincipalTag/team}")), (Replaced::Unknown, Replaced::Nothing));
        assert_eq!(text("${broken"), Replaced::Unknown);
        assert_eq!((widened("a/${aws:userid}/b"), widened("${?}${x")), ("a/*/b".into(), "?*".into()));
    }
}
