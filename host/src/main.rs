//! The program. What it does is in [`millstream::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    millstream::cli::run()
}
