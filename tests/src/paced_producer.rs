//! Writes inputs at a steady rate, so that faults hit in the middle of them.

use std::io::Write as _;
use std::process::{ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::process::Process;

/// How often it writes what is due.
const TICK: Duration = Duration::from_millis(20);

/// A background producer. It is idempotent, so a broker restart duplicates no input.
#[derive(Debug)]
pub struct PacedProducer {
    written: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<Process>>,
    errors: tempfile::NamedTempFile,
}

impl PacedProducer {
    /// Writes `inputs` to `topic`, `per_second` of them; keys and values without line end, keys without colon.
    #[track_caller]
    pub fn start(bootstrap: &str, topic: &str, inputs: Vec<(String, String)>, per_second: usize) -> Self {
        let errors = tempfile::NamedTempFile::new().expect("a file for its errors");
        let mut kcat = Process::start("kcat", |command| {
            command.args(["-b", bootstrap, "-P", "-E", "-q", "-t", topic, "-K:", "-X", "partitioner=murmur2_random"]);
            command.args(["-X", "enable.idempotence=true", "-X", "linger.ms=5", "-X", "reconnect.backoff.max.ms=500"]);
            // One request at a time: Debian's librdkafka fails fatally when an unreachable broker refuses a request
            // while the next is in flight.
            command.args(["-X", "max.in.flight.requests.per.connection=1"]);
            let errors = errors.reopen().expect("a file can be opened twice");
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(errors);
        });
        let (written, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, stopped) = (written.clone(), stop.clone());
        let stdin = kcat.take_stdin();
        let writer = std::thread::spawn(move || {
            write(stdin, &inputs, per_second.max(1), &count, &stopped);
            kcat
        });
        Self { written, stop, writer: Some(writer), errors }
    }

    /// How many inputs kcat has received so far.
    pub fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether kcat has received all inputs.
    pub fn is_over(&self) -> bool {
        self.writer.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until Kafka has all inputs.
    #[track_caller]
    pub fn finish(mut self) {
        let writer = self.writer.take().expect("it is finished once");
        let mut kcat = writer.join().expect("the writer ends");
        let status = kcat.wait(Duration::from_secs(120));
        let errors = std::fs::read_to_string(self.errors.path()).unwrap_or_default();
        // Shown when the test fails: kcat reports records that it abandons, and continues.
        eprintln!("kcat's errors: {errors}");
        assert!(status.success(), "kcat could not write all inputs: {status}: {errors}");
    }
}

impl Drop for PacedProducer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn write(mut to: ChildStdin, inputs: &[(String, String)], per_second: usize, count: &AtomicUsize, stop: &AtomicBool) {
    let start = Instant::now();
    let mut done = 0;
    while done < inputs.len() && !stop.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * per_second as f64) as usize;
        let due = due.min(inputs.len());
        let lines: String = inputs[done..due].iter().map(|(key, value)| format!("{key}:{value}\n")).collect();
        // kcat ends only with the test.
        if to.write_all(lines.as_bytes()).is_err() {
            return;
        }
        done = due;
        count.store(done, Ordering::Relaxed);
        std::thread::sleep(TICK);
    }
}
