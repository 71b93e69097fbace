//! The revisions of a function that may still be called: the live one, and older ones with records under way.

use parking_lot::RwLock;
use std::sync::Arc;

use crate::emit::encoder::EmissionEncoder;
use crate::execute::work::{WorkBuilder, WorkOrigin};
use crate::invoke::call::Invoker;
use crate::model::batch_bytes::BatchLimits;
use crate::model::function::SharedRevision;
use crate::model::ids::RevisionNumber;
use crate::telemetry::otlp::FunctionTracer;

/// A revision with what runs and encodes it.
#[derive(Debug)]
pub(crate) struct CallableRevision {
    pub(crate) revision: SharedRevision,
    pub(crate) invoker: Invoker,
    pub(crate) encoder: EmissionEncoder,
    pub(crate) tracer: FunctionTracer,
    /// How large a batch its topics take.
    pub(crate) batches: BatchLimits,
}

impl CallableRevision {
    /// Collects records for this revision.
    pub(crate) fn work(&self, origin: WorkOrigin) -> WorkBuilder<'_> {
        WorkBuilder::new(origin, &self.revision, self.invoker.cluster())
    }
}

/// How many revisions are kept callable: records under way on an older one than that move to the live one.
const KEPT: usize = 4;

/// The callable revisions, the live one last. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct CallableRevisions(Arc<RwLock<Vec<Arc<CallableRevision>>>>);

impl CallableRevisions {
    pub(crate) fn new(live: Arc<CallableRevision>) -> Self {
        Self(Arc::new(RwLock::new(vec![live])))
    }

    /// Makes `live` the live one.
    pub(crate) fn switch_to(&self, live: Arc<CallableRevision>) {
        let mut revisions = self.0.write();
        revisions.push(live);
        if revisions.len() > KEPT {
            revisions.remove(0);
        }
    }

    pub(crate) fn live(&self) -> Arc<CallableRevision> {
        let revisions = self.0.read();
        revisions.last().expect("there is a live revision from the start").clone()
    }

    /// The one with this number, or the live one.
    pub(crate) fn get(&self, number: RevisionNumber) -> Arc<CallableRevision> {
        let revisions = self.0.read();
        let found = revisions.iter().rev().find(|callable| callable.revision.number == number);
        found.or(revisions.last()).expect("there is a live revision from the start").clone()
    }
}
