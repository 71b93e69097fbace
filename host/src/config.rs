//! L1: what the user set: the host's configuration and the functions' manifests, raw then validated.
//!
//! Text becomes a tree of [`node::Node`]s; a [`section::Section`] reads the tree key by key, the user's values over
//! those of `default.toml`, and gathers every problem. What comes out is valid: nothing later checks it again.
//!
//! ```text
//!  host.toml, MILLSTREAM_… ─┐
//!  millstream.toml, JSON ───┼─► node ─► section (default.toml below) ─► host::HostConfig
//!                           │                                        └► model::function::Manifest
//! ```

pub mod defaults;
pub mod host;
mod kafka_options;
pub mod manifest;
pub mod node;
pub mod offset_target;
pub mod problem;
pub mod quantity;
#[cfg(test)]
mod reference;

mod section;
pub mod suggest;
pub mod timetable;
mod value;
