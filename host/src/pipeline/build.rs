//! Wires one shard, last stage first, so that each stage is given its successor.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc as thread_mpsc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::commit::at_least_once::{self, AtLeastOnce};
use crate::commit::committer::{self, Committer};
use crate::commit::exactly_once::{self, ExactlyOnce};
use crate::commit::refusal::RejectHandler;
use crate::commit::transaction::TransactionRunner;
use crate::consume::intake::{self, Intake};
use crate::dispatch::board::Board;
use crate::execute::revisions::{CallableRevision, CallableRevisions};
use crate::flow::budget::ByteBudget;
use crate::kafka::admin::KafkaAdmin;
use crate::kafka::admin::metadata_probe::MetadataProbe;
use crate::kafka::group::consumer::{self, GroupConsumer};
use crate::kafka::group::poller::{PollerThreads, PollerUnparker};
use crate::kafka::produce::producer::ProducerSet;
use crate::kafka::produce::transaction::{TopicCompression, TopicSettings};
use crate::kafka::settings::ClientSettings;
use crate::model::function::{Compression, GroupMembership, Manifest, ProcessingGuarantee, TopicSelection};
use crate::model::lease::PartitionLease;
use crate::model::work::RecordChunk;
use crate::pipeline::shard::Shard;
use crate::pipeline::shard_view::ShardView;
use crate::pipeline::topics::KnownTopics;
use crate::pipeline::worker::ShardWorker;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::telemetry::otlp::SpanTracer;

/// What the shards of a host share.
#[derive(Debug, Clone)]
pub(crate) struct KafkaContext {
    pub(crate) kafka: ClientSettings,
    /// Asked what topics take when a function starts.
    pub(crate) admin: KafkaAdmin,
    pub(crate) pollers: Arc<PollerThreads>,
    /// Who writes, for at-least-once functions.
    pub(crate) producers: ProducerSet,
    /// Who asks for the ends of partitions.
    pub(crate) survey: MetadataProbe,
    /// The cluster's name in the `source` of wrapped records.
    pub(crate) cluster: Arc<str>,
    /// This host's identity, for static membership.
    pub(crate) host_id: Arc<str>,
    /// Who traces what functions do.
    pub(crate) tracer: SpanTracer,
}

/// Starts shard number `index` of a function. It joins its group at once.
pub(crate) fn build(
    environment: &KafkaContext,
    revisions: &CallableRevisions,
    metrics: &Arc<FunctionMetrics>,
    topics: &Arc<KnownTopics>,
    index: usize,
) -> Result<Shard, consumer::GroupError> {
    let live = revisions.live();
    let revision = live.revision.clone();
    let manifest = &revision.manifest;
    let delivery = &manifest.delivery;

    let waker = PollerUnparker::new();
    let (member_events_in, member_events) = mpsc::unbounded_channel();
    let membership = membership(environment, manifest, index);
    let consumer = GroupConsumer::join(&environment.kafka, &membership, waker.clone(), member_events_in)?;

    // commit
    let (to_committer, commands) = mpsc::unbounded_channel();
    let refusing = revisions.clone();
    let freed = waker.clone();
    let refuse: RejectHandler = Box::new(move |parcel, record, fault| {
        // A refusal is not an attempt of the guest: its one invocation succeeded.
        let callable = refusing.get(record.chunk.revision.number);
        callable.encoder.dead_letter(parcel, record, fault, 1);
    });
    let freed = Box::new(move || freed.wake());
    let board = Arc::new(Board::new(manifest.ordering, delivery.batch_size, delivery.batch_window));
    let view = Arc::new(ShardView::new(board.clone()));
    let troubled = view.clone();
    let trouble = Box::new(move |reason| troubled.note_trouble(reason, false));
    let pending = ByteBudget::new(delivery.pending);
    let mut tasks = JoinSet::new();
    match manifest.processing_guarantee {
        ProcessingGuarantee::AtLeastOnce => {
            let way = AtLeastOnce::new(at_least_once::AtLeastOnceOptions {
                producers: environment.producers.clone(),
                consumer: consumer.clone(),
                refuse,
                trouble,
                metrics: metrics.clone(),
            });
            tasks.spawn(Committer::new(way, commands, freed, delivery.commit_interval).run());
        }
        ProcessingGuarantee::ExactlyOnce => {
            let idle = board.clone();
            let options = exactly_once::ExactlyOnceOptions {
                pending: pending.clone(),
                is_idle: Box::new(move || !idle.has_work()),
                refuse,
                trouble,
                metrics: metrics.clone(),
            };
            let way = ExactlyOnce::new(options, transactor(environment, &live, index, &consumer));
            tasks.spawn(Committer::new(way, commands, freed, delivery.commit_interval).run());
        }
    }

    // dispatch, invoke, emit
    let worker = ShardWorker {
        board: board.clone(),
        revisions: revisions.clone(),
        pending,
        committer: to_committer.clone(),
        metrics: metrics.clone(),
    };
    for _ in 0..manifest.concurrency {
        tasks.spawn(worker.clone().run());
    }

    // consume
    let (to_intake, intake_commands) = thread_mpsc::channel();
    let downstream = ShardSink { board: board.clone(), committer: to_committer.clone(), view: view.clone() };
    let options = intake::IntakeOptions {
        revision: revision.clone(),
        cluster: environment.cluster.clone(),
        metrics: metrics.clone(),
    };
    let intake = Intake::new(consumer.clone(), intake_commands, downstream, options);
    environment.pollers.add(Box::new(intake), waker.clone());

    Ok(Shard::new(crate::pipeline::shard::ShardParts {
        function: manifest.name.clone(),
        drain_timeout: delivery.drain_timeout,
        survey: environment.survey.clone(),
        topics: topics.clone(),
        consumer,
        member_events,
        waker,
        to_intake,
        to_committer,
        board,
        tasks,
        view,
    }))
}

