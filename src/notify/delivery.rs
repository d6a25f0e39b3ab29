//! One notification on its way over one channel.
use super::{
    break_glass::Receipt,
    mail::{self, Mail, Trusted},
    message::Content,
    notice::About,
};
use crate::{
    api::notifications::{Channel, Via},
    runtime::{
        endpoint::Endpoint,
        http::{EndpointClient, HttpClient},
        secrets::{self, SecretError},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use curfew_core::notice::transition::RequestEvent;
use http::header;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use ring::hmac;
use std::sync::Arc;

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

impl From<SecretError> for Fault {
    fn from(error: SecretError) -> Self {
        Fault::Channel(error.to_string())
    }
}

/// With what a delivery is sent.
#[derive(Clone, Copy)]
pub struct Clients<'a> {
    /// For Secrets.
    pub kube: &'a Client,
    /// For endpoints that the platform trusts.
    pub platform: &'a HttpClient,
    /// That of this channel, where it names its authorities.
    pub own: &'a EndpointClient,
}

impl Delivery {
    /// Sends it over the channel as it is configured now.
    ///
    /// # Errors
    /// If the channel does not confirm it.
    pub async fn send(&self, channel: &Channel, clients: Clients<'_>) -> Result<(), Fault> {
        let Clients { kube: client, platform, own } = clients;
        match (&channel.via, &self.content) {
            (Via::CloudEvents(to), Content::Http { content_type, body }) => {
                let at = Endpoint { url: &to.url_secret_ref, transport: to.transport, authorities: to.ca_secret_ref.as_ref() };
                let (uri, http) = at.open(client, own, platform).await.map_err(Fault::Channel)?;
                let bearer = secrets::optional_text(client, to.bearer_token_secret_ref.as_ref()).await?;
                let key = secrets::optional_text(client, to.hmac_secret_ref.as_ref()).await?;
                let body = body.to_string();
                let mut request = http::Request::post(uri).header(header::CONTENT_TYPE, *content_type);
                if let Some(token) = bearer {
                    request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.trim()));
                }
                if let Some(key) = key {
                    let at = Timestamp::now().as_second();
                    let signed = signature(key.trim(), &self.id, at, &body)?;
                    request = request.header("webhook-id", &self.id).header("webhook-timestamp", at).header("webhook-signature", signed);
                }
                post(&http, request, body).await
            }
            (Via::Slack(to), Content::Http { content_type, body }) => {
                let at = Endpoint { url: &to.url_secret_ref, transport: to.transport, authorities: to.ca_secret_ref.as_ref() };
                let (uri, http) = at.open(client, own, platform).await.map_err(Fault::Channel)?;
                post(&http, http::Request::post(uri).header(header::CONTENT_TYPE, *content_type), body.to_string()).await
            }
            (Via::Smtp(server), Content::Mail { to, subject, body }) => {
                let password = secrets::optional_text(client, server.credentials.as_ref().map(|login| &login.password_secret_ref)).await?;
                let authorities = secrets::optional_text(client, server.ca_secret_ref.as_ref()).await?;
                let trusted = Trusted { password: password.as_deref(), authorities: authorities.as_deref() };
                mail::send(server, trusted, &Mail { to, subject, body, id: &self.id }).await
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

/// The signature of the Standard Webhooks specification: HMAC-SHA256 over id, time and body. A key that begins with `whsec_` is base64.
fn signature(key: &str, id: &str, at: i64, body: &str) -> Result<String, Fault> {
    let key = match key.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| Fault::Channel("the HMAC key after whsec_ is not base64".into()))?,
        None => key.as_bytes().to_vec(),
    };
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), format!("{id}.{at}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(tag.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

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
