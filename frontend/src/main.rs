//! Starts the single-page application; everything else is in the library, where the host can test it.

fn main() {
    fastflow_frontend::start();
}
