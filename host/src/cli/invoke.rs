//! `millstream invoke`: runs a module on one event without host or Kafka, or calls a function of a host.

pub(crate) mod input;
mod local;
pub(crate) mod print;
mod remote;

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::failure::VerbFailure;
use crate::cli::function_args::OutputArgs;
use crate::cli::project;
use crate::cli::runtime;
use crate::config::manifest::{self, ManifestError};
use crate::error_code::ErrorCode;
use crate::model::function::Manifest;
use crate::model::ids::FunctionName;
use input::InputArguments;
pub(crate) use input::OptionalInput;
pub(crate) use print::printable;

const EXAMPLES: &str = "\
Examples:
  millstream invoke uppercase.wasm --data hello
  millstream invoke uppercase --data hello --publish
  echo '{\"amount\":5}' | millstream invoke place-bid.wasm --data @- --key lot-7 --json
  millstream invoke place-bid.wasm --event bid.json --manifest millstream.toml";

/// Run a module, or a function of a host, on one event
///
/// A file runs in this process, without a host or Kafka, in the sandbox that a host would give it. A name calls the function
/// on the host. Either runs once: filters and retries do not apply. Emitted events go to stdout, logs to stderr. The exit
/// code is 1 if the function fails, asks for a retry or rejects the event.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InvokeArgs {
    /// A Wasm module, or the name of a function
    #[arg(value_name = "FILE.wasm|NAME", value_parser = parse_target)]
    target: InvokeTarget,
    #[command(flatten)]
    input: InputArguments,
    /// For a file: take environment, limits and outputs from this manifest
    #[arg(long, value_name = "FILE", conflicts_with = "publish")]
    manifest: Option<PathBuf>,
    /// For a name: also write the emitted events to their topics
    #[arg(long)]
    publish: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Clone)]
enum InvokeTarget {
    File(PathBuf),
    Function(FunctionName),
}

/// A function's name has neither dots nor slashes, and a module's path has either.
fn parse_target(text: &str) -> Result<InvokeTarget, String> {
    if text.contains(['.', '/', std::path::MAIN_SEPARATOR]) {
        return Ok(InvokeTarget::File(text.into()));
    }
    let not_either = |error| format!("{error}; a module is given by its path, such as ./{text}.wasm");
    FunctionName::new(text).map(InvokeTarget::Function).map_err(not_either)
}

/// Runs the target on one record and prints the outcome.
pub(crate) fn run(arguments: &InvokeArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let not_for = |what: &str| Err(VerbFailure::new(ErrorCode::InvalidRequest, what));
    match &arguments.target {
        InvokeTarget::Function(_) if arguments.manifest.is_some() => {
            not_for("--manifest is for files: a function of a host has its own")
        }
        InvokeTarget::Function(name) => remote::run(name, arguments, out),
        InvokeTarget::File(_) if arguments.publish => {
            not_for("--publish is for functions of a host: a file has no topics")
        }
        InvokeTarget::File(module) => run_file(module, arguments, out),
    }
}

fn run_file(module: &Path, arguments: &InvokeArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    project::check_module(module)?;
    let record = arguments.input.record()?;
    let (manifest, outputs) = match &arguments.manifest {
        Some(path) => {
            let manifest = project::read_manifest(path)?.project.manifest;
            let outputs = manifest.outputs.keys().cloned().collect();
            (manifest, Some(outputs))
        }
        // Only a manifest says which outputs there are.
        None => (default_manifest()?, None),
    };
    let output_limit = manifest.limits.output;
    let called = runtime::block_on(local::call(module, manifest, &record.to_local()))??;
    let outcome = print::judge(&called, outputs.as_ref(), output_limit);
    print::print(&called, outcome, &record, arguments.output.json, out)
}

/// The manifest of a module that has none: all defaults.
pub(crate) fn default_manifest() -> Result<Manifest, VerbFailure> {
    manifest::from_toml("name = \"invoked\"\ntopics = [\"input\"]")
        .map_err(|error: ManifestError| VerbFailure::new(ErrorCode::Internal, error.to_string()))
}

#[cfg(test)]
mod tests;
