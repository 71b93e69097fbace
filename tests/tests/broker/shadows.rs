//! Shadows: revisions that run beside the live one without writing outputs.

use std::collections::{BTreeMap, BTreeSet};

use millstream_tests::fixture::HostFixture;
use millstream_tests::host::Host;
use millstream_tests::paced_producer::PacedProducer;
use millstream_tests::{SLOW_PROGRESS, cli, kcat, oracle, root, wait_until};
use serde_json::Value;

/// Deploys an example as the shadow of the fixture's function; returns the output of the command.
#[track_caller]
fn deploy_shadow_with(fixture: &HostFixture, example: &str, manifest: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("millstream.toml");
    std::fs::write(&file, format!("name = \"{}\"\n{manifest}", fixture.name)).expect("written");
    let module = format!("examples/target/wasm32-wasip2/release/{}.wasm", example.replace('-', "_"));
    let (file, module) = (file.to_string_lossy().into_owned(), root().join(module).to_string_lossy().into_owned());
    cli::succeed(&fixture.host, &["deploy", "--manifest", &file, "--module", &module, "--shadow"])
}

/// The same between the fixture's topics.
#[track_caller]
fn deploy_shadow(fixture: &HostFixture, example: &str, more: &str) -> String {
    deploy_shadow_with(fixture, example, &fixture.manifest(more))
}

fn report(host: &Host, name: &str) -> Value {
    serde_json::from_str(&host.client.get(&format!("/v1/functions/{name}/shadow"))).expect("JSON")
}

/// Waits until so many records are compared; gives the report.
#[track_caller]
fn compared(fixture: &HostFixture, records: usize) -> Value {
    let mut summary = Value::Null;
    let mut last = 0;
    wait_until(&format!("{records} records are compared"), SLOW_PROGRESS, || {
        summary = report(&fixture.host, &fixture.name);
        let seen = summary["records"].as_u64().unwrap_or_default();
        assert!(seen >= last && seen <= records as u64, "{seen} after {last}: {summary}");
        last = seen;
        seen == records as u64 && summary["lag"] == 0
    });
    assert_eq!(summary["skipped"], 0, "{summary}");
    summary
}

/// By input partition and offset: the value of each record of a topic.
fn values(fixture: &HostFixture) -> BTreeMap<(i32, i64), String> {
    let records = kcat::read_without_headers(&fixture.kafka.bootstrap, &fixture.input);
    records.iter().map(|record| ((record.partition, record.offset), record.text().to_owned())).collect()
}

/// The places of the differences of a kind.
fn places(summary: &Value, kind: &str) -> BTreeSet<(i32, i64)> {
    let differences = summary["differences"].as_array().expect("a list");
    let of_kind = differences.iter().filter(|difference| difference["kind"] == kind);
    let place = |at: &Value| Some((i32::try_from(at["partition"].as_i64()?).ok()?, at["offset"].as_i64()?));
    of_kind.map(|difference| place(difference).expect("a place")).collect()
}

/// Only what the live revision did is in the topics and in the group, all of it.
#[track_caller]
fn assert_only_the_live_one_was_there(fixture: &HostFixture, records: usize, emitted: usize, dead: usize) {
    wait_until("all is committed", SLOW_PROGRESS, || {
        fixture.kafka.group(&fixture.group()).iter().map(|place| place.committed).sum::<i64>() == records as i64
    });
    let stamp = format!("{}@1", fixture.name);
    let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
    assert_eq!(outputs.len(), emitted);
    assert!(outputs.iter().all(|record| record.header("ce_millstreamfunction") == Some(&stamp)));
    let letters = kcat::read(&fixture.kafka.bootstrap, &fixture.dead());
    assert_eq!(letters.len(), dead);
    assert!(letters.iter().all(|record| record.header("millstream-function") == Some(&stamp)));
    let members: BTreeSet<_> =
        fixture.kafka.group(&fixture.group()).into_iter().map(|partition| partition.member).collect();
    assert_eq!(members.len(), 1, "the host is one member, as before: {members:?}");
}

