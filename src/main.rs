//! The `startle` program: parses, runs a command, maps its outcome to an exit status.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main().into()
}
