//! Exactly once: finished outcomes, their offsets and the out-of-order map are committed in one transaction.
//!
//! Outcomes wait in a queue; a transaction takes all of them, is carried out on a thread that may block, and meanwhile the
//! next ones gather. So a slow guest never holds a transaction open, and a commit waits for no lane. What a transaction
//! held is kept until it is known to be committed: after an abort the same outcomes go into the next one, in the same
//! order, and no guest runs again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use crate::commit::delivery::{Delivery, LeaseTrackers, count};
use crate::commit::refusal::{RejectHandler, RejectedMessage, amended};
use crate::commit::selection::{PendingOutcomes, ProgressByEpoch, select};
use crate::commit::tracker::{CommitPosition, ProgressTracker};
use crate::commit::transaction::{TransactionContent, TransactionOutcome, TransactionRunner};
use crate::flow::budget::{BudgetShare, ByteBudget};
use crate::kafka::group::generation::GroupGeneration;
use crate::model::lease::PartitionLease;
use crate::model::parcel::Parcel;
use crate::telemetry::function_metrics::FunctionMetrics;

/// So few outcomes do not wait for the commit interval while the lanes are idle: a commit costs as much as they do.
const FEW: usize = 1_000;

/// So many outcomes do not wait for the commit interval.
const MANY: usize = 50_000;

/// The wait before a transaction that failed is tried again: the first, doubled up to the longest.
const TRY_AGAIN_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What it is made with.
pub(crate) struct ExactlyOnceOptions {
    /// What finished outcomes may hold: when it is scarce, a commit makes room.
    pub(crate) pending: ByteBudget,
    /// Whether no record waits for a worker.
    pub(crate) is_idle: Box<dyn Fn() -> bool + Send + Sync>,
    pub(crate) refuse: RejectHandler,
    /// Receives what a person should know.
    pub(crate) trouble: Box<dyn Fn(String) + Send + Sync>,
    /// Where emissions, dead letters, commits and aborts are counted.
    pub(crate) metrics: Arc<FunctionMetrics>,
}

/// What happens over time.
pub(crate) enum TransactionEvent {
    /// The connection is there, or is not.
    Connected(Box<TransactionRunner>, Result<(), String>),
    Ended(Box<EndedTransaction>),
    /// It is time to try again.
    TryAgain,
}

pub(crate) struct EndedTransaction {
    transactor: TransactionRunner,
    transaction: RunningTransaction,
    outcome: TransactionOutcome,
}

/// A transaction, and where its partitions stand when it is committed.
struct RunningTransaction {
    content: TransactionContent,
    progress: ProgressByEpoch,
}

pub(crate) struct ExactlyOnce {
    options: ExactlyOnceOptions,
    queue: VecDeque<PendingOutcomes>,
    queued_records: usize,
    generation: Option<Arc<GroupGeneration>>,
    /// None while a thread has it.
    transactor: Option<TransactionRunner>,
    under_way: Option<JoinHandle<TransactionEvent>>,
    /// A transaction of which no one knows whether it was committed: nothing else is committed before that is settled.
    unsettled: Option<RunningTransaction>,
    not_before: Option<Instant>,
    wait: Duration,
    /// A commit was wanted while another was under way.
    is_wanted: bool,
}

impl ExactlyOnce {
    /// Connects at once, so that whatever an earlier process of the same id left open is settled early.
    pub(crate) fn new(options: ExactlyOnceOptions, transactor: TransactionRunner) -> Self {
        let mut delivery = Self {
            options,
            queue: VecDeque::new(),
            queued_records: 0,
            generation: None,
            transactor: None,
            under_way: None,
            unsettled: None,
            not_before: None,
            wait: TRY_AGAIN_AFTER.0,
            is_wanted: false,
        };
        delivery.connect(transactor);
        delivery
    }

