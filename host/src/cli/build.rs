//! `millstream build`: runs the manifest's build line and checks the module.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cli::failure::VerbFailure;
use crate::cli::progress;
use crate::cli::project::{self, ManifestFile};
use crate::error_code::ErrorCode;

const EXAMPLES: &str = "\
Examples:
  millstream build examples/uppercase
  cd examples/uppercase && millstream build";

/// How often a running build is polled.
const LOOKS_EVERY: Duration = Duration::from_millis(10);

/// Build a function's module with the command in its manifest
///
/// Runs the manifest's `build` line with `sh -c` in the folder and checks that it leaves a Wasm module at the
/// manifest's `module` path, which is printed. Needs no host.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BuildArgs {
    /// The folder with the function's millstream.toml
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

/// Builds, and prints the path of the module.
pub(crate) fn run(arguments: &BuildArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let manifest = project::read_folder(&arguments.folder)?;
    let module = build_folder(&arguments.folder, &manifest)?;
    Ok(writeln!(out, "{}", module.display())?)
}

/// Builds the module of `folder` and returns its path. Without a build line the module must be there already.
pub(crate) fn build_folder(folder: &Path, manifest: &ManifestFile) -> Result<PathBuf, VerbFailure> {
    build_folder_until(folder, manifest, &|| false)
}

/// The same; kills the build when `is_over` returns true.
pub(crate) fn build_folder_until(
    folder: &Path,
    manifest: &ManifestFile,
    is_over: &dyn Fn() -> bool,
) -> Result<PathBuf, VerbFailure> {
    // Checked first: without a path there is nothing to build for.
    project::module_path(folder, &manifest.project)?;
    if let Some(line) = &manifest.project.build {
        progress::report(format_args!("building {}: {line}", manifest.project.manifest.name));
        run_line(folder, line, is_over)?;
    }
    built_module(folder, manifest)
}

/// The module of `folder` as the last build left it.
pub(crate) fn built_module(folder: &Path, manifest: &ManifestFile) -> Result<PathBuf, VerbFailure> {
    let module = project::module_path(folder, &manifest.project)?;
    project::check_module(&module)?;
    Ok(module)
}

fn run_line(folder: &Path, line: &str, is_over: &dyn Fn() -> bool) -> Result<(), VerbFailure> {
    let failed = |reason: String| VerbFailure::new(ErrorCode::BuildFailed, format!("`{line}` {reason}"));
    // Stdout is for the path of the module.
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder).stdin(Stdio::null()).stdout(stderr);
    let mut child = command.spawn().map_err(|error| failed(format!("could not be started: {error}")))?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if is_over() => {
                // It may have ended by itself in between.
                let _ = child.kill();
                break child.wait();
            }
            Ok(None) => std::thread::sleep(LOOKS_EVERY),
            Err(error) => break Err(error),
        }
    };
    let status = status.map_err(|error| failed(format!("could not be waited for: {error}")))?;
    if status.success() { Ok(()) } else { Err(failed(format!("ended with {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(build: &str) -> Result<String, VerbFailure> {
        let folder = tempfile::tempdir().unwrap();
        let manifest = format!("name = \"f\"\ntopics = [\"in\"]\nmodule = \"out/f.wasm\"\nbuild = '{build}'");
        std::fs::write(folder.path().join("millstream.toml"), manifest).unwrap();
        let mut out = Vec::new();
        run(&BuildArgs { folder: folder.path().to_owned() }, &mut out)?;
        let printed = String::from_utf8(out).unwrap();
        Ok(printed.trim_end().strip_prefix(folder.path().to_str().unwrap()).unwrap().to_owned())
    }

    fn code_of(result: Result<String, VerbFailure>) -> String {
        match result {
            Err(VerbFailure::Reported(reported)) => reported.code.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_path_of_what_was_built_is_printed() {
        assert_eq!(build(r#"mkdir out && echo noise && printf "\0asm" > out/f.wasm"#).unwrap(), "/out/f.wasm");
    }

    #[test]
    fn a_build_ends_when_it_is_not_wanted_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let failure = run_line(folder.path(), "exec sleep 600", &|| true).unwrap_err();
        assert_eq!(code_of(Err(failure)), "MS0503");
    }

    #[test]
    fn what_goes_wrong_is_told_apart() {
        assert_eq!(code_of(build("exit 3")), "MS0503");
        assert_eq!(code_of(build("true")), "MS0504");
        assert_eq!(code_of(build("mkdir out && echo text > out/f.wasm")), "MS0504");
        let nowhere = BuildArgs { folder: PathBuf::from("no/such/folder") };
        assert_eq!(code_of(run(&nowhere, &mut Vec::new()).map(|()| String::new())), "MS0505");
    }
}
