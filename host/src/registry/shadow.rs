//! A function's shadow: a revision that runs beside the live one until it is promoted, replaced or stopped.
//!
//! It begins with the records that come after its deploy. Where that is in each partition is stored before the deploy is
//! answered, in a group of its own, in which the hosts then keep how far they are.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::function::{Manifest, SharedRevision};
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::registry::deploy::{
    DeployOutcome, InspectedUpload, check_expectation, commit, live_record, replace, start_over_when_superseded, told,
};
use crate::registry::error::ChangeError;
use crate::registry::handle::RegistryState;
use crate::registry::log::LiveExpectation;
use crate::registry::record::{FunctionRecord, StoredShadow};
use crate::registry::revise::{again, make_ready};

/// Every host has heard by then that a shadow is gone, and keeps nothing of it any more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);

/// Deploys a shadow. Gives its revision, and whether it is another one than before.
pub(crate) async fn deploy(
    inner: Arc<RegistryState>,
    manifest: Manifest,
    module: Bytes,
    ignore: Vec<String>,
    expectation: Option<LiveExpectation>,
) -> Result<DeployOutcome, ChangeError> {
    let name = manifest.name.clone();
    let upload = InspectedUpload::inspect(&inner, manifest, module).await?;
    let _queue = inner.writing.lock().await;
    upload.keep(&inner).await;
    let attempt = || cast(&inner, &upload, &ignore, expectation);
    let (deployed, replaced) = start_over_when_superseded(attempt).await?;
    let number = deployed.revision.number;
    let is_known = |record: &FunctionRecord| shadow_number(record) >= Some(number);
    inner.read_back(|catalogue| catalogue.get(&name).is_none_or(is_known)).await;
    tracing::info!(function = %name, revision = %number, "deployed as a shadow");
    forget(&inner, &name, replaced);
    Ok(deployed)
}

/// One attempt. Gives the shadow, and the number of the one that it replaced.
async fn cast(
    inner: &RegistryState,
    upload: &InspectedUpload,
    ignore: &[String],
    expectation: Option<LiveExpectation>,
) -> Result<(DeployOutcome, Option<RevisionNumber>), ChangeError> {
    let name = &upload.manifest.name;
    let mut session = inner.log.begin().await?;
    let record = live_record(session.catalogue(), name)?.ok_or_else(|| ChangeError::NotFound(name.clone()))?.clone();
    if let Some(StoredShadow { stored, ignore: ignored }) = record.shadow()
        && upload.is(&stored.revision)
        && ignored == ignore
    {
        // Also what is found when the answer of an earlier attempt was lost.
        return Ok((DeployOutcome { revision: Arc::clone(&stored.revision), created: false }, None));
    }
    check_expectation(name, Some(&record), expectation)?;
    let live = &record.live().revision.manifest;
    if live.topics != upload.manifest.topics || live.ticks() != upload.manifest.ticks() {
        return Err(ChangeError::ShadowElsewhere(name.clone()));
    }
    let number = FunctionRecord::next_number(Some(&record));
    inner.cluster.begin_shadow(live, number).await?;
    let stored = upload.store(&mut session).await?.numbered(number);
    let revision = Arc::clone(&stored.revision);
    replace(session, name, record.shadowed_by(Some(StoredShadow { stored, ignore: ignore.to_vec() }))).await?;
    Ok((DeployOutcome { revision, created: true }, shadow_number(&record)))
}

