//! What a guest may import, where it differs from plain WASI: one file a capability.

pub(crate) mod clock;
pub(crate) mod environment;
pub(crate) mod http;
pub(crate) mod logging;
pub(crate) mod pipes;
pub(crate) mod stdio;

#[cfg(test)]
mod tests;
