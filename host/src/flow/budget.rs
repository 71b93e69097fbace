//! A budget of bytes: anyone who makes something takes its share first, and the share is given back when the thing is
//! dropped. Back-pressure needs no arrow backwards.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units, so that a budget of many gigabytes fits a semaphore.
const UNIT: u64 = 1024;

/// A share of a budget; dropping it gives it back.
#[derive(Debug, Default)]
pub(crate) struct BudgetShare {
    _permit: Option<OwnedSemaphorePermit>,
}

/// A bounded number of bytes.
#[derive(Debug, Clone)]
pub(crate) struct ByteBudget {
    units: u32,
    free: Arc<Semaphore>,
}

impl ByteBudget {
    /// A budget of `bytes`, rounded up to whole KiB.
    pub(crate) fn new(bytes: u64) -> Self {
        let units = bytes.div_ceil(UNIT).clamp(1, u64::from(u32::MAX)) as u32;
        Self { units, free: Arc::new(Semaphore::new(units as usize)) }
    }

    /// Waits for `bytes`. More than the whole budget is the whole budget: one large thing passes alone.
    pub(crate) async fn take(&self, bytes: u64) -> BudgetShare {
        let units = bytes.div_ceil(UNIT).clamp(1, u64::from(self.units)) as u32;
        // The semaphore is never closed; were it, work would continue unbounded rather than stop.
        BudgetShare { _permit: self.free.clone().acquire_many_owned(units).await.ok() }
    }

    /// Whether less than a quarter is free.
    pub(crate) fn is_scarce(&self) -> bool {
        self.free.available_permits() < self.units as usize / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_share_comes_back_when_dropped() {
        let budget = ByteBudget::new(4096);
        let share = budget.take(4000).await;
        assert!(budget.is_scarce());
        drop(share);
        assert!(!budget.is_scarce());
    }

    #[tokio::test]
    async fn one_large_thing_passes_alone() {
        let budget = ByteBudget::new(4096);
        let _share = budget.take(1 << 40).await;
        assert_eq!(budget.free.available_permits(), 0);
    }
}
