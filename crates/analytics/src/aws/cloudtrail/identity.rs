//! Who made a call (CloudTrail User Guide, "CloudTrail userIdentity element").
use super::record::User;
use super::scan::Text;
use std::borrow::Cow;

/// How the access keys of users begin, which last. Others are of sessions (IAM User Guide, "IAM identifiers").
pub const LASTING_KEY: &str = "AKIA";

/// Who made a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Caller<'a> {
    /// An identity whose permissions allowed it: a user, a role (for all its sessions), the root user, or a user of IAM Identity Center.
    Identity(Cow<'a, str>),
    /// One that holds no permissions here: an AWS service on its own, another account, someone who signs in by SAML or OpenID Connect. The type
    /// and the name.
    Other(Cow<'a, str>, Cow<'a, str>),
}

/// Who made a call. None if the record names nobody.
///
/// The permissions of a session are those of its role, or of the user that asked for it with GetFederationToken. A record of a session without its
/// issuer gives the role without its path, because the ARN of a session has none.
pub fn caller<'a>(user: &User<'a>) -> Option<Caller<'a>> {
    let arn = || get(user.arn).filter(|arn| arn.starts_with("arn:"));
    let issuer = || get(user.issuer).filter(|arn| arn.starts_with("arn:"));
    let kind = match user.kind {
        Some(kind) if !kind.raw().is_empty() => kind,
        // Calls of services have sometimes no type.
        _ => return user.invoked_by.map(|service| Caller::Other("AWSService".into(), service.get().unwrap_or_default())),
    };
    let identity = if kind.is("AssumedRole") || kind.is("Role") || kind.is("FederatedUser") {
        issuer().or_else(|| arn().map(role_of))
    } else if kind.is("IAMUser") {
        arn()
    } else if kind.is("Root") {
        arn().or_else(|| get(user.account).map(|account| Cow::Owned(format!("arn:aws:iam::{account}:root"))))
    } else if kind.is("IdentityCenterUser") {
        get(user.on_behalf_of).map(|id| Cow::Owned(format!("arn:aws:identitystore:::user/{id}")))
    } else {
        None
    };
    if let Some(identity) = identity {
        return Some(Caller::Identity(identity));
    }
    // The names of people who sign in by SAML or OpenID Connect have no end: their provider stands for all of them.
    let federated = kind.is("WebIdentityUser") || kind.is("SAMLUser");
    let names = [user.invoked_by, user.account, user.provider, user.arn, user.principal, user.name];
    let name = if federated { user.provider.or(user.principal) } else { names.into_iter().flatten().next() };
    Some(Caller::Other(kind.get().unwrap_or_default(), get(name).unwrap_or_default()))
}

fn get(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.and_then(Text::get)
}

/// The role, without its path, of a session; another ARN is itself.
fn role_of(arn: Cow<'_, str>) -> Cow<'_, str> {
    let Some((head, session)) = arn.split_once(":assumed-role/") else { return arn };
    let role = session.split('/').next().unwrap_or(session);
    Cow::Owned(format!("{}:role/{role}", head.replacen(":sts:", ":iam:", 1)))
}
