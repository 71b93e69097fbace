//! `docs/configuration.md`, made from `default.toml`: `UPDATE_DOCS=1 cargo test --release` writes it again.
//!
//! The tests keep three things the same: the keys that the readers know, the keys that `default.toml` documents, and
//! the page.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::config::{defaults, host::HostConfig, manifest};

const HOST: &str = "\
`millstream serve --config host.toml` reads a file in TOML; without `--config` there is none. Each key can also be given
as an environment variable, which wins over the file: `MILLSTREAM_LISTEN`, `MILLSTREAM_DATA_DIR` and
`MILLSTREAM_INSECURE` for the keys at the top, `MILLSTREAM_<SECTION>__<KEY>` (two underscores) for the rest, as in
`MILLSTREAM_KAFKA__BOOTSTRAP_SERVERS` or `MILLSTREAM_LIMITS__UPLOAD`. For options of librdkafka write `_` for `.`:
`MILLSTREAM_KAFKA__SASL_PASSWORD` is `sasl.password`. An empty variable counts as not set. `millstream config` prints
what is in force and where each value comes from.";

const FUNCTION: &str = "\
A function's manifest is `millstream.toml`; over the API the same keys may also come as JSON, with the same nesting. A
smallest one:

```toml
name = \"enrich-bid\"
topics = [\"bids\"]

[outputs]
default = \"bids.enriched\"
```

Refused are, besides unknown keys and values out of range: an output or dead letter topic that is an input too,
`limits.output` above `limits.memory` or `delivery.pending`, `instances.min` above `concurrency` × `shards`,
`retry.backoff` above `retry.backoff_max`, and a `delivery.drain_timeout` that is not below librdkafka's
`max.poll.interval.ms` (5 minutes).";

const EMULATION: &str = "\
The start delays that `instances.emulate` knows by name: `cold` is added to the first call of an instance, `hot` to
every later one. A delay is one duration, or is drawn evenly from a range.";

/// A table of `default.toml` as its comments describe it.
#[derive(Debug, PartialEq)]
struct DocumentedSection {
    name: String,
    text: String,
    keys: Vec<DocumentedKey>,
}

#[derive(Debug, PartialEq)]
struct DocumentedKey {
    name: String,
    /// The default, or an example.
    value: String,
    has_default: bool,
    text: String,
}

fn sections() -> Vec<DocumentedSection> {
    let mut sections: Vec<DocumentedSection> = Vec::new();
    let mut comment = String::new();
    for line in defaults::TEXT.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push(DocumentedSection {
                name: name.to_owned(),
                text: std::mem::take(&mut comment),
                keys: vec![],
            });
        } else if let Some(text) = line.strip_prefix("# ") {
            let separator = if comment.is_empty() { "" } else { " " };
            comment = format!("{comment}{separator}{text}");
        } else if let (Some((name, value)), Some(section)) = (line.split_once(" = "), sections.last_mut()) {
            let (name, has_default) = name.strip_prefix('#').map_or((name, true), |name| (name, false));
            let (name, value, text) = (name.to_owned(), value.to_owned(), std::mem::take(&mut comment));
            section.keys.push(DocumentedKey { name, value, has_default, text });
        } else {
            assert!(line.is_empty(), "a line that is not a comment, table or key: {line}");
            comment.clear();
        }
    }
    sections
}

