//! CloudEvents' own SDK for Java on both sides of a function: what it wrote, it reads again.

use std::process::Command;

use millstream_tests::fixture::HostFixture;
use millstream_tests::skip::skipped;
use millstream_tests::{PROGRESS, root};
use serde_json::{Map, Value};

/// Runs the SDK; gives the events that it printed.
#[track_caller]
fn sdk(words: &[&str]) -> Vec<Map<String, Value>> {
    let built = root().join(".cache/foreign");
    let path = format!("{}:{}", built.join("classes").display(), built.join("lib/*").display());
    let mut java = Command::new("java");
    let output = java.args(["-Xmx256m", "-cp", &path, "Events"]).args(words).output().expect("java can be started");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The event with the numbers and booleans of its extensions as texts: what a header says is text, whatever it was.
fn normal(mut event: Map<String, Value>) -> Map<String, Value> {
    for name in ["count", "urgent"] {
        if let Some(value) = event.get_mut(name) {
            *value = Value::String(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    event
}

/// The same without what a host adds.
fn stripped(mut event: Map<String, Value>) -> Map<String, Value> {
    for name in ["millstreamcause", "millstreamfunction"] {
        assert!(event.remove(name).is_some(), "{name} is missing: {event:?}");
    }
    normal(event)
}

#[test]
fn events_of_the_java_sdk_pass_unchanged_in_both_modes() {
    if !root().join(".cache/foreign/.complete").exists() {
        return skipped("tests/foreign was not built on this machine; `./run test` says why");
    }
    for written_as in ["binary", "structured"] {
        let fixture = HostFixture::new(&format!("java-{written_as}"), 1);
        let bootstrap = &fixture.kafka.bootstrap;
        let written = sdk(&["write", bootstrap, &fixture.input, written_as]);
        assert_eq!(written.len(), 3);
        for read_as in ["binary", "structured"] {
            let (name, output) = (format!("{}-{read_as}", fixture.name), format!("{}.{read_as}", fixture.output));
            fixture.kafka.create_topic(&output, 1);
            let manifest = format!(
                "topics = [\"{}\"]\ninitial_offset = \"earliest\"\n\
                 outputs = {{ default = {{ topic = \"{output}\", format = \"{read_as}\" }} }}\n",
                fixture.input
            );
            fixture.host.client.deploy(&name, "pass-on", &manifest);
            fixture.host.client.wait_for_no_lag(&name, PROGRESS);
            let read = sdk(&["read", bootstrap, &output, "3"]);
            for (before, after) in written.iter().zip(read) {
                assert_eq!(stripped(after), normal(before.clone()), "written as {written_as}, read as {read_as}");
            }
        }
    }
}
