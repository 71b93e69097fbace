use std::time::Duration;

use proptest::prelude::*;

use crate::config::manifest::*;
use crate::model::function::{Compression, EventFilter, EventFormat, GroupMembership, StartEmulation, TopicSelection};

const SMALLEST: &str = "name = \"enrich-bid\"\ntopics = [\"bids\"]\n";

/// The manifest of the documentation, with every key.
const WHOLE: &str = r#"
name = "enrich-bid"
module = "target/wasm32-wasip2/release/enrich_bid.wasm"
build = "cargo build --release --target wasm32-wasip2"
topics = ["bids"]
initial_offset = "earliest"
ordering = "key"
concurrency = 16
shards = 1
processing_guarantee = "exactly_once"
dead_letter_topic = "bids.dead"
env = { REGION = "eu" }

[outputs]
default = "bids.enriched"
rejected = { topic = "bids.rejected", format = "structured", compression = "lz4" }

[[filters]]
exact = { type = "auction.bid.placed" }
[[filters]]
any = [{ prefix = { source = "/eu" } }, { not = { suffix = { subject = ".test" } } }]

[limits]
memory = "128MiB"
timeout = "3s"
output = "900KiB"
logs = "64KiB"
table_elements = 100000

[logs]
level = "trace"
rate = 1000

[instances]
isolation = "shared"
keep_warm = "60s"
min = 0
emulate = "none"

[retry]
max_attempts = 5
backoff = "100ms"
backoff_max = "10s"

[delivery]
batch_size = 256
batch_window = "0ms"
commit_interval = "100ms"
drain_timeout = "10s"
in_flight = 1000
pending = "32MiB"
membership = "dynamic"

[kafka]
fetch.min.bytes = 1
"fetch.wait.max.ms" = "5"
"#;

fn problems_of(rest: &str) -> Vec<String> {
    // Top-level keys must stand before the first table.
    let text = format!("name = \"f\"\ntopics = [\"in\"]\n{rest}");
    match from_toml(&text) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    }
}

/// The only problem of a manifest that also holds `rest`.
fn problem_of(rest: &str) -> String {
    let problems = problems_of(rest);
    assert_eq!(problems.len(), 1, "{rest}: {problems:?}");
    problems[0].clone()
}

#[test]
fn every_default_is_the_documented_one() {
    let manifest = from_toml(SMALLEST).unwrap();
    assert_eq!(manifest.topics, TopicSelection::Named(vec!["bids".to_owned()]));
    assert_eq!(manifest.initial_offset, InitialOffset::Latest);
    assert_eq!(manifest.ordering, Ordering::Partition);
    assert_eq!((manifest.concurrency, manifest.shards), (16, 1));
    assert_eq!(manifest.processing_guarantee, ProcessingGuarantee::AtLeastOnce);
    assert_eq!(manifest.dead_letter_topic, "enrich-bid.dead");
    assert!(manifest.env.is_empty() && manifest.outputs.is_empty());
    assert!(manifest.filters.is_empty() && manifest.kafka.is_empty());

    let limits = &manifest.limits;
    assert_eq!((limits.memory, limits.output, limits.logs), (128 << 20, 900 << 10, 64 << 10));
    assert_eq!((limits.timeout, limits.table_elements), (Duration::from_secs(3), 100_000));
    let instances = &manifest.instances;
    assert_eq!((instances.isolation, instances.keep_warm), (None, Duration::from_secs(60)));
    assert_eq!((instances.min, &instances.emulate), (0, &None));
    let retry = &manifest.retry;
    assert_eq!((retry.max_attempts, retry.backoff), (5, Duration::from_millis(100)));
    assert_eq!(retry.backoff_max, Duration::from_secs(10));
    let delivery = &manifest.delivery;
    assert_eq!((delivery.batch_size, delivery.batch_window), (256, Duration::ZERO));
    assert_eq!(delivery.commit_interval, Duration::from_millis(100));
    assert_eq!(delivery.drain_timeout, Duration::from_secs(10));
    assert_eq!((delivery.in_flight, delivery.pending), (1000, 32 << 20));
    assert_eq!(delivery.membership, GroupMembership::Dynamic);
}

