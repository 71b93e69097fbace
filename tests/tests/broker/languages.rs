//! Functions in other languages, on the real host and a real Kafka: what works, what fails, and the order of each key.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use millstream_tests::fixture::HostFixture;
use millstream_tests::host::binary;
use millstream_tests::{SLOW_PROGRESS, examples, kcat};

const RECORDS: usize = 60;
const KEYS: usize = 6;

/// A setting in which the example runs, where this machine could build it: `./run guests` does.
fn deployed(example: &str, shape: &str) -> Option<HostFixture> {
    let module = std::fs::read(examples::built(example)?).expect("the module can be read");
    let fixture = HostFixture::new(example, 2);
    let manifest = format!(
        "name = \"{}\"\ntopics = [\"{}\"]\ninitial_offset = \"earliest\"\nordering = \"key\"\nconcurrency = 4\n\
         env = {{ LEAST = \"10\" }}\noutputs = {{ default = \"{}\", unknown = \"{}.unknown\" }}\n[retry]\nmax_attempts = 2\nbackoff = \"10ms\"\n",
        fixture.name, fixture.input, fixture.output, fixture.name
    );
    let (status, answer) = fixture.host.client.put(&fixture.name, &manifest, module);
    assert_eq!((status, answer["shape"].as_str()), (201, Some(shape)), "{answer}");
    Some(fixture)
}

/// Feeds the function `value(key, number)` for each record, and one that is broken in the middle. Everything but that is
/// emitted, in the order of each key, and that is a dead letter of `class`.
fn assert_works(fixture: &HostFixture, value: impl Fn(&str, usize) -> String, broken: &str, class: &str) {
    let bootstrap = &fixture.kafka.bootstrap;
    let record = |number: usize| {
        let key = format!("lot{}", number % KEYS);
        let value = value(&key, number);
        (key, value)
    };
    kcat::produce(bootstrap, &fixture.input, (0..RECORDS / 2).map(record));
    kcat::produce_one(bootstrap, &fixture.input, Some("lot0"), &[], broken.as_bytes());
    kcat::produce(bootstrap, &fixture.input, (RECORDS / 2..RECORDS).map(record));
    fixture.host.client.wait_for_no_lag(&fixture.name, SLOW_PROGRESS);

    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let outputs = kcat::read(bootstrap, &fixture.output);
    assert_eq!(outputs.len(), RECORDS, "{outputs:?}");
    for output in &outputs {
        let data: serde_json::Value = serde_json::from_str(output.text()).expect("JSON");
        let number = data["amount"].as_u64().or(data["price"].as_u64());
        let number = number.unwrap_or_else(|| panic!("no amount: {data}"));
        numbers.entry(output.key_text().to_owned()).or_default().push(number);
    }
    assert_eq!(numbers.len(), KEYS, "{numbers:?}");
    for (key, numbers) in &numbers {
        assert!(numbers.is_sorted() && numbers.len() == RECORDS / KEYS, "{key}: {numbers:?}");
    }
    let dead = kcat::read(bootstrap, &fixture.dead());
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!((dead[0].text(), dead[0].header("millstream-error-class")), (broken, Some(class)), "{dead:?}");
}

