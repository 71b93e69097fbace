//! The sandbox: the only room that knows the Wasm engine.
//!
//! An [`WasmEngine`] loads a module into a [`LoadedProgram`]; a program with a revision's limits is a [`Sandbox`]; a sandbox
//! starts [`GuestInstance`]s, and an instance is called with a flat batch and answers with one verdict per record.
//!
//! Invariants: whatever a guest does is a [`Fault`](crate::model::outcome::Fault), never a panic or an error of the
//! host. Bytes that a user sent are parsed and compiled, never loaded as code. An instance that faulted is not used
//! again. This room knows nothing of Kafka, pools or retries.

mod cache;
mod capability;
pub(crate) mod compile;
mod config;
mod engine;
mod entry;
mod fault;
mod guest_log;
mod instance;
mod limiter;
mod link;
mod load;
pub(crate) mod log;
#[cfg(test)]
mod measure;
mod program;
mod sandbox;
pub(crate) mod shape;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod ticker;
mod timer;

pub(crate) use config::{CompileLocation, EngineOptions};
pub(crate) use engine::WasmEngine;
pub(crate) use instance::GuestInstance;
pub(crate) use load::LoadError;
pub(crate) use program::LoadedProgram;
pub(crate) use sandbox::{Sandbox, StartError};
