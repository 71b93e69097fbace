//! `millstream new` in every language that this machine can build: what it writes builds, and its test passes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use millstream_tests::skip::skipped;
use millstream_tests::{examples, host::binary};

fn millstream(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.current_dir(folder).args(words).env("PATH", examples::path_with_tools());
    command.output().expect("the binary can be started")
}

/// Whether the tool is there; says loudly that something is skipped where it is not.
fn has(language: &str, tool: &[&str]) -> bool {
    let mut command = Command::new(tool[0]);
    command.args(&tool[1..]).env("PATH", examples::path_with_tools());
    let is_there = command.output().is_ok_and(|output| output.status.success());
    if !is_there {
        skipped(&format!("a new function in {language}: this machine has no {}", tool[0]));
    }
    is_there
}

#[track_caller]
fn works(language: &str, tool: &[&str], prepare: impl Fn(&Path)) {
    if !has(language, tool) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let made = millstream(folder.path(), &["new", "greet-all", "--lang", language]);
    assert!(made.status.success(), "{made:?}");
    let made = PathBuf::from(String::from_utf8_lossy(&made.stdout).trim_end());
    prepare(&folder.path().join(&made));
    let tested = millstream(folder.path(), &["test", &made.to_string_lossy()]);
    let (stdout, stderr) = (String::from_utf8_lossy(&tested.stdout), String::from_utf8_lossy(&tested.stderr));
    assert!(tested.status.success(), "{language}: {stdout}{stderr}");
    assert!(stdout.contains("test: 2 passed, 0 failed in "), "{language}: {stdout}");
}

#[test]
fn a_new_function_in_rust_builds_with_the_sdk_that_it_carries() {
    works("rust", &["cargo", "--version"], examples::share_build);
}

#[test]
fn a_new_function_in_go_builds() {
    works("go", &["go", "version"], |_| {});
}

#[test]
fn a_new_function_in_javascript_builds() {
    works("js", &["npm", "--version"], |_| {});
}

#[test]
fn a_new_function_in_typescript_builds() {
    works("ts", &["npm", "--version"], |_| {});
}

#[test]
fn a_new_function_in_python_builds() {
    works("python", &["componentize-py", "--version"], |_| {});
}

#[test]
fn a_new_function_in_c_builds() {
    works("c", &["python3", "-m", "ziglang", "version"], |_| {});
}
