//! Until when each function was fired, in a compacted topic: read once, then written together with the ticks.
//!
//! Opening it shuts out anyone who had it open, and what is read then is all. As long as its transactions go through no one
//! else has opened it, so that what it knows stays true. One that failed is of no use any more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::kafka::produce::producer::OutgoingMessage;
use crate::kafka::settings::ClientSettings;
use crate::kafka::topic_log::{LogReader, LogWriter, TopicLogError};
use crate::model::ids::FunctionName;
use crate::model::schedule::tick_topic;
use crate::schedule::ScheduleEntry;
use crate::schedule::due::due;
use crate::schedule::tick::TickRecord;

const READ_WITHIN: Duration = Duration::from_secs(20);
const FETCH_LATENCY: Duration = Duration::from_millis(5);

pub(crate) struct FireLog {
    writer: LogWriter,
    topic: String,
    fired: BTreeMap<FunctionName, i64>,
}

#[derive(Serialize, Deserialize)]
struct FireRecord {
    until_ms: i64,
}

impl FireLog {
    /// Opens the book in `topic`. Blocks.
    pub(crate) fn open(
        settings: &ClientSettings,
        transactional_id: &str,
        topic: String,
    ) -> Result<Self, TopicLogError> {
        let writer = LogWriter::open(settings, transactional_id, &topic)?;
        let fired = read(settings, &topic)?;
        Ok(Self { writer, topic, fired })
    }

    /// The times of `entry` that are due at `now`, the earliest first; both in milliseconds since the Unix epoch.
    pub(crate) fn due(&self, entry: &ScheduleEntry, now: i64) -> Vec<i64> {
        due(entry, self.fired.get(&entry.name).copied(), now)
    }

    /// Fires what is due of `entries` at `now`, all or nothing, and forgets functions that `is_kept` does not know. Blocks.
    pub(crate) fn fire(
        &mut self,
        entries: &[ScheduleEntry],
        now: i64,
        is_kept: impl Fn(&FunctionName) -> bool,
    ) -> Result<(), TopicLogError> {
        let mut fired = Vec::new();
        for entry in entries {
            let times = self.due(entry, now);
            let Some(last) = times.last().copied() else { continue };
            for time in &times {
                self.write_tick(&entry.name, *time)?;
            }
            self.note(&entry.name, Some(last))?;
            tracing::debug!(function = %entry.name, times = times.len(), "fired");
            fired.push((entry.name.clone(), last));
        }
        let gone: Vec<_> = self.fired.keys().filter(|name| !is_kept(name)).cloned().collect();
        for name in &gone {
            self.note(name, None)?;
        }
        if fired.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.writer.commit()?;
        self.fired.retain(|name, _| !gone.contains(name));
        self.fired.extend(fired);
        Ok(())
    }

    fn write_tick(&mut self, name: &FunctionName, time: i64) -> Result<(), TopicLogError> {
        let tick = TickRecord::scheduled(name, time);
        let headers = tick.headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_slice())));
        self.writer.publish(OutgoingMessage { topic: &tick_topic(name), key: None, value: Some(&tick.value), headers })
    }

    fn note(&mut self, name: &FunctionName, until_ms: Option<i64>) -> Result<(), TopicLogError> {
        // A struct of a number always becomes JSON.
        let fired = until_ms.map(|until_ms| serde_json::to_vec(&FireRecord { until_ms }).unwrap_or_default());
        self.writer.send(&self.topic, name.as_str().as_bytes(), fired.as_deref())
    }
}

fn read(settings: &ClientSettings, topic: &str) -> Result<BTreeMap<FunctionName, i64>, TopicLogError> {
    let deadline = Instant::now() + READ_WITHIN;
    let reader = LogReader::open(settings, topic, 0, FETCH_LATENCY)?;
    let mut fired = BTreeMap::new();
    while let Some(record) = reader.next_before(deadline)? {
        let key = record.key.unwrap_or_default();
        let Some(name) = std::str::from_utf8(&key).ok().and_then(|name| FunctionName::new(name).ok()) else {
            continue;
        };
        match record.value.as_deref().and_then(|json| serde_json::from_slice::<FireRecord>(json).ok()) {
            Some(FireRecord { until_ms }) => fired.insert(name, until_ms),
            None => fired.remove(&name),
        };
    }
    Ok(fired)
}
