//! A proposal in the form that is the same for every provider.
use serde::Serialize;
use serde_json::Value;

/// A document to review and apply, and what it is for.
pub type Document = (String, Value);

/// One permission of a proposal and the use that it rests on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    /// The permission.
    pub permission: String,
    /// Where it was used, and on which objects if the role names them.
    pub places: String,
    /// Why it is in the proposal.
    pub why: String,
    /// On how many days of the window it was used, if that is known.
    pub days: Option<u32>,
    /// RFC 3339; the last use.
    pub last_used: Option<String>,
}

/// A proposal.
#[derive(Clone, PartialEq, Debug)]
pub struct Outline {
    /// What to apply, in this order. Nothing applies it.
    pub documents: Vec<Document>,
    /// Why each permission is in it.
    pub permissions: Vec<Permission>,
    /// The standing access that it replaces, each with how to take it away.
    pub replaces: Vec<String>,
    /// What to know before it is applied.
    pub notes: Vec<String>,
}

impl Outline {
    /// The documents as YAML. Notes and what to take away are comments.
    pub fn yaml(&self) -> String {
        let mut text = String::from("# A proposal from activity. Review it; nothing has applied it.\n");
        let mut comment = |heading: &str, lines: &[String]| {
            if !lines.is_empty() {
                text.push_str(&format!("# {heading}\n"));
                lines.iter().for_each(|line| text.push_str(&format!("#   {}\n", curfew_core::text::printable(line))));
            }
        };
        comment("Know before you apply it:", &self.notes);
        comment("Standing access that it replaces, to take away afterwards:", &self.replaces);
        for (what, document) in &self.documents {
            // A JSON value always has a form in YAML.
            let body = serde_saphyr::to_string(document).unwrap_or_else(|_| format!("{document}\n"));
            text.push_str(&format!("---\n# {what}\n{body}"));
        }
        text
    }
}
