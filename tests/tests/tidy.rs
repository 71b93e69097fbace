//! The house rules that a compiler does not know: layers, rooms, sizes, leftovers.

use std::fs;
use std::path::{Path, PathBuf};

use millstream_tests::root;

/// Rooms by layer, lowest first. A room imports only lower layers, and itself.
const LAYERS: [&[&str]; 9] = [
    &["model"],
    &["cloudevents", "config", "error_code", "failpoint", "flow", "fuzzing", "shutdown", "telemetry", "terminal"],
    &["kafka", "wasm"],
    &["consume", "dispatch", "invoke", "emit", "commit"],
    &["execute", "lineage", "registry"],
    &["pipeline"],
    &["inspect", "redrive", "schedule"],
    &["api"],
    &["app", "cli"],
];

/// What stands outside of the layers: it names the rooms, and starts the topmost.
const OUTSIDE: [&str; 3] = ["lib", "main", "stages"];

/// Libraries that one room alone knows.
const KEPT_IN: [(&str, &str); 5] =
    [("rdkafka", "kafka"), ("rdkafka_sys", "kafka"), ("wasmtime", "wasm"), ("wasmtime_wasi", "wasm"), ("axum", "api")];

/// A file is one idea.
const LONGEST_FILE: usize = 500;

/// What is wrong with a source file of the host, by the path within `host/src`.
fn findings(path: &str, text: &str) -> Vec<String> {
    let room = path.split(['/', '.']).next().unwrap_or_default();
    let own_layer = layer(room);
    let mut found = Vec::new();
    let mut say = |line: usize, what: String| found.push(format!("host/src/{path}:{line}: {what}"));
    if own_layer.is_none() && !OUTSIDE.contains(&room) {
        say(1, format!("no layer names the room {room}: add it to LAYERS, and to docs/architecture.md"));
    }
    if path.ends_with("/mod.rs") {
        say(1, "write foo.rs beside foo/, not foo/mod.rs".to_owned());
    }
    let is_test_file =
        path.ends_with("tests.rs") || path.contains("/tests/") || path.ends_with("testing.rs") || path == "fuzzing.rs";
    let code = text.lines().take_while(|line| !line.trim_start().starts_with("#[cfg(test)]")).count();
    let total = text.lines().count();
    if code > LONGEST_FILE {
        say(total, format!("{code} lines of code: more than one idea? ({LONGEST_FILE} at the most)"));
    }
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let in_tests = is_test_file || index >= code;
        for imported in imports(line) {
            match (own_layer, layer(imported)) {
                (Some(own), Some(other)) if other > own => say(number, format!("{room} imports {imported} above it")),
                (Some(own), Some(other)) if other == own && own >= 3 && imported != room && own != 8 => {
                    say(number, format!("{room} imports {imported} beside it"));
                }
                _ => {}
            }
        }
        let bare = line.trim_start();
        if bare.starts_with("//") {
            continue;
        }
        for (library, home) in KEPT_IN {
            if room != home && (line.contains(&format!("{library}::")) || bare.starts_with(&format!("use {library};")))
            {
                say(number, format!("only {home}/ knows {library}"));
            }
        }
        let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
        if marks.iter().any(|mark| line.contains(mark.as_str())) || line.contains(&["todo", "!("].concat()) {
            say(number, "left unfinished".to_owned());
        }
        if !in_tests && line.contains(".unwrap()") {
            say(number, "unwrap: say what went wrong instead".to_owned());
        }
    }
    for (index, _) in text.match_indices("#[allow(").chain(text.match_indices("#![allow(")) {
        let attribute: String = text[index..].chars().take_while(|letter| *letter != ']').collect();
        if !attribute.contains("reason") {
            say(text[..index].lines().count(), "an allow needs its reason".to_owned());
        }
    }
    found
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

/// The rooms that a line names through `crate::`.
fn imports(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::")
        .skip(1)
        .filter_map(|rest| rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next())
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_host_keeps_the_house_rules() {
    let source = root().join("host/src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    assert!(files.len() > 50, "the sources were found");
    let all: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(&source).expect("it lies there").to_string_lossy().into_owned();
            findings(&path, &fs::read_to_string(file).expect("text"))
        })
        .collect();
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

#[test]
fn each_rule_catches_its_offence() {
    let cases = [
        ("model/ids.rs", "use crate::config::host::HostConfig;\n", "above"),
        ("emit/encoder.rs", "use crate::commit::tracker::Tracker;\n", "beside"),
        ("pipeline/build.rs", "let x = crate::api::serve();\n", "above"),
        ("emit/encoder.rs", "use rdkafka::Message;\n", "only kafka/"),
        ("app/host.rs", "let router = axum::Router::new();\n", "only api/"),
        ("attic.rs", "", "no layer"),
        ("attic/chest.rs", "", "no layer"),
        ("emit/mod.rs", "", "mod.rs"),
        ("emit/x.rs", &["// a line\n// TO", "DO: later\nlet a = 1; // TO", "DO\n"].concat(), "unfinished"),
        ("emit/x.rs", "let a = b.unwrap();\n", "unwrap"),
        ("emit/x.rs", "#[allow(dead_code)]\nfn a() {}\n", "reason"),
        ("emit/x.rs", &"fn a() {}\n".repeat(501), "one idea"),
    ];
    for (path, text, expected) in cases {
        let found = findings(path, text);
        assert!(found.iter().any(|finding| finding.contains(expected)), "{path} {expected}: {found:?}");
    }
    let good = "use crate::model::ids::Digest;\nfn a() {}\n#[cfg(test)]\nmod tests { fn b() { c.unwrap(); } }\n";
    assert_eq!(findings("emit/x.rs", good), Vec::<String>::new());
}
