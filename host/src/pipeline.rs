//! L4: wires the stages of a function's shard and supervises them.
