//! `millstream config`: the host's configuration in force.

use std::io::Write;

use crate::cli::failure::VerbFailure;
use crate::cli::serve::ConfigurationFile;

const EXAMPLES: &str = "\
Examples:
  millstream config
  MILLSTREAM_TOPICS__CREATE=false millstream config --config host.toml
  millstream config --json";

/// Print the host's configuration in force, and where each value comes from
///
/// The output is TOML that --config accepts. A comment names the origin of each value: default, file, or the environment
/// variable. Secrets are hidden.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    configuration: ConfigurationFile,
    /// Print one JSON object: path → value and origin
    #[arg(long)]
    json: bool,
}

/// Prints the configuration in force.
pub(crate) fn run(arguments: &ConfigArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let config = arguments.configuration.load(false)?;
    if arguments.json {
        return Ok(writeln!(out, "{:#}", config.to_json())?);
    }
    Ok(out.write_all(config.to_toml().as_bytes())?)
}