fn membership(environment: &KafkaContext, manifest: &Manifest, index: usize) -> consumer::GroupMembership {
    let group = manifest.name.group_id();
    let instance = match manifest.delivery.membership {
        GroupMembership::Dynamic => None,
        GroupMembership::Static => Some(format!("{group}.{}.{index}", environment.host_id)),
    };
    let pattern = match &manifest.topics {
        TopicSelection::Named(_) => None,
        // librdkafka takes a name that starts with ^ for a pattern; the whole name must match.
        TopicSelection::Pattern(pattern) => Some(format!("^({pattern})$")),
    };
    let subscription = manifest.named_inputs().into_iter().chain(pattern).collect();
    consumer::GroupMembership { group, instance, subscription, options: manifest.kafka.clone() }
}

/// The one who carries out a shard's transactions. Its identity outlives the process, so that what a dead one left open is
/// settled by the next.
fn transactor(
    environment: &KafkaContext,
    live: &CallableRevision,
    index: usize,
    consumer: &Arc<GroupConsumer>,
) -> TransactionRunner {
    let manifest = &live.revision.manifest;
    let id = format!("{}.{}.{index}", manifest.name.group_id(), environment.host_id);
    let compressed = manifest.outputs.values().filter_map(|output| {
        let compression = output.compression.filter(|compression| *compression != Compression::None)?;
        Some(TopicCompression { topic: output.topic.clone(), compression })
    });
    let topics = TopicSettings { compressions: compressed.collect(), batch_bytes: live.batches.smallest() };
    TransactionRunner::new(environment.kafka.clone(), id, topics, consumer.clone())
}

struct ShardSink {
    board: Arc<Board>,
    committer: mpsc::UnboundedSender<committer::CommitCommand>,
    view: Arc<ShardView>,
}

impl intake::IntakeSink for ShardSink {
    fn chunk(&self, chunk: RecordChunk) {
        self.board.push(chunk);
    }

    fn skipped(&self, lease: &Arc<PartitionLease>, offsets: Range<i64>) {
        // The committer is gone only when the shard is.
        let _ = self.committer.send(committer::CommitCommand::Skipped(lease.clone(), offsets));
    }

    fn trouble(&self, reason: String, fatal: bool) {
        self.view.note_trouble(reason, fatal);
    }

    fn out_of_range(&self, reason: String) {
        self.view.note_out_of_range(reason);
    }
}
