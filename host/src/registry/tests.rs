//! The registry on a folder, with a cluster that only remembers what it was asked.
use crate::model::function::{Revision, Shape};
use crate::model::ids::{Digest, RevisionNumber};

/// A revision of a function.
pub(super) fn revision(name: &str, number: u64, module: &[u8]) -> Revision {
    let manifest = crate::config::manifest::from_toml(&format!("name = \"{name}\"\ntopics = [\"in\"]\n")).unwrap();
    Revision {
        number: RevisionNumber(number),
        digest: Digest::of(module),
        module_bytes: module.len() as u64,
        shape: Shape::MillstreamBatch,
        manifest,
        deployed_at_ms: 0,
    }
}
