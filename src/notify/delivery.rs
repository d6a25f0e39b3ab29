//! One notification on its way over one channel.
use super::{
    break_glass::Receipt,
    mail::{self, Mail},
    message::Content,
    notice::About,
};
use crate::{
    api::{
        notifications::{Channel, Transport, Via},
        system::SecretKey,
    },
    identity::NAMESPACE,
    runtime::http::HttpClient,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use curfew_core::notice::transition::RequestEvent;
use http::{Uri, header};
use k8s_openapi::{api::core::v1::Secret, jiff::Timestamp};
use kube::{Api, Client};
use ring::hmac;
use std::{net::IpAddr, sync::Arc};

/// One notification for one channel.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Tells it from every other.
    pub id: String,
    /// What has happened; `None` for a summary of what was not sent.
    pub event: Option<RequestEvent>,
    /// What it is about.
    pub about: Option<About>,
    /// What is sent.
    pub content: Content,
    /// Of a use of break-glass: dropped when the channel is done with it.
    #[expect(dead_code, reason = "what counts is when it is dropped")]
    pub receipt: Option<Arc<Receipt>>,
}

/// Why a notification was not delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The channel does not work: the notification is tried again.
    Channel(String),
    /// The channel works and refuses this notification: it will never take it.
    Notice(String),
    /// The channel works and does not take it for one of its addresses now: it is tried again after the others.
    Mailbox(String),
}

impl Delivery {
    /// Sends it over the channel as it is configured now.
    ///
    /// # Errors
    /// If the channel does not confirm it.
    pub async fn send(&self, channel: &Channel, client: &Client, http: &HttpClient) -> Result<(), Fault> {
        match (&channel.via, &self.content) {
            (Via::CloudEvents(to), Content::Http { content_type, body }) => {
                let url = secret_text(client, &to.url_secret_ref).await?;
                let bearer = optional_text(client, to.bearer_token_secret_ref.as_ref()).await?;
                let key = optional_text(client, to.hmac_secret_ref.as_ref()).await?;
                let body = body.to_string();
                let mut request =
                    http::Request::post(target(&url, to.transport, &to.url_secret_ref)?).header(header::CONTENT_TYPE, *content_type);
                if let Some(token) = bearer {
                    request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.trim()));
                }
                if let Some(key) = key {
                    let at = Timestamp::now().as_second();
                    let signed = signature(key.trim(), &self.id, at, &body)?;
                    request = request.header("webhook-id", &self.id).header("webhook-timestamp", at).header("webhook-signature", signed);
                }
                post(http, request, body).await
            }
            (Via::Slack(to), Content::Http { content_type, body }) => {
                let url = secret_text(client, &to.url_secret_ref).await?;
                let request =
                    http::Request::post(target(&url, to.transport, &to.url_secret_ref)?).header(header::CONTENT_TYPE, *content_type);
                post(http, request, body.to_string()).await
            }
            (Via::Smtp(server), Content::Mail { to, subject, body }) => {
                let password = optional_text(client, server.credentials.as_ref().map(|login| &login.password_secret_ref)).await?;
                mail::send(server, password.as_deref(), &Mail { to, subject, body, id: &self.id }).await
            }
            (Via::CloudEvents(_) | Via::Slack(_), Content::Mail { .. }) | (Via::Smtp(_), Content::Http { .. }) => {
                Err(Fault::Notice("the channel has become one of another kind".into()))
            }
        }
    }

    /// The same for each of its addresses, if it has several: one that is refused keeps it from no other.
    pub fn split(&self) -> Vec<Delivery> {
        match &self.content {
            Content::Mail { to, .. } if to.len() > 1 => self.clone().in_parts(1),
            Content::Mail { .. } | Content::Http { .. } => Vec::new(),
        }
    }

    /// The same in e-mails to at most so many addresses.
    pub fn in_parts(self, most: usize) -> Vec<Delivery> {
        match &self.content {
            Content::Mail { to, subject, body } => {
                let part = |to: &[String]| Content::Mail { to: to.to_vec(), subject: subject.clone(), body: body.clone() };
                to.chunks(most).map(|to| Delivery { content: part(to), ..self.clone() }).collect()
            }
            Content::Http { .. } => vec![self],
        }
    }
}

/// Posts, and judges the answer: 400, 413, 415 and 422 are about this body, any other failure is about the channel. The answer's text is
/// not repeated in messages: more people read those than may read what the URL serves.
async fn post(http: &HttpClient, request: http::request::Builder, body: String) -> Result<(), Fault> {
    let request = request.body(body.into_bytes()).map_err(|e| Fault::Channel(e.to_string()))?;
    let answer = http.send(request).await.map_err(|e| Fault::Channel(e.to_string()))?;
    match answer.status.as_u16() {
        _ if answer.status.is_success() => Ok(()),
        status @ (400 | 413 | 415 | 422) => Err(Fault::Notice(format!("it answered {status}"))),
        status if answer.status.is_redirection() => Err(Fault::Channel(format!("it answered {status}; redirects are not followed"))),
        status => Err(Fault::Channel(format!("it answered {status}"))),
    }
}

