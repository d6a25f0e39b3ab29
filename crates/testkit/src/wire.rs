//! A network between a client and the API server that can go silent: connections stay open, and what is sent on them is lost.
use super::{ControlPlane, user::User, user::background};
use anyhow::{Context, Result};
use serde_json::Value;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// The network of one client.
pub struct Wire {
    port: u16,
    /// Connections with a lower number are silent.
    silent: Arc<watch::Sender<u64>>,
    opened: Arc<watch::Sender<u64>>,
}

impl Wire {
    /// Leads to the API server of this control plane.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn to(cp: &ControlPlane) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        listener.set_nonblocking(true)?;
        let (port, server) = (listener.local_addr()?.port(), cp.port);
        let (silent, opened) = (Arc::new(watch::Sender::new(0)), Arc::new(watch::Sender::new(0)));
        let (silenced, count) = (silent.clone(), opened.clone());
        background().spawn(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let client = listener.accept().await?.0.into_split();
                let number = *count.borrow();
                count.send_modify(|n| *n += 1);
                // While the API server does not run, a client sees a connection that is closed.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await.map(TcpStream::into_split) else { continue };
                background().spawn(carry(client.0, server.1, number, silenced.subscribe()));
                background().spawn(carry(server.0, client.1, number, silenced.subscribe()));
            }
            #[allow(unreachable_code)]
            Ok::<_, std::io::Error>(())
        });
        Ok(Wire { port, silent, opened })
    }

    /// This user, over this network.
    ///
    /// # Errors
    /// If the kubeconfig cannot be read or written.
    pub fn user(&self, user: &User) -> Result<User> {
        let mut config: Value = serde_json::from_slice(&std::fs::read(&user.kubeconfig)?)?;
        config["clusters"][0]["cluster"]["server"] = format!("https://127.0.0.1:{}", self.port).into();
        let file = user.kubeconfig.with_extension(format!("wire-{}.json", self.port));
        std::fs::write(&file, config.to_string())?;
        Ok(user.with_kubeconfig(file))
    }

    /// How many connections were opened so far.
    pub fn opened(&self) -> u64 {
        *self.opened.borrow()
    }

    /// Every connection that is open goes silent. New ones work.
    pub fn lose_connections(&self) {
        self.silent.send_replace(*self.opened.borrow());
    }
    /// Every connection is silent, new ones, too.
    pub fn cut(&self) {
        self.silent.send_replace(u64::MAX);
    }
    /// New connections work again.
    pub fn restore(&self) {
        self.lose_connections();
    }
}

/// Carries bytes one way until the connection is closed or silent. A silent one stays open until it is closed by its reader.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: u64, mut silent: watch::Receiver<u64>) -> std::io::Result<()> {
    let mut bytes = vec![0; 65_536];
    loop {
        let n = tokio::select! {
            n = from.read(&mut bytes) => n?,
            Ok(()) = silent.changed() => continue,
        };
        if n == 0 {
            return Ok(());
        }
        if number >= *silent.borrow() {
            to.write_all(&bytes[..n]).await?;
        }
    }
}
