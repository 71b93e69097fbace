//! Functions that are paused and resumed, on two hosts and over restarts.

use std::process::Command;
use std::time::{Duration, Instant};

use millstream_tests::host::{Host, binary};
use millstream_tests::kafka::GroupPartition;
use millstream_tests::{kcat, oracle, wait_until};

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);
/// For so long nothing may happen.
const A_WHILE: Duration = Duration::from_secs(3);

#[track_caller]
fn cli(host: &Host, words: &[&str]) -> String {
    let command = Command::new(binary()).args(words).env("MILLSTREAM_HOST", host.client.base()).output();
    let output = command.expect("the binary runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn is(host: &Host, name: &str, state: &str) -> bool {
    host.client.status(name)["state"] == state
}

/// What the group has committed, without who has it.
fn committed(setting: &Setting) -> Vec<(i32, i64)> {
    let places = |GroupPartition { partition, committed, .. }| (partition, committed);
    let mut found: Vec<_> = setting.kafka.group(&setting.group()).into_iter().map(places).collect();
    found.sort_unstable();
    found
}

/// Nothing is taken, run, written or committed for a while.
#[track_caller]
fn assert_stands_still(setting: &Setting, hosts: &[&Host]) {
    let seen = || {
        let counters: Vec<_> = hosts.iter().map(|host| host.client.status(&setting.name)["counters"].clone()).collect();
        (counters, kcat::read_without_headers(&setting.kafka.bootstrap, &setting.output).len(), committed(setting))
    };
    let before = seen();
    let until = Instant::now() + A_WHILE;
    wait_until("a while is over", LONG, || {
        assert!(hosts.iter().all(|host| is(host, &setting.name, "paused")));
        Instant::now() > until
    });
    assert_eq!(seen(), before);
}

#[test]
fn a_pause_holds_on_all_hosts_and_over_a_restart() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let mut setting = Setting::new("paused", 4);
        let inputs = oracle::inputs(12_000, 60);
        let more = format!("ordering = \"key\"\nconcurrency = 8\nprocessing_guarantee = \"{guarantee}\"");
        setting.deploy("uppercase", &more);
        let mut second = Host::start(&setting.kafka.bootstrap, &setting.prefix);
        wait_until("each host has two partitions", LONG, || {
            setting.host.client.partitions(&setting.name) == 2 && second.client.partitions(&setting.name) == 2
        });
        let (bootstrap, input) = (setting.kafka.bootstrap.clone(), setting.input.clone());
        let (first, rest) = (inputs[..4_000].to_vec(), inputs[4_000..].to_vec());
        let producer = std::thread::spawn(move || {
            for part in first.chunks(200) {
                kcat::produce(&bootstrap, &input, part.to_vec());
            }
        });
        wait_until("some records went through", LONG, || setting.host.client.counter(&setting.name, "succeeded") > 0);
        assert_eq!(cli(&setting.host, &["pause", &setting.name]), format!("{} is paused\n", setting.name));
        producer.join().expect("the producer ends");
        wait_until("the other host has heard of it", LONG, || is(&second, &setting.name, "paused"));
        kcat::produce(&setting.kafka.bootstrap, &setting.input, rest);
        assert_stands_still(&setting, &[&setting.host, &second]);
        let members = setting.kafka.group(&setting.group());
        assert!(members.iter().all(|partition| partition.member != "-"), "its members stay: {members:?}");
        let lag = |host: &Host| -> i64 {
            let status = host.client.status(&setting.name);
            status["partitions"].as_array().expect("a list").iter().filter_map(|at| at["lag"].as_i64()).sum()
        };
        assert!(lag(&setting.host) + lag(&second) >= 8_000);
        assert_eq!(cli(&second, &["pause", &setting.name]), format!("{} is paused\n", setting.name), "again");

        // One host starts again, the other goes: the pause stays, and so does a deploy.
        setting.host.restart();
        setting.host.wait_until_ready();
        wait_until("it is paused after the restart", LONG, || is(&setting.host, &setting.name, "paused"));
        second.terminate();
        second = Host::start(&setting.kafka.bootstrap, &setting.prefix);
        wait_until("all partitions have a host", LONG, || {
            setting.host.client.partitions(&setting.name) + second.client.partitions(&setting.name) == 4
                && is(&second, &setting.name, "paused")
                && is(&setting.host, &setting.name, "paused")
        });
        assert_stands_still(&setting, &[&setting.host, &second]);

        assert_eq!(cli(&second, &["resume", &setting.name]), format!("{} is running\n", setting.name));
        setting.host.client.wait_for_no_lag(&setting.name, LONG);
        second.client.wait_for_no_lag(&setting.name, LONG);
        let findings = oracle::compare(&inputs, &kcat::read(&setting.kafka.bootstrap, &setting.output));
        assert_eq!((findings.lost.len(), findings.repeated, findings.foreign.len()), (0, 0, 0), "{guarantee}");
        assert_eq!(findings.out_of_order, [], "{guarantee}");
    }
}

/// Anyone who pauses a function in order to mend it wants what waited to run on what was mended.
#[test]
fn what_waited_runs_on_the_revision_that_was_deployed_meanwhile() {
    for protocol in ["classic", "consumer"] {
        let setting = Setting::new("mended", 1);
        let more = format!("[kafka]\n\"group.protocol\" = \"{protocol}\"");
        setting.deploy("faults", &format!("[limits]\ntimeout = \"1s\"\n{more}"));
        // The first call runs while the function is paused; the others wait behind it.
        let records = (0..300).map(|index| ("k".to_owned(), if index == 0 { "sleep" } else { "ok:old" }.to_owned()));
        kcat::produce(&setting.kafka.bootstrap, &setting.input, records);
        wait_until("a call is under way", LONG, || setting.host.client.counter(&setting.name, "received") > 0);
        cli(&setting.host, &["pause", &setting.name]);
        setting.deploy_paused("uppercase", &format!("[limits]\ntimeout = \"1s\"\n{more}"));
        assert!(is(&setting.host, &setting.name, "paused"));
        let before = kcat::read(&setting.kafka.bootstrap, &setting.output).len();
        cli(&setting.host, &["resume", &setting.name]);
        setting.host.client.wait_for_no_lag(&setting.name, LONG);
        let outputs = kcat::read(&setting.kafka.bootstrap, &setting.output);
        let dead = kcat::read(&setting.kafka.bootstrap, &setting.dead()).len();
        assert_eq!(outputs.len() + dead, 300, "{protocol}");
        let stamp = format!("{}@2", setting.name);
        let on_new = outputs[before..].iter().filter(|record| record.header("ce_millstreamfunction") == Some(&stamp));
        assert_eq!(on_new.count(), outputs.len() - before, "{protocol}");
    }
}

/// Kafka forgets offsets that are not committed for long.
#[test]
fn a_paused_function_keeps_its_offsets() {
    let setting = Setting::with("kept", 2, &[("FAILPOINTS", "shard::keep_often=return(error)")]);
    kcat::produce(&setting.kafka.bootstrap, &setting.input, oracle::inputs(40, 8));
    setting.deploy("uppercase", "");
    setting.host.client.wait_for_no_lag(&setting.name, LONG);
    wait_until("everything is committed", LONG, || committed(&setting).iter().map(|(_, at)| at).sum::<i64>() == 40);
    cli(&setting.host, &["pause", &setting.name]);
    let before = committed(&setting);
    wait_until("they were committed again", LONG, || setting.host.log_lines_with("kept its offsets") >= 2);
    assert_eq!(committed(&setting), before);
}
