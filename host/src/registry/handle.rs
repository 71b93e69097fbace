//! The way to the registry for everybody else.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, watch};

use crate::model::function::{Manifest, Revision, SharedRevision};
use crate::model::function_table::FunctionTable;
use crate::model::ids::{ArtifactDigest, FunctionName, RevisionNumber};
use crate::model::shadow::ShadowRevision;
use crate::registry::artifact_cache::ArtifactCache;
use crate::registry::catalogue::FunctionCatalogue;
use crate::registry::catalogue_view::{CatalogueView, RegistryReadiness};
use crate::registry::cluster::{ClusterAdmin, OffsetMove};
use crate::registry::delete;
use crate::registry::deploy::{self, DeployOutcome};
use crate::registry::desired_state;
use crate::registry::error::{ArtifactError, ChangeError};
use crate::registry::inspect::ModuleInspector;
use crate::registry::log::{LiveExpectation, RegistryLog};
use crate::registry::record::{ArtifactPlace, StoredRevision};
use crate::registry::reset::{self, ResetOrder};
use crate::registry::revise;
use crate::registry::shadow;

/// How long a change waits until this host has read it back.
const READ_BACK_WITHIN: Duration = Duration::from_secs(10);

/// What a registry stands on.
pub(crate) struct RegistryParts {
    /// Where records and artifacts are kept.
    pub(crate) log: Arc<dyn RegistryLog>,
    pub(crate) view: CatalogueView,
    pub(crate) cluster: Arc<dyn ClusterAdmin>,
    pub(crate) inspect: Arc<dyn ModuleInspector>,
    /// A folder for copies of artifacts.
    pub(crate) cache_folder: PathBuf,
}

/// The registry. Clones share everything.
#[derive(Clone)]
pub(crate) struct RegistryHandle(Arc<RegistryState>);

pub(crate) struct RegistryState {
    pub(crate) log: Arc<dyn RegistryLog>,
    pub(crate) cluster: Arc<dyn ClusterAdmin>,
    pub(crate) inspect: Arc<dyn ModuleInspector>,
    pub(crate) cache: ArtifactCache,
    /// Changes of one host queue here instead of fencing one another.
    pub(crate) writing: Mutex<()>,
    view: CatalogueView,
}

impl RegistryHandle {
    /// A handle. Must be called within a tokio runtime; fails when the folder cannot be made.
    pub(crate) fn new(parts: RegistryParts) -> std::io::Result<Self> {
        let RegistryParts { log, view, cluster, inspect, cache_folder } = parts;
        let cache = ArtifactCache::open(cache_folder)?;
        let handle = Self(Arc::new(RegistryState { log, cluster, inspect, cache, writing: Mutex::default(), view }));
        handle.prune_when_ready();
        Ok(handle)
    }

    /// Deploys `module` under `manifest`. Continues when the caller does not wait for the end.
    ///
    /// The same manifest and module as the live revision make no new one. Topics that a later revision adds are read
    /// from their beginning, because no one may write offsets for a group that has members.
    pub(crate) async fn deploy(
        &self,
        manifest: Manifest,
        module: Bytes,
        expectation: Option<LiveExpectation>,
    ) -> Result<DeployOutcome, ChangeError> {
        self.check_ready()?;
        detached(deploy::deploy(Arc::clone(&self.0), manifest, module, expectation)).await
    }

    /// Gives the live module of a function another manifest.
    pub(crate) async fn change_manifest(
        &self,
        manifest: Manifest,
        expectation: Option<LiveExpectation>,
    ) -> Result<DeployOutcome, ChangeError> {
        self.check_ready()?;
        detached(revise::change_manifest(Arc::clone(&self.0), manifest, expectation)).await
    }

    /// Makes an earlier revision of `name` live again, as a new one: the revision `to`, or the one before the live one.
    ///
    /// When the live revision has that manifest and module already, it stays.
    pub(crate) async fn rollback(
        &self,
        name: &FunctionName,
        to: Option<RevisionNumber>,
        expectation: Option<LiveExpectation>,
    ) -> Result<DeployOutcome, ChangeError> {
        self.check_ready()?;
        detached(revise::rollback(Arc::clone(&self.0), name.clone(), to, expectation)).await
    }

