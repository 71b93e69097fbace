//! Hosts that stop, die, come back and join.

use std::time::Duration;

use millstream_tests::host::Host;
use millstream_tests::{kcat, oracle, wait_until};

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);

/// Stops the first host in mid-stream with `stop`, starts another on its data, and gives what the outputs say.
fn interrupted(stem: &str, ordering: &str, stop: impl FnOnce(Host) -> tempfile::TempDir) -> oracle::Findings {
    let setting = Setting::new(stem, 4);
    let inputs = oracle::inputs(4_000, 50);
    let more = format!("ordering = \"{ordering}\"\nconcurrency = 8");
    setting.deploy("uppercase", &more);
    let (first, second) = inputs.split_at(2_000);
    kcat::produce(&setting.kafka.bootstrap, &setting.input, first.to_vec());
    wait_until("some records went through", LONG, || setting.host.client.counter(&setting.name, "succeeded") > 0);
    let (bootstrap, input) = (setting.kafka.bootstrap.clone(), setting.input.clone());
    let rest = second.to_vec();
    let producer = std::thread::spawn(move || {
        for part in rest.chunks(200) {
            kcat::produce(&bootstrap, &input, part.to_vec());
        }
    });
    std::thread::sleep(Duration::from_millis(150));
    let Setting { host, kafka, prefix, name, output, turn: _turn, .. } = setting;
    let folder = stop(host);
    producer.join().expect("the producer ends");
    let host = Host::start_in(&kafka.bootstrap, &prefix, folder);
    wait_until("the function runs again", LONG, || host.client.status(&name)["state"] == "running");
    host.client.wait_for_no_lag(&name, LONG);
    oracle::compare(&inputs, &kcat::read(&kafka.bootstrap, &output))
}

#[test]
fn a_host_that_is_stopped_loses_and_repeats_nothing() {
    for ordering in ["key", "partition"] {
        let findings = interrupted("stopped", ordering, Host::terminate);
        assert_eq!((findings.lost.len(), findings.repeated, findings.foreign.len()), (0, 0, 0), "{ordering}");
        assert_eq!(findings.out_of_order, []);
    }
}

#[test]
fn a_host_that_is_killed_loses_nothing() {
    let findings = interrupted("killed", "key", Host::kill);
    assert_eq!((findings.lost.len(), findings.foreign.len()), (0, 0));
    assert_eq!(findings.out_of_order, []);
}

#[test]
fn a_second_host_takes_half_and_knows_every_function() {
    let setting = Setting::new("second", 4);
    setting.deploy("uppercase", "ordering = \"key\"");
    let second = Host::start(&setting.kafka.bootstrap, &setting.prefix);
    let list = second.client.get("/v1/functions");
    assert!(list.contains(&format!("\"{}\"", setting.name)), "{list}");
    wait_until("each host has two partitions", LONG, || {
        setting.host.client.partitions(&setting.name) == 2 && second.client.partitions(&setting.name) == 2
    });
    let inputs = oracle::inputs(5_000, 50);
    kcat::produce(&setting.kafka.bootstrap, &setting.input, inputs.clone());
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    second.client.wait_for_no_lag(&setting.name, LONG);
    for host in [&setting.host, &second] {
        assert!(host.client.counter(&setting.name, "succeeded") > 0, "both hosts work");
    }
    let findings = oracle::compare(&inputs, &kcat::read(&setting.kafka.bootstrap, &setting.output));
    assert_eq!((findings.lost.len(), findings.repeated, findings.out_of_order.len()), (0, 0, 0));
    let members = setting.kafka.group(&setting.group());
    let names: std::collections::BTreeSet<_> = members.iter().map(|partition| partition.member.clone()).collect();
    assert_eq!(names.len(), 2, "{members:?}");
    second.terminate();
    wait_until("the first host takes all back", LONG, || setting.host.client.partitions(&setting.name) == 4);
}

#[test]
fn an_idle_host_with_ten_functions_is_small() {
    let setting = Setting::new("ten", 4);
    for index in 0..10 {
        let name = format!("{}-{index}", setting.name);
        let manifest = format!("topics = [\"{}\"]\noutputs = {{ default = \"{}\" }}", setting.input, setting.output);
        setting.host.client.deploy(&name, "uppercase", &manifest);
    }
    std::thread::sleep(Duration::from_secs(2));
    let mib = setting.host.resident_bytes() / (1 << 20);
    println!("idle host with ten functions: {mib} MiB");
    assert!(mib < 150, "{mib} MiB");
}

#[test]
fn a_deleted_function_leaves_no_group_and_can_come_back() {
    let setting = Setting::new("deleted", 2);
    kcat::produce(&setting.kafka.bootstrap, &setting.input, oracle::inputs(10, 2));
    setting.deploy("uppercase", "");
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    assert_eq!(setting.host.client.delete(&setting.name), 204);
    let list = setting.host.client.get("/v1/functions");
    assert!(!list.contains(&setting.name), "{list}");
    wait_until("the old group is gone", LONG, || {
        let manifest = format!(
            "name = \"{}\"\ntopics = [\"{}\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = \"{}\" }}",
            setting.name, setting.input, setting.output
        );
        let (status, _) =
            setting.host.client.put(&setting.name, &manifest, millstream_tests::client::module("uppercase"));
        status == 201
    });
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    assert_eq!(kcat::read(&setting.kafka.bootstrap, &setting.output).len(), 20, "it started at the beginning again");
}
