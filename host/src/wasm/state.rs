//! What the host keeps for one instance: the data of its store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::capability::clock::ClockView;
use super::capability::environment::Environment;
use super::capability::http::DeniedHttp;
use super::capability::stdio::GuestStream;
use super::guest_log::{GuestLog, Stream};
use super::instance::after;
use super::limiter::Limiter;
use super::ticker::Busy;
use super::timer::Timer;

/// Handles that a guest may hold at once.
const RESOURCES_MAX: usize = 4096;
/// Bytes that a guest may ask of the random source at once.
const RANDOM_MAX: u64 = 1 << 20;

/// The state of one instance.
pub(super) struct GuestState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    denied_http: DeniedHttp,
    table: ResourceTable,
    timer: Arc<Timer>,
    born: Instant,
    pub(super) environment: Environment,
    pub(super) busy: Busy,
    pub(super) limiter: Limiter,
    pub(super) log: Arc<GuestLog>,
    /// When the running call, or the start, has used up its time.
    pub(super) deadline: Instant,
    /// Whether the guest was interrupted for that.
    pub(super) timed_out: bool,
}

impl GuestState {
    /// The state of a guest that has no files, no network, no arguments and an input at its end.
    pub(super) fn new(
        environment: Environment,
        timer: Arc<Timer>,
        busy: Busy,
        limiter: Limiter,
        log: GuestLog,
        time: Duration,
    ) -> Self {
        let log = Arc::new(log);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(GuestStream::new(Stream::Stdout, &log))
            .stderr(GuestStream::new(Stream::Stderr, &log))
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM_MAX);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let born = Instant::now();
        Self {
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            denied_http: DeniedHttp::new(&log),
            table,
            timer,
            born,
            environment,
            busy,
            limiter,
            log,
            deadline: after(time),
            timed_out: false,
        }
    }

    /// What the guest's monotonic clock works on.
    pub(super) fn clock(&mut self) -> ClockView<'_> {
        ClockView { table: &mut self.table, timer: &self.timer, born: self.born }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.denied_http }
    }
}
