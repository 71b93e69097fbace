//! The log on the data folder, for the embedded broker: a file for each function and one for each artifact.
//!
//! One host owns the folder. A record's file is replaced as a whole after its artifact is on the disk, so a crash
//! leaves either the old record or the new one; at worst an artifact stays that no one names, until it is stored again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::model::ids::ArtifactDigest;
use crate::registry::catalogue::{ArtifactPlace, FunctionCatalogue};
use crate::registry::catalogue_view::CatalogueWriter;
use crate::registry::durable_file;
use crate::registry::log::{FunctionChange, LogError, LogSession, RegistryLog};

/// A log on a folder.
#[derive(Clone)]
pub(crate) struct FolderLog {
    folders: Arc<LogFolders>,
    publication: Arc<CatalogueWriter>,
    writing: Arc<Mutex<()>>,
}

struct LogFolders {
    functions: PathBuf,
    artifacts: PathBuf,
}

impl FolderLog {
    /// Opens the log in `folder`, which is made if need be, and publishes what it holds.
    pub(crate) fn open(folder: &Path, publication: CatalogueWriter) -> io::Result<Self> {
        let folders = LogFolders { functions: folder.join("functions"), artifacts: folder.join("artifacts") };
        std::fs::create_dir_all(&folders.functions)?;
        std::fs::create_dir_all(&folders.artifacts)?;
        publication.publish(folders.read()?);
        Ok(Self { folders: Arc::new(folders), publication: Arc::new(publication), writing: Arc::default() })
    }
}

impl LogFolders {
    fn read(&self) -> io::Result<FunctionCatalogue> {
        let mut catalogue = FunctionCatalogue::default();
        for entry in std::fs::read_dir(&self.functions)? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().as_encoded_bytes();
            // Anything else is a temporary file that a crash left.
            if path.extension().is_some_and(|extension| extension == "json") {
                catalogue.apply(name, Some(&std::fs::read(&path)?));
            }
        }
        Ok(catalogue)
    }

    fn artifact(&self, digest: ArtifactDigest) -> PathBuf {
        self.artifacts.join(digest.hex())
    }

    fn make(&self, change: &FunctionChange) -> io::Result<()> {
        let path = self.functions.join(format!("{}.json", change.name));
        match &change.record {
            Some(record) => durable_file::write(&path, record)?,
            None => durable_file::remove(&path)?,
        }
        for digest in change.forgotten.keys() {
            durable_file::remove(&self.artifact(*digest))?;
        }
        Ok(())
    }
}

impl RegistryLog for FolderLog {
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn LogSession>, LogError>> {
        Box::pin(async {
            let exclusive = Arc::clone(&self.writing).lock_owned().await;
            let catalogue = FunctionCatalogue::clone(&self.publication.catalogue());
            let session = FolderSession { log: self.clone(), catalogue, _exclusive: exclusive };
            Ok(Box::new(session) as Box<dyn LogSession>)
        })
    }

    fn load(&self, digest: ArtifactDigest, _: ArtifactPlace) -> BoxFuture<'_, Result<Bytes, LogError>> {
        let path = self.folders.artifact(digest);
        Box::pin(async { blocking(move || Ok(std::fs::read(path)?.into())).await })
    }
}

struct FolderSession {
    log: FolderLog,
    catalogue: FunctionCatalogue,
    _exclusive: OwnedMutexGuard<()>,
}

impl LogSession for FolderSession {
    fn catalogue(&self) -> &FunctionCatalogue {
        &self.catalogue
    }

    fn store(&mut self, digest: ArtifactDigest, module: Bytes) -> BoxFuture<'_, Result<ArtifactPlace, LogError>> {
        let path = self.log.folders.artifact(digest);
        Box::pin(async {
            blocking(move || Ok(durable_file::write(&path, &module)?)).await?;
            Ok(ArtifactPlace::File)
        })
    }

    fn commit(mut self: Box<Self>, change: FunctionChange) -> BoxFuture<'static, Result<(), LogError>> {
        Box::pin(async move {
            // The session goes along: no one else may begin before the files are written.
            blocking(move || {
                self.log.folders.make(&change)?;
                self.catalogue.apply(change.name.as_str().as_bytes(), change.record.as_deref());
                self.log.publication.publish(std::mem::take(&mut self.catalogue));
                Ok(())
            })
            .await
        })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(LogError::Interrupted))
}
