//! L4: where an event comes from, and what it led to.
//!
//! What a function emits names the record that caused it (`ce_millstreamcause`), and a dead letter the record that was
//! dead-lettered; so the way up is a walk from place to place. Nothing is written anywhere for the way down: it is found by
//! reading the topics to which the readers of the record's topic write, from the record's own time on, within bounds. What
//! was not looked at is said.
//!
//! It knows functions by their revisions, which the caller gives, and topics by [`crate::kafka::read::history`].

mod topology;
mod trace;
mod view;

pub(crate) use crate::model::record_id::{InvalidPlace, RecordId};
pub(crate) use trace::{TraceError, TraceRequest, trace};
pub(crate) use view::{Lineage, LineageNode, NodeFault, NodeKind, ScanReport};
