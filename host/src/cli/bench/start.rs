//! `millstream bench start`: cold and hot starts of one module.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::app::local::LocalFunction;
use crate::app::local::starts::StartTimings;
use crate::cli::bench::micros;
use crate::cli::failure::VerbFailure;
use crate::cli::invoke;
use crate::cli::{progress, project, runtime};
use crate::error_code::ErrorCode;
use crate::wasm::log::DiscardedLog;
use crate::wasm::{EngineOptions, WasmEngine};

const EXAMPLES: &str = "\
Examples:
  millstream bench start place-bid.wasm
  millstream bench start place-bid.wasm --event bid.json --json
  millstream bench start place-bid.wasm --manifest millstream.toml --rounds 10000";

/// Measure cold and hot starts of a module
///
/// A cold start is all that a host does for a new sandbox: its store, its WASI context, its limits, the instance. A hot
/// one is a call of a sandbox that was called before, with the event that is given, or one of 200 bytes. The numbers are
/// microseconds; memory is the sandbox's linear memory. The time that the module takes to be compiled is in milliseconds;
/// a host does that once.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchStartArgs {
    /// The Wasm module
    #[arg(value_name = "FILE.wasm")]
    module: PathBuf,
    #[command(flatten)]
    input: invoke::OptionalInput,
    /// Take environment and limits from this manifest
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Sandboxes to start
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &BenchStartArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    project::check_module(&arguments.module)?;
    let manifest = match &arguments.manifest {
        Some(path) => project::read_manifest(path)?.project.manifest,
        None => invoke::default_manifest()?,
    };
    let record = arguments.input.record()?.unwrap_or_else(crate::cli::bench::run::generated_record);
    let module: Arc<[u8]> = std::fs::read(&arguments.module)
        .map_err(|error| {
            VerbFailure::new(ErrorCode::ArtifactMissing, format!("{}: {error}", arguments.module.display()))
        })?
        .into();
    let (function, starts) = runtime::block_on(async {
        let engine = WasmEngine::new(EngineOptions::default());
        let engine = engine.map_err(|error| VerbFailure::new(error.code(), error.to_string()))?;
        let function = LocalFunction::load(&engine, module, manifest).await;
        let function = function.map_err(|error| VerbFailure::new(error.code(), error.to_string()))?;
        let starts = function.measure_starts(&record, arguments.rounds as usize, Arc::new(DiscardedLog)).await;
        let starts = starts.map_err(|error| VerbFailure::new(ErrorCode::InvocationFailed, error.to_string()))?;
        Ok::<_, VerbFailure>((function, starts))
    })??;
    print(&function, starts, arguments.json, out)
}

fn print(
    function: &LocalFunction,
    mut starts: StartTimings,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), VerbFailure> {
    let compile_ms = (function.compiled_in().as_secs_f64() * 1e4).round() / 10.0;
    if let Some(fault) = &starts.fault {
        let reason = fault.to_string();
        let reason = invoke::printable(reason.lines().next().unwrap_or_default());
        progress::report(format_args!("the guest did not take the event ({reason}); give one with --data or --event"));
    }
    if starts.is_used_once {
        progress::report("a sandbox of this module is called once: what is hot is a start and a call");
    }
    let (cold, bare, hot) = (
        StartQuantiles::of(&mut starts.cold),
        StartQuantiles::of(&mut starts.bare),
        StartQuantiles::of(&mut starts.hot),
    );
    if as_json {
        let quantiles = |of: &StartQuantiles| json!({ "p50": micros(of.p50), "p99": micros(of.p99) });
        let report = json!({
            "shape": function.shape().as_str(),
            "compile_ms": compile_ms,
            "cold_us": quantiles(&cold),
            "hot_us": quantiles(&hot),
            "memory_bytes": starts.memory_bytes,
        });
        return Ok(writeln!(out, "{report:#}")?);
    }
    writeln!(out, "{:>22}  {:>9}  {:>9}", "", "p50", "p99")?;
    for (what, of) in [("cold start", &cold), ("of which the engine", &bare), ("hot call", &hot)] {
        writeln!(out, "{what:>22}  {:>6.2} µs  {:>6.2} µs", micros(of.p50), micros(of.p99))?;
    }
    writeln!(out, "{:>22}  {} KiB, {} sandboxes started", "memory", starts.memory_bytes / 1024, starts.cold.len())?;
    Ok(writeln!(out, "{:>22}  {compile_ms} ms", "compiled in")?)
}

/// The middle and the upper end.
struct StartQuantiles {
    p50: Duration,
    p99: Duration,
}

impl StartQuantiles {
    /// Of what was measured; sorts it.
    fn of(took: &mut [Duration]) -> Self {
        took.sort_unstable();
        let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or_default();
        Self { p50: at(50), p99: at(99) }
    }
}
