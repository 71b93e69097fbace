//! What a function costs in each language: no Kafka, only `millstream bench start`.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, ensure};
use millstream_tests::examples;
use millstream_tests::host::binary;
use serde_json::Value;

use crate::options::Options;
use crate::report::{self, Section};

/// Starts of each.
const ROUNDS: &str = "2000";

/// A function that is measured, and an event that it takes.
struct Guest {
    language: &'static str,
    example: &'static str,
    data: &'static str,
}

const GUESTS: [Guest; 6] = [
    Guest {
        language: "Rust",
        example: "item-complete",
        data: r#"{"item":"lamp","seller":"eve","bids":[{"bidder":"ann","amount":40}]}"#,
    },
    Guest { language: "C", example: "drop-low-bids", data: r#"{"item":"lamp","bidder":"ann","amount":40}"# },
    Guest { language: "Go", example: "tally", data: "lamp 40" },
    Guest { language: "Python", example: "enrich-item", data: r#"{"item":"lamp","seller":"eve"}"# },
    Guest { language: "TypeScript", example: "validate-bid", data: r#"{"item":"lamp","bidder":"ann","amount":40}"# },
    Guest {
        language: "JavaScript, HTTP",
        example: "convert-bid",
        data: r#"{"item":"lamp","amount":50,"currency":"USD"}"#,
    },
];

/// Measures one after another.
pub(crate) fn run(options: &Options) -> anyhow::Result<Section> {
    let mut section = Section::new(
        "guests",
        &["", "shape", "size KiB", "compile ms", "cold p50 µs", "cold p99 µs", "hot p50 µs", "memory KiB"],
    );
    for guest in GUESTS.iter().filter(|guest| options.takes(guest.language)) {
        let Some(module) = examples::built(guest.example) else {
            section.notes.push(format!("**Not measured: {}.** This machine could not build it.", guest.language));
            continue;
        };
        let size = fs::metadata(&module)?.len();
        report::progress(&format!("{}: examples/{}", guest.language, guest.example));
        let mut bench = Command::new(binary());
        bench
            .args(["bench", "start", "--json", "--rounds", ROUNDS, "--data", guest.data])
            .arg(&module)
            .arg("--manifest");
        bench.arg(millstream_tests::root().join("examples").join(guest.example).join("millstream.toml"));
        let output = bench.output().context("millstream can't be started")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && !stderr.contains("did not take the event"), "{}: {stderr}", guest.example);
        let report: Value = serde_json::from_slice(&output.stdout).context("no JSON")?;
        let number = |value: &Value| value.as_f64().map_or("–".to_owned(), report::thousands);
        let micros = |value: &Value| value.as_f64().map_or("–".to_owned(), |micros| format!("{micros:.1}"));
        section.rows.push(vec![
            guest.language.to_owned(),
            report["shape"].as_str().unwrap_or("–").to_owned(),
            report::thousands(size as f64 / 1024.0),
            number(&report["compile_ms"]),
            micros(&report["cold_us"]["p50"]),
            micros(&report["cold_us"]["p99"]),
            micros(&report["hot_us"]["p50"]),
            report["memory_bytes"].as_f64().map_or("–".to_owned(), |bytes| report::thousands(bytes / 1024.0)),
        ]);
    }
    section.notes.insert(
        0,
        "A cold start is all that a host does for a new sandbox: store, WASI, limits, instance. A hot call handles one event \
         in a sandbox that was called before; commands and HTTP handlers have a new one for each event, so theirs is a start \
         and a call. Memory is the sandbox's linear memory, of which only touched pages are real. Compiling is done once for \
         each module, on all cores."
            .to_owned(),
    );
    Ok(section)
}
