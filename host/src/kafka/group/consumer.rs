//! One member of a consumer group. It is polled by a poller thread, and its shard says what to assign, pause and
//! commit; librdkafka allows both at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc;

use crate::failpoint;
use crate::kafka::advice::advised;
use crate::kafka::group::assignment;
use crate::kafka::group::generation::GroupGeneration;
use crate::kafka::group::poller::PollerUnparker;
use crate::kafka::group::rebalance::{GroupEvent, MemberContext};
use crate::kafka::group::record_queue::{ErrorSink, RawRecords, RecordQueue};
use crate::kafka::partition_list;
use crate::kafka::settings::ClientSettings;
use crate::model::position::TopicPartition;

/// How long a question to the cluster may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a consumer needs to join.
#[derive(Debug, Clone)]
pub(crate) struct GroupMembership {
    pub(crate) group: String,
    /// The identity of a static member.
    pub(crate) instance: Option<String>,
    /// The topics, or one pattern that starts with `^`.
    pub(crate) subscription: Vec<String>,
    pub(crate) options: BTreeMap<String, String>,
}

/// Why a consumer could not do something.
#[derive(Debug, thiserror::Error)]
#[error("consumer of group {group} could not {action}: {}", advised(.source))]
pub(crate) struct GroupError {
    group: String,
    action: &'static str,
    source: KafkaError,
}

/// A committed offset with its metadata, or a place to start at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    pub(crate) partition: TopicPartition,
    /// The next offset to read; nothing when none was committed.
    pub(crate) offset: Option<i64>,
    /// What was stored beside it.
    pub(crate) metadata: String,
}

/// What a client has to say that is not a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConsumerError {
    /// The stored offset is no longer in the partition's range, or there is none.
    OffsetOutOfRange(String),
    /// Something that librdkafka continues from by itself.
    Passing(String),
    /// The client can't continue.
    Fatal(String),
}

/// How long the other stages may take to let go of the consumer.
const LONGEST_LEAVE: Duration = Duration::from_secs(5);

/// A group member; share it by `Arc`.
pub(crate) struct GroupConsumer {
    group: String,
    // Dropped before the client.
    records: RecordQueue,
    client: BaseConsumer<MemberContext>,
    /// With KIP-848 a member's generation moves on without a rebalance of its own.
    moves_silently: bool,
}

impl ErrorSink for GroupConsumer {
    fn heard(&self, error: &KafkaError, words: &str) -> Option<ConsumerError> {
        if error.rdkafka_error_code().is_some_and(MemberContext::tells_of) {
            self.client.context().error(error.clone(), words);
            return None;
        }
        Some(trouble(error, words.to_owned()))
    }
}

impl std::fmt::Debug for GroupConsumer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Consumer").field("group", &self.group).finish_non_exhaustive()
    }
}

