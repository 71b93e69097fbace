//! The web page in a real browser, during an auction on a real Kafka.

use std::path::PathBuf;
use std::time::Duration;

use millstream_tests::browser::Browser;
use millstream_tests::client::module;
use millstream_tests::{kcat, root, wait_until};

use super::setting::Setting;

const LONG: Duration = Duration::from_secs(60);

/// Where pictures are kept: a folder of the build, or the one that `MILLSTREAM_PICTURES` names.
fn pictures() -> PathBuf {
    let folder = std::env::var_os("MILLSTREAM_PICTURES").map_or_else(|| root().join("target/pictures"), PathBuf::from);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A browser; or nothing, said loudly, where there is none.
fn browser(width: u32, height: u32, is_dark: bool) -> Option<Browser> {
    if Browser::is_there() {
        return Some(Browser::start(width, height, is_dark));
    }
    eprintln!(
        "\n!!! SKIPPED: no chromium and chromedriver here (`./run setup` installs them): the page was not tested\n"
    );
    None
}

/// An event as a producer of the auction writes it.
fn bid(setting: &Setting, key: &str, type_: &str, topic: &str, data: &str) {
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", "1"),
        ("ce_source", "/auction"),
        ("ce_type", type_),
        ("content-type", "application/json"),
    ];
    kcat::produce_one(&setting.kafka.bootstrap, topic, Some(key), &headers, data.as_bytes());
}

#[test]
fn the_page_shows_an_auction_from_the_deploy_to_the_lineage() {
    let Some(browser) = browser(1280, 860, false) else { return };
    let setting = Setting::new("auction", 2);
    let name = |stem: &str| format!("{stem}-{}", setting.name);
    let topic = |stem: &str| format!("{}.{stem}", setting.name);
    let (bids, completed) = (topic("bids"), topic("items.complete"));
    setting.kafka.create_topic(&bids, 2);
    setting.kafka.create_topic(&completed, 2);
    let base = setting.host.client.base();
    browser.go(base);
    browser.wait_for_text("Nothing is deployed yet");

    // A deploy by file.
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = folder.path().join("millstream.toml");
    let outputs = format!("default = \"{}\"\nrejected = \"{}\"", topic("bids.accepted"), topic("bids.rejected"));
    let filters = "[[filters]]\nexact = { type = \"auction.bid.placed\" }";
    let place_bid = name("place-bid");
    let text = format!(
        "name = \"{place_bid}\"\ntopics = [\"{bids}\"]\ninitial_offset = \"earliest\"\nordering = \"key\"\n[outputs]\n{outputs}\n{filters}"
    );
    std::fs::write(&manifest, text).expect("written");
    let wasm = folder.path().join("place_bid.wasm");
    std::fs::write(&wasm, module("place-bid")).expect("written");
    browser.find_text("a", "Deploy").click();
    browser.find("#manifest-file").type_text(&manifest.to_string_lossy());
    browser.find("#module-file").type_text(&wasm.to_string_lossy());
    browser.wait_for_text("Module place_bid.wasm");
    browser.find_text("button", "Deploy").click();
    browser.wait_for_text("revision 1");
    browser.wait_for_text("running");

    // The others by whoever does it from a shell.
    for (example, input, output) in [
        ("item-complete", &completed, topic("items.validated")),
        ("notify-bidders", &topic("items.validated"), topic("notifications")),
    ] {
        let manifest =
            format!("topics = [\"{input}\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = \"{output}\" }}\n");
        setting.host.client.deploy(&name(example), example, &manifest);
    }

    // Records flow, and one is poison.
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            for round in 0..8 {
                let bids_of = |key: &str| (0..40).map(move |_| key.to_owned()).collect::<Vec<_>>();
                let records = ["lamp", "clock", "vase"].iter().flat_map(|key| bids_of(key)).map(|key| {
                    let event = format!(
                        r#"{{"specversion":"1.0","id":"{round}","source":"/auction","type":"auction.bid.placed","data":{{"item":"{key}","bidder":"ann","amount":{}}}}}"#,
                        100 + round
                    );
                    (key, event)
                });
                produce_structured(&setting, &bids, records.collect());
                std::thread::sleep(Duration::from_millis(400));
            }
        });
        browser.go(&format!("{base}/#/"));
        browser.wait_for_text(&place_bid);
        wait_until("the page shows a rate", LONG, || {
            let records = browser.run("return document.querySelector('tbody td:nth-child(4)')?.innerText ?? ''");
            records.as_str().is_some_and(|text| text.ends_with("/s") && text != "0/s")
        });
        browser.go(&format!("{base}/#/topology"));
        wait_until("an edge of the graph is alive", LONG, || {
            browser.run("return document.querySelectorAll('.edge.flowing').length").as_u64() > Some(0)
        });
        browser.picture(&pictures().join("topology.png"));
        producer.join().expect("written");
    });
    bid(&setting, "clock", "auction.bid.placed", &bids, "twenty-five, says dan");
    let item = r#"{"item":"lamp","seller":"eve","bids":[{"bidder":"ann","amount":107},{"bidder":"bob","amount":70}]}"#;
    bid(&setting, "lamp", "auction.item.completed", &completed, item);
    let dead = format!("{place_bid}.dead");
    let letter = &kcat::read_at_least(&setting.kafka.bootstrap, &dead, 1, LONG)[0];
    let notified = kcat::read_at_least(&setting.kafka.bootstrap, &topic("notifications"), 3, LONG);

    browser.go(&format!("{base}/#/functions/{place_bid}"));
    browser.wait_for_text("1 reject");
    browser.picture(&pictures().join("function.png"));

    // A call with the example event.
    browser.find_text("a", "Invoke").click();
    wait_until("an example event is there", LONG, || {
        browser
            .run("return document.querySelector('#event')?.value ?? ''")
            .as_str()
            .is_some_and(|text| text.contains("auction.bid.placed"))
    });
    browser.find("#event").replace_text(
        r#"{"specversion":"1.0","id":"9","source":"/me","type":"auction.bid.placed","data":{"item":"lamp","bidder":"ada","amount":-1}}"#,
    );
    browser.find_text("button", "Invoke").click();
    browser.wait_for_text("auction.bid.rejected");

    // Where the dead letter comes from, and what the hammer led to.
    browser.go(&format!("{base}/#/events/{dead}/{}/{}", letter.partition, letter.offset));
    browser.wait_for_text("the JSON cannot be read");
    browser.wait_for_text(&format!("{bids}/"));
    let last = &notified[0];
    browser.go(&format!("{base}/#/events/{}/{}/{}", topic("notifications"), last.partition, last.offset));
    browser.wait_for_text("auction.item.completed");
    wait_until("all that the hammer led to is shown", LONG, || {
        browser.run("return document.querySelectorAll('article.event').length").as_u64()
            == Some(2 + notified.len() as u64)
    });
    browser.picture(&pictures().join("lineage.png"));

    browser.go(&format!("{base}/#/usage"));
    browser.wait_for_text("Invocations");
    browser.wait_for_text(&place_bid);
    browser.go(&format!("{base}/#/functions/{place_bid}/revisions"));
    browser.wait_for_text("live");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    look_at_all(&setting, &place_bid);
}

