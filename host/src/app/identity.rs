//! The host's identity: made once, kept in the data folder, and held by one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Letters and digits of a new identity: enough that no two hosts of a cluster ever have the same.
const LENGTH: usize = 12;

/// Why a host has no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// Another process has the folder.
    #[error("the data folder {0} is in use by another host; give each host its own MILLSTREAM_DATA_DIR")]
    InUse(PathBuf),
    /// The folder can't be used.
    #[error(
        "the data folder {folder} can't be used: {source}; set MILLSTREAM_DATA_DIR to one that this user may write to"
    )]
    Folder { folder: PathBuf, source: io::Error },
}

/// A host's identity. The data folder is this process's until it is dropped.
#[derive(Debug)]
pub(crate) struct HostIdentity {
    pub(crate) id: Arc<str>,
    lock: File,
}

impl HostIdentity {
    /// Takes the data folder, and reads its identity or makes one.
    pub(crate) fn take(folder: &Path) -> Result<Self, IdentityError> {
        let failed = |source| IdentityError::Folder { folder: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let path = folder.join("host.id");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(IdentityError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let known = text.trim();
        let id: Arc<str> = if is_identity(known) { known.into() } else { write_new(&mut file).map_err(failed)? };
        Ok(Self { id, lock: file })
    }
}

impl Drop for HostIdentity {
    /// A child that is being started holds what this process has open for a moment: closing alone would not let go.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::debug!(%error, "the data folder is let go when the process ends");
        }
    }
}

fn is_identity(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn write_new(file: &mut File) -> io::Result<Arc<str>> {
    let id: String = std::iter::repeat_with(|| fastrand::char('a'..='z')).take(LENGTH).collect();
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(id.as_bytes())?;
    file.sync_all()?;
    Ok(id.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_and_held_by_one_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = HostIdentity::take(folder.path()).expect("a new identity");
        let id = first.id.clone();
        assert!(matches!(HostIdentity::take(folder.path()), Err(IdentityError::InUse(_))));
        drop(first);
        assert_eq!(HostIdentity::take(folder.path()).expect("the same identity").id, id);
    }

    #[test]
    fn what_is_no_identity_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("host.id"), "../../etc").expect("written");
        assert!(is_identity(&HostIdentity::take(folder.path()).expect("an identity").id));
    }
}
