//! Tests that cannot run on this machine. Each is counted: `./run test` lists them at its end, and fails in CI.

use std::fs::OpenOptions;
use std::io::Write as _;

/// The file in which `scripts/test.sh` collects the reasons.
const REASONS: &str = "MILLSTREAM_TEST_SKIPS";

/// Says that the rest of the running test is skipped, and why.
///
/// # Panics
///
/// When the file of reasons cannot be written: a skip must not pass unseen.
pub fn skipped(reason: &str) {
    eprintln!("\n!!! SKIPPED: {reason}\n");
    if let Some(path) = std::env::var_os(REASONS) {
        let mut file =
            OpenOptions::new().append(true).create(true).open(path).expect("the file of skips can be opened");
        // One write a line, since tests run side by side.
        file.write_all(format!("{reason}\n").as_bytes()).expect("the file of skips can be written");
    }
}
