//! Builds the guests that `millstream demo` plays, so that the binary carries them.
//!
//! They are a Cargo workspace of their own under `examples/`, for another target. A machine that can't build for
//! `wasm32-wasip2` may give finished modules in `MILLSTREAM_DEMO_MODULES`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const GUESTS: [&str; 3] = ["place-bid", "item-complete", "notify-bidders"];
const TARGET: &str = "wasm32-wasip2";

fn main() {
    let examples = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../examples");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-env-changed=MILLSTREAM_DEMO_MODULES");
    println!("cargo::rerun-if-changed=../guest-sdk");
    println!("cargo::rerun-if-changed=../examples/Cargo.lock");
    for guest in GUESTS {
        println!("cargo::rerun-if-changed=../examples/{guest}");
    }
    let modules = match env::var_os("MILLSTREAM_DEMO_MODULES") {
        Some(folder) => PathBuf::from(folder),
        None => build(&examples),
    };
    for guest in GUESTS {
        let file = format!("{}.wasm", guest.replace('-', "_"));
        let module = modules.join(&file);
        if let Err(error) = std::fs::copy(&module, out.join(&file)) {
            panic!("the demo's module {} can't be read: {error}", module.display());
        }
    }
}

fn build(examples: &Path) -> PathBuf {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    cargo.current_dir(examples).args(["build", "--release", "--locked", "--target", TARGET]);
    for guest in GUESTS {
        cargo.args(["-p", guest]);
    }
    // What is set for the host's own build does not fit a guest.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let is_of_this_build =
            name.starts_with("CARGO_") || matches!(name.as_str(), "RUSTFLAGS" | "TARGET" | "RUSTC_WRAPPER");
        if is_of_this_build && name != "CARGO_HOME" {
            cargo.env_remove(name);
        }
    }
    match cargo.status() {
        Ok(status) if status.success() => examples.join("target").join(TARGET).join("release"),
        Ok(status) => panic!(
            "the guests of the demo could not be built ({status}); does this machine have the {TARGET} target? \
             `./run setup` installs it, `rustup target add {TARGET}` does too"
        ),
        Err(error) => panic!("cargo could not be started to build the guests of the demo: {error}"),
    }
}
