//! The fields of a CloudTrail record that are used (CloudTrail User Guide, "CloudTrail record contents").
use super::scan::{Cursor, Stop, Text};

/// A record. Fields that are null or missing are None.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// `eventVersion`, such as 1.11. Only records have it.
    pub version: Option<Text<'a>>,
    /// `eventTime`, in UTC with seconds.
    pub time: Option<Text<'a>>,
    /// `eventSource`: the service, such as `s3.amazonaws.com`.
    pub source: Option<Text<'a>>,
    /// `eventName`: mostly the operation of the service's API.
    pub name: Option<Text<'a>>,
    /// `eventID`: a UUID.
    pub id: Option<Text<'a>>,
    /// `eventType`, such as `AwsApiCall`.
    pub kind: Option<Text<'a>>,
    /// `eventCategory`: `Management`, `Data`, `NetworkActivity` or `Insight`.
    pub category: Option<Text<'a>>,
    /// `errorCode`, if the call was refused or failed.
    pub error: Option<Text<'a>>,
    /// `errorMessage`.
    pub message: Option<Text<'a>>,
    /// `awsRegion`.
    pub region: Option<Text<'a>>,
    /// `recipientAccountId`: the account whose trail has the record.
    pub recipient: Option<Text<'a>>,
    /// `userIdentity`.
    pub user: Option<User<'a>>,
    /// `requestParameters`, if it is an object.
    pub parameters: Option<&'a [u8]>,
    /// `resources`, if it is an array.
    pub resources: Option<&'a [u8]>,
}

/// `userIdentity`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct User<'a> {
    /// `type`, such as `AssumedRole`.
    pub kind: Option<Text<'a>>,
    /// `arn`: of a user, or of a session.
    pub arn: Option<Text<'a>>,
    /// `principalId`.
    pub principal: Option<Text<'a>>,
    /// `accountId`.
    pub account: Option<Text<'a>>,
    /// `accessKeyId`.
    pub key: Option<Text<'a>>,
    /// `userName`.
    pub name: Option<Text<'a>>,
    /// `invokedBy`: the service that made the call.
    pub invoked_by: Option<Text<'a>>,
    /// `identityProvider`.
    pub provider: Option<Text<'a>>,
    /// `sessionContext.sessionIssuer.arn`: the role or user of which the session is.
    pub issuer: Option<Text<'a>>,
    /// `onBehalfOf.userId`: the user of IAM Identity Center.
    pub on_behalf_of: Option<Text<'a>>,
}

/// What an object turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind<'a> {
    /// A record, or something else without a version.
    Record,
    /// An event of CloudTrail's LookupEvents or of CloudWatch Logs, which has the record as text.
    Embedded(Text<'a>),
    /// A digest file, which proves that log files are unchanged.
    Digest,
}

/// Reads the object at the place into `record`, which is empty, and moves the place after it.
///
/// # Errors
/// [`Stop::List`] at the beginning of a list of records; or it is broken, or the text ends before it does.
pub fn object<'a>(cursor: &mut Cursor<'a>, record: &mut Record<'a>) -> Result<Kind<'a>, Stop> {
    let (mut embedded, mut digest) = (None, false);
    members(cursor, record, &mut embedded, &mut digest)?;
    Ok(match embedded {
        Some(text) if record.version.is_none() => Kind::Embedded(text),
        _ if digest && record.version.is_none() => Kind::Digest,
        _ => Kind::Record,
    })
}

