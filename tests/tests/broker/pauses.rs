//! Functions that are paused and resumed, on two hosts and over restarts.

use std::time::Duration;

use millstream_tests::fixture::HostFixture;
use millstream_tests::host::Host;
use millstream_tests::kafka::GroupPartition;
use millstream_tests::{PROGRESS, cli, kcat, oracle, stays_so_for, wait_until};

/// How long nothing may happen.
const A_WHILE: Duration = Duration::from_secs(3);

fn is(host: &Host, name: &str, state: &str) -> bool {
    host.client.status(name)["state"] == state
}

/// The committed offsets, whichever member has the partition.
fn committed(fixture: &HostFixture) -> Vec<(i32, i64)> {
    let places = |GroupPartition { partition, committed, .. }| (partition, committed);
    let mut found: Vec<_> = fixture.kafka.group(&fixture.group()).into_iter().map(places).collect();
    found.sort_unstable();
    found
}

/// Nothing is taken, run, written or committed for a while.
#[track_caller]
fn assert_stands_still(fixture: &HostFixture, hosts: &[&Host]) {
    let seen = || {
        let counters: Vec<_> = hosts.iter().map(|host| host.client.status(&fixture.name)["counters"].clone()).collect();
        (counters, kcat::read_without_headers(&fixture.kafka.bootstrap, &fixture.output).len(), committed(fixture))
    };
    let before = seen();
    stays_so_for("all hosts are paused", A_WHILE, || hosts.iter().all(|host| is(host, &fixture.name, "paused")));
    assert_eq!(seen(), before);
}

#[test]
fn a_pause_holds_on_all_hosts_and_over_a_restart() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let mut fixture = HostFixture::new("paused", 4);
        let inputs = oracle::inputs(12_000, 60);
        let more = format!("ordering = \"key\"\nconcurrency = 8\nprocessing_guarantee = \"{guarantee}\"");
        fixture.deploy("uppercase", &more);
        let mut second = fixture.function.host();
        wait_until("each host has two partitions", PROGRESS, || {
            fixture.host.client.partitions(&fixture.name) == 2 && second.client.partitions(&fixture.name) == 2
        });
        let (bootstrap, input) = (fixture.kafka.bootstrap.clone(), fixture.input.clone());
        let (first, rest) = (inputs[..4_000].to_vec(), inputs[4_000..].to_vec());
        let producer = std::thread::spawn(move || {
            for part in first.chunks(200) {
                kcat::produce(&bootstrap, &input, part.to_vec());
            }
        });
        wait_until("some records went through", PROGRESS, || {
            fixture.host.client.counter(&fixture.name, "succeeded") > 0
        });
        assert_eq!(cli::succeed(&fixture.host, &["pause", &fixture.name]), format!("{} is paused\n", fixture.name));
        producer.join().expect("the producer ends");
        wait_until("the other host has heard of it", PROGRESS, || is(&second, &fixture.name, "paused"));
        kcat::produce(&fixture.kafka.bootstrap, &fixture.input, rest);
        assert_stands_still(&fixture, &[&fixture.host, &second]);
        let members = fixture.kafka.group(&fixture.group());
        assert!(members.iter().all(|partition| partition.member != "-"), "its members stay: {members:?}");
        let lag = |host: &Host| -> i64 {
            let status = host.client.status(&fixture.name);
            status["partitions"].as_array().expect("a list").iter().filter_map(|at| at["lag"].as_i64()).sum()
        };
        assert!(lag(&fixture.host) + lag(&second) >= 8_000);
        assert_eq!(cli::succeed(&second, &["pause", &fixture.name]), format!("{} is paused\n", fixture.name), "again");

        // One host restarts, the other stops: the pause survives, and so does a deploy.
        fixture.host.restart();
        fixture.host.wait_until_ready();
        wait_until("it is paused after the restart", PROGRESS, || is(&fixture.host, &fixture.name, "paused"));
        second.terminate();
        second = fixture.function.host();
        wait_until("all partitions have a host", PROGRESS, || {
            fixture.host.client.partitions(&fixture.name) + second.client.partitions(&fixture.name) == 4
                && is(&second, &fixture.name, "paused")
                && is(&fixture.host, &fixture.name, "paused")
        });
        assert_stands_still(&fixture, &[&fixture.host, &second]);

        assert_eq!(cli::succeed(&second, &["resume", &fixture.name]), format!("{} is running\n", fixture.name));
        fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
        second.client.wait_for_no_lag(&fixture.name, PROGRESS);
        let findings = oracle::compare(&inputs, &kcat::read(&fixture.kafka.bootstrap, &fixture.output));
        assert_eq!((findings.lost.len(), findings.repeated, findings.foreign.len()), (0, 0, 0), "{guarantee}");
        assert_eq!(findings.out_of_order, [], "{guarantee}");
    }
}

/// After a function is paused and fixed, the records that waited must run on the fix.
#[test]
fn what_waited_runs_on_the_revision_that_was_deployed_meanwhile() {
    for protocol in ["classic", "consumer"] {
        let fixture = HostFixture::new("mended", 1);
        let more = format!("[kafka]\n\"group.protocol\" = \"{protocol}\"");
        fixture.deploy("faults", &format!("[limits]\ntimeout = \"1s\"\n{more}"));
        // The first call runs while the function is paused; the others wait behind it.
        let records = (0..300).map(|index| ("k".to_owned(), if index == 0 { "sleep" } else { "ok:old" }.to_owned()));
        kcat::produce(&fixture.kafka.bootstrap, &fixture.input, records);
        wait_until("a call is under way", PROGRESS, || fixture.host.client.counter(&fixture.name, "received") > 0);
        cli::succeed(&fixture.host, &["pause", &fixture.name]);
        fixture.deploy_paused("uppercase", &format!("[limits]\ntimeout = \"1s\"\n{more}"));
        assert!(is(&fixture.host, &fixture.name, "paused"));
        let before = kcat::read(&fixture.kafka.bootstrap, &fixture.output).len();
        cli::succeed(&fixture.host, &["resume", &fixture.name]);
        fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
        let outputs = kcat::read(&fixture.kafka.bootstrap, &fixture.output);
        let dead = kcat::read(&fixture.kafka.bootstrap, &fixture.dead()).len();
        assert_eq!(outputs.len() + dead, 300, "{protocol}");
        let stamp = format!("{}@2", fixture.name);
        let on_new = outputs[before..].iter().filter(|record| record.header("ce_millstreamfunction") == Some(&stamp));
        assert_eq!(on_new.count(), outputs.len() - before, "{protocol}");
    }
}

/// Kafka forgets offsets that are not committed for long.
#[test]
fn a_paused_function_keeps_its_offsets() {
    let fixture = HostFixture::with("kept", 2, &[("FAILPOINTS", "shard::keep_often=return(error)")]);
    kcat::produce(&fixture.kafka.bootstrap, &fixture.input, oracle::inputs(40, 8));
    fixture.deploy("uppercase", "");
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    wait_until("everything is committed", PROGRESS, || committed(&fixture).iter().map(|(_, at)| at).sum::<i64>() == 40);
    cli::succeed(&fixture.host, &["pause", &fixture.name]);
    let before = committed(&fixture);
    wait_until("they were committed again", PROGRESS, || fixture.host.log_lines_with("kept its offsets") >= 2);
    assert_eq!(committed(&fixture), before);
}
