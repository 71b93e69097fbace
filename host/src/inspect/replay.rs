//! Runs a revision over a topic's past and says, record by record, where it differs from what was emitted then, or from
//! what the live revision emits now. Nothing of it touches the function's group: the past is read without one.
//!
//! ```text
//!  topic ─► range::read ─► portions ≤ 500 records ─► decode, filter, call, encode ─► compare ─► differences, a tally
//!                          some of them side by side                        └─► scratch topic
//! ```

mod expected;
mod recorded;
mod scratch;

use std::collections::BTreeMap;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::config::offset_target::OffsetTarget;
use crate::execute::work::WorkOrigin;
pub(crate) use crate::inspect::compare::{ComparedOutcome, NormalizedEvent};
use crate::inspect::compare::{DryOutcome, DryRunner, NotStarted};
use crate::kafka::admin::{AdminError, PartitionBounds};
use crate::kafka::produce::publisher::HostPublisher;
use crate::kafka::read::range::{self, PartitionRange, ReadError};
use crate::model::function::SharedRevision;
use crate::model::position::TopicPartition;
use crate::model::record::PastRecord;
use crate::pipeline::supervisor::HostServices;
use expected::ExpectedOutcome;
use scratch::ScratchTopic;

/// Replays of a host at once.
const AT_ONCE: usize = 2;
/// Portions that are worked on at once.
const MOST_SIDE_BY_SIDE: usize = 4;
/// Events that the caller has not taken yet.
const NEWS: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct ReplayPlan {
    /// The revision that is run.
    pub(crate) revision: SharedRevision,
    /// With what it is compared.
    pub(crate) against: ReplayBaseline,
    pub(crate) topic: String,
    pub(crate) partition: Option<i32>,
    pub(crate) from: OffsetTarget,
    /// Where to end: the record there is not run.
    pub(crate) to: OffsetTarget,
    /// A topic to which all that is emitted is written.
    pub(crate) output: Option<String>,
    /// Attributes and headers in which a difference does not count.
    pub(crate) ignore: Vec<String>,
    pub(crate) most_records: u64,
    /// The most differences that are shown; the others are only counted.
    pub(crate) most_shown: u64,
}

/// With what a replay is compared.
#[derive(Debug, Clone)]
pub(crate) enum ReplayBaseline {
    /// With what the function emitted then, as its output topics have it; by these revisions.
    Recorded(Vec<SharedRevision>),
    /// With what this revision emits now.
    Live(SharedRevision),
    /// With nothing: the tally is all there is.
    Nothing,
}

#[derive(Debug)]
pub(crate) enum ReplayEvent {
    Began {
        parts: BTreeMap<i32, Range<i64>>,
        /// Offsets in all of them.
        offsets: u64,
    },
    Progress(ReplayTally),
    /// A record with which it makes a difference.
    Difference(Box<ReplayDifference>),
    Ended(ReplayTally),
    Failed(ReplayError),
}

/// What was counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ReplayTally {
    pub(crate) records: u64,
    /// Of these, such as a filter keeps away.
    pub(crate) filtered: u64,
    /// Of these, such as a host would dead-letter.
    pub(crate) given_up: u64,
    pub(crate) emitted: u64,
    /// Records with which it makes no difference.
    pub(crate) same: u64,
    /// Records with which it makes one.
    pub(crate) different: u64,
    /// Records that were not compared, because the function has not handled them yet.
    pub(crate) not_handled: u64,
    /// Events that were written to the scratch topic.
    pub(crate) written: u64,
}

/// A record with which it makes a difference.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReplayDifference {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    /// What came of it then, or comes of it by the live revision.
    pub(crate) expected: ComparedOutcome,
    /// What comes of it now.
    pub(crate) got: ComparedOutcome,
}

/// Why there is no replay, or why it ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// It can't be done so.
    #[error("{0}")]
    Refused(String),
    /// As many are under way as the host allows.
    #[error("{AT_ONCE} replays are under way on this host")]
    Busy,
    /// Kafka did not do what it was asked.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The past could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A revision can't be called.
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
    /// The scratch topic takes no more.
    #[error("the scratch topic \"{0}\" does not take what is emitted: {1}")]
    NotWritten(String, String),
    #[error("the host stopped before the replay was over")]
    Interrupted,
}

/// Replays of a host's functions. Clones share everything.
#[derive(Clone)]
pub(crate) struct ReplayService {
    ground: HostServices,
    publisher: HostPublisher,
    places: Arc<Semaphore>,
}

impl ReplayService {
    /// Replays on `ground`; `publisher` writes to scratch topics.
    pub(crate) fn new(ground: HostServices, publisher: HostPublisher) -> Self {
        Self { ground, publisher, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Begins a replay. It runs as long as the caller takes its events.
    pub(crate) async fn begin(&self, order: ReplayPlan) -> Result<mpsc::Receiver<ReplayEvent>, ReplayError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| ReplayError::Busy)?;
        let places = self.locate(&order).await?;
        let parts: Vec<PartitionRange> =
            places.iter().map(|(place, end)| (place.partition.clone(), place.offset..*end)).collect();
        let offsets: u64 = parts.iter().map(|(_, part)| (part.end - part.start).max(0) as u64).sum();
        if offsets > order.most_records {
            return Err(ReplayError::Refused(format!(
                "there are {offsets} offsets from there to there, and {} are the most: choose a shorter range, or raise \
                 the limit",
                order.most_records
            )));
        }
        let (tell, news) = mpsc::channel(NEWS);
        let this = self.clone();
        tokio::spawn(async move {
            let result = this.work(order, parts, offsets, &tell, place).await;
            let last = match result {
                Ok(Some(tally)) => ReplayEvent::Ended(tally),
                // The caller is gone.
                Ok(None) => return,
                Err(error) => ReplayEvent::Failed(error),
            };
            let _ = tell.send(last).await;
        });
        Ok(news)
    }

