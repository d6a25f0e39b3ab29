//! A claim of an identity token as it arrives in `extra` of a login.
//!
//! Authenticators write a list of a token (`amr`, `acrs`) in three forms: one value for each member, one text that holds the JSON list, or
//! one text with blanks between the members.
use crate::principal::UserInfo;

/// A value that begins as a JSON list and is not a list of texts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NotAList(pub String);

/// The members under a key of `extra`, in order. A value that begins with `[` is a JSON list of texts, and any other one is words between
/// blanks. Blank values are absent.
///
/// # Errors
/// The first value that begins as a JSON list and is not a list of texts: which members it has is unknown.
pub(super) fn members(login: &UserInfo, key: &str) -> Result<Vec<String>, NotAList> {
    let mut all = Vec::new();
    for value in login.extra_values(key) {
        let value = value.trim();
        if value.starts_with('[') {
            all.extend(serde_json::from_str::<Vec<String>>(value).map_err(|_| NotAList(value.to_owned()))?);
        } else {
            all.extend(value.split(' ').filter(|word| !word.is_empty()).map(str::to_owned));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values under a key, and its members.
    type Case<'a> = (&'a [&'a str], Result<&'a [&'a str], &'a str>);

    #[test]
    fn a_list_arrives_as_values_as_json_or_as_words() {
        let cases: &[Case<'_>] = &[
            (&["pwd", "otp"], Ok(&["pwd", "otp"])),
            (&["[\"pwd\",\"otp\"]"], Ok(&["pwd", "otp"])),
            (&[" [ \"pwd\" ] "], Ok(&["pwd"])),
            (&["pwd otp"], Ok(&["pwd", "otp"])),
            (&["pwd  otp "], Ok(&["pwd", "otp"])),
            (&["[\"pwd\"]", "otp"], Ok(&["pwd", "otp"])),
            (&["", " ", "\u{200b}"], Ok(&[])),
            (&["[]"], Ok(&[])),
            (&["pwd,otp"], Ok(&["pwd,otp"])),
            (&["\"mfa\""], Ok(&["\"mfa\""])),
            (&["pwd\tmfa"], Ok(&["pwd\tmfa"])),
            (&["[\"pwd\""], Err("[\"pwd\"")),
            (&["pwd", "[1]"], Err("[1]")),
            (&["[\"pwd\", [\"mfa\"]]"], Err("[\"pwd\", [\"mfa\"]]")),
            (&["[null]"], Err("[null]")),
        ];
        for (values, expected) in cases {
            let extra = [("amr".to_owned(), values.iter().map(ToString::to_string).collect())].into();
            let found = members(&UserInfo { extra, ..UserInfo::default() }, "amr");
            let expected = expected.map(|all| all.iter().map(ToString::to_string).collect()).map_err(|text| NotAList(text.into()));
            assert_eq!(found, expected, "{values:?}");
        }
        assert_eq!(members(&UserInfo::default(), "amr"), Ok(Vec::new()));
    }
}
