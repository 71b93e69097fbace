//! Text that records, guests and hosts chose cannot act on a terminal, whichever verb shows it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use millstream_tests::host::binary;
use millstream_tests::root;
use serde_json::{Value, json};

/// Clears the screen, retitles the window, reverses text, hides letters, moves the cursor, and breaks the line.
const HOSTILE: &str =
    "h\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{8}\u{7f}\r\n\u{0}end";

/// A host that gives every request the same answer, until it is dropped with the process.
struct FakeHost {
    address: String,
    answer: Arc<Mutex<(u16, String)>>,
}

impl FakeHost {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let answer = Arc::new(Mutex::new((200, String::new())));
        let given = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (status, body) = given.lock().expect("no panic").clone();
                // The command ended early, which the test sees by its output.
                let _ = serve(stream, status, &body);
            }
        });
        Self { address, answer }
    }

    fn answer(&self, status: u16, body: &str) {
        *self.answer.lock().expect("no panic") = (status, body.to_owned());
    }
}

fn serve(mut stream: TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    let mut is_chunked = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
        is_chunked |= line.starts_with("transfer-encoding:");
    }
    assert!(!is_chunked, "the command says how long its requests are");
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// A verb that shows what a host answers, and such an answer with every field that a host may send.
struct Verb {
    words: &'static str,
    answer: Vec<Value>,
    /// Stands before each answer in the body, and after it.
    framing: (&'static str, &'static str),
}

fn verb(words: &'static str, answer: Value) -> Verb {
    Verb { words, answer: vec![answer], framing: ("", "") }
}

fn deployed() -> Value {
    let digest = format!("sha256:{}", "0".repeat(64));
    json!({ "name": "f", "revision": 2, "digest": digest, "shape": "wasi-http", "state": "running" })
}

fn with(mut object: Value, more: Value) -> Value {
    let (Value::Object(object), Value::Object(more)) = (&mut object, more) else { panic!("two objects") };
    object.extend(more);
    Value::Object(std::mem::take(object))
}

fn side() -> Value {
    let headers = json!([{ "name": "n", "value": "v" }, { "name": "raw", "value_base64": "/w==" }]);
    json!({ "outcome": "emitted", "events": [{ "topic": "out", "key": "k", "value": "v", "headers": headers }] })
}

fn failed_side() -> Value {
    json!({ "outcome": "trap", "message": "why", "events": [] })
}

fn letter() -> Value {
    json!({
        "partition": 0, "offset": 9, "time": "now", "key": "k", "value_bytes": 1, "value_truncated": false,
        "class": "trap", "message": "why", "attempts": 3, "function": "f@1",
        "source": { "topic": "in", "partition": 2, "offset": 7, "time": "then" },
        "redriven": { "at": "later", "by": "f@2", "outcome": "emitted", "emitted": 1 }, "redriven_from": "f.dead/0/1",
    })
}

fn log_line() -> Value {
    json!({ "time": "now", "level": "warn", "revision": 2, "record": "in/0/7", "line": "text" })
}

fn tally(kind: &str) -> Value {
    json!({
        "kind": kind, "records": 9, "filtered": 1, "given_up": 1, "emitted": 8, "same": 7, "different": 0,
        "not_handled": 0, "written": 2,
    })
}

fn status() -> Value {
    let counters = json!({
        "received": 1, "filtered": 1, "succeeded": 1, "emitted": 1, "retried": 1, "dead_lettered": 0, "cold_starts": 1,
        "hot_starts": 1,
    });
    let partition = json!({
        "topic": "in", "partition": 0, "watermark": 1, "end": 2, "lag": 1, "in_flight": 1, "oldest_in_flight_ms": 5,
        "blocked_by": { "offset": 1, "key": "k", "why": "running" }, "stalled": "it waits",
    });
    json!({
        "name": "f", "revision": 1, "state": "stalled", "reason": "because", "partitions": [partition],
        "counters": counters, "shadow": 2,
    })
}