#[test]
fn a_component_in_rust() {
    let Some(fixture) = deployed("item-complete", "millstream-batch") else { return };
    let bids = |number: usize| format!(r#"[{{"bidder":"ann","amount":{number}}}]"#);
    let item = |key: &str, number: usize| format!(r#"{{"item":"{key}","seller":"eve","bids":{}}}"#, bids(number));
    assert_works(&fixture, item, r#"{"item":"lot0"}"#, "reject");
}

#[test]
fn a_command_in_go() {
    let Some(fixture) = deployed("tally", "wasi-command") else { return };
    assert_works(&fixture, |key, number| format!("{key} {number}"), "nothing today", "retry");
}

#[test]
fn a_component_in_typescript() {
    let Some(fixture) = deployed("validate-bid", "millstream-typed") else { return };
    let bid = |key: &str, number: usize| format!(r#"{{"item":"{key}","bidder":"ann","amount":{}}}"#, number + 1);
    assert_works(&fixture, bid, r#"{"item":"lot0"}"#, "reject");
}

#[test]
fn a_component_in_python() {
    let Some(fixture) = deployed("enrich-item", "millstream-typed") else { return };
    // Known by their category; of no category are the others, which go to another output.
    let item = |key: &str, number: usize| format!(r#"{{"item":"lamp","lot":"{key}","amount":{number}}}"#);
    assert_works(&fixture, item, "a lamp", "reject");
}

#[test]
fn a_command_in_c() {
    let Some(fixture) = deployed("drop-low-bids", "wasi-command") else { return };
    let bid = |key: &str, number: usize| format!(r#"{{"item":"{key}","bidder":"ann","amount":{}}}"#, number + 10);
    assert_works(&fixture, bid, r#"{"item":"lot0"}"#, "retry");
}

#[test]
fn an_http_handler_in_javascript() {
    let Some(fixture) = deployed("convert-bid", "wasi-http") else { return };
    let bid = |key: &str, number: usize| format!(r#"{{"item":"{key}","amount":{number},"currency":"EUR"}}"#);
    assert_works(&fixture, bid, r#"{"item":"lot0","amount":1,"currency":"thaler"}"#, "reject");
}

/// The most resident memory that the deploy of a module of 12 MB may leave a host with.
const GROWTH: u64 = 100 << 20;

#[test]
fn the_deploy_of_a_large_module_costs_a_host_little_memory() {
    let Some(module) = examples::built("validate-bid") else { return };
    let module = std::fs::read(module).expect("the module can be read");
    assert!(module.len() > 10 << 20, "it is large");
    let fixture = HostFixture::new("large", 1);
    let before = fixture.host.resident_bytes();
    let manifest = format!("name = \"{}\"\ntopics = [\"{}\"]\n", fixture.name, fixture.input);
    let (status, answer) = fixture.host.client.put(&fixture.name, &manifest, module);
    assert_eq!(status, 201, "{answer}");
    let grown = fixture.host.resident_bytes().saturating_sub(before);
    println!("the host grew by {} KiB, and had {} KiB at most", grown >> 10, fixture.host.peak_bytes() >> 10);
    assert!(grown <= GROWTH, "{grown} bytes more than the {before} before");
}

/// `millstream new` and `millstream deploy`: the greeting is emitted, and what can't be greeted is a dead letter.
fn assert_new_deploys(language: &str, prepare: impl Fn(&Path)) {
    let fixture = HostFixture::new("greet", 1);
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("new");
    let mut new = Command::new(binary());
    new.args(["new", &fixture.name, "--lang", language, "--path"]).arg(&folder);
    let made = new.output().expect("it can be started");
    assert!(made.status.success(), "{made:?}");
    prepare(&folder);
    let mut deploy = Command::new(binary());
    deploy.arg("deploy").arg(&folder).args(["--wait=60s", "--host", fixture.host.client.base()]);
    let deployed = deploy.output().expect("it can be started");
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));

    let bootstrap = &fixture.kafka.bootstrap;
    kcat::produce_one(bootstrap, &fixture.input, Some("door"), &[], "{\"name\":\"Zoë\"}".as_bytes());
    kcat::produce_one(bootstrap, &fixture.input, Some("door"), &[], b"nobody");
    fixture.host.client.wait_for_no_lag(&fixture.name, SLOW_PROGRESS);
    let outputs = kcat::read(bootstrap, &fixture.output);
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    assert_eq!((outputs[0].key_text(), outputs[0].text()), ("door", "{\"greeting\":\"Hello, Zoë\"}"));
    assert_eq!(outputs[0].header("ce_type"), Some("visitor.greeted"));
    let dead = kcat::read(bootstrap, &fixture.dead());
    assert_eq!(dead.iter().map(|letter| letter.text()).collect::<Vec<_>>(), ["nobody"]);
}

#[test]
fn a_new_function_in_rust_deploys() {
    assert_new_deploys("rust", examples::share_build);
}

#[test]
fn a_new_function_in_go_deploys() {
    if examples::built("tally").is_some() {
        assert_new_deploys("go", |_| {});
    }
}
