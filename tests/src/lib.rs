//! What the integration tests share: they run the real binary on a real Kafka, with foreign clients on both sides.

pub mod browser;
pub mod certificates;
pub mod cli;
pub mod client;
pub mod collector;
pub mod concurrency;
pub mod examples;
pub mod fault_proxy;
pub mod fixture;
pub mod host;
pub mod kafka;
pub mod kcat;
pub mod live_reader;
pub mod offset_sampler;
pub mod oracle;
pub mod paced_producer;
pub mod process;
pub mod raw_records;
pub mod rng;
pub mod skewed_clock;
pub mod skip;
pub mod token_endpoint;
pub mod wire_client;

use std::time::{Duration, Instant};

/// How long a test waits for the next sign of progress, and how soon work must resume after a fault has healed.
pub const PROGRESS: Duration = Duration::from_secs(60);

/// The same for tests that first compile several guests, start several hosts, or wait for Kafka itself.
pub const SLOW_PROGRESS: Duration = Duration::from_secs(120);

/// Whether the long runs were asked for (`./run test --long`).
pub fn is_long_run() -> bool {
    std::env::var_os("MILLSTREAM_TEST_LONG").is_some()
}

/// Polls `is_so` every 50 ms until it is true; panics with `what` after `longest`.
#[track_caller]
pub fn wait_until(what: &str, longest: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < longest, "waited {longest:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Polls `is_so` for a whole `duration`; panics with `what` as soon as it is false.
#[track_caller]
pub fn stays_so_for(what: &str, duration: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    loop {
        // Checked once more at the end, so a slow check does not shorten the time.
        let is_last = start.elapsed() >= duration;
        assert!(is_so(), "no longer so after {:?}: {what}", start.elapsed());
        if is_last {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A name that no other test of this run has.
pub fn unique(stem: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{stem}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The project's folder.
pub fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the project").to_owned()
}
