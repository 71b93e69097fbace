//! `millstream bench`: what a function costs, without host or Kafka.

mod run;
mod start;

use std::io::Write;
use std::time::Duration;

use super::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  millstream bench start place-bid.wasm
  millstream bench run examples/place-bid --records 500000";

/// Measure what a function costs, without host or Kafka
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Start(start::Arguments),
    Run(run::Arguments),
}

/// Measures.
pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    match &arguments.what {
        What::Start(arguments) => start::run(arguments, out),
        What::Run(arguments) => run::run(arguments, out),
    }
}

/// Microseconds, to the hundredth.
fn micros(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e8).round() / 1e2
}
