//! What the SPA weighs: people wait for it, so it may not grow unseen.

use fastflow_tests::place;

/// Most bytes of the program, compressed the way the server sends it.
const BUDGET: usize = 350_000;

#[test]
fn the_page_stays_within_its_budget() {
    let dist = place::repository().join("frontend/dist");
    let files = std::fs::read_dir(&dist).unwrap_or_else(|error| {
        panic!("{}: {error}; `scripts/web` builds the SPA", dist.display());
    });
    let program = files
        .map(|file| file.expect("the folder can be read").path())
        .find(|path| path.extension().is_some_and(|ending| ending == "wasm"))
        .expect("the SPA is WebAssembly");
    let bytes = std::fs::read(&program).expect("the program can be read");
    let mut packed = Vec::new();
    let best = brotli::enc::BrotliEncoderParams { quality: 11, ..Default::default() };
    brotli::BrotliCompress(&mut bytes.as_slice(), &mut packed, &best).expect("memory can be written");
    println!("{} bytes, {} compressed, {BUDGET} allowed", bytes.len(), packed.len());
    assert!(
        packed.len() <= BUDGET,
        "{} weighs {} bytes compressed, {BUDGET} are allowed: see “Weight” in frontend/README.md",
        program.display(),
        packed.len()
    );
}
