//! CSV (RFC 4180): one row per identity.
use crate::report::Report;

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

/// A field: quoted if it must be. What a spreadsheet would take for a formula gets an apostrophe before it.
pub fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
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
    }
}
