//! The one place that loads machine code from a file.

#![allow(unsafe_code, reason = "the engine cannot check machine code; `load` says why it may be trusted")]

use std::path::Path;

use wasmtime::Module;
use wasmtime::component::Component;

use crate::wasm::compile::CompiledCode;
use crate::wasm::shape::BinaryForm;

/// Loads compiled code.
///
/// The caller vouches for the file: it was written by this host's own compiler, its checksum fits, and it lies in a
/// folder that only this host's user may enter. The file is mapped, so it must also never be changed in place; the
/// cache only ever replaces whole files.
pub(crate) fn load(engine: &wasmtime::Engine, code: &Path, form: BinaryForm) -> wasmtime::Result<CompiledCode> {
    match form {
        BinaryForm::Component(_) | BinaryForm::Embedded => {
            // SAFETY: see above. The engine itself checks version, processor, settings, and that it is a component.
            unsafe { Component::deserialize_file(engine, code) }.map(CompiledCode::Component)
        }
        BinaryForm::Command => {
            // SAFETY: the same, for a module.
            unsafe { Module::deserialize_file(engine, code) }.map(CompiledCode::Module)
        }
    }
}
