//! Keeps on running the shadows that the function table names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::inspect::shadow::slot::ShadowSlot;
use crate::inspect::shadow::status::ShadowStatuses;
use crate::model::function_table::FunctionTable;
use crate::model::ids::FunctionName;
use crate::pipeline::supervisor::{FunctionDirectory, HostServices};

pub(crate) struct ShadowSupervisor {
    services: HostServices,
    table: watch::Receiver<Arc<FunctionTable>>,
    functions: FunctionDirectory,
    statuses: ShadowStatuses,
    slots: BTreeMap<FunctionName, ShadowSlot>,
}

impl ShadowSupervisor {
    /// Follows `table`; `functions` says which partitions the live revisions have on this host.
    pub(crate) fn new(
        services: HostServices,
        table: watch::Receiver<Arc<FunctionTable>>,
        functions: FunctionDirectory,
        statuses: ShadowStatuses,
    ) -> Self {
        Self { services, table, functions, statuses, slots: BTreeMap::new() }
    }

    /// Works until `stop`, or until nothing decides any more what should run; then the shadows end.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let table = self.table.borrow_and_update().clone();
            let look_again = self.follow(&table);
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.table.changed() => if changed.is_err() {
                    stop.cancelled().await;
                    return;
                },
                () = sleep(look_again) => {}
            }
        }
    }

    /// Runs what `table` names. Gives when to look again although the table is the same.
    fn follow(&mut self, table: &FunctionTable) -> Option<Duration> {
        let statuses = &self.statuses;
        self.slots.retain(|name, _| {
            let stays = table.functions.contains_key(name);
            if !stays {
                statuses.remove(name);
            }
            stays
        });
        let mut look_again: Option<Duration> = None;
        for (name, wanted) in &table.functions {
            // The offsets that the shadow follows are being moved.
            let aside = wanted.aside_for();
            look_again = look_again.into_iter().chain(aside).min();
            let shadow = wanted.shadow.as_ref().filter(|_| aside.is_none());
            if shadow.is_none() && !self.slots.contains_key(name) {
                continue;
            }
            let slot = self.slots.entry(name.clone()).or_insert_with(|| ShadowSlot::new(statuses.of(name)));
            slot.switch_to(&self.services, &self.functions, name, shadow);
        }
        look_again
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
