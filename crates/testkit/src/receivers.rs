//! Receivers of notifications: an HTTP server that keeps what is posted to it, and a mail server.
use super::{SOON, eventually, tls};
use anyhow::{Context, Result};
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// Something that was posted.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The path.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as it was sent.
    pub text: String,
    /// The same as JSON.
    pub body: Value,
}

/// An e-mail.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// The addresses of its envelope, in order.
    pub to: Vec<String>,
    /// The subject line.
    pub subject: String,
    /// The text, decoded.
    pub text: String,
}

/// What was received. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Receivers {
    posted: Arc<Mutex<Vec<Posted>>>,
    mails: Arc<Mutex<Vec<Mail>>>,
    /// Paths that answer 503.
    broken: Arc<Mutex<Vec<String>>>,
    /// Addresses that the mail server refuses.
    refused: Arc<Mutex<Vec<String>>>,
    /// Addresses whose mailbox is full for now.
    full: Arc<Mutex<Vec<String>>>,
    /// How many requests came to `/silent`.
    unanswered: Arc<AtomicUsize>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receivers {
    /// Serves HTTP on loopback and returns its URL. What is posted is kept, except under `/silent`, which takes a request and never
    /// answers.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn serve_http(&self) -> Result<String> {
        let (router, listener) = (self.router(), TcpListener::bind("127.0.0.1:0").await?);
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(url)
    }

    /// The same over TLS, with the certificate of the control plane whose files are in `dir`.
    ///
    /// # Errors
    /// If there is no free port, or the files cannot be read.
    pub async fn serve_https(&self, dir: &std::path::Path) -> Result<String> {
        tls::serve(self.router(), dir).await
    }

    fn router(&self) -> Router {
        Router::new().route("/silent", post(hold)).route("/{path}", post(keep)).with_state(self.clone())
    }

    /// Serves SMTP (RFC 5321) on loopback, as far as one e-mail needs it, and returns its port.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn serve_smtp(&self) -> Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let receivers = self.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(receivers.clone().greet(connection));
            }
        });
        Ok(port)
    }

    /// The same over TLS, with the certificate of the control plane whose files are in `dir`: from the first byte, or after STARTTLS, before
    /// which no e-mail is taken.
    ///
    /// # Errors
    /// If there is no free port, or the files cannot be read.
    pub async fn serve_secure_smtp(&self, dir: &std::path::Path, start_tls: bool) -> Result<u16> {
        let (listener, acceptor) = (TcpListener::bind("127.0.0.1:0").await?, tls::acceptor(dir)?);
        let port = listener.local_addr()?.port();
        let receivers = self.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(receivers.clone().secure(connection, acceptor.clone(), start_tls));
            }
        });
        Ok(port)
    }

    /// Lets this path answer 503, or work again.
    pub fn set_broken(&self, path: &str, broken: bool) {
        let mut all = locked(&self.broken);
        all.retain(|other| other != path);
        all.extend(broken.then(|| path.to_owned()));
    }

    /// Lets the mail server refuse this address.
    pub fn refuse(&self, address: &str) {
        locked(&self.refused).push(address.to_owned());
    }

    /// Lets the mail server say that the mailbox of this address is full for now, or take its e-mails again.
    pub fn set_full(&self, address: &str, full: bool) {
        let mut all = locked(&self.full);
        all.retain(|other| other != address);
        all.extend(full.then(|| address.to_owned()));
    }

    /// How many requests came to `/silent`.
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// What was posted to a path so far.
    pub fn posted(&self, path: &str) -> Vec<Posted> {
        locked(&self.posted).iter().filter(|posted| posted.path == path).cloned().collect()
    }

    /// The e-mails so far.
    pub fn mails(&self) -> Vec<Mail> {
        locked(&self.mails).clone()
    }

    /// Waits for something that was posted to a path.
    ///
    /// # Errors
    /// If it does not come soon.
    pub async fn until_posted(&self, path: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Posted> {
        eventually(what, SOON, || async { Ok(self.posted(path).into_iter().find(|posted| fits(&posted.body))) }).await
    }

    /// Waits for an e-mail whose subject contains these words.
    ///
    /// # Errors
    /// If it does not come soon.
    pub async fn until_mailed(&self, subject: &str) -> Result<Mail> {
        let what = format!("an e-mail with {subject:?}");
        eventually(&what, SOON, || async { Ok(self.mails().into_iter().find(|mail| mail.subject.contains(subject))) }).await
    }

    async fn greet(self, mut connection: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
        connection.write_all(b"220 mail.example.com\r\n").await?;
        self.converse(connection).await
    }

    async fn secure(self, connection: TcpStream, acceptor: TlsAcceptor, start_tls: bool) -> Result<()> {
        if !start_tls {
            return self.greet(acceptor.accept(connection).await?).await;
        }
        let mut plain = BufReader::new(connection);
        plain.write_all(b"220 mail.example.com\r\n").await?;
        let mut line = String::new();
        while plain.read_line(&mut line).await? > 0 {
            match line.trim().to_ascii_uppercase().as_str() {
                "STARTTLS" => {
                    plain.write_all(b"220 go ahead\r\n").await?;
                    // The client says nothing more before it has read that, so nothing is buffered.
                    return self.converse(acceptor.accept(plain.into_inner()).await?).await;
                }
                hello if hello.starts_with("EHLO") => plain.write_all(b"250-mail.example.com\r\n250 STARTTLS\r\n").await?,
                _ => plain.write_all(b"530 5.7.0 say STARTTLS first\r\n").await?,
            }
            line.clear();
        }
        Ok(())
    }

    async fn converse(self, connection: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
        let (read, mut write) = tokio::io::split(connection);
        let (mut lines, mut to) = (BufReader::new(read).lines(), Vec::new());
        while let Some(line) = lines.next_line().await? {
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            let answer = match verb.as_str() {
                "RCPT" => {
                    let address = line.split(['<', '>']).nth(1).context("an address")?.to_owned();
                    if locked(&self.refused).contains(&address) {
                        "550 5.1.1 no such user"
                    } else if locked(&self.full).contains(&address) {
                        "452 4.2.2 the mailbox is full"
                    } else {
                        to.push(address);
                        "250 OK"
                    }
                }
                "MAIL" => {
                    to.clear();
                    "250 OK"
                }
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await?;
                    let mut raw = Vec::new();
                    while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                        raw.push(line.strip_prefix('.').map(str::to_owned).unwrap_or(line));
                    }
                    locked(&self.mails).push(parse(&raw, std::mem::take(&mut to)));
                    "250 OK"
                }
                "QUIT" => "221 bye",
                _ => "250 OK",
            };
            write.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        Ok(())
    }
}

