//! The masker against the plain definition of what it does, for any stream cut anywhere.

use proptest::prelude::*;

use super::*;

fn mask(values: &[&str]) -> Arc<Mask> {
    Mask::new(values.iter().copied()).expect("small").expect("something to look for")
}

fn masked(mask: &Arc<Mask>, pieces: &[&[u8]]) -> Masked {
    let mut masker = Masker::new(mask.clone());
    let mut out = Masked::default();
    for piece in pieces {
        masker.push(piece, &mut out);
    }
    masker.finish(&mut out);
    out
}

fn text(mask: &Arc<Mask>, pieces: &[&[u8]]) -> String {
    String::from_utf8(masked(mask, pieces).text).expect("text")
}

/// By definition: all occurrences of all forms, and the beginning of one at the end; overlapping ones as one.
fn by_definition(values: &[&str], stream: &[u8]) -> Masked {
    let forms = forms::of_all(values.iter().copied(), usize::MAX).expect("no limit");
    let mut covered = vec![false; stream.len()];
    // Whether a byte and the one after it belong to one occurrence.
    let mut joined = vec![false; stream.len()];
    let mut cover = |from: usize, until: usize| {
        covered[from..until].fill(true);
        joined[from..until - 1].fill(true);
    };
    let mut begun = 0;
    for form in &forms {
        for from in 0..stream.len() {
            let rest = &stream[from..];
            if rest.starts_with(form) {
                cover(from, from + form.len());
            } else if form.starts_with(rest) {
                begun = begun.max(rest.len());
            }
        }
    }
    if begun >= MIN_PREFIX {
        cover(stream.len() - begun, stream.len());
    }
    let (mut out, mut at) = (Masked::default(), 0);
    while at < stream.len() {
        if !covered[at] {
            out.text.push(stream[at]);
            at += 1;
            continue;
        }
        let from = at;
        while joined[at] {
            at += 1;
        }
        at += 1;
        out.hide((at - from) as u64);
    }
    out
}

#[test]
fn a_secret_is_hidden_however_it_is_cut_and_the_rest_is_kept() {
    let mask = mask(&["swordfish"]);
    let stream = b"user=swordfish\nand swordfishing, swordfis \xff\n";
    for cut in 0..stream.len() {
        let (a, b) = stream.split_at(cut);
        assert_eq!(masked(&mask, &[a, b]).text, b"user=***\nand ***ing, swordfis \xff\n", "cut at {cut}");
    }
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(masked(&mask, &single).text, b"user=***\nand ***ing, swordfis \xff\n");
}

#[test]
fn only_what_may_begin_a_secret_is_held() {
    let mut masker = Masker::new(mask(&["swordfish"]));
    let mut out = Masked::default();
    masker.push(b"progress 17% sword", &mut out);
    assert_eq!(out.text, b"progress 17% ");
    masker.push(b"s", &mut out);
    assert_eq!(out.text, b"progress 17% sword");
    masker.push(b"wordfish", &mut out);
    assert_eq!(out.text, b"progress 17% sword***");
    assert_eq!(out.hidden, [Hidden { at: 18, bytes: 9 }]);
    assert_eq!(out.stream_bytes(), 27);
}

#[test]
fn nothing_of_overlapping_secrets_stays() {
    let mask = mask(&["abcdefgh", "efghijkl"]);
    assert_eq!(text(&mask, &[b"<abcdefghijkl>"]), "<***>");
    assert_eq!(text(&mask, &[b"<abcdefghabcdefgh>"]), "<******>");
}

#[test]
fn a_stream_that_ends_within_a_secret_does_not_show_its_beginning() {
    let mask = mask(&["correct horse battery"]);
    assert_eq!(text(&mask, &[b"token: correct ", b"horse batt"]), "token: ***");
    assert_eq!(text(&mask, &[b"is that correct"]), "is that correct", "too little to be a secret's");
}

#[test]
fn a_script_that_prints_one_letter_for_ever_takes_no_memory() {
    let mask = mask(&["aaaaaaaa"]);
    let mut masker = Masker::new(mask);
    let mut out = Masked::default();
    for _ in 0..10_000 {
        masker.push(&[b'a'; 1000], &mut out);
        assert!(masker.held.capacity() < 4096 && masker.secret.len() <= 1);
    }
    masker.finish(&mut out);
    assert_eq!((out.text.as_slice(), out.stream_bytes()), (&b"***"[..], 10_000_000));
}

#[test]
fn nothing_of_a_secret_shows_in_debug_output() {
    let masker = Masker::new(mask(&["swordfish"]));
    assert!(!format!("{masker:?}").contains("swordfish"));
}

#[test]
fn too_many_large_secrets_are_refused_with_a_reason() {
    let large: Vec<String> = (0..100).map(|n| format!("{n:04}").repeat(8_000)).collect();
    let error = Mask::new(large.iter().map(String::as_str)).expect_err("too much").to_string();
    assert!(error.contains("pipeline.json"), "{error}");
}

/// Secrets of few letters, so that they overlap, begin one another and are found by chance.
fn secrets() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab/\n\"é]{6,12}", 1..4)
}

/// A stream that is full of secrets, parts of them and things like them, with places to cut it.
fn streams() -> impl Strategy<Value = (Vec<String>, Vec<u8>, Vec<usize>)> {
    secrets().prop_flat_map(|secrets| {
        let forms = forms::of_all(secrets.iter().map(String::as_str), usize::MAX).expect("no limit");
        let form = prop::sample::select(if forms.is_empty() { vec![b"x".to_vec()] } else { forms });
        let part =
            (form.clone(), any::<prop::sample::Index>()).prop_map(|(form, cut)| form[..cut.index(form.len())].to_vec());
        let other = prop::collection::vec(prop::sample::select(b"ab/\n\"\xc3\xa9x%".to_vec()), 0..8);
        let stream = prop::collection::vec(prop_oneof![form, part, other], 0..12).prop_map(|parts| parts.concat());
        (Just(secrets), stream, prop::collection::vec(0..200_usize, 0..12))
    })
}

proptest! {
    #[test]
    fn any_stream_cut_anywhere_is_masked_by_definition((secrets, stream, cuts) in streams()) {
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let Some(mask) = Mask::new(secrets.iter().copied()).expect("small") else { return Ok(()) };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        let found = masked(&mask, &pieces);
        prop_assert_eq!(found.stream_bytes(), stream.len() as u64);
        prop_assert_eq!(found, by_definition(&secrets, &stream));
    }

    /// What is left between two `***` is text of the script without a secret in it.
    #[test]
    fn no_secret_is_left((secrets, stream, _) in streams()) {
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let Some(mask) = Mask::new(secrets.iter().copied()).expect("small") else { return Ok(()) };
        let found = masked(&mask, &[&stream]);
        let mut from = 0;
        for hidden in found.hidden.iter().copied().chain([Hidden { at: found.text.len(), bytes: 0 }]) {
            let shown = &found.text[from..hidden.at];
            for secret in secrets.iter().filter(|secret| secret.trim().len() >= MIN_BYTES) {
                prop_assert!(!shown.windows(secret.len()).any(|window| window == secret.as_bytes()));
            }
            from = hidden.at + SHOWN.len();
        }
    }

    #[test]
    fn a_text_without_secrets_stays_byte_for_byte(stream in prop::collection::vec(any::<u8>(), 0..400)) {
        let mask = mask(&["correct horse battery staple", "hunter2hunter2"]);
        prop_assert_eq!(masked(&mask, &[&stream]), Masked { text: stream, hidden: Vec::new() });
    }
}
