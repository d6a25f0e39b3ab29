//! The patterns of an AccessPolicy: a name in full, or `*` as its whole last segment. Every provider has the same.

/// Segments of a name end at one of these.
const SEPARATORS: [char; 3] = [':', '.', '/'];

/// Whether a policy's pattern allows a name: the name itself, or `*` as its whole last segment (segments end at `:`, `.` or `/`).
pub fn allows(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => pattern == name,
        Some("") => true,
        Some(head) => {
            head.ends_with(SEPARATORS) && name.len() > head.len() && name.starts_with(head) && !name[head.len()..].contains(SEPARATORS)
        }
    }
}

/// Whether a name in a policy has a `*` where it stands for nothing.
pub fn is_wrong(name: &str) -> bool {
    name.split_once('*').is_some_and(|(head, rest)| !rest.is_empty() || !(head.is_empty() || head.ends_with(SEPARATORS)))
}