fn page() -> String {
    let mut page =
        "# Configuration\n\n<!-- Made from host/src/default.toml: UPDATE_DOCS=1 cargo test --release -p millstream \
                    reference -->\n\nDurations and sizes carry a unit: `\"500ms\"`, `\"3s\"`, `\"1m\"`; `\"900KiB\"`, \
                    `\"128MiB\"`. Unknown keys are refused.\n"
            .to_owned();
    for section in sections() {
        let heading = match section.name.split_once('.') {
            None if section.name == "host" => format!("\n## The host\n\n{HOST}\n"),
            None => format!("\n## A function's manifest\n\n{FUNCTION}\n"),
            Some(("emulation", "aws-lambda")) => {
                format!("\n## Emulated platforms\n\n{EMULATION}\n\n### `\"aws-lambda\"`\n")
            }
            Some(("emulation", name)) => format!("\n### `\"{name}\"`\n"),
            Some((_, name)) => format!("\n### `[{}]`\n", name.replace(".\"*\"", ".<name>")),
        };
        page.push_str(&heading);
        if !section.text.is_empty() && !section.name.starts_with("emulation") {
            let _ = write!(page, "\n{}\n", section.text);
        }
        if section.keys.is_empty() {
            continue;
        }
        page.push_str("\n| key | default | |\n|---|---|---|\n");
        for key in section.keys {
            let value =
                if key.has_default { format!("`{}`", key.value) } else { format!("none, e.g. `{}`", key.value) };
            let _ = writeln!(page, "| `{}` | {value} | {} |", key.name, key.text);
        }
    }
    page
}

#[test]
fn the_page_is_up_to_date() {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "docs", "configuration.md"].iter().collect();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page(), "docs/configuration.md is stale: run this test with UPDATE_DOCS=1");
}

#[test]
fn every_key_is_explained() {
    for section in sections().iter().filter(|section| !section.name.starts_with("emulation")) {
        for key in section.keys.iter().filter(|key| !key.name.starts_with("REGION")) {
            assert!(!key.text.is_empty(), "[{}] {}", section.name, key.name);
        }
    }
}

/// A key that no one knows makes the readers list those that they know.
const UNKNOWN: &str = "zzzzzzzzzzzz";

#[test]
fn what_the_readers_know_is_what_is_documented() {
    // In these the keys are the user's or librdkafka's.
    let free = ["function.env", "function.outputs", "function.kafka", "host.kafka", "host.api.tokens"];
    let all = sections();
    let known_sections = all.iter().filter(|section| !section.name.starts_with("emulation"));
    for section in known_sections.filter(|section| !free.contains(&section.name.as_str())) {
        let mut documented: BTreeSet<String> = section.keys.iter().map(|key| key.name.clone()).collect();
        let prefix = format!("{}.", section.name);
        let tables = all.iter().filter_map(|other| other.name.strip_prefix(&prefix));
        documented.extend(tables.filter(|name| !name.contains('.')).map(str::to_owned));
        assert_eq!(known_by_reader(&section.name), documented, "[{}]", section.name);
    }
}

fn known_by_reader(section: &str) -> BTreeSet<String> {
    let table = match section.split_once('.') {
        None => String::new(),
        Some((_, name)) => format!("[{}]\n", name.replace("\"*\"", "default")),
    };
    let text = format!("{table}{UNKNOWN} = 1");
    let problems = if section.starts_with("host") {
        HostConfig::from_parts(&text, []).unwrap_err().problems
    } else {
        manifest::from_toml(&text).unwrap_err().problems().to_vec()
    };
    let problem = problems.iter().find(|problem| problem.at.ends_with(UNKNOWN)).expect("it is unknown");
    let (_, known) = problem.message.split_once("known here are ").expect("they are listed");
    known.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_example_is_valid() {
    for section in sections().iter().filter(|section| section.name.starts_with("function")) {
        for key in section.keys.iter().filter(|key| !key.has_default) {
            let table = match section.name.split_once('.') {
                None => String::new(),
                Some((_, name)) => format!("[{}]\n", name.replace("\"*\"", "default")),
            };
            let (name, value) = (&key.name, &key.value);
            let base = match name.as_str() {
                "name" => "topics = [\"in\"]",
                "topics" | "topics_pattern" => "name = \"f\"",
                _ => "name = \"f\"\ntopics = [\"in\"]",
            };
            let output = if name == "compression" { "topic = \"out\"\n" } else { "" };
            let result = manifest::from_toml(&format!("{base}\n{table}{output}{name} = {value}"));
            assert!(result.is_ok(), "[{}] {name}: {result:?}", section.name);
        }
    }
}
