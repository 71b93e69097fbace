//! With what a replay is compared.

use super::recorded::RecordedOutputs;
use super::{ComparedOutcome, ReplayBaseline, ReplayError, ReplayRequest};
use crate::kafka::range::{PartitionRange, PastRecord};
use crate::pipeline::compare::DryRunner;
use crate::pipeline::supervisor::HostServices;

/// See the module.
pub(super) enum ExpectedOutcome {
    Recorded(RecordedOutputs),
    Live(Box<DryRunner>),
    Nothing,
}

impl ExpectedOutcome {
    pub(super) async fn gather(
        ground: &HostServices,
        order: &ReplayRequest,
        parts: &[PartitionRange],
    ) -> Result<Self, ReplayError> {
        Ok(match &order.against {
            ReplayBaseline::Nothing => Self::Nothing,
            ReplayBaseline::Live(live) => Self::Live(Box::new(DryRunner::set(ground, live).await?)),
            ReplayBaseline::Recorded(revisions) => {
                Self::Recorded(RecordedOutputs::scan(ground, order, revisions, parts).await?)
            }
        })
    }

    /// Whether there is anything to compare with.
    pub(super) fn compares(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// What came of these records, one by one; nothing where that is not known.
    pub(super) async fn of(&self, portion: &[PastRecord], ignore: &[String]) -> Vec<Option<ComparedOutcome>> {
        match self {
            Self::Nothing => portion.iter().map(|_| None).collect(),
            Self::Live(bench) => bench.run(portion).await.iter().map(|ran| Some(ran.side(ignore))).collect(),
            Self::Recorded(recorded) => portion.iter().map(|record| recorded.of(record)).collect(),
        }
    }
}
