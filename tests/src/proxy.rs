//! A door between the server and what it works with, which a story can shut: for a Docker or a database that is slow, hangs,
//! or is gone, without touching the one that everybody uses.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Everything, at once.
    Open,
    /// Everything, each piece after so long.
    Slow(Duration),
    /// Everything, but with other words for these: for a Docker that refuses something, or is another one. In what has announced
    /// its length, which a request without a body has not, they must be as long.
    Alters(&'static str, &'static str),
    /// Nothing; connections stay, new ones are taken, and nobody answers.
    Hangs,
    /// Nothing; connections are cut, and new ones too.
    Shut,
}

/// The door; with it everything ends that goes through it.
#[derive(Debug)]
pub struct Proxy {
    door: watch::Sender<Door>,
    listening: JoinHandle<()>,
    address: Option<SocketAddr>,
}

impl Proxy {
    /// A door at the Unix socket `at` to the one at `to`.
    ///
    /// # Panics
    /// When the socket cannot be made.
    pub fn unix(at: &Path, to: &Path) -> Self {
        let listener = UnixListener::bind(at).expect("a socket of our own");
        let to = PathBuf::from(to);
        let (door, state) = watch::channel(Door::Open);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (to, state) = (to.clone(), state.clone());
                tokio::spawn(async move {
                    let (from_client, to_client) = client.into_split();
                    let Ok(server) = UnixStream::connect(to).await else { return };
                    let (from_server, to_server) = server.into_split();
                    carry(from_client, to_server, from_server, to_client, state).await;
                });
            }
        });
        Self { door, listening, address: None }
    }

    /// A door at a free port to `to`, as `host:port`.
    ///
    /// # Panics
    /// When nobody can listen.
    pub async fn tcp(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of our own");
        let address = listener.local_addr().ok();
        let to = to.to_owned();
        let (door, state) = watch::channel(Door::Open);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (to, state) = (to.clone(), state.clone());
                tokio::spawn(async move {
                    let (from_client, to_client) = client.into_split();
                    let Ok(server) = TcpStream::connect(to).await else { return };
                    let (from_server, to_server) = server.into_split();
                    carry(from_client, to_server, from_server, to_client, state).await;
                });
            }
        });
        Self { door, listening, address }
    }

    /// Its `host:port`, of a TCP door.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.expect("a TCP door").to_string()
    }

    /// Changes what passes, for the connections that are there as well.
    pub fn set(&self, door: Door) {
        self.door.send_replace(door);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        // Whoever carries sees the sender go and ends.
        self.door.send_replace(Door::Shut);
    }
}

/// Carries both ways until both have ended or the door is shut.
async fn carry(
    from_client: impl AsyncRead + Unpin,
    to_server: impl AsyncWrite + Unpin,
    from_server: impl AsyncRead + Unpin,
    to_client: impl AsyncWrite + Unpin,
    state: watch::Receiver<Door>,
) {
    let shut = async {
        let _ = state.clone().wait_for(|door| *door == Door::Shut).await;
    };
    let both = async {
        tokio::join!(one_way(from_client, to_server, state.clone()), one_way(from_server, to_client, state.clone()))
    };
    tokio::select! {
        () = shut => {}
        _ = both => {}
    }
}

/// Carries one way; passes on that one side has no more to say while the other goes on speaking.
async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut state: watch::Receiver<Door>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let Ok(door) = state.wait_for(|door| *door != Door::Hangs).await.map(|door| *door) else { return };
        if let Door::Slow(pause) = door {
            tokio::time::sleep(pause).await;
        }
        if read == 0 {
            let _ = to.shutdown().await;
            return;
        }
        let passed = match door {
            Door::Alters(said, heard) => altered(&buffer[..read], said.as_bytes(), heard.as_bytes()),
            _ => Cow::Borrowed(&buffer[..read]),
        };
        if to.write_all(&passed).await.is_err() {
            return;
        }
    }
}

/// With words replaced that arrive in one piece.
fn altered<'b>(bytes: &'b [u8], said: &[u8], heard: &[u8]) -> Cow<'b, [u8]> {
    match bytes.windows(said.len()).position(|window| window == said) {
        Some(at) => Cow::Owned([&bytes[..at], heard, &altered(&bytes[at + said.len()..], said, heard)].concat()),
        None => Cow::Borrowed(bytes),
    }
}
