//! What others do with the cores meanwhile: a figure measured beside a compiler is worth less, and should say so.

use std::fs;
use std::time::{Duration, Instant};

use crate::cluster::Cluster;
use crate::options::Options;
use crate::report;

/// `/proc` counts in these, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;
/// A share of the cores that others may take in what still counts as quiet.
const QUIET: f64 = 0.1;

/// CPU seconds since some start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    at: Instant,
    all: f64,
    own: f64,
}

impl Load {
    /// Now: of the machine, and of driver, broker and the contestants that have ended.
    pub(crate) fn now(cluster: &Cluster) -> Self {
        let ticks = |text: &str| text.parse::<f64>().unwrap_or_default();
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        let fields: Vec<f64> = machine.lines().next().unwrap_or_default().split_whitespace().map(ticks).collect();
        // cpu user nice system idle iowait irq softirq steal
        let all = fields.iter().enumerate().filter(|(at, _)| (1..=3).contains(at) || (6..=8).contains(at));
        let own = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let after_name = own.rsplit(')').next().unwrap_or_default();
        let own: f64 = after_name.split_whitespace().skip(11).take(4).map(ticks).sum();
        Self {
            at: Instant::now(),
            all: all.map(|(_, ticks)| ticks).sum::<f64>() / TICKS_PER_SECOND,
            own: own / TICKS_PER_SECOND + cluster.cpu().as_secs_f64(),
        }
    }

    /// The share of all cores that others took since then.
    pub(crate) fn others_since(&self, cluster: &Cluster) -> f64 {
        let now = Self::now(cluster);
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        let others = (now.all - self.all) - (now.own - self.own);
        (others / ((now.at - self.at).as_secs_f64() * cores)).clamp(0.0, 1.0)
    }
}

/// Waits until others leave the cores alone, but not for ever.
pub(crate) fn wait_for_quiet(cluster: &Cluster, options: &Options) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(options.patience) {
        let before = Load::now(cluster);
        std::thread::sleep(Duration::from_millis(500));
        if before.others_since(cluster) < QUIET {
            return;
        }
    }
    if options.patience > 0 {
        report::progress("the cores are busy with something else: measuring all the same");
    }
}
