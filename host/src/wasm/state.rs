//! What the host keeps for one instance: the data of its store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::wasm::capability::clock::ClockView;
use crate::wasm::capability::environment::GuestEnvironment;
use crate::wasm::capability::http::DeniedHttp;
use crate::wasm::capability::pipes::CommandPipes;
use crate::wasm::capability::stdio::GuestStream;
use crate::wasm::guest_log::{GuestLog, LogStream};
use crate::wasm::instance::after;
use crate::wasm::limiter::InstanceLimiter;
use crate::wasm::ticker::BusyGuard;
use crate::wasm::timer::TimerHandle;

/// Handles that a guest may hold at once.
const RESOURCES_MAX: usize = 4096;
/// Bytes that a guest may ask of the random source at once.
const RANDOM_MAX: u64 = 1 << 20;

/// The state of one instance.
pub(crate) struct GuestState {
    /// WASI of both generations, and the table of all handles.
    pub(crate) wasi: WasiP1Ctx,
    http: WasiHttpCtx,
    denied_http: DeniedHttp,
    timer: Arc<TimerHandle>,
    born: Instant,
    pub(crate) environment: GuestEnvironment,
    pub(crate) busy: BusyGuard,
    pub(crate) limiter: InstanceLimiter,
    pub(crate) log: Arc<GuestLog>,
    /// When the running call, or the start, has used up its time.
    pub(crate) deadline: Instant,
    /// Whether the guest was interrupted for that.
    pub(crate) timed_out: bool,
    /// What a command reads and writes; other guests have none.
    pub(crate) pipes: Option<CommandPipes>,
    /// Whether the guest gave more than it may.
    pub(crate) overflowed: bool,
    /// Whether the instance may not be called again, although nothing went wrong.
    pub(crate) is_spent: bool,
}

impl GuestState {
    /// The state of a guest that has no files, no network, no arguments and, unless it is a command, an input at its end.
    pub(crate) fn new(
        environment: GuestEnvironment,
        timer: Arc<TimerHandle>,
        busy: BusyGuard,
        limiter: InstanceLimiter,
        log: GuestLog,
        time: Duration,
        is_command: bool,
    ) -> Self {
        let log = Arc::new(log);
        let mut wasi = WasiCtx::builder();
        wasi.stdout(GuestStream::new(LogStream::Stdout, &log))
            .stderr(GuestStream::new(LogStream::Stderr, &log))
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(RANDOM_MAX);
        let pipes = is_command.then(|| {
            let pipes = CommandPipes::default();
            wasi.stdin(pipes.stdin.clone()).stdout(pipes.stdout.clone());
            // Programs take the first argument for their own name.
            wasi.arg("function").envs(environment.variables());
            pipes
        });
        let mut wasi = wasi.build_p1();
        wasi.ctx().table.set_max_capacity(RESOURCES_MAX);
        let born = Instant::now();
        Self {
            wasi,
            http: WasiHttpCtx::new(),
            denied_http: DeniedHttp::new(&log),
            timer,
            born,
            environment,
            busy,
            limiter,
            log,
            deadline: after(time),
            timed_out: false,
            pipes,
            overflowed: false,
            is_spent: false,
        }
    }

    /// What the guest's monotonic clock works on.
    pub(crate) fn clock(&mut self) -> ClockView<'_> {
        ClockView { table: self.wasi.ctx().table, timer: &self.timer, born: self.born }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: self.wasi.ctx().table, hooks: &mut self.denied_http }
    }
}
