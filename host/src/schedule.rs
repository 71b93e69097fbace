//! Fires schedules: writes a tick for each time that is due, once in the whole cluster.
//!
//! ```text
//!  group <prefix>schedule.owner ─► the host that has partition 0 of <prefix>schedule: the owner
//!  owner: what is due? ─► one transaction: tick ─► <function>.ticks,  until when it was fired ─► <prefix>schedule
//! ```
//!
//! Who owns the partition fires; the others wait. That is only to save work: anyone who fires has shut every other one out by
//! the transactional id, then read until when was fired, and writes that together with the ticks. So a time is fired once,
//! anyone who believes to be the owner, and anyone who dies in between.

mod due;
mod fire_log;
mod leadership;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::timetable::CronTimetable;
use crate::kafka::admin::{AdminError, NewTopic};
use crate::kafka::topic_log::TopicLogError;
use crate::model::clock::now_ms;
use crate::model::function::Revision;
use crate::model::function_table::FunctionTable;
use crate::model::ids::FunctionName;
use crate::model::schedule::{MissedPolicy, tick_topic};
use crate::pipeline::build::KafkaContext;
use fire_log::FireLog;
use leadership::ScheduleLeadership;

/// The clock may be set: no one sleeps longer without looking at it.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

pub(crate) struct Scheduler {
    environment: KafkaContext,
    table: watch::Receiver<Arc<FunctionTable>>,
    prefix: String,
    replication: i32,
}

/// A function that runs by the clock.
#[derive(Debug, Clone)]
struct ScheduleEntry {
    name: FunctionName,
    timetable: CronTimetable,
    missed: MissedPolicy,
    /// Nothing before is due: milliseconds since the Unix epoch.
    since: i64,
}

#[derive(Debug, thiserror::Error)]
enum FireError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Log(#[from] TopicLogError),
    #[error("{0}")]
    Join(#[from] crate::kafka::group::consumer::GroupError),
    #[error("a task of the host ended: {0}; please report this")]
    Task(#[from] tokio::task::JoinError),
}

impl Scheduler {
    /// A scheduler of the functions in `table`; its topic's name starts with `prefix`.
    pub(crate) fn new(
        environment: KafkaContext,
        table: watch::Receiver<Arc<FunctionTable>>,
        prefix: &str,
        replication: i32,
    ) -> Self {
        Self { environment, table, prefix: prefix.to_owned(), replication }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let Some(mut seat) = stop.run_until_cancelled(self.take_seat()).await.flatten() else { return };
        let _ = stop.run_until_cancelled(self.fire_forever(&mut seat)).await;
        seat.leave().await;
    }

    /// Waits until there is a schedule: a host without has no part in it.
    async fn take_seat(&mut self) -> Option<ScheduleLeadership> {
        self.table.wait_for(|table| !entries(table).is_empty()).await.ok()?;
        loop {
            match self.join().await {
                Ok(seat) => return Some(seat),
                Err(error) => tracing::warn!(%error, "schedules are not fired by this host yet; it is tried again"),
            }
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }

    async fn join(&self) -> Result<ScheduleLeadership, FireError> {
        let config = [("cleanup.policy".to_owned(), "compact".to_owned())].into();
        self.create_topic(self.topic(), config).await?;
        Ok(ScheduleLeadership::take(&self.environment, &self.topic(), &format!("{}.owner", self.topic()))?)
    }

    async fn fire_forever(&mut self, seat: &mut ScheduleLeadership) {
        let mut book = None;
        // A client that writes to a topic that is not there waits long.
        let mut has_topic = BTreeSet::new();
        loop {
            let table = self.table.borrow_and_update().clone();
            let entries = entries(&table);
            let mut sleep = LONGEST_SLEEP;
            if seat.is_ours() {
                match self.fire(book.take(), table, &entries, &mut has_topic).await {
                    Ok(open) => {
                        sleep = until_next(&open, &entries).min(LONGEST_SLEEP);
                        book = Some(open);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a schedule was not fired; it is tried again");
                        has_topic.clear();
                        sleep = TRY_AGAIN_AFTER;
                    }
                }
            } else if let Some(book) = book.take() {
                // A client that closes may wait.
                tokio::task::spawn_blocking(move || drop::<FireLog>(book));
            }
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = seat.changed() => {}
                changed = self.table.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn fire(
        &self,
        book: Option<FireLog>,
        table: Arc<FunctionTable>,
        entries: &[ScheduleEntry],
        has_topic: &mut BTreeSet<FunctionName>,
    ) -> Result<FireLog, FireError> {
        let entries = self.with_topics(entries, has_topic).await;
        let (settings, topic) = (self.environment.kafka.clone(), self.topic());
        let id = format!("{}scheduler", self.prefix);
        let work = tokio::task::spawn_blocking(move || {
            let mut book = book.map_or_else(|| FireLog::open(&settings, &id, topic), Ok)?;
            book.fire(&entries, now(), |name| table.functions.contains_key(name))?;
            Ok(book)
        });
        work.await?
    }

    /// Those of `entries` that have a topic for their ticks; it is made where it is missing.
    async fn with_topics(
        &self,
        entries: &[ScheduleEntry],
        has_topic: &mut BTreeSet<FunctionName>,
    ) -> Vec<ScheduleEntry> {
        let mut with = Vec::new();
        for entry in entries {
            if !has_topic.contains(&entry.name) {
                if let Err(error) = self.create_topic(tick_topic(&entry.name), BTreeMap::new()).await {
                    tracing::warn!(function = %entry.name, %error, "its schedule is not fired; it is tried again");
                    continue;
                }
                has_topic.insert(entry.name.clone());
            }
            with.push(entry.clone());
        }
        with
    }

    async fn create_topic(&self, name: String, config: BTreeMap<String, String>) -> Result<(), AdminError> {
        let topic = NewTopic { name, partitions: 1, replication: self.replication, config };
        self.environment.admin.create_topic(topic).await.map(drop)
    }

    fn topic(&self) -> String {
        format!("{}schedule", self.prefix)
    }
}

/// The functions that run by the clock now. What is paused is not: what it misses is missed.
fn entries(table: &FunctionTable) -> Vec<ScheduleEntry> {
    table.functions.values().filter(|wanted| !wanted.paused).filter_map(|wanted| entry(&wanted.revision)).collect()
}

fn entry(revision: &Revision) -> Option<ScheduleEntry> {
    let (name, schedule) = (&revision.manifest.name, revision.manifest.schedule.as_ref()?);
    let timetable = CronTimetable::parse(&schedule.cron, &schedule.time_zone)
        .inspect_err(|error| tracing::error!(function = %name, %error, "a schedule can't be read"))
        .ok()?;
    let since = i64::try_from(revision.deployed_at_ms).unwrap_or(i64::MAX);
    Some(ScheduleEntry { name: name.clone(), timetable, missed: schedule.missed, since })
}

/// How long until anything is due.
fn until_next(book: &FireLog, entries: &[ScheduleEntry]) -> Duration {
    let now = now();
    let next = entries.iter().filter_map(|entry| match book.due(entry, now).first() {
        Some(due) => Some(*due),
        None => entry.timetable.next_after(now),
    });
    let left = next.min().map_or(i64::MAX, |next| next - now);
    Duration::from_millis(u64::try_from(left).unwrap_or_default())
}

/// Milliseconds since the Unix epoch, as times that are due are written.
fn now() -> i64 {
    i64::try_from(now_ms()).unwrap_or(i64::MAX)
}
pub(crate) mod tick;
