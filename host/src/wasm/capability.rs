//! What a guest may import, where it differs from plain WASI: one file a capability.

pub(super) mod clock;
pub(super) mod environment;
pub(super) mod http;
pub(super) mod logging;
pub(super) mod pipes;
pub(super) mod stdio;

#[cfg(test)]
mod tests;
