//! From an error of the engine to a fault: its class, and what a person needs to find the cause.

use std::fmt::Write as _;
use std::time::Duration;

use wasmtime::WasmBacktrace;
use wasmtime_wasi::I32Exit;

use crate::model::function::FunctionLimits;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::wasm::limiter::LimitRefusal;
use crate::wasm::state::GuestState;

/// The longest message of a fault.
const MESSAGE_MAX: usize = 4 * 1024;
/// How the engine's error begins when a call takes too much from the guest; the error's type is not public.
const TOO_MUCH_DATA: &str = "too much data is being copied between the host and the guest";

/// The guest ended well, but what it gave is not an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadAnswer(pub(crate) String);

/// The fault that `error` of a call or start is, which had `limit` of time.
pub(crate) fn classify(
    error: &wasmtime::Error,
    state: &GuestState,
    limits: &FunctionLimits,
    limit: Duration,
) -> GuestFault {
    if state.timed_out {
        return timeout(state, limit);
    }
    if let Some(refusal) = state.limiter.refusal() {
        return with_details(FaultClass::Memory, refused(refusal, limits), state, Some(error));
    }
    if state.overflowed {
        return output_limit(limits);
    }
    if let Some(BadAnswer(reason)) = error.downcast_ref() {
        return with_details(FaultClass::InvalidAnswer, reason.clone(), state, None);
    }
    let cause = error.root_cause();
    if cause.to_string().starts_with(TOO_MUCH_DATA) {
        return output_limit(limits);
    }
    let reason = match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(code)) => format!("the guest exited with status {code} instead of answering"),
        None => cause.to_string(),
    };
    with_details(FaultClass::Trap, reason, state, Some(error))
}

/// The guest had no more time.
pub(crate) fn timeout(state: &GuestState, limit: Duration) -> GuestFault {
    with_details(FaultClass::Timeout, format!("the guest ran longer than its limit of {limit:?}"), state, None)
}

/// The guest answered too much.
pub(crate) fn output_limit(limits: &FunctionLimits) -> GuestFault {
    let reason = format!(
        "the guest answered, or wrote at once, more than limits.output = {} bytes a record allows",
        limits.output
    );
    GuestFault::new(FaultClass::OutputLimit, reason)
}

fn refused(refusal: LimitRefusal, limits: &FunctionLimits) -> String {
    match refusal {
        LimitRefusal::Memory { wanted: Some(wanted) } => {
            format!("the guest wanted {wanted} bytes of memory, limits.memory is {}", limits.memory)
        }
        LimitRefusal::Memory { wanted: None } => {
            format!("the guest wanted more memory than can be addressed, limits.memory is {}", limits.memory)
        }
        LimitRefusal::Table { wanted } => {
            format!("the guest wanted {wanted} elements in a table, limits.table_elements is {}", limits.table_elements)
        }
    }
}

/// Puts the tail of stderr and the guest's backtrace under the reason, within bounds.
fn with_details(class: FaultClass, reason: String, state: &GuestState, error: Option<&wasmtime::Error>) -> GuestFault {
    let mut message = reason;
    let stderr = state.log.stderr_tail();
    if !stderr.is_empty() {
        let _ = write!(message, "\nstderr: {stderr}");
    }
    if let Some(backtrace) = error.and_then(|error| error.downcast_ref::<WasmBacktrace>()) {
        let _ = write!(message, "\n{backtrace}");
    }
    if message.len() > MESSAGE_MAX {
        let end = (0..=MESSAGE_MAX).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
        message.truncate(end);
    }
    message.truncate(message.trim_end().len());
    GuestFault::new(class, message)
}
