//! Maps the error codes of AWS to [`ProviderError`]: one table for all services.
//!
//! IAM and STS answer in XML, Identity Center and its identity store in JSON; the SDK reads code and message of both. Codes are
//! documented per action and in the two lists of common errors
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>,
//! <https://docs.aws.amazon.com/singlesignon/latest/APIReference/CommonErrors.html>). A code that is not in the table is
//! unknown, and what is unknown ends nothing: it is tried again.
use crate::{providers::port::ProviderError, runtime::http::causes};
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::{
    client::{orchestrator::HttpResponse, result::SdkError},
    http::Headers,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use curfew_core::text::clip;
use std::{error::Error, time::Duration};

/// How long a lane waits after a throttled call. AWS rarely says how long; its buckets refill every second.
const THROTTLED: Duration = Duration::from_secs(1);
/// A wait that AWS asks for is believed up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The longest text of AWS that is passed on, in bytes.
const TEXT_BYTES: usize = 500;

/// One call, as messages name it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The action as a policy names it, such as `iam:CreatePolicy`.
    pub action: &'a str,
    /// What it concerns: an ARN or a name.
    pub on: &'a str,
}

/// An answer of AWS that is an error.
#[derive(Clone, Debug, Default)]
struct Answer<'a> {
    status: u16,
    code: &'a str,
    message: &'a str,
    retry_after: Option<Duration>,
}

/// How many pages of a list are read. More is an error, and not a shorter list.
pub const PAGES: usize = 50;

impl Call<'_> {
    /// An answer without an error that leaves out what was asked for: it proves nothing.
    pub fn incomplete(self) -> ProviderError {
        let Call { action, on } = self;
        transient(format!("{action} on {on}: the answer leaves out what was asked for"), None)
    }

    /// A list that has more pages than are read.
    pub fn too_long(self) -> ProviderError {
        let Call { action, on } = self;
        ProviderError::Invalid(format!("{action} on {on} lists more than {PAGES} pages; remove what is not used"))
    }

    /// A page of IAM either ends its list, or says where the next one begins.
    ///
    /// # Errors
    /// If it does neither.
    pub fn whole(self, truncated: bool, marker: Option<&str>) -> Result<(), ProviderError> {
        if truncated && marker.is_none_or(str::is_empty) { Err(self.incomplete()) } else { Ok(()) }
    }

    /// What the failure of this call means.
    pub fn failed<E>(self, e: SdkError<E, HttpResponse>) -> ProviderError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let Call { action, on } = self;
        match &e {
            SdkError::ServiceError(service) => {
                let (raw, meta) = (service.raw(), service.err().meta());
                self.meaning(&Answer {
                    status: raw.status().as_u16(),
                    code: meta.code().unwrap_or_default(),
                    message: meta.message().unwrap_or_default(),
                    retry_after: retry_after(raw.headers()),
                })
            }
            // An answer that the SDK cannot read: of a proxy, or cut off.
            SdkError::ResponseError(unread) => self.meaning(&Answer {
                status: unread.raw().status().as_u16(),
                message: &causes(&e),
                retry_after: retry_after(unread.raw().headers()),
                ..Answer::default()
            }),
            SdkError::TimeoutError(_) => transient(format!("{action} on {on}: AWS did not answer in time"), None),
            SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => transient(not_sent(self, &e), None),
            _ => transient(format!("{action} on {on}: an error that this build does not know"), None),
        }
    }

    /// The table.
    fn meaning(self, a: &Answer<'_>) -> ProviderError {
        let Call { action, on } = self;
        let said = said(a);
        let plain = || format!("{action} on {on}: {said}");
        match a.code {
            "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "ThrottledException"
            | "SlowDown"
            | "PriorRequestNotComplete" => {
                transient(format!("{action} on {on}: AWS limits the rate of calls"), Some(a.retry_after.unwrap_or(THROTTLED)))
            }
            "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" | "NotAuthorized" | "OptInRequired" => {
                ProviderError::Denied(format!(
                    "the operator may not call {action} on {on}; allow it in the policy of its role (deploy/aws/): {said}"
                ))
            }
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "InvalidIdentityToken"
            | "IDPRejectedClaim" => ProviderError::Denied(format!(
                "AWS does not accept the operator's credentials; check its web identity or pod identity, and assumeRole of the AuthorizationSystem: {}",
                plain()
            )),
            // The SDK renews credentials before they expire, so the next call may have others. A clock that is wrong looks the same.
            "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
                transient(format!("the operator's credentials, or the time of its clock, have expired: {}", plain()), None)
            }
            "NoSuchEntity" | "NoSuchEntityException" | "ResourceNotFoundException" => ProviderError::Gone,
            "LimitExceeded" | "LimitExceededException" | "ServiceQuotaExceededException" => quota(self, &said),
            "DeleteConflict"
            | "DeleteConflictException"
            | "EntityTemporarilyUnmodifiable"
            | "EntityTemporarilyUnmodifiableException"
            | "ConcurrentModification"
            | "ConcurrentModificationException"
            | "ConflictException"
            | "EntityAlreadyExists"
            | "EntityAlreadyExistsException" => transient(plain(), a.retry_after),
            "MalformedPolicyDocument"
            | "MalformedPolicyDocumentException"
            | "InvalidInput"
            | "InvalidInputException"
            | "ValidationError"
            | "ValidationException"
            | "PolicyNotAttachable"
            | "PolicyNotAttachableException"
            | "UnmodifiableEntity"
            | "UnmodifiableEntityException" => ProviderError::Invalid(plain()),
            _ => match a.status {
                429 | 503 => transient(plain(), Some(a.retry_after.unwrap_or(THROTTLED))),
                401 | 403 => ProviderError::Denied(plain()),
                _ => transient(plain(), a.retry_after),
            },
        }
    }
}

