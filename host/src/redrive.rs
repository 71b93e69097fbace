//! Dead letters: looked at, and handled again.
//!
//! A redrive runs the function on the record of a dead letter, in this process: writing it back to its topic would hit every
//! other group that reads it. What comes of it, or the dead letter that it becomes again, is written in one Kafka
//! transaction with a mark that says so; the marks are a compacted topic beside the registry. So a letter that was marked is
//! not handled again, a crash leaves nothing half done, and of two redrives of a function at once the later one shuts the
//! earlier one out. See docs/decisions/0006-redrive-runs-the-function.md.

mod browse;
mod cursor;
mod letter;
mod marks;
mod run;

use std::sync::Arc;

pub(crate) use browse::LetterPage;
pub(crate) use cursor::{RemainingRanges, UpperBounds};
pub(crate) use letter::DeadLetter;
pub(crate) use marks::RedriveMark;
pub(crate) use run::{LetterOutcome, LetterResult, LetterSelection, RecordOverride, RedrivePlan, RedriveReport};

use crate::kafka::admin::AdminError;
use crate::kafka::read::range::ReadError;
use crate::kafka::topic_log::TopicLogError;
use crate::pipeline::calls::NotCalled;
use crate::pipeline::supervisor::{FunctionDirectory, HostServices};
use marks::RedriveMarks;

/// Why dead letters could not be looked at or handled again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LettersError {
    /// Kafka did not do what it was asked.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// They could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was redriven could not be read or written; or another redrive of the function took over.
    #[error(transparent)]
    Log(#[from] TopicLogError),
    /// The function can't be called.
    #[error(transparent)]
    NotCalled(#[from] NotCalled),
    /// The revision can't be called.
    #[error("the revision cannot be started: {0}")]
    NotStarted(String),
    #[error("the host stopped before it was done")]
    Interrupted,
}

/// The dead letters of a host's functions. Clones share everything.
#[derive(Clone)]
pub(crate) struct DeadLetters(Arc<RedriveServices>);

struct RedriveServices {
    ground: HostServices,
    functions: FunctionDirectory,
    marks: RedriveMarks,
    /// Redrives of one host wait for one another instead of shutting one another out.
    turn: tokio::sync::Mutex<()>,
    /// What transactional ids start with.
    prefix: String,
}

impl DeadLetters {
    /// Dead letters of `functions`, which run on `ground`. Marks are in a topic whose name starts with `prefix`, with so
    /// many replicas.
    pub(crate) fn new(ground: HostServices, functions: FunctionDirectory, prefix: &str, replication: i32) -> Self {
        let environment = &ground.environment;
        let marks = RedriveMarks::new(environment.kafka.clone(), environment.admin.clone(), prefix, replication);
        let turn = tokio::sync::Mutex::default();
        Self(Arc::new(RedriveServices { ground, functions, marks, turn, prefix: prefix.to_owned() }))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LettersError> + Send + 'static,
) -> Result<T, LettersError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(LettersError::Interrupted))
}
