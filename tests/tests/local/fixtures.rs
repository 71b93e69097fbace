//! `millstream test` on the examples, whose modules `./run guests` built.

use std::process::{Command, Output};

use millstream_tests::examples::{FOREIGN, built};
use millstream_tests::{host::binary, root};

const RUST: [&str; 7] = ["uppercase", "sleepy", "faults", "place-bid", "item-complete", "notify-bidders", "pass-on"];

fn test(folder: &std::path::Path, words: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("test").arg(folder).arg("--no-build").args(words);
    command.output().expect("the binary can be started")
}

#[test]
fn every_example_does_what_its_fixtures_expect() {
    for example in RUST.into_iter().chain(FOREIGN) {
        if built(example).is_none() {
            continue;
        }
        let output = test(&root().join("examples").join(example), &[]);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{example}: {stdout}{stderr}");
        let summary = stdout.lines().last().unwrap_or_default();
        assert!(summary.starts_with("test: ") && summary.contains(" passed, 0 failed in "), "{example}: {summary}");
    }
}

#[test]
fn a_case_that_fails_ends_with_one_and_no_colours_in_a_pipe() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = std::fs::read_to_string(root().join("examples/uppercase/millstream.toml")).expect("a manifest");
    let module = root().join("examples/target/wasm32-wasip2/release/uppercase.wasm");
    let manifest = manifest.replace("../target/wasm32-wasip2/release/uppercase.wasm", &module.to_string_lossy());
    std::fs::write(folder.path().join("millstream.toml"), manifest).expect("written");
    std::fs::create_dir(folder.path().join("tests")).expect("a folder");
    let fixture = r#"{ "name": "wrong", "event": { "data": "a" }, "expect": [{ "data": "b" }] }"#;
    std::fs::write(folder.path().join("tests/one.json"), fixture).expect("written");
    let output = test(folder.path(), &[]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(stdout.contains("emission 1: data\n      - \"b\"\n      + \"A\"\n"), "{stdout}");
    assert!(!stdout.contains('\u{1b}'), "{stdout}");
    assert!(stderr.contains("error[MS0511]: 1 of 1 cases failed"), "{stderr}");
}
