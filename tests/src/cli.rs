//! Runs `millstream` as an operator does, against a host of the test.

use std::process::Command;

use crate::host::{Host, binary};

#[derive(Debug)]
pub struct CliOutput {
    /// `None` if a signal ended the process.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `millstream` with `arguments`.
#[track_caller]
pub fn run(host: &Host, arguments: &[&str]) -> CliOutput {
    let output = Command::new(binary())
        .args(arguments)
        .env("MILLSTREAM_HOST", host.client.base())
        .env_remove("MILLSTREAM_TOKEN")
        .output()
        .expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    CliOutput { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs a command that must succeed; returns what it prints.
#[track_caller]
pub fn succeed(host: &Host, arguments: &[&str]) -> String {
    let CliOutput { code, stdout, stderr } = run(host, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stdout} {stderr}");
    stdout
}

/// Runs a command that must fail with an error of `error_code`.
#[track_caller]
pub fn fail(host: &Host, arguments: &[&str], error_code: &str) {
    let CliOutput { code, stderr, .. } = run(host, arguments);
    assert!(code == Some(1) && stderr.contains(error_code), "{arguments:?}: {code:?}: {stderr}");
}
