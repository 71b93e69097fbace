//! L0: the words of the domain, as types. Everything else imports this room; it imports nothing of ours.

pub mod batch_bytes;
pub mod clock;
pub mod dead_letter;
pub mod function;
pub mod function_table;
pub mod ids;
pub mod inputs;
pub mod lease;
pub mod offsets;
pub mod outcome;
pub mod parcel;
pub mod position;
pub mod schedule;
pub mod shadow;
pub mod standing;
pub mod status;
pub mod topic_id;
pub mod trace_context;
pub mod under_way;
pub mod work;
