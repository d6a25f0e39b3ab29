//! The credential report of an account: passwords, MFA and access keys of its users (IAM User Guide, "Generate credential reports").
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The commands that write the file.
pub const COMMAND: &str = "aws iam generate-credential-report; aws iam get-credential-report --output json > credentials.json";
/// The columns that must be there.
const NEEDED: [&str; 4] = ["user", "arn", "password_enabled", "mfa_active"];
/// The name of the account's root in the report.
const ROOT: &str = "<root_account>";

/// An access key of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// 1 or 2.
    pub number: u8,
    /// Its id, if it is known: the report does not have it.
    pub id: Option<String>,
    /// Whether it works.
    pub active: bool,
    /// When it was created or last changed, in Unix seconds.
    pub rotated: Option<i64>,
    /// The last use, in Unix seconds; `None` if there was none since IAM keeps account of it.
    pub last_used: Option<i64>,
    /// The service of the last use.
    pub last_service: Option<String>,
}

/// The credentials of a user.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// Whether it can sign in to the console; the root can always.
    pub password: bool,
    /// The last sign-in, in Unix seconds.
    pub password_used: Option<i64>,
    /// The last change of the password, in Unix seconds.
    pub password_changed: Option<i64>,
    /// Whether an MFA device is assigned.
    pub mfa: bool,
    /// The keys that exist.
    pub keys: Vec<Key>,
    /// Whether these are the root's.
    pub root: bool,
}

impl Credentials {
    /// The last use of any of them.
    pub fn last_used(&self) -> Option<i64> {
        self.keys.iter().map(|key| key.last_used).chain([self.password_used]).flatten().max()
    }
}

/// The credentials of every user, by ARN.
pub type CredentialReport = BTreeMap<String, Credentials>;

/// Reads the text of a report, and what of it could not be read: CSV, or what the AWS CLI prints, which has the CSV as base64 in `Content`.
///
/// # Errors
/// If it is not the report.
pub fn parse(text: &str) -> Result<(CredentialReport, Vec<String>), String> {
    let decoded;
    let text = if text.trim_start().starts_with('{') {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
        let content = value.get("Content").and_then(serde_json::Value::as_str);
        decoded = content.and_then(base64).ok_or_else(|| format!("has no Content in base64; write it with: {COMMAND}"))?;
        decoded.as_str()
    } else {
        text
    };
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header = lines.next().map(|(_, line)| cells(line)).unwrap_or_default();
    let column = |name: &str| header.iter().position(|cell| cell == name);
    if let Some(missing) = NEEDED.iter().find(|name| column(name).is_none()) {
        return Err(format!("is not a credential report: it has no column {missing}; write it with: {COMMAND}"));
    }
    let (mut report, mut broken) = (CredentialReport::new(), Vec::new());
    for (index, line) in lines {
        let row = cells(line);
        if row.len() != header.len() {
            broken.push(format!("line {} has {} columns and the header {}; it was left out", index + 1, row.len(), header.len()));
            continue;
        }
        let cell = |name: &str| column(name).and_then(|at| row.get(at)).map_or("", String::as_str);
        let keys = [1, 2].into_iter().filter_map(|number| key(number, &cell)).collect();
        let root = cell("user") == ROOT;
        let credentials = Credentials {
            password: root || cell("password_enabled") == "true",
            password_used: moment(cell("password_last_used")),
            password_changed: moment(cell("password_last_changed")),
            mfa: cell("mfa_active") == "true",
            keys,
            root,
        };
        report.insert(cell("arn").to_owned(), credentials);
    }
    Ok((report, broken))
}

/// A key, if the user has it: a key that does not exist is inactive and was never rotated.
fn key<'a>(number: u8, cell: &impl Fn(&str) -> &'a str) -> Option<Key> {
    let of = |what: &str| cell(&format!("access_key_{number}_{what}"));
    let (active, rotated) = (of("active") == "true", moment(of("last_rotated")));
    let service = of("last_used_service");
    (active || rotated.is_some()).then(|| Key {
        number,
        id: None,
        active,
        rotated,
        last_used: moment(of("last_used_date")),
        last_service: (!matches!(service, "" | "N/A")).then(|| service.to_owned()),
    })
}

/// The text of base64 (RFC 4648 §4), with or without padding.
fn base64(text: &str) -> Option<String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for byte in text.trim().trim_end_matches('=').bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        bits = bits << 6 | DIGITS.iter().position(|digit| *digit == byte)? as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
            bits &= (1 << count) - 1;
        }
    }
    String::from_utf8(out).ok()
}

/// A moment; `N/A`, `no_information` and `not_supported` are none.
fn moment(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

/// The cells of a line of CSV (RFC 4180). Names of users can have commas.
fn cells(line: &str) -> Vec<String> {
    let (mut all, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => cell.push(characters.next().unwrap_or('"')),
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    all.push(cell);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_with_keys_that_exist_only() {
        let text = "user,arn,user_creation_time,password_enabled,password_last_used,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated\n\
            <root_account>,arn:aws:iam::1:root,2020-01-01T00:00:00+00:00,not_supported,no_information,false,false,N/A,N/A,N/A,false,N/A\n\
            \"a,b\",\"arn:aws:iam::1:user/a,b\",2020-01-01T00:00:00+00:00,true,2026-01-01T00:00:00+00:00,true,true,2025-01-01T00:00:00+00:00,2025-02-01T00:00:00+00:00,s3,false,2024-01-01T00:00:00+00:00\n\
            short,line\n";
        let (report, broken) = parse(text).unwrap();
        assert_eq!(broken, ["line 4 has 2 columns and the header 12; it was left out"]);
        let root = &report["arn:aws:iam::1:root"];
        assert!(root.root && root.password && !root.mfa && root.keys.is_empty() && root.password_used.is_none());
        let user = &report["arn:aws:iam::1:user/a,b"];
        assert_eq!((user.keys.len(), user.keys[0].active, user.keys[1].active, user.mfa), (2, true, false, true));
        assert_eq!(user.keys[0].last_service.as_deref(), Some("s3"));
        assert_eq!(user.last_used(), Some(1_767_225_600));
        let printed = |content: &str| parse(&format!("{{\"Content\": \"{content}\", \"ReportFormat\": \"text/csv\"}}"));
        // "user,arn,password_enabled,mfa_active\nu,a,true,false\n"
        let content = "dXNlcixhcm4scGFzc3dvcmRfZW5hYmxlZCxtZmFfYWN0aXZlCnUsYSx0cnVlLGZhbHNlCg==";
        assert!(printed(content).unwrap().0["a"].password && printed(content).unwrap().1.is_empty());
        assert!(printed("dXN!").unwrap_err().contains("no Content in base64"));
        assert!(parse("user,arn\n").unwrap_err().contains("no column password_enabled"));
    }
}
