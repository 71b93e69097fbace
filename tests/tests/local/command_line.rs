//! What scripts rely on: exit codes, results alone on stdout, and nothing for terminals where there is none.

use std::process::{Command, Output, Stdio};

use millstream_tests::host::binary;
use millstream_tests::root;

fn run(words: &[&str]) -> Output {
    let mut command = Command::new(binary());
    // No host listens there.
    command.current_dir(root()).args(words).env("MILLSTREAM_HOST", "http://127.0.0.1:1").stdin(Stdio::null());
    command.output().expect("the binary runs")
}

#[track_caller]
fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The exit codes in `millstream --help`; 3 needs a host and is tested in `broker/api.rs`.
#[test]
fn exit_codes_say_what_happened() {
    let module = "examples/target/wasm32-wasip2/release/faults.wasm";
    for (words, code) in [
        (&["config"][..], 0),
        (&["invoke", module, "--data", "ok"], 0),
        (&["invoke", module, "--data", "reject"], 1),
        (&["build", "docs"], 1),
        (&["deploy", "--manifest", "README.md", "--module", module], 1),
        (&["deplyo"], 2),
        (&["status"], 2),
        (&["status", "No_Name"], 2),
        (&["list"], 4),
        (&["status", "f"], 4),
        (&["deploy", "examples/uppercase", "--host", "http://127.0.0.1:1"], 4),
    ] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", text(&output.stderr));
        assert_eq!(output.stdout.is_empty(), code != 0, "{words:?}: results, and nothing else, are on stdout");
        assert!(!text(&output.stderr).contains('\u{1b}'), "{words:?}: no colours where no terminal is");
    }
    let help = text(&run(&["--help"]).stdout);
    for meaning in ["0  success", "1  failure", "2  the command line", "3  the function does not", "4  the host cannot"]
    {
        assert!(help.contains(meaning), "{meaning}: {help}");
    }
}

#[test]
fn a_mistyped_verb_is_recognised() {
    let stderr = text(&run(&["deplyo"]).stderr);
    assert!(stderr.contains("'deploy'"), "{stderr}");
}

/// Of a terminal that does not want them, too.
#[test]
fn colours_are_for_terminals_that_want_them() {
    let on_a_terminal = |variables: &[(&str, &str)]| {
        let mut command = Command::new("script");
        let words = format!("{} build docs", binary().display());
        command.args(["--quiet", "--return", "--command", &words, "/dev/null"]).current_dir(root());
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(variables.iter().copied());
        text(&command.stdin(Stdio::null()).output().expect("script, which `./run setup` installs").stdout)
    };
    let coloured = on_a_terminal(&[]);
    assert!(coloured.contains("\u{1b}[31merror[MS0505]:\u{1b}[0m"), "{coloured:?}");
    for variables in [&[("NO_COLOR", "1")][..], &[("TERM", "dumb")]] {
        let plain = on_a_terminal(variables);
        assert!(plain.contains("error[MS0505]: ") && !plain.contains('\u{1b}'), "{variables:?}: {plain:?}");
    }
}

#[test]
fn shells_take_their_completions() {
    let script = text(&run(&["completions", "bash"]).stdout);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), script).expect("written");
    // What a shell offers after `millstream de`.
    let asks = "source \"$0\"; COMP_WORDS=(millstream de); COMP_CWORD=1; _millstream millstream de millstream; \
                printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", asks]).arg(file.path()).output().expect("bash runs");
    let offered = text(&output.stdout);
    let offered: Vec<&str> = offered.split_whitespace().collect();
    assert!(offered.contains(&"deploy") && offered.contains(&"delete"), "{offered:?} {}", text(&output.stderr));
}
