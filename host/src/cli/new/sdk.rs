//! The Rust SDK, copied into a new function: the version of this binary, which need not be in a registry.

/// The folder of it within the function's.
pub(crate) const FOLDER: &str = "millstream-sdk";
/// Where Cargo finds it there.
pub(crate) const WITHIN: &str = "millstream-sdk/guest-sdk";
/// What holds its crates together there.
pub(crate) const WORKSPACE: &str = include_str!("../../../templates/sdk/Cargo.toml.in");

include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));
