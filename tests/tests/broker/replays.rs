//! Revisions that are run over a topic's past.

use std::process::Command;
use std::time::{Duration, Instant};

use millstream_tests::fixture::HostFixture;
use millstream_tests::host::{Host, binary};
use millstream_tests::{PROGRESS, kcat, wait_until};
use serde_json::Value;

const RECORDS: usize = 100_000;

/// The lines of `millstream replay --json`, and its exit code.
fn replay(host: &Host, words: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let mut command = Command::new(binary());
    command.args(["replay", "--json"]).args(words).env("MILLSTREAM_HOST", host.client.base());
    let output = command.output().expect("the binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8(output.stdout).expect("text");
    (output.status.code(), text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect(), stderr)
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

fn committed(fixture: &HostFixture) -> Vec<(i32, i64)> {
    let mut found: Vec<_> =
        fixture.kafka.group(&fixture.group()).iter().map(|place| (place.partition, place.committed)).collect();
    found.sort_unstable();
    found
}

/// The second revision keeps records of one key away: exactly those differ.
#[test]
fn a_hundred_thousand_records_show_exactly_those_that_differ() {
    let fixture = HostFixture::new("replayed", 4);
    fixture.deploy("uppercase", "ordering = \"key\"");
    let key = |index: usize| if index % 10_000 == 7 { "rare".to_owned() } else { format!("k{}", index % 100) };
    kcat::produce(
        &fixture.kafka.bootstrap,
        &fixture.input,
        (0..RECORDS).map(|index| (key(index), format!("v{index}"))),
    );
    let done = |records: usize| {
        wait_until("all is committed", PROGRESS, || {
            committed(&fixture).iter().map(|(_, at)| at).sum::<i64>() == records as i64
        });
    };
    fixture.host.client.wait_for_no_lag(&fixture.name, Duration::from_secs(120));
    done(RECORDS);
    fixture.deploy("uppercase", "ordering = \"key\"\n[[filters]]\nnot = { exact = { subject = \"rare\" } }");
    let seen = || (committed(&fixture), kcat::read_without_headers(&fixture.kafka.bootstrap, &fixture.output).len());
    let before = seen();

    let start = Instant::now();
    let subject = format!("{}@2", fixture.name);
    let words = [subject.as_str(), "--topic", &fixture.input, "--show", "1000"];
    let (code, lines, stderr) = replay(&fixture.host, &words);
    println!("{RECORDS} records were replayed and compared in {:?}", start.elapsed());
    assert_eq!(code, Some(0), "{stderr}");
    let ended = of_kind(&lines, "ended")[0];
    assert_eq!((&ended["records"], &ended["different"]), (&RECORDS.into(), &10.into()), "{ended}");
    assert_eq!((&ended["same"], &ended["filtered"]), (&(RECORDS - 10).into(), &10.into()), "{ended}");
    let mut differing: Vec<String> = Vec::new();
    for difference in of_kind(&lines, "difference") {
        assert_eq!(
            (&difference["key"], &difference["got"]["outcome"]),
            (&"rare".into(), &"filtered".into()),
            "{difference}"
        );
        let value = difference["expected"]["events"][0]["value"].as_str().unwrap_or_default();
        differing.push(value.to_owned());
    }
    differing.sort_unstable();
    let wanted: Vec<String> = (0..10).map(|index| format!("V{}", index * 10_000 + 7)).collect();
    let mut wanted = wanted;
    wanted.sort_unstable();
    assert_eq!(differing, wanted);

    // With the live revision it is the same, the other way round.
    let first = format!("{}@1", fixture.name);
    let words = [first.as_str(), "--topic", &fixture.input, "--against", "live", "--show", "3", "--check"];
    let (code, lines, stderr) = replay(&fixture.host, &words);
    assert!(code == Some(1) && stderr.contains("MS0531"), "{code:?}: {stderr}");
    assert_eq!(of_kind(&lines, "ended")[0]["different"], 10);
    assert_eq!(of_kind(&lines, "difference").len(), 3, "so many are shown");
    assert_eq!(seen(), before, "neither the group nor the outputs were touched");
}

/// Dead letters, repeated emissions, records not handled yet, a part of a partition, and a scratch topic.
#[test]
fn a_replay_tells_what_came_of_each_record() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let fixture = HostFixture::new("retold", 1);
        let more = format!("processing_guarantee = \"{guarantee}\"\n[retry]\nmax_attempts = 2\nbackoff = \"50ms\"");
        let values = ["ok:1", "reject", "flaky:2", "trap", "ok:5"];
        kcat::produce_to(&fixture.kafka.bootstrap, &fixture.input, 0, &values.map(str::to_owned));
        fixture.deploy("faults", &more);
        fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
        wait_until("all is committed", PROGRESS, || committed(&fixture).iter().any(|(_, at)| *at >= 5));
        let (name, input) = (fixture.name.clone(), fixture.input.clone());
        let (_, lines, stderr) = replay(&fixture.host, &[&name, "--topic", &input]);
        let ended = of_kind(&lines, "ended");
        assert_eq!(ended.len(), 1, "{lines:?} {stderr}");
        assert_eq!((&ended[0]["same"], &ended[0]["given_up"]), (&5.into(), &2.into()), "{guarantee}: {lines:?}");

        // With another module every record differs, and the report shows how.
        fixture.deploy("uppercase", &more);
        let scratch = format!("{name}.scratch");
        let words = [name.as_str(), "--topic", &input, "--from", "1", "--to", "4", "--output", &scratch];
        let (code, lines, stderr) = replay(&fixture.host, &words);
        assert_eq!(code, Some(0), "{stderr}");
        let differences = of_kind(&lines, "difference");
        let outcomes: Vec<_> =
            differences.iter().map(|line| (line["offset"].clone(), line["expected"]["outcome"].clone())).collect();
        assert_eq!(outcomes, [(1.into(), "reject".into()), (2.into(), "emitted".into()), (3.into(), "trap".into())]);
        assert_eq!(of_kind(&lines, "ended")[0]["written"], 3);
        let written = kcat::read(&fixture.kafka.bootstrap, &scratch);
        let texts: Vec<_> = written.iter().map(kcat::Record::text).collect();
        assert_eq!((written.len(), texts.contains(&"FLAKY:2")), (3, true), "{texts:?}");
        assert_eq!(written[0].header("millstream-replay"), Some(format!("{name}@2").as_str()));
        assert_eq!(written[0].header("millstream-replay-topic"), Some(fixture.output.as_str()));

        // What is not handled yet is not compared.
        let path = format!("/v1/functions/{name}/pause?wait=30s");
        assert_eq!(fixture.host.client.send("POST", &path, &[], "").0, 200);
        kcat::produce_to(&fixture.kafka.bootstrap, &fixture.input, 0, &["later".to_owned()]);
        let (_, lines, _) = replay(&fixture.host, &[&name, "--topic", &input, "--from", "4"]);
        let ended = of_kind(&lines, "ended")[0];
        assert_eq!(
            (&ended["records"], &ended["not_handled"], &ended["different"]),
            (&2.into(), &1.into(), &1.into()),
            "{ended}"
        );

        for (words, status) in [
            (vec!["--topic", &input, "--output", &input], "MS0204"),
            (vec!["--topic", &input, "--output", "millstream no topic"], "MS0204"),
            (vec!["--topic", &input, "--most", "3"], "MS0204"),
            (vec!["--topic", &input, "--from", "4", "--to", "1"], "MS0204"),
            (vec!["--topic", "no-such-topic"], "MS0303"),
            (vec!["--topic", &fixture.output], "MS0204"),
        ] {
            let words = [&[name.as_str()], words.as_slice()].concat();
            let (code, _, stderr) = replay(&fixture.host, &words);
            assert!(code == Some(1) && stderr.contains(status), "{words:?}: {code:?}: {stderr}");
        }
    }
}
