//! L0: the words of the domain, as types. Everything else imports this room; it imports nothing of ours.

pub(crate) mod batch_bytes;
pub(crate) mod clock;
pub(crate) mod function;
pub(crate) mod function_table;
pub(crate) mod ids;
pub(crate) mod in_flight;
pub(crate) mod inputs;
pub(crate) mod lease;
pub(crate) mod offset_map;
pub(crate) mod offsets;
pub(crate) mod outcome;
pub(crate) mod parcel;
pub(crate) mod position;
pub(crate) mod record;
pub(crate) mod record_id;
pub(crate) mod reserved_topics;
pub(crate) mod schedule;
pub(crate) mod shadow;
pub(crate) mod stall_state;
pub(crate) mod stamp;
pub(crate) mod status;
pub(crate) mod topic_id;
pub(crate) mod trace_context;
pub(crate) mod work;