fn shadow() -> Value {
    let difference = |live: Value, shadow: Value| {
        json!({
            "topic": "in", "partition": 0, "offset": 7, "key": "k", "kind": "differs", "live": live, "shadow": shadow,
        })
    };
    let more = json!({
        "live": 1, "since": "then", "against": "recorded", "ignore": ["time"], "records": 9, "same": 7, "different": 2,
        "differs": 2, "live_only": 0, "shadow_only": 0, "shadow_failed": 0, "skipped": 0, "lag": 0,
        "partitions": [{ "topic": "in", "partition": 0, "offset": 1, "lag": 0 }], "trouble": "Kafka is away",
        "differences": [difference(side(), failed_side()), difference(failed_side(), side())],
    });
    with(deployed(), more)
}

fn lineage() -> Value {
    let effect = json!({
        "kind": "dead_letter", "topic": "f.dead", "partition": 0, "offset": 1, "id": "1", "type": "t", "source": "s",
        "function": "f", "revision": 1, "attempt": 2, "after_ms": 3, "redriven": true,
        "fault": { "class": "reject", "message": "no" },
    });
    json!({
        "root": { "kind": "event", "topic": "in", "partition": 0, "offset": 3, "id": "7", "type": "t", "effects": [effect] },
        "scan": { "topics": ["out"], "records": 2, "elapsed_ms": 5, "cut": ["at the limit"] },
    })
}

fn verbs() -> Vec<Verb> {
    let position = json!({ "topic": "t", "partition": 0, "offset": 3 });
    let listed = json!({
        "topics": ["in"], "topics_pattern": "in.*", "deployed_at": "now", "revisions": [1, 2], "restores": 1, "shadow": 2,
    });
    let revision = json!({ "module_bytes": 9, "deployed_at": "now", "live": true, "restores": 1 });
    let reset = json!({ "topic": "in", "partition": 0, "from": 3, "to": 1, "again": 2, "skipped": 0, "end": 4 });
    let used = json!({
        "function": "f", "invocations": 1, "calls": 1, "gb_seconds": 0.1, "cpu_seconds": 0.1, "wall_seconds": 1.0,
        "bytes_in": 1, "bytes_out": 1,
    });
    let redriven = json!({
        "name": "f", "revision": 1, "emitted": 1, "failed": 1, "passed_over": 0,
        "results": [
            { "partition": 0, "offset": 1, "outcome": "emitted", "emitted": 2 },
            { "partition": 0, "offset": 2, "outcome": "trap", "emitted": 0, "message": "why" },
        ],
    });
    let emission = json!({
        "output": "o", "topic": "out", "key": "k", "event": { "type": "t", "x": "y", "data": "d" },
        "headers": [{ "name": "n", "value": "v" }], "written": { "partition": 0, "offset": 1 },
    });
    let invoked = json!({
        "function": "f", "revision": 1, "outcome": "emitted", "emissions": [emission], "published": true, "start": "cold",
        "duration_ms": 1.5, "logs": [{ "level": "info", "line": "text" }],
    });
    let invocation_failed = json!({
        "function": "f", "revision": 1, "outcome": "trap", "message": "why\nmore", "emissions": [], "published": false,
        "duration_ms": 1.5, "logs": [],
    });
    let difference = json!({
        "kind": "difference", "partition": 0, "offset": 7, "key": "k", "expected": side(), "got": failed_side(),
    });
    let began = json!({ "kind": "began", "partitions": [{ "partition": 0, "from": 0, "to": 9 }], "offsets": 9 });
    let replay_failed = json!({ "kind": "failed", "problem": problem() });
    let lines = |lines: Vec<Value>| Verb { words: "replay f --topic in", answer: lines, framing: ("", "\n") };
    let letters = json!({ "name": "f", "topic": "f.dead", "letters": [letter()], "older": "0:5" });
    let alone = json!({ "value": "v", "headers": [{ "name": "n", "value": "v" }] });
    vec![
        verb("list", json!({ "functions": [with(deployed(), listed)] })),
        verb("status f", status()),
        verb("delete f", json!({ "name": "f" })),
        verb("deploy --manifest MANIFEST --module MODULE --wait", deployed()),
        verb(
            "deploy --manifest MANIFEST --module MODULE --shadow",
            with(deployed(), json!({ "live": 1, "since": "now" })),
        ),
        verb("invoke f --data x", invoked),
        verb("invoke f --data x", invocation_failed),
        verb("publish t --data x", position.clone()),
        verb("logs f", json!({ "lines": [log_line()] })),
        Verb { words: "logs f --follow", answer: vec![log_line()], framing: ("event: line\ndata: ", "\n\n") },
        Verb { words: "logs f --follow", answer: vec![json!(3)], framing: ("event: missed\ndata: ", "\n\n") },
        verb("revisions f", json!({ "name": "f", "revisions": [with(deployed(), revision)] })),
        verb("rollback f", deployed()),
        verb("shadow f", shadow()),
        verb("promote f", deployed()),
        verb("pause f", deployed()),
        verb("resume f", deployed()),
        verb(
            "reset f --to 1",
            json!({ "name": "f", "dry_run": false, "again": 2, "skipped": 0, "partitions": [reset] }),
        ),
        lines(vec![began.clone(), tally("progress"), difference, tally("ended")]),
        lines(vec![began, replay_failed]),
        verb("dlq list f", letters),
        verb("dlq show f 0/9", with(letter(), alone.clone())),
        verb("dlq show f 0/9", with(letter(), json!({ "value_truncated": true, "headers": [] }))),
        verb("dlq show f 0/9 --value", with(letter(), alone)),
        verb("dlq redrive f 0/1", redriven),
        verb("trigger f", position),
        verb("trace in/0/3", lineage()),
        verb("usage", json!({ "from": "then", "to": "now", "functions": [used] })),
        Verb { words: "usage --csv", answer: vec![json!("function,from")], framing: ("", "\r\n") },
    ]
}

