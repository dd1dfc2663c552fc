//! The address that the server listens on. It is opened before anything is said of it, so that an address that is taken is
//! told as such and port 0 can be asked for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use poem::Server;
use poem::listener::{Acceptor as _, Listener as _, TcpAcceptor, TcpListener};

use super::{Api, router};

/// An address that is listened on; requests wait until it is served.
pub struct Door {
    acceptor: TcpAcceptor,
    address: SocketAddr,
}

impl Door {
    /// Listens on `wanted`.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub async fn open(wanted: SocketAddr) -> io::Result<Self> {
        let acceptor = TcpListener::bind(wanted.to_string()).into_acceptor().await?;
        let address = acceptor.local_addr().first().and_then(|address| address.as_socket_addr().copied());
        Ok(Self { acceptor, address: address.unwrap_or(wanted) })
    }

    /// Where it is, with the port that was given when any was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done; open connections may then take `patience` to end.
    ///
    /// # Errors
    /// When connections cannot be accepted any more.
    pub async fn serve(self, api: &Api, stop: impl Future<Output = ()>, patience: Duration) -> io::Result<()> {
        Server::new_with_acceptor(self.acceptor).run_with_graceful_shutdown(router(api)?, stop, Some(patience)).await
    }
}
