//! Any stream, cut anywhere, with any secrets: nothing panics, nothing of a secret is left, every byte is counted, and the
//! result does not depend on the cuts.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none masker -- -max_total_time=600`, in the repository's root.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../backend/src/domain/mask/mod.rs"]
#[allow(dead_code)]
mod mask;

use mask::{MIN_BYTES, Mask, Masked, Masker, SHOWN};

/// The first byte says how many bytes each of three secrets has, the second how the stream is cut; a zero byte in the stream
/// stands for the first secret.
fuzz_target!(|data: &[u8]| {
    let [length, cut, rest @ ..] = data else { return };
    let (length, cut) = (usize::from(*length % 24) + 1, usize::from(*cut % 32) + 1);
    let mut secrets: Vec<String> = Vec::new();
    let mut rest = rest;
    for _ in 0..3 {
        let (secret, more) = rest.split_at(length.min(rest.len()));
        secrets.push(String::from_utf8_lossy(secret).into_owned());
        rest = more;
    }
    let mut stream = Vec::new();
    for byte in rest {
        match byte {
            0 => stream.extend_from_slice(secrets[0].as_bytes()),
            byte => stream.push(*byte),
        }
    }
    let Ok(Some(mask)) = Mask::new(secrets.iter().map(String::as_str)) else { return };

    let (mut whole, mut masker) = (Masked::default(), Masker::new(mask.clone()));
    masker.push(&stream, &mut whole);
    masker.finish(&mut whole);
    let (mut pieces, mut masker) = (Masked::default(), Masker::new(mask));
    for piece in stream.chunks(cut) {
        masker.push(piece, &mut pieces);
    }
    masker.finish(&mut pieces);
    assert_eq!(whole, pieces);
    assert_eq!(whole.stream_bytes(), stream.len() as u64);
    let mut from = 0;
    let ends = whole.hidden.iter().map(|hidden| (hidden.at, hidden.at + SHOWN.len()));
    for (at, next) in ends.chain([(whole.text.len(), 0)]) {
        for secret in secrets.iter().filter(|secret| secret.trim().len() >= MIN_BYTES) {
            assert!(!whole.text[from..at].windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
        from = next;
    }
});
