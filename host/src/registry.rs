//! L4: what is deployed: the log of accepted function records and their artifacts.
//!
//! A [`log::Log`] keeps the records: [`kafka_log`] on two compacted topics that every host of a cluster reads,
//! [`folder_log`] on the data folder for the embedded broker. Anyone who changes something opens a [`log::Session`], which
//! shuts every other writer out, looks at the newest [`catalogue::Catalogue`], and commits one [`log::Change`]; so the
//! log holds accepted records only. What the log says is published as an immutable table, which the data plane reads.
//!
//! ```text
//!  PUT ─► Handle::deploy ─► Inspect ─► Session: newest record ─► topics, start offsets ─► artifact, record ─► commit
//!                                                                                                               │
//!  data plane ◄─ watch<Arc<FunctionTable>> ◄─ Publication ◄─ every host reads the log ◄─────────────────────────┘
//! ```
//!
//! Invariants: a record is visible only when its artifact is stored and, for a new name, its start offsets are; a
//! revision's number is never given twice while the function lives; nothing here touches a running function.

mod artifact_cache;
pub(crate) mod catalogue;
mod catalogue_view;
pub(crate) mod cluster;
mod delete;
mod deploy;
mod desired_state;
mod durable_file;
mod error;
pub(crate) mod folder_log;
mod handle;
pub(crate) mod inspect;
pub(crate) mod kafka_log;
pub(crate) mod log;
pub(crate) mod record;
pub(crate) mod reserved_topics;
mod reset;
mod revise;
mod shadow;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use catalogue_view::{CatalogueView, RegistryReadiness, publication};
pub(crate) use deploy::DeployOutcome;
pub(crate) use error::{ArtifactError, ChangeError};
pub(crate) use handle::{RegistryHandle, RegistryParts};
pub(crate) use log::LiveExpectation;
pub(crate) use reset::ResetOrder;
