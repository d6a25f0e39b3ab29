//! A server that claims to be a cluster: the identity is the original's, and nothing else is there. So every binding is absent.
use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::{Value, json};
use std::{net::Ipv4Addr, sync::Arc};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// Starts it under an address and a CA of its own; returns the kubeconfig that leads there instead of to the original.
pub async fn impostor(original: &str, identity: &str) -> Result<String> {
    let (ca_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key)?.pem();
    let mut server = CertificateParams::default();
    server.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    let leaf = server.signed_by(&key, &Issuer::new(params, ca_key))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())))?;
    let (listener, acceptor) = (TcpListener::bind("127.0.0.1:0").await?, TlsAcceptor::from(Arc::new(config)));
    let server = format!("https://{}", listener.local_addr()?);
    let identity = identity.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, identity) = (acceptor.clone(), identity.clone());
            tokio::spawn(async move { answer(stream, &acceptor, &identity).await.unwrap_or_default() });
        }
    });
    leads_to(original, &server, Some(&ca))
}

/// The same kubeconfig with another address, and perhaps another CA.
pub fn leads_to(original: &str, server: &str, ca: Option<&str>) -> Result<String> {
    let mut config: Value = serde_json::from_str(original)?;
    let cluster = &mut config["clusters"][0]["cluster"];
    cluster["server"] = server.into();
    if let Some(ca) = ca {
        cluster["certificate-authority-data"] = STANDARD.encode(ca).into();
    }
    Ok(config.to_string())
}

/// One request for each connection.
async fn answer(stream: TcpStream, acceptor: &TlsAcceptor, identity: &str) -> Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    let (mut first, mut length) = (String::new(), 0);
    stream.read_line(&mut first).await?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.to_ascii_lowercase().split_once(':') {
            Some(("content-length", n)) => length = n.trim().parse()?,
            Some(_) => {}
            None => break,
        }
    }
    stream.read_exact(&mut vec![0; length]).await?;
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (code, body) = match path {
        "/api/v1/namespaces/kube-system" => {
            (200, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": identity}}))
        }
        "/openid/v1/jwks" => (200, json!({"keys": [{"kty": "RSA", "kid": "a", "alg": "RS256", "n": "AQAB", "e": "AQAB"}]})),
        _ => (
            404,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"}),
        ),
    };
    let body = body.to_string();
    let head =
        format!("HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// Another address of the same server.
pub async fn forwarder(to: String) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("https://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                if let Ok(mut there) = TcpStream::connect(&to).await {
                    drop(tokio::io::copy_bidirectional(&mut from, &mut there).await);
                }
            });
        }
    });
    Ok(address)
}
