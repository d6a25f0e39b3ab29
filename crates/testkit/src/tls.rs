//! TLS servers on loopback, with the certificate of a control plane's own authority, which no platform trusts.
use anyhow::{Context, Result};
use axum::Router;
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};

/// An acceptor with the certificate of the API server of a control plane, whose files are in `dir`: for localhost and 127.0.0.1, from the
/// authority in `ca.crt`.
///
/// # Errors
/// If the files cannot be read.
pub(crate) fn acceptor(dir: &Path) -> Result<TlsAcceptor> {
    let cert = CertificateDer::from_pem_file(dir.join("apiserver.crt")).context("the certificate")?;
    let key = PrivateKeyDer::from_pem_file(dir.join("apiserver.key")).context("its key")?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves these routes over TLS on a free port of loopback, and returns the URL without a path.
///
/// # Errors
/// If there is no free port, or the files of the certificate in `dir` cannot be read.
pub(crate) async fn serve(routes: Router, dir: &Path) -> Result<String> {
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://{}", tcp.local_addr()?);
    let listener = TlsListener { tcp, acceptor: acceptor(dir)? };
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(url)
}

/// Accepts connections whose handshake succeeds.
struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((connection, from)) = self.tcp.accept().await
                && let Ok(secured) = self.acceptor.accept(connection).await
            {
                return (secured, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
