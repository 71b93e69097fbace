//! `millstream invoke`: runs a module on one event, without host or Kafka.

mod input;

use std::io::Write;
use std::path::PathBuf;

use super::failure::Failure;
use super::project;
use crate::error_code::ErrorCode;
use input::InputArguments;

const EXAMPLES: &str = "\
Examples:
  millstream invoke uppercase.wasm --data hello
  echo '{\"amount\":5}' | millstream invoke place-bid.wasm --data @- --key lot-7 --json
  millstream invoke place-bid.wasm --event bid.json --manifest millstream.toml";

/// Run a module on one event, without host or Kafka
///
/// The module runs in the sandbox that a host would give it. Prints what it emits.
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

/// Runs the module on one record.
pub(super) fn run(arguments: &Arguments, _out: &mut dyn Write) -> Result<(), Failure> {
    project::check_module(&arguments.module)?;
    let _manifest = arguments.manifest.as_deref().map(project::read_manifest).transpose()?;
    let _record = arguments.input.record()?;
    Err(Failure::new(ErrorCode::NotSupported, "this build has no sandbox"))
}
