//! The transactional producers of one shard: two that take turns where transactions follow each other closely.
//!
//! Kafka answers a commit before it has written the end of the transaction to every partition, and refuses the next
//! transaction of the same producer until it has. Another producer's need not wait for that. Transactions are still one
//! after another: each begins when the commit of the last was answered, and so can't be undone any more. Of the offsets of
//! two that end at the same time Kafka's coordinator keeps those that were written last.

use std::time::{Duration, Instant};

use crate::kafka::produce::producer::MessageBatching;
use crate::kafka::produce::transaction::{TopicSettings, TransactionalProducer};
use crate::kafka::settings::ClientSettings;

/// A transaction that begins later than this after the last one finds it ended, and needs no second producer.
const CLOSELY: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct ProducerPair {
    settings: ClientSettings,
    ids: [String; 2],
    topics: TopicSettings,
    batching: MessageBatching,
    /// Whether what an earlier process left open is settled.
    is_settled: bool,
    /// A producer costs memory and threads: the second is there only from when it is first needed.
    producers: [Option<TransactionalProducer>; 2],
    /// Whose transaction is the last one.
    turn: usize,
    committed_at: Option<Instant>,
}

impl ProducerPair {
    /// Producers of the transactional ids `id` and `id-2`. They connect when they are first needed.
    pub(crate) fn new(settings: ClientSettings, id: String, topics: TopicSettings) -> Self {
        Self {
            settings,
            ids: [id.clone(), format!("{id}-2")],
            topics,
            batching: MessageBatching::Together,
            is_settled: false,
            producers: [None, None],
            turn: 0,
            committed_at: None,
        }
    }

    /// Settles what an earlier process of the same ids left open: until then no one can read where to start. Blocks.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        if !self.is_settled {
            end(self.open(1)?);
            self.producers[0] = Some(self.open(0)?);
            self.is_settled = true;
        }
        Ok(())
    }

    /// The producer of the next transaction. After one that failed it is the same, or a new one of the same id, before which
    /// Kafka ends whatever the last one left. Blocks when it has to connect.
    pub(crate) fn producer(&mut self) -> Result<&TransactionalProducer, String> {
        self.settle()?;
        if self.committed_at.take().is_some_and(|at| at.elapsed() < CLOSELY) {
            self.turn = 1 - self.turn;
        }
        if self.producers[self.turn].is_none() {
            self.producers[self.turn] = Some(self.open(self.turn)?);
        }
        self.producers[self.turn].as_ref().ok_or_else(|| "no transactional producer".to_owned())
    }

    /// The transactional id of the last transaction.
    pub(crate) fn id(&self) -> &str {
        &self.ids[self.turn]
    }

    pub(crate) fn committed(&mut self) {
        self.committed_at = Some(Instant::now());
    }

    /// Ends the producer of the transaction that failed.
    pub(crate) fn replace(&mut self) {
        if let Some(producer) = self.producers[self.turn].take() {
            tracing::info!(id = self.id(), "a transactional producer is replaced");
            end(producer);
        }
    }

    /// How messages share batches from now on.
    pub(crate) fn batch(&mut self, batching: MessageBatching) {
        self.batching = batching;
        self.producers.iter_mut().filter_map(Option::take).for_each(end);
    }

    fn open(&self, which: usize) -> Result<TransactionalProducer, String> {
        TransactionalProducer::open(&self.settings, &self.ids[which], &self.topics, self.batching)
            .map_err(|error| format!("no transactional producer: {error}"))
    }
}

/// Ends a producer beside what follows: librdkafka may take long where brokers do not answer, and the next one of the same
/// id fences it.
fn end(producer: TransactionalProducer) {
    std::thread::spawn(move || drop(producer));
}
