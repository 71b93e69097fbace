//! Watches an output topic grow: the same clock for every contestant, whatever it says of itself.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::cluster::Probe;
use crate::contestant::Running;

/// How long nothing may be added before a topic that has all is taken for finished. Only control records come so late.
const STILL: Duration = Duration::from_millis(300);

/// How far the output was, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// When it was seen.
    pub at: Instant,
    /// The records there.
    pub count: u64,
}

/// What to wait for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    /// All records.
    pub total: u64,
    /// Between two looks.
    pub pause: Duration,
    /// The longest time without a record.
    pub patience: Duration,
}

/// Waits until all records are there, and gives the moment when the last of them was seen. `sample` sees each step, and
/// may end it early by saying no.
pub(crate) fn until(
    probe: &Probe,
    running: &mut Running,
    wait: Wait,
    mut sample: impl FnMut(Sample, &Running) -> bool,
) -> anyhow::Result<Sample> {
    let mut last = Sample { at: Instant::now(), count: 0 };
    loop {
        running.check();
        let count = probe.end()?;
        let now = Sample { at: Instant::now(), count };
        if count > last.count {
            last = now;
            if !sample(now, running) {
                return Ok(last);
            }
        }
        if last.count >= wait.total && last.at.elapsed() >= STILL {
            return Ok(last);
        }
        ensure!(
            last.at.elapsed() < wait.patience,
            "only {} of {} records came out, and none for {:?}",
            last.count,
            wait.total,
            wait.patience
        );
        std::thread::sleep(wait.pause);
    }
}
