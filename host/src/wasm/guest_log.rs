//! What one instance writes: cut into lines, bounded per invocation, with the tail of stderr kept for faults.
//!
//! Invariant: a guest is never blocked or failed for writing; what is beyond `limits.logs` is dropped and counted.

use parking_lot::{Mutex, MutexGuard};

use crate::wasm::log::{Level, LogSink};

/// A line longer than this is written in pieces.
const LINE_MAX: usize = 8 * 1024;
/// How much of stderr a fault shows.
const TAIL_MAX: usize = 1024;

/// A stream of bytes that becomes lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogStream {
    Stdout,
    /// Lines of level warn; its tail is kept.
    Stderr,
}

/// The log of one instance, shared with its streams.
pub(crate) struct GuestLog {
    sink: LogSink,
    limit: u64,
    lines: Mutex<LineSplitter>,
}

#[derive(Default)]
struct LineSplitter {
    used: u64,
    dropped: u64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    tail: Vec<u8>,
}

impl GuestLog {
    /// An empty log that passes at most `limit` bytes of each invocation to `sink`.
    pub(crate) fn new(sink: LogSink, limit: u64) -> Self {
        Self { sink, limit, lines: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, LineSplitter> {
        self.lines.lock()
    }

    /// Takes what the guest wrote to a stream.
    pub(crate) fn write(&self, stream: LogStream, bytes: &[u8]) {
        let mut lines = self.lock();
        if stream == LogStream::Stderr {
            keep_tail(&mut lines.tail, bytes);
        }
        let allowed = lines.allow(self.limit, bytes.len());
        for piece in bytes[..allowed].split_inclusive(|byte| *byte == b'\n') {
            let (level, line) = match stream {
                LogStream::Stdout => (Level::Info, &mut lines.stdout),
                LogStream::Stderr => (Level::Warn, &mut lines.stderr),
            };
            line.extend_from_slice(piece);
            if line.ends_with(b"\n") || line.len() >= LINE_MAX {
                self.send(level, line);
            }
        }
    }

    /// Takes a whole message of `wasi:logging`, or one that the host has for the function's owner.
    pub(crate) fn message(&self, level: Level, message: &str) {
        let mut lines = self.lock();
        let allowed = lines.allow(self.limit, message.len());
        drop(lines);
        let end = (0..=allowed).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        if end > 0 {
            self.sink.line(level, &message[..end]);
        }
    }

    /// Starts the account of an invocation.
    pub(crate) fn begin(&self) {
        let mut lines = self.lock();
        lines.used = 0;
        lines.tail.clear();
    }

    /// Ends the account: sends unfinished lines, and gives how many bytes were dropped.
    pub(crate) fn end(&self) -> u64 {
        let mut lines = self.lock();
        self.send(Level::Info, &mut lines.stdout);
        self.send(Level::Warn, &mut lines.stderr);
        std::mem::take(&mut lines.dropped)
    }

    /// The end of what this invocation wrote to stderr.
    pub(crate) fn stderr_tail(&self) -> String {
        String::from_utf8_lossy(&self.lock().tail).trim_end().to_owned()
    }

    fn send(&self, level: Level, line: &mut Vec<u8>) {
        if line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(line);
        self.sink.line(level, text.trim_end_matches(['\n', '\r']));
        line.clear();
    }
}

impl LineSplitter {
    fn allow(&mut self, limit: u64, wanted: usize) -> usize {
        let left = usize::try_from(limit.saturating_sub(self.used)).unwrap_or(usize::MAX);
        let allowed = wanted.min(left);
        self.used += allowed as u64;
        self.dropped += (wanted - allowed) as u64;
        allowed
    }
}

fn keep_tail(tail: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(TAIL_MAX)..];
    let excess = (tail.len() + bytes.len()).saturating_sub(TAIL_MAX);
    tail.drain(..excess);
    tail.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::wasm::log::GuestLogSink;

    #[derive(Default)]
    struct Kept(Mutex<Vec<(Level, String)>>);

    impl GuestLogSink for Kept {
        fn line(&self, level: Level, line: &str) {
            self.0.lock().push((level, line.to_owned()));
        }
    }

    fn kept(limit: u64) -> (Arc<Kept>, GuestLog) {
        let kept = Arc::new(Kept::default());
        (Arc::clone(&kept), GuestLog::new(kept, limit))
    }

    #[test]
    fn bytes_become_lines() {
        let (kept, log) = kept(1000);
        log.write(LogStream::Stdout, b"one\ntw");
        log.write(LogStream::Stderr, b"bad\r\n");
        log.write(LogStream::Stdout, b"o\nrest");
        log.message(Level::Debug, "told");
        assert_eq!(log.end(), 0);
        let lines = kept.0.lock();
        let expected = [
            (Level::Info, "one"),
            (Level::Warn, "bad"),
            (Level::Info, "two"),
            (Level::Debug, "told"),
            (Level::Info, "rest"),
        ];
        assert_eq!(*lines, expected.map(|(level, line)| (level, line.to_owned())));
    }

    #[test]
    fn each_invocation_has_its_own_bound() {
        let (kept, log) = kept(4);
        for _ in 0..2 {
            log.begin();
            log.write(LogStream::Stdout, b"123456");
            assert_eq!(log.end(), 2);
        }
        log.begin();
        log.message(Level::Info, "12ä4");
        log.message(Level::Info, "more");
        assert_eq!(log.end(), 5);
        let lines: Vec<_> = kept.0.lock().iter().map(|(_, line)| line.clone()).collect();
        assert_eq!(lines, ["1234", "1234", "12ä"]);
    }

    #[test]
    fn the_tail_of_stderr_is_kept_even_beyond_the_bound() {
        let (_kept, log) = kept(1);
        log.write(LogStream::Stderr, &[b'x'; 5000]);
        log.write(LogStream::Stderr, b"the end\n");
        let tail = log.stderr_tail();
        assert!(tail.ends_with("xthe end"), "{tail}");
        assert!(tail.len() < TAIL_MAX);
        log.begin();
        assert_eq!(log.stderr_tail(), "");
    }
}
