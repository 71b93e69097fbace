//! A foreign `read_committed` reader that reads while records are written, and checks each output as it arrives.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::kcat::{self, Record};
use crate::oracle::OutputTally;
use crate::process::Process;
use crate::wait_until;

/// Survives broker restarts.
#[derive(Debug)]
pub struct LiveReader {
    bootstrap: String,
    topic: String,
    seen: Arc<Mutex<SeenOutputs>>,
    kcat: Process,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct SeenOutputs {
    records: Vec<Record>,
    tally: OutputTally,
    last_new: Instant,
}

impl LiveReader {
    /// Reads `topic` from its beginning; `wanted` are the values that may appear, in lower case.
    #[track_caller]
    pub fn open(bootstrap: &str, topic: &str, wanted: Vec<String>) -> Self {
        // kcat fails on a topic that does not exist when it starts.
        wait_until("the topic can be read", Duration::from_secs(60), || kcat::has_leaders(bootstrap, topic));
        let seen = SeenOutputs { records: Vec::new(), tally: OutputTally::new(wanted), last_new: Instant::now() };
        let seen = Arc::new(Mutex::new(seen));
        let mut kcat = Process::start("kcat", |command| {
            // Lengths first, because keys and values may contain any bytes.
            command.args(["-b", bootstrap, "-C", "-q", "-E", "-u", "-t", topic, "-o", "beginning"]);
            command.args(["-f", "%p %o %K %S\n%k\n%s\n", "-X", "isolation.level=read_committed"]);
            // Reconnect soon after a broker restart.
            command.args(["-X", "reconnect.backoff.max.ms=500", "-X", "fetch.wait.max.ms=50"]);
            command.stdout(Stdio::piped()).stderr(Stdio::null());
        });
        let output = kcat.take_stdout();
        let to_fill = seen.clone();
        let reader = std::thread::spawn(move || read(BufReader::new(output), &to_fill));
        Self { bootstrap: bootstrap.to_owned(), topic: topic.to_owned(), seen, kcat, reader: Some(reader) }
    }

    /// How many inputs have an output so far.
    pub fn distinct(&self) -> usize {
        self.seen().tally.distinct()
    }

    pub fn total(&self) -> usize {
        self.seen().records.len()
    }

    pub fn by_partition(&self) -> BTreeMap<i32, usize> {
        let mut counts = BTreeMap::new();
        for record in &self.seen().records {
            *counts.entry(record.partition).or_default() += 1;
        }
        counts
    }

    /// When an input had its first output, most recently.
    pub fn last_new(&self) -> Instant {
        self.seen().last_new
    }

    /// Waits until `count` inputs have an output. `longest` bounds the time *between* two new outputs: the test is of
    /// progress, not of speed.
    #[track_caller]
    pub fn wait_for(&mut self, count: usize, longest: Duration) {
        let start = Instant::now();
        loop {
            let distinct = self.distinct();
            if distinct >= count {
                return;
            }
            self.assert_reading();
            let since = self.last_new().max(start);
            if since.elapsed() > longest {
                // Shows whether the stream has stalled, or only this reader.
                let fresh = kcat::read_without_headers(&self.bootstrap, &self.topic).len();
                panic!(
                    "no new output for {longest:?}: {distinct} of {count} came out; this reader has {} records, a fresh \
                     one finds {fresh}",
                    self.total()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `total` outputs are read, as many as a later reader found; returns them by partition and offset.
    #[track_caller]
    pub fn close(mut self, total: usize) -> (Vec<Record>, OutputTally) {
        wait_until("the concurrent reader is at the end", Duration::from_secs(60), || {
            self.assert_reading();
            self.total() >= total
        });
        self.kcat.kill();
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader understands kcat");
        }
        let mut seen = self.seen();
        let mut records = std::mem::take(&mut seen.records);
        records.sort_by_key(|record| (record.partition, record.offset));
        (records, std::mem::replace(&mut seen.tally, OutputTally::new(Vec::new())))
    }

    #[track_caller]
    fn assert_reading(&mut self) {
        if let Some(status) = self.kcat.ended() {
            panic!("the concurrent reader ended by itself: {status}");
        }
    }

    fn seen(&self) -> MutexGuard<'_, SeenOutputs> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(mut output: BufReader<impl std::io::Read>, seen: &Mutex<SeenOutputs>) {
    while let Some(record) = next(&mut output) {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.tally.add(&record) {
            seen.last_new = Instant::now();
        }
        seen.records.push(record);
    }
}

/// The next record; `None` at the end, or if kcat was killed in the middle of a record.
fn next(output: &mut BufReader<impl std::io::Read>) -> Option<Record> {
    let mut head = String::new();
    output.read_line(&mut head).ok().filter(|length| *length > 0)?;
    let mut fields = head.trim_end().split(' ').map(|field| field.parse::<i64>().ok());
    let mut number = || fields.next().flatten();
    let (partition, offset, key_length, value_length) = (number()?, number()?, number()?, number()?);
    let mut take = |length: i64| {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default() + 1];
        output.read_exact(&mut bytes).ok()?;
        bytes.pop();
        Some((length >= 0).then_some(bytes))
    };
    let (key, value) = (take(key_length)?, take(value_length)?);
    Some(Record { partition: i32::try_from(partition).ok()?, offset, key, value, headers: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kcat_output_is_parsed_whatever_bytes_it_contains() {
        let text = "0 7 1 3\nk\na\nb\n1 8 -1 -1\n\n\n2 9 2 ";
        let mut output = BufReader::new(text.as_bytes());
        let first = next(&mut output).expect("a record");
        assert_eq!((first.partition, first.offset, first.key_text(), first.text()), (0, 7, "k", "a\nb"));
        let second = next(&mut output).expect("a record");
        assert_eq!((second.partition, second.key, second.value), (1, None, None));
        assert_eq!(next(&mut output), None, "half a record is ignored");
    }
}
