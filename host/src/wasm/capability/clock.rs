//! `wasi:clocks/monotonic-clock` on the host's fine [`TimerHandle`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Host};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use crate::wasm::state::GuestState;
use crate::wasm::timer::TimerHandle;

/// Offers the clock in place of the one that is linked already.
pub(crate) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    monotonic_clock::add_to_linker::<GuestState, GuestClock>(linker, GuestState::clock)
}

struct GuestClock;

impl HasData for GuestClock {
    type Data<'a> = ClockView<'a>;
}

/// What the clock works on.
pub(crate) struct ClockView<'a> {
    pub(crate) table: &'a mut ResourceTable,
    pub(crate) timer: &'a Arc<TimerHandle>,
    /// The clock's zero: each guest has its own, so it cannot know how long the host is up.
    pub(crate) born: Instant,
}

impl ClockView<'_> {
    fn subscribe(&mut self, wait: Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let deadline = if wait.is_zero() {
            ClockDeadline::Past { yielded: false }
        } else if let Some(at) = Instant::now().checked_add(wait) {
            ClockDeadline::At(at, Arc::clone(self.timer))
        } else {
            ClockDeadline::Never
        };
        let deadline = self.table.push(deadline)?;
        subscribe(self.table, deadline)
    }
}

impl Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        Ok(u64::try_from(self.born.elapsed().as_nanos())?)
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: monotonic_clock::Instant) -> wasmtime::Result<Resource<DynPollable>> {
        let now = self.now()?;
        self.subscribe(Duration::from_nanos(when.saturating_sub(now)))
    }

    fn subscribe_duration(&mut self, wait: monotonic_clock::Duration) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe(Duration::from_nanos(wait))
    }
}

/// What a guest waits for.
enum ClockDeadline {
    /// Nothing; but a guest that polls in a loop must let others run.
    Past {
        yielded: bool,
    },
    At(Instant, Arc<TimerHandle>),
    Never,
}

#[async_trait]
impl Pollable for ClockDeadline {
    async fn ready(&mut self) {
        match self {
            Self::Past { yielded: true } => {}
            Self::Past { yielded } => {
                *yielded = true;
                tokio::task::yield_now().await;
            }
            Self::At(at, timer) => timer.sleep_until(*at).await,
            Self::Never => std::future::pending().await,
        }
    }
}
