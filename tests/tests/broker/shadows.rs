//! Revisions that run beside the live one, their outputs fenced off.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use millstream_tests::flow::Flow;
use millstream_tests::host::{Host, binary};
use millstream_tests::{kcat, oracle, root, wait_until};
use serde_json::Value;

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(120);

/// Runs a verb; gives its exit code and what it says on stdout and on stderr.
fn cli(host: &Host, words: &[&str]) -> (Option<i32>, String, String) {
    let command = Command::new(binary()).args(words).env("MILLSTREAM_HOST", host.client.base()).output();
    let output = command.expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn succeeds(host: &Host, words: &[&str]) -> String {
    let (code, told, errors) = cli(host, words);
    assert_eq!(code, Some(0), "{words:?}: {told} {errors}");
    told
}

#[track_caller]
fn fails(host: &Host, words: &[&str], code: &str) {
    let (exit, _, errors) = cli(host, words);
    assert!(exit == Some(1) && errors.contains(code), "{words:?}: {exit:?}: {errors}");
}

/// Deploys an example as the shadow of the setting's function; gives what the command says.
#[track_caller]
fn cast_with(setting: &Setting, example: &str, manifest: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("millstream.toml");
    std::fs::write(&file, format!("name = \"{}\"\n{manifest}", setting.name)).expect("written");
    let module = format!("examples/target/wasm32-wasip2/release/{}.wasm", example.replace('-', "_"));
    let (file, module) = (file.to_string_lossy().into_owned(), root().join(module).to_string_lossy().into_owned());
    succeeds(&setting.host, &["deploy", "--manifest", &file, "--module", &module, "--shadow"])
}

/// The same between the setting's topics.
#[track_caller]
fn cast(setting: &Setting, example: &str, more: &str) -> String {
    cast_with(setting, example, &setting.manifest(more))
}

fn report(host: &Host, name: &str) -> Value {
    serde_json::from_str(&host.client.get(&format!("/v1/functions/{name}/shadow"))).expect("JSON")
}

/// Waits until so many records are compared; gives the report.
#[track_caller]
fn compared(setting: &Setting, records: usize) -> Value {
    let mut told = Value::Null;
    let mut last = 0;
    wait_until(&format!("{records} records are compared"), LONG, || {
        told = report(&setting.host, &setting.name);
        let seen = told["records"].as_u64().unwrap_or_default();
        assert!(seen >= last && seen <= records as u64, "{seen} after {last}: {told}");
        last = seen;
        seen == records as u64 && told["lag"] == 0
    });
    assert_eq!(told["skipped"], 0, "{told}");
    told
}

/// By input partition and offset: the value of each record of a topic.
fn values(setting: &Setting) -> BTreeMap<(i32, i64), String> {
    let records = kcat::read_without_headers(&setting.kafka.bootstrap, &setting.input);
    records.iter().map(|record| ((record.partition, record.offset), record.text().to_owned())).collect()
}

/// The places of the differences of a kind.
fn places(told: &Value, kind: &str) -> BTreeSet<(i32, i64)> {
    let differences = told["differences"].as_array().expect("a list");
    let of_kind = differences.iter().filter(|difference| difference["kind"] == kind);
    let place = |at: &Value| Some((i32::try_from(at["partition"].as_i64()?).ok()?, at["offset"].as_i64()?));
    of_kind.map(|difference| place(difference).expect("a place")).collect()
}

/// Only what the live revision did is in the topics and in the group, all of it.
#[track_caller]
fn assert_only_the_live_one_was_there(setting: &Setting, records: usize, emitted: usize, dead: usize) {
    wait_until("all is committed", LONG, || {
        setting.kafka.group(&setting.group()).iter().map(|place| place.committed).sum::<i64>() == records as i64
    });
    let stamp = format!("{}@1", setting.name);
    let outputs = kcat::read(&setting.kafka.bootstrap, &setting.output);
    assert_eq!(outputs.len(), emitted);
    assert!(outputs.iter().all(|record| record.header("ce_millstreamfunction") == Some(&stamp)));
    let letters = kcat::read(&setting.kafka.bootstrap, &setting.dead());
    assert_eq!(letters.len(), dead);
    assert!(letters.iter().all(|record| record.header("millstream-function") == Some(&stamp)));
    let members: BTreeSet<_> =
        setting.kafka.group(&setting.group()).into_iter().map(|partition| partition.member).collect();
    assert_eq!(members.len(), 1, "the host is one member, as before: {members:?}");
}

/// The shadow has another environment, and keeps one key away: exactly those records differ.
#[test]
fn a_shadow_tells_exactly_the_records_that_differ() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let setting = Setting::new("shadowed", 4);
        let more = format!(
            "ordering = \"key\"\nprocessing_guarantee = \"{guarantee}\"\nretry = {{ max_attempts = 2, backoff = \"10ms\" }}"
        );
        let before = oracle::commands(500, 20, |_| "ok");
        setting.deploy("faults", &more);
        kcat::produce(&setting.kafka.bootstrap, &setting.input, before);
        setting.host.client.wait_for_no_lag(&setting.name, LONG);
        let filtered =
            format!("{more}\nenv = {{ REGION = \"eu\" }}\n[[filters]]\nnot = {{ exact = {{ subject = \"rare\" }} }}");
        let told = cast(&setting, "faults", &filtered);
        assert!(told.ends_with(&format!("is the shadow of {}@1\n", setting.name)), "{told}");
        assert_eq!(setting.host.client.status(&setting.name)["shadow"], 2);

        let record = |index: usize| match index {
            _ if index % 500 == 7 => ("rare".to_owned(), format!("ok:{index}")),
            _ if index % 400 == 3 => (format!("k{}", index % 20), "env".to_owned()),
            _ if index % 700 == 5 => (format!("k{}", index % 20), "trap".to_owned()),
            _ if index % 600 == 9 => (format!("k{}", index % 20), "flaky:2".to_owned()),
            _ => (format!("k{}", index % 20), format!("ok:{index}")),
        };
        for part in (0..2000).map(record).collect::<Vec<_>>().chunks(250) {
            kcat::produce(&setting.kafka.bootstrap, &setting.input, part.to_vec());
        }
        let told = compared(&setting, 2000);
        assert_eq!((&told["different"], &told["same"]), (&9.into(), &1991.into()), "{guarantee}: {told}");
        let is = |wanted: fn(&str) -> bool| -> BTreeSet<_> {
            values(&setting).into_iter().filter(|(_, value)| wanted(value)).map(|(place, _)| place).collect()
        };
        assert_eq!(places(&told, "differs"), is(|value| value == "env"), "{told}");
        let rare = is(|value| ["ok:7", "ok:507", "ok:1007", "ok:1507"].contains(&value));
        assert_eq!(places(&told, "live_only"), rare, "{told}");
        let differing = &told["differences"].as_array().expect("a list").iter().find(|at| at["kind"] == "differs");
        let differing = differing.expect("there is one");
        assert_ne!(differing["live"]["events"][0]["value"], differing["shadow"]["events"][0]["value"], "{differing}");
        let shown = succeeds(&setting.host, &["shadow", &setting.name]);
        assert!(shown.contains("2000 records: 1991 the same, 9 different"), "{shown}");
        fails(&setting.host, &["shadow", &setting.name, "--check"], "MS0242");
        fails(&setting.host, &["promote", &setting.name, "--if-same"], "MS0242");
        assert_only_the_live_one_was_there(&setting, 2500, 2497, 3);
    }
}

