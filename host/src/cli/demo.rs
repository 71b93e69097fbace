//! `millstream demo`: plays the auction on the embedded broker.

use crate::app::{self, DemoOptions};
use crate::cli::failure::VerbFailure;
use crate::cli::runtime;

const EXAMPLES: &str = "\
Examples:
  millstream demo
  millstream demo --stay";

/// Play an auction on an embedded broker and see each event appear
///
/// Needs nothing but this program: the broker runs inside it, in memory, and the functions are built in. Ends with one
/// line `demo: N in, N out, N dead letters`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Keep the host up when the auction is over, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

pub(crate) fn run(arguments: &DemoArgs) -> Result<(), VerbFailure> {
    runtime::block_on(app::demo(DemoOptions { stay: arguments.stay }))?.map_err(|error| VerbFailure::of_running(&error))
}
