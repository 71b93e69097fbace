//! The contents of a function's folder at one moment. Only a real change leads to a build: editors and builds touch more
//! files than they change.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::model::ids::ArtifactDigest;

/// Folders that builds and package managers fill.
const IGNORED: [&str; 5] = ["target", "build", "dist", "node_modules", "__pycache__"];
/// Larger files are compared by size and time.
const READ_UP_TO: u64 = 16 << 20;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FolderSnapshot {
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, FileContent>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FileContent {
    Read(ArtifactDigest),
    Seen(u64, Option<SystemTime>),
}

impl FolderSnapshot {
    /// The files below `folder`, but for `module` and what is ignored. A file that cannot be read counts as absent: the
    /// build reports why.
    pub(crate) fn of(folder: &Path, module: Option<&Path>) -> Self {
        let mut snapshot = Self::default();
        // Relative paths may name it in many ways.
        let module = module.and_then(|module| module.canonicalize().ok());
        snapshot.enter(folder, module.as_deref());
        snapshot
    }

    fn enter(&mut self, folder: &Path, module: Option<&Path>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        self.folders.push(folder.to_owned());
        for entry in entries.filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            // A link to a folder is not followed: links may form a circle.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !name.starts_with('.') && !IGNORED.contains(&&*name) {
                self.enter(&path, module);
            } else if !is_folder && !is_an_editors(&name) && !is_same(&path, module) {
                let content = fs::metadata(&path).ok().filter(Metadata::is_file).and_then(|file| read(&path, &file));
                self.files.extend(content.map(|content| (path, content)));
            }
        }
    }

    /// The folders, each of which is to be watched.
    pub(crate) fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// The files that differ in `newer`, or are in one of the two only.
    pub(crate) fn differences<'a>(&'a self, newer: &'a Self) -> Vec<&'a Path> {
        let gone_or_other = self.files.iter().filter(|(path, content)| newer.files.get(*path) != Some(content));
        let new = newer.files.keys().filter(|path| !self.files.contains_key(*path));
        gone_or_other.map(|(path, _)| path).chain(new).map(PathBuf::as_path).collect()
    }
}

fn read(path: &Path, file: &Metadata) -> Option<FileContent> {
    match file.len() {
        ..=READ_UP_TO => fs::read(path).ok().map(|bytes| FileContent::Read(ArtifactDigest::of(&bytes))),
        bytes => Some(FileContent::Seen(bytes, file.modified().ok())),
    }
}

/// What editors leave beside the file that they write.
fn is_an_editors(name: &str) -> bool {
    name.starts_with('.') || name.starts_with('#') || name.ends_with('~') || name.ends_with(".swp") || name == "4913"
}

fn is_same(path: &Path, module: Option<&Path>) -> bool {
    module.is_some_and(|module| path.canonicalize().is_ok_and(|path| path == module))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_build_reads_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("src/lib.rs", "one");
        write("f.wasm", "module");
        let module = root.join("src/../f.wasm");
        let now = || FolderSnapshot::of(root, Some(&module));
        let before = now();
        assert_eq!(before.folders().len(), 2);

        for built in ["target/x.wasm", "node_modules/a/b.js", ".git/index", "src/.lib.rs.swp", "src/lib.rs~", "f.wasm"]
        {
            write(built, "new");
        }
        write("src/lib.rs", "one");
        assert_eq!(before.differences(&now()), [""; 0].map(Path::new), "nothing of a build's input");

        write("src/lib.rs", "two");
        write("src/new/mod.rs", "");
        let after = now();
        let changed = before.differences(&after);
        assert_eq!(changed, [root.join("src/lib.rs"), root.join("src/new/mod.rs")]);
        fs::remove_file(root.join("src/lib.rs")).unwrap();
        assert_eq!(after.differences(&now()), [root.join("src/lib.rs")]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_empty() {
        assert_eq!(FolderSnapshot::of(Path::new("no/such/folder"), None), FolderSnapshot::default());
    }
}
