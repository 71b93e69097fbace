//! A shadow in the partitions that a host has, for as long as it has these and no others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;

use crate::config::offset_target::OffsetTarget;
use crate::inspect::compare::{ComparedOutcome, DryRun, DryRunner};
use crate::inspect::shadow::outputs::{CatchUp, OutputReader};
use crate::inspect::shadow::status::DifferingRecord;
use crate::inspect::shadow::task::{LOOK_EVERY, ShadowClients, ShadowError, ShadowTask};
use crate::kafka::read::range::{PartitionRange, ReadError};
use crate::model::clock::now_ms;
use crate::model::lease::PartitionLease;
use crate::model::position::TopicPartition;
use crate::model::record::PastRecord;
use crate::model::shadow::{ShadowBookmark, ShadowVerdict};

/// Records that are run one after another, before it is looked whether anything else is wanted.
const AT_ONCE: usize = 32;
/// Such runs side by side: guests that wait do not keep one another waiting.
const SIDE_BY_SIDE: usize = 8;
/// How often it is kept how far it is.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// Brokers forget offsets that are not committed again for long.
const KEEP_AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

pub(crate) struct ShadowRun<'a> {
    follower: &'a ShadowTask,
    tools: &'a ShadowClients,
    leases: Vec<Arc<PartitionLease>>,
    marks: BTreeMap<TopicPartition, ShadowBookmark>,
    /// What the live revision emitted; nothing where it is run again.
    outputs: Option<OutputReader>,
    /// What comes of records that were not handled by then is written later.
    since_ms: u64,
    kept: Instant,
    is_kept: bool,
}

impl<'a> ShadowRun<'a> {
    pub(crate) async fn begin(
        follower: &'a ShadowTask,
        tools: &'a ShadowClients,
        leases: Vec<Arc<PartitionLease>>,
    ) -> Result<Self, ShadowError> {
        let partitions: Vec<TopicPartition> = leases.iter().map(|lease| lease.partition.clone()).collect();
        let kept = tools.bookmarks.read(partitions.clone()).await?;
        let (mut marks, mut new) = (BTreeMap::new(), Vec::new());
        for (partition, kept) in partitions.into_iter().zip(kept) {
            match kept.and_then(|(offset, text)| ShadowBookmark::read(offset, &text)) {
                Some(bookmark) => {
                    marks.insert(partition, bookmark);
                }
                None => new.push(partition),
            }
        }
        // A partition that came after the shadow, whose records the live revision reads from the first on.
        let deployed_at_ms = follower.shadow.revision.deployed_at_ms;
        for place in follower.services.environment.admin.locate(new, OffsetTarget::Earliest).await? {
            let bookmark =
                ShadowBookmark { offset: place.offset, since_ms: deployed_at_ms, ..ShadowBookmark::default() };
            marks.insert(place.partition, bookmark);
        }
        let since_ms = marks.values().map(|bookmark| bookmark.since_ms).min().unwrap_or(deployed_at_ms);
        let outputs = match tools.again {
            Some(_) => None,
            None => Some(OutputReader::open(follower, since_ms).await?),
        };
        Ok(Self { follower, tools, leases, marks, outputs, since_ms, kept: Instant::now(), is_kept: true })
    }

