//! What should run: an immutable table that the control plane publishes and the data plane only reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::function::Revision;
use super::ids::FunctionName;

/// Every deployed function with its live revision. A new table is made for each change.
#[derive(Debug, Clone, Default)]
pub struct FunctionTable {
    /// The functions by name.
    pub functions: BTreeMap<FunctionName, Arc<Revision>>,
}
