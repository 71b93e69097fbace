//! A function's folder: its manifest and where its module is.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::cli::failure::VerbFailure;
use crate::config::manifest::{self, ManifestNotation, ProjectManifest};
use crate::error_code::ErrorCode;

/// A manifest that was read from a file.
#[derive(Debug)]
pub(crate) struct ManifestFile {
    /// The text, as it is sent to the host.
    pub(crate) text: String,
    pub(crate) notation: ManifestNotation,
    pub(crate) project: ProjectManifest,
}

/// The manifest of the folder `folder`.
pub(crate) fn read_folder(folder: &Path) -> Result<ManifestFile, VerbFailure> {
    let candidates = ["millstream.toml", "millstream.json"].map(|name| folder.join(name));
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => read_manifest(path),
        None => Err(VerbFailure::new(ErrorCode::NoProject, format!("{} has no millstream.toml", folder.display()))),
    }
}

/// The manifest in the file `path`: JSON if its name ends so, else TOML.
pub(crate) fn read_manifest(path: &Path) -> Result<ManifestFile, VerbFailure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| VerbFailure::new(ErrorCode::NoProject, format!("cannot read {}: {error}", path.display())))?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let notation = if is_json { ManifestNotation::Json } else { ManifestNotation::Toml };
    let project = manifest::read_project(&text, notation)
        .map_err(|error| VerbFailure::new(ErrorCode::InvalidManifest, format!("{}: {error}", path.display())))?;
    Ok(ManifestFile { text, notation, project })
}

/// Where the folder's module is, once it is built.
pub(crate) fn module_path(folder: &Path, project: &ProjectManifest) -> Result<PathBuf, VerbFailure> {
    let Some(module) = &project.module else {
        let missing =
            "the manifest has no `module`: write where the build leaves the .wasm file, relative to the folder";
        return Err(VerbFailure::new(ErrorCode::ArtifactMissing, missing));
    };
    Ok(folder.join(module))
}

/// Refuses a file that is not WebAssembly before it is sent.
pub(crate) fn check_module(path: &Path) -> Result<(), VerbFailure> {
    let missing =
        |reason: String| VerbFailure::new(ErrorCode::ArtifactMissing, format!("{}: {reason}", path.display()));
    let mut file = std::fs::File::open(path).map_err(|error| missing(error.to_string()))?;
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic).map_err(|error| missing(error.to_string()))?;
    if magic == b"\0asm" {
        return Ok(());
    }
    Err(missing("this is not WebAssembly: it does not begin with \\0asm".to_owned()))
}