/// Pictures of the same in the dark, and on a narrow screen.
fn look_at_all(setting: &Setting, name: &str) {
    let base = setting.host.client.base();
    for (width, height, is_dark, kind) in [(1280, 860, true, "dark"), (480, 900, false, "narrow")] {
        let Some(browser) = browser(width, height, is_dark) else { return };
        for (view, file) in [
            ("", "functions"),
            (&*format!("functions/{name}"), "function"),
            ("topology", "topology"),
            ("deploy", "deploy"),
        ] {
            browser.go(&format!("{base}/#/{view}"));
            browser.wait_for_text("all well");
            let is_wide =
                browser.run("return document.documentElement.scrollWidth > document.documentElement.clientWidth");
            assert_eq!(is_wide, false, "{view} fits its {kind} window");
            browser.picture(&pictures().join(format!("{file}-{kind}.png")));
        }
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

/// Structured events, in one go.
fn produce_structured(setting: &Setting, topic: &str, records: Vec<(String, String)>) {
    kcat::produce_with(&setting.kafka.bootstrap, topic, &[("content-type", "application/cloudevents+json")], records);
}

#[test]
fn a_page_of_a_host_with_tokens_asks_for_one() {
    let Some(browser) = browser(1280, 860, false) else { return };
    let config = "[api.tokens.people]\ntoken = \"env:PEOPLE\"\nscopes = [\"read\"]\n";
    let setting = Setting::configured("page-tokens", 1, &[("PEOPLE", "a-secret-of-people")], config);
    browser.go(setting.host.client.base());
    browser.wait_for_text("This host asks for a token");
    browser.find("#token").type_text("not-the-secret-one");
    browser.find_text("button", "Use it").click();
    browser.wait_for_text("The token was refused");
    browser.find("#token").type_text("a-secret-of-people");
    browser.find_text("button", "Use it").click();
    browser.wait_for_text("Nothing is deployed yet");
    let kept = browser.run("return [sessionStorage.length, localStorage.length, document.cookie]");
    assert_eq!(kept, serde_json::json!([1, 0, ""]));
}
