//! Limits how many tests run at the same time: each starts hosts, and the machine may have only two cores.

use std::sync::{Condvar, Mutex, PoisonError};

#[derive(Debug)]
pub struct ConcurrencyLimit {
    at_once: usize,
    running: Mutex<usize>,
    released: Condvar,
}

/// Held while a test runs.
#[derive(Debug)]
pub struct ConcurrencyPermit(&'static ConcurrencyLimit);

impl ConcurrencyLimit {
    pub const fn new(at_once: usize) -> Self {
        Self { at_once, running: Mutex::new(0), released: Condvar::new() }
    }

    pub fn acquire(&'static self) -> ConcurrencyPermit {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while *running >= self.at_once {
            running = self.released.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += 1;
        ConcurrencyPermit(self)
    }
}

impl Drop for ConcurrencyPermit {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.released.notify_one();
    }
}
