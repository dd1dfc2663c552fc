//! The program `fastflow`.

use std::process::ExitCode;

fn main() -> ExitCode {
    fastflow::app::cli::run(std::env::args_os())
}