    /// Deploys `module` under `manifest` beside the live revision of its function, as its shadow: it runs on the same records,
    /// and nothing that it emits is written. Another shadow is replaced. In differences of what is named `ignore` there is
    /// none. The same manifest and module as the shadow that there is make no new one.
    pub(crate) async fn deploy_shadow(
        &self,
        manifest: Manifest,
        module: Bytes,
        ignore: Vec<String>,
        expectation: Option<LiveExpectation>,
    ) -> Result<DeployOutcome, ChangeError> {
        self.check_ready()?;
        detached(shadow::deploy(Arc::clone(&self.0), manifest, module, ignore, expectation)).await
    }

    /// Takes the shadow of `name` away.
    pub(crate) async fn stop_shadow(
        &self,
        name: &FunctionName,
        expectation: Option<LiveExpectation>,
    ) -> Result<(), ChangeError> {
        self.check_ready()?;
        detached(shadow::stop(Arc::clone(&self.0), name.clone(), expectation)).await
    }

    /// Makes the shadow of `name` its live revision; with `only`, if it has that number.
    pub(crate) async fn promote(
        &self,
        name: &FunctionName,
        only: Option<RevisionNumber>,
        expectation: Option<LiveExpectation>,
    ) -> Result<DeployOutcome, ChangeError> {
        self.check_ready()?;
        detached(shadow::promote(Arc::clone(&self.0), name.clone(), only, expectation)).await
    }

    /// Pauses `name` on every host, or lets it continue. It stays so over restarts and new revisions. Gives the live revision.
    pub(crate) async fn set_paused(
        &self,
        name: &FunctionName,
        paused: bool,
        expectation: Option<LiveExpectation>,
    ) -> Result<SharedRevision, ChangeError> {
        self.check_ready()?;
        detached(desired_state::set_paused(Arc::clone(&self.0), name.clone(), paused, expectation)).await
    }

    /// What [`Self::reset`] would do now.
    pub(crate) async fn plan_reset(
        &self,
        name: &FunctionName,
        order: &ResetOrder,
    ) -> Result<Vec<OffsetMove>, ChangeError> {
        self.check_ready()?;
        let revision = self.get(name).ok_or_else(|| ChangeError::NotFound(name.clone()))?;
        reset::plan(&self.0, &revision.manifest, order).await
    }

    /// Sends `name` to another place in its topics. Its hosts leave the group meanwhile. A pause stays.
    pub(crate) async fn reset(
        &self,
        name: &FunctionName,
        order: ResetOrder,
        expectation: Option<LiveExpectation>,
    ) -> Result<Vec<OffsetMove>, ChangeError> {
        self.check_ready()?;
        detached(reset::reset(Arc::clone(&self.0), name.clone(), order, expectation)).await
    }

    /// Deletes `name`. Its group is deleted too, once its members have left, which may be after the answer.
    pub(crate) async fn delete(
        &self,
        name: &FunctionName,
        expectation: Option<LiveExpectation>,
    ) -> Result<(), ChangeError> {
        self.check_ready()?;
        detached(delete::delete(Arc::clone(&self.0), name.clone(), expectation)).await
    }

    /// The live revision of `name`.
    pub(crate) fn get(&self, name: &FunctionName) -> Option<SharedRevision> {
        self.0.view.catalogue.borrow().get(name).map(|record| Arc::clone(&record.live().revision))
    }

    /// The kept revisions of `name`, oldest first: the last one is live.
    pub(crate) fn revisions(&self, name: &FunctionName) -> Option<Vec<StoredRevision>> {
        self.0.view.catalogue.borrow().get(name).map(|record| record.revisions().to_vec())
    }