    fn connect(&mut self, mut transactor: TransactionRunner) {
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            let connected = transactor.connect();
            TransactionEvent::Connected(Box::new(transactor), connected)
        }));
    }

    fn is_due(&self) -> bool {
        let records = self.queued_records;
        records >= MANY || self.options.pending.is_scarce() || (records <= FEW && (self.options.is_idle)())
    }

    /// Begins a transaction, when there is something to commit and nothing in the way.
    fn begin(&mut self, trackers: &LeaseTrackers) {
        self.is_wanted = true;
        if self.under_way.is_some() || self.not_before.is_some() {
            return;
        }
        let Some(transactor) = self.transactor.take() else { return };
        let transaction = match self.unsettled.take() {
            Some(unsettled) => Some(unsettled),
            None => self.fill(trackers),
        };
        match transaction {
            Some(transaction) => {
                self.under_way = Some(tokio::task::spawn_blocking(|| carry_out(transactor, transaction)))
            }
            None => self.transactor = Some(transactor),
        }
        self.is_wanted = false;
    }

    fn fill(&mut self, trackers: &LeaseTrackers) -> Option<RunningTransaction> {
        let generation = self.generation.clone().filter(|generation| generation.is_current())?;
        let alive = trackers.values().filter(|tracker| tracker.lease.is_alive());
        let mut progress: ProgressByEpoch =
            alive.map(|tracker| (tracker.lease.epoch, tracker.progress().clone())).collect();
        let pending = select(&mut self.queue, &mut progress);
        self.queued_records = self.queue.iter().map(|pending| pending.parcel.finished_records()).sum();
        let number = fastrand::u64(1..);
        let places: Vec<(Arc<PartitionLease>, CommitPosition)> = progress
            .iter()
            .filter_map(|(epoch, progress)| {
                let tracker = trackers.get(epoch)?;
                Some((tracker.lease.clone(), tracker.place(progress, number)?))
            })
            .collect();
        if places.is_empty() {
            debug_assert!(pending.is_empty(), "outcomes without a place");
            return None;
        }
        let content = TransactionContent { pending, places, generation, number, is_unsettled: false };
        Some(RunningTransaction { content, progress })
    }

    fn ended(&mut self, ended: EndedTransaction, trackers: &mut LeaseTrackers) {
        let EndedTransaction { transactor, transaction, outcome } = ended;
        self.transactor = Some(transactor);
        match outcome {
            TransactionOutcome::Committed => self.committed(transaction, trackers),
            TransactionOutcome::Refused(refused) => {
                let mut transaction = transaction;
                let amended = self.amend(&mut transaction.content.pending, refused);
                self.queue_again(transaction);
                if !amended {
                    self.pause("Kafka refuses a dead letter that only refers to its record".to_owned());
                }
            }
            TransactionOutcome::Overtaken | TransactionOutcome::BatchRefused => self.queue_again(transaction),
            TransactionOutcome::Aborted(reason) => {
                self.queue_again(transaction);
                self.pause(reason);
            }
            TransactionOutcome::Unknown(reason) => {
                self.unsettled = Some(transaction);
                self.pause(reason);
            }
        }
    }

    fn committed(&mut self, transaction: RunningTransaction, trackers: &mut LeaseTrackers) {
        let RunningTransaction { content, mut progress } = transaction;
        self.wait = TRY_AGAIN_AFTER.0;
        self.options.metrics.commits.inc();
        for pending in content.pending {
            count(&self.options.metrics, &pending.parcel, std::iter::empty());
            for run in pending.parcel.runs {
                if let Some(tracker) = trackers.get_mut(&run.lease.epoch) {
                    tracker.outstanding -= 1;
                    tracker.acknowledge(run.offsets);
                }
            }
        }
        for (lease, _) in content.places {
            if let (Some(tracker), Some(progress)) = (trackers.get_mut(&lease.epoch), progress.remove(&lease.epoch)) {
                tracker.committed(progress);
            }
        }
    }

    /// Puts dead letters in the place of refused records. Returns whether anything changed.
    fn amend(
        &self,
        pending: &mut [PendingOutcomes],
        refused: Vec<(usize, u32, crate::kafka::produce::producer::DeliveryError)>,
    ) -> bool {
        let mut by_outcome: Vec<Vec<RejectedMessage>> = Vec::new();
        by_outcome.resize_with(pending.len(), Vec::new);
        for (outcome, message, undelivered) in refused {
            by_outcome[outcome].push((message, undelivered));
        }
        let mut changed = false;
        for (pending, refused) in pending.iter_mut().zip(by_outcome).filter(|(_, refused)| !refused.is_empty()) {
            changed |= amended(&self.options.refuse, &mut pending.parcel, &refused);
        }
        changed
    }

    fn queue_again(&mut self, transaction: RunningTransaction) {
        self.options.metrics.aborts.inc();
        for pending in transaction.content.pending.into_iter().rev() {
            self.queued_records += pending.parcel.finished_records();
            self.queue.push_front(pending);
        }
        self.is_wanted = true;
    }

    fn pause(&mut self, reason: String) {
        tracing::warn!(%reason, "a transaction did not go through; it is tried again");
        (self.options.trouble)(reason);
        self.not_before = Some(Instant::now() + self.wait);
        self.wait = (self.wait * 2).min(TRY_AGAIN_AFTER.1);
        self.is_wanted = true;
    }
}

impl Delivery for ExactlyOnce {
    type Event = TransactionEvent;

    async fn publish(&mut self, parcel: Parcel, share: BudgetShare, trackers: &mut LeaseTrackers) {
        self.queued_records += parcel.finished_records();
        self.queue.push_back(PendingOutcomes { parcel, share });
        if self.is_due() {
            self.begin(trackers);
        }
    }

    async fn next(&mut self) -> TransactionEvent {
        if let Some(under_way) = &mut self.under_way {
            match under_way.await.map_err(JoinError::try_into_panic) {
                Ok(event) => return event,
                // A defect of the host, which took the outcomes with it: the committer ends too, and its shard is started
                // again.
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                // The process ends.
                Err(Err(_)) => std::future::pending().await,
            }
        }
        match self.not_before {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        TransactionEvent::TryAgain
    }

    async fn heed(&mut self, event: TransactionEvent, trackers: &mut LeaseTrackers) {
        match event {
            TransactionEvent::Connected(transactor, Ok(())) => {
                self.under_way = None;
                self.transactor = Some(*transactor);
            }
            TransactionEvent::Connected(transactor, Err(reason)) => {
                self.under_way = None;
                self.transactor = Some(*transactor);
                self.pause(reason);
            }
            TransactionEvent::Ended(ended) => {
                self.under_way = None;
                self.ended(*ended, trackers);
            }
            TransactionEvent::TryAgain => self.not_before = None,
        }
        if self.is_wanted || self.is_due() {
            self.begin(trackers);
        }
    }

    fn commit(&mut self, trackers: &mut LeaseTrackers) {
        self.begin(trackers);
    }

    fn is_settled(&self, tracker: &ProgressTracker) -> bool {
        tracker.outstanding == 0 && !tracker.is_uncommitted()
    }

    /// What is not committed by now is dropped with its lease, and runs elsewhere.
    async fn release(&mut self, _: Vec<ProgressTracker>) {}

    fn follow(&mut self, generation: Option<Arc<GroupGeneration>>) {
        self.generation = generation;
    }
}

fn carry_out(mut transactor: TransactionRunner, mut transaction: RunningTransaction) -> TransactionEvent {
    let outcome = transactor.carry_out(&mut transaction.content);
    TransactionEvent::Ended(Box::new(EndedTransaction { transactor, transaction, outcome }))
}
