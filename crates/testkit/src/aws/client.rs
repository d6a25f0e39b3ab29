//! A client of AWS that acts as one principal, with that principal's own keys.
use super::sign;
use crate::user::background;
use anyhow::{Context, Result, bail};
use http::Method;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use std::{fmt::Write, sync::OnceLock};

/// The region of every request.
pub const REGION: &str = "us-east-1";

/// The keys of a principal.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret: String,
    /// The session token, of temporary keys.
    pub token: Option<String>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.access_key)
    }
}

impl Keys {
    /// The root of an account of the emulator.
    pub fn root(account: &str) -> Self {
        Keys { access_key: account.into(), secret: "test".into(), token: None }
    }
}

/// What AWS answered; a refusal is not an error.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Whether the call was carried out.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }
    /// Itself.
    ///
    /// # Errors
    /// With what AWS said, if it was refused.
    pub fn success(self) -> Result<Self> {
        if self.ok() { Ok(self) } else { bail!("{}: {}", self.status, self.body) }
    }
    /// The error's code, as `NoSuchEntity`.
    pub fn code(&self) -> Option<String> {
        if self.ok() {
            return None;
        }
        let json = serde_json::from_str::<Value>(&self.body).unwrap_or_default();
        let typed = json["__type"].as_str().map(|t| t.rsplit('#').next().unwrap_or(t).to_owned());
        typed.or_else(|| self.text("Code"))
    }
    /// The text of the first element of this name.
    pub fn text(&self, element: &str) -> Option<String> {
        self.texts(element).into_iter().next()
    }
    /// The texts of all elements of this name.
    pub fn texts(&self, element: &str) -> Vec<String> {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        let after = self.body.split(&open).skip(1);
        after.filter_map(|rest| rest.split(&close).next()).map(unescaped).collect()
    }
    /// The body as JSON.
    ///
    /// # Errors
    /// If it is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#34;", "\"").replace("&amp;", "&")
}

/// In the form that AWS decodes, everything but letters, digits and `-_.~`.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

/// What `%XX` and `+` stand for.
pub(crate) fn decoded(text: &str) -> String {
    let plus = text.replace('+', " ");
    let mut parts = plus.split('%');
    let mut bytes: Vec<u8> = parts.next().unwrap_or_default().into();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) type Http = Client<HttpConnector, Full<axum::body::Bytes>>;

/// One client for all, in the runtime that lives as long as the process.
pub(crate) fn http() -> &'static Http {
    static HTTP: OnceLock<Http> = OnceLock::new();
    HTTP.get_or_init(|| Client::builder(TokioExecutor::new()).build_http())
}

/// One request, sent from the runtime that lives as long as the process.
pub(crate) async fn send(request: http::Request<Full<axum::body::Bytes>>) -> Result<(u16, axum::http::HeaderMap, axum::body::Bytes)> {
    let sent = background().spawn(async move {
        let answer = http().request(request).await?;
        let (head, body) = answer.into_parts();
        anyhow::Ok((head.status.as_u16(), head.headers, body.collect().await?.to_bytes()))
    });
    sent.await?
}

/// A principal's client.
#[derive(Clone, Debug)]
pub struct Aws {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    /// Whose keys sign.
    pub keys: Keys,
}