    /// Where each partition begins and ends.
    async fn locate(&self, order: &ReplayPlan) -> Result<Vec<(PartitionBounds, i64)>, ReplayError> {
        let admin = &self.ground.environment.admin;
        let mut partitions = admin.partitions_of(vec![order.topic.clone()]).await?;
        if let Some(number) = order.partition {
            partitions.retain(|partition| partition.partition == number);
            if partitions.is_empty() {
                return Err(ReplayError::Refused(format!("topic \"{}\" has no partition {number}", order.topic)));
            }
        }
        let starts = admin.locate(partitions.clone(), order.from).await?;
        let ends = admin.locate(partitions, order.to).await?;
        if starts.iter().zip(&ends).all(|(start, end)| start.offset > end.offset) && !starts.is_empty() {
            return Err(ReplayError::Refused("it ends before it begins: look at from and to".to_owned()));
        }
        Ok(starts.into_iter().zip(ends).map(|(start, end)| (start, end.offset)).collect())
    }

    /// Gives the last tally; none when the caller is gone.
    async fn work(
        &self,
        order: ReplayPlan,
        parts: Vec<PartitionRange>,
        offsets: u64,
        tell: &mpsc::Sender<ReplayEvent>,
        _place: OwnedSemaphorePermit,
    ) -> Result<Option<ReplayTally>, ReplayError> {
        let shown = parts.iter().map(|(partition, part)| (partition.partition, part.clone())).collect();
        if tell.send(ReplayEvent::Began { parts: shown, offsets }).await.is_err() {
            return Ok(None);
        }
        let bench = DryRunner::set(&self.ground, &order.revision, WorkOrigin::Replay).await?;
        let expected = tokio::select! {
            expected = ExpectedOutcome::gather(&self.ground, &order, &parts) => expected?,
            () = tell.closed() => return Ok(None),
        };
        let worker = Arc::new(ReplayWorker {
            scratch: ScratchTopic::open(&self.ground, &self.publisher, &order).await?,
            ignore: order.ignore.clone(),
            bench,
            expected,
        });
        let side_by_side = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MOST_SIDE_BY_SIDE)
            .min(order.revision.manifest.concurrency.max(1));
        let portions = stream::unfold(range::read(&self.ground.environment.kafka, parts), |mut portions| async move {
            let portion = portions.recv().await?;
            Some((portion, portions))
        });
        let done = portions
            .map(|portion| {
                let worker = worker.clone();
                async move {
                    let portion = portion?;
                    // On threads of its own, and to its end if the caller is gone: it is short.
                    let ran = tokio::spawn(async move { worker.handle(portion).await });
                    ran.await.unwrap_or(Err(ReplayError::Interrupted))
                }
            })
            .buffered(side_by_side);
        let mut done = pin!(done);
        let (mut tally, mut shown) = (ReplayTally::default(), 0);
        while let Some(seen) = done.next().await {
            let PortionResult { tally: more, differences } = seen?;
            tally.add(&more);
            for difference in differences {
                shown += 1;
                if shown <= order.most_shown && tell.send(ReplayEvent::Difference(Box::new(difference))).await.is_err()
                {
                    return Ok(None);
                }
            }
            if tell.send(ReplayEvent::Progress(tally)).await.is_err() {
                return Ok(None);
            }
        }
        Ok(Some(tally))
    }
}

struct ReplayWorker {
    bench: DryRunner,
    expected: ExpectedOutcome,
    scratch: Option<ScratchTopic>,
    ignore: Vec<String>,
}

/// What a portion led to.
struct PortionResult {
    tally: ReplayTally,
    differences: Vec<ReplayDifference>,
}

impl ReplayWorker {
    async fn handle(&self, portion: Vec<PastRecord>) -> Result<PortionResult, ReplayError> {
        let got = self.bench.run(&portion).await;
        let mut tally = ReplayTally { records: portion.len() as u64, ..ReplayTally::default() };
        for ran in &got {
            match &ran.side {
                DryOutcome::Filtered => tally.filtered += 1,
                DryOutcome::GivenUp(_) => tally.given_up += 1,
                DryOutcome::Emitted => tally.emitted += ran.parcel.messages.len() as u64,
            }
        }
        if let Some(scratch) = &self.scratch {
            tally.written = scratch.write(&got).await?;
        }
        let sides: Vec<ComparedOutcome> = got.iter().map(|ran| ran.side(&self.ignore)).collect();
        let expected = self.expected.of(&portion, &self.ignore).await;
        let mut differences = Vec::new();
        for ((record, got), expected) in portion.into_iter().zip(sides).zip(expected) {
            match expected {
                None => tally.not_handled += u64::from(self.expected.compares()),
                Some(expected) if expected.is_same(&got) => tally.same += 1,
                Some(expected) => {
                    tally.different += 1;
                    let PastRecord { partition: TopicPartition { partition, .. }, offset, key, .. } = record;
                    differences.push(ReplayDifference { partition, offset, key, expected, got });
                }
            }
        }
        Ok(PortionResult { tally, differences })
    }
}

impl ReplayTally {
    fn add(&mut self, more: &Self) {
        self.records += more.records;
        self.filtered += more.filtered;
        self.given_up += more.given_up;
        self.emitted += more.emitted;
        self.same += more.same;
        self.different += more.different;
        self.not_handled += more.not_handled;
        self.written += more.written;
    }
}
