//! Rights that the host's Kafka user lacks: the status names the topic or group and the right, nothing is lost meanwhile,
//! and work resumes when the permission is granted.

use millstream_tests::host::Host;
use millstream_tests::kafka::Kafka;
use millstream_tests::{SLOW_PROGRESS, kcat, wait_until};

const LOOK: &[&str] = &["Describe", "DescribeConfigs"];

struct Place {
    kafka: Kafka,
    host: Host,
}

impl Place {
    #[track_caller]
    fn deploy(&self, name: &str, guarantee: &str) {
        self.kafka.create_topic(&format!("{name}.in"), 1);
        self.kafka.create_topic(&format!("{name}.out"), 1);
        let manifest = format!(
            "topics = [\"{name}.in\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = \"{name}.out\" }}\n\
             processing_guarantee = \"{guarantee}\""
        );
        self.host.client.deploy(name, "uppercase", &manifest);
        self.produce(name, 0);
        self.host.client.wait_for_no_lag(name, SLOW_PROGRESS);
    }

    fn produce(&self, name: &str, from: usize) {
        let records = (from..from + 20).map(|index| ("k".to_owned(), format!("v{index}")));
        kcat::produce(&self.kafka.bootstrap, &format!("{name}.in"), records);
    }

    #[track_caller]
    fn wait_until_told(&self, name: &str, words: &[&str]) {
        let mut reason = String::new();
        wait_until(&format!("the status of {name} says {words:?}"), SLOW_PROGRESS, || {
            let status = self.host.client.status(name);
            reason = status["reason"].as_str().unwrap_or_default().to_owned();
            words.iter().all(|word| reason.contains(word))
        });
    }

    fn watermark(&self, name: &str) -> i64 {
        self.host.client.status(name)["partitions"][0]["watermark"].as_i64().unwrap_or(-1)
    }

    #[track_caller]
    fn is_whole(&self, name: &str, records: usize) {
        self.host.client.wait_for_no_lag(name, SLOW_PROGRESS);
        let outputs = kcat::read_without_headers(&self.kafka.bootstrap, &format!("{name}.out"));
        let distinct: std::collections::BTreeSet<_> = outputs.iter().map(|record| record.text().to_owned()).collect();
        assert_eq!(distinct.len(), records, "{name}: nothing is lost");
    }
}

#[test]
fn a_right_that_is_missing_is_named() {
    let kafka = Kafka::start_guarded();
    let host = Host::start(&kafka.bootstrap, "rights");
    let place = Place { kafka, host };
    let kafka = &place.kafka;

    for (name, guarantee) in [("least", "at_least_once"), ("exact", "exactly_once")] {
        place.deploy(name, guarantee);
        let output = format!("{name}.out");
        let resource = ["--topic", output.as_str()];
        kafka.allow_only(&resource, &[LOOK, &["Read"]].concat());
        place.produce(name, 20);
        place.wait_until_told(name, &[&output, "authorization failed", "Write for an output"]);
        assert_eq!(place.watermark(name), 20, "{name}: what is not written is not finished");
        kafka.allow_all(&resource);
        place.is_whole(name, 40);
    }

    let input = ["--topic", "least.in"];
    kafka.allow_only(&input, &[LOOK, &["Write"]].concat());
    place.wait_until_told("least", &["least.in", "authorization failed", "Read for an input"]);
    // The client fails at a place where it must not continue by itself.
    place.produce("least", 40);
    kafka.allow_all(&input);
    place.is_whole("least", 60);

    let group = ["--group", "millstream.least"];
    kafka.allow_only(&group, LOOK);
    place.wait_until_told("least", &["Group authorization failed", "groups that begin with millstream."]);
    kafka.allow_all(&group);
    place.produce("least", 60);
    place.host.client.wait_for_no_lag("least", SLOW_PROGRESS);
    wait_until("all of it came out", SLOW_PROGRESS, || {
        kcat::read_without_headers(&kafka.bootstrap, "least.out").iter().any(|record| record.text() == "V79")
    });
    place.is_whole("least", 80);
}
