//! Where the intake leaves chunks and workers find batches.

use parking_lot::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::dispatch::lanes::{BatchEnd, LaneWait, Lanes};
use crate::dispatch::pace::{BatchBounds, RecordPace};
use crate::model::function::Ordering;
use crate::model::work::{LaneId, RecordChunk, RecordRef, WorkBatch};

enum BoardState {
    Batch(WorkBatch),
    MoreMayCome,
    Nothing(Option<Instant>),
}

/// A shard's lanes, shared by its intake and its workers. The lock is held for queue operations only.
#[derive(Debug)]
pub(crate) struct Board {
    lanes: Mutex<Lanes>,
    /// Wakes one worker for each permit.
    work: Notify,
    /// Wakes who waits for workers to let go.
    let_go: Notify,
    /// How fast the guest is.
    pub(crate) pace: RecordPace,
    most_records: usize,
    window: Duration,
}

impl Board {
    /// An empty board; a batch holds up to `most_records` and waits up to `window` for them.
    pub(crate) fn new(ordering: Ordering, most_records: usize, window: Duration) -> Self {
        Self {
            lanes: Mutex::new(Lanes::new(ordering)),
            work: Notify::new(),
            let_go: Notify::new(),
            pace: RecordPace::default(),
            most_records: most_records.max(1),
            window,
        }
    }

    pub(crate) fn push(&self, chunk: RecordChunk) {
        self.lanes().push(chunk);
        self.work.notify_one();
    }

    /// The next batch; waits until there is one. Safe to cancel.
    pub(crate) async fn next(&self) -> WorkBatch {
        let mut waited_for_more = self.window.is_zero();
        loop {
            let wake_at = match self.look(waited_for_more) {
                BoardState::Batch(batch) => return batch,
                BoardState::MoreMayCome => {
                    // A window is waited for once; a wake-up taken meanwhile is not lost, since work is looked for again.
                    tokio::time::sleep(self.window).await;
                    waited_for_more = true;
                    continue;
                }
                BoardState::Nothing(wake_at) => wake_at,
            };
            match wake_at {
                Some(at) => tokio::select! {
                    () = self.work.notified() => {}
                    () = tokio::time::sleep_until(at.into()) => {}
                },
                None => self.work.notified().await,
            }
            waited_for_more = self.window.is_zero();
        }
    }

    fn look(&self, waited_for_more: bool) -> BoardState {
        let mut lanes = self.lanes();
        lanes.wake(Instant::now());
        if lanes.has_work() && !waited_for_more && lanes.waiting_records() < self.most_records {
            return BoardState::MoreMayCome;
        }
        match self.take(&mut lanes) {
            Some(batch) => BoardState::Batch(batch),
            None => BoardState::Nothing(lanes.next_wake()),
        }
    }

    fn take(&self, lanes: &mut Lanes) -> Option<WorkBatch> {
        let batch = lanes.take(self.portion())?;
        // One wake-up leads to the next, as far as there is work: no herd, and no worker forgotten.
        if lanes.has_work() {
            self.work.notify_one();
        }
        Some(batch)
    }

    fn portion(&self) -> BatchBounds {
        self.pace.portion(self.most_records)
    }

    /// Gives back a lane, or a part without one.
    pub(crate) fn settle(&self, lane: Option<LaneId>, epoch: u64, spans: usize, settled: BatchEnd) {
        let parked = matches!(settled, BatchEnd::Parked(..));
        let mut lanes = self.lanes();
        lanes.settle(lane, epoch, spans, settled);
        let is_idle = !lanes.is_running(epoch);
        // Anyone who sleeps must learn of the new time to wake at.
        if parked || lanes.has_work() {
            self.work.notify_one();
        }
        drop(lanes);
        if is_idle {
            self.let_go.notify_waiters();
        }
    }

    /// Whether records wait for a worker.
    pub(crate) fn has_work(&self) -> bool {
        self.lanes().has_work()
    }

    /// What `record` waits for; nothing when it does not.
    pub(crate) fn wait_of(&self, record: &RecordRef) -> Option<LaneWait> {
        self.lanes().wait_of(record)
    }

    /// Drops all that waits under a lease; what runs continues.
    pub(crate) fn drop_lease(&self, epoch: u64) {
        self.lanes().drop_lease(epoch);
    }

    /// Waits until no worker holds records of these leases.
    pub(crate) async fn until_idle(&self, epochs: &[u64]) {
        loop {
            let let_go = self.let_go.notified();
            tokio::pin!(let_go);
            let_go.as_mut().enable();
            if !epochs.iter().any(|epoch| self.lanes().is_running(*epoch)) {
                return;
            }
            let_go.await;
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock()
    }
}