/// Takes a function's shadow away.
pub(crate) async fn stop(
    inner: Arc<RegistryState>,
    name: FunctionName,
    expectation: Option<LiveExpectation>,
) -> Result<(), ChangeError> {
    let _queue = inner.writing.lock().await;
    let first_try = Mutex::new(None);
    let attempt = || async {
        let session = inner.log.begin().await?;
        let record = live_record(session.catalogue(), &name)?.ok_or_else(|| ChangeError::NotFound(name.clone()))?;
        let Some(number) = shadow_number(record) else {
            // It is gone already when only the answer of an earlier attempt was lost.
            return remembered(&first_try).ok_or_else(|| ChangeError::NoShadow(name.clone()));
        };
        check_expectation(&name, Some(record), expectation)?;
        let made = record.shadowed_by(None);
        remember(&first_try, number);
        replace(session, &name, made).await?;
        Ok(number)
    };
    let number = start_over_when_superseded(attempt).await?;
    inner.read_back(|catalogue| catalogue.get(&name).is_none_or(|record| shadow_number(record) != Some(number))).await;
    tracing::info!(function = %name, revision = %number, "the shadow was stopped");
    forget(&inner, &name, Some(number));
    Ok(())
}

/// Makes a function's shadow its live revision. It keeps its number, unless others went live since.
pub(crate) async fn promote(
    inner: Arc<RegistryState>,
    name: FunctionName,
    only: Option<RevisionNumber>,
    expectation: Option<LiveExpectation>,
) -> Result<DeployOutcome, ChangeError> {
    let _queue = inner.writing.lock().await;
    let first_try = Mutex::new(None);
    let deployed = start_over_when_superseded(|| make_live(&inner, &name, only, expectation, &first_try)).await?;
    told(&inner, &deployed).await;
    forget(&inner, &name, remembered(&first_try).map(|shadow: SharedRevision| shadow.number));
    Ok(deployed)
}

async fn make_live(
    inner: &RegistryState,
    name: &FunctionName,
    only: Option<RevisionNumber>,
    expectation: Option<LiveExpectation>,
    first_try: &Mutex<Option<SharedRevision>>,
) -> Result<DeployOutcome, ChangeError> {
    let session = inner.log.begin().await?;
    let record = live_record(session.catalogue(), name)?.ok_or_else(|| ChangeError::NotFound(name.clone()))?;
    let live = &record.live().revision;
    let is_meant = |shadow: &&StoredShadow| only.is_none_or(|number| shadow.stored.revision.number == number);
    let Some(StoredShadow { stored, .. }) = record.shadow().filter(is_meant) else {
        return match remembered(first_try) {
            // Only the answer of an earlier attempt was lost.
            Some(shadow) if live.digest == shadow.digest && live.manifest == shadow.manifest => {
                Ok(DeployOutcome { revision: Arc::clone(live), created: false })
            }
            _ => Err(ChangeError::NoShadow(name.clone())),
        };
    };
    check_expectation(name, Some(record), expectation)?;
    remember(first_try, Arc::clone(&stored.revision));
    // The highest number is live, always.
    let number = match stored.revision.number > live.number {
        true => stored.revision.number,
        false => FunctionRecord::next_number(Some(record)),
    };
    let next = again(stored);
    let (previous, _) =
        record.shadowed_by(None).map_err(|reason| ChangeError::Record { name: name.clone(), reason })?;
    make_ready(inner, &next).await?;
    commit(session, Some(previous), next.numbered(number)).await
}

fn shadow_number(record: &FunctionRecord) -> Option<RevisionNumber> {
    record.shadow().map(|shadow| shadow.stored.revision.number)
}

fn remember<T>(first_try: &Mutex<Option<T>>, what: T) {
    *first_try.lock() = Some(what);
}

fn remembered<T: Clone>(first_try: &Mutex<Option<T>>) -> Option<T> {
    first_try.lock().clone()
}

/// Forgets how far a shadow was that is gone, a moment later. What is left behind, Kafka forgets by itself some day.
pub(crate) fn forget(inner: &Arc<RegistryState>, name: &FunctionName, number: Option<RevisionNumber>) {
    let Some(number) = number else { return };
    let (inner, name) = (Arc::clone(inner), name.clone());
    tokio::spawn(async move {
        tokio::time::sleep(FORGOTTEN_AFTER).await;
        if let Err(error) = inner.cluster.end_shadow(&name, number).await {
            tracing::warn!(function = %name, revision = %number, %error, "the group of a shadow that is gone stays");
        }
    });
}