impl Aws {
    /// A call of the Query protocol, of IAM or STS.
    ///
    /// # Errors
    /// If the endpoint does not answer.
    pub async fn query(&self, service: &str, action: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        let version = if service == "sts" { "2011-06-15" } else { "2010-05-08" };
        let all = [("Action", action), ("Version", version)].into_iter().chain(parameters.iter().copied());
        let body = all.map(|(k, v)| format!("{}={}", encoded(k), encoded(v))).collect::<Vec<_>>().join("&");
        let kind = ("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned());
        self.send(Method::POST, service, &[kind], body).await
    }
    /// A call of IAM.
    ///
    /// # Errors
    /// If the endpoint does not answer.
    pub async fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        self.query("iam", action, parameters).await
    }
    /// A call of a JSON protocol: `sso` and `SWBExternalService.ListInstances`, `identitystore` and `AWSIdentityStore.CreateUser`.
    ///
    /// # Errors
    /// If the endpoint does not answer.
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> Result<Answer> {
        let headers = [("content-type", "application/x-amz-json-1.1".to_owned()), ("x-amz-target", target.to_owned())];
        self.send(Method::POST, service, &headers, body.to_string()).await
    }
    /// Uses an access: lists the buckets, which needs `s3:ListAllMyBuckets`. `false` is a refusal of that and nothing else.
    ///
    /// # Errors
    /// If the answer is neither.
    pub async fn can_list_buckets(&self) -> Result<bool> {
        allowed(&self.send(Method::GET, "s3", &[], String::new()).await?)
    }
    /// Uses an access: lists the users, which needs `iam:ListUsers`.
    ///
    /// # Errors
    /// If the answer is neither a list nor a refusal.
    pub async fn can_list_users(&self) -> Result<bool> {
        allowed(&self.iam("ListUsers", &[]).await?)
    }
    /// Uses an access in a region: lists a bucket, which needs `s3:ListBucket` on it. Rights are checked first; then S3 says where a
    /// bucket of another region is.
    ///
    /// # Errors
    /// If the answer is neither a list nor a refusal.
    pub async fn can_list_bucket(&self, bucket: &str, region: &str) -> Result<bool> {
        let path = format!("/{bucket}");
        let answer = self.send_to((region, &path), Method::GET, "s3", &[], String::new()).await?;
        if answer.status == 301 { Ok(true) } else { allowed(&answer) }
    }
    /// The client of a session of this role, or `None` if it may not be assumed.
    ///
    /// # Errors
    /// If the answer is neither.
    pub async fn assume(&self, role: &str, more: &[(&str, &str)]) -> Result<Option<Aws>> {
        let parameters: Vec<_> = [("RoleArn", role), ("RoleSessionName", "test")].into_iter().chain(more.iter().copied()).collect();
        let answer = self.query("sts", "AssumeRole", &parameters).await?;
        if !allowed(&answer)? {
            return Ok(None);
        }
        let text = |element: &str| answer.text(element).with_context(|| format!("no {element}: {}", answer.body));
        let keys = Keys { access_key: text("AccessKeyId")?, secret: text("SecretAccessKey")?, token: Some(text("SessionToken")?) };
        Ok(Some(Aws { endpoint: self.endpoint.clone(), keys }))
    }

    async fn send(&self, method: Method, service: &str, headers: &[(&str, String)], body: String) -> Result<Answer> {
        self.send_to((REGION, "/"), method, service, headers, body).await
    }

    /// One request to a path in a region.
    pub(super) async fn send_to(
        &self,
        (region, path): (&str, &str),
        method: Method,
        service: &str,
        headers: &[(&str, String)],
        body: String,
    ) -> Result<Answer> {
        let host = self.endpoint.strip_prefix("http://").context("the endpoint is not http://")?;
        let signed = sign::Request { method: method.as_str(), path, host, service, region, headers, body: body.as_bytes() };
        let mut request = http::Request::builder().method(method.clone()).uri(format!("{}{path}", self.endpoint));
        for (name, value) in sign::headers(&signed, &self.keys, jiff::Timestamp::now()) {
            request = request.header(name, value);
        }
        let (status, _, body) = send(request.body(Full::from(body))?).await?;
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

fn allowed(answer: &Answer) -> Result<bool> {
    match answer.code().as_deref() {
        None => Ok(true),
        Some("AccessDenied" | "AccessDeniedException") => Ok(false),
        Some(_) => bail!("{}: {}", answer.status, answer.body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let text = "a+b c/%d~é\"{}";
        assert_eq!(decoded(&encoded(text)), text);
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }

    #[test]
    fn an_answer_names_its_error_in_either_protocol() {
        let xml = Answer { status: 404, body: "<ErrorResponse><Error><Code>NoSuchEntity</Code></Error></ErrorResponse>".into() };
        let json = Answer { status: 400, body: r#"{"__type":"com.amazonaws.sso#ConflictException"}"#.into() };
        assert_eq!((xml.code().as_deref(), json.code().as_deref()), (Some("NoSuchEntity"), Some("ConflictException")));
    }
}
