//! Which actions of IAM a call of CloudTrail used.
use super::table::{GATEWAY, RENAMED, SERVICES, WITHOUT_PERMISSION};
use crate::aws::{catalogue::Actions, usage::ActionId};

/// What a call used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Used {
    /// These actions.
    Actions(Vec<ActionId>),
    /// None: nobody needs a permission for it, such as signing in.
    NoPermission,
    /// The catalogue has no action for it.
    Unknown,
}

/// The name of an operation: the event source without its domain, and the event name, such as `monitoring:PutMetricData`. It keeps what the
/// record says, so that a later catalogue can read it again.
pub fn operation(source: &str, name: &str) -> String {
    let service = source.strip_suffix(".cn").unwrap_or(source);
    let service = service.strip_suffix(".amazonaws.com").or_else(|| service.strip_suffix(".aws.internal")).unwrap_or(service);
    format!("{service}:{name}")
}

/// What an operation used.
///
/// The name of an action is mostly that of the operation. Exceptions are in a table; versions at the end of a name, such as `20150331v2` of Lambda
/// and `2020_05_31` of CloudFront, are left out.
pub fn used(actions: &Actions, operation: &str) -> Used {
    let Some((service, name)) = operation.split_once(':') else { return Used::Unknown };
    let prefix = prefix(service);
    let bare = without_version(name);
    let found = [name, bare].into_iter().find_map(|name| named(actions, prefix, name));
    match found {
        Some(found) => Used::Actions(found),
        None if WITHOUT_PERMISSION.contains(&prefix) => Used::NoPermission,
        None => Used::Unknown,
    }
}

/// The prefix of IAM for a service of CloudTrail.
pub fn prefix(service: &str) -> &str {
    match SERVICES.binary_search_by(|(source, _)| (*source).cmp(service)) {
        Ok(at) => SERVICES[at].1,
        Err(_) => service.split('.').next().unwrap_or(service),
    }
}

fn named(actions: &Actions, prefix: &str, name: &str) -> Option<Vec<ActionId>> {
    let full = format!("{prefix}:{name}");
    let renamed = RENAMED.iter().find(|(operation, _)| *operation == full);
    if let Some((_, names)) = renamed {
        return Some(names.iter().filter_map(|name| actions.find(name)).collect());
    }
    if let Some(action) = actions.find(&full) {
        return Some(vec![action]);
    }
    let method = (prefix == "apigateway").then(|| GATEWAY.iter().find(|(start, _)| name.starts_with(start))).flatten()?;
    actions.find(method.1).map(|action| vec![action])
}

/// The name without the version of the API at its end.
pub fn without_version(name: &str) -> &str {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let bytes = name.as_bytes();
    // 2020_05_31
    if let Some(at) = name.len().checked_sub(10)
        && at > 0
        && name.is_char_boundary(at)
        && bytes[at + 4] == b'_'
        && bytes[at + 7] == b'_'
        && digits(&name[at..].replace('_', ""))
    {
        return &name[..at];
    }
    // 20150331 or 20150331v2
    let dated = name.rsplit_once('v').filter(|(_, version)| !version.is_empty() && digits(version)).map_or(name, |(dated, _)| dated);
    match dated.len().checked_sub(8) {
        Some(at) if at > 0 && dated.is_char_boundary(at) && digits(&dated[at..]) => &dated[..at],
        _ => name,
    }
}
