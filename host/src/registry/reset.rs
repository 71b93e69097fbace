//! How a function is sent to another place in its topics.
//!
//! Kafka takes offsets of a group from a stranger only while the group has no member. So the record makes every host
//! step aside; when the group is empty the offsets are written, and the record lets the hosts come back. Should anyone who
//! does this die in between, the hosts come back by themselves, and Kafka refuses what comes too late.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::offset_target::OffsetTarget;
use crate::kafka::admin::AdminError;
use crate::model::clock::now_ms;
use crate::model::function::{Manifest, SharedRevision};
use crate::model::ids::FunctionName;
use crate::registry::cluster::{ClusterError, OffsetMove, PartitionSelection};
use crate::registry::deploy::{check_expectation, live_record, start_over_when_superseded};
use crate::registry::desired_state::commit;
use crate::registry::error::ChangeError;
use crate::registry::handle::RegistryState;
use crate::registry::log::LiveExpectation;
use crate::registry::record::{DesiredCourse, PendingReset};

/// Hosts drain first, and a host that died keeps its members for a session timeout.
const GROUP_EMPTIES_WITHIN: Duration = Duration::from_secs(90);
/// Longer, so that the hosts come back by themselves only when no one is left to let them.
const ASIDE_FOR: Duration = Duration::from_secs(120);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);

#[derive(Debug, Clone)]
pub(crate) struct ResetOrder {
    pub(crate) selection: PartitionSelection,
    pub(crate) to: OffsetTarget,
}

/// What a reset would do now.
pub(crate) async fn plan(
    inner: &RegistryState,
    manifest: &Manifest,
    order: &ResetOrder,
) -> Result<Vec<OffsetMove>, ChangeError> {
    Ok(inner.cluster.plan_moves(manifest, order).await?)
}

/// Moves the function, and says from where to where.
pub(crate) async fn reset(
    inner: Arc<RegistryState>,
    name: FunctionName,
    order: ResetOrder,
    expectation: Option<LiveExpectation>,
) -> Result<Vec<OffsetMove>, ChangeError> {
    let reset = PendingReset { id: fastrand::u64(1..1 << 53), until_ms: now_ms() + ASIDE_FOR.as_millis() as u64 };
    let revision = send_aside(&inner, &name, &order, reset, expectation).await?;
    let moved = move_when_empty(&inner, &revision.manifest, &order).await;
    if moved.is_ok() {
        begin_shadow_anew(&inner, &revision.manifest).await;
    }
    if let Err(error) = call_back(&inner, &name, reset).await {
        tracing::warn!(function = %name, %error, "the hosts were not informed that the reset is over; they continue in two minutes");
    }
    match &moved {
        Ok(moves) => tracing::info!(function = %name, partitions = moves.len(), "reset"),
        Err(error) => tracing::warn!(function = %name, %error, "not reset; it continues where it was"),
    }
    moved
}

async fn send_aside(
    inner: &RegistryState,
    name: &FunctionName,
    order: &ResetOrder,
    reset: PendingReset,
    expectation: Option<LiveExpectation>,
) -> Result<SharedRevision, ChangeError> {
    let attempt = || async {
        let session = inner.log.begin().await?;
        let record = live_record(session.catalogue(), name)?.ok_or_else(|| ChangeError::NotFound(name.clone()))?;
        let revision = Arc::clone(&record.live().revision);
        let course = record.course();
        if course.reset.is_some_and(|other| other.id == reset.id) {
            // The answer of an earlier attempt was lost.
            return Ok(revision);
        }
        check_expectation(name, Some(record), expectation)?;
        if course.reset.is_some_and(|other| other.until_ms > now_ms()) {
            return Err(ChangeError::ResetUnderWay(name.clone()));
        }
        // What can't be done disturbs no one.
        plan(inner, &revision.manifest, order).await?;
        let next = record.on_course(DesiredCourse { reset: Some(reset), ..course });
        commit(session, name, next).await?;
        Ok(revision)
    };
    let _queue = inner.writing.lock().await;
    start_over_when_superseded(attempt).await
}

/// The broker alone decides whether the group is empty, in the step in which it takes the offsets.
async fn move_when_empty(
    inner: &RegistryState,
    manifest: &Manifest,
    order: &ResetOrder,
) -> Result<Vec<OffsetMove>, ChangeError> {
    let name = &manifest.name;
    let give_up = Instant::now() + GROUP_EMPTIES_WITHIN;
    loop {
        let full = || ClusterError::Admin(AdminError::GroupHasMembers { group: name.group_id() });
        let failure = match inner.cluster.has_members(name).await {
            Ok(true) => full(),
            Ok(false) => {
                let moves = plan(inner, manifest, order).await?;
                match inner.cluster.move_offsets(name, &moves).await {
                    Ok(()) => return Ok(moves),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        let may_pass = match &failure {
            ClusterError::Admin(AdminError::GroupHasMembers { .. }) => true,
            ClusterError::Admin(error) => error.is_unreachable(),
            _ => false,
        };
        if !may_pass || Instant::now() >= give_up {
            return Err(failure.into());
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
}

/// What a shadow is compared on must have been handled by the live revision; what was skipped was not.
async fn begin_shadow_anew(inner: &RegistryState, live: &Manifest) {
    let Some(shadow) = inner.shadow_number(&live.name) else { return };
    if let Err(error) = inner.cluster.begin_shadow(live, shadow).await {
        tracing::warn!(function = %live.name, %error, "what the reset skips will show as differences of the shadow");
    }
}

async fn call_back(inner: &RegistryState, name: &FunctionName, reset: PendingReset) -> Result<(), ChangeError> {
    let attempt = || async {
        let session = inner.log.begin().await?;
        let Some(record) = live_record(session.catalogue(), name)? else { return Ok(()) };
        let course = record.course();
        if course.reset != Some(reset) {
            return Ok(());
        }
        let next = record.on_course(DesiredCourse { reset: None, ..course });
        commit(session, name, next).await
    };
    {
        let _queue = inner.writing.lock().await;
        start_over_when_superseded(attempt).await?;
    }
    let is_over = |record: &crate::registry::record::FunctionRecord| record.course().reset != Some(reset);
    inner.read_back(|catalogue| catalogue.get(name).is_none_or(is_over)).await;
    Ok(())
}
