//! The program `fastflow`.

use std::process::ExitCode;

/// Gives memory back to the system that is not needed any more (ADR 38); the C library keeps most of it. Elsewhere the
/// system's own does: on some machines with an ARM processor pages are larger than this one was built for.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[global_allocator]
static MEMORY: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    fastflow::app::cli::run(std::env::args_os())
}