    /// Follows until the host has other partitions.
    pub(crate) async fn run(mut self) -> Result<(), ShadowError> {
        while self.follower.has(&self.leases) {
            let parts = self.handled();
            if !parts.is_empty() {
                match self.catch_up().await? {
                    CatchUp::Up => self.compare(parts).await?,
                    CatchUp::TooMuch => self.skip().await?,
                }
                self.is_kept = false;
            }
            if !self.is_kept || self.kept.elapsed() >= KEEP_AGAIN_AFTER {
                self.keep().await?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// What the live revision has finished and committed, and the shadow has not run on.
    fn handled(&self) -> Vec<PartitionRange> {
        let part = |lease: &Arc<PartitionLease>| {
            let bookmark = self.marks.get(&lease.partition)?;
            Some((lease.partition.clone(), bookmark.offset..lease.committed())).filter(|(_, part)| !part.is_empty())
        };
        self.leases.iter().filter_map(part).collect()
    }

    /// Finds what the live revision emitted for all that it has handled.
    async fn catch_up(&mut self) -> Result<CatchUp, ShadowError> {
        let now = now_ms();
        let Some(outputs) = &mut self.outputs else { return Ok(CatchUp::Up) };
        let marks = &self.marks;
        let wanted = |topic: &str, partition: i32, offset: i64| {
            marks.get(&TopicPartition::new(topic, partition)).is_some_and(|bookmark| bookmark.offset <= offset)
        };
        let caught = outputs.catch_up(self.tools, self.since_ms, &wanted).await?;
        if caught == CatchUp::Up {
            self.since_ms = now;
        }
        Ok(caught)
    }

    /// Runs the shadow on `parts` and compares; not to their end when the host has other partitions.
    async fn compare(&mut self, parts: Vec<PartitionRange>) -> Result<(), ShadowError> {
        let tools = self.tools;
        let concurrency = self.follower.shadow.revision.manifest.concurrency;
        let portions = stream::unfold(tools.reader.read(parts.clone()), |mut portions| async move {
            let portion = portions.recv().await?;
            Some((portion, portions))
        });
        let runs = portions.flat_map(|portion| match portion {
            Ok(portion) => stream::iter(runs_of(portion).into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        });
        let (bench, again) = (tools.bench.clone(), tools.again.clone());
        let mut done = runs
            .map(move |run| run_both(bench.clone(), again.clone(), run))
            .buffered(concurrency.clamp(1, SIDE_BY_SIDE))
            .boxed();
        let ignore = self.follower.shadow.ignore.clone();
        while let Some(ran) = done.next().await {
            let PairedRun { run, shadow, live } = ran?;
            let mut live = live.map(Vec::into_iter);
            for (record, shadow) in run.into_iter().zip(shadow) {
                let live = match (&mut live, &mut self.outputs) {
                    (Some(live), _) => live.next().map(|ran| ran.side(&ignore)),
                    (None, Some(outputs)) => Some(outputs.emitted().remove(&record.partition, record.offset)),
                    (None, None) => None,
                };
                if let Some(live) = live {
                    self.note(record, live, shadow.side(&ignore));
                }
            }
            if self.kept.elapsed() >= KEEP_EVERY {
                self.keep().await?;
            }
            if !self.follower.has(&self.leases) {
                return Ok(());
            }
        }
        // What lies behind the last record is not a record: marks of transactions, or what was compacted.
        for (partition, part) in parts {
            self.marks.entry(partition).and_modify(|bookmark| bookmark.offset = bookmark.offset.max(part.end));
        }
        Ok(())
    }

    fn note(&mut self, record: PastRecord, live: ComparedOutcome, shadow: ComparedOutcome) {
        let verdict = judge(&live, &shadow);
        let PastRecord { partition, offset, key, .. } = record;
        if let Some(bookmark) = self.marks.get_mut(&partition) {
            bookmark.counts.count(verdict);
            bookmark.offset = bookmark.offset.max(offset + 1);
        }
        if verdict != ShadowVerdict::Same {
            self.follower.status.differs(DifferingRecord { partition, offset, key, verdict, live, shadow });
        }
    }

    /// Continues with the records that come from now on, as when it was deployed: it is too slow for this function.
    async fn skip(&mut self) -> Result<(), ShadowError> {
        let now = now_ms();
        if let Some(outputs) = &mut self.outputs {
            outputs.pass_over(self.tools).await?;
        }
        // In this order: what comes of records beyond the ends is written later.
        let ends = self.tools.reader.ends(self.marks.keys().cloned().collect()).await?;
        let mut skipped = 0;
        for (partition, bookmark) in &mut self.marks {
            let end = *ends.get(partition).ok_or_else(|| ShadowError::Untold(partition.clone()))?;
            let passed = u64::try_from(end - bookmark.offset).unwrap_or_default();
            bookmark.counts.skipped += passed;
            bookmark.offset = bookmark.offset.max(end);
            skipped += passed;
        }
        self.since_ms = now;
        let revision = &self.follower.shadow.revision;
        tracing::warn!(function = %revision.manifest.name, revision = %revision.number, skipped,
            "the shadow is too slow and passes over what it has not compared");
        Ok(())
    }

    /// Keeps how far it is, for the host that follows next.
    async fn keep(&mut self) -> Result<(), ShadowError> {
        let pending = self.outputs.as_mut().and_then(|outputs| outputs.emitted().earliest_ms());
        let pending = pending.and_then(|earliest| u64::try_from(earliest).ok()).unwrap_or(u64::MAX);
        let since_ms = self.since_ms.min(pending);
        let places = self.marks.iter_mut().map(|(partition, bookmark)| {
            bookmark.since_ms = since_ms;
            (partition.clone(), bookmark.offset, bookmark.text())
        });
        self.tools.bookmarks.write(places.collect()).await?;
        (self.kept, self.is_kept) = (Instant::now(), true);
        Ok(())
    }
}

/// A run of records, and what the shadow makes of them; and the live revision, where it is run again.
struct PairedRun {
    run: Vec<PastRecord>,
    shadow: Vec<DryRun>,
    live: Option<Vec<DryRun>>,
}

fn run_both(
    shadow: Arc<DryRunner>,
    live: Option<Arc<DryRunner>>,
    run: Result<Vec<PastRecord>, ReadError>,
) -> BoxFuture<'static, Result<PairedRun, ShadowError>> {
    Box::pin(async move {
        let run = run?;
        let shadow = shadow.run(&run).await;
        let live = match live {
            Some(live) => Some(live.run(&run).await),
            None => None,
        };
        Ok(PairedRun { run, shadow, live })
    })
}

fn runs_of(portion: Vec<PastRecord>) -> Vec<Vec<PastRecord>> {
    let mut runs = Vec::with_capacity(portion.len().div_ceil(AT_ONCE));
    let mut records = portion.into_iter().peekable();
    while records.peek().is_some() {
        runs.push(records.by_ref().take(AT_ONCE).collect());
    }
    runs
}

fn judge(live: &ComparedOutcome, shadow: &ComparedOutcome) -> ShadowVerdict {
    if live.is_same(shadow) {
        return ShadowVerdict::Same;
    }
    match (live.has_events(), shadow.has_events(), shadow) {
        (_, _, ComparedOutcome::GivenUp { .. }) => ShadowVerdict::ShadowFailed,
        (true, false, _) => ShadowVerdict::LiveOnly,
        (false, true, _) => ShadowVerdict::ShadowOnly,
        _ => ShadowVerdict::Differs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::compare::NormalizedEvent;

    #[test]
    fn each_difference_has_its_verdict() {
        let shape =
            |value: &str| NormalizedEvent::of(&"out".into(), None, Some(value.as_bytes()), std::iter::empty(), &[]);
        let emitted = |value: &str| ComparedOutcome::emitted(vec![shape(value)]);
        let given_up = |class: &str| ComparedOutcome::GivenUp { class: class.to_owned(), message: String::new() };
        let nothing = || ComparedOutcome::emitted(Vec::new());
        for (live, shadow, verdict) in [
            (emitted("a"), emitted("a"), ShadowVerdict::Same),
            (nothing(), ComparedOutcome::Filtered, ShadowVerdict::Same),
            (given_up("trap"), given_up("trap"), ShadowVerdict::Same),
            (emitted("a"), emitted("b"), ShadowVerdict::Differs),
            (given_up("trap"), nothing(), ShadowVerdict::Differs),
            (emitted("a"), nothing(), ShadowVerdict::LiveOnly),
            (emitted("a"), ComparedOutcome::Filtered, ShadowVerdict::LiveOnly),
            (nothing(), emitted("a"), ShadowVerdict::ShadowOnly),
            (given_up("trap"), emitted("a"), ShadowVerdict::ShadowOnly),
            (emitted("a"), given_up("trap"), ShadowVerdict::ShadowFailed),
            (given_up("reject"), given_up("trap"), ShadowVerdict::ShadowFailed),
        ] {
            assert_eq!(judge(&live, &shadow), verdict, "{live:?} {shadow:?}");
        }
    }

    #[test]
    fn runs_are_short_and_in_order() {
        let record = |offset| PastRecord {
            partition: TopicPartition::new("in", 0),
            offset,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let runs = runs_of((0..70).map(record).collect());
        assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [32, 32, 6]);
        let offsets: Vec<i64> = runs.into_iter().flatten().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..70).collect::<Vec<_>>());
    }
}
