//! Turns: so many tests at once, and no more.

use std::sync::{Condvar, Mutex, PoisonError};

/// Hands out turns.
#[derive(Debug)]
pub struct Turns {
    at_once: usize,
    running: Mutex<usize>,
    over: Condvar,
}

/// The right to run now.
#[derive(Debug)]
pub struct Turn(&'static Turns);

impl Turns {
    /// Up to `at_once` turns at a time.
    pub const fn new(at_once: usize) -> Self {
        Self { at_once, running: Mutex::new(0), over: Condvar::new() }
    }

    /// Waits for a turn.
    pub fn wait(&'static self) -> Turn {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= self.at_once {
            running = self.over.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        Turn(self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.over.notify_one();
    }
}
