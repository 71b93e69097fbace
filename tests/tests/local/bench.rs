//! `millstream bench` on the examples: what it prints for scripts, and that the numbers are of this world.

use std::process::{Command, Output};

use millstream_tests::{host::binary, root};
use serde_json::Value;

#[track_caller]
fn bench(words: &[&str]) -> Output {
    let mut command = Command::new(binary());
    let output = command.current_dir(root()).arg("bench").args(words).output().expect("the binary can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {stderr}");
    output
}

#[track_caller]
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("stdout is JSON and nothing else")
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn starts_are_told_in_this_form_and_take_microseconds() {
    let module = "examples/target/wasm32-wasip2/release/uppercase.wasm";
    let report = json(&bench(&["start", module, "--json"]));
    assert_eq!(keys(&report), ["cold_us", "compile_ms", "hot_us", "memory_bytes", "shape"]);
    for start in ["cold_us", "hot_us"] {
        assert_eq!(keys(&report[start]), ["p50", "p99"]);
        let (p50, p99) =
            (report[start]["p50"].as_f64().expect("a number"), report[start]["p99"].as_f64().expect("a number"));
        assert!(0.0 < p50 && p50 <= p99 && p50 < 50.0, "{report}");
    }
    assert_eq!(report["shape"], "millstream-batch");
    assert!(report["compile_ms"].as_f64().is_some_and(|took| took > 0.0), "{report}");
    assert!(report["memory_bytes"].as_u64().is_some_and(|bytes| bytes >= 65_536), "{report}");
}

#[test]
fn an_event_that_is_refused_is_said() {
    let module = "examples/target/wasm32-wasip2/release/faults.wasm";
    let output = bench(&["start", module, "--data", "trap", "--rounds", "20"]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(stderr.contains("trap") && stderr.contains("called once"), "{stderr}");
    assert!(stdout.contains("cold start"), "{stdout}");
}

#[test]
fn every_record_is_accounted_for() {
    let report =
        json(&bench(&["run", "examples/place-bid", "--no-build", "--records", "1001", "--batch", "7", "--json"]));
    // The fixtures hold four events: two that emit, one that is rejected, one that is filtered.
    let count = |of: &Value| of.as_u64().expect("a count");
    assert_eq!((count(&report["records"]), count(&report["batch"])), (1001, 7));
    let sum = count(&report["emitted"]) + count(&report["filtered"]) + count(&report["failed"]["reject"]);
    assert_eq!(sum, 1001, "{report}");
    assert!(report["records_per_second"].as_u64().is_some_and(|rate| rate > 1000), "{report}");
}

#[test]
fn perf_is_told_the_names_of_the_guests_functions() {
    let output = bench(&["run", "examples/uppercase", "--no-build", "--records", "10", "--perf"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let map = stderr.lines().find_map(|line| line.strip_prefix("the guest's functions are named in "));
    let map = map.unwrap_or_else(|| panic!("{stderr}"));
    let names = std::fs::read_to_string(map).expect("the map was written");
    std::fs::remove_file(map).expect("it was ours");
    assert!(names.contains("millstream:function/batch"), "{}", &names[..names.len().min(500)]);
}
