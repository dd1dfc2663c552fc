//! Who is at the other end, when proxies stand between. What a proxy says counts only if that proxy is trusted by setting;
//! else anybody could write an address of their choice into the audit log and past the limit of logins.

use std::net::IpAddr;

use ipnet::IpNet;

/// What is known of the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its address: the last one that no trusted proxy has.
    pub ip: Option<IpAddr>,
    /// Whether it speaks https.
    pub https: bool,
    /// The host that it asked for.
    pub host: Option<String>,
}

/// What a request carries.
#[derive(Debug, Clone, Default)]
pub struct Seen<'a> {
    /// Address of the connection.
    pub peer: Option<IpAddr>,
    /// Every `X-Forwarded-For`, joined by commas.
    pub forwarded_for: Option<&'a str>,
    /// `X-Forwarded-Proto`.
    pub forwarded_proto: Option<&'a str>,
    /// `X-Forwarded-Host`.
    pub forwarded_host: Option<&'a str>,
    /// `Host`.
    pub host: Option<&'a str>,
}

/// Finds the other end. Walks from our own side outwards, past trusted proxies only: what stands further left in
/// `X-Forwarded-For` was written by somebody whom nobody vouches for.
#[must_use]
pub fn origin(seen: &Seen<'_>, trusted: &[IpNet]) -> Origin {
    let peer = seen.peer.map(|ip| ip.to_canonical());
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    let host = |text: Option<&str>| text.map(last).filter(|text| !text.is_empty()).map(str::to_ascii_lowercase);
    let Some(peer) = peer.filter(|ip| is_trusted(*ip)) else {
        return Origin { ip: peer, https: false, host: host(seen.host) };
    };
    let mut ip = peer;
    for text in seen.forwarded_for.unwrap_or_default().rsplit(',') {
        // Whatever cannot be read ends the chain: the last address that is known stands.
        let Some(next) = address(text.trim()) else { break };
        ip = next;
        if !is_trusted(next) {
            break;
        }
    }
    Origin {
        ip: Some(ip),
        https: seen.forwarded_proto.is_some_and(|text| last(text).eq_ignore_ascii_case("https")),
        host: host(seen.forwarded_host).or_else(|| host(seen.host)),
    }
}

/// The last part of a list: the one that the proxy next to us has written.
fn last(text: &str) -> &str {
    text.rsplit(',').next().unwrap_or_default().trim()
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    bare.or_else(with_port).or_else(in_brackets).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let trusted: Vec<IpNet> = trusted.iter().map(|text| text.parse().expect("a network")).collect();
        let seen = Seen {
            peer: peer.parse().ok(),
            forwarded_for: Some(forwarded).filter(|text| !text.is_empty()),
            forwarded_proto: Some("https"),
            ..Seen::default()
        };
        let origin = origin(&seen, &trusted);
        format!("{} {}", origin.ip.map_or("?".to_owned(), |ip| ip.to_string()), origin.https)
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let one = ["10.0.0.0/8", "fd00::/8"];
        for (peer, forwarded, trusted, expected) in [
            // Nobody is trusted unless it is set.
            ("127.0.0.1", "1.2.3.4", &[] as &[&str], "127.0.0.1 false"),
            ("192.168.0.1", "1.2.3.4", &one, "192.168.0.1 false"),
            ("10.0.0.1", "1.2.3.4", &one, "1.2.3.4 true"),
            ("::ffff:10.0.0.1", "1.2.3.4", &one, "1.2.3.4 true"),
            ("10.0.0.1", "", &one, "10.0.0.1 true"),
            // A client that writes the header itself stands left of what the proxy adds.
            ("10.0.0.1", "6.6.6.6, 1.2.3.4", &one, "1.2.3.4 true"),
            ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.9,fd00::1", &one, "1.2.3.4 true"),
            ("10.0.0.1", "10.0.0.7", &one, "10.0.0.7 true"),
            ("10.0.0.1", "1.2.3.4:5678", &one, "1.2.3.4 true"),
            ("10.0.0.1", "[2001:db8::1]:443", &one, "2001:db8::1 true"),
            ("10.0.0.1", "[2001:db8::1]", &one, "2001:db8::1 true"),
            ("10.0.0.1", "1.2.3.4, unknown, 10.0.0.2", &one, "10.0.0.2 true"),
            ("10.0.0.1", "<script>", &one, "10.0.0.1 true"),
            ("?", "1.2.3.4", &one, "? false"),
        ] {
            assert_eq!(ask(peer, forwarded, trusted), expected, "{peer} {forwarded}");
        }
    }

    #[test]
    fn the_host_is_the_proxys_only_when_it_is_trusted() {
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let seen = |peer: &str| Seen {
            peer: peer.parse().ok(),
            forwarded_host: Some("Flow.Example.com"),
            host: Some("inner:8000"),
            ..Seen::default()
        };
        assert_eq!(origin(&seen("10.0.0.1"), &trusted).host.as_deref(), Some("flow.example.com"));
        assert_eq!(origin(&seen("1.1.1.1"), &trusted).host.as_deref(), Some("inner:8000"));
    }
}
