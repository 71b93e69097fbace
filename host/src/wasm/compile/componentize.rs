//! A component from a core module that says which one it is to become: what wit-bindgen leaves in C and in other
//! languages whose compilers give core modules.
//!
//! WASI preview 1, which their libraries import, is put on WASI 0.2 by the usual adapter.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

/// What components depend on beside their modules: changes when the adapter or the encoder does.
pub(crate) const FINGERPRINT: (&str, &[u8]) = ("wit-component 0.263.0", WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER);

/// Makes the component, or says why it can't be made.
pub(crate) fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    let encode = || {
        ComponentEncoder::default()
            .validate(true)
            .module(module)?
            .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
            .encode()
    };
    encode().map_err(|error| format!("no component can be made of the core module: {error:#}"))
}
