//! Reads the function topic from its beginning and on, and publishes what it says.
//!
//! Nothing is published before the end has been seen once: a half-read log would stop functions that run.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::kafka::topic_log::{LogItem, LogReader, TopicLogError};
use crate::registry::catalogue::FunctionCatalogue;
use crate::registry::catalogue_view::RegistryReadiness;
use crate::registry::kafka_log::{KafkaLogState, LogError, blocking};

/// A blocking thread is held no longer than this, so that a host stops at once.
const SLICE: Duration = Duration::from_millis(200);
const FETCH_LATENCY: Duration = Duration::from_millis(100);
/// Records that are read before anything else gets its turn.
const RECORDS_A_SLICE: usize = 1000;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Never ends; the task is aborted.
pub(crate) async fn follow(shared: Arc<KafkaLogState>) {
    loop {
        make_topics(&shared).await;
        // The whole state is read again, because offsets mean nothing in a topic that was made again.
        let error = match read(&shared).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        shared.publication.wait_for(error.to_string());
        tokio::time::sleep(FIRST_PAUSE).await;
    }
}

/// Tries until the topics are there.
async fn make_topics(shared: &KafkaLogState) {
    let mut pause = FIRST_PAUSE;
    let mut causes = shared.admin.connection_cause();
    // An older cause may be gone.
    causes.mark_unchanged();
    let mut cause = None;
    loop {
        let mut made = pin!(shared.make_topics());
        // A request takes 10 s to fail, and its error does not say why.
        let error = loop {
            tokio::select! {
                made = &mut made => match made {
                    Ok(()) => return,
                    Err(error) => break error,
                },
                Ok(()) = causes.changed() => {
                    cause.clone_from(&causes.borrow_and_update());
                    cause.iter().for_each(|cause| shared.publication.wait_for(shared.unreachable(cause)));
                }
            }
        };
        let cause = cause.as_ref().filter(|_| error.is_unreachable());
        shared.publication.wait_for(cause.map_or_else(|| error.to_string(), |cause| shared.unreachable(cause)));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Reads until the topic is gone or the client has failed.
async fn read(shared: &Arc<KafkaLogState>) -> Result<std::convert::Infallible, LogError> {
    let opening = Arc::clone(shared);
    let mut reader =
        blocking(move || Ok(LogReader::open(&opening.settings, &opening.functions, 0, FETCH_LATENCY)?)).await?;
    let mut catalogue = FunctionCatalogue::default();
    let mut has_seen_end = false;
    loop {
        let slice;
        (reader, slice) = blocking(move || {
            let slice = read_slice(&reader);
            Ok((reader, slice))
        })
        .await?;
        let (steps, failure) = slice;
        let mut has_changed = false;
        for step in steps {
            match step {
                LogItem::Record(record) => {
                    catalogue.apply(record.key.as_deref().unwrap_or_default(), record.value.as_deref());
                    catalogue.next_offset = record.offset + 1;
                    has_changed = true;
                }
                LogItem::End => {
                    has_changed |= !has_seen_end;
                    has_seen_end = true;
                }
                LogItem::Quiet => {}
            }
        }
        if has_seen_end && has_changed {
            shared.publication.publish(catalogue.clone());
        }
        match failure {
            Some(error @ TopicLogError::NoTopic { .. }) => return Err(error.into()),
            // The client connects again by itself.
            Some(error) if shared.publication.readiness() == RegistryReadiness::Ready => {
                tracing::debug!(%error, "cannot read the registry now");
            }
            Some(error) => shared.publication.wait_for(error.to_string()),
            None => {}
        }
    }
}

fn read_slice(reader: &LogReader) -> (Vec<LogItem>, Option<TopicLogError>) {
    let mut steps = Vec::new();
    let mut patience = SLICE;
    while steps.len() < RECORDS_A_SLICE {
        match reader.next(patience) {
            Ok(LogItem::Quiet) => break,
            Ok(step) => steps.push(step),
            Err(error) => return (steps, Some(error)),
        }
        patience = Duration::ZERO;
    }
    (steps, None)
}
