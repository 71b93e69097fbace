//! How a function goes: first its record, so that every host stops it, then its group, once that is empty.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::ids::{FunctionName, RevisionNumber};
use crate::registry::deploy::{check_expectation, live_record, start_over_when_superseded};
use crate::registry::error::ChangeError;
use crate::registry::handle::RegistryState;
use crate::registry::log::{FunctionChange, LiveExpectation};
use crate::registry::shadow;

/// Hosts drain first, and a host that died keeps its members for a session timeout.
const GROUP_EMPTIES_WITHIN: Duration = Duration::from_secs(120);
/// As long as a caller is made to wait for it.
const WAIT_FOR_GROUP: Duration = Duration::from_secs(10);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

pub(crate) async fn delete(
    inner: Arc<RegistryState>,
    name: FunctionName,
    expectation: Option<LiveExpectation>,
) -> Result<(), ChangeError> {
    {
        let _queue = inner.writing.lock().await;
        let shadow = start_over_when_superseded(|| remove_record(&inner, &name, expectation)).await?;
        inner.read_back(|catalogue| catalogue.get(&name).is_none()).await;
        shadow::forget(&inner, &name, shadow);
    }
    tracing::info!(function = %name, "deleted");
    let deletion = tokio::spawn(delete_group(inner, name));
    // It continues by itself. Anyone who deploys the name again empties the group first.
    let _ = tokio::time::timeout(WAIT_FOR_GROUP, deletion).await;
    Ok(())
}

/// Gives the number of the shadow that goes with it.
async fn remove_record(
    inner: &RegistryState,
    name: &FunctionName,
    expectation: Option<LiveExpectation>,
) -> Result<Option<RevisionNumber>, ChangeError> {
    let session = inner.log.begin().await?;
    let record = live_record(session.catalogue(), name)?.ok_or_else(|| ChangeError::NotFound(name.clone()))?;
    check_expectation(name, Some(record), expectation)?;
    let shadow = record.shadow().map(|shadow| shadow.stored.revision.number);
    let forgotten = session.catalogue().forgotten(name, None);
    session.commit(FunctionChange { name: name.clone(), record: None, forgotten }).await?;
    Ok(shadow)
}

async fn delete_group(inner: Arc<RegistryState>, name: FunctionName) {
    let deadline = Instant::now() + GROUP_EMPTIES_WITHIN;
    loop {
        let failure = match try_delete_group(&inner, &name).await {
            Ok(true) => return,
            Ok(false) => "it still has members".to_owned(),
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            tracing::warn!(function = %name, "the consumer group of a deleted function stays: {failure}");
            return;
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
}

/// Whether there is nothing left to do.
///
/// The session is for the deploy of another host that is storing start offsets for the same name just now: it is
/// fenced, so it cannot commit, starts over, and finds the name's group empty.
async fn try_delete_group(inner: &RegistryState, name: &FunctionName) -> Result<bool, ChangeError> {
    if inner.cluster.has_members(name).await? {
        return Ok(false);
    }
    let _queue = inner.writing.lock().await;
    let session = inner.log.begin().await?;
    if session.catalogue().get(name).is_none() {
        inner.cluster.delete_group(name).await?;
    }
    Ok(true)
}