/// Verbs that show no host's answer: what they print is the user's own, or tested beside them.
const LOCAL: [&str; 9] = ["serve", "demo", "dev", "new", "build", "test", "bench", "config", "completions"];

fn problem() -> Value {
    json!({ "type": "t", "title": "refused", "status": 400, "code": "MS0101", "remedy": "mend it", "detail": "why\nmore" })
}

/// `value` with the text at each place replaced by a hostile one, a place at a time.
fn poisoned(value: &Value) -> Vec<Value> {
    let mut results = Vec::new();
    match value {
        Value::String(_) => results.push(json!(HOSTILE)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for replaced in poisoned(item) {
                    let mut items = items.clone();
                    items[index] = replaced;
                    results.push(Value::Array(items));
                }
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                for replaced in poisoned(field) {
                    let mut fields = fields.clone();
                    fields[name] = replaced;
                    results.push(Value::Object(fields));
                }
            }
        }
        _ => {}
    }
    results
}

struct Scene {
    host: FakeHost,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("manifest.toml"), "name = \"f\"\ntopics = [\"in\"]").expect("written");
        std::fs::write(folder.path().join("f.wasm"), b"\0asm\x01\0\0\0").expect("written");
        Self { host: FakeHost::start(), folder }
    }

    fn words(&self, words: &str) -> Vec<String> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let word = |word: &str| match word {
            "MANIFEST" => path("manifest.toml"),
            "MODULE" => path("f.wasm"),
            word => word.to_owned(),
        };
        words.split(' ').map(word).collect()
    }

    /// Both streams of a verb, which are pipes.
    fn piped(&self, words: &str) -> (String, String) {
        let mut command = Command::new(binary());
        command.args(self.words(words)).env("MILLSTREAM_HOST", &self.host.address).stdin(Stdio::null());
        let output = command.output().expect("the binary runs");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        (text(&output.stdout), text(&output.stderr))
    }

    /// What a terminal gets from a verb.
    fn on_a_terminal(&self, words: &str) -> String {
        let mut command = Command::new("script");
        let words = format!("{} {}", binary().display(), self.words(words).join(" "));
        command.args(["--quiet", "--return", "--command", &words, "/dev/null"]).stdin(Stdio::null());
        // No colours and no progress bars, which are escape sequences of our own.
        command.env("TERM", "dumb").env("MILLSTREAM_HOST", &self.host.address);
        let output = command.output().expect("script, which `./run setup` installs");
        // The terminal itself puts the carriage return before each line's end.
        String::from_utf8(output.stdout).expect("text").replace("\r\n", "\n")
    }
}

#[track_caller]
fn check(output: &str, by: &str) {
    let is_printable = |letter: char| {
        letter == '\n' || letter == '\t' || !(letter.is_control() || HOSTILE.contains(letter) && !letter.is_ascii())
    };
    let wrong: Vec<char> = output.chars().filter(|letter| !is_printable(*letter)).collect();
    assert!(wrong.is_empty(), "{by}: {wrong:?} in {output:?}");
}

