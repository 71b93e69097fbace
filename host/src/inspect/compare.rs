//! What revisions make of records, side by side: for replays, which look at the past, and for shadows, which follow the live
//! revision. Nothing here writes to a topic.

mod dry_runner;
mod emitted;
mod normalized_event;

pub(crate) use dry_runner::{DryOutcome, DryRun, DryRunner, NotStarted};
pub(crate) use emitted::EmittedIndex;
pub(crate) use normalized_event::{ComparedOutcome, NormalizedEvent};

use std::collections::BTreeSet;

use crate::model::function::{EventFormat, SharedRevision};

/// The topics that hold what these revisions emitted, and their dead letters. What is written raw does not say its cause.
pub(crate) fn written_by(revisions: &[SharedRevision]) -> BTreeSet<String> {
    let mut topics = BTreeSet::new();
    for manifest in revisions.iter().map(|revision| &revision.manifest) {
        topics.insert(manifest.dead_letter_topic.clone());
        let outputs = manifest.outputs.values().filter(|output| output.format != EventFormat::Raw);
        topics.extend(outputs.map(|output| output.topic.clone()));
    }
    topics
}
