use clap::Parser;
use millstream_flat::{AnswerWriter, EmissionFields, EmissionKey};
use serde_json::{Value, json};

use crate::cli::invoke::*;
use crate::wasm::testing::guest;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    arguments: InvokeArgs,
}

/// A module that gives this answer to every request.
fn module(answer: &[u8]) -> tempfile::NamedTempFile {
    let bytes: String = answer.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let data = format!("(data (i32.const 65536) \"{bytes}\")");
    let module = guest(&data, &format!("(call $answer (i32.const 65536) (i32.const {}))", answer.len()));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), module).unwrap();
    file
}

fn invoke(module: &tempfile::NamedTempFile, words: &[&str]) -> (String, Result<(), VerbFailure>) {
    let path = module.path().to_str().unwrap();
    let command_line = CommandLine::try_parse_from(["invoke", path].iter().chain(words)).unwrap();
    let mut out = Vec::new();
    let result = run(&command_line.arguments, &mut out);
    (String::from_utf8(out).unwrap(), result)
}

fn code_and_detail(result: Result<(), VerbFailure>) -> (String, String) {
    match result {
        Err(VerbFailure::Reported(reported)) => (reported.code.clone(), reported.detail.clone()),
        other => panic!("{other:?}"),
    }
}

fn two_events() -> Vec<u8> {
    let mut answer = AnswerWriter::new();
    answer.begin_emitted();
    answer.emission(&EmissionFields {
        type_: Some("bid.placed"),
        datacontenttype: Some("application/json"),
        extensions: &[("lot", "7"), ("millstreamtopic", "forged")],
        data: Some(b"{\"amount\":5}"),
        ..EmissionFields::default()
    });
    answer.emission(&EmissionFields {
        output: "rejected",
        key: EmissionKey::Bytes(b"\xff"),
        headers: &[("why", Some(b"too low"))],
        data: Some(b"\x1b[31mred"),
        ..EmissionFields::default()
    });
    answer.end_emitted();
    answer.finish()
}

#[test]
fn scripts_get_every_event_as_json() {
    let (printed, result) = invoke(&module(&two_events()), &["--data", "x", "--key", "k", "--json"]);
    result.unwrap();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["outcome"], "emitted");
    assert_eq!(
        printed["events"],
        json!([
            {
                "output": "default", "key": "k", "headers": [], "data": { "amount": 5 },
                "attributes": { "type": "bid.placed", "datacontenttype": "application/json", "lot": "7" }
            },
            {
                "output": "rejected", "key_base64": "/w==", "headers": [{ "name": "why", "value": "too low" }],
                "attributes": {}, "data": "\u{1b}[31mred"
            }
        ])
    );
}

#[test]
fn people_get_lines_that_do_not_play_with_their_terminal() {
    let (printed, result) = invoke(&module(&two_events()), &["--data", "x"]);
    result.unwrap();
    assert_eq!(
        printed,
        "default\n  type: bid.placed\n  datacontenttype: application/json\n  lot: 7\n  {\"amount\":5}\n\
         rejected  key=base64:/w==\n  header why: too low\n  \\u{1b}[31mred\n"
    );
}

#[test]
fn a_reject_or_a_fault_is_a_failure_that_json_tells_too() {
    let mut answer = AnswerWriter::new();
    answer.reject("no such lot");
    let (printed, result) = invoke(&module(&answer.finish()), &["--data", "x", "--json"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&printed["outcome"], &printed["message"]), (&json!("reject"), &json!("no such lot")));
    assert_eq!(code_and_detail(result), ("MS0507".to_owned(), "reject: no such lot".to_owned()));

    let (_, result) = invoke(&module(b"nonsense"), &["--data", "x"]);
    assert!(code_and_detail(result).1.starts_with("invalid-answer: "));
}

#[test]
fn a_manifest_brings_its_outputs() {
    let manifest = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(manifest.path(), "name = \"f\"\ntopics = [\"in\"]\n[outputs]\ndefault = \"out\"").unwrap();
    let words = ["--data", "x", "--manifest", manifest.path().to_str().unwrap()];
    let (printed, result) = invoke(&module(&two_events()), &words);
    assert!(printed.is_empty(), "all or nothing: {printed}");
    assert!(code_and_detail(result).1.contains("no output \"rejected\""));
}

#[test]
fn what_is_no_component_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"\0asm\x01\0\0\0").unwrap();
    let (_, result) = invoke(&file, &["--data", "x"]);
    assert_eq!(code_and_detail(result).0, "MS0104");
}

fn called(answer: &str, words: &[&str]) -> (String, Result<(), VerbFailure>, String) {
    use crate::cli::testing::{CannedAnswer, FakeHost};
    let host = FakeHost::start(vec![CannedAnswer::new(200, answer)]);
    let address = host.arguments().host.to_string();
    let command_line =
        CommandLine::try_parse_from(["invoke", "f", "--data", "hello", "--host", &address].iter().chain(words))
            .unwrap();
    let mut out = Vec::new();
    let result = run(&command_line.arguments, &mut out);
    (String::from_utf8(out).unwrap(), result, host.requests()[0].line.clone())
}

#[test]
fn a_function_of_a_host_is_called_by_its_name() {
    let answer = json!({
        "function": "f", "revision": 3, "outcome": "emitted", "published": true, "start": "hot", "duration_ms": 0.5,
        "logs": [],
        "emissions": [{
            "output": "default", "topic": "out", "key": "k", "written": {"partition": 1, "offset": 7},
            "event": {"specversion": "1.0", "id": "1", "type": "t\u{1b}", "data": {"a": 1}},
            "headers": [{"name": "h", "value": "v"}],
        }],
    });
    let (printed, result, asked) = called(&answer.to_string(), &["--publish", "--key", "k"]);
    result.unwrap();
    assert_eq!(asked, "POST /v1/functions/f/invoke?publish=true&key=k HTTP/1.1");
    for part in ["default  key=k  out/1/7\n", "  type: t\\u{1b}\n", "  header h: v\n", "  {\"a\":1}\n"] {
        assert!(printed.contains(part), "{part:?} in {printed}");
    }
}

#[test]
fn a_rejected_event_is_a_failure() {
    let answer = json!({
        "function": "f", "revision": 1, "outcome": "reject", "message": "no lot", "published": false, "duration_ms": 0.1,
        "emissions": [], "logs": [],
    });
    let (printed, result, _) = called(&answer.to_string(), &["--json"]);
    assert_eq!(code_and_detail(result).1, "reject: no lot");
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["outcome"], "reject");
}

#[test]
fn options_of_the_other_kind_are_refused() {
    let module = module(&two_events());
    let path = module.path().to_str().unwrap();
    for words in [[path, "--data", "x", "--publish"].as_slice(), &["f", "--data", "x", "--manifest", "m.toml"]] {
        let command_line = CommandLine::try_parse_from(["invoke"].iter().chain(words)).unwrap();
        let (_, detail) = code_and_detail(run(&command_line.arguments, &mut Vec::new()));
        assert!(detail.contains("is for"), "{detail}");
    }
}
