//! Wakes when something in a folder may have changed. Snapshots find out what it was.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio_util::sync::CancellationToken;

use crate::cli::failure::VerbFailure;
use crate::error_code::ErrorCode;

/// The quiet time after a change: editors and version control write many files one after another.
const QUIET_FOR: Duration = Duration::from_millis(150);
/// How often the watcher checks whether to stop.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

pub(crate) struct FolderWatcher {
    native: RecommendedWatcher,
    woken: Receiver<()>,
}

impl FolderWatcher {
    pub(crate) fn new() -> Result<Self, VerbFailure> {
        let (wake, woken) = channel();
        let heard = move |event: notify::Result<Event>| {
            // Reading the files, as snapshots do, changes nothing. What is lost may have been a change.
            if event.is_ok_and(|event| event.kind.is_access()) {
                return;
            }
            // The receiver may be gone.
            let _ = wake.send(());
        };
        let native = notify::recommended_watcher(heard).map_err(|error| failed(&error))?;
        Ok(Self { native, woken })
    }

    /// Watches `folders`, not what is below them. Watching one again costs nothing.
    pub(crate) fn follow(&mut self, folders: &[PathBuf]) -> Result<(), VerbFailure> {
        for folder in folders {
            match self.native.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                // It was deleted meanwhile, and its parent's watch reports that.
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound | notify::ErrorKind::Io(_)) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }

    /// Waits until something changed and was quiet again, or until `stop`.
    pub(crate) fn wait_for_a_change(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.woken.recv_timeout(LOOKS_EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOKS_EVERY),
                Ok(()) => {
                    while self.woken.recv_timeout(QUIET_FOR).is_ok() {}
                    return;
                }
            }
        }
    }
}

fn failed(error: &notify::Error) -> VerbFailure {
    VerbFailure::new(ErrorCode::Internal, format!("the folders cannot be watched: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_wakes_and_reading_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "one").unwrap();
        let mut watcher = FolderWatcher::new().unwrap();
        watcher.follow(&[folder.path().to_owned(), folder.path().join("gone")]).unwrap();
        std::fs::read(&file).unwrap();
        assert_eq!(watcher.woken.recv_timeout(Duration::from_millis(200)), Err(RecvTimeoutError::Timeout));
        std::fs::write(&file, "two").unwrap();
        watcher.wait_for_a_change(&CancellationToken::new());
        let stopped = CancellationToken::new();
        stopped.cancel();
        watcher.wait_for_a_change(&stopped);
    }
}