/// The switch is exact: in each partition, what lies before an offset is stamped with one revision, the rest with the other.
#[test]
fn a_promotion_switches_between_two_records() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let setting = Setting::new("promoted", 4);
        let more = format!("ordering = \"key\"\nconcurrency = 8\nprocessing_guarantee = \"{guarantee}\"");
        setting.deploy("uppercase", &more);
        fails(&setting.host, &["promote", &setting.name], "MS0241");
        cast(&setting, "uppercase", &format!("{more}\n[limits]\nmemory = \"64MiB\""));
        fails(&setting.host, &["promote", &setting.name, "--if-same"], "MS0242");
        let inputs = oracle::inputs(24_000, 60);
        let flow = Flow::start(&setting.kafka.bootstrap, &setting.input, inputs.clone(), 1500);
        wait_until("some records were compared", LONG, || {
            report(&setting.host, &setting.name)["records"].as_u64() > Some(0)
        });
        let tagged = [("If-Match", "\"2\"")];
        let path = format!("/v1/functions/{}/promote", setting.name);
        assert_eq!(setting.host.client.send("POST", &path, &tagged, "").0, 412, "the shadow is not live");
        assert!(!flow.is_over(), "records flow while it is promoted");
        let told = succeeds(&setting.host, &["promote", &setting.name, "--if-same"]);
        assert_eq!(told, format!("{} is at revision 2 now\n", setting.name));
        flow.finish();
        setting.host.client.wait_for_no_lag(&setting.name, LONG);

        let outputs = kcat::read(&setting.kafka.bootstrap, &setting.output);
        let findings = oracle::compare(&inputs, &outputs);
        assert_eq!((findings.lost.len(), findings.repeated, findings.foreign.len()), (0, 0, 0), "{guarantee}");
        assert_eq!(findings.out_of_order, [], "{guarantee}");
        let mut offsets: BTreeMap<String, BTreeMap<String, Vec<i64>>> = BTreeMap::new();
        for record in &outputs {
            let cause = record.header("ce_millstreamcause").expect("a cause");
            let (partition, offset) = cause.rsplit_once('/').expect("a place");
            let stamp = record.header("ce_millstreamfunction").expect("a stamp").to_owned();
            let of_partition = offsets.entry(partition.to_owned()).or_default();
            of_partition.entry(stamp).or_default().push(offset.parse().expect("an offset"));
        }
        let stamps: BTreeSet<&String> = offsets.values().flat_map(BTreeMap::keys).collect();
        let (old, new) = (format!("{}@1", setting.name), format!("{}@2", setting.name));
        assert_eq!(stamps, BTreeSet::from([&old, &new]), "{guarantee}");
        for (partition, stamped) in &offsets {
            let last = stamped.get(&old).and_then(|offsets| offsets.iter().max());
            let first = stamped.get(&new).and_then(|offsets| offsets.iter().min());
            assert!(last < first || first.is_none(), "{guarantee}: {partition}: {last:?} {first:?}");
        }
        fails(&setting.host, &["shadow", &setting.name], "MS0241");
        let status = setting.host.client.status(&setting.name);
        assert_eq!((&status["revision"], status.get("shadow")), (&2.into(), None), "{status}");
    }
}

