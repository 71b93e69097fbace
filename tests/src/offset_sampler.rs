//! Samples, while a test runs, what a group has committed and where its topics end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::oracle::OffsetSample;
use crate::wire_client::WireClient;

const INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
pub struct SampledTopics {
    pub bootstrap: String,
    pub group: String,
    /// The topic whose committed offsets are sampled.
    pub input: String,
    /// The output topic and its number of partitions.
    pub output: (String, i32),
    /// The dead-letter topic and its number of partitions.
    pub dead: (String, i32),
}

/// Stops when dropped.
#[derive(Debug)]
pub struct OffsetSampler {
    stop: Arc<AtomicBool>,
    sampler: Option<JoinHandle<Vec<OffsetSample>>>,
}

impl OffsetSampler {
    pub fn start(topics: SampledTopics) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let sampler = std::thread::spawn(move || {
            let mut samples: Vec<OffsetSample> = Vec::new();
            let mut wire = None;
            while !stopped.load(Ordering::Relaxed) {
                // While the broker is down, or a topic is missing or not ready, there is nothing to sample.
                match sample(&topics, &mut wire) {
                    Ok(sample) if samples.last() == Some(&sample) => {}
                    Ok(sample) => samples.push(sample),
                    Err(_) => wire = None,
                }
                std::thread::sleep(INTERVAL);
            }
            samples
        });
        Self { stop, sampler: Some(sampler) }
    }

    /// The samples in order, without equal neighbours.
    #[track_caller]
    pub fn close(mut self) -> Vec<OffsetSample> {
        self.stop.store(true, Ordering::Relaxed);
        let sampler = self.sampler.take().expect("it is closed once");
        sampler.join().expect("the sampler ends")
    }
}

impl Drop for OffsetSampler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Reads the committed offsets first: the outputs of records below them must already lie below the ends.
fn sample(topics: &SampledTopics, wire: &mut Option<WireClient>) -> io::Result<OffsetSample> {
    let wire = match wire {
        Some(wire) => wire,
        None => wire.insert(WireClient::connect(&topics.bootstrap)?),
    };
    let committed = wire.committed(&topics.group)?;
    let of_input = committed.into_iter().filter(|((topic, _), _)| *topic == topics.input);
    Ok(OffsetSample {
        committed: of_input.map(|((_, partition), committed)| (partition, committed.offset)).collect(),
        output_ends: wire.ends(&topics.output.0, topics.output.1)?,
        dead_ends: wire.ends(&topics.dead.0, topics.dead.1)?,
    })
}
