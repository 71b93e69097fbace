//! One transaction, from begin to commit, on a thread that may block. Guests never run here: a transaction holds finished
//! outcomes only, so it is short, and one that fails is carried out again with the same outcomes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::commit::producer_pair::ProducerPair;
use crate::commit::selection::PendingOutcomes;
use crate::commit::tracker::CommitPosition;
use crate::failpoint;
use crate::kafka::group::consumer::GroupConsumer;
use crate::kafka::group::generation::GroupGeneration;
use crate::kafka::produce::producer::{DeliveryError, MessageBatching};
use crate::kafka::produce::transaction::{StepFailure, TopicSettings, TransactionalProducer};
use crate::kafka::settings::ClientSettings;
use crate::model::lease::PartitionLease;
use crate::model::offset_map;

#[derive(Debug)]
pub(crate) struct TransactionContent {
    /// Outcomes, in the order in which they are written.
    pub(crate) pending: Vec<PendingOutcomes>,
    /// Where each partition stands once it is committed. Each map carries [`Self::number`].
    pub(crate) places: Vec<(Arc<PartitionLease>, CommitPosition)>,
    /// As whom the host commits.
    pub(crate) generation: Arc<GroupGeneration>,
    /// Drawn at random, so that no other transaction of any host has it.
    pub(crate) number: u64,
    /// Whether no one knows if it was committed.
    pub(crate) is_unsettled: bool,
}

/// What became of a transaction.
#[derive(Debug)]
pub(crate) enum TransactionOutcome {
    /// It is committed, all of it.
    Committed,
    /// Kafka refuses messages, by outcome and message; nothing of it is visible.
    Refused(Vec<(usize, u32, DeliveryError)>),
    /// Kafka refuses a batch of messages that it may take one by one, as they will be sent next; nothing is visible.
    BatchRefused,
    /// Nothing of it is visible, because the group changed.
    Overtaken,
    /// Nothing of it is visible.
    Aborted(String),
    /// No one knows. Carrying it out again settles that first.
    Unknown(String),
}

/// Carries out the transactions of one shard, one after another.
#[derive(Debug)]
pub(crate) struct TransactionRunner {
    turns: ProducerPair,
    consumer: Arc<GroupConsumer>,
    /// Since when a topic refuses batches: for a while messages are sent one a batch.
    alone_since: Option<Instant>,
}

/// How long messages are sent one a batch after a batch was refused.
const ALONE_FOR: Duration = Duration::from_secs(60);

impl TransactionRunner {
    /// A transactor of the transactional id `id`. Connects when it is first needed.
    pub(crate) fn new(
        settings: ClientSettings,
        id: String,
        topics: TopicSettings,
        consumer: Arc<GroupConsumer>,
    ) -> Self {
        Self { turns: ProducerPair::new(settings, id, topics), consumer, alone_since: None }
    }

    /// Settles what an earlier process of the same id left open: until then no one can read where to start. Blocks.
    pub(crate) fn connect(&mut self) -> Result<(), String> {
        self.turns.settle()
    }

    /// Carries out `content`. Blocks, up to half a minute when Kafka does not answer.
    pub(crate) fn carry_out(&mut self, content: &mut TransactionContent) -> TransactionOutcome {
        if content.is_unsettled {
            return self.settle(content);
        }
        if self.alone_since.is_some_and(|since| since.elapsed() > ALONE_FOR) {
            self.alone_since = None;
            self.turns.batch(MessageBatching::Together);
        }
        let producer = match self.turns.producer() {
            Ok(producer) => producer,
            Err(reason) => return TransactionOutcome::Aborted(reason),
        };
        if let Some(renewed) = self.consumer.renewed(&content.generation) {
            content.generation = renewed;
        }
        let Err(FailedTransaction { outcome, producer: state }) = write_and_commit(producer, content) else {
            self.turns.committed();
            return TransactionOutcome::Committed;
        };
        match (state == ProducerFate::MustAbort).then(|| producer.abort()) {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(id = self.turns.id(), %error, "a transaction was not aborted in order");
                self.turns.replace();
            }
            None => self.turns.replace(),
        }
        if matches!(outcome, TransactionOutcome::BatchRefused) {
            self.alone_since = Some(Instant::now());
            self.turns.batch(MessageBatching::Alone);
        }
        content.is_unsettled = matches!(outcome, TransactionOutcome::Unknown(_));
        outcome
    }

    /// A new producer of the same id makes Kafka finish or abort what the last one left; then the offsets say which.
    fn settle(&mut self, content: &mut TransactionContent) -> TransactionOutcome {
        self.turns.replace();
        if let Err(reason) = self.turns.producer() {
            return TransactionOutcome::Unknown(reason);
        }
        let leased: Vec<_> = content
            .places
            .iter()
            .filter(|(lease, _)| lease.is_alive())
            .map(|(lease, _)| lease.partition.clone())
            .collect();
        let committed = match self.consumer.committed(&leased) {
            Ok(committed) => committed,
            Err(error) => return TransactionOutcome::Unknown(error.to_string()),
        };
        // While the lease lives no one else commits for the partition: the number is there, or it was never committed.
        let is_ours =
            |metadata: &str| offset_map::decode(metadata, 0).is_ok_and(|told| told.transaction == content.number);
        let happened = committed.iter().any(|committed| is_ours(&committed.metadata));
        tracing::info!(id = self.turns.id(), happened, "a commit of unknown outcome is settled");
        content.is_unsettled = false;
        match happened {
            true => TransactionOutcome::Committed,
            false => TransactionOutcome::Aborted("its commit did not happen".to_owned()),
        }
    }
}

