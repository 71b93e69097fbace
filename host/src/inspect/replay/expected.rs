//! With what a replay is compared.

use crate::inspect::compare::DryRunner;
use crate::inspect::replay::recorded::RecordedOutputs;
use crate::inspect::replay::{ComparedOutcome, ReplayBaseline, ReplayError, ReplayPlan};
use crate::kafka::read::range::PartitionRange;
use crate::model::record::PastRecord;
use crate::pipeline::supervisor::HostServices;

pub(crate) enum ExpectedOutcome {
    Recorded(RecordedOutputs),
    Live(Box<DryRunner>),
    Nothing,
}

impl ExpectedOutcome {
    pub(crate) async fn gather(
        ground: &HostServices,
        order: &ReplayPlan,
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
    pub(crate) fn compares(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// What came of these records, one by one; nothing where that is not known.
    pub(crate) async fn of(&self, portion: &[PastRecord], ignore: &[String]) -> Vec<Option<ComparedOutcome>> {
        match self {
            Self::Nothing => portion.iter().map(|_| None).collect(),
            Self::Live(bench) => bench.run(portion).await.iter().map(|ran| Some(ran.side(ignore))).collect(),
            Self::Recorded(recorded) => portion.iter().map(|record| recorded.of(record)).collect(),
        }
    }
}