#[test]
fn every_key_is_read() {
    let project = read_project(WHOLE, ManifestNotation::Toml).unwrap();
    assert_eq!(project.module.as_deref(), Some("target/wasm32-wasip2/release/enrich_bid.wasm"));
    assert_eq!(project.build.as_deref(), Some("cargo build --release --target wasm32-wasip2"));
    let manifest = project.manifest;
    assert_eq!(manifest.initial_offset, InitialOffset::Earliest);
    assert_eq!(manifest.ordering, Ordering::Key);
    assert_eq!(manifest.processing_guarantee, ProcessingGuarantee::ExactlyOnce);
    assert_eq!(manifest.dead_letter_topic, "bids.dead");
    assert_eq!(manifest.env["REGION"], "eu");
    let (default, rejected) = (&manifest.outputs["default"], &manifest.outputs["rejected"]);
    assert_eq!(
        (default.topic.as_str(), default.format, default.compression),
        ("bids.enriched", EventFormat::Binary, None)
    );
    assert_eq!((rejected.format, rejected.compression), (EventFormat::Structured, Some(Compression::Lz4)));
    assert!(
        matches!(&manifest.filters[0], EventFilter::Exact(attributes) if attributes["type"] == "auction.bid.placed")
    );
    assert!(matches!(&manifest.filters[1], EventFilter::Any(filters) if matches!(filters[1], EventFilter::Not(_))));
    assert_eq!(manifest.kafka["fetch.min.bytes"], "1");
    assert_eq!(manifest.kafka["fetch.wait.max.ms"], "5");
}

#[test]
fn json_means_the_same() {
    let tree: toml::Table = toml::from_str(WHOLE).unwrap();
    let json = serde_json::to_string(&tree).unwrap();
    assert_eq!(from_json(&json).unwrap(), from_toml(WHOLE).unwrap());
}

#[test]
fn the_registry_form_survives() {
    let manifest = from_toml(WHOLE).unwrap();
    let stored = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&stored).unwrap(), manifest);
}

#[test]
fn all_problems_are_told_at_once() {
    let error = from_toml("name = \"X\"\nconcurency = 1\n[limits]\nmemory = 1\n[retry]\nmax_attempts = 0").unwrap_err();
    let at: Vec<&str> = error.problems().iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(at, ["name", "topics", "limits.memory", "retry.max_attempts", "concurency"]);
    assert!(error.to_string().starts_with("the manifest has 5 problems:\n  name: "));
}

#[test]
fn a_trigger_is_needed_and_one_kind_is_enough() {
    assert!(from_toml("name = \"f\"").unwrap_err().to_string().contains("topics: is missing"));
    assert!(problem_of("topics_pattern = \"x\"").contains("keep one of the two"));
    let manifest = from_toml("name = \"f\"\ntopics_pattern = \"bids\\\\..*\"").unwrap();
    assert_eq!(manifest.topics, TopicSelection::Pattern("bids\\..*".to_owned()));
    assert!(from_toml("name = \"f\"\ntopics_pattern = \"(\"").unwrap_err().to_string().contains("regular expression"));
    assert!(from_toml("name = \"f\"\ntopics = []").unwrap_err().to_string().contains("at least one"));
    assert!(from_toml("name = \"f\"\ntopics = [\"a\", \"a\"]").unwrap_err().to_string().contains("twice"));
}

#[test]
fn patterns_mean_the_same_to_us_and_to_the_client_library() {
    let with_pattern = |pattern: &str| from_toml(&format!("name = \"f\"\ntopics_pattern = '{pattern}'"));
    for good in ["bids[.][0-9]+", r"a\.b", "(a|b)?c{2}", r"a\?b"] {
        assert!(with_pattern(good).is_ok(), "{good}");
    }
    for bad in [r"bids\d", "(?i)bids", "(?:a|b)", "a.*?b", r"\bbids"] {
        assert!(with_pattern(bad).unwrap_err().to_string().contains("POSIX"), "{bad}");
    }
}