    pub(crate) fn shadow(&self, name: &FunctionName) -> Option<ShadowRevision> {
        self.0.view.catalogue.borrow().get(name).and_then(|record| record.wanted().shadow)
    }

    /// The live revisions, by name.
    pub(crate) fn list(&self) -> Vec<SharedRevision> {
        self.0.view.catalogue.borrow().live().cloned().collect()
    }

    /// The module of `revision`, from this host's disk or else from the log.
    pub(crate) async fn artifact(&self, revision: &Revision) -> Result<Bytes, ArtifactError> {
        let digest = revision.digest;
        if let Some(module) = self.0.cache.get(digest).await {
            return Ok(module);
        }
        let place = self.0.view.catalogue.borrow().artifact(digest).ok_or(ArtifactError::Unknown(digest))?;
        self.0.load(digest, place).await
    }

    /// What should run; a new table for each change.
    pub(crate) fn table(&self) -> watch::Receiver<Arc<FunctionTable>> {
        self.0.view.table.clone()
    }

    /// Whether the registry has been read, and if not, what is missing.
    pub(crate) fn readiness(&self) -> RegistryReadiness {
        self.0.view.readiness.borrow().clone()
    }

    /// Fails while the registry is not read.
    pub(crate) fn check_ready(&self) -> Result<(), ChangeError> {
        match self.readiness() {
            RegistryReadiness::Ready => Ok(()),
            RegistryReadiness::Waiting(what) => Err(ChangeError::NotReady(what)),
        }
    }

    /// Frees the disk of artifacts that were forgotten while this host was away.
    fn prune_when_ready(&self) {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut readiness = inner.view.readiness.clone();
            if readiness.wait_for(|readiness| *readiness == RegistryReadiness::Ready).await.is_ok() {
                let _no_deploy_is_running = inner.writing.lock().await;
                let named: BTreeSet<_> = inner.view.catalogue.borrow().artifacts().map(|(digest, _)| digest).collect();
                inner.cache.keep_only(named).await;
            }
        });
    }
}

impl RegistryState {
    /// The module that lies at `place`, from this host's disk or else from the log.
    pub(crate) async fn artifact(&self, digest: ArtifactDigest, place: ArtifactPlace) -> Result<Bytes, ArtifactError> {
        match self.cache.get(digest).await {
            Some(module) => Ok(module),
            None => self.load(digest, place).await,
        }
    }

    async fn load(&self, digest: ArtifactDigest, place: ArtifactPlace) -> Result<Bytes, ArtifactError> {
        let module = self.log.load(digest, place).await.map_err(|source| ArtifactError::Log { digest, source })?;
        if ArtifactDigest::of(&module) != digest {
            return Err(ArtifactError::Damaged(digest));
        }
        self.cache.put(digest, module.clone()).await;
        Ok(module)
    }

    /// The number of the shadow of `name`, as far as this host has read.
    pub(crate) fn shadow_number(&self, name: &FunctionName) -> Option<RevisionNumber> {
        let catalogue = self.view.catalogue.borrow();
        catalogue.get(name)?.shadow().map(|shadow| shadow.stored.revision.number)
    }

    /// Waits until this host has read what it wrote, so that its next answers agree with it. When that takes too long
    /// the change is made all the same.
    pub(crate) async fn read_back(&self, has_arrived: impl Fn(&FunctionCatalogue) -> bool) {
        let mut catalogue = self.view.catalogue.clone();
        let arrival = catalogue.wait_for(|catalogue| has_arrived(catalogue));
        if tokio::time::timeout(READ_BACK_WITHIN, arrival).await.is_err() {
            tracing::warn!("the registry was written, but this host has not read it back yet");
        }
    }
}

/// Runs a change to its end although the caller may go away: half of one helps no one.
async fn detached<T: Send + 'static>(
    change: impl Future<Output = Result<T, ChangeError>> + Send + 'static,
) -> Result<T, ChangeError> {
    match tokio::spawn(change).await {
        Ok(result) => result,
        Err(_) => Err(ChangeError::NotReady("the host is stopping".to_owned())),
    }
}
