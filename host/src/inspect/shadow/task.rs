//! Runs a shadow after the live revision, in the partitions that the function has on this host.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::execute::work::WorkOrigin;
use crate::inspect::compare::{DryRunner, NotStarted};
use crate::inspect::shadow::shadow_run::ShadowRun;
use crate::inspect::shadow::status::ShadowStatus;
use crate::kafka::admin::{AdminError, GroupBookmarks};
use crate::kafka::read::range::{RangeReader, ReadError};
use crate::model::ids::FunctionName;
use crate::model::lease::PartitionLease;
use crate::model::position::TopicPartition;
use crate::model::shadow::ShadowRevision;
use crate::pipeline::supervisor::{FunctionDirectory, HostServices};

/// The wait before what failed is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How often it is looked whether there is something to do.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(crate) struct ShadowTask {
    pub(crate) services: HostServices,
    pub(crate) functions: FunctionDirectory,
    /// The function.
    pub(crate) name: FunctionName,
    pub(crate) shadow: ShadowRevision,
    pub(crate) status: Arc<ShadowStatus>,
}

/// What a shadow needs in order to follow: made once, as long as all goes well.
pub(crate) struct ShadowClients {
    pub(crate) bench: Arc<DryRunner>,
    /// The live revision, where its outputs do not say what they were emitted for.
    pub(crate) again: Option<Arc<DryRunner>>,
    pub(crate) reader: RangeReader,
    pub(crate) bookmarks: GroupBookmarks,
}

/// Why a shadow does not continue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShadowError {
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Kafka does not say where {0} ends")]
    Untold(TopicPartition),
}

impl ShadowTask {
    /// Follows until `stop`. What was compared since the last bookmark is compared again then.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        loop {
            let Err(trouble) = self.attempt().await;
            let revision = &self.shadow.revision;
            tracing::warn!(function = %revision.manifest.name, revision = %revision.number, %trouble,
                "the shadow failed; it is tried again");
            self.status.trouble(Some(trouble.to_string()));
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }

    async fn attempt(&self) -> Result<std::convert::Infallible, ShadowError> {
        let Self { services, shadow, .. } = self;
        let revision = &shadow.revision;
        let again = match shadow.live().filter(|live| live.manifest.emits_raw()) {
            Some(live) => Some(Arc::new(DryRunner::set(services, live, WorkOrigin::Shadow).await?)),
            None => None,
        };
        let tools = ShadowClients {
            bench: Arc::new(DryRunner::set(services, revision, WorkOrigin::Shadow).await?),
            again,
            reader: RangeReader::new(services.environment.kafka.clone()),
            bookmarks: services
                .environment
                .admin
                .bookmarks(&revision.manifest.name.shadow_group_id(revision.number))?,
        };
        loop {
            let leases = self.leases();
            if leases.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let session = ShadowRun::begin(self, &tools, leases).await?;
            self.status.trouble(None);
            session.run().await?;
        }
    }

    /// The partitions that the live revision has here.
    fn leases(&self) -> Vec<Arc<PartitionLease>> {
        // A function that was deleted and deployed again has another view.
        let Some(view) = self.functions.view(&self.name) else { return Vec::new() };
        let mut leases = view.leases();
        leases.retain(|lease| lease.is_alive());
        leases
    }

    /// Whether these are still the partitions that the live revision has here.
    pub(crate) fn has(&self, leases: &[Arc<PartitionLease>]) -> bool {
        let now = self.leases();
        now.len() == leases.len() && now.iter().zip(leases).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}
