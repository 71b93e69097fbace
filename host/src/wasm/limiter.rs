//! How much memory and how many table elements an instance may have.
//!
//! A refusal is remembered, so that whatever trap follows from it is reported as what it is.

use wasmtime::ResourceLimiter;

/// Core instances in one component: toolchains for dynamic languages link a few dozen.
pub(crate) const INSTANCES_MAX: usize = 256;
/// Linear memories in one component, counted together against `limits.memory`.
pub(crate) const MEMORIES_MAX: usize = 16;
/// Tables in one component, each bounded by `limits.table_elements`.
pub(crate) const TABLES_MAX: usize = 64;

/// What was wanted and not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitRefusal {
    Memory {
        /// Nothing where it was more than the engine can address.
        wanted: Option<u64>,
    },
    Table {
        /// As many as the table was to have.
        wanted: u64,
    },
}

/// The limits of one instance and what it has.
#[derive(Debug)]
pub(crate) struct InstanceLimiter {
    memory_limit: usize,
    table_limit: usize,
    memory: usize,
    refusal: Option<LimitRefusal>,
}

impl InstanceLimiter {
    pub(crate) fn new(memory_limit: u64, table_limit: u64) -> Self {
        Self {
            memory_limit: usize::try_from(memory_limit).unwrap_or(usize::MAX),
            table_limit: usize::try_from(table_limit).unwrap_or(usize::MAX),
            memory: 0,
            refusal: None,
        }
    }

    /// Bytes of linear memory in all.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory as u64
    }

    /// The first refusal, if there was any.
    pub(crate) fn refusal(&self) -> Option<LimitRefusal> {
        self.refusal
    }

    fn refuse(&mut self, refusal: LimitRefusal) {
        self.refusal.get_or_insert(refusal);
    }
}

impl ResourceLimiter for InstanceLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // A module's own maximum, where it is the lower one, is its own business and no refusal of ours.
        if maximum.is_some_and(|maximum| maximum < self.memory_limit && desired > maximum) {
            return Ok(false);
        }
        let wanted = self.memory.saturating_add(desired.saturating_sub(current));
        if wanted > self.memory_limit {
            self.refuse(LimitRefusal::Memory { wanted: Some(wanted as u64) });
            return Ok(false);
        }
        // Counted for good, also if the engine then fails: too much is safe, too little is not.
        self.memory = wanted;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refuse(LimitRefusal::Memory { wanted: None });
        Ok(())
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.table_limit;
        if !allowed {
            self.refuse(LimitRefusal::Table { wanted: desired as u64 });
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_count_together_and_the_first_refusal_stays() {
        let mut limiter = InstanceLimiter::new(100, 10);
        assert!(limiter.memory_growing(0, 60, None).expect("no error"));
        assert!(limiter.memory_growing(0, 40, Some(1000)).expect("no error"));
        assert_eq!(limiter.refusal(), None);
        assert!(!limiter.memory_growing(60, 61, None).expect("no error"));
        assert!(!limiter.table_growing(0, 11, None).expect("no error"));
        assert_eq!(limiter.refusal(), Some(LimitRefusal::Memory { wanted: Some(101) }));
        assert_eq!(limiter.memory_bytes(), 100);
    }

    #[test]
    fn the_maximum_of_the_module_itself_is_no_refusal() {
        let mut limiter = InstanceLimiter::new(100, 10);
        assert!(!limiter.memory_growing(0, 60, Some(50)).expect("no error"));
        assert_eq!(limiter.refusal(), None);
        assert_eq!(limiter.memory_bytes(), 0);
    }
}