async fn hold(State(receivers): State<Receivers>) -> StatusCode {
    receivers.unanswered.fetch_add(1, Ordering::Relaxed);
    std::future::pending().await
}

async fn keep(State(receivers): State<Receivers>, Path(path): Path<String>, headers: HeaderMap, text: String) -> StatusCode {
    if locked(&receivers.broken).contains(&path) {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let body = serde_json::from_str(&text).unwrap_or_default();
    locked(&receivers.posted).push(Posted { path, headers, text, body });
    StatusCode::NO_CONTENT
}

/// Header fields and text of a message, with the two encodings that a plain text of one part has.
fn parse(raw: &[String], to: Vec<String>) -> Mail {
    let at = raw.iter().position(String::is_empty).unwrap_or(raw.len());
    let mut head: Vec<String> = Vec::new();
    for line in &raw[..at] {
        match (line.starts_with([' ', '\t']), head.last_mut()) {
            (true, Some(last)) => last.push_str(&format!(" {}", line.trim_start())),
            _ => head.push(line.clone()),
        }
    }
    let field = |name: &str| head.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let body = raw.get(at + 1..).unwrap_or_default();
    let text = match field("Content-Transfer-Encoding:").as_str() {
        "quoted-printable" => quoted(&body.join("\n")),
        "base64" => STANDARD.decode(body.concat()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default(),
        _ => body.join("\n"),
    };
    Mail { to, subject: field("Subject:"), text: text.replace('\r', "") }
}

fn quoted(text: &str) -> String {
    let (text, mut bytes) = (text.replace("=\n", ""), Vec::new());
    let mut parts = text.split('=');
    bytes.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(part.bytes().skip(2));
            }
            None => bytes.extend(part.bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
