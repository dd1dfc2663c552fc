//! Whatever somebody sends as a token, or a proxy as an address: nothing panics, a token that is taken is taken as it is, and
//! nobody who is not trusted is believed.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none tokens -- -max_total_time=600`, in the repository's root.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;

#[path = "../../backend/src/crypto/random.rs"]
#[allow(dead_code)]
mod random;

#[path = "../../backend/src/domain/forwarded.rs"]
#[allow(dead_code)]
mod forwarded;

#[path = "../../backend/src/domain/origin.rs"]
#[allow(dead_code)]
mod origin;

use forwarded::Seen;
use random::Token;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Some(token) = Token::parse(&text) {
        assert_eq!(token.expose(), text);
        assert_eq!(token.is_api(), text.len() == 46);
        assert!(text.starts_with(&token.hint()) && !format!("{token:?}").contains(&*text));
    }
    let (left, right) = text.split_once('|').unwrap_or((&text, ""));
    let peer: IpAddr = [10, 0, 0, 1].into();
    let trusted = ["10.0.0.0/8".parse().expect("a network")];
    let seen = Seen {
        peer: Some(peer),
        forwarded_for: Some(left),
        forwarded_proto: Some(right),
        forwarded_host: Some(right),
        host: Some("flow"),
    };
    // Not trusted: the address of the connection stands, whatever the headers say.
    let alone = forwarded::origin(&seen, &[]);
    assert!(alone.ip == Some(peer) && !alone.https && alone.host.as_deref() == Some("flow"));
    let _ = forwarded::origin(&seen, &trusted);
    // A page of another host is never taken for ours.
    if origin::check(None, Some(left), Some("flow")).is_ok() {
        let plain = left.to_ascii_lowercase();
        assert!(["http://flow", "https://flow", "http://flow:80", "https://flow:443"].contains(&plain.as_str()), "{left}");
    }
});
