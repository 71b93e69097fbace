//! What a person wants to know while a verb runs.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// The bar's width, in characters.
const WIDTH: u64 = 30;

/// Tells `what` on stderr. That nobody reads it is no reason to stop.
pub(super) fn tell(what: impl Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// A bar on stderr that shows how far something is, where a terminal is.
#[derive(Debug)]
pub(super) struct Bar {
    is_shown: bool,
    of: u64,
}

impl Bar {
    /// A bar of something that has not begun.
    pub(super) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), of: 0 }
    }

    /// Notes how much there is to do.
    pub(super) fn of(&mut self, all: u64) {
        self.of = all;
    }

    /// Shows that so much is done, and a word beside it.
    pub(super) fn show(&self, done: u64, beside: &str) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[2K{}", drawn(done, self.of, beside));
            let _ = io::stderr().flush();
        }
    }

    /// Takes it away, so that something else can be written.
    pub(super) fn clear(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

fn drawn(done: u64, of: u64, beside: &str) -> String {
    let done_of = done.min(of);
    let full = if of == 0 { WIDTH } else { done_of.saturating_mul(WIDTH) / of };
    let bar: String = (0..WIDTH).map(|at| if at < full { '#' } else { '.' }).collect();
    format!("[{bar}] {done} of {of}  {beside}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(drawn(0, 10, ""), format!("[{}] 0 of 10  ", ".".repeat(30)));
        assert_eq!(drawn(5, 10, "2 differ"), format!("[{}{}] 5 of 10  2 differ", "#".repeat(15), ".".repeat(15)));
        assert_eq!(drawn(0, 0, ""), format!("[{}] 0 of 0  ", "#".repeat(30)));
    }
}
