use clap::Parser;
use millstream_flat::{AnswerWriter, EmissionFields};
use serde_json::Value;

use crate::cli::test::*;
use crate::wasm::testing::{guest, typed_guest};

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    arguments: TestArgs,
}

struct Project(tempfile::TempDir);

impl Project {
    fn new(module: &[u8], manifest: &str, fixture: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manifest = format!("name = \"f\"\ntopics = [\"in\"]\nmodule = \"f.wasm\"\n{manifest}");
        std::fs::write(folder.path().join("millstream.toml"), manifest).unwrap();
        std::fs::write(folder.path().join("f.wasm"), module).unwrap();
        std::fs::create_dir(folder.path().join("tests")).unwrap();
        let project = Self(folder);
        std::fs::write(project.fixture(), fixture).unwrap();
        project
    }

    fn fixture(&self) -> PathBuf {
        self.0.path().join("tests/cases.json")
    }

    fn test(&self, words: &[&str]) -> (String, Result<(), VerbFailure>) {
        let path = self.0.path().to_str().unwrap();
        let command_line = CommandLine::try_parse_from(["test", path].iter().chain(words)).unwrap();
        let mut out = Vec::new();
        let result = run(&command_line.arguments, &mut out);
        (String::from_utf8(out).unwrap(), result)
    }
}

/// A module that gives this answer to every request.
fn answering(answer: &[u8]) -> Arc<[u8]> {
    let bytes: String = answer.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let data = format!("(data (i32.const 65536) \"{bytes}\")");
    guest(&data, &format!("(call $answer (i32.const 65536) (i32.const {}))", answer.len()))
}

/// One event with JSON data.
fn emitting() -> Arc<[u8]> {
    let mut answer = AnswerWriter::new();
    answer.begin_emitted();
    answer.emission(&EmissionFields {
        type_: Some("sum"),
        datacontenttype: Some("application/json"),
        data: Some(b"{\"sum\":5,\"of\":[2,3]}"),
        ..EmissionFields::default()
    });
    answer.end_emitted();
    answering(&answer.finish())
}

const OUTPUT: &str = "[outputs]\ndefault = \"out\"\n";

fn code_and_detail(result: Result<(), VerbFailure>) -> (String, String) {
    match result {
        Err(VerbFailure::Reported(reported)) => (reported.code.clone(), reported.detail.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_expected_passes() {
    let fixture = r#"[
        { "name": "a sum", "event": { "key": "k", "data": "x" },
          "expect": [{ "key": "k", "attributes": { "type": "sum", "subject": null }, "data": { "sum": 5 } }] },
        { "name": "the whole of it", "event": { "data": "x" }, "exact": true,
          "expect": [{ "output": "default", "attributes": { "type": "sum", "datacontenttype": "application/json" },
                       "data": { "sum": 5, "of": [2, 3] } }] }]"#;
    let (printed, result) = Project::new(&emitting(), OUTPUT, fixture).test(&[]);
    result.unwrap();
    assert!(printed.contains("✓ cases › a sum"), "{printed}");
    assert!(printed.contains("\ntest: 2 passed, 0 failed in "), "{printed}");
}

#[test]
fn what_differs_is_shown_and_ends_with_one() {
    let fixture = r#"[
        { "name": "a sum", "event": { "data": "x" }, "expect": [{ "data": { "sum": 6 } }, {}] },
        { "name": "no failure", "event": { "data": "x" }, "expect": { "failure": "reject" } },
        { "name": "nothing yet", "event": { "data": "x" } }]"#;
    let project = Project::new(&emitting(), OUTPUT, fixture);
    let (printed, result) = project.test(&[]);
    assert_eq!(code_and_detail(result), ("MS0511".to_owned(), "3 of 3 cases failed".to_owned()));
    for expected in [
        "✗ cases › a sum",
        "    emission 1: data.sum\n      - 6\n      + 5\n    emission 2\n      - {}\n",
        "    outcome\n      - reject\n      + 1 emitted\n",
        "nothing is expected yet",
        "test: 0 passed, 3 failed",
    ] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    let (printed, _) = project.test(&["--json", "a sum"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&printed["failed"], &printed["cases"][0]["name"]), (&Value::from(1), &Value::from("a sum")));
    let problem = &printed["cases"][0]["steps"][0]["problems"][0];
    assert_eq!((&problem["expected"], &problem["actual"]), (&Value::from("6"), &Value::from("5")));
}

#[test]
fn filters_failures_outputs_and_attempts_are_those_of_a_host() {
    let fixture = r#"[
        { "name": "filtered", "event": { "attributes": { "type": "other" } }, "expect": { "filtered": true } },
        { "name": "in a row", "steps": [
            { "event": { "attributes": { "type": "a" }, "data": "d", "key": "k" },
              "expect": [{ "key": "k", "data": "d", "attributes": { "id": "1" } }] },
            { "event": { "attributes": { "type": "a", "id": "2" }, "attempt": 2 },
              "expect": { "failure": "reject", "message": "2" } },
            { "event": { "attributes": { "type": "a" }, "attempt": 3 },
              "expect": { "failure": "retry", "retry_after_ms": 7 } },
            { "event": { "attributes": { "type": "a" }, "attempt": 4 }, "expect": { "failure": "trap" } }] },
        { "name": "no event", "event": { "headers": { "ce_specversion": "9" } },
          "expect": { "failure": "undecodable", "message": "specversion" } }]"#;
    let manifest = format!("{OUTPUT}[[filters]]\nexact = {{ type = \"a\" }}\n");
    let project = Project::new(&typed_guest(), &manifest, fixture);
    let (printed, result) = project.test(&[]);
    assert!(result.is_ok(), "{printed}");

    let no_output = Project::new(
        &typed_guest(),
        "",
        r#"{ "name": "none", "event": {}, "expect": { "failure": "unknown-output" } }"#,
    );
    let (printed, result) = no_output.test(&[]);
    assert!(result.is_ok(), "{printed}");
}

