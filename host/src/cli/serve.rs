//! `millstream serve`: runs a host.

use std::path::PathBuf;
use std::time::Duration;

use crate::app;
use crate::cli::failure::VerbFailure;
use crate::cli::runtime;
use crate::config::host::{HostConfig, HostConfigError};
use crate::error_code::ErrorCode;

/// How long what blocks a thread is waited for when everything else has ended.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(3);

const EXAMPLES: &str = "\
Examples:
  MILLSTREAM_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 millstream serve
  millstream serve --config host.toml
  millstream config --config host.toml    # the configuration in force";

/// Run a host: the data path and the API
///
/// Every setting has a default, and can be set in a file or as MILLSTREAM_<SECTION>__<KEY>. Runs until SIGTERM or Ctrl-C,
/// then finishes the records in flight, commits, and leaves its consumer groups.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    configuration: ConfigurationFile,
    /// Listen on any address even without tokens: every client that can connect may deploy code
    #[arg(long)]
    insecure: bool,
}

/// Where the host's configuration is.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigurationFile {
    /// The host's configuration in TOML
    #[arg(long = "config", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl ConfigurationFile {
    pub(crate) fn load(&self, is_insecure: bool) -> Result<HostConfig, VerbFailure> {
        HostConfig::load(self.file.as_deref(), is_insecure)
            .map_err(|error: HostConfigError| VerbFailure::new(ErrorCode::InvalidHostConfig, error.to_string()))
    }
}

/// Runs a host until it receives a signal to stop.
pub(crate) fn run(arguments: &ServeArgs) -> Result<(), VerbFailure> {
    let config = arguments.configuration.load(arguments.insecure)?;
    let runtime = runtime::new()?;
    let served = runtime.block_on(app::serve(config)).map_err(|error| VerbFailure::of_running(&error));
    // librdkafka takes up to a second to end each client, and longer when Kafka is away.
    runtime.shutdown_timeout(LONGEST_SHUTDOWN);
    if served.is_ok() {
        tracing::info!("stopped");
    }
    served
}
