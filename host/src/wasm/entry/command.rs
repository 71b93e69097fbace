//! Runs a command for one event: the event is a line of structured JSON on stdin, then stdin ends; each line on stdout
//! is a structured event; exit status 0 says that it went well, and any other asks for a retry.
//!
//! Invariant: an instance runs once. A program that ended has no way back to its beginning.

use millstream_flat::Batch;
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Store, TypedFunc, format_err};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::exports::wasi::cli::run::{Guest, GuestIndices};

use crate::cloudevents::{Event, line, structured};
use crate::wasm::entry::foreign;
use crate::wasm::fault::BadAnswer;
use crate::wasm::shape::START;
use crate::wasm::state::GuestState;

/// How much of a line that is not an event is shown.
const SHOWN_MAX: usize = 120;

/// Where the function is in every instance of a component.
pub(crate) struct CommandEntry(GuestIndices);

impl CommandEntry {
    /// Finds the function and checks its type.
    pub(crate) fn find(instance: &InstancePre<GuestState>) -> wasmtime::Result<Self> {
        GuestIndices::new(instance).map(Self)
    }

    pub(crate) fn bind(&self, instance: &Instance, store: &mut Store<GuestState>) -> wasmtime::Result<BoundCommand> {
        self.0.load(store, instance).map(BoundCommand::Component)
    }
}

/// The function of one instance.
pub(crate) enum BoundCommand {
    /// `_start` of a core module.
    Module(TypedFunc<(), ()>),
    Component(Guest),
}

impl BoundCommand {
    pub(crate) fn of_module(instance: &wasmtime::Instance, store: &mut Store<GuestState>) -> wasmtime::Result<Self> {
        instance.get_typed_func(store, START).map(Self::Module)
    }

    /// Runs the command for the record of `request`. It may write `most` bytes.
    pub(crate) async fn call(
        &self,
        store: &mut Store<GuestState>,
        request: &[u8],
        most: usize,
    ) -> wasmtime::Result<Vec<u8>> {
        let batch = Batch::parse(request)?;
        let mut input = Vec::with_capacity(request.len() * 2);
        line::write(&mut input, &foreign::only_record(&batch)?)?;
        let state = store.data_mut();
        state.is_spent = true;
        let pipes = state.pipes.as_ref().ok_or_else(|| format_err!("a command without pipes"))?;
        pipes.stdin.fill(input);
        pipes.stdout.allow(most);
        let stdout = pipes.stdout.clone();

        let ended = match self {
            Self::Module(start) => start.call_async(&mut *store, ()).await.map(|()| 0),
            Self::Component(run) => run.call_run(&mut *store).await.map(|ended| i32::from(ended.is_err())),
        };
        let (output, overflowed) = stdout.take();
        let state = store.data_mut();
        state.overflowed = overflowed;
        let status = match ended {
            // What the guest made of a refusal is not clear from its exit status.
            _ if overflowed => return Err(format_err!("the command wrote too much")),
            Ok(status) => status,
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(status)) if state.limiter.refusal().is_none() => *status,
                _ => return Err(error),
            },
        };
        if status != 0 {
            let stderr = state.log.stderr_tail();
            let separator = if stderr.is_empty() { "" } else { "\nstderr: " };
            return Ok(foreign::retry(None, &format!("the command exited with status {status}{separator}{stderr}")));
        }
        Ok(foreign::emitted(&events(&output)?))
    }
}

/// The events on the lines of `output`.
fn events(output: &[u8]) -> Result<Vec<Event<'_>>, BadAnswer> {
    let lines = output.strip_suffix(b"\n").unwrap_or(output);
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let event = |(index, line): (usize, _)| {
        structured::read(line).map_err(|error| {
            let shown = String::from_utf8_lossy(&line[..line.len().min(SHOWN_MAX)]).into_owned();
            BadAnswer(format!(
                "line {} on stdout is not an event: {error}: {shown:?}; write events to stdout and all else to stderr",
                index + 1
            ))
        })
    };
    lines.split(|byte| *byte == b'\n').enumerate().map(event).collect()
}

#[cfg(test)]
mod tests;
