//! Artifacts on this host's disk, by digest. Whatever is read is checked: a disk may lie, and the folder is the user's.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;

use crate::model::ids::ArtifactDigest;
use crate::registry::durable_file;

#[derive(Debug, Clone)]
pub(crate) struct ArtifactCache {
    folder: PathBuf,
}

impl ArtifactCache {
    /// A cache in `folder`, which is made if need be.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// The artifact, when it is here and whole.
    pub(crate) async fn get(&self, digest: ArtifactDigest) -> Option<Bytes> {
        let path = self.path(digest);
        let read = move || {
            let bytes = Bytes::from(std::fs::read(&path).ok()?);
            if ArtifactDigest::of(&bytes) == digest {
                return Some(bytes);
            }
            tracing::warn!(%digest, "the copy of an artifact in the data folder is damaged and will be fetched again");
            let _ = durable_file::remove(&path);
            None
        };
        tokio::task::spawn_blocking(read).await.ok().flatten()
    }

    /// Keeps a copy. Without one the artifact is fetched again, so a full disk is only reported.
    pub(crate) async fn put(&self, digest: ArtifactDigest, module: Bytes) {
        let path = self.path(digest);
        let write = move || if path.exists() { Ok(()) } else { durable_file::write(&path, &module) };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
            tracing::warn!(%digest, %error, "cannot keep a copy of an artifact in the data folder");
        }
    }

    /// Removes everything but the artifacts in `named`.
    pub(crate) async fn keep_only(&self, named: BTreeSet<ArtifactDigest>) {
        let folder = self.folder.clone();
        let prune = move || -> io::Result<()> {
            let kept: BTreeSet<_> = named.iter().map(|digest| std::ffi::OsString::from(digest.hex())).collect();
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if !kept.contains(&entry.file_name()) {
                    durable_file::remove(&entry.path())?;
                }
            }
            Ok(())
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(prune).await {
            tracing::warn!(%error, "cannot remove old artifacts from the data folder");
        }
    }

    fn path(&self, digest: ArtifactDigest) -> PathBuf {
        self.folder.join(digest.hex())
    }
}
