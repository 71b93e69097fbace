//! Artifacts as chunks in a topic. A reader seeks to the first one: it never scans the topic.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::kafka::topic_log::{LogReader, LogWriter};
use crate::model::ids::ArtifactDigest;
use crate::registry::catalogue::ArtifactPlace;
use crate::registry::kafka_log::{KafkaLogState, LogError};

/// Well below what brokers and clients take by default (1 MB).
const CHUNK_BYTES: usize = 512 * 1024;
const LOAD_WITHIN: Duration = Duration::from_secs(60);
/// The record and its chunks become visible together, but on two partitions: one may be a moment late.
const VISIBLE_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);
const FETCH_LATENCY: Duration = Duration::from_millis(10);

/// Writes `module` and waits until the broker has it.
pub(crate) fn store(
    writer: &mut LogWriter,
    topic: &str,
    digest: ArtifactDigest,
    module: &[u8],
) -> Result<ArtifactPlace, LogError> {
    let mut count = 0;
    for chunk in module.chunks(CHUNK_BYTES) {
        writer.send(topic, key(digest, count).as_bytes(), Some(chunk))?;
        count += 1;
    }
    let start = writer.flush()?.unwrap_or_default();
    Ok(ArtifactPlace::Chunks { start, count })
}

/// Gives the chunks to compaction.
pub(crate) fn forget(
    writer: &mut LogWriter,
    topic: &str,
    digest: ArtifactDigest,
    place: ArtifactPlace,
) -> Result<(), LogError> {
    if let ArtifactPlace::Chunks { count, .. } = place {
        for index in 0..count {
            writer.send(topic, key(digest, index).as_bytes(), None)?;
        }
    }
    Ok(())
}

/// Reads the chunks from where they start.
pub(crate) fn load(shared: &KafkaLogState, digest: ArtifactDigest, place: ArtifactPlace) -> Result<Bytes, LogError> {
    let missing = || LogError::MissingChunks { digest, topic: shared.artifacts.clone() };
    let ArtifactPlace::Chunks { start, count } = place else {
        return Err(missing());
    };
    let deadline = Instant::now() + LOAD_WITHIN;
    let visible = Instant::now() + VISIBLE_WITHIN;
    let reader = LogReader::open(&shared.settings, &shared.artifacts, start, FETCH_LATENCY)?;
    let mut module = Vec::new();
    let mut next = 0;
    while next < count {
        let Some(record) = reader.next_before(deadline.min(visible + LOAD_WITHIN))? else {
            if Instant::now() > visible {
                return Err(missing());
            }
            std::thread::sleep(LOOK_AGAIN_AFTER);
            continue;
        };
        // Chunks of an aborted transaction or of another artifact may lie between.
        if record.key.as_deref() == Some(key(digest, next).as_bytes()) {
            module.extend(record.value.ok_or_else(missing)?);
            next += 1;
        }
    }
    Ok(module.into())
}

fn key(digest: ArtifactDigest, index: u32) -> String {
    format!("{}/{index}", digest.hex())
}
