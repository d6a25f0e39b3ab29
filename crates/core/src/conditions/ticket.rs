//! The ticket that a request must name: its number matches a pattern, and its system may be one of a list. Only the notation is checked;
//! no ticket system is asked.
//!
//! The API server answers by the same pattern with CEL (`matches`, which is RE2 as Go has it), so a pattern must mean the same in both.
//! [`NOTATION`] allows the common part of both notations, and the API server refuses what it cannot compile.
use regex_lite::RegexBuilder;

/// The notation of a pattern: characters of ASCII, escapes of punctuation and of `\d \w \s \b` and their negations, classes without
/// classes in them, and repetitions of up to 999.
pub const NOTATION: &str = concat!(
    r"^(\\[dDwWsSbB!-/:;=?@\[-`{-~]",
    r"|[\x20-Z\]-z|-~]",
    r"|\{[0-9]{1,3}(,([0-9]{1,3})?)?\}",
    r"|\[\^?(\\[dDwWsS!-/:;=?@\[-`{-~]|[\x20-Z_-~])",
    r"(\\[dDwWsS!-/:;=?@\[-`{-~]|[\x20-Z^-~])*\])+$"
);

/// What a pattern must not contain: set operations of classes, which RE2 does not have, and groups with a name or flags.
pub const NOT_COMMON: &str = r"&&|--|~~|[(][?][^:]";

/// What is told about a pattern that is not in the common notation.
pub const NOTATION_MESSAGE: &str = "write the pattern in the notation that RE2 and Curfew share: ASCII characters, classes such as [A-Z0-9_] without another class in them, groups without name or flags, and repetitions of at most 999";

/// The longest pattern, in characters.
pub const MAX_PATTERN: u32 = 253;

/// The greatest size of a compiled pattern, in bytes.
const MAX_COMPILED: usize = 65_536;

/// A ticket that a request names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ticket {
    /// The ticket system.
    pub system: String,
    /// Its number there.
    pub number: String,
}

/// The ticket that a role asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// A regular expression that matches a part of the number; `^` and `$` tie it to the beginning and the end.
    pub pattern: String,
    /// The accepted ticket systems, compared exactly; `None` accepts any.
    pub systems: Option<Vec<String>>,
}

impl Rule {
    /// Whether the pattern can be used.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&self) -> Result<(), String> {
        let is_common = is_match(NOTATION, &self.pattern) && !is_match(NOT_COMMON, &self.pattern);
        if !is_common {
            return Err(format!("activation.ticket has pattern {}; {NOTATION_MESSAGE}", self.pattern));
        }
        match compile(&self.pattern) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("activation.ticket has pattern {}, which cannot be used: {error}; correct it", self.pattern)),
        }
    }

    /// Whether this ticket is accepted. The order of the rules: 1. none; 2. its system; 3. its number.
    ///
    /// # Errors
    /// What `whose` rule asks for and what the ticket has instead, in words.
    pub fn accepts(&self, ticket: Option<&Ticket>, whose: &str) -> Result<(), String> {
        let found = match (ticket, &self.systems) {
            (None, _) => String::new(),
            (Some(ticket), Some(systems)) if !systems.contains(&ticket.system) => format!(", and {} is not one of these", ticket.system),
            (Some(ticket), _) if is_match(&self.pattern, &ticket.number) => return Ok(()),
            (Some(ticket), _) => format!(", and {} does not", ticket.number),
        };
        Err(format!("{whose} asks for {}{found}; name it in spec.ticket", self.in_words()))
    }

    /// The ticket that is asked for.
    pub fn in_words(&self) -> String {
        let systems = self.systems.as_ref().map_or_else(String::new, |systems| format!(" of {}", systems.join(", ")));
        format!("a ticket{systems} whose number matches {}", self.pattern)
    }
}

fn compile(pattern: &str) -> Result<regex_lite::Regex, regex_lite::Error> {
    RegexBuilder::new(pattern).size_limit(MAX_COMPILED).build()
}

