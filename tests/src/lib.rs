//! What the tests of the third ring share: the real binary on a real Kafka, with foreign clients on both sides.

pub mod browser;
pub mod certificates;
pub mod chance;
pub mod client;
pub mod clock;
pub mod collector;
pub mod examples;
pub mod flow;
pub mod glances;
pub mod host;
pub mod kafka;
pub mod kcat;
pub mod oracle;
pub mod process;
pub mod proxy;
pub mod raw_records;
pub mod skip;
pub mod token_endpoint;
pub mod turn;
pub mod watch;
pub mod wire;

use std::time::{Duration, Instant};

/// Asks `is_so` every 50 ms until it says yes; panics with `what` after `longest`.
#[track_caller]
pub fn wait_until(what: &str, longest: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < longest, "waited {longest:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
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
