//! `wasi:logging/logging@0.1.0-draft`: messages with a level, under the same bound as stdout and stderr.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker};

use crate::wasm::log::Level;
use crate::wasm::state::GuestState;

const INTERFACE: &str = "wasi:logging/logging@0.1.0-draft";

#[derive(Clone, Copy, ComponentType, Lift)]
#[allow(dead_code, reason = "values come from guests only")]
#[component(enum)]
#[repr(u8)]
enum WasiLevel {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl From<WasiLevel> for Level {
    fn from(level: WasiLevel) -> Self {
        match level {
            WasiLevel::Trace => Self::Trace,
            WasiLevel::Debug => Self::Debug,
            WasiLevel::Info => Self::Info,
            WasiLevel::Warn => Self::Warn,
            WasiLevel::Error => Self::Error,
            WasiLevel::Critical => Self::Critical,
        }
    }
}

pub(crate) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.instance(INTERFACE)?.func_wrap(
        "log",
        |store: StoreContextMut<'_, GuestState>, (level, context, message): (WasiLevel, String, String)| {
            let message = if context.is_empty() { message } else { format!("{context}: {message}") };
            store.data().log.message(level.into(), &message);
            Ok(())
        },
    )
}