/// Whether a part of the text matches. A pattern that cannot be compiled matches nothing.
fn is_match(pattern: &str, text: &str) -> bool {
    compile(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str) -> Rule {
        Rule { pattern: pattern.into(), systems: None }
    }
    fn ticket(system: &str, number: &str) -> Ticket {
        Ticket { system: system.into(), number: number.into() }
    }
    fn matches(pattern: &str, number: &str) -> bool {
        let rule = rule(pattern);
        assert_eq!(rule.check(), Ok(()), "{pattern}");
        rule.accepts(Some(&ticket("jira", number)), "role admin").is_ok()
    }

    /// `story::conditions` compares patterns and numbers with the API server's answers.
    #[test]
    fn a_pattern_matches_a_part_of_the_number() {
        for (pattern, number, expected) in [
            ("^INC-[0-9]+$", "INC-4711", true),
            ("^INC-[0-9]+$", "INC-", false),
            ("^INC-[0-9]+$", "xINC-1", false),
            ("INC", "xINC-1", true),
            ("^INC", "INC anything", true),
            (r"^\d+$", "4711", true),
            (r"^\d+$", "\u{661}\u{662}", false),
            (r"^\w+$", "\u{e9}", false),
            (".", "\u{e9}", true),
            ("^.$", "\u{e9}", true),
            ("^[^a]$", "\u{e9}", true),
            ("^(?:INC|CHG)[0-9]{2,3}$", "CHG123", true),
            ("^(?:INC|CHG)[0-9]{2,3}$", "CHG1234", false),
            (r"^A\.B$", "A.B", true),
            (r"^A\.B$", "AxB", false),
            ("^[A-Z_.-]+$", "A-B_C.", true),
            (r"^[\]\[]+$", "[]", true),
            ("^inc", "INC-1", false),
        ] {
            assert_eq!(matches(pattern, number), expected, "{pattern} {number}");
        }
    }

    #[test]
    fn a_pattern_that_means_something_else_to_the_api_server_is_refused() {
        let refused: &[(&str, &[&str])] = &[
            ("set operations in Rust, and characters in RE2", &["[a-z&&b]", "[a--b]", "[a~~b]", "x&&y"]),
            ("a class in a class", &["[a[bc]]", "[[:digit:]]", "[]a]", "[^]a]"]),
            ("word boundaries in Rust, and characters in RE2", &[r"\<a", r"a\>", r"\b{start}"]),
            ("repetitions in Rust, and characters in RE2", &["a{ 2 }", "a{,2}", "a{", "a{1000}"]),
            ("names and flags", &["(?i)inc", "(?P<n>a)", "(?<n>a)", "(?x)a", "(?s)."]),
            ("escapes of one of the two", &[r"\pN", r"\Qa\E", r"\x41", r"\u0041", r"\z", r"\A", r"\1", "\\"]),
            ("characters beyond ASCII, controls, and nothing", &["\u{e9}", "a\u{212a}", "a\tb", ""]),
        ];
        for (why, pattern) in refused.iter().flat_map(|(why, patterns)| patterns.iter().map(move |pattern| (why, *pattern))) {
            let told = rule(pattern).check().expect_err(pattern);
            assert!(told.contains("write the pattern in the notation"), "{why}: {pattern}: {told}");
        }
        for pattern in ["(", ")", "[b-a]", "*", "a{3,2}", "(?:a", "((((a{999}){999}){999}){999})"] {
            let told = rule(pattern).check().expect_err(pattern);
            assert!(told.contains("cannot be used"), "{pattern}: {told}");
            assert!(rule(pattern).accepts(Some(&ticket("jira", "a")), "role admin").is_err(), "{pattern} matches nothing");
        }
    }

    #[test]
    fn the_message_has_value_and_pattern() {
        let told = |rule: &Rule, ticket: Option<&Ticket>| rule.accepts(ticket, "role admin").unwrap_err();
        let any = rule("^INC-[0-9]+$");
        assert_eq!(told(&any, None), "role admin asks for a ticket whose number matches ^INC-[0-9]+$; name it in spec.ticket");
        let other = ticket("github", "OPS-1");
        assert_eq!(
            told(&any, Some(&other)),
            "role admin asks for a ticket whose number matches ^INC-[0-9]+$, and OPS-1 does not; name it in spec.ticket"
        );
        let of = Rule { systems: Some(vec!["jira".into(), "snow".into()]), ..any };
        let asks = "role admin asks for a ticket of jira, snow whose number matches ^INC-[0-9]+$";
        assert_eq!(told(&of, None), format!("{asks}; name it in spec.ticket"));
        assert_eq!(told(&of, Some(&other)), format!("{asks}, and github is not one of these; name it in spec.ticket"));
        assert_eq!(told(&of, Some(&ticket("snow", "OPS-1"))), format!("{asks}, and OPS-1 does not; name it in spec.ticket"));
        assert_eq!(of.accepts(Some(&ticket("snow", "INC-1")), "role admin"), Ok(()));
        assert!(of.accepts(Some(&ticket("Snow", "INC-1")), "role admin").is_err(), "systems are compared exactly");
        assert!(Rule { systems: Some(Vec::new()), ..of }.accepts(Some(&ticket("snow", "INC-1")), "role admin").is_err());
    }
}
