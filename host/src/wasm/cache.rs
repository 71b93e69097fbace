//! Compiled code on disk, by the digest of its module and the settings of the engine.
//!
//! Invariants: only this host's compiler writes into the folder, which is private to its user; a file is complete or
//! not there; code whose checksum does not fit is compiled again, never loaded.

mod trusted;

use std::fs::{self, DirBuilder, File, Permissions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::model::ids::ArtifactDigest;
use crate::wasm::compile::{self, CompiledCode};
use crate::wasm::shape::BinaryForm;

/// Why compiled code cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path:?}, the folder of compiled code: {error}")]
pub(crate) struct CacheError {
    what: &'static str,
    path: PathBuf,
    error: io::Error,
}

/// Why the engine does not load compiled code that is whole.
#[derive(Debug)]
pub(crate) struct EngineRefusal(pub(crate) String);

pub(crate) struct CodeCache {
    folder: PathBuf,
    /// What the code depends on beside the module.
    settings: String,
}

impl CodeCache {
    /// Opens `folder`, makes it private, and removes code of other settings.
    pub(crate) fn open(folder: &Path, engine: &wasmtime::Engine) -> Result<Self, CacheError> {
        let failed = |what| move |error| CacheError { what, path: folder.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create"))?;
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed("make private"))?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        compile::FINGERPRINT.hash(&mut hasher);
        let cache = Self { folder: folder.to_owned(), settings: format!("{:016x}", hasher.finish()) };
        cache.remove_others().map_err(failed("clean"))?;
        Ok(cache)
    }

    /// The compiled code of the module with this digest, if it is there and whole. The error is the engine's reason not to
    /// load it: a limit that compiling did not look at, or code of another engine.
    pub(crate) fn get(
        &self,
        engine: &wasmtime::Engine,
        digest: &ArtifactDigest,
        form: BinaryForm,
    ) -> Result<Option<CompiledCode>, EngineRefusal> {
        let (code, sum) = self.paths(digest);
        let (Ok(expected), Ok(found)) = (fs::read_to_string(&sum), checksum(&code)) else { return Ok(None) };
        if expected.trim() != found {
            tracing::warn!(file = %code.display(), "compiled code does not fit its checksum: compiling again");
            return Ok(None);
        }
        trusted::load(engine, &code, form).map(Some).map_err(|error| EngineRefusal(format!("{error:#}")))
    }

    /// A file for the compiler to write to.
    pub(crate) fn new_file(&self) -> Result<NamedTempFile, CacheError> {
        NamedTempFile::new_in(&self.folder).map_err(|error| self.failed("write to", error))
    }

    /// Keeps what the compiler wrote.
    pub(crate) fn keep(&self, digest: &ArtifactDigest, compiled: NamedTempFile) -> Result<(), CacheError> {
        let (code, sum) = self.paths(digest);
        let kept = || {
            let mut sum_file = NamedTempFile::new_in(&self.folder)?;
            io::Write::write_all(&mut sum_file, checksum(compiled.path())?.as_bytes())?;
            // Whatever is torn by a crash between the two, sum and code do not fit.
            sum_file.persist(&sum)?;
            compiled.persist(&code)?;
            io::Result::Ok(())
        };
        kept().map_err(|error| self.failed("write to", error))
    }

    /// Removes the compiled code of the module with this digest, if it is there.
    pub(crate) fn remove(&self, digest: &ArtifactDigest) -> Result<(), CacheError> {
        let (code, sum) = self.paths(digest);
        for path in [sum, code] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.failed("clean", error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn paths(&self, digest: &ArtifactDigest) -> (PathBuf, PathBuf) {
        let stem = format!("{}-{}", digest.hex(), self.settings);
        (self.folder.join(format!("{stem}.cwasm")), self.folder.join(format!("{stem}.sha256")))
    }

    fn remove_others(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let is_ours = entry.path().file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(&self.settings));
            if !is_ours && entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn failed(&self, what: &'static str, error: io::Error) -> CacheError {
        CacheError { what, path: self.folder.clone(), error }
    }
}

fn checksum(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::function::ModuleShape;
    use crate::wasm::config;

    const FORM: BinaryForm = BinaryForm::Component(ModuleShape::MillstreamBatch);

    fn engine() -> wasmtime::Engine {
        wasmtime::Engine::new(&config::code_settings()).expect("settings")
    }

    fn kept(cache: &CodeCache, engine: &wasmtime::Engine) -> ArtifactDigest {
        let module = wat::parse_str("(component)").expect("valid text");
        let file = cache.new_file().expect("a file");
        fs::write(file.path(), engine.precompile_component(&module).expect("compiled")).expect("written");
        let digest = ArtifactDigest::of(&module);
        cache.keep(&digest, file).expect("kept");
        digest
    }

    #[test]
    fn what_is_kept_is_found_by_the_same_engine() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = engine();
        let cache = CodeCache::open(folder.path(), &engine).expect("opened");
        let digest = kept(&cache, &engine);
        assert!(matches!(cache.get(&engine, &digest, FORM), Ok(Some(_))));
        assert!(matches!(cache.get(&engine, &ArtifactDigest::of(b"other"), FORM), Ok(None)));
        let again = CodeCache::open(folder.path(), &engine).expect("opened");
        assert!(matches!(again.get(&engine, &digest, FORM), Ok(Some(_))));
        for _ in 0..2 {
            again.remove(&digest).expect("removed");
            assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
        }
        let mode = fs::metadata(folder.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn altered_or_torn_code_is_not_loaded() {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = engine();
        let cache = CodeCache::open(folder.path(), &engine).expect("opened");
        let digest = kept(&cache, &engine);
        let (code, sum) = cache.paths(&digest);
        let mut bytes = fs::read(&code).expect("there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&code, &bytes).expect("written");
        assert!(matches!(cache.get(&engine, &digest, FORM), Ok(None)));
        bytes[middle] ^= 1;
        fs::write(&code, &bytes[..middle]).expect("written");
        assert!(matches!(cache.get(&engine, &digest, FORM), Ok(None)));
        fs::write(&code, &bytes).expect("written");
        assert!(matches!(cache.get(&engine, &digest, FORM), Ok(Some(_))));
        fs::remove_file(sum).expect("removed");
        assert!(matches!(cache.get(&engine, &digest, FORM), Ok(None)));
    }

    #[test]
    fn the_child_and_the_host_agree_on_the_settings() {
        let folder = tempfile::tempdir().expect("a folder");
        let host = wasmtime::Engine::new(&config::host_settings(8)).expect("settings");
        let of_child = CodeCache::open(folder.path(), &engine()).expect("opened").settings;
        assert_eq!(CodeCache::open(folder.path(), &host).expect("opened").settings, of_child);
    }
}
