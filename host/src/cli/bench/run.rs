//! `millstream bench run`: how fast a function handles records.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::local::{INSTANCES, LocalFunction, LocalRecord};
use crate::cli::build::{build_folder, built_module};
use crate::cli::failure::VerbFailure;
use crate::cli::{progress, project, runtime, test};
use crate::error_code::ErrorCode;
use crate::wasm::log::DiscardedLog;
use crate::wasm::{EngineOptions, WasmEngine};

const EXAMPLES: &str = "\
Examples:
  millstream bench run examples/place-bid
  millstream bench run . --events tests/bids.json --records 1000000 --batch 1
  perf record -g millstream bench run . --perf     # then: perf report";

const KEYS: usize = 100;
/// Bytes of a generated value.
const VALUE_BYTES: usize = 200;
/// Records before anything is measured.
const WARM_UP: usize = 1000;

/// Measure how fast a function handles records
///
/// Builds the function and has it handle records on the way that they take in a host: decoded, filtered, called in
/// batches, encoded for the outputs; only Kafka is missing. One lane, on one thread. The events are those of the
/// function's fixtures, of a file in their form, or generated: 200 bytes of text with one of 100 keys.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchRunArgs {
    /// The folder with the function's millstream.toml
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
    /// How many records
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
    records: u32,
    /// Most records in one call; `delivery.batch_size` of the manifest if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: Option<u32>,
    /// Take the events of the cases in this file
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    events: Option<PathBuf>,
    /// Generate events although the function has fixtures
    #[arg(long)]
    generate: bool,
    /// Take the module as it is
    #[arg(long)]
    no_build: bool,
    /// Give `perf` the names of the guest's functions, in /tmp/perf-PID.map
    #[arg(long)]
    perf: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

struct RunMeasurement {
    function: String,
    records: usize,
    batch: usize,
    elapsed: Duration,
    in_calls: Duration,
    emitted: usize,
    failures: BTreeMap<&'static str, usize>,
    filtered: usize,
    memory_bytes: u64,
    cold_starts: u64,
}

pub(crate) fn run(arguments: &BenchRunArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let folder = &arguments.folder;
    let manifest = project::read_folder(folder)?;
    let module = match arguments.no_build {
        true => built_module(folder, &manifest)?,
        false => build_folder(folder, &manifest)?,
    };
    let module: Arc<[u8]> = std::fs::read(&module)
        .map_err(|error| VerbFailure::new(ErrorCode::ArtifactMissing, format!("{}: {error}", module.display())))?
        .into();
    let events = events(arguments, folder)?;
    let measured = runtime::block_on(async {
        let options = EngineOptions { max_instances: INSTANCES, perf_map: arguments.perf, ..EngineOptions::default() };
        let engine = WasmEngine::new(options).map_err(|error| VerbFailure::new(error.code(), error.to_string()))?;
        let function = LocalFunction::load(&engine, module, manifest.project.manifest).await;
        let function = function.map_err(|error| VerbFailure::new(error.code(), error.to_string()))?;
        if arguments.perf {
            progress::report(format_args!("the guest's functions are named in /tmp/perf-{}.map", std::process::id()));
        }
        Ok::<RunMeasurement, VerbFailure>(measure(&function, &events, arguments).await)
    })??;
    print(&measured, arguments.json, out)
}

fn events(arguments: &BenchRunArgs, folder: &Path) -> Result<Vec<LocalRecord>, VerbFailure> {
    if let Some(path) = &arguments.events {
        return test::events_of_file(path);
    }
    if !arguments.generate && folder.join("tests").is_dir() {
        let events = test::events_of_folder(folder)?;
        progress::report(format_args!("with the {} events of the fixtures; --generate makes others", events.len()));
        return Ok(events);
    }
    Ok((0..KEYS)
        .map(|number| LocalRecord { key: Some(format!("k{number:02}").into()), ..generated_record() })
        .collect())
}

/// A record of 200 bytes of text.
pub(crate) fn generated_record() -> LocalRecord {
    let value: String = "millstream ".chars().cycle().take(VALUE_BYTES).collect();
    LocalRecord { key: Some(b"k".to_vec()), value: Some(value.into_bytes()), ..LocalRecord::default() }
}