impl GroupConsumer {
    /// Makes a client and subscribes. `waker` is woken when there is something to poll; what happens to the member
    /// arrives on `events`.
    pub(crate) fn join(
        settings: &ClientSettings,
        membership: &GroupMembership,
        waker: PollerUnparker,
        events: mpsc::UnboundedSender<GroupEvent>,
    ) -> Result<Arc<Self>, GroupError> {
        let failed = |action| {
            let group = membership.group.clone();
            move |source| GroupError { group, action, source }
        };
        let mut config = settings.base();
        config
            .set("queued.max.messages.kbytes", "16384")
            // Of a partition in one go. What is fetched together is given in a row, and while that is more than the
            // partition's budget, the other partitions go without.
            .set("fetch.message.max.bytes", "262144")
            // librdkafka fetches no more once 100,000 records wait, and looks again only a second later: a quick
            // function would starve for most of it.
            .set("fetch.queue.backoff.ms", "10")
            // Partitions that are added to a topic, and topics that come and go, are noticed within this time.
            .set("topic.metadata.refresh.interval.ms", "10000");
        let moves_silently = membership.options.get("group.protocol").is_some_and(|protocol| protocol == "consumer");
        let is_static = membership.instance.is_some();
        if !moves_silently {
            // With KIP-848 these are the brokers' to set, and librdkafka refuses them.
            config
                .set("session.timeout.ms", "10000")
                .set("heartbeat.interval.ms", "3000")
                .set("partition.assignment.strategy", if is_static { assignment::STATIC } else { assignment::DYNAMIC });
        }
        for (key, value) in &membership.options {
            config.set(key, value);
        }
        // Below are the settings that correctness depends on; the manifest can't change them.
        config
            .set("group.id", &membership.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            // See the record queue.
            .set("enable.partition.eof", "false");
        if let Some(instance) = &membership.instance {
            config.set("group.instance.id", instance);
        }
        let mut client: BaseConsumer<MemberContext> =
            config.create_with_context(MemberContext::new(events)).map_err(failed("start"))?;
        let records = RecordQueue::new(client.client().native_client(), waker.clone());
        client.set_nonempty_callback(move || waker.wake());
        let topics: Vec<&str> = membership.subscription.iter().map(String::as_str).collect();
        client.subscribe(&topics).map_err(failed("subscribe"))?;
        Ok(Arc::new(Self { group: membership.group.clone(), records, client, moves_silently }))
    }

    /// The generation that `generation` has become meanwhile without a rebalance, where the group's protocol allows that.
    pub(crate) fn renewed(&self, generation: &GroupGeneration) -> Option<Arc<GroupGeneration>> {
        if !self.moves_silently {
            return None;
        }
        generation.renewed(&self.client).map(Arc::new)
    }

    /// Serves callbacks, without waiting, and gives what trouble there is. Records are in a queue of their own.
    pub(crate) fn poll(&self) -> Option<ConsumerError> {
        loop {
            // A poll that served a callback also gives nothing: only two in a row mean an empty queue.
            match self.client.poll(Duration::ZERO).or_else(|| self.client.poll(Duration::ZERO))? {
                // No partition is assigned whose records were not sent elsewhere first.
                Ok(message) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    tracing::error!(partition, offset, "a record came where none may; please report this")
                }
                // The context knows already, and of the topic's name too.
                Err(error) if error.rdkafka_error_code().is_some_and(MemberContext::tells_of) => {}
                Err(error) => return Some(trouble(&error, error.to_string())),
            }
        }
    }

    /// Whether something came since the last time, be it records or what only moves positions.
    pub(crate) fn has_news(&self) -> bool {
        self.records.has_news()
    }

    /// Says that `partition` must be reassigned, from where it is committed.
    pub(crate) fn misplaced(&self, partition: &TopicPartition) {
        self.client.context().misplaced(partition);
    }