#[inline(always)]
fn members<'a>(cursor: &mut Cursor<'a>, record: &mut Record<'a>, embedded: &mut Option<Text<'a>>, digest: &mut bool) -> Result<(), Stop> {
    cursor.object(|cursor, key| {
        let field = match key {
            b"eventVersion" => &mut record.version,
            b"eventTime" => &mut record.time,
            b"eventSource" => &mut record.source,
            b"eventName" => &mut record.name,
            b"awsRegion" => &mut record.region,
            b"errorCode" => &mut record.error,
            b"errorMessage" => &mut record.message,
            b"eventID" => &mut record.id,
            b"eventType" => &mut record.kind,
            b"eventCategory" => &mut record.category,
            b"recipientAccountId" => &mut record.recipient,
            b"CloudTrailEvent" | b"message" => embedded,
            b"userIdentity" => {
                record.user = user(cursor)?;
                return Ok(());
            }
            b"requestParameters" => {
                record.parameters = container(cursor, b'{')?;
                return Ok(());
            }
            b"resources" => {
                record.resources = container(cursor, b'[')?;
                return Ok(());
            }
            // The files of a trail; the answers of LookupEvents and of FilterLogEvents; a subscription of CloudWatch Logs.
            b"Records" | b"Events" | b"events" | b"logEvents" if cursor.peek()? == b'[' => return Err(Stop::List(cursor.at() + 1)),
            // An event of EventBridge.
            b"detail" if record.version.is_none() && cursor.peek()? == b'{' => return detail(cursor, record),
            b"digestStartTime" => {
                *digest = true;
                return cursor.skip();
            }
            _ => return cursor.skip(),
        };
        // One call for all fields: code that is inlined many times is slower.
        *field = cursor.text_or_null()?;
        Ok(())
    })
}

/// The record in an event of EventBridge.
#[inline(never)]
fn detail<'a>(cursor: &mut Cursor<'a>, record: &mut Record<'a>) -> Result<(), Stop> {
    let start = cursor.at();
    cursor.skip()?;
    let mut inner = Cursor::new(cursor.since(start));
    let mut found = Record::default();
    match object(&mut inner, &mut found) {
        Ok(Kind::Record) if found.version.is_some() => *record = found,
        Ok(_) | Err(Stop::List(_)) => {}
        Err(Stop::Bad(why)) => return Err(Stop::Bad(why)),
        Err(Stop::End) => return Err(Stop::Bad("the brackets in the detail of the event do not match")),
    }
    Ok(())
}

/// Takes an object or array; another value is none.
#[inline(always)]
fn container<'a>(cursor: &mut Cursor<'a>, first: u8) -> Result<Option<&'a [u8]>, Stop> {
    let wanted = cursor.peek()? == first;
    let start = cursor.at();
    cursor.skip()?;
    Ok(wanted.then(|| cursor.since(start)))
}

#[inline(never)]
fn user<'a>(cursor: &mut Cursor<'a>) -> Result<Option<User<'a>>, Stop> {
    if cursor.peek()? != b'{' {
        return cursor.skip().map(|()| None);
    }
    let mut user = User::default();
    cursor.object(|cursor, key| {
        let field = match key {
            b"type" => &mut user.kind,
            b"principalId" => &mut user.principal,
            b"arn" => &mut user.arn,
            b"accountId" => &mut user.account,
            b"accessKeyId" => &mut user.key,
            b"userName" => &mut user.name,
            b"invokedBy" => &mut user.invoked_by,
            b"identityProvider" => &mut user.provider,
            b"sessionContext" if cursor.peek()? == b'{' => return session(cursor, &mut user),
            b"onBehalfOf" if cursor.peek()? == b'{' => return on_behalf_of(cursor, &mut user),
            _ => return cursor.skip(),
        };
        *field = cursor.text_or_null()?;
        Ok(())
    })?;
    Ok(Some(user))
}

#[inline(never)]
fn on_behalf_of<'a>(cursor: &mut Cursor<'a>, user: &mut User<'a>) -> Result<(), Stop> {
    cursor.object(|cursor, key| {
        match key {
            b"userId" => user.on_behalf_of = cursor.text_or_null()?,
            _ => cursor.skip()?,
        }
        Ok(())
    })
}

#[inline(never)]
fn session<'a>(cursor: &mut Cursor<'a>, user: &mut User<'a>) -> Result<(), Stop> {
    cursor.object(|cursor, key| {
        if key != b"sessionIssuer" || cursor.peek()? != b'{' {
            return cursor.skip();
        }
        cursor.object(|cursor, key| {
            match key {
                b"arn" => user.issuer = cursor.text_or_null()?,
                _ => cursor.skip()?,
            }
            Ok(())
        })
    })
}