fn body(verb: &Verb, index: usize, poisoned: &Value) -> String {
    let frame = |value: &Value| {
        // The one answer that is not JSON.
        let text = value.as_str().filter(|_| verb.words.contains("--csv")).map(str::to_owned);
        format!("{}{}{}", verb.framing.0, text.unwrap_or_else(|| value.to_string()), verb.framing.1)
    };
    let answers = verb.answer.iter().enumerate();
    answers.map(|(at, answer)| frame(if at == index { poisoned } else { answer })).collect()
}

#[test]
fn no_answer_of_a_host_acts_on_a_terminal() {
    let scene = Scene::new();
    let verbs = verbs();
    for verb in &verbs {
        // As a host means it: each verb understands its answer.
        scene.host.answer(200, &body(verb, 0, &verb.answer[0]));
        let (_, stderr) = scene.piped(verb.words);
        assert!(!stderr.contains("MS0502"), "{}: {stderr}", verb.words);
        for (index, answer) in verb.answer.iter().enumerate() {
            for poisoned in poisoned(answer) {
                scene.host.answer(200, &body(verb, index, &poisoned));
                let by = format!("{} of {poisoned}", verb.words);
                if !verb.words.contains("--value") && !verb.words.contains("--csv") {
                    let (stdout, stderr) = scene.piped(verb.words);
                    check(&format!("{stdout}{stderr}"), &by);
                }
            }
        }
        for poisoned in poisoned(&problem()) {
            scene.host.answer(400, &poisoned.to_string());
            let (stdout, stderr) = scene.piped(verb.words);
            check(&format!("{stdout}{stderr}"), &format!("{} of {poisoned}", verb.words));
        }
    }
    let help = scene.piped("--help").0;
    let commands = help.split("Commands:").nth(1).and_then(|rest| rest.split("Options:").next()).expect("verbs");
    for named in commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()) {
        let is_tried = verbs.iter().any(|verb| verb.words.split(' ').next() == Some(named));
        let is_known = is_tried || LOCAL.contains(&named) || named.is_empty() || named == "help";
        assert!(is_known, "{named} is neither tried here nor local");
    }
}

/// The same where a terminal is, as JSON and byte for byte too.
#[test]
fn exact_output_is_escaped_on_a_terminal_only() {
    let scene = Scene::new();
    for verb in verbs() {
        let all: Vec<(usize, Value)> = verb
            .answer
            .iter()
            .enumerate()
            .flat_map(|(at, answer)| {
                // The last text of each answer is a free one, where there is any.
                poisoned(answer).pop().map(|poisoned| (at, poisoned))
            })
            .collect();
        for (index, poisoned) in all {
            scene.host.answer(200, &body(&verb, index, &poisoned));
            check(&scene.on_a_terminal(verb.words), &format!("{} of {poisoned}", verb.words));
            if verb.words.contains("--value") || verb.words.contains("--csv") {
                continue;
            }
            let words = format!("{} --json", verb.words);
            check(&scene.on_a_terminal(&words), &format!("{words} of {poisoned}"));
        }
    }
    let alone = with(letter(), json!({ "value": HOSTILE, "headers": [] }));
    scene.host.answer(200, &alone.to_string());
    assert_eq!(scene.piped("dlq show f 0/9 --value").0, HOSTILE);
    let json = scene.piped("dlq show f 0/9 --json").0;
    assert!(json.contains('\u{202e}'), "no terminal, nothing but what JSON itself escapes: {json}");
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), alone);
    let json = scene.on_a_terminal("dlq show f 0/9 --json");
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), alone, "escaped JSON is the same JSON");
}

/// A module that runs here: what it logs, emits and fails with.
#[test]
fn no_guest_acts_on_a_terminal() {
    let scene = Scene::new();
    let module = root().join("examples/target/wasm32-wasip2/release/uppercase.wasm");
    let input = scene.folder.path().join("input");
    std::fs::write(&input, HOSTILE).expect("written");
    for words in ["", " --json"] {
        let words = format!("invoke {} --data @{}{words}", module.display(), input.display());
        let shown = scene.on_a_terminal(&words);
        check(&shown, &words);
        assert!(shown.contains("END"), "{shown}");
    }
}
