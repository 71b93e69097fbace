//! How far a compilation stands back behind the data path: what is compiled waits gladly, records do not.

#![allow(unsafe_code, reason = "no crate that is used here wraps the scheduler's policies")]

use std::ffi::OsStr;

/// A tenth of the core that others have, where they want it.
const NICENESS: i32 = 10;
const IDLE: &str = "idle";
const LOW: &str = "low";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProcessPriority {
    /// Runs where nothing else wants to, and makes way at once: under lower niceness a record may wait for a time slice.
    Idle,
    /// Has a share, so that a host whose functions take all there is gets done too.
    Low,
}

impl ProcessPriority {
    /// How a child learns of it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Idle => IDLE,
            Self::Low => LOW,
        }
    }

    /// What a child was asked for.
    pub(crate) fn from_word(word: &OsStr) -> Self {
        if word == IDLE { Self::Idle } else { Self::Low }
    }

    /// Takes it for this thread and those that it starts. A system that refuses it compiles all the same.
    pub(crate) fn take(self) {
        match self {
            Self::Idle => {
                let parameters = libc::sched_param { sched_priority: 0 };
                // SAFETY: the pointer is valid for the call, which only reads it; 0 is the calling thread.
                let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
            }
            Self::Low => {
                let _ = rustix::process::nice(NICENESS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_takes_the_standing_it_is_told() {
        let policy_of = |standing: ProcessPriority| {
            let work = move || {
                ProcessPriority::from_word(OsStr::new(standing.word())).take();
                // SAFETY: the call takes a number; 0 is the calling thread.
                unsafe { libc::sched_getscheduler(0) }
            };
            std::thread::spawn(work).join().unwrap()
        };
        assert_eq!(policy_of(ProcessPriority::Idle), libc::SCHED_IDLE);
        assert_eq!(policy_of(ProcessPriority::Low), libc::SCHED_OTHER);
    }
}