    /// Takes records that are there, without waiting.
    pub(crate) fn take(&self) -> RawRecords<'_> {
        self.records.take(self)
    }

    /// What is committed for `partitions`. Blocks up to ten seconds.
    pub(crate) fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<CommittedOffset>, GroupError> {
        let answer = partition_list::of(partitions)
            .and_then(|asked| self.client.committed_offsets(asked, ANSWER_TIMEOUT))
            .map_err(self.failed("read offsets"))?;
        let mut committed = Vec::with_capacity(partitions.len());
        for element in answer.elements() {
            element.error().map_err(self.failed("read offsets"))?;
            committed.push(CommittedOffset {
                partition: TopicPartition::new(element.topic(), element.partition()),
                offset: match element.offset() {
                    Offset::Offset(offset) => Some(offset),
                    _ => None,
                },
                metadata: partition_list::metadata(&answer, element.topic(), element.partition()),
            });
        }
        Ok(committed)
    }

    /// The first offset that is still there and the end of `partition`. Blocks up to ten seconds.
    pub(crate) fn range(&self, partition: &TopicPartition) -> Result<(i64, i64), GroupError> {
        self.client
            .fetch_watermarks(&partition.topic, partition.partition, ANSWER_TIMEOUT)
            .map_err(self.failed("read the range of a partition"))
    }

    /// Takes partitions, each from its offset on.
    pub(crate) fn assign(&self, places: &[(TopicPartition, i64)]) -> Result<(), GroupError> {
        for (partition, _) in places {
            let gathered = self.records.gather(self.client.client().native_client(), partition);
            gathered.map_err(self.failed("take the records of a partition"))?;
        }
        let starts = places.iter().map(|(partition, offset)| (partition, Offset::Offset(*offset)));
        let list = partition_list::with_offsets(starts).map_err(self.failed("assign partitions"))?;
        assignment::add(&self.client, &list).map_err(self.failed("assign partitions"))?;
        if failpoint::at("consumer::assigned").is_err() {
            // A consumer that has its partitions and gives nothing: what the watchdog is there for.
            self.client.pause(&list).map_err(self.failed("pause partitions"))?;
        }
        Ok(())
    }

    pub(crate) fn unassign(&self, partitions: &[TopicPartition]) -> Result<(), GroupError> {
        let list = partition_list::of(partitions).map_err(self.failed("give partitions back"))?;
        // The client would remember that they were paused, and give nothing of them should they come back.
        if let Err(error) = self.client.resume(&list) {
            tracing::debug!(%error, group = self.group, "partitions that are given back were not resumed");
        }
        // A test may end the process here, between the phases of a rebalance.
        let _ = failpoint::at("consumer::giving-back");
        assignment::remove(&self.client, &list).map_err(self.failed("give partitions back"))
    }

    /// Takes no more records of `partition` until [`Self::resume`]; its local queue is emptied and fetched again.
    pub(crate) fn pause(&self, partition: &TopicPartition) -> Result<(), GroupError> {
        partition_list::of([partition])
            .and_then(|list| self.client.pause(&list))
            .map_err(self.failed("pause a partition"))
    }

    /// Takes records of `partition` again.
    pub(crate) fn resume(&self, partition: &TopicPartition) -> Result<(), GroupError> {
        partition_list::of([partition])
            .and_then(|list| self.client.resume(&list))
            .map_err(self.failed("resume a partition"))
    }

    /// The next offset to be given of each assigned partition, past control records.
    pub(crate) fn positions(&self) -> Result<Vec<(TopicPartition, i64)>, GroupError> {
        let positions = self.client.position().map_err(self.failed("read its positions"))?;
        let known = positions.elements().into_iter().filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some((TopicPartition::new(element.topic(), element.partition()), offset)),
            _ => None,
        });
        Ok(known.collect())
    }

    /// Commits offsets with their metadata, and waits for the answer. Blocks: of a commit that does not wait, librdkafka
    /// gives an application that takes events no answer at all.
    pub(crate) fn commit<'a>(
        &self,
        offsets: impl Iterator<Item = (&'a TopicPartition, i64, &'a str)>,
    ) -> Result<(), GroupError> {
        let list = partition_list::with_metadata(offsets).map_err(self.failed("commit"))?;
        self.client.commit(&list, CommitMode::Sync).map_err(self.failed("commit"))
    }

    /// Informs the context that no one listens any more. The last owner to drop the consumer leaves the group.
    pub(crate) fn close(&self) {
        self.client.context().close();
        self.client.unsubscribe();
    }

    /// Leaves the group, once the others have let go of the consumer; `waker` wakes the one who polls.
    pub(crate) async fn leave(self: Arc<Self>, waker: &PollerUnparker) {
        let give_up = Instant::now() + LONGEST_LEAVE;
        while Arc::strong_count(&self) > 1 && Instant::now() < give_up {
            waker.wake();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // The last owner leaves the group, which takes a round trip: that must not be the poller's thread.
        let group = self.group.clone();
        match tokio::time::timeout(LONGEST_LEAVE, tokio::task::spawn_blocking(move || drop(self))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, group = &*group, "leaving the group ended early"),
            // librdkafka waits for its coordinator without bound; the broker's session timeout ends the membership.
            Err(_) => {
                tracing::warn!(group = &*group, "kafka does not answer: the group is left by its session timeout")
            }
        }
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(KafkaError) -> GroupError + use<> {
        let group = self.group.clone();
        move |source| GroupError { group, action, source }
    }
}

fn trouble(error: &KafkaError, words: String) -> ConsumerError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
            ConsumerError::OffsetOutOfRange(words)
        }
        Some(RDKafkaErrorCode::Fatal) => ConsumerError::Fatal(advised(error)),
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => ConsumerError::Fatal(advised(error)),
        _ => ConsumerError::Passing(advised(error)),
    }
}
