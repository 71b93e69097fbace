//! `millstream demo`: plays the auction on the embedded broker.

use std::net::SocketAddr;

use crate::app::{self, DemoEnd, DemoOptions};
use crate::cli::dev::parse_listen;
use crate::cli::failure::VerbFailure;
use crate::cli::runtime;

const EXAMPLES: &str = "\
Examples:
  millstream demo
  millstream demo --stay";

/// Play an auction on an embedded broker and see each event appear
///
/// Needs only this program: the broker runs in its memory, and the functions are built in. The last line is
/// `demo: N in, N out, N dead letters`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Keep the host running after the auction, until Ctrl-C
    #[arg(long)]
    stay: bool,

    /// With --stay: the loopback address of the API [default: 127.0.0.1:8080, or a free port if that one is in use]
    #[arg(long, value_name = "ADDRESS", env = "MILLSTREAM_LISTEN", hide_env_values = true, value_parser = parse_listen)]
    listen: Option<SocketAddr>,
}

pub(crate) fn run(arguments: &DemoArgs) -> Result<(), VerbFailure> {
    let options = DemoOptions { stay: arguments.stay, listen: arguments.listen };
    match runtime::block_on(app::demo(options))? {
        Ok(DemoEnd::Played) => Ok(()),
        Ok(DemoEnd::Interrupted) => Err(VerbFailure::Interrupted),
        Err(error) => Err(VerbFailure::of_running(&error)),
    }
}
