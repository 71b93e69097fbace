//! One writer's turn: fence the others, read to the end, write, commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{LogError, Shared, artifacts, blocking};
use crate::kafka::topic_log::{Reader, Writer};
use crate::model::ids::Digest;
use crate::registry::catalogue::{ArtifactPlace, Catalogue};
use crate::registry::log::{Change, Session};

const READ_WITHIN: Duration = Duration::from_secs(20);
/// A change waits for this reader: the broker answers at once when there is nothing new.
const FETCH_LATENCY: Duration = Duration::from_millis(5);

pub(super) struct KafkaSession {
    shared: Arc<Shared>,
    catalogue: Catalogue,
    /// Nothing while a blocking thread has it, and after it failed.
    writer: Option<Writer>,
}

impl KafkaSession {
    pub(super) async fn begin(shared: Arc<Shared>) -> Result<Self, LogError> {
        blocking(move || {
            let writer = Writer::open(&shared.settings, &shared.transactional_id, &shared.functions)?;
            // From here on nobody else can commit, so the end that is read now stays the end.
            let mut catalogue = Catalogue::clone(&shared.publication.catalogue());
            read_on(&shared, &mut catalogue)?;
            Ok(Self { shared, catalogue, writer: Some(writer) })
        })
        .await
    }
}

/// Brings `catalogue` to the log's end. The follower's reader may lag, and cannot tell by how much.
fn read_on(shared: &Shared, catalogue: &mut Catalogue) -> Result<(), LogError> {
    let deadline = Instant::now() + READ_WITHIN;
    let reader = Reader::open(&shared.settings, &shared.functions, catalogue.next_offset, FETCH_LATENCY)?;
    while let Some(record) = reader.next_before(deadline)? {
        catalogue.apply(&record.key, record.value.as_deref());
        catalogue.next_offset = record.offset + 1;
    }
    Ok(())
}

impl Session for KafkaSession {
    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    fn store(&mut self, digest: Digest, module: Bytes) -> BoxFuture<'_, Result<ArtifactPlace, LogError>> {
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

    fn commit(mut self: Box<Self>, change: Change) -> BoxFuture<'static, Result<(), LogError>> {
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

fn write(writer: &mut Writer, shared: &Shared, change: &Change) -> Result<(), LogError> {
    writer.send(&shared.functions, change.name.as_str().as_bytes(), change.record.as_deref())?;
    for (digest, place) in &change.forgotten {
        artifacts::forget(writer, &shared.artifacts, *digest, *place)?;
    }
    Ok(())
}

/// Readers see nothing behind an open transaction, so it is ended at once and not by its timeout.
fn abort(writer: Writer) {
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
