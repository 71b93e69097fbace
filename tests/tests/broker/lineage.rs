//! Where events come from and what they led to, asked of a host that reads it in Kafka.

use std::process::Command;

use millstream_tests::client::module;
use millstream_tests::fixture::HostFixture;
use millstream_tests::host::binary;
use millstream_tests::{PROGRESS, kcat};
use serde_json::Value;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The auction's three functions, on topics of their own.
struct Auction {
    fixture: HostFixture,
    bids: String,
    completed: String,
    validated: String,
    notifications: String,
}

impl Auction {
    fn new() -> Self {
        let fixture = HostFixture::new("auction", 2);
        let name = fixture.name.clone();
        let topic = |stem: &str| format!("{name}.{stem}");
        let (bids, completed) = (fixture.input.clone(), topic("completed"));
        let (validated, notifications) = (topic("validated"), topic("notifications"));
        fixture.kafka.create_topic(&completed, 2);
        let auction = Self { bids, completed, validated, notifications, fixture };
        auction.deploy(
            "place-bid",
            &auction.bids,
            &format!("rejected = \"{}\"", topic("rejected")),
            &topic("accepted"),
        );
        auction.deploy("item-complete", &auction.completed, "", &auction.validated);
        auction.deploy("notify-bidders", &auction.validated, "", &auction.notifications);
        auction
    }

    fn name(&self, example: &str) -> String {
        format!("{}-{example}", self.fixture.name)
    }

    fn deploy(&self, example: &str, input: &str, outputs: &str, output: &str) {
        let name = self.name(example);
        let manifest = format!(
            "name = \"{name}\"\ntopics = [\"{input}\"]\ninitial_offset = \"earliest\"\n[outputs]\ndefault = \"{output}\"\n{outputs}"
        );
        let (status, answer) = self.fixture.host.client.put(&name, &manifest, module(example));
        assert_eq!(status, 201, "{answer}");
    }

    fn event(&self, topic: &str, type_: &str, data: &str) {
        let headers = [
            ("ce_specversion", "1.0"),
            ("ce_id", "1"),
            ("ce_source", "/auction"),
            ("ce_type", type_),
            ("content-type", "application/json"),
            ("traceparent", TRACE),
        ];
        kcat::produce_one(&self.fixture.kafka.bootstrap, topic, Some("lamp"), &headers, data.as_bytes());
    }