/// A transaction that did not go through.
struct FailedTransaction {
    outcome: TransactionOutcome,
    producer: ProducerFate,
}

/// What must become of the producer.
#[derive(PartialEq, Eq)]
enum ProducerFate {
    MustAbort,
    MustGo,
}

impl FailedTransaction {
    fn abort(outcome: TransactionOutcome) -> Self {
        Self { outcome, producer: ProducerFate::MustAbort }
    }

    /// A step before the commit failed: nothing can be visible.
    fn before_commit(step: &'static str) -> impl Fn(StepFailure) -> Self {
        move |failure| {
            let outcome = TransactionOutcome::Aborted(format!("{step}: {failure}"));
            match failure {
                StepFailure::Abort(_) => Self { outcome, producer: ProducerFate::MustAbort },
                StepFailure::Replace(_) => Self { outcome, producer: ProducerFate::MustGo },
            }
        }
    }

    fn in_commit(failure: StepFailure) -> Self {
        let reason = format!("commit: {failure}");
        match failure {
            StepFailure::Abort(_) => {
                Self { outcome: TransactionOutcome::Aborted(reason), producer: ProducerFate::MustAbort }
            }
            StepFailure::Replace(_) => {
                Self { outcome: TransactionOutcome::Unknown(reason), producer: ProducerFate::MustGo }
            }
        }
    }
}

impl From<failpoint::InjectedFailure> for FailedTransaction {
    fn from(injected: failpoint::InjectedFailure) -> Self {
        Self::abort(TransactionOutcome::Aborted(injected.to_string()))
    }
}

fn write_and_commit(producer: &TransactionalProducer, content: &TransactionContent) -> Result<(), FailedTransaction> {
    producer.begin().map_err(FailedTransaction::before_commit("begin"))?;
    failpoint::at("transaction::begun")?;
    check_standing(content)?;
    // Offsets first: while Kafka still ends the last transaction it refuses the next one's first request, which librdkafka
    // repeats after 2 ms when it is for offsets, but after 20 ms when it is for messages. And anyone who is given a partition
    // from now on waits for this transaction, for its offset is pending.
    let places = content.places.iter();
    let offsets = places.map(|(lease, place)| (&lease.partition, place.offset, place.metadata.as_str()));
    producer.send_offsets(offsets, &content.generation).map_err(FailedTransaction::before_commit("send offsets"))?;
    failpoint::at("transaction::offsets-sent")?;
    write(producer, content)?;
    failpoint::at("transaction::produced")?;
    check_standing(content)?;
    failpoint::at("transaction::before-commit")?;
    failpoint::beside("transaction::during-commit");
    producer.commit().map_err(FailedTransaction::in_commit)?;
    failpoint::at("transaction::after-commit").map_err(|injected| FailedTransaction {
        outcome: TransactionOutcome::Unknown(injected.to_string()),
        producer: ProducerFate::MustGo,
    })
}

/// A lease that died since the outcomes were chosen takes the whole transaction with it; the others follow in the next.
fn check_standing(content: &TransactionContent) -> Result<(), FailedTransaction> {
    match content.generation.is_current() && content.places.iter().all(|(lease, _)| lease.is_alive()) {
        true => Ok(()),
        false => Err(FailedTransaction::abort(TransactionOutcome::Overtaken)),
    }
}

fn write(producer: &TransactionalProducer, content: &TransactionContent) -> Result<(), FailedTransaction> {
    let mut refused = Vec::new();
    let mut places = Vec::new();
    for (outcome, pending) in content.pending.iter().enumerate() {
        let first = places.len();
        places.extend((0..pending.parcel.messages.len() as u32).map(|index| (outcome, index)));
        producer.send(&pending.parcel, first, &mut refused);
        if !refused.is_empty() {
            break;
        }
    }
    let undrained = producer.drain(&mut refused);
    if refused.iter().any(|(_, undelivered)| undelivered.for_good) {
        let named = refused.into_iter().map(|(place, undelivered)| (places[place].0, places[place].1, undelivered));
        return Err(FailedTransaction::abort(TransactionOutcome::Refused(named.collect())));
    }
    if refused.iter().any(|(_, undelivered)| undelivered.together) {
        return Err(FailedTransaction::abort(TransactionOutcome::BatchRefused));
    }
    if let Some((place, undelivered)) = refused.first() {
        let (outcome, index) = places[*place];
        let topic = &content.pending[outcome].parcel.messages[index as usize].topic;
        let reason = format!("topic {topic} does not take what is written: {undelivered}");
        // While no broker answers librdkafka aborts without asking one, and then its next transaction may stand still for a
        // minute (2.12.1, brokers that were stopped and came back). A new producer of the id makes Kafka abort it.
        let is_unanswered = refused.iter().any(|(_, undelivered)| undelivered.unanswered);
        let producer = if is_unanswered { ProducerFate::MustGo } else { ProducerFate::MustAbort };
        return Err(FailedTransaction { outcome: TransactionOutcome::Aborted(reason), producer });
    }
    if undrained > 0 {
        let reason = format!("{undrained} messages stayed unanswered");
        return Err(FailedTransaction { outcome: TransactionOutcome::Aborted(reason), producer: ProducerFate::MustGo });
    }
    Ok(())
}
