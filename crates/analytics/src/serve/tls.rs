//! HTTPS: a listener whose certificate is read again when its files change.
use anyhow::{Context, Result};
use parking_lot::RwLock;
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How many handshakes run at a time.
const HANDSHAKES: usize = 64;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How often the files of the certificate are looked at.
const RELOAD: Duration = Duration::from_secs(60);
/// The pause after a connection could not be accepted, for example because no file descriptor is free.
const PAUSE: Duration = Duration::from_millis(100);

/// The files of a certificate, as a Secret of type kubernetes.io/tls has them when it is mounted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// `tls.crt` and `tls.key` in a directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self { certificate: directory.join("tls.crt"), key: directory.join("tls.key") }
    }

    fn read(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        Ok((read(&self.certificate)?, read(&self.key)?))
    }
}

fn config(certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>().context("the certificate is not PEM")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("the private key is not PEM")?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and the private key do not fit")?;
    Ok(Arc::new(config))
}

/// Accepts connections whose handshake succeeds. A slow client delays no other.
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl TlsListener {
    /// Binds an address.
    ///
    /// # Errors
    /// If it cannot be bound, or the files are not a certificate with its key.
    pub async fn bind(address: SocketAddr, files: CertificateFiles) -> Result<Self> {
        let read = files.read()?;
        let current = Arc::new(RwLock::new(config(&read.0, &read.1)?));
        let tcp = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let address = tcp.local_addr()?;
        let (done, ready) = mpsc::channel(HANDSHAKES);
        let tasks = [tokio::spawn(accept(tcp, current.clone(), done)), tokio::spawn(reload(files, read, current))];
        Ok(Self { address, ready, tasks })
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn accept(tcp: TcpListener, current: Arc<RwLock<Arc<ServerConfig>>>, done: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let turns = Arc::new(Semaphore::new(HANDSHAKES));
    while let Ok(turn) = turns.clone().acquire_owned().await {
        match tcp.accept().await {
            Ok((connection, from)) => {
                let (acceptor, done) = (TlsAcceptor::from(current.read().clone()), done.clone());
                tokio::spawn(async move {
                    if let Ok(Ok(secured)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(connection)).await {
                        // The listener has ended if this fails.
                        let _ = done.send((secured, from)).await;
                    }
                    drop(turn);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Reads the files again when they have changed. What cannot be used is told, and the certificate before it stays.
async fn reload(files: CertificateFiles, mut before: (Vec<u8>, Vec<u8>), current: Arc<RwLock<Arc<ServerConfig>>>) {
    loop {
        tokio::time::sleep(RELOAD).await;
        let fresh = files.read().and_then(|now| if now == before { Ok(None) } else { Ok(Some((config(&now.0, &now.1)?, now))) });
        match fresh {
            Ok(None) => {}
            Ok(Some((config, now))) => {
                *current.write() = config;
                before = now;
                tracing::info!("the certificate was read again");
            }
            Err(error) => tracing::warn!("the certificate is not replaced: {error:#}"),
        }
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task ends with this listener only.
            None => std::future::pending().await,
        }
    }
    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}
