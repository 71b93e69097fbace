//! The thread that advances the epoch, by which running guests are interrupted.
//!
//! It ticks finely while guests run for long and coarsely otherwise, so that an idle host does not wake up a thousand
//! times a second. It ends when its engine is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmtime::EngineWeak;

/// The slice of a running guest, and how late a wall limit may be noticed.
const BUSY_TICK: Duration = Duration::from_millis(1);
/// The tick while no guest runs for longer than this.
const IDLE_TICK: Duration = Duration::from_millis(10);

/// A clone of the flag by which running guests ask for fine ticks.
#[derive(Clone, Default)]
pub(crate) struct BusyGuard(Arc<AtomicBool>);

impl BusyGuard {
    /// Says that a guest used up a tick.
    pub(crate) fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Starts the thread. It holds the engine weakly, so it ends by itself within one tick of the engine's end.
pub(crate) fn start(engine: EngineWeak, busy: BusyGuard) -> std::io::Result<()> {
    std::thread::Builder::new().name("wasm-ticker".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(if busy.take() { BUSY_TICK } else { IDLE_TICK });
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
        }
    })?;
    Ok(())
}