#[test]
fn misplaced_and_misspelt_keys_are_pointed_out() {
    assert!(problem_of("odering = \"key\"").contains("did you mean \"ordering\"?"));
    assert!(problem_of("max_attempts = 3").contains("did you mean \"retry.max_attempts\"?"));
    assert!(problem_of("[limits]\nordering = \"key\"").contains("\"ordering\" at the top"));
    assert!(problem_of("ordering = \"keys\"").contains("did you mean \"key\"?"));
    assert!(problem_of("[instances]\nemulate = \"aws-lamda\"").contains("did you mean \"aws-lambda\"?"));
    assert!(problem_of("[outputs]\na = { topic = \"b\", fromat = \"raw\" }").starts_with("outputs.a.fromat: "));
}

#[test]
fn quantities_without_unit_are_refused_with_a_hint() {
    assert!(problem_of("[limits]\nmemory = 128").contains("\"128MiB\""));
    assert!(problem_of("[limits]\ntimeout = 3").contains("\"3ms\""));
    assert!(problem_of("[limits]\ntimeout = \"3\"").contains("\"3s\""));
}

#[test]
fn values_that_cannot_work_are_refused() {
    for (rest, at) in [
        ("concurrency = 0", "concurrency"),
        ("shards = 0", "shards"),
        ("[retry]\nmax_attempts = 0", "retry.max_attempts"),
        ("[limits]\nmemory = \"63KiB\"\noutput = \"1KiB\"", "limits.memory"),
        ("[limits]\ntimeout = \"0s\"", "limits.timeout"),
        ("[limits]\noutput = \"129MiB\"\n[delivery]\npending = \"1GiB\"", "limits.output"),
        ("[limits]\noutput = \"33MiB\"", "delivery.pending"),
        ("[instances]\nmin = 17", "instances.min"),
        ("[retry]\nbackoff = \"11s\"", "retry.backoff_max"),
        ("[delivery]\ndrain_timeout = \"300s\"", "delivery.drain_timeout"),
        ("[delivery]\nbatch_size = 0", "delivery.batch_size"),
        ("[env]\nREGION = 1", "env.REGION"),
        ("[kafka]\nenable.auto.commit = true", "kafka.enable.auto.commit"),
        ("[kafka]\nbootstrap.servers = \"x\"", "kafka.bootstrap.servers"),
        ("[kafka]\nplugin.library.paths = \"x\"", "kafka.plugin.library.paths"),
        ("[schedule]\ncron = \"* * * * *\"", "schedule.cron"),
        ("[schedule]\ncron = \"0 * * * * *\"\ntime_zone = \"Mars\"", "schedule.time_zone"),
        ("[schedule]\ncron = \"0 * * * * *\"\nmissed = \"some\"", "schedule.missed"),
    ] {
        let problem = problem_of(rest);
        assert!(problem.starts_with(&format!("{at}: ")), "{rest}: {problem}");
    }
}

#[test]
fn a_function_that_would_feed_itself_is_refused() {
    assert!(problem_of("dead_letter_topic = \"in\"").contains("run again"));
    assert!(problem_of("[outputs]\ndefault = \"in\"").contains("feed itself"));
    let by_pattern = from_toml("name = \"in\"\ntopics_pattern = \"in.*\"").unwrap_err();
    assert!(by_pattern.to_string().contains("\"in.dead\" is an input too"));
    // The pattern means whole names.
    assert!(from_toml("name = \"f\"\ntopics_pattern = \"in\"\n[outputs]\ndefault = \"in.out\"").is_ok());
}

#[test]
fn filters_have_one_known_dialect_each() {
    assert!(problem_of("[[filters]]\nexcat = { type = \"a\" }").contains("did you mean \"exact\"?"));
    assert!(problem_of("[[filters]]\nsql = \"1\"").contains("not a filter dialect"));
    assert!(
        problem_of("[[filters]]\nexact = { type = \"a\" }\nprefix = { type = \"a\" }").contains("several dialects")
    );
    assert!(problem_of("filters = [{}]").contains("[0] is empty"));
    assert!(problem_of("filters = [{ any = [] }]").contains("[0] any: is empty"));
    assert!(problem_of("filters = [{ exact = { Type = \"a\" } }]").contains("a-z and 0-9"));
    assert!(problem_of("[filters]\nexact = { type = \"a\" }").contains("[[filters]]"));
    let deep = format!("filters = [{}{}]", "{ not = ".repeat(17), format_args!("{{}}{}", " }".repeat(17)));
    assert!(problem_of(&deep).contains("deep"));
}

