//! Hosts that stop, die, come back and join.

use std::time::Duration;

use millstream_tests::fixture::{FunctionFixture, HostFixture};
use millstream_tests::host::Host;
use millstream_tests::{PROGRESS, kcat, oracle, wait_until};

/// Stops the first host in mid-stream with `stop`, starts another on its data, and gives what the outputs say.
fn interrupted(stem: &str, ordering: &str, stop: impl FnOnce(Host) -> tempfile::TempDir) -> oracle::OutputFindings {
    let fixture = HostFixture::new(stem, 4);
    let inputs = oracle::inputs(4_000, 50);
    let more = format!("ordering = \"{ordering}\"\nconcurrency = 8");
    fixture.deploy("uppercase", &more);
    let (first, second) = inputs.split_at(2_000);
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, first.to_vec());
    wait_until("some records went through", PROGRESS, || fixture.host.client.counter(&fixture.name, "succeeded") > 0);
    let (bootstrap, input) = (fixture.kafka.bootstrap.clone(), fixture.input.clone());
    let rest = second.to_vec();
    let producer = std::thread::spawn(move || {
        for part in rest.chunks(200) {
            kcat::produce(&bootstrap, &input, part.to_vec());
        }
    });
    std::thread::sleep(Duration::from_millis(150));
    let HostFixture { host, function } = fixture;
    let FunctionFixture { kafka, name, output, .. } = &function;
    let folder = stop(host);
    producer.join().expect("the producer ends");
    let host = Host::start_in(&kafka.bootstrap, name, folder);
    wait_until("the function runs again", PROGRESS, || host.client.status(name)["state"] == "running");
    host.client.wait_for_no_lag(name, PROGRESS);
    oracle::compare(&inputs, &kcat::read(&kafka.bootstrap, output))
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
    let fixture = HostFixture::new("second", 4);
    fixture.deploy("uppercase", "ordering = \"key\"");
    let second = fixture.function.host();
    let list = second.client.get("/v1/functions");
    assert!(list.contains(&format!("\"{}\"", fixture.name)), "{list}");
    wait_until("each host has two partitions", PROGRESS, || {
        fixture.host.client.partitions(&fixture.name) == 2 && second.client.partitions(&fixture.name) == 2
    });
    let inputs = oracle::inputs(5_000, 50);
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, inputs.clone());
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    second.client.wait_for_no_lag(&fixture.name, PROGRESS);
    for host in [&fixture.host, &second] {
        assert!(host.client.counter(&fixture.name, "succeeded") > 0, "both hosts work");
    }
    let findings = oracle::compare(&inputs, &kcat::read(&fixture.kafka.bootstrap, &fixture.output));
    assert_eq!((findings.lost.len(), findings.repeated, findings.out_of_order.len()), (0, 0, 0));
    let members = fixture.kafka.group(&fixture.group());
    let names: std::collections::BTreeSet<_> = members.iter().map(|partition| partition.member.clone()).collect();
    assert_eq!(names.len(), 2, "{members:?}");
    second.terminate();
    wait_until("the first host takes all back", PROGRESS, || fixture.host.client.partitions(&fixture.name) == 4);
}

#[test]
fn an_idle_host_with_ten_functions_is_small() {
    let fixture = HostFixture::new("ten", 4);
    for index in 0..10 {
        let name = format!("{}-{index}", fixture.name);
        let manifest = format!("topics = [\"{}\"]\noutputs = {{ default = \"{}\" }}", fixture.input, fixture.output);
        fixture.host.client.deploy(&name, "uppercase", &manifest);
    }
    std::thread::sleep(Duration::from_secs(2));
    let mib = fixture.host.resident_bytes() / (1 << 20);
    println!("idle host with ten functions: {mib} MiB");
    assert!(mib < 150, "{mib} MiB");
}

#[test]
fn a_deleted_function_leaves_no_group_and_can_come_back() {
    let fixture = HostFixture::new("deleted", 2);
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(10, 2));
    fixture.deploy("uppercase", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    assert_eq!(fixture.host.client.delete(&fixture.name), 204);
    let list = fixture.host.client.get("/v1/functions");
    assert!(!list.contains(&fixture.name), "{list}");
    wait_until("the old group is gone", PROGRESS, || {
        let manifest = format!(
            "name = \"{}\"\ntopics = [\"{}\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = \"{}\" }}",
            fixture.name, fixture.input, fixture.output
        );
        let (status, _) =
            fixture.host.client.put(&fixture.name, &manifest, millstream_tests::client::module("uppercase"));
        status == 201
    });
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    assert_eq!(kcat::read(&fixture.kafka.bootstrap, &fixture.output).len(), 20, "it started at the beginning again");
}
