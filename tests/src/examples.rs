//! The examples, and what this machine could build of them.

use std::path::{Path, PathBuf};

use crate::root;
use crate::skip::skipped;

/// Examples in other languages than Rust.
pub const FOREIGN: [&str; 5] = ["tally", "enrich-item", "validate-bid", "drop-low-bids", "convert-bid"];

/// Where the module of an example is. Says loudly that something is skipped where this machine could not build it.
#[track_caller]
pub fn built(example: &str) -> Option<PathBuf> {
    let stem = example.replace('-', "_");
    let module = match FOREIGN.contains(&example) {
        true => root().join(format!("examples/{example}/build/{stem}.wasm")),
        false => root().join(format!("examples/target/wasm32-wasip2/release/{stem}.wasm")),
    };
    if module.exists() {
        return Some(module);
    }
    assert!(FOREIGN.contains(&example), "{}: `./run guests` builds it", module.display());
    skipped(&format!("{} was not built on this machine; `./run guests` says why", module.display()));
    None
}

/// The search path with the Python tools that `./run guests` installs in front.
pub fn path_with_tools() -> std::ffi::OsString {
    let tools = root().join(".cache/tools/python/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&path))).expect("a search path")
}

/// Lets a function of `millstream new --lang rust` share what is built of the examples: its dependencies are there
/// already, only the SDK that it carries and itself are not.
#[track_caller]
pub fn share_build(folder: &Path) {
    let examples = root().join("examples");
    std::fs::copy(examples.join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");
    std::os::unix::fs::symlink(examples.join("target"), folder.join("target")).expect("linked");
}