/// The message about a call that was not answered: it may have been sent, or there are no credentials to sign it with.
fn not_sent(Call { action, on }: Call<'_>, e: &(dyn Error + 'static)) -> String {
    let mut cause = e.source();
    while let Some(found) = cause {
        if matches!(found.downcast_ref(), Some(CredentialsError::CredentialsNotLoaded(_))) {
            return format!(
                "the operator has no credentials for {action}; give its service account a role (web identity or EKS Pod Identity, docs/providers/aws.md)"
            );
        }
        cause = found.source();
    }
    clip(format!("{action} on {on}: {}", causes(e)), TEXT_BYTES)
}

/// A quota is full. One that concerns the size of a single document never has room for it; the others have room again when
/// something else ends, or when a person raises them.
fn quota(Call { action, on }: Call<'_>, said: &str) -> ProviderError {
    if said.contains("PolicySize") || said.contains("ACLSizePer") || said.contains("InlinePolicySize") {
        return ProviderError::Invalid(format!(
            "{action} on {on}: the policy is longer than AWS allows, grant less in one template: {said}"
        ));
    }
    ProviderError::Denied(format!(
        "{action} on {on}: a quota of AWS is full: {said}; remove what is not used, or raise the quota in Service Quotas of the account"
    ))
}

fn said(a: &Answer<'_>) -> String {
    let text = match (a.code, a.message) {
        ("", "") => format!("HTTP {}", a.status),
        ("", message) => format!("HTTP {}: {message}", a.status),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    clip(text, TEXT_BYTES)
}

fn transient(message: String, retry_after: Option<Duration>) -> ProviderError {
    ProviderError::Transient { message, retry_after: retry_after.map(|wait| wait.min(LONGEST_WAIT)) }
}

/// How long AWS asks its client to wait: in seconds, or in a header of its own in milliseconds.
fn retry_after(headers: &Headers) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.trim().parse::<u64>().ok();
    number("x-amz-retry-after").map(Duration::from_millis).or_else(|| number("retry-after").map(Duration::from_secs))
}

/// Whether it is there: an error that says that it does not exist is an answer.
pub fn if_there<T>(answer: Result<T, ProviderError>) -> Result<Option<T>, ProviderError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(ProviderError::Gone) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Keeps the first error of steps that are all tried.
///
/// # Errors
/// If AWS throttles: then no other step is tried either.
pub fn put_off(step: Result<(), ProviderError>, failed: &mut Option<ProviderError>) -> Result<(), ProviderError> {
    match step {
        Err(e) if e.retry_after().is_some() => return Err(e),
        Err(e) => drop(failed.get_or_insert(e)),
        Ok(()) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
