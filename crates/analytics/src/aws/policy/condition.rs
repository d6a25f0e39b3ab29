//! Whether the conditions of a statement hold (IAM User Guide, "IAM JSON policy elements: Condition" and "Conditions with multiple context keys
//! or values").
use super::{
    context::{Context, Known},
    document::Condition,
    values::{Comparison, fits, operator},
    variables::{Replaced, has_variables, replaced},
};

/// An answer that may be unknown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Truth {
    /// It does not hold.
    No,
    /// It depends on what is not known.
    Maybe,
    /// It holds.
    Yes,
}

impl Truth {
    /// A known answer.
    pub fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }
    /// One of them holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.max(other)
    }
    /// It does not hold.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

/// Whether all conditions hold.
pub fn holds(conditions: &[Condition], context: &dyn Context, variables: bool) -> Truth {
    conditions.iter().map(|condition| one(condition, context, variables)).fold(Truth::Yes, Truth::and)
}

/// How the values of a key that has many are taken together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    /// The key has one value.
    One,
    /// `ForAllValues`.
    All,
    /// `ForAnyValue`.
    Any,
}

fn one(condition: &Condition, context: &dyn Context, variables: bool) -> Truth {
    let name = condition.operator.to_lowercase();
    let actual = context.get(&condition.key.to_lowercase());
    if name == "null" {
        let wanted = condition.values.first().is_none_or(|value| value.eq_ignore_ascii_case("true"));
        return match actual {
            Known::Unknown => Truth::Maybe,
            Known::Absent => Truth::of(wanted),
            Known::One(_) | Known::Many(_) => Truth::of(!wanted),
        };
    }
    let (name, if_exists) = match name.strip_suffix("ifexists") {
        Some(name) => (name, true),
        None => (name.as_str(), false),
    };
    let (name, set) = match (name.strip_prefix("forallvalues:"), name.strip_prefix("foranyvalue:")) {
        (Some(name), _) => (name, Set::All),
        (_, Some(name)) => (name, Set::Any),
        _ => (name, Set::One),
    };
    let Some((comparison, negated)) = operator(name) else { return Truth::Maybe };
    let expected = Expected { comparison, negated, values: &condition.values, context, variables };
    match (actual, set) {
        (Known::Unknown, _) => Truth::Maybe,
        (Known::Absent, _) => Truth::of(if_exists || set == Set::All || (negated && set == Set::One)),
        (Known::One(value), _) => expected.fits(&value),
        (Known::Many(values), Set::All) => values.iter().map(|value| expected.fits(value)).fold(Truth::Yes, Truth::and),
        (Known::Many(values), Set::Any) => values.iter().map(|value| expected.fits(value)).fold(Truth::No, Truth::or),
        // Without a set operator the result for a key with many values is not defined.
        (Known::Many(_), Set::One) => Truth::Maybe,
    }
}

/// The values of a policy with which a value of the request is compared.
struct Expected<'a> {
    comparison: Comparison,
    negated: bool,
    values: &'a [String],
    context: &'a dyn Context,
    variables: bool,
}

impl Expected<'_> {
    /// Whether one of the values fits; of a negated operator, whether none does.
    fn fits(&self, actual: &str) -> Truth {
        let each = self.values.iter().map(|expected| self.fits_one(actual, expected));
        if self.negated { each.fold(Truth::Yes, Truth::and) } else { each.fold(Truth::No, Truth::or) }
    }

    fn fits_one(&self, actual: &str, expected: &str) -> Truth {
        let compared = |expected: &str| match fits(self.comparison, actual, expected) {
            Some(fits) => Truth::of(fits != self.negated),
            None => Truth::No,
        };
        if !self.variables || !has_variables(expected) {
            return compared(expected);
        }
        match replaced(expected, self.context) {
            Replaced::Text(text) => compared(&text),
            Replaced::Unknown => Truth::Maybe,
            Replaced::Nothing => Truth::of(self.negated),
        }
    }
}