/// The shadow has another environment, and keeps one key away: exactly those records differ.
#[test]
fn a_shadow_tells_exactly_the_records_that_differ() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let fixture = HostFixture::new("shadowed", 4);
        let more = format!(
            "ordering = \"key\"\nprocessing_guarantee = \"{guarantee}\"\nretry = {{ max_attempts = 2, backoff = \"10ms\" }}"
        );
        let before = oracle::commands(500, 20, |_| "ok");
        fixture.deploy("faults", &more);
        kcat::produce(&fixture.kafka.bootstrap, &fixture.input, before);
        fixture.host.client.wait_for_no_lag(&fixture.name, SLOW_PROGRESS);
        let filtered =
            format!("{more}\nenv = {{ REGION = \"eu\" }}\n[[filters]]\nnot = {{ exact = {{ subject = \"rare\" }} }}");
        let summary = deploy_shadow(&fixture, "faults", &filtered);
        assert!(summary.ends_with(&format!("is the shadow of {}@1\n", fixture.name)), "{summary}");
        assert_eq!(fixture.host.client.status(&fixture.name)["shadow"], 2);

        let record = |index: usize| match index {
            _ if index % 500 == 7 => ("rare".to_owned(), format!("ok:{index}")),
            _ if index % 400 == 3 => (format!("k{}", index % 20), "env".to_owned()),
            _ if index % 700 == 5 => (format!("k{}", index % 20), "trap".to_owned()),
            _ if index % 600 == 9 => (format!("k{}", index % 20), "flaky:2".to_owned()),
            _ => (format!("k{}", index % 20), format!("ok:{index}")),
        };
        for part in (0..2000).map(record).collect::<Vec<_>>().chunks(250) {
            kcat::produce(&fixture.kafka.bootstrap, &fixture.input, part.to_vec());
        }
        let summary = compared(&fixture, 2000);
        assert_eq!((&summary["different"], &summary["same"]), (&9.into(), &1991.into()), "{guarantee}: {summary}");
        let is = |wanted: fn(&str) -> bool| -> BTreeSet<_> {
            values(&fixture).into_iter().filter(|(_, value)| wanted(value)).map(|(place, _)| place).collect()
        };
        assert_eq!(places(&summary, "differs"), is(|value| value == "env"), "{summary}");
        let rare = is(|value| ["ok:7", "ok:507", "ok:1007", "ok:1507"].contains(&value));
        assert_eq!(places(&summary, "live_only"), rare, "{summary}");
        let differing = &summary["differences"].as_array().expect("a list").iter().find(|at| at["kind"] == "differs");
        let differing = differing.expect("there is one");
        assert_ne!(differing["live"]["events"][0]["value"], differing["shadow"]["events"][0]["value"], "{differing}");
        let shown = cli::succeed(&fixture.host, &["shadow", &fixture.name]);
        assert!(shown.contains("2000 records: 1991 the same, 9 different"), "{shown}");
        cli::fail(&fixture.host, &["shadow", &fixture.name, "--check"], "MS0242");
        cli::fail(&fixture.host, &["promote", &fixture.name, "--if-same"], "MS0242");
        assert_only_the_live_one_was_there(&fixture, 2500, 2497, 3);
    }
}

/// The switch is exact: in each partition, what lies before an offset is stamped with one revision, the rest with the other.
#[test]
fn a_promotion_switches_between_two_records() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let fixture = HostFixture::new("promoted", 4);
        let more = format!("ordering = \"key\"\nconcurrency = 8\nprocessing_guarantee = \"{guarantee}\"");
        fixture.deploy("uppercase", &more);
        cli::fail(&fixture.host, &["promote", &fixture.name], "MS0241");
        deploy_shadow(&fixture, "uppercase", &format!("{more}\n[limits]\nmemory = \"64MiB\""));
        cli::fail(&fixture.host, &["promote", &fixture.name, "--if-same"], "MS0242");
        let inputs = oracle::inputs(24_000, 60);
        let flow = PacedProducer::start(&fixture.kafka.bootstrap, &fixture.input, inputs.clone(), 1500);
        wait_until("some records were compared", SLOW_PROGRESS, || {
            report(&fixture.host, &fixture.name)["records"].as_u64() > Some(0)
        });
        let tagged = [("If-Match", "\"2\"")];
        let path = format!("/v1/functions/{}/promote", fixture.name);
        assert_eq!(fixture.host.client.send("POST", &path, &tagged, "").0, 412, "the shadow is not live");
        assert!(!flow.is_over(), "records flow while it is promoted");
        let summary = cli::succeed(&fixture.host, &["promote", &fixture.name, "--if-same"]);
        assert_eq!(summary, format!("{} is at revision 2 now\n", fixture.name));
        flow.finish();
        fixture.host.client.wait_for_no_lag(&fixture.name, SLOW_PROGRESS);

        let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
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
        let (old, new) = (format!("{}@1", fixture.name), format!("{}@2", fixture.name));
        assert_eq!(stamps, BTreeSet::from([&old, &new]), "{guarantee}");
        for (partition, stamped) in &offsets {
            let last = stamped.get(&old).and_then(|offsets| offsets.iter().max());
            let first = stamped.get(&new).and_then(|offsets| offsets.iter().min());
            assert!(last < first || first.is_none(), "{guarantee}: {partition}: {last:?} {first:?}");
        }
        cli::fail(&fixture.host, &["shadow", &fixture.name], "MS0241");
        let status = fixture.host.client.status(&fixture.name);
        assert_eq!((&status["revision"], status.get("shadow")), (&2.into(), None), "{status}");
    }
}

