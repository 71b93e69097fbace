//! New revisions of modules that are stored: another manifest for the live one, or what an earlier revision was.

use parking_lot::Mutex;
use std::sync::Arc;

use crate::model::function::Manifest;
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::registry::deploy::{
    DeployOutcome, NextRevision, check_expectation, commit, live_record, start_over_when_superseded, told,
};
use crate::registry::error::ChangeError;
use crate::registry::handle::RegistryState;
use crate::registry::log::LiveExpectation;
use crate::registry::record::{FunctionRecord, StoredRevision};

/// Gives the live module another manifest.
pub(crate) async fn change_manifest(
    inner: Arc<RegistryState>,
    manifest: Manifest,
    expectation: Option<LiveExpectation>,
) -> Result<DeployOutcome, ChangeError> {
    let _queue = inner.writing.lock().await;
    let deployed = start_over_when_superseded(|| replace_manifest(&inner, &manifest, expectation)).await?;
    told(&inner, &deployed).await;
    Ok(deployed)
}

async fn replace_manifest(
    inner: &RegistryState,
    manifest: &Manifest,
    expectation: Option<LiveExpectation>,
) -> Result<DeployOutcome, ChangeError> {
    let session = inner.log.begin().await?;
    let name = &manifest.name;
    let record = live_record(session.catalogue(), name)?.ok_or_else(|| ChangeError::NotFound(name.clone()))?;
    let live = record.live();
    if live.revision.manifest == *manifest {
        // Also what is found when the answer of an earlier attempt was lost. Topics may have been deleted since.
        inner.cluster.make_topics(manifest).await?;
        return Ok(DeployOutcome { revision: Arc::clone(&live.revision), created: false });
    }
    check_expectation(name, Some(record), expectation)?;
    let next = NextRevision { manifest: manifest.clone(), restores: None, ..again(live) };
    let (previous, number) = (record.clone(), FunctionRecord::next_number(Some(record)));
    inner.cluster.make_topics(manifest).await?;
    commit(session, Some(previous), next.numbered(number)).await
}

/// Makes an earlier revision live again, as a new one: `to`, or the one before the live one.
pub(crate) async fn rollback(
    inner: Arc<RegistryState>,
    name: FunctionName,
    to: Option<RevisionNumber>,
    expectation: Option<LiveExpectation>,
) -> Result<DeployOutcome, ChangeError> {
    let _queue = inner.writing.lock().await;
    let first_try = Mutex::new(None);
    let deployed = start_over_when_superseded(|| restore(&inner, &name, to, expectation, &first_try)).await?;
    told(&inner, &deployed).await;
    Ok(deployed)
}

/// What was live when a rollback was first tried, and what it was to restore: the one before the live one is another one
/// once the rollback went through and only its answer was lost.
type FirstTry = Mutex<Option<(RevisionNumber, RevisionNumber)>>;

async fn restore(
    inner: &RegistryState,
    name: &FunctionName,
    to: Option<RevisionNumber>,
    expectation: Option<LiveExpectation>,
    first_try: &FirstTry,
) -> Result<DeployOutcome, ChangeError> {
    let session = inner.log.begin().await?;
    let record = live_record(session.catalogue(), name)?.ok_or_else(|| ChangeError::NotFound(name.clone()))?;
    let live = record.live();
    let tried = *first_try.lock();
    if let Some((before, target)) = tried
        && live.restores == Some(target)
        && live.revision.number > before
    {
        return Ok(DeployOutcome { revision: Arc::clone(&live.revision), created: false });
    }
    check_expectation(name, Some(record), expectation)?;
    let target = match tried.map(|(_, target)| target).or(to) {
        Some(number) => record.find(number),
        None => record.previous(),
    };
    let target = target.ok_or_else(|| missing(name, to, record))?;
    *first_try.lock() = Some((live.revision.number, target.revision.number));
    if target.revision.digest == live.revision.digest && target.revision.manifest == live.revision.manifest {
        return Ok(DeployOutcome { revision: Arc::clone(&live.revision), created: false });
    }
    let next = NextRevision { restores: Some(target.revision.number), ..again(target) };
    let (previous, number) = (record.clone(), FunctionRecord::next_number(Some(record)));
    make_ready(inner, &next).await?;
    commit(session, Some(previous), next.numbered(number)).await
}

/// Looks whether this host can run it: another host, or this one in an earlier version, accepted it.
pub(crate) async fn make_ready(inner: &RegistryState, next: &NextRevision) -> Result<(), ChangeError> {
    let module = inner.artifact(next.digest, next.artifact).await?;
    inner.inspect.check(next.digest, module).await?;
    inner.cluster.make_topics(&next.manifest).await?;
    Ok(())
}

/// What a revision is made of that has the manifest and module of this one.
pub(crate) fn again(stored: &StoredRevision) -> NextRevision {
    let revision = &stored.revision;
    NextRevision {
        manifest: revision.manifest.clone(),
        digest: revision.digest,
        module_bytes: revision.module_bytes,
        shape: revision.shape,
        artifact: stored.artifact,
        restores: stored.restores,
    }
}

fn missing(name: &FunctionName, wanted: Option<RevisionNumber>, record: &FunctionRecord) -> ChangeError {
    let kept = record.revisions().iter().map(|stored| stored.revision.number).collect();
    ChangeError::NoRevision { name: name.clone(), wanted, kept }
}
