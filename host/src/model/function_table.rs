//! What should run: an immutable table that the control plane publishes and the data plane only reads.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::model::function::SharedRevision;
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::model::shadow::ShadowRevision;

/// Every deployed function with what is wanted of it. A new table is made for each change.
#[derive(Debug, Clone, Default)]
pub(crate) struct FunctionTable {
    pub(crate) functions: BTreeMap<FunctionName, DesiredState>,
}

/// What is wanted of a function, on every host.
#[derive(Debug, Clone)]
pub(crate) struct DesiredState {
    pub(crate) revision: SharedRevision,
    /// Whether it keeps its partitions and takes nothing of them.
    pub(crate) paused: bool,
    /// Until then its group is to have no member, because someone moves its offsets.
    pub(crate) aside_until: Option<SystemTime>,
    /// The revision that runs beside the live one.
    pub(crate) shadow: Option<ShadowRevision>,
}

impl DesiredState {
    /// Whether `other` asks for the same.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.revision.number == other.revision.number
            && self.paused == other.paused
            && self.aside_until == other.aside_until
            && self.shadow_number() == other.shadow_number()
    }

    fn shadow_number(&self) -> Option<RevisionNumber> {
        self.shadow.as_ref().map(|shadow| shadow.revision.number)
    }

    /// For how long it is to stand aside yet. Anyone who moves the offsets may have died: it does not wait for ever.
    pub(crate) fn aside_for(&self) -> Option<Duration> {
        self.aside_until.and_then(|until| until.duration_since(SystemTime::now()).ok()).filter(|left| !left.is_zero())
    }
}
