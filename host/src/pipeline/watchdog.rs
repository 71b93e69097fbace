//! Looks after every partition of this host: says which make no progress and why, restarts a shard that can't continue or
//! whose consumer gives nothing although there is something, and notices topics that are gone or are others than they
//! were.
//!
//! A shard is never restarted for a record that is under way: a slow guest or a retry would only lose its work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::kafka::admin::metadata_probe::MetadataProbe;
use crate::model::ids::FunctionName;
use crate::model::lease::PartitionLease;
use crate::pipeline::function::{FunctionView, WatchdogRequest};
use crate::pipeline::shard_view::ShardView;
use crate::pipeline::supervisor::FunctionDirectory;

/// Between two looks at partitions, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between two looks at topics: one that is gone is reported after the second.
const LOOK_AT_TOPICS_EVERY: Duration = Duration::from_secs(3);

/// Kafka is away when it has answered nothing for so long. Shorter is a broker that restarts.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(10);

/// The longest wait before a function's shards are restarted once more.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

pub(crate) struct ShardWatchdog {
    survey: MetadataProbe,
    handle: FunctionDirectory,
    stalled_after: Duration,
    rebuilds: BTreeMap<FunctionName, RebuildHistory>,
    /// Asked for where no function has topics, only to see whether Kafka answers.
    pulse: Option<String>,
    has_answered: bool,
    is_silent: bool,
}

/// The shards of a function that were restarted, so that it does not happen all the time.
struct RebuildHistory {
    last: Instant,
    wait: Duration,
}

