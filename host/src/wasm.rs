//! L2: the only room that knows wasmtime.
