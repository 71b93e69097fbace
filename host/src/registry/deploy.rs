//! How a function's revision comes to be: from an upload, from another manifest for the live module, or from an earlier
//! revision.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::catalogue::Catalogue;
use super::error::ChangeError;
use super::handle::Inner;
use super::log::{Change, Expectation, Session};
use super::record::{ArtifactPlace, FunctionRecord, StoredRevision};
use crate::model::function::{Manifest, Revision, Shape, SharedRevision};
use crate::model::ids::{Digest, FunctionName, RevisionNumber};

/// How often a change starts over because another host came between.
const ATTEMPTS: u32 = 8;
const LONGEST_PAUSE_MS: u64 = 400;

/// What a deploy led to.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The live revision.
    pub revision: SharedRevision,
    /// Whether the function is new.
    pub created: bool,
}

/// A module that was looked at.
struct Upload {
    manifest: Manifest,
    digest: Digest,
    module: Bytes,
    shape: Shape,
}

pub(super) async fn deploy(
    inner: Arc<Inner>,
    manifest: Manifest,
    module: Bytes,
    expectation: Option<Expectation>,
) -> Result<Deployed, ChangeError> {
    let digest = Digest::of(&module);
    let shape = inner.inspect.check(digest, module.clone()).await?;
    let upload = Upload { manifest, digest, module, shape };

    let _queue = inner.writing.lock().await;
    inner.cache.put(digest, upload.module.clone()).await;
    let deployed = start_over_when_superseded(|| accept(&inner, &upload, expectation)).await?;
    told(&inner, &deployed).await;
    Ok(deployed)
}

/// Waits until this host knows what was deployed, and says it.
pub(super) async fn told(inner: &Inner, deployed: &Deployed) {
    let Revision { number, digest, manifest, .. } = &*deployed.revision;
    let is_live = |record: &FunctionRecord| record.live().revision.number >= *number;
    inner.read_back(|catalogue| catalogue.get(&manifest.name).is_some_and(is_live)).await;
    tracing::info!(function = %manifest.name, revision = %number, %digest, "deployed");
}

/// One attempt: shuts other writers out, looks at the newest record, and writes the next one.
async fn accept(inner: &Inner, upload: &Upload, expectation: Option<Expectation>) -> Result<Deployed, ChangeError> {
    let manifest = &upload.manifest;
    let mut session = inner.log.begin().await?;
    let live = live_record(session.catalogue(), &manifest.name)?;
    if let Some(revision) = live.map(|record| &record.live().revision)
        && revision.digest == upload.digest
        && revision.manifest == *manifest
    {
        // Also what is found when the answer of an earlier attempt was lost. Topics may have been deleted since.
        inner.cluster.make_topics(manifest).await?;
        return Ok(Deployed { revision: Arc::clone(revision), created: false });
    }
    check_expectation(&manifest.name, live, expectation)?;
    let previous = live.cloned();

    inner.cluster.make_topics(manifest).await?;
    if previous.is_none() {
        inner.cluster.store_start_offsets(manifest).await?;
    }
    let artifact = match session.catalogue().artifact(upload.digest) {
        Some(place) => place,
        None => session.store(upload.digest, upload.module.clone()).await?,
    };

    let next = Next {
        manifest: manifest.clone(),
        digest: upload.digest,
        module_bytes: upload.module.len() as u64,
        shape: upload.shape,
        artifact,
        restores: None,
    };
    commit(session, previous, next).await
}

/// What the next revision is made of.
pub(super) struct Next {
    pub(super) manifest: Manifest,
    pub(super) digest: Digest,
    pub(super) module_bytes: u64,
    pub(super) shape: Shape,
    pub(super) artifact: ArtifactPlace,
    pub(super) restores: Option<RevisionNumber>,
}

/// Makes `next` the live revision after `previous`.
pub(super) async fn commit(
    session: Box<dyn Session>,
    previous: Option<FunctionRecord>,
    next: Next,
) -> Result<Deployed, ChangeError> {
    let Next { manifest, digest, module_bytes, shape, artifact, restores } = next;
    let name = manifest.name.clone();
    let number = FunctionRecord::next_number(previous.as_ref());
    let revision = Arc::new(Revision { number, digest, module_bytes, shape, manifest, deployed_at_ms: unix_ms() });
    let stored = StoredRevision { revision: Arc::clone(&revision), artifact, restores };
    let (record, json) = FunctionRecord::with(previous.as_ref(), stored)
        .map_err(|reason| ChangeError::Record { name: name.clone(), reason })?;
    let forgotten = session.catalogue().forgotten(&name, Some(&record));
    session.commit(Change { name, record: Some(json), forgotten }).await?;
    Ok(Deployed { revision, created: previous.is_none() })
}

/// The record that a change builds on; refused when this host would destroy what it cannot read.
pub(super) fn live_record<'a>(
    catalogue: &'a Catalogue,
    name: &FunctionName,
) -> Result<Option<&'a FunctionRecord>, ChangeError> {
    match catalogue.unreadable(name) {
        Some(reason) => Err(ChangeError::Record { name: name.clone(), reason: reason.clone() }),
        None => Ok(catalogue.get(name)),
    }
}

pub(super) fn check_expectation(
    name: &FunctionName,
    live: Option<&FunctionRecord>,
    expectation: Option<Expectation>,
) -> Result<(), ChangeError> {
    let live = live.map(|record| record.live().revision.number);
    match expectation {
        Some(expectation) if !expectation.is_met_by(live) => {
            Err(ChangeError::Precondition { name: name.clone(), live })
        }
        _ => Ok(()),
    }
}

/// Repeats `attempt` while other hosts fence it, after a random pause so that two of them do not keep each other busy.
pub(super) async fn start_over_when_superseded<T, F: Future<Output = Result<T, ChangeError>>>(
    attempt: impl Fn() -> F,
) -> Result<T, ChangeError> {
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.is_superseded() => {
                tracing::info!("another host changes the registry too; starting over");
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..LONGEST_PAUSE_MS))).await;
            }
            result => return result,
        }
    }
    attempt().await
}

pub(super) fn unix_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
