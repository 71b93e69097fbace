//! Runs a shadow after the live revision, in the partitions that the function has on this host.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::session::Session;
use crate::kafka::admin::{AdminError, Bookmarks};
use crate::kafka::range::{ReadError, Reader};
use crate::model::lease::Lease;
use crate::model::position::TopicPartition;
use crate::model::shadow::Shadow;
use crate::pipeline::compare::{Bench, NotStarted};
use crate::pipeline::function::FunctionView;
use crate::pipeline::supervisor::Ground;

/// The wait before what failed is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How often it is looked whether there is something to do.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// See the module.
pub(super) struct Follower {
    pub(super) ground: Ground,
    pub(super) view: Arc<FunctionView>,
    pub(super) shadow: Shadow,
}

/// What a shadow needs in order to follow: made once, as long as all goes well.
pub(super) struct Tools {
    /// The shadow.
    pub(super) bench: Arc<Bench>,
    /// The live revision, where its outputs do not say what they were emitted for.
    pub(super) again: Option<Arc<Bench>>,
    /// Reads inputs and outputs.
    pub(super) reader: Reader,
    /// How far it is.
    pub(super) bookmarks: Bookmarks,
}

/// Why a shadow does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    NotStarted(#[from] NotStarted),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Kafka does not tell where {0} ends")]
    Untold(TopicPartition),
}

impl Follower {
    pub(super) fn new(ground: Ground, view: Arc<FunctionView>, shadow: Shadow) -> Self {
        Self { ground, view, shadow }
    }

    /// Follows until `stop`. What was compared since the last bookmark is compared again then.
    pub(super) async fn run(self, stop: CancellationToken) {
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
                "the shadow does not go on; it is tried again");
            self.view.shadow.trouble(Some(trouble.to_string()));
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }

    async fn attempt(&self) -> Result<std::convert::Infallible, Trouble> {
        let Self { ground, shadow, .. } = self;
        let revision = &shadow.revision;
        let again = match shadow.live().filter(|live| live.manifest.emits_raw()) {
            Some(live) => Some(Arc::new(Bench::set(ground, live).await?)),
            None => None,
        };
        let tools = Tools {
            bench: Arc::new(Bench::set(ground, revision).await?),
            again,
            reader: Reader::new(ground.environment.kafka.clone()),
            bookmarks: ground.environment.admin.bookmarks(&revision.manifest.name.shadow_group_id(revision.number))?,
        };
        loop {
            let leases = self.leases();
            if leases.is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            let session = Session::begin(self, &tools, leases).await?;
            self.view.shadow.trouble(None);
            session.run().await?;
        }
    }

    /// The partitions that the live revision has here.
    fn leases(&self) -> Vec<Arc<Lease>> {
        let mut leases = self.view.leases();
        leases.retain(|lease| lease.is_alive());
        leases
    }

    /// Whether these are still the partitions that the live revision has here.
    pub(super) fn has(&self, leases: &[Arc<Lease>]) -> bool {
        let now = self.leases();
        now.len() == leases.len() && now.iter().zip(leases).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}