/// It traps, takes all memory, and runs for ever: that is told, and nothing else comes of it.
#[test]
fn a_shadow_that_fails_on_each_record_harms_nothing() {
    let setting = Setting::new("harmless", 2);
    setting.deploy("uppercase", "ordering = \"key\"");
    let limits = "ordering = \"key\"\nretry = { max_attempts = 1 }\n[limits]\ntimeout = \"300ms\"\nmemory = \"16MiB\"";
    cast(&setting, "faults", limits);
    // The last three records of every third key fare worse than all others.
    let inputs = oracle::commands(600, 30, |index| match (index / 30, index % 3) {
        (17, 0) => "loop",
        (18, 0) => "sleep",
        (19, 0) => "memory",
        _ => "trap",
    });
    kcat::produce(&setting.kafka.bootstrap, &setting.input, inputs.clone());
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    let findings = oracle::compare(&inputs, &kcat::read(&setting.kafka.bootstrap, &setting.output));
    assert_eq!((findings.lost.len(), findings.repeated, findings.foreign.len()), (0, 0, 0));
    let told = compared(&setting, 600);
    assert_eq!((&told["shadow_failed"], &told["different"]), (&600.into(), &600.into()), "{told}");
    let differences = told["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 100, "the last ones are kept");
    let classes: BTreeSet<_> = differences.iter().filter_map(|at| at["shadow"]["outcome"].as_str()).collect();
    assert_eq!(classes, BTreeSet::from(["memory", "timeout", "trap"]));
    assert_only_the_live_one_was_there(&setting, 600, 600, 0);
    let counters = setting.host.client.status(&setting.name)["counters"].clone();
    assert_eq!((&counters["succeeded"], &counters["retried"]), (&600.into(), &0.into()), "{counters}");
}

/// What was counted outlives the host, and every host tells it.
#[test]
fn a_shadow_outlives_its_host_until_it_is_stopped() {
    let mut setting = Setting::new("lasting", 4);
    let filtered = "ordering = \"key\"\n[[filters]]\nnot = { exact = { subject = \"k001\" } }";
    setting.deploy("uppercase", "ordering = \"key\"");
    cast(&setting, "uppercase", filtered);
    kcat::produce(&setting.kafka.bootstrap, &setting.input, oracle::inputs(300, 30));
    assert_eq!(compared(&setting, 300)["live_only"], 10);

    setting.host.restart();
    setting.host.wait_until_ready();
    wait_until("it is there again", LONG, || setting.host.client.status(&setting.name)["shadow"] == 2);
    assert_eq!(compared(&setting, 300)["live_only"], 10, "what was counted is kept");
    kcat::produce(&setting.kafka.bootstrap, &setting.input, oracle::inputs(300, 30));
    assert_eq!(compared(&setting, 600)["live_only"], 20);

    let second = Host::start(&setting.kafka.bootstrap, &setting.prefix);
    wait_until("each host has two partitions", LONG, || {
        setting.host.client.partitions(&setting.name) == 2 && second.client.partitions(&setting.name) == 2
    });
    kcat::produce(&setting.kafka.bootstrap, &setting.input, oracle::inputs(300, 30));
    assert_eq!(compared(&setting, 900)["live_only"], 30, "both hosts compare");
    assert_eq!(report(&second, &setting.name)["records"], 900, "and tell it");
    assert_eq!(
        succeeds(&second, &["shadow", &setting.name, "--stop"]),
        format!("the shadow of {} is stopped\n", setting.name)
    );
    wait_until("the other host has heard of it", LONG, || {
        setting.host.client.status(&setting.name).get("shadow").is_none()
    });
    fails(&setting.host, &["shadow", &setting.name], "MS0241");
    let shadow_group = format!("{}.shadow.2", setting.group());
    wait_until("nothing of it is left", LONG, || !setting.kafka.has_group(&shadow_group));
}

/// A raw record does not say what it was emitted for.
#[test]
fn where_outputs_are_raw_the_live_revision_is_run_again() {
    let setting = Setting::new("rawly", 2);
    let manifest = |more: &str| {
        format!(
            "topics = [\"{}\"]\ninitial_offset = \"earliest\"\n{more}\n[outputs.default]\ntopic = \"{}\"\nformat = \"raw\"",
            setting.input, setting.output
        )
    };
    setting.host.client.deploy(&setting.name, "faults", &manifest(""));
    cast_with(&setting, "faults", &manifest("env = { REGION = \"eu\" }"));
    let inputs = oracle::commands(200, 10, |index| if index % 50 == 3 { "env" } else { "ok" });
    kcat::produce(&setting.kafka.bootstrap, &setting.input, inputs);
    let told = compared(&setting, 200);
    assert_eq!(
        (&told["against"], &told["differs"], &told["different"]),
        (&"live".into(), &4.into(), &4.into()),
        "{told}"
    );
    assert_eq!(kcat::read_without_headers(&setting.kafka.bootstrap, &setting.output).len(), 200);
}