#[test]
fn other_platforms_are_emulated_by_name_or_by_figure() {
    let milliseconds = Duration::from_millis;
    let emulation =
        |value: &str| from_toml(&format!("{SMALLEST}[instances]\nemulate = {value}")).unwrap().instances.emulate;
    assert_eq!(emulation("\"none\""), None);
    let lambda =
        StartEmulation { cold: (milliseconds(5000), milliseconds(5000)), hot: (milliseconds(25), milliseconds(300)) };
    assert_eq!(emulation("\"aws-lambda\""), Some(lambda));
    let java =
        StartEmulation { cold: (milliseconds(3000), milliseconds(3000)), hot: (milliseconds(200), milliseconds(300)) };
    assert_eq!(emulation("\"aws-lambda-java\""), Some(java.clone()));
    assert_eq!(emulation("{ cold = \"3s\", hot = \"200ms..300ms\" }"), Some(java));
    assert!(problem_of("[instances]\nemulate = { cold = \"3s\" }").contains("lacks \"hot\""));
    assert!(problem_of("[instances]\nemulate = { cold = \"3s\", hot = \"2s..1s\" }").contains("backwards"));
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in "\\PC*") {
        let _ = (from_toml(&text), from_json(&text));
    }

    #[test]
    fn no_value_of_any_key_is_a_panic(
        key in prop::sample::select(vec![
            "name", "topics", "topics_pattern", "filters", "env", "outputs", "outputs.a", "limits.memory", "limits.timeout",
            "instances.emulate", "retry.backoff", "delivery.batch_size", "kafka", "kafka.a", "schedule", "concurrency",
        ]),
        value in prop_oneof![
            Just("{}".to_owned()), Just("[]".to_owned()), Just("[{}]".to_owned()), Just("1.5".to_owned()), Just("nan".to_owned()),
            Just("2024-01-01".to_owned()), Just("9223372036854775807".to_owned()), Just("{ a = { b = 1 } }".to_owned()),
            "[0-9]{1,25}(ms|s|h|MiB|EiB|)".prop_map(|text| format!("\"{text}\"")),
            "\\PC{0,40}".prop_map(|text| toml::Value::from(text).to_string()),
        ],
    ) {
        let result = from_toml(&format!("{key} = {value}"));
        prop_assert!(result.is_err(), "it lacks a name or topics");
    }

    #[test]
    fn a_good_manifest_stays_good_whatever_its_name(name in "[a-z][a-z0-9-]{0,62}") {
        let manifest = from_toml(&format!("name = \"{name}\"\ntopics = [\"in\"]")).unwrap();
        prop_assert_eq!(manifest.dead_letter_topic, format!("{name}.dead"));
    }
}

/// Whatever is taken means the same when the registry has kept it.
#[test]
fn fuzzed_manifests_are_refused_or_keep_their_meaning() {
    use crate::fuzzing::fuzz;

    let tree: toml::Table = toml::from_str(WHOLE).unwrap();
    let json = serde_json::to_string(&tree).unwrap();
    let good = [SMALLEST.as_bytes(), WHOLE.as_bytes(), json.as_bytes()];
    fuzz(&good, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return Ok(()) };
        for manifest in [from_toml(text), from_json(text)] {
            match manifest {
                Ok(manifest) => {
                    let stored = serde_json::to_string(&manifest).unwrap();
                    prop_assert_eq!(serde_json::from_str::<Manifest>(&stored).unwrap(), manifest);
                }
                Err(error) => prop_assert!(!error.problems().is_empty() && !error.to_string().is_empty()),
            }
        }
        Ok(())
    });
}
