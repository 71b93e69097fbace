//! The last lines that a function wrote on this host: a ring of so many, in memory, for anyone who asks or follows.

use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::clock::now_ms;
use tokio::sync::watch;

/// How many lines a function's ring keeps, and how many bytes of text.
const LINES: usize = 1000;
const BYTES: usize = 256 * 1024;

/// A line that a guest wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestLine {
    /// Later lines have greater numbers, also after the host has restarted.
    pub(crate) number: u64,
    /// When: milliseconds since the Unix epoch.
    pub(crate) unix_ms: u64,
    /// How important: `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    pub(crate) level: &'static str,
    /// The revision that wrote it.
    pub(crate) revision: u64,
    /// The records that it was called for: a place, and how many more.
    pub(crate) record: Option<Box<str>>,
    /// The text, with the guest's control characters.
    pub(crate) text: Box<str>,
}

impl GuestLine {
    fn bytes(&self) -> usize {
        self.text.len() + self.record.as_ref().map_or(0, |record| record.len())
    }
}

/// The ring of one function.
#[derive(Debug)]
pub(crate) struct GuestLines {
    kept: Mutex<LineRing>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct LineRing {
    lines: VecDeque<Arc<GuestLine>>,
    bytes: usize,
    /// What was given to the first line of all.
    first: u64,
    next: u64,
}

impl Default for GuestLines {
    fn default() -> Self {
        // No host writes a million lines a second for long, so a later ring starts above what this one ever numbers.
        let next = now_ms().saturating_mul(1000);
        Self {
            kept: Mutex::new(LineRing { lines: VecDeque::new(), bytes: 0, first: next, next }),
            newest: watch::Sender::new(next.saturating_sub(1)),
        }
    }
}

impl GuestLines {
    /// Adds a line; the oldest ones give way. Quick: it is called inside the guest's call.
    pub(crate) fn push(&self, level: &'static str, revision: u64, record: Option<String>, text: &str) {
        let mut kept = self.kept();
        let number = kept.next;
        kept.next += 1;
        let line =
            GuestLine { number, unix_ms: now_ms(), level, revision, record: record.map(Into::into), text: text.into() };
        kept.bytes += line.bytes();
        kept.lines.push_back(Arc::new(line));
        while kept.lines.len() > LINES || kept.bytes > BYTES {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.bytes();
        }
        drop(kept);
        self.newest.send_replace(number);
    }

    /// The lines that `wants` takes, oldest first: the last `limit` of them.
    pub(crate) fn last(&self, limit: usize, wants: impl Fn(&GuestLine) -> bool) -> Vec<Arc<GuestLine>> {
        let mut lines: Vec<_> =
            self.kept().lines.iter().rev().filter(|line| wants(line)).take(limit).cloned().collect();
        lines.reverse();
        lines
    }

    /// The lines after the one with this number, oldest first, and how many between are kept no more.
    pub(crate) fn after(&self, number: u64) -> (Vec<Arc<GuestLine>>, u64) {
        let kept = self.kept();
        let start = kept.lines.partition_point(|line| line.number <= number);
        let lines: Vec<_> = kept.lines.range(start..).cloned().collect();
        // What an earlier host numbered is not known here.
        let expected = number.saturating_add(1).max(kept.first);
        let missed = lines.first().map_or(0, |line| line.number.saturating_sub(expected));
        (lines, missed)
    }

    /// Reports the newest line's number whenever there is a newer one.
    pub(crate) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, LineRing> {
        self.kept.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Arc<GuestLine>]) -> Vec<&str> {
        lines.iter().map(|line| &*line.text).collect()
    }

    #[test]
    fn the_oldest_lines_give_way() {
        let lines = GuestLines::default();
        for number in 0..LINES + 5 {
            lines.push("info", 1, None, &number.to_string());
        }
        let all = lines.last(usize::MAX, |_| true);
        assert_eq!((all.len(), &*all[0].text), (LINES, "5"));
        assert_eq!(texts(&lines.last(2, |_| true)), ["1003", "1004"]);
        lines.push("warn", 2, None, &"x".repeat(BYTES - 1));
        assert!(lines.last(usize::MAX, |_| true).len() <= 2);
        lines.push("warn", 2, None, &"y".repeat(BYTES + 1));
        assert_eq!(lines.last(usize::MAX, |_| true).len(), 0, "a line that alone is too large is not kept");
    }

    #[test]
    fn a_follower_learns_what_came_and_what_it_missed() {
        let lines = GuestLines::default();
        let mut newest = lines.newest();
        let start = *newest.borrow_and_update();
        lines.push("info", 1, None, "one");
        lines.push("error", 1, None, "two");
        assert!(newest.has_changed().unwrap());
        let (new, missed) = lines.after(start);
        assert_eq!((texts(&new), missed), (vec!["one", "two"], 0));
        assert_eq!(texts(&lines.after(new[0].number).0), ["two"]);
        for _ in 0..LINES + 1 {
            lines.push("info", 1, None, "more");
        }
        assert_eq!((lines.after(start).1, lines.after(0).1), (3, 3));
        assert_eq!(texts(&lines.last(9, |line| line.level == "error")), Vec::<&str>::new());
    }
}