impl ShardWatchdog {
    /// One that calls a partition stalled after that time without progress.
    ///
    /// It also notices that Kafka is away, by asking for the topic `pulse`.
    pub(crate) fn new(
        survey: MetadataProbe,
        handle: FunctionDirectory,
        stalled_after: Duration,
        pulse: Option<String>,
    ) -> Self {
        Self { survey, handle, stalled_after, rebuilds: BTreeMap::new(), pulse, has_answered: false, is_silent: false }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval((self.stalled_after / 4).min(LOOK_EVERY));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut topics_due = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            self.look_at_partitions().await;
            if topics_due <= Instant::now() {
                topics_due = Instant::now() + LOOK_AT_TOPICS_EVERY;
                self.look_at_topics().await;
            }
        }
    }

    async fn look_at_partitions(&mut self) {
        let views = self.handle.all();
        let told = self.handle.learn_ends(&views).await;
        for view in &views {
            // Nothing comes of those that are paused, and nothing should.
            for shard in view.shards().into_iter().filter(|shard| !shard.is_paused()) {
                let leases = shard.leases();
                let alive: Vec<_> = leases.iter().filter(|lease| lease.is_alive()).cloned().collect();
                let mut starving: Vec<_> = alive.iter().filter(|lease| self.starves(view, &shard, lease)).collect();
                // Where Kafka does not answer, that is why nothing comes.
                starving.retain(|lease| told.contains_key(&lease.partition));
                let heard = shard.take_out_of_range();
                let suspects: Vec<_> = match heard {
                    Some(_) => alive.clone(),
                    None => starving.iter().map(|lease| (*lease).clone()).collect(),
                };
                let is_answered = self.halt_what_is_out_of_range(view, &suspects).await;
                match heard {
                    Some(reason) if !is_answered => shard.note_out_of_range(reason),
                    Some(reason) if !leases.iter().any(|lease| lease.standing.is_halted()) => {
                        shard.note_trouble(reason, true);
                    }
                    _ => {}
                }
                if let Some(reason) = shard.fatal() {
                    if self.may_rebuild(&view.name()) {
                        tracing::error!(function = %view.name(), %reason, "a shard that can't continue is restarted");
                        view.ask(WatchdogRequest::Rebuild(shard.clone()));
                    }
                    continue;
                }
                let is_stuck = starving.iter().find(|lease| !lease.standing.is_halted());
                if let Some(lease) = is_stuck.filter(|_| is_answered)
                    && self.may_rebuild(&view.name())
                {
                    tracing::error!(function = %view.name(), partition = %lease.partition,
                        watermark = lease.watermark(), end = lease.end(),
                        "a partition has records and its consumer gives none: its shard is restarted");
                    view.ask(WatchdogRequest::Rebuild(shard.clone()));
                }
            }
        }
        self.rebuilds.retain(|_, rebuilds| rebuilds.last.elapsed() < LONGEST_WAIT * 2);
    }

    /// Notes whether a partition stands still, and why. Returns whether nothing explains it.
    fn starves(&self, view: &FunctionView, shard: &ShardView, lease: &PartitionLease) -> bool {
        let stands_for = lease.stands_for();
        if stands_for < self.stalled_after.max(view.commit_interval() * 3) {
            if lease.standing.note(None) {
                tracing::info!(function = %view.name(), partition = %lease.partition, "a partition continues");
            }
            return false;
        }
        let blocker = shard.blocker(lease);
        let starves = blocker.is_none() && lease.committed() >= lease.watermark();
        let why = match &blocker {
            Some(blocker) => blocker.explain(),
            None if starves => format!(
                "there are records from offset {} on and the consumer gives none; its shard is restarted",
                lease.watermark()
            ),
            None => format!(
                "what is finished below offset {} can't be committed; look at the log and at the brokers",
                lease.watermark()
            ),
        };
        // Kafka's own words say most.
        let why = match shard.passing().filter(|_| !starves) {
            Some(trouble) => format!("{why}; lately: {trouble}"),
            None => why,
        };
        let place = &lease.partition;
        let seconds = stands_for.as_secs();
        let reason =
            format!("topic {}, partition {} made no progress for {seconds} s: {why}", place.topic, place.partition);
        if lease.standing.note(Some(reason.clone())) {
            tracing::warn!(function = %view.name(), %reason, "a partition is stalled");
        }
        starves
    }

    /// Halts those of `leases` whose next offset is not in the topic. Returns whether Kafka said where the topics begin.
    async fn halt_what_is_out_of_range(&self, view: &FunctionView, leases: &[Arc<PartitionLease>]) -> bool {
        let asked: Vec<_> = leases.iter().map(|lease| lease.partition.clone()).collect();
        // In this order: a position that is read after the end may lie beyond it.
        let positions: Vec<i64> = leases.iter().map(|lease| lease.position()).collect();
        let beginnings = self.survey.beginnings(asked.clone()).await;
        let ends = self.survey.ends(asked).await;
        for (lease, position) in leases.iter().zip(positions) {
            let place = &lease.partition;
            let (Some(beginning), Some(end)) = (beginnings.get(place), ends.get(place)) else { continue };
            if (*beginning..=*end).contains(&position) {
                continue;
            }
            let reason = format!(
                "topic {}, partition {}: offset {position}, where the function continues, is not in the topic, which has \
                 {beginning} to {end}; nothing is skipped without you: say where to continue with `millstream \
                 reset`, or delete the function and deploy it again with the initial_offset that you want",
                place.topic, place.partition
            );
            if lease.standing.halt(reason.clone()) {
                tracing::error!(function = %view.name(), %reason, "a partition can't continue");
            }
        }
        leases.iter().all(|lease| beginnings.contains_key(&lease.partition))
    }

    fn may_rebuild(&mut self, name: &FunctionName) -> bool {
        let now = Instant::now();
        match self.rebuilds.get_mut(name) {
            Some(rebuilds) if now.duration_since(rebuilds.last) < rebuilds.wait => false,
            Some(rebuilds) => {
                *rebuilds = RebuildHistory { last: now, wait: (rebuilds.wait * 2).min(LONGEST_WAIT) };
                true
            }
            None => {
                self.rebuilds.insert(name.clone(), RebuildHistory { last: now, wait: self.stalled_after });
                true
            }
        }
    }

    /// Says that Kafka is away, and that it is back, once each.
    fn note_silence(&mut self) {
        let silent_for = self.survey.silent_for().unwrap_or_default();
        let is_silent = silent_for >= SILENT_AFTER;
        match (self.is_silent, is_silent) {
            (false, true) => tracing::warn!(
                seconds = silent_for.as_secs(),
                "kafka does not answer; functions wait for it, nothing is lost, and they continue by themselves"
            ),
            (true, false) if silent_for.is_zero() => tracing::info!("kafka answers again"),
            // One answer of many questions may come late.
            (true, false) => return,
            _ => {}
        }
        self.is_silent = is_silent;
    }

    async fn look_at_topics(&mut self) {
        let views = self.handle.all();
        let mut names: Vec<String> = views.iter().flat_map(|view| view.topic_names()).collect();
        names.extend(self.pulse.clone());
        names.sort();
        names.dedup();
        let told = self.survey.topics(names).await;
        // Until the first answer the registry says what it waits for.
        self.has_answered |= told.is_some();
        if self.has_answered {
            self.note_silence();
        }
        let Some(told) = told else { return };
        for view in views {
            let own = view.topic_names().into_iter().filter_map(|name| Some((name.clone(), *told.get(&name)?)));
            for topic in view.topics.learn(view.name().as_str(), &own.collect()) {
                view.ask(WatchdogRequest::Halt(topic));
            }
        }
    }
}
