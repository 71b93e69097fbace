//! `./run bench`: Millstream beside its peers, on one real Kafka, in one run.
//!
//! Every contestant does the same work on the same topics, and is measured from outside by the same clock: the output topic as
//! a `read_committed` reader sees it. Contestants take turns, so that what else the machine does hits all of them.

mod cluster;
mod contestant;
mod delivery;
mod deploy;
mod guests;
mod load;
mod machine;
mod options;
mod order;
mod plot;
mod report;
mod scale;
mod stats;
mod throughput;
mod watch;

use clap::Parser as _;

use crate::cluster::Cluster;
use crate::load::Load;
use crate::options::{Options, What};

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    anyhow::ensure!(options.runs > 0, "--runs must be at least 1");
    let given: Vec<String> = std::env::args().skip(1).collect();
    let command = ["./run bench", &given.join(" ")].join(" ");
    let cluster = Cluster::start()?;
    for what in options.measurements() {
        let before = Load::now(&cluster);
        let mut section = match what {
            What::Throughput => throughput::run(&cluster, &options)?,
            What::Order => order::run(&cluster, &options)?,
            What::Delivery => delivery::run(&cluster, &options)?,
            What::Scale => scale::run(&cluster, &options)?,
            What::Guests => guests::run(&options)?,
            What::Deploy => deploy::run(&cluster, &options)?,
        };
        let others = before.others_since(&cluster) * 100.0;
        section.notes.push(format!("Meanwhile other processes took {others:.0} % of the cores."));
        println!("\n{}\n{}{}\n", section.name, section.table(), section.notes.join("\n"));
        if options.writes() {
            section.write(command.trim())?;
        }
    }
    Ok(())
}
