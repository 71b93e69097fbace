//! What can be asked of `./run bench`.

use clap::{Parser, ValueEnum};

/// Millstream beside its peers, in one run on one Kafka that this starts itself.
#[derive(Debug, Parser)]
#[command(bin_name = "./run bench", disable_version_flag = true)]
pub(crate) struct Options {
    /// What to measure; everything when nothing is named. `./run bench micro` runs the host's micro-benches instead.
    pub what: Vec<What>,
    /// Records of a throughput run; half as many go before, for warming up.
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    /// Records of an order run.
    #[arg(long, default_value_t = 10_000)]
    pub order_records: u64,
    /// Seconds of a delivery run; a third as long goes before, for warming up.
    #[arg(long, default_value_t = 15)]
    pub seconds: u64,
    /// Runs of each contestant; they alternate, and the median counts.
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Seconds to wait, before each run, for others to leave the cores alone.
    #[arg(long, default_value_t = 0)]
    pub patience: u64,
    /// Only contestants whose name holds this text; nothing is written then.
    #[arg(long)]
    pub only: Option<String>,
    /// Prints the figures and leaves docs/performance.md alone.
    #[arg(long)]
    pub no_write: bool,
}

/// A measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Records a second, of `uppercase` on four partitions.
    Throughput,
    /// Time for slow records of one partition, in order by key.
    Order,
    /// From the record's intended send to its output, at 1,000 records a second.
    Delivery,
    /// What idle functions cost, and the first record after them.
    Scale,
    /// What a function costs in each language: size, compiling, starts, calls, memory.
    Guests,
    /// What a function that runs feels of the deploy of a large one.
    Deploy,
}

impl Options {
    /// What to measure, in order.
    pub(crate) fn measurements(&self) -> Vec<What> {
        match self.what.is_empty() {
            true => vec![What::Throughput, What::Order, What::Delivery, What::Scale, What::Guests, What::Deploy],
            false => self.what.clone(),
        }
    }

    /// Whether a contestant takes part.
    pub(crate) fn takes(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.to_lowercase().contains(&only.to_lowercase()))
    }

    /// Whether the figures are written down.
    pub(crate) fn writes(&self) -> bool {
        !self.no_write && self.only.is_none()
    }
}
