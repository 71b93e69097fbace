//! A function's shadow: a revision that runs beside the live one on the same records, its outputs fenced off.
//!
//! The shadow follows the live revision, record by record, at a distance: only what the live one has finished and committed
//! is compared, so that everything that it emitted can be found in its topics. It is in no group, reads with clients of its
//! own, and works on a thread of its own; nothing of the live revision waits for it, or knows of it.
//!
//! ```text
//!  leases of the live shards ─► committed offsets
//!                                    │ up to there
//!  inputs ─────────────────► range::Reader ─► compare::Bench ─► what the shadow makes of it ─┐
//!  outputs, dead letters ──► range::Reader ─► compare::Emitted ─► what came of it ───────────┴─► verdict ─► bookmark
//! ```
//!
//! How far it is, and what was counted, is kept as offsets of a group that nobody joins: whichever host has a partition next
//! goes on there. The last differences are in this host's memory.

mod outputs;
mod report;
mod shadow_run;
mod status;
mod task;

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use report::{ShadowPosition, ShadowReport, ShadowReports};
pub(crate) use status::{DifferingRecord, ShadowStatus};

use crate::model::ids::RevisionNumber;
use crate::model::shadow::ShadowRevision;
use crate::pipeline::function::FunctionView;
use crate::pipeline::supervisor::HostServices;
use task::ShadowTask;

/// Keeps the shadow that is wanted running on this host, and no other. Nothing here waits.
#[derive(Default)]
pub(crate) struct ShadowSlot(Option<RunningShadow>);

struct RunningShadow {
    key: ShadowKey,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// The shadow, and the live revision with which it is compared.
type ShadowKey = (RevisionNumber, Option<RevisionNumber>);

impl ShadowSlot {
    /// Lets `shadow` run, and ends whichever ran before.
    pub(crate) fn heed(&mut self, ground: &HostServices, view: &Arc<FunctionView>, shadow: Option<&ShadowRevision>) {
        let key: Option<ShadowKey> =
            shadow.map(|shadow| (shadow.revision.number, shadow.live().map(|live| live.number)));
        if self.0.as_ref().map(|running| running.key) == key {
            return;
        }
        let before = self.stop();
        view.shadow.cast(shadow.map(|shadow| shadow.revision.number));
        let (Some(shadow), Some(key)) = (shadow, key) else { return };
        let follower = ShadowTask::new(ground.clone(), view.clone(), shadow.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = ground.aside.spawn(async move {
            // Two at once would keep two places.
            if let Some(before) = before {
                let _ = before.await;
            }
            follower.run(stopped).await;
        });
        self.0 = Some(RunningShadow { key, stop, task });
    }

    /// Ends it. Whoever must know when it has ended waits for what this gives.
    pub(crate) fn stop(&mut self) -> Option<JoinHandle<()>> {
        let running = self.0.take()?;
        running.stop.cancel();
        running.task
    }
}

impl Drop for ShadowSlot {
    fn drop(&mut self) {
        self.stop();
    }
}
