//! With what a replay is compared.

use super::recorded::Recorded;
use super::{Against, Order, ReplayError, Side};
use crate::kafka::range::{Part, PastRecord};
use crate::pipeline::compare::Bench;
use crate::pipeline::supervisor::Ground;

/// See the module.
pub(super) enum Expected {
    Recorded(Recorded),
    Live(Box<Bench>),
    Nothing,
}

impl Expected {
    pub(super) async fn gather(ground: &Ground, order: &Order, parts: &[Part]) -> Result<Self, ReplayError> {
        Ok(match &order.against {
            Against::Nothing => Self::Nothing,
            Against::Live(live) => Self::Live(Box::new(Bench::set(ground, live).await?)),
            Against::Recorded(revisions) => Self::Recorded(Recorded::scan(ground, order, revisions, parts).await?),
        })
    }

    /// Whether there is anything to compare with.
    pub(super) fn compares(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// What came of these records, one by one; nothing where that is not known.
    pub(super) async fn of(&self, portion: &[PastRecord], ignore: &[String]) -> Vec<Option<Side>> {
        match self {
            Self::Nothing => portion.iter().map(|_| None).collect(),
            Self::Live(bench) => bench.run(portion).await.iter().map(|ran| Some(ran.side(ignore))).collect(),
            Self::Recorded(recorded) => portion.iter().map(|record| recorded.of(record)).collect(),
        }
    }
}