#[test]
fn an_update_writes_what_came_out_and_leaves_the_rest() {
    let fixture = r#"[
  // no comment
  { "name": "right",   "event": { "data": "x" }, "expect": [ { "data": {"sum": 5} } ] },
  {
    "name": "wrong",
    "event": { "data": "x" },
    "expect": [{ "data": { "sum": 6 } }]
  },
  {
    "name": "new",
    "event": { "data":   "x" }
  }
]"#
    .replace("  // no comment\n", "");
    let project = Project::new(&emitting(), OUTPUT, &fixture);
    let (printed, result) = project.test(&["--update"]);
    result.unwrap();
    assert!(printed.contains("~ cases › wrong") && printed.contains("1 passed, 2 updated, 0 failed"), "{printed}");
    let updated = std::fs::read_to_string(project.fixture()).unwrap();
    assert!(
        updated.contains(r#"  { "name": "right",   "event": { "data": "x" }, "expect": [ { "data": {"sum": 5} } ] },"#)
    );
    let named = "    \"expect\": [\n      {\n        \"data\": {\n          \"sum\": 5\n        }\n      }\n    ]\n";
    assert!(updated.contains(named), "{updated}");
    assert!(updated.contains("    \"event\": { \"data\":   \"x\" },\n    \"expect\": [\n      {\n"), "{updated}");
    let (printed, result) = project.test(&[]);
    assert!(result.is_ok(), "{printed}");
    assert_eq!(std::fs::read_to_string(project.fixture()).unwrap(), updated);
}

#[test]
fn what_is_no_fixture_is_told_with_its_place() {
    for (fixture, expected) in [
        ("[", "EOF"),
        (r#"{ "name": "a", "event": {}, "expct": [] }"#, "unknown field `expct`"),
        (r#"{ "name": "a" }"#, "case \"a\": give it one `event`"),
        (r#"{ "name": "a", "event": { "dat": 1 } }"#, "case \"a\": event: unknown field `dat`"),
        (
            r#"{ "name": "a", "steps": [{ "event": {} }, { "event": {}, "expect": 3 }] }"#,
            "case \"a\", step 2: expect: ",
        ),
    ] {
        let project = Project::new(&emitting(), OUTPUT, fixture);
        let (code, detail) = code_and_detail(project.test(&[]).1);
        assert!(code == "MS0512" && detail.contains(expected) && detail.contains("cases.json"), "{fixture}: {detail}");
    }
    let project = Project::new(&emitting(), OUTPUT, r#"{ "name": "a", "event": {} }"#);
    assert!(code_and_detail(project.test(&["other"]).1).1.contains("no case has \"other\""));
    std::fs::remove_file(project.fixture()).unwrap();
    assert!(code_and_detail(project.test(&[]).1).1.contains("has no tests/*.json"));
}
