//! CSV (RFC 4180): one row per identity.
use crate::report::Report;
use curfew_core::text::printable;

const HEADER: [&str; 17] = [
    "name",
    "kind",
    "score",
    "band",
    "unused_share",
    "granted_share",
    "confidence",
    "counted",
    "built_in",
    "new",
    "excluded_from_pci",
    "permissions_granted",
    "permissions_used",
    "high_risk_not_fully_used",
    "last_used",
    "escalation",
    "because",
];

/// What begins a formula, also in the forms of full width, which some spreadsheets take for the same.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];
/// What separates cells in one spreadsheet or another.
const SEPARATORS: [char; 3] = [',', ';', '|'];

/// A field: control characters are shown, and it is quoted if it must be. What a spreadsheet would take for a formula gets an apostrophe
/// before it, also after each character at which the spreadsheet may begin another cell.
pub fn field(text: &str) -> String {
    let (mut out, mut begins) = (String::with_capacity(text.len()), true);
    for c in text.chars() {
        if begins && FORMULA.contains(&c) {
            out.push('\'');
        }
        out += &printable(c.encode_utf8(&mut [0; 4]));
        begins = SEPARATORS.contains(&c) || c.is_control() || (begins && c.is_whitespace());
    }
    if out.contains(SEPARATORS) || out.contains('"') { format!("\"{}\"", out.replace('"', "\"\"")) } else { out }
}

/// The identities of a report, without those tagged `ck_exclude_from_reports`.
pub fn csv(report: &Report) -> String {
    let mut out = HEADER.join(",") + "\r\n";
    for row in report.identities.iter().filter(|row| !row.excluded_from_reports) {
        let because: Vec<&str> = row.because.iter().map(|part| part.permission.as_str()).collect();
        let fields = [
            row.name.clone(),
            row.kind.to_string(),
            row.score.map(|score| score.to_string()).unwrap_or_default(),
            row.band.map(|band| band.to_string()).unwrap_or_default(),
            row.x.map(|x| format!("{x:.6}")).unwrap_or_default(),
            format!("{:.6}", row.granted_share),
            format!("{:.4}", row.confidence),
            row.counted.to_string(),
            row.built_in.to_string(),
            row.new.to_string(),
            row.excluded_from_pci.to_string(),
            row.permissions.granted.to_string(),
            row.permissions.used.to_string(),
            row.permissions.high_risk_not_fully_used.to_string(),
            row.last_used.clone().unwrap_or_default(),
            row.escalation.clone().unwrap_or_default(),
            because.join("; "),
        ];
        out += &fields.map(|text| field(&text)).join(",");
        out += "\r\n";
    }
    out
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_quoted_and_formulas_are_texts() {
        assert_eq!(field("a"), "a");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=1+2"), "'=1+2");
        assert_eq!(field("@x,y"), "\"'@x,y\"");
        for start in ["=", "+", "-", "@", "\u{ff1d}", "\u{ff0b}", "\u{ff0d}", "\u{ff20}"] {
            assert!(field(&format!("{start}1")).starts_with('\''), "{start}");
            assert_eq!(field(&format!("  {start}1")), format!("  '{start}1"));
        }
        // A spreadsheet that separates at semicolons or tabs does not take the quotes in the middle of its cell for quotes.
        assert_eq!(field("a;=1+2"), "\"a;'=1+2\"");
        assert_eq!(field("a, @b; +c|-d"), "\"a, '@b; '+c|'-d\"");
        assert_eq!(field("a-b=c; get core/pods"), "\"a-b=c; get core/pods\"");
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(field("a\tb\r\nc\u{0}"), "a\\tb\\r\\nc\\u{0}");
        assert_eq!(field("x\t=1"), "x\\t'=1");
        assert_eq!(field("\u{202e}x"), "\\u{202e}x");
    }
}
