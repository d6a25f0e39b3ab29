//! E-mail by SMTP (lettre).
use super::delivery::Fault;
use crate::{
    api::notifications::{Security, Smtp},
    timing::timing,
};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    address::Envelope,
    message::{Mailbox, header::ContentType},
    transport::smtp::{self, authentication::Credentials},
};

/// One e-mail.
pub struct Mail<'a> {
    /// The addresses.
    pub to: &'a [String],
    /// The subject line.
    pub subject: &'a str,
    /// The text.
    pub body: &'a str,
    /// The id of the notification.
    pub id: &'a str,
}

/// Sends one e-mail to all of its addresses, in the envelope alone: nobody sees those of others.
///
/// # Errors
/// If the server cannot be reached, or refuses the e-mail or one of its addresses: then no address has received it.
pub async fn send(server: &Smtp, password: Option<&str>, mail: &Mail<'_>) -> Result<(), Fault> {
    let transport = transport(server, password).map_err(|e| Fault::Channel(e.to_string()))?;
    let from: Address = server.from.parse().map_err(|e| Fault::Channel(format!("from {:?} is not an address: {e}", server.from)))?;
    let to = mail.to.iter().map(|address| address.parse().map_err(|e| Fault::Notice(format!("{address:?} is not an address: {e}"))));
    let envelope = Envelope::new(Some(from.clone()), to.collect::<Result<Vec<Address>, Fault>>()?);
    let envelope = envelope.map_err(|e| Fault::Notice(e.to_string()))?;
    let message = Message::builder()
        .from(Mailbox::new(Some("Curfew".to_owned()), from.clone()))
        .to(Mailbox::new(Some("Curfew notifications".to_owned()), from))
        .subject(mail.subject)
        .message_id(Some(format!("<{}@curfew.dev>", mail.id.replace(['/', ':'], "."))))
        .header(ContentType::TEXT_PLAIN)
        .body(mail.body.to_owned())
        .map_err(|e| Fault::Notice(e.to_string()))?;
    transport.send_raw(&envelope, &message.formatted()).await.map(drop).map_err(|e| fault(&e))
}

/// A permanent answer concerns the e-mail or one of its addresses, unless it is about the login (RFC 4954).
fn fault(error: &smtp::Error) -> Fault {
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    let text = error.to_string();
    if error.is_permanent() && !["530", "534", "535", "538"].contains(&code.as_str()) { Fault::Notice(text) } else { Fault::Channel(text) }
}

fn transport(server: &Smtp, password: Option<&str>) -> Result<AsyncSmtpTransport<Tokio1Executor>, smtp::Error> {
    let builder = match server.security {
        Security::StartTls => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&server.host),
        Security::Tls => AsyncSmtpTransport::<Tokio1Executor>::relay(&server.host),
        Security::None => Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)),
    };
    let mut builder = builder?.port(server.port()).timeout(Some(timing().sink_timeout));
    if let (Some(login), Some(password)) = (&server.credentials, password) {
        builder = builder.credentials(Credentials::new(login.username.clone(), password.trim_end().to_owned()));
    }
    Ok(builder.build())
}
