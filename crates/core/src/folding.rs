//! How names of people are compared.
//!
//! Two names that a person, a directory or a font takes for one must not approve one another, so rules that **refuse** compare names
//! folded. Rules that **grant** compare them as the API server does: exactly, since RBAC at the target does, too.
use crate::text::{is_blank_char, is_invisible};
use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

/// How two names are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spelling {
    /// As they are written: for what gives a right (eligibility, approvers, subjects, the right of a holder to give access back).
    Exact,
    /// Folded by [`fold`]: for what takes a right away (decisions about the decider's own request, distinct people of a quorum).
    Folded,
}

impl Spelling {
    /// Whether two names are the same.
    pub fn is_same(self, a: &str, b: &str) -> bool {
        match self {
            _ if a == b => true,
            Spelling::Exact => false,
            // Without allocation: the tally compares each decision with each other.
            Spelling::Folded if a.is_ascii() && b.is_ascii() => folded_ascii(a).eq(folded_ascii(b)),
            Spelling::Folded => fold(a) == fold(b),
        }
    }
}

/// The form of a name in which spellings of one name are equal. It is compared, and never stored or shown.
///
/// 1. Invisible characters are dropped: controls and what Unicode calls default-ignorable (zero-width, bidi controls, selectors).
/// 2. Full case folding and compatibility normalization (Unicode D146, the same as NFKC_Casefold): `ß` and `SS`, final and other
///    sigma, fullwidth and plain letters, composed and decomposed accents are equal.
/// 3. The dotted `İ` and the dotless `ı` of Turkic languages are `i`: directories disagree about their case.
/// 4. Surrounding blanks are dropped.
///
/// Letters of different scripts that only look alike stay different: a rule for those would make different people of one name equal.
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return folded_ascii(name).collect();
    }
    let visible = name.chars().filter(|c| !is_invisible(*c));
    // Compatibility forms can bring in characters that are themselves ignorable or have a case.
    let folded = visible.nfd().default_case_fold().nfkd().default_case_fold().nfkd().filter(|c| !is_invisible(*c));
    let mut out = String::with_capacity(name.len());
    for c in folded {
        match c {
            'ı' => out.push('i'),
            '\u{307}' if out.ends_with('i') => {}
            c => out.push(c),
        }
    }
    out.trim_matches(is_blank_char).to_owned()
}

fn folded_ascii(name: &str) -> impl Iterator<Item = char> {
    name.trim_matches(is_blank_char).chars().filter(|c| !c.is_ascii_control()).map(|c| c.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_equal_when_folded_and_different_exactly() {
        let spellings = [
            ("alice@example.com", "Alice@Example.COM"),
            ("alice", " alice\t"),
            ("alice", "alice\u{a0}"),
            ("alice", "\u{3000}alice"),
            ("alice", "ａｌｉｃｅ"),
            ("alice", "ＡＬＩＣＥ"),
            ("alice", "ali\u{200b}ce"),
            ("alice", "al\u{ad}ice\u{feff}"),
            ("alice", "\u{202e}alice\u{202c}"),
            ("alice", "alice\0"),
            ("josé", "jose\u{301}"),
            ("josé", "JOSE\u{301}"),
            ("strasse", "Straße"),
            ("STRAẞE", "straße"),
            ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
            ("kelvin", "\u{212a}elvin"),
            ("sam", "\u{17f}am"),
            ("fiona", "\u{fb01}ona"),
            ("istanbul", "İstanbul"),
            ("istanbul", "ıstanbul"),
            ("ISTANBUL", "ıstanbul"),
            ("i\u{307}stanbul", "İSTANBUL"),
            ("ali①", "ali1"),
        ];
        for (a, b) in spellings {
            assert!(Spelling::Folded.is_same(a, b), "{a:?} and {b:?} fold to {:?} and {:?}", fold(a), fold(b));
            assert!(!Spelling::Exact.is_same(a, b), "{a:?} is not exactly {b:?}");
            assert_eq!(fold(&fold(a)), fold(a), "folding twice changes nothing");
        }
    }

    #[test]
    fn different_names_stay_different() {
        for (a, b) in [("alice", "alicia"), ("alice", "al ice"), ("jose", "josé"), ("alice", "аlice"), ("alice", ""), ("a.b", "ab")] {
            assert!(!Spelling::Folded.is_same(a, b), "{a:?} and {b:?} are two names");
        }
    }

    #[test]
    fn the_short_way_for_ascii_gives_what_the_long_way_gives() {
        for c in (0..128u8).map(char::from) {
            let (short, long) = (fold(&format!("a{c}B")), fold(&format!("a{c}Bß")));
            assert_eq!(format!("{short}ss"), long, "{c:?}");
        }
    }
}
