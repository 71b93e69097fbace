//! Holds the one shadow of a function that runs on this host.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::inspect::shadow::status::ShadowStatus;
use crate::inspect::shadow::task::ShadowTask;
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::model::shadow::ShadowRevision;
use crate::pipeline::supervisor::{FunctionDirectory, HostServices};

/// Keeps the shadow that is wanted running, and no other. Nothing here waits.
#[derive(Default)]
pub(crate) struct ShadowSlot {
    running: Option<RunningShadow>,
    status: Arc<ShadowStatus>,
}

struct RunningShadow {
    key: ShadowKey,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

/// The shadow, and the live revision with which it is compared.
type ShadowKey = (RevisionNumber, Option<RevisionNumber>);

impl ShadowSlot {
    pub(crate) fn new(status: Arc<ShadowStatus>) -> Self {
        Self { running: None, status }
    }

    /// Runs `shadow`, and ends the one that ran before.
    pub(crate) fn switch_to(
        &mut self,
        services: &HostServices,
        functions: &FunctionDirectory,
        name: &FunctionName,
        shadow: Option<&ShadowRevision>,
    ) {
        let key: Option<ShadowKey> =
            shadow.map(|shadow| (shadow.revision.number, shadow.live().map(|live| live.number)));
        if self.running.as_ref().map(|running| running.key) == key {
            return;
        }
        let before = self.stop();
        self.status.cast(shadow.map(|shadow| shadow.revision.number));
        let (Some(shadow), Some(key)) = (shadow, key) else { return };
        let task = ShadowTask {
            services: services.clone(),
            functions: functions.clone(),
            name: name.clone(),
            shadow: shadow.clone(),
            status: self.status.clone(),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = services.aside.spawn(async move {
            // Two at once would keep two bookmarks.
            if let Some(before) = before {
                let _ = before.await;
            }
            task.run(stopped).await;
        });
        self.running = Some(RunningShadow { key, stop, task });
    }

    /// Ends it. The task that this gives has ended when the shadow has.
    fn stop(&mut self) -> Option<JoinHandle<()>> {
        let running = self.running.take()?;
        running.stop.cancel();
        running.task
    }
}

impl Drop for ShadowSlot {
    fn drop(&mut self) {
        self.stop();
    }
}
