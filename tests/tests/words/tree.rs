//! The files that are checked.

use std::fs;
use std::path::{Path, PathBuf};

use millstream_tests::root;

/// Not written by hand, or not here.
const SKIPPED: [&str; 4] = ["target", "node_modules", "build", ".cache"];

/// A file by its path in the project.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// Whether the file has tests only, or what only tests use.
    pub(crate) fn is_of_tests(&self) -> bool {
        let path = &self.path;
        path.starts_with("tests/")
            || path.contains("/tests/")
            || ["tests.rs", "testing.rs", "fuzzing.rs"].iter().any(|end| path.ends_with(end))
    }

    /// Whether the file is part of what users run or build upon.
    pub(crate) fn is_of_the_product(&self) -> bool {
        self.path.starts_with("host/src/") || self.path.starts_with("guest-sdk/")
    }
}

pub(crate) fn rust_files() -> Vec<SourceFile> {
    files(&["host", "guest-sdk", "tests", "examples"], "rs")
}

pub(crate) fn documents() -> Vec<SourceFile> {
    files(&["README.md", "CHANGELOG.md", "docs", "deploy", "examples", "wit"], "md")
}

fn files(places: &[&str], extension: &str) -> Vec<SourceFile> {
    let mut paths = Vec::new();
    for place in places {
        collect(&root().join(place), extension, &mut paths);
    }
    paths.sort();
    let read = |path: PathBuf| SourceFile {
        text: fs::read_to_string(&path).expect("text"),
        path: path.strip_prefix(root()).expect("in the project").to_string_lossy().into_owned(),
    };
    paths.into_iter().map(read).collect()
}

fn collect(path: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        if path.extension().is_some_and(|own| own == extension) {
            found.push(path.to_owned());
        }
        return;
    }
    for entry in fs::read_dir(path).expect("the folder exists") {
        let path = entry.expect("an entry").path();
        if !SKIPPED.iter().any(|name| path.ends_with(name)) {
            collect(&path, extension, found);
        }
    }
}
