//! Builds the guests that `millstream demo` plays, so that the binary carries them; and has it carry the Rust SDK, for
//! `millstream new`.
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
    println!("cargo::rerun-if-changed=../wit");
    println!("cargo::rerun-if-changed=../examples/Cargo.lock");
    for guest in GUESTS {
        println!("cargo::rerun-if-changed=../examples/{guest}");
    }
    let modules = match env::var_os("MILLSTREAM_DEMO_MODULES") {
        Some(folder) => PathBuf::from(folder),
        None => build(&examples),
    };
    embed_sdk(&out);
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

/// What the SDK is made of.
const SDK: [&str; 7] = [
    "guest-sdk/Cargo.toml",
    "guest-sdk/src",
    "guest-sdk/flat/Cargo.toml",
    "guest-sdk/flat/src",
    "guest-sdk/macro/Cargo.toml",
    "guest-sdk/macro/src",
    "wit",
];

/// Writes `sdk_files.rs`: the path and the text of each of the SDK's files.
fn embed_sdk(out: &Path) {
    let project = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let mut files = Vec::new();
    for part in SDK {
        collect(&project.join(part), &mut files);
    }
    files.sort();
    let mut code =
        "/// The SDK's files: their paths and texts.\npub(super) const FILES: &[(&str, &str)] = &[\n".to_owned();
    for file in files {
        let path = file.strip_prefix(&project).expect("it lies there");
        code.push_str(&format!("    ({:?}, include_str!({:?})),\n", path, file));
    }
    code.push_str("];\n");
    std::fs::write(out.join("sdk_files.rs"), code).expect("cargo's folder can be written to");
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        return files.push(path.to_owned());
    }
    for entry in std::fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
        collect(&entry.expect("an entry").path(), files);
    }
}
