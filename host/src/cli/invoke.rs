//! `millstream invoke`: runs a module on one event, without host or Kafka.

mod input;
mod local;
mod print;

use std::io::Write;
use std::path::PathBuf;

use super::failure::Failure;
use super::project;
use super::runtime;
use crate::config::manifest::{self, ManifestError};
use crate::error_code::ErrorCode;
use crate::model::function::Manifest;
use input::InputArguments;
pub(super) use input::OptionalInput;
pub(super) use print::printable;

const EXAMPLES: &str = "\
Examples:
  millstream invoke uppercase.wasm --data hello
  echo '{\"amount\":5}' | millstream invoke place-bid.wasm --data @- --key lot-7 --json
  millstream invoke place-bid.wasm --event bid.json --manifest millstream.toml";

/// Run a module on one event, without host or Kafka
///
/// The module runs in the sandbox that a host would give it, once: filters and retries do not apply. Prints what it
/// emits; what it logs goes to stderr. Ends with 1 when the module fails, or asks for a retry, or rejects the event.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The Wasm module
    #[arg(value_name = "FILE.wasm")]
    module: PathBuf,
    #[command(flatten)]
    input: InputArguments,
    /// Take environment, limits and outputs from this manifest
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the module on one record and prints what becomes of it.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    project::check_module(&arguments.module)?;
    let record = arguments.input.record()?;
    let (manifest, outputs) = match &arguments.manifest {
        Some(path) => {
            let manifest = project::read_manifest(path)?.project.manifest;
            let outputs = manifest.outputs.keys().cloned().collect();
            (manifest, Some(outputs))
        }
        // Without a manifest nobody says which outputs there are, so all are.
        None => (default_manifest()?, None),
    };
    let output_limit = manifest.limits.output;
    let called = runtime::block_on(local::call(&arguments.module, manifest, &record))??;
    let outcome = print::judge(&called, outputs.as_ref(), output_limit);
    print::print(&called, outcome, &record, arguments.json, out)
}

/// The manifest of a module that has none: all defaults.
pub(super) fn default_manifest() -> Result<Manifest, Failure> {
    manifest::from_toml("name = \"invoked\"\ntopics = [\"input\"]")
        .map_err(|error: ManifestError| Failure::new(ErrorCode::Internal, error.to_string()))
}

#[cfg(test)]
mod tests;
