//! Leaves the names of functions out of a shipped WebAssembly file.
//!
//! Cargo's own `strip = true` only drops debug information for this target; the names alone are a third of the file.

fn main() {
    let wasm = std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm");
    let shipped = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    // `scripts/web-weight` asks for the names, to say which function weighs what.
    let names = std::env::var_os("FASTFLOW_WEB_NAMES").is_some();
    println!("cargo::rerun-if-env-changed=FASTFLOW_WEB_NAMES");
    if wasm && shipped && !names {
        println!("cargo::rustc-link-arg-bins=--strip-all");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