/// The URL of a Secret, if it may be called: by TLS, to a loopback address, or where the channel allows plain text. No message repeats it,
/// since it may be a credential.
fn target(url: &str, transport: Transport, from: &SecretKey) -> Result<Uri, Fault> {
    let refused = |why: &str| Fault::Channel(format!("the URL under {} of secret {} {why}", from.key, from.name));
    let uri: Uri = url.trim().parse().map_err(|_| refused("is not a URL"))?;
    let authority = uri.authority().ok_or_else(|| refused("has no host"))?;
    if authority.as_str().contains('@') {
        return Err(refused("contains a login; use bearerTokenSecretRef"));
    }
    let host = authority.host().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if loopback || transport == Transport::Plaintext => Ok(uri),
        Some("http") => Err(refused("begins with http://; use https://, or set transport: Plaintext")),
        Some(_) | None => Err(refused("does not begin with https://")),
    }
}

/// The signature of the Standard Webhooks specification: HMAC-SHA256 over id, time and body. A key that begins with `whsec_` is base64.
fn signature(key: &str, id: &str, at: i64, body: &str) -> Result<String, Fault> {
    let key = match key.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| Fault::Channel("the HMAC key after whsec_ is not base64".into()))?,
        None => key.as_bytes().to_vec(),
    };
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), format!("{id}.{at}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(tag.as_ref())))
}

async fn optional_text(client: &Client, key: Option<&SecretKey>) -> Result<Option<String>, Fault> {
    match key {
        Some(key) => secret_text(client, key).await.map(Some),
        None => Ok(None),
    }
}

/// The text under a key of a Secret, which is read each time, since it may change.
async fn secret_text(client: &Client, key: &SecretKey) -> Result<String, Fault> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let fault = |why: String| Fault::Channel(why);
    let stored = secrets.get(&key.name).await.map_err(|e| fault(format!("cannot read secret {}: {e}", key.name)))?;
    let bytes = stored.data.and_then(|mut data| data.remove(&key.key));
    let bytes = bytes.ok_or_else(|| fault(format!("secret {} has no key {}", key.name, key.key)))?;
    String::from_utf8(bytes.0).map_err(|_| fault(format!("{} of secret {} is not UTF-8", key.key, key.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_called_by_tls_or_on_this_machine_unless_the_channel_allows_plain_text() {
        let from = SecretKey { name: "channels".into(), key: "url".into() };
        let may = |url: &str, transport| target(url, transport, &from).map(|_| ());
        for url in ["https://hooks.example.com/x", "http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:1/x"] {
            assert_eq!(may(url, Transport::Tls), Ok(()), "{url}");
        }
        assert_eq!(may("http://hooks.example.com/x", Transport::Plaintext), Ok(()));
        for url in [
            "http://hooks.example.com/x",
            "http://169.254.169.254/latest",
            "ftp://a/b",
            "file:///etc/passwd",
            "/x",
            "https://u:p@a/x",
            "http://127.0.0.1.example.com/",
        ] {
            let refused = may(url, Transport::Tls).unwrap_err();
            assert!(
                matches!(&refused, Fault::Channel(why) if !why.contains("hooks.example") && !why.contains("u:p")),
                "{url}: {refused:?}"
            );
        }
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn a_signature_is_that_of_the_standard_webhooks_specification() {
        let body = r#"{"test": 2432232314}"#;
        let signed = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()));
    }

    #[test]
    fn an_e_mail_to_several_is_split_by_address() {
        let content =
            |to: &[&str]| Content::Mail { to: to.iter().map(ToString::to_string).collect(), subject: "s".into(), body: "b".into() };
        let split = |to: &[&str]| -> Vec<Content> {
            let whole = Delivery { id: "i".into(), event: None, about: None, content: content(to), receipt: None };
            whole.split().into_iter().map(|part| part.content).collect()
        };
        assert_eq!(split(&["a@example.com", "b@example.com"]), [content(&["a@example.com"]), content(&["b@example.com"])]);
        assert_eq!(split(&["a@example.com"]), []);
        let many: Vec<String> = (0..120).map(|i| format!("a{i}@example.com")).collect();
        let many = Content::Mail { to: many, subject: "s".into(), body: "b".into() };
        let parts = Delivery { id: "i".into(), event: None, about: None, content: many, receipt: None }.in_parts(50);
        let sizes = parts.iter().map(|part| if let Content::Mail { to, .. } = &part.content { to.len() } else { 0 });
        assert_eq!(sizes.collect::<Vec<_>>(), [50, 50, 20]);
    }
}
