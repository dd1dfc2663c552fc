//! `fastflow health`: asks a server whether it is alive, without any program that an image would need beside this one.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long the answer may take.
const WITHIN: Duration = Duration::from_secs(3);

/// Asks the server that listens on `address`.
///
/// # Errors
/// When nobody answers in time, or not well.
pub(super) fn ask(address: SocketAddr) -> io::Result<()> {
    let address = reachable(address);
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{address} does not answer: {error}"));
    let mut stream = TcpStream::connect_timeout(&address, WITHIN).map_err(told)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    stream.write_all(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n").map_err(told)?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).map_err(told)?;
    if head.starts_with(b"HTTP/1.") && head.ends_with(b" 200") {
        return Ok(());
    }
    Err(io::Error::other(format!("{address} answers, but is not well: {}", String::from_utf8_lossy(&head))))
}

/// Who listens everywhere is asked here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn answering(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody");
            let mut question = [0; 16];
            stream.read_exact(&mut question).expect("a question");
            stream.write_all(answer).expect("an answer");
        });
        address
    }

    #[test]
    fn an_answer_is_judged_by_its_status() {
        assert!(ask(answering(b"HTTP/1.1 200 OK\r\n\r\n")).is_ok());
        let error = ask(answering(b"HTTP/1.1 500 No\r\n\r\n")).expect_err("not well").to_string();
        assert!(error.contains("is not well"), "{error}");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
        assert!(ask(free).expect_err("nobody").to_string().contains("does not answer"));
    }

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        let at = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(at("0.0.0.0:8000"), "127.0.0.1:8000");
        assert_eq!(at("[::]:8000"), "[::1]:8000");
        assert_eq!(at("192.0.2.1:80"), "192.0.2.1:80");
    }
}
