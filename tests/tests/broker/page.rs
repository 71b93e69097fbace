//! The web page in a real browser, during an auction on a real Kafka.

use std::path::PathBuf;
use std::time::Duration;

use millstream_tests::browser::Browser;
use millstream_tests::client::module;
use millstream_tests::fixture::HostFixture;
use millstream_tests::skip::skipped;
use millstream_tests::{PROGRESS, kcat, root, wait_until};

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
    skipped("no chromium and chromedriver here (`./run setup` installs them): the page was not tested");
    None
}

/// An event as a producer of the auction writes it.
fn bid(fixture: &HostFixture, key: &str, type_: &str, topic: &str, data: &str) {
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", "1"),
        ("ce_source", "/auction"),
        ("ce_type", type_),
        ("content-type", "application/json"),
    ];
    kcat::produce_one(&fixture.kafka.bootstrap, topic, Some(key), &headers, data.as_bytes());
}

#[test]
fn the_page_shows_an_auction_from_the_deploy_to_the_lineage() {
    let Some(browser) = browser(1280, 860, false) else { return };
    let fixture = HostFixture::new("auction", 2);
    let name = |stem: &str| format!("{stem}-{}", fixture.name);
    let topic = |stem: &str| format!("{}.{stem}", fixture.name);
    let (bids, completed) = (topic("bids"), topic("items.complete"));
    fixture.kafka.create_topic(&bids, 2);
    fixture.kafka.create_topic(&completed, 2);
    let base = fixture.host.client.base();
    browser.go(base);
    browser.wait_for_text("Nothing is deployed yet");

    let durations = browser.run(
        "return import('/page/format.js').then(({ duration }) => [0, 2.5e-6, 250e-6, 0.1, 0.0025, 1.5, 600].map(duration))",
    );
    assert_eq!(durations, serde_json::json!(["0 s", "2.5 µs", "250 µs", "100 ms", "2.5 ms", "1.5 s", "10 min"]));

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

    // The others are dropped on it, or come from a shell.
    let manifest_of = |example: &str, input: &str, output: &str| {
        let name = name(example);
        format!(
            "name = \"{name}\"\ntopics = [\"{input}\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = \"{output}\" }}\n"
        )
    };
    let validated = topic("items.validated");
    browser.find_text("a", "Deploy").click();
    browser.find(".drop");
    drop_files(&browser, &manifest_of("item-complete", &completed, &validated), &module("item-complete"));
    browser.wait_for_text("Module dropped.wasm");
    browser.find_text("button", "Deploy").click();
    browser.find_text("h1", &name("item-complete"));
    let notify = manifest_of("notify-bidders", &validated, &topic("notifications"));
    let (status, answer) = fixture.host.client.put(&name("notify-bidders"), &notify, module("notify-bidders"));
    assert_eq!(status, 201, "{answer}");

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
                produce_structured(&fixture, &bids, records.collect());
                std::thread::sleep(Duration::from_millis(400));
            }
        });
        browser.go(&format!("{base}/#/"));
        browser.wait_for_text(&place_bid);
        wait_until("the page shows a rate", PROGRESS, || {
            let script = "return [...document.querySelectorAll('tbody td:nth-child(4)')].map((cell) => cell.innerText)";
            let rates = browser.run(script).as_array().cloned().unwrap_or_default();
            rates.iter().filter_map(|rate| rate.as_str()).any(|rate| rate.ends_with("/s") && rate != "0/s")
        });
        browser.go(&format!("{base}/#/topology"));
        wait_until("an edge of the graph is alive", PROGRESS, || {
            browser.run("return document.querySelectorAll('.edge.flowing').length").as_u64() > Some(0)
        });
        browser.picture(&pictures().join("topology.png"));
        producer.join().expect("written");
    });
    bid(&fixture, "clock", "auction.bid.placed", &bids, "twenty-five, says dan");
    let item = r#"{"item":"lamp","seller":"eve","bids":[{"bidder":"ann","amount":107},{"bidder":"bob","amount":70}]}"#;
    bid(&fixture, "lamp", "auction.item.completed", &completed, item);
    let dead = format!("{place_bid}.dead");
    let letter = &kcat::read_at_least(&fixture.kafka.bootstrap, &dead, 1, PROGRESS)[0];
    let notified = kcat::read_at_least(&fixture.kafka.bootstrap, &topic("notifications"), 3, PROGRESS);

    browser.go(&format!("{base}/#/functions/{place_bid}"));
    browser.wait_for_text("1 reject");
    browser.picture(&pictures().join("function.png"));

    // A call with the example event.
    browser.find_text("a", "Invoke").click();
    wait_until("an example event is there", PROGRESS, || {
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

    // The dead letter is edited and redriven, while the function is paused and afterwards.
    browser.go(&format!("{base}/#/functions/{place_bid}/dead-letters"));
    browser.wait_for_text("the JSON cannot be read");
    browser.find_text("button", "Pause").click();
    browser.find_text("span", "paused");
    browser.find_text("button", "Resume").click();
    browser.find_text("span", "running");
    browser.find(".letter summary").click();
    browser.find(".letter textarea").replace_text(r#"{"item":"clock","bidder":"dan","amount":25}"#);
    browser.find_text("button", "Redrive with this value").click();
    browser.wait_for_text("redriven: emitted");
    let is_mended =
        |record: &kcat::Record| record.header("millstream-redriven").is_some() && record.text().contains("dan");
    let accepted = kcat::read(&fixture.kafka.bootstrap, &topic("bids.accepted"));
    assert_eq!(accepted.iter().filter(|record| is_mended(record)).count(), 1);
    browser.picture(&pictures().join("dead-letters.png"));

    // Another one; this time the function is fixed, and its dead letters are redriven.
    bid(&fixture, "vase", "auction.bid.placed", &bids, "thirty, says eve");
    kcat::read_at_least(&fixture.kafka.bootstrap, &dead, 2, PROGRESS);
    let lenient = folder.path().join("lenient.wasm");
    std::fs::write(&lenient, module("uppercase")).expect("written");
    browser.find_text("a", "Deploy").click();
    browser.find("#manifest-file").type_text(&manifest.to_string_lossy());
    browser.find("#module-file").type_text(&lenient.to_string_lossy());
    browser.wait_for_text("Module lenient.wasm");
    browser.find_text("button", "Deploy").click();
    browser.wait_for_text("revision 2");
    browser.go(&format!("{base}/#/functions/{place_bid}/dead-letters"));
    browser.wait_for_text("Redrive all");
    browser.find_text("button", "Redrive all").click();
    wait_until("both letters are shown as redriven", PROGRESS, || {
        browser.run("return document.querySelectorAll('.letter .badge.running').length").as_u64() == Some(2)
    });
    let accepted = kcat::read(&fixture.kafka.bootstrap, &topic("bids.accepted"));
    let is_lenient = |record: &kcat::Record| {
        let by = record.header("ce_millstreamfunction").unwrap_or_default();
        record.text() == "THIRTY, SAYS EVE" && by.ends_with("@2")
    };
    assert_eq!(accepted.iter().filter(|record| is_lenient(record)).count(), 1);

    // Where the dead letter comes from and what came of it, and what the hammer led to.
    browser.go(&format!("{base}/#/events/{dead}/{}/{}", letter.partition, letter.offset));
    browser.wait_for_text("the JSON cannot be read");
    browser.wait_for_text(&format!("{bids}/"));
    browser.wait_for_text(", redriven");
    browser.wait_for_text("auction.bid.accepted");
    let last = &notified[0];
    browser.go(&format!("{base}/#/events/{}/{}/{}", topic("notifications"), last.partition, last.offset));
    browser.wait_for_text("auction.item.completed");
    wait_until("all that the hammer led to is shown", PROGRESS, || {
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
    look_at_all(&fixture, &place_bid);
}

/// Drops a manifest and a module on the form, as a hand with a mouse would.
fn drop_files(browser: &Browser, manifest: &str, module: &[u8]) {
    use base64::Engine as _;
    let module = base64::engine::general_purpose::STANDARD.encode(module);
    let manifest = serde_json::Value::String(manifest.to_owned());
    browser.run(&format!(
        "const files = new DataTransfer();
        files.items.add(new File([{manifest}], 'millstream.toml'));
        files.items.add(new File([Uint8Array.from(atob('{module}'), (letter) => letter.charCodeAt(0))], 'dropped.wasm'));
        const drop = {{ dataTransfer: files, bubbles: true, cancelable: true }};
        document.querySelector('.drop').dispatchEvent(new DragEvent('drop', drop));"
    ));
}

/// What a user of a screen reader or a keyboard would miss: fields without a label, links and buttons without text.
const UNHEARD: &str = "
    const unheard = [];
    for (const field of document.querySelectorAll('input, select, textarea')) {
      if (!field.labels?.length && !field.ariaLabel) unheard.push(field.outerHTML);
    }
    for (const link of document.querySelectorAll('a, button, summary')) {
      if (!(link.ariaLabel ?? link.textContent).trim()) unheard.push(link.outerHTML);
    }
    for (const picture of document.querySelectorAll('img, svg[role=img]')) {
      if (!picture.hasAttribute('alt') && !picture.ariaLabel) unheard.push(picture.outerHTML);
    }
    if (document.querySelectorAll('main h1').length !== 1) unheard.push('one heading of the whole');
    return unheard;";

/// Pictures of the same in the dark, and on a narrow screen.
fn look_at_all(fixture: &HostFixture, name: &str) {
    let base = fixture.host.client.base();
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
            assert_eq!(browser.run(UNHEARD), serde_json::json!([]), "{view}");
            browser.picture(&pictures().join(format!("{file}-{kind}.png")));
        }
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

/// Structured events, in one go.
fn produce_structured(fixture: &HostFixture, topic: &str, records: Vec<(String, String)>) {
    kcat::produce_with(&fixture.kafka.bootstrap, topic, &[("content-type", "application/cloudevents+json")], records);
}

#[test]
fn a_page_of_a_host_with_tokens_asks_for_one() {
    let Some(browser) = browser(1280, 860, false) else { return };
    let config = "[api.tokens.people]\ntoken = \"env:PEOPLE\"\nscopes = [\"read\"]\n";
    let fixture = HostFixture::configured("page-tokens", 1, &[("PEOPLE", "a-secret-of-people")], config);
    browser.go(fixture.host.client.base());
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
