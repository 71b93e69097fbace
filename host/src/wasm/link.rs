//! What every guest may import, linked once for all.
//!
//! All of WASI 0.2 and `wasi:http` link, because what compilers make imports them whether it uses them or not. What a
//! guest is not to have is denied when it calls.

use wasmtime::component::Linker;
use wasmtime_wasi::p1;

use crate::wasm::capability::{clock, environment, logging};
use crate::wasm::state::GuestState;

/// A linker with all interfaces.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    logging::link(&mut linker)?;
    linker.allow_shadowing(true);
    clock::link(&mut linker)?;
    environment::link(&mut linker)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// A linker for core modules: WASI preview 1.
pub(crate) fn core_linker(engine: &wasmtime::Engine) -> wasmtime::Result<wasmtime::Linker<GuestState>> {
    let mut linker = wasmtime::Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |state: &mut GuestState| &mut state.wasi)?;
    Ok(linker)
}
