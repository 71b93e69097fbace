//! Which dead letters were redriven: a mark for each, in a compacted topic, written in the transaction of what came of it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::kafka::admin::{KafkaAdmin, NewTopic};
use crate::kafka::settings::ClientSettings;
use crate::kafka::topic_log::LogReader;
use crate::redrive::letter::DeadLetter;
use crate::redrive::{LettersError, blocking};

const READ_WITHIN: Duration = Duration::from_secs(30);
/// Anyone who waits for this reader wants it at once.
const FETCH_LATENCY: Duration = Duration::from_millis(5);

/// What became of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RedriveMark {
    /// When: milliseconds since the Unix epoch.
    pub(crate) at_ms: u64,
    /// `name@revision` of what handled it.
    pub(crate) by: String,
    /// `emitted`, or the class of the fault with which it became a dead letter again.
    pub(crate) outcome: String,
    /// How many events were emitted.
    pub(crate) emitted: u64,
    /// When the letter was written: another one may come to lie at its place in a topic that was made again.
    written_ms: Option<i64>,
}

impl RedriveMark {
    pub(crate) fn new(letter: &DeadLetter, by: &str, outcome: &str, emitted: usize, at_ms: u64) -> Self {
        let (by, outcome) = (by.to_owned(), outcome.to_owned());
        Self { at_ms, by, outcome, emitted: emitted as u64, written_ms: letter.written_ms }
    }
}

/// The marks, as far as they were read.
pub(crate) struct RedriveMarks {
    settings: ClientSettings,
    admin: KafkaAdmin,
    topic: String,
    replication: i32,
    read: Mutex<MarkReader>,
}

#[derive(Debug, Default)]
struct MarkReader {
    next_offset: i64,
    marks: HashMap<Vec<u8>, RedriveMark>,
}

impl RedriveMarks {
    pub(crate) fn new(settings: ClientSettings, admin: KafkaAdmin, prefix: &str, replication: i32) -> Self {
        Self { settings, admin, topic: format!("{prefix}redriven"), replication, read: Mutex::default() }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    /// Makes the topic unless it is there.
    pub(crate) async fn make_topic(&self) -> Result<(), LettersError> {
        let config = BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
        let topic = NewTopic { name: self.topic.clone(), partitions: 1, replication: self.replication, config };
        if self.admin.create_topic(topic).await? {
            tracing::info!(topic = %self.topic, "created the topic of what was redriven");
        }
        Ok(())
    }

    /// The newest mark of each of `letters`, in their order.
    pub(crate) async fn of(&self, letters: &[DeadLetter]) -> Result<Vec<Option<RedriveMark>>, LettersError> {
        let mut read = self.read.lock().await;
        if letters.is_empty() || !self.admin.topics().await?.contains_key(&self.topic) {
            return Ok(vec![None; letters.len()]);
        }
        let (settings, topic, mut so_far) = (self.settings.clone(), self.topic.clone(), std::mem::take(&mut *read));
        let (so_far, result) = blocking(move || {
            let result = read_on(&settings, &topic, &mut so_far);
            Ok((so_far, result))
        })
        .await?;
        *read = so_far;
        result?;
        let mark_of = |letter: &DeadLetter| {
            read.marks.get(key(letter).as_bytes()).filter(|mark| mark.written_ms == letter.written_ms).cloned()
        };
        Ok(letters.iter().map(mark_of).collect())
    }
}

fn read_on(settings: &ClientSettings, topic: &str, read: &mut MarkReader) -> Result<(), LettersError> {
    let deadline = Instant::now() + READ_WITHIN;
    let reader = LogReader::open(settings, topic, read.next_offset, FETCH_LATENCY)?;
    while let Some(record) = reader.next_before(deadline)? {
        read.next_offset = record.offset + 1;
        let key = record.key.unwrap_or_default();
        match record.value.as_deref().map(serde_json::from_slice) {
            Some(Ok(mark)) => {
                read.marks.insert(key, mark);
            }
            Some(Err(error)) => tracing::warn!(%error, topic, offset = record.offset, "a mark that can't be read"),
            None => {
                read.marks.remove(&key);
            }
        }
    }
    Ok(())
}

/// The key of a letter's mark: its place, and whose letter it is.
pub(crate) fn key(letter: &DeadLetter) -> String {
    let function = letter.function.split('@').next().unwrap_or_default();
    format!("{function}/{}", letter.place())
}
