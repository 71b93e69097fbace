//! Keeps a pool as it is declared: instances that were idle for `keep_warm` end, and at least `min` are there.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant as Moment};

use tokio::sync::Notify;

use crate::invoke::emulate::{self, StartKind};
use crate::invoke::pool::PoolState;

/// The rhythm in which idle instances are looked at.
const RHYTHM: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Works until the pool is gone; between its looks it does not keep the pool alive.
pub(crate) async fn run(pool: Weak<PoolState>, lost: Arc<Notify>) {
    loop {
        let Some(shared) = pool.upgrade() else { return };
        let alive = shared.alive.load(Ordering::Relaxed);
        shared.idle.drop_expired(shared.settings.keep_warm, alive.saturating_sub(shared.settings.min));
        let is_full = refill(&shared).await;
        let rhythm = (shared.settings.keep_warm / 4).clamp(RHYTHM.0, RHYTHM.1);
        drop(shared);
        if is_full {
            let _ = tokio::time::timeout(rhythm, lost.notified()).await;
        } else {
            tokio::time::sleep(RHYTHM.1).await;
        }
    }
}

/// Starts what is missing. Says no when it cannot, so that it is not tried in a circle.
async fn refill(shared: &PoolState) -> bool {
    while shared.alive.load(Ordering::Relaxed) < shared.settings.min {
        // An instance in reserve displaces no other.
        let Some(place) = shared.admission.try_place() else { return false };
        match shared.start_in(place, Moment::now()).await {
            Ok(warm) => {
                // An emulated start is over when the instance is ready.
                tokio::time::sleep(emulate::delay(shared.settings.emulate.as_ref(), StartKind::Cold)).await;
                shared.keep(warm);
            }
            Err(fault) => {
                tracing::warn!(class = %fault.class, "cannot keep an instance ready: {}", fault.message);
                return false;
            }
        }
    }
    true
}
