//! The Wasm export, generated from `wit/`.
//!
//! The generated code is the one place with `unsafe`: the calling convention of components needs it.
#![allow(unsafe_code, missing_docs, reason = "generated code")]

wit_bindgen::generate!({
    path: "../wit",
    world: "batch-function",
    pub_export_macro: true,
    export_macro_name: "export_batch_function",
    runtime_path: "wit_bindgen::rt",
});

pub use exports::millstream::function::batch::Guest;
