//! What must be known before the compiler runs.

fn main() {
    migrations();
}

/// The migrations are compiled in, but the compiler does not know that it reads them.
fn migrations() {
    println!("cargo:rerun-if-changed=../migrations");
}
