//! `millstream bench`: what a function costs, without host or Kafka.

mod run;
mod start;

use std::io::Write;
use std::time::Duration;

use crate::cli::failure::VerbFailure;

const EXAMPLES: &str = "\
Examples:
  millstream bench start place-bid.wasm
  millstream bench run examples/place-bid --records 500000";

/// Measure what a function costs, without host or Kafka
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: BenchSubject,
}

#[derive(Debug, clap::Subcommand)]
enum BenchSubject {
    Start(start::BenchStartArgs),
    Run(run::BenchRunArgs),
}

pub(crate) fn run(arguments: &BenchArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    match &arguments.what {
        BenchSubject::Start(arguments) => start::run(arguments, out),
        BenchSubject::Run(arguments) => run::run(arguments, out),
    }
}

/// Microseconds, to the hundredth.
fn micros(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e8).round() / 1e2
}
