//! What is wanted of a function beside its revision: whether it is paused.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::function::SharedRevision;
use crate::model::ids::FunctionName;
use crate::registry::deploy::{check_expectation, live_record, start_over_when_superseded};
use crate::registry::error::ChangeError;
use crate::registry::handle::RegistryState;
use crate::registry::log::{FunctionChange, LiveExpectation, LogSession};
use crate::registry::record::{DesiredCourse, FunctionRecord};

/// Pauses a function, or lets it continue. Gives its live revision.
pub(crate) async fn set_paused(
    inner: Arc<RegistryState>,
    name: FunctionName,
    paused: bool,
    expectation: Option<LiveExpectation>,
) -> Result<SharedRevision, ChangeError> {
    let _queue = inner.writing.lock().await;
    let revision = start_over_when_superseded(|| turn(&inner, &name, paused, expectation)).await?;
    let is_told = |record: &FunctionRecord| record.course().paused == paused;
    inner.read_back(|catalogue| catalogue.get(&name).is_none_or(is_told)).await;
    tracing::info!(function = %name, paused, "the function's course was changed");
    Ok(revision)
}

async fn turn(
    inner: &RegistryState,
    name: &FunctionName,
    paused: bool,
    expectation: Option<LiveExpectation>,
) -> Result<SharedRevision, ChangeError> {
    let session = inner.log.begin().await?;
    let record = live_record(session.catalogue(), name)?.ok_or_else(|| ChangeError::NotFound(name.clone()))?;
    let revision = Arc::clone(&record.live().revision);
    let course = record.course();
    if course.paused == paused {
        // Also what is found when the answer of an earlier attempt was lost.
        return Ok(revision);
    }
    check_expectation(name, Some(record), expectation)?;
    let next = record.on_course(DesiredCourse { paused, ..course });
    commit(session, name, next).await?;
    Ok(revision)
}

/// Writes a record that names the same artifacts as before.
pub(crate) async fn commit(
    session: Box<dyn LogSession>,
    name: &FunctionName,
    record: Vec<u8>,
) -> Result<(), ChangeError> {
    session.commit(FunctionChange { name: name.clone(), record: Some(record), forgotten: BTreeMap::new() }).await?;
    Ok(())
}