/// It traps, takes all memory and loops: the comparison reports that, and the live revision is unaffected.
#[test]
fn a_shadow_that_fails_on_each_record_harms_nothing() {
    let fixture = HostFixture::new("harmless", 2);
    fixture.deploy("uppercase", "ordering = \"key\"");
    let limits = "ordering = \"key\"\nretry = { max_attempts = 1 }\n[limits]\ntimeout = \"300ms\"\nmemory = \"16MiB\"";
    deploy_shadow(&fixture, "faults", limits);
    // The last three records of every third key fare worse than all others.
    let inputs = oracle::commands(600, 30, |index| match (index / 30, index % 3) {
        (17, 0) => "loop",
        (18, 0) => "sleep",
        (19, 0) => "memory",
        _ => "trap",
    });
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, inputs.clone());
    fixture.host.client.wait_for_no_lag(&fixture.name, SLOW_PROGRESS);
    let findings = oracle::compare(&inputs, &kcat::read(&fixture.kafka.bootstrap, &fixture.output));
    assert_eq!((findings.lost.len(), findings.repeated, findings.foreign.len()), (0, 0, 0));
    let summary = compared(&fixture, 600);
    assert_eq!((&summary["shadow_failed"], &summary["different"]), (&600.into(), &600.into()), "{summary}");
    let differences = summary["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 100, "the last ones are kept");
    let classes: BTreeSet<_> = differences.iter().filter_map(|at| at["shadow"]["outcome"].as_str()).collect();
    assert_eq!(classes, BTreeSet::from(["memory", "timeout", "trap"]));
    assert_only_the_live_one_was_there(&fixture, 600, 600, 0);
    let counters = fixture.host.client.status(&fixture.name)["counters"].clone();
    assert_eq!((&counters["succeeded"], &counters["retried"]), (&600.into(), &0.into()), "{counters}");
}

/// The counts survive the host, and every host reports them.
#[test]
fn a_shadow_outlives_its_host_until_it_is_stopped() {
    let mut fixture = HostFixture::new("lasting", 4);
    let filtered = "ordering = \"key\"\n[[filters]]\nnot = { exact = { subject = \"k001\" } }";
    fixture.deploy("uppercase", "ordering = \"key\"");
    deploy_shadow(&fixture, "uppercase", filtered);
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(300, 30));
    assert_eq!(compared(&fixture, 300)["live_only"], 10);

    fixture.host.restart();
    fixture.host.wait_until_ready();
    wait_until("it is there again", SLOW_PROGRESS, || fixture.host.client.status(&fixture.name)["shadow"] == 2);
    assert_eq!(compared(&fixture, 300)["live_only"], 10, "what was counted is kept");
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(300, 30));
    assert_eq!(compared(&fixture, 600)["live_only"], 20);

    let second = fixture.function.host();
    wait_until("each host has two partitions", SLOW_PROGRESS, || {
        fixture.host.client.partitions(&fixture.name) == 2 && second.client.partitions(&fixture.name) == 2
    });
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(300, 30));
    assert_eq!(compared(&fixture, 900)["live_only"], 30, "both hosts compare");
    assert_eq!(report(&second, &fixture.name)["records"], 900, "and reports it");
    assert_eq!(
        cli::succeed(&second, &["shadow", &fixture.name, "--stop"]),
        format!("the shadow of {} is stopped\n", fixture.name)
    );
    wait_until("the other host has heard of it", SLOW_PROGRESS, || {
        fixture.host.client.status(&fixture.name).get("shadow").is_none()
    });
    cli::fail(&fixture.host, &["shadow", &fixture.name], "MS0241");
    let shadow_group = format!("{}.shadow.2", fixture.group());
    wait_until("nothing of it is left", SLOW_PROGRESS, || !fixture.kafka.has_group(&shadow_group));
}

/// A raw record does not say what it was emitted for.
#[test]
fn where_outputs_are_raw_the_live_revision_is_run_again() {
    let fixture = HostFixture::new("rawly", 2);
    let manifest = |more: &str| {
        format!(
            "topics = [\"{}\"]\ninitial_offset = \"earliest\"\n{more}\n[outputs.default]\ntopic = \"{}\"\nformat = \"raw\"",
            fixture.input, fixture.output
        )
    };
    fixture.host.client.deploy(&fixture.name, "faults", &manifest(""));
    deploy_shadow_with(&fixture, "faults", &manifest("env = { REGION = \"eu\" }"));
    let inputs = oracle::commands(200, 10, |index| if index % 50 == 3 { "env" } else { "ok" });
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, inputs);
    let summary = compared(&fixture, 200);
    assert_eq!(
        (&summary["against"], &summary["differs"], &summary["different"]),
        (&"live".into(), &4.into(), &4.into()),
        "{summary}"
    );
    assert_eq!(kcat::read_without_headers(&fixture.kafka.bootstrap, &fixture.output).len(), 200);
}
