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

pub(crate) mod defaults;
pub(crate) mod host;
mod kafka_options;
pub(crate) mod manifest;
pub(crate) mod node;
pub(crate) mod offset_target;
pub(crate) mod problem;
pub(crate) mod quantity;
#[cfg(test)]
mod reference;

mod section;
pub(crate) mod suggest;
pub(crate) mod timetable;
mod value;