    fn lineage(&self, topic: &str, record: &kcat::Record, more: &str) -> Value {
        let (partition, offset) = (record.partition, record.offset);
        let path = format!("/v1/lineage?topic={topic}&partition={partition}&offset={offset}{more}");
        let (status, answer) = self.fixture.host.client.ask(&path);
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

fn effects(node: &Value) -> &[Value] {
    node["effects"].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn an_event_is_followed_up_to_its_cause_and_down_to_its_effects() {
    let auction = Auction::new();
    let item = r#"{"item":"lamp","seller":"eve","bids":[{"bidder":"ann","amount":80},{"bidder":"bob","amount":70}]}"#;
    auction.event(&auction.completed, "auction.item.completed", item);
    let bootstrap = &auction.fixture.kafka.bootstrap;
    let notified = kcat::read_at_least(bootstrap, &auction.notifications, 3, PROGRESS);
    let completed = &kcat::read(bootstrap, &auction.completed)[0];

    let down = auction.lineage(&auction.completed, completed, "");
    let root = &down["root"];
    assert_eq!((&root["asked"], root["type"].as_str()), (&true.into(), Some("auction.item.completed")), "{down}");
    assert_eq!(effects(root).len(), 1, "{down}");
    let validated = &effects(root)[0];
    assert_eq!(validated["topic"].as_str(), Some(auction.validated.as_str()));
    assert_eq!(validated["function"].as_str(), Some(auction.name("item-complete").as_str()));
    assert_eq!((&validated["revision"], &validated["attempt"]), (&1.into(), &1.into()));
    assert!(validated["after_ms"].as_i64().is_some_and(|ms| ms >= 0), "{down}");
    assert_eq!(effects(validated).len(), notified.len(), "{down}");
    for effect in effects(validated) {
        assert_eq!(effect["function"].as_str(), Some(auction.name("notify-bidders").as_str()));
        let trace = effect["traceparent"].as_str().unwrap_or_default();
        assert!(trace.starts_with(&TRACE[..35]) && trace != TRACE, "the producer's trace continues: {trace}");
    }
    assert_eq!(down["scan"]["cut"].as_array().map(Vec::len), Some(0), "{down}");

    let up = auction.lineage(&auction.notifications, &notified[0], "");
    assert_eq!(up["root"]["topic"].as_str(), Some(auction.completed.as_str()), "{up}");
    assert_eq!(effects(&up["root"]).len(), 1);
    let last = &effects(&effects(&up["root"])[0]);
    assert_eq!((last.len(), &last[0]["asked"]), (1, &true.into()), "only what lies on the way: {up}");
    let whole = auction.lineage(&auction.notifications, &notified[0], "&whole=true");
    assert_eq!(effects(&effects(&whole["root"])[0]).len(), notified.len(), "{whole}");

    let place = format!("{}/{}/{}", auction.completed, completed.partition, completed.offset);
    let printed = Command::new(binary())
        .args(["trace", &place, "--host", auction.fixture.host.client.base()])
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert_eq!(text.lines().count(), 2 + notified.len(), "{text}");
    assert!(text.starts_with(&place) && text.contains("└─ ") && text.contains("auction.bidder.notified"), "{text}");
}

#[test]
fn a_dead_letter_is_an_effect_and_has_its_cause() {
    let auction = Auction::new();
    auction.event(&auction.bids, "auction.bid.placed", "twenty-five, says dan");
    let bootstrap = &auction.fixture.kafka.bootstrap;
    let dead = format!("{}.dead", auction.name("place-bid"));
    let letter = &kcat::read_at_least(bootstrap, &dead, 1, PROGRESS)[0];
    let bid = &kcat::read(bootstrap, &auction.bids)[0];
    let down = auction.lineage(&auction.bids, bid, "");
    let found = &effects(&down["root"])[0];
    assert_eq!((found["kind"].as_str(), found["topic"].as_str()), (Some("dead_letter"), Some(dead.as_str())), "{down}");
    assert_eq!((found["fault"]["class"].as_str(), &found["attempt"]), (Some("reject"), &1.into()));
    let up = auction.lineage(&dead, letter, "");
    assert_eq!(up["root"]["topic"].as_str(), Some(auction.bids.as_str()), "{up}");
    assert_eq!(effects(&up["root"])[0]["asked"], true);

    let client = &auction.fixture.host.client;
    let (status, answer) = client.ask(&format!("/v1/lineage?topic={}&partition=0&offset=999", auction.bids));
    assert_eq!((status, answer["code"].as_str()), (404, Some("MS0221")), "{answer}");
    let (status, answer) = client.ask(&format!("/v1/lineage?topic={}&partition=9&offset=0", auction.bids));
    assert_eq!((status, answer["code"].as_str()), (404, Some("MS0216")), "{answer}");
    let (status, answer) = client.ask("/v1/lineage?topic=a/b&partition=0&offset=0");
    assert_eq!((status, answer["code"].as_str()), (400, Some("MS0204")), "{answer}");
}

#[test]
fn a_search_that_was_cut_short_says_so_and_a_late_attempt_is_told() {
    let fixture = HostFixture::new("attempts", 1);
    fixture.deploy("faults", "[retry]\nmax_attempts = 3\nbackoff = \"10ms\"\n");
    let bootstrap = &fixture.kafka.bootstrap;
    kcat::produce(bootstrap, &fixture.input, [("k".to_owned(), "flaky:2".to_owned())]);
    kcat::produce(bootstrap, &fixture.input, (0..50).map(|number| ("k".to_owned(), format!("ok:{number}"))));
    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    let ask = |more: &str| {
        let path = format!("/v1/lineage?topic={}&partition=0&offset=0{more}", fixture.input);
        let (status, answer) = fixture.host.client.ask(&path);
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let whole = ask("");
    assert_eq!((effects(&whole["root"]).len(), &effects(&whole["root"])[0]["attempt"]), (1, &2.into()), "{whole}");
    assert!(whole["scan"]["records"].as_u64().is_some_and(|read| read >= 51), "{whole}");
    let cut = ask("&records=5");
    assert_eq!(cut["scan"]["records"], 5, "{cut}");
    assert!(cut["scan"]["cut"][0].as_str().is_some_and(|text| text.contains("5 records")), "{cut}");
}
