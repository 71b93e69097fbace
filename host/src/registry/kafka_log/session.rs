//! One writer's turn: fence the others, read to the end, write, commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::kafka::topic_log::{LogReader, LogWriter};
use crate::model::ids::ArtifactDigest;
use crate::registry::catalogue::{ArtifactPlace, FunctionCatalogue};
use crate::registry::kafka_log::{KafkaLogState, LogError, artifacts, blocking};
use crate::registry::log::{FunctionChange, LogSession};

const READ_WITHIN: Duration = Duration::from_secs(20);
/// A change waits for this reader: the broker answers at once when there is nothing new.
const FETCH_LATENCY: Duration = Duration::from_millis(5);

pub(crate) struct KafkaSession {
    shared: Arc<KafkaLogState>,
    catalogue: FunctionCatalogue,
    /// Nothing while a blocking thread has it, and after it failed.
    writer: Option<LogWriter>,
}

impl KafkaSession {
    pub(crate) async fn begin(shared: Arc<KafkaLogState>) -> Result<Self, LogError> {
        blocking(move || {
            let writer = LogWriter::open(&shared.settings, &shared.transactional_id, &shared.functions)?;
            // From here on no one else can commit, so the end that is read now stays the end.
            let mut catalogue = FunctionCatalogue::clone(&shared.publication.catalogue());
            read_on(&shared, &mut catalogue)?;
            Ok(Self { shared, catalogue, writer: Some(writer) })
        })
        .await
    }
}

/// Brings `catalogue` to the log's end. The follower's reader may lag, and cannot know by how much.
fn read_on(shared: &KafkaLogState, catalogue: &mut FunctionCatalogue) -> Result<(), LogError> {
    let deadline = Instant::now() + READ_WITHIN;
    let reader = LogReader::open(&shared.settings, &shared.functions, catalogue.next_offset, FETCH_LATENCY)?;
    while let Some(record) = reader.next_before(deadline)? {
        catalogue.apply(record.key.as_deref().unwrap_or_default(), record.value.as_deref());
        catalogue.next_offset = record.offset + 1;
    }
    Ok(())
}

impl LogSession for KafkaSession {
    fn catalogue(&self) -> &FunctionCatalogue {
        &self.catalogue
    }

    fn store(&mut self, digest: ArtifactDigest, module: Bytes) -> BoxFuture<'_, Result<ArtifactPlace, LogError>> {
        Box::pin(async move {
            let mut writer = self.writer.take().ok_or(LogError::Interrupted)?;
            let topic = self.shared.artifacts.clone();
            let (writer, place) = blocking(move || {
                let place = artifacts::store(&mut writer, &topic, digest, &module);
                Ok((writer, place))
            })
            .await?;
            self.writer = Some(writer);
            place
        })
    }

    fn commit(mut self: Box<Self>, change: FunctionChange) -> BoxFuture<'static, Result<(), LogError>> {
        let writer = self.writer.take();
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let mut writer = writer.ok_or(LogError::Interrupted)?;
            blocking(move || {
                let written = write(&mut writer, &shared, &change);
                match written {
                    Ok(()) => Ok(writer.commit()?),
                    Err(error) => {
                        abort(writer);
                        Err(error)
                    }
                }
            })
            .await
        })
    }
}

fn write(writer: &mut LogWriter, shared: &KafkaLogState, change: &FunctionChange) -> Result<(), LogError> {
    writer.send(&shared.functions, change.name.as_str().as_bytes(), change.record.as_deref())?;
    for (digest, place) in &change.forgotten {
        artifacts::forget(writer, &shared.artifacts, *digest, *place)?;
    }
    Ok(())
}

/// Readers see nothing behind an open transaction, so it is ended at once and not by its timeout.
fn abort(writer: LogWriter) {
    if let Err(error) = writer.abort() {
        tracing::debug!(%error, "the broker has to end a transaction of the registry");
    }
}

impl Drop for KafkaSession {
    fn drop(&mut self) {
        let (Some(writer), Ok(runtime)) = (self.writer.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        runtime.spawn_blocking(move || abort(writer));
    }
}