async fn measure(function: &LocalFunction, events: &[LocalRecord], arguments: &BenchRunArgs) -> RunMeasurement {
    let manifest = function.manifest();
    let batch = arguments.batch.map_or(manifest.delivery.batch_size, |batch| batch as usize).max(1);
    let total = arguments.records as usize;
    let mut session = function.session(&BTreeMap::new(), Arc::new(DiscardedLog));
    let batches: Vec<Vec<LocalRecord>> = batches(events, batch);
    for records in batches.iter().cycle().take(WARM_UP.min(total).div_ceil(batch)) {
        session.handle_all(records, |_| {}).await;
    }
    let mut measured = RunMeasurement {
        function: manifest.name.to_string(),
        records: 0,
        batch,
        elapsed: Duration::ZERO,
        in_calls: Duration::ZERO,
        emitted: 0,
        failures: BTreeMap::new(),
        filtered: 0,
        memory_bytes: 0,
        cold_starts: 0,
    };
    let began = Instant::now();
    for records in batches.iter().cycle() {
        let records = &records[..records.len().min(total - measured.records)];
        let mut heard = 0;
        let spent = session
            .handle_all(records, |verdict| {
                heard += 1;
                match verdict {
                    Ok(count) => measured.emitted += count,
                    Err(fault) => *measured.failures.entry(fault.class.as_str()).or_default() += 1,
                }
            })
            .await;
        measured.filtered += records.len() - heard;
        measured.records += records.len();
        measured.in_calls += spent.elapsed;
        if measured.records == total {
            break;
        }
    }
    measured.elapsed = began.elapsed();
    (measured.memory_bytes, measured.cold_starts) = (session.memory_bytes(), session.cold_starts());
    measured
}

/// The events again and again, in whole batches, until the last ends with the last event.
fn batches(events: &[LocalRecord], batch: usize) -> Vec<Vec<LocalRecord>> {
    // Enough that the first batch isn't always in the processor's cache, few enough to fit into memory.
    let count = (20_000 / batch).clamp(1, 200);
    let mut all = events.iter().cycle().cloned();
    (0..count).map(|_| all.by_ref().take(batch).collect()).collect()
}

fn print(measured: &RunMeasurement, as_json: bool, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let seconds = measured.elapsed.as_secs_f64();
    let per_second = measured.records as f64 / seconds.max(1e-9);
    let each = |duration: Duration| duration.as_secs_f64() * 1e6 / measured.records.max(1) as f64;
    let rounded = |micros: f64| (micros * 1e3).round() / 1e3;
    let (per_record, per_call) = (each(measured.elapsed), each(measured.in_calls));
    if as_json {
        let failed: Value =
            measured.failures.iter().map(|(class, count)| ((*class).to_owned(), json!(count))).collect();
        let report = json!({
            "function": measured.function,
            "records": measured.records,
            "batch": measured.batch,
            "seconds": rounded(seconds),
            "records_per_second": per_second.round() as u64,
            "us_per_record": rounded(per_record),
            "guest_us_per_record": rounded(per_call),
            "filtered": measured.filtered,
            "emitted": measured.emitted,
            "failed": failed,
            "cold_starts": measured.cold_starts,
            "memory_bytes": measured.memory_bytes,
        });
        return Ok(writeln!(out, "{report:#}")?);
    }
    let (function, records, batch) = (&measured.function, thousands(measured.records), measured.batch);
    writeln!(out, "{function}: {records} records, up to {batch} in a call, one lane")?;
    writeln!(out, "  throughput  {} records/s", thousands(per_second.round() as usize))?;
    writeln!(out, "  a record    {per_record:.2} µs, of which {per_call:.2} µs in calls of the guest")?;
    writeln!(out, "  emitted     {} events", thousands(measured.emitted))?;
    if measured.filtered > 0 {
        writeln!(out, "  filtered    {} records", thousands(measured.filtered))?;
    }
    for (class, count) in &measured.failures {
        writeln!(out, "  failed      {} records: {class}", thousands(*count))?;
    }
    writeln!(out, "  sandboxes   {} started", thousands(usize::try_from(measured.cold_starts).unwrap_or_default()))?;
    Ok(writeln!(out, "  memory      {} KiB in a sandbox at the most", measured.memory_bytes / 1024)?)
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_can_be_read() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (123_456, "123,456"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn events_repeat_in_whole_batches() {
        let event = |number: u8| LocalRecord { value: Some(vec![number]), ..LocalRecord::default() };
        let batches = batches(&[event(0), event(1), event(2)], 2);
        let values: Vec<u8> = batches.iter().take(3).flatten().map(|event| event.value.as_ref().unwrap()[0]).collect();
        assert_eq!(values, [0, 1, 2, 0, 1, 2]);
    }
}
