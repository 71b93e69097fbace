//! How a function's revision comes to be: from an upload, from another manifest for the live module, or from an earlier
//! revision.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::clock::now_ms;
use crate::model::function::{Manifest, ModuleShape, Revision, SharedRevision};
use crate::model::ids::{ArtifactDigest, FunctionName, RevisionNumber};
use crate::registry::catalogue::FunctionCatalogue;
use crate::registry::error::ChangeError;
use crate::registry::handle::RegistryState;
use crate::registry::log::{FunctionChange, LiveExpectation, LogSession};
use crate::registry::record::{ArtifactPlace, FunctionRecord, RecordError, StoredRevision};

/// How often a change starts over because another host came between.
const ATTEMPTS: u32 = 8;
const LONGEST_PAUSE_MS: u64 = 400;

/// What a deploy led to.
#[derive(Debug, Clone)]
pub(crate) struct DeployOutcome {
    pub(crate) revision: SharedRevision,
    /// Whether the function is new.
    pub(crate) created: bool,
}

/// A module that was looked at, with its manifest.
pub(crate) struct InspectedUpload {
    pub(crate) manifest: Manifest,
    pub(crate) digest: ArtifactDigest,
    module: Bytes,
    shape: ModuleShape,
}

impl InspectedUpload {
    pub(crate) async fn inspect(inner: &RegistryState, manifest: Manifest, module: Bytes) -> Result<Self, ChangeError> {
        let digest = ArtifactDigest::of(&module);
        let shape = inner.inspect.check(digest, module.clone()).await?;
        Ok(Self { manifest, digest, module, shape })
    }

    /// Keeps a copy on this host's disk.
    pub(crate) async fn keep(&self, inner: &RegistryState) {
        inner.cache.put(self.digest, self.module.clone()).await;
    }

    /// Whether `revision` has the same manifest and module.
    pub(crate) fn is(&self, revision: &Revision) -> bool {
        revision.digest == self.digest && revision.manifest == self.manifest
    }

    /// Stores the module, unless a kept revision has it, and gives what a revision is made of.
    pub(crate) async fn store(&self, session: &mut Box<dyn LogSession>) -> Result<NextRevision, ChangeError> {
        let artifact = match session.catalogue().artifact(self.digest) {
            Some(place) => place,
            None => session.store(self.digest, self.module.clone()).await?,
        };
        Ok(NextRevision {
            manifest: self.manifest.clone(),
            digest: self.digest,
            module_bytes: self.module.len() as u64,
            shape: self.shape,
            artifact,
            restores: None,
        })
    }
}

pub(crate) async fn deploy(
    inner: Arc<RegistryState>,
    manifest: Manifest,
    module: Bytes,
    expectation: Option<LiveExpectation>,
) -> Result<DeployOutcome, ChangeError> {
    let upload = InspectedUpload::inspect(&inner, manifest, module).await?;
    let _queue = inner.writing.lock().await;
    upload.keep(&inner).await;
    let deployed = start_over_when_superseded(|| accept(&inner, &upload, expectation)).await?;
    told(&inner, &deployed).await;
    Ok(deployed)
}

/// Waits until this host knows what was deployed, and says it.
pub(crate) async fn told(inner: &RegistryState, deployed: &DeployOutcome) {
    let Revision { number, digest, manifest, .. } = &*deployed.revision;
    let is_live = |record: &FunctionRecord| record.live().revision.number >= *number;
    inner.read_back(|catalogue| catalogue.get(&manifest.name).is_some_and(is_live)).await;
    tracing::info!(function = %manifest.name, revision = %number, %digest, "deployed");
}

/// One attempt: shuts other writers out, looks at the newest record, and writes the next one.
async fn accept(
    inner: &RegistryState,
    upload: &InspectedUpload,
    expectation: Option<LiveExpectation>,
) -> Result<DeployOutcome, ChangeError> {
    let manifest = &upload.manifest;
    let mut session = inner.log.begin().await?;
    let live = live_record(session.catalogue(), &manifest.name)?;
    if let Some(revision) = live.map(|record| &record.live().revision)
        && upload.is(revision)
    {
        // Also what is found when the answer of an earlier attempt was lost. Topics may have been deleted since.
        inner.cluster.make_topics(manifest).await?;
        return Ok(DeployOutcome { revision: Arc::clone(revision), created: false });
    }
    check_expectation(&manifest.name, live, expectation)?;
    let previous = live.cloned();

    inner.cluster.make_topics(manifest).await?;
    if previous.is_none() {
        inner.cluster.store_start_offsets(manifest).await?;
    }
    let next = upload.store(&mut session).await?;
    let number = FunctionRecord::next_number(previous.as_ref());
    commit(session, previous, next.numbered(number)).await
}

/// What the next revision is made of.
pub(crate) struct NextRevision {
    pub(crate) manifest: Manifest,
    pub(crate) digest: ArtifactDigest,
    pub(crate) module_bytes: u64,
    pub(crate) shape: ModuleShape,
    pub(crate) artifact: ArtifactPlace,
    pub(crate) restores: Option<RevisionNumber>,
}

impl NextRevision {
    pub(crate) fn numbered(self, number: RevisionNumber) -> StoredRevision {
        let Self { manifest, digest, module_bytes, shape, artifact, restores } = self;
        let deployed_at_ms = now_ms();
        let revision = Revision { number, digest, module_bytes, shape, manifest, deployed_at_ms };
        StoredRevision { revision: Arc::new(revision), artifact, restores }
    }
}

/// Makes `next` the live revision after `previous`.
pub(crate) async fn commit(
    session: Box<dyn LogSession>,
    previous: Option<FunctionRecord>,
    next: StoredRevision,
) -> Result<DeployOutcome, ChangeError> {
    let revision = Arc::clone(&next.revision);
    let made = FunctionRecord::with(previous.as_ref(), next);
    replace(session, &revision.manifest.name, made).await?;
    Ok(DeployOutcome { revision, created: previous.is_none() })
}

/// Writes a record that may name other artifacts than before.
pub(crate) async fn replace(
    session: Box<dyn LogSession>,
    name: &FunctionName,
    made: Result<(FunctionRecord, Vec<u8>), RecordError>,
) -> Result<(), ChangeError> {
    let (record, json) = made.map_err(|reason| ChangeError::Record { name: name.clone(), reason })?;
    let forgotten = session.catalogue().forgotten(name, Some(&record));
    session.commit(FunctionChange { name: name.clone(), record: Some(json), forgotten }).await?;
    Ok(())
}

/// The record that a change builds on; refused when this host would destroy what it cannot read.
pub(crate) fn live_record<'a>(
    catalogue: &'a FunctionCatalogue,
    name: &FunctionName,
) -> Result<Option<&'a FunctionRecord>, ChangeError> {
    match catalogue.unreadable(name) {
        Some(reason) => Err(ChangeError::Record { name: name.clone(), reason: reason.clone() }),
        None => Ok(catalogue.get(name)),
    }
}

pub(crate) fn check_expectation(
    name: &FunctionName,
    live: Option<&FunctionRecord>,
    expectation: Option<LiveExpectation>,
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
pub(crate) async fn start_over_when_superseded<T, F: Future<Output = Result<T, ChangeError>>>(
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
