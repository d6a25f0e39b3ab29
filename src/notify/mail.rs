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
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
    },
};

/// How many addresses one e-mail has at most: servers take a limited number, 100 by RFC 5321, and each is a round trip.
pub const MAX_RECIPIENTS: usize = 50;
/// How much longer an attempt may take than one over HTTP: a server may examine an e-mail for a while before it confirms it, and what is not
/// confirmed is sent again.
pub const TIME_FACTOR: u32 = 6;

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

/// What the Secrets of a channel say.
#[derive(Clone, Copy)]
pub struct Trusted<'a> {
    /// The password of the login.
    pub password: Option<&'a str>,
    /// Certificates of authorities, PEM; nothing means those that the platform trusts.
    pub authorities: Option<&'a str>,
}

/// Sends one e-mail to all of its addresses, in the envelope alone: nobody sees those of others.
///
/// # Errors
/// If the server cannot be reached, or refuses the e-mail or one of its addresses: then no address has received it.
pub async fn send(server: &Smtp, trusted: Trusted<'_>, mail: &Mail<'_>) -> Result<(), Fault> {
    let transport = transport(server, trusted).map_err(|e| Fault::Channel(e.to_string()))?;
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

/// A permanent answer concerns the e-mail or one of its addresses, unless it is about the login (RFC 4954); 450, 451 and 452 concern a mailbox
/// for now (RFC 5321). What the server says is not repeated in messages: more people read those.
fn fault(error: &smtp::Error) -> Fault {
    let Some(code) = error.status().map(|code| code.to_string()) else { return Fault::Channel(error.to_string()) };
    let text = format!("the mail server answered {code}");
    match code.as_str() {
        "450" | "451" | "452" => Fault::Mailbox(text),
        "530" | "534" | "535" | "538" => Fault::Channel(text),
        _ if error.is_permanent() => Fault::Notice(text),
        _ => Fault::Channel(text),
    }
}

fn transport(server: &Smtp, trusted: Trusted<'_>) -> Result<AsyncSmtpTransport<Tokio1Executor>, smtp::Error> {
    let tls = || {
        let tls = TlsParameters::builder(server.host.clone());
        match trusted.authorities {
            // They alone: the server is meant, and not anyone whom the platform trusts. An empty text trusts nobody.
            Some(pem) => tls.certificate_store(CertificateStore::None).add_root_certificate(Certificate::from_pem(pem.as_bytes())?),
            None => tls,
        }
        .build_rustls()
    };
    let tls = match server.security {
        Security::StartTls => Tls::Required(tls()?),
        Security::Tls => Tls::Wrapper(tls()?),
        Security::None => Tls::None,
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host).tls(tls);
    let mut builder = builder.port(server.port()).timeout(Some(timing().sink_timeout * TIME_FACTOR));
    if let (Some(login), Some(password)) = (&server.credentials, trusted.password) {
        builder = builder.credentials(Credentials::new(login.username.clone(), password.trim_end().to_owned()));
    }
    Ok(builder.build())
}
