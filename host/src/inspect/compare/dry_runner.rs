//! A revision that is run without emitting: in instances of its own, with its log lines and figures thrown away.

use std::sync::Arc;

use crate::consume::decode::RawFields;
use crate::dispatch::pace::RecordPace;
use crate::execute::completion::{self, RecordOutcome};
use crate::execute::revisions::CallableRevision;
use crate::execute::work::WorkOrigin;
use crate::inspect::compare::normalized_event::{ComparedOutcome, NormalizedEvent};
use crate::model::function::{Revision, SharedRevision};
use crate::model::outcome::GuestFault;
use crate::model::parcel::{Parcel, ParcelMessage};
use crate::model::record::{PastRecord, RecordHeaders};
use crate::pipeline::supervisor::HostServices;
use crate::wasm::log::DiscardedLog;

pub(crate) struct DryRunner {
    callable: CallableRevision,
    origin: WorkOrigin,
    pace: RecordPace,
}

/// A revision can't be called.
#[derive(Debug, thiserror::Error)]
#[error("revision {0} cannot be started: {1}")]
pub(crate) struct NotStarted(u64, String);

/// What came of a record.
pub(crate) struct DryRun {
    pub(crate) side: DryOutcome,
    /// What it emitted, as a host would write it.
    pub(crate) parcel: Parcel,
}

/// What came of a record.
pub(crate) enum DryOutcome {
    Filtered,
    Emitted,
    GivenUp(GuestFault),
}

impl DryRun {
    fn of(ran: Option<RecordOutcome>) -> Self {
        let (side, parcel) = match ran {
            None => (DryOutcome::Filtered, Parcel::default()),
            Some(RecordOutcome { parcel, outcome: Ok(_) }) => (DryOutcome::Emitted, parcel),
            Some(RecordOutcome { parcel, outcome: Err(fault) }) => (DryOutcome::GivenUp(fault), parcel),
        };
        Self { side, parcel }
    }

    pub(crate) fn side(&self, ignore: &[String]) -> ComparedOutcome {
        match &self.side {
            DryOutcome::Filtered => ComparedOutcome::Filtered,
            DryOutcome::GivenUp(fault) => {
                ComparedOutcome::GivenUp { class: fault.class.as_str().to_owned(), message: fault.message.clone() }
            }
            DryOutcome::Emitted => {
                let parcel = &self.parcel;
                let shape = |message: &ParcelMessage| {
                    let key = message.key.as_ref().map(|key| parcel.slice(key));
                    let value = message.value.as_ref().map(|value| parcel.slice(value));
                    NormalizedEvent::of(&message.topic, key, value, parcel.headers_of(message), ignore)
                };
                ComparedOutcome::emitted(parcel.messages.iter().map(shape).collect())
            }
        }
    }
}

impl DryRunner {
    /// Starts `revision` beside the live one.
    pub(crate) async fn set(
        ground: &HostServices,
        revision: &SharedRevision,
        origin: WorkOrigin,
    ) -> Result<Self, NotStarted> {
        // What is live has its instances ready; what is compared starts them when it needs them.
        let mut own = Revision::clone(revision);
        own.manifest.instances.min = 0;
        let callable = ground.callable(&Arc::new(own), Arc::default(), Arc::new(DiscardedLog)).await;
        let callable = callable.map_err(|reason| NotStarted(revision.number.0, reason))?;
        Ok(Self { callable, origin, pace: RecordPace::default() })
    }

    /// Runs records, in their order, and gives what came of each.
    pub(crate) async fn run(&self, portion: &[PastRecord]) -> Vec<DryRun> {
        let mut work = self.callable.work(self.origin);
        for record in portion {
            let headers: RecordHeaders<'_> = record.headers().collect();
            let fields = RawFields {
                topic: &record.partition.topic,
                partition: record.partition.partition,
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            };
            work.add(&fields);
        }
        let ran = completion::run_in_order(&self.callable, work.finish(), &self.pace).await;
        ran.into_iter().map(DryRun::of).collect()
    }
}
