//! The exported function that the host calls: found and type-checked once for each program, bound once for each
//! instance.

mod command;
mod foreign;
mod http;
mod typed;

use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, Func, Instance, InstancePre};
use wasmtime::format_err;

use self::command::{BoundCommand, CommandEntry};
use self::http::{BoundHttp, HttpEntry};
use self::typed::{BoundTyped, TypedEntry};
use crate::model::function::ModuleShape;
use crate::wasm::shape::CallInterface;
use crate::wasm::state::GuestState;

/// Takes a flat batch, gives a flat answer.
type BatchArguments<'a> = (&'a [u8],);
type BatchResults = (Vec<u8>,);

/// Bytes that a host call may always take from the guest, whatever its answer may have.
const HOSTCALL_BYTES: usize = 1 << 20;
/// The same for each record of a typed call.
const RECORD_BYTES: usize = 128 << 10;

/// Where the function is in every instance of a component.
pub(crate) enum EntryPoint {
    /// The one that takes whole batches.
    Batch(ComponentExportIndex),
    /// The one that takes one event.
    Typed(TypedEntry),
    /// The one that takes a request.
    Http(HttpEntry),
    /// The one that runs a command.
    Command(CommandEntry),
}

impl EntryPoint {
    /// Finds the function that `called` promises, and checks its type.
    pub(crate) fn find(instance: &InstancePre<GuestState>, called: &CallInterface) -> wasmtime::Result<Self> {
        let name = &called.export;
        let found = match called.shape {
            ModuleShape::MillstreamBatch => find_batch(instance, name).map(Self::Batch),
            ModuleShape::MillstreamTyped => TypedEntry::find(instance).map(Self::Typed),
            ModuleShape::WasiHttp => HttpEntry::find(instance).map(Self::Http),
            ModuleShape::WasiCommand => CommandEntry::find(instance).map(Self::Command),
        };
        found.map_err(|error| {
            error.context(format!("the function of {name} is missing or of another type than the host's"))
        })
    }

    pub(crate) fn bind(&self, instance: &Instance, store: &mut Store<GuestState>) -> wasmtime::Result<BoundEntry> {
        match self {
            Self::Batch(index) => {
                let function = instance.get_func(store, *index).ok_or_else(|| format_err!("the entry is gone"))?;
                Ok(BoundEntry::Batch(function))
            }
            Self::Typed(entry) => entry.bind(instance, store).map(BoundEntry::Typed),
            Self::Http(entry) => entry.bind(instance, store).map(BoundEntry::Http),
            Self::Command(entry) => entry.bind(instance, store).map(BoundEntry::Command),
        }
    }
}

fn find_batch(instance: &InstancePre<GuestState>, interface: &str) -> wasmtime::Result<ComponentExportIndex> {
    let component: &Component = instance.component();
    let missing = || format_err!("there is no such function");
    let interface = component.get_export_index(None, interface).ok_or_else(missing)?;
    let (item, function) = component.get_export(Some(&interface), "handle").ok_or_else(missing)?;
    let ComponentItem::ComponentFunc(handle) = item else { return Err(missing()) };
    handle.typecheck::<BatchArguments<'_>, BatchResults>(&instance.instance_type())?;
    Ok(function)
}

/// The function of one instance.
pub(crate) enum BoundEntry {
    Batch(Func),
    Typed(BoundTyped),
    Http(BoundHttp),
    Command(BoundCommand),
}

impl BoundEntry {
    /// The function of a core module that is a command.
    pub(crate) fn command(instance: &wasmtime::Instance, store: &mut Store<GuestState>) -> wasmtime::Result<Self> {
        BoundCommand::of_module(instance, store).map(Self::Command)
    }

    /// Calls the guest with a flat batch of `records` records, and gives its flat answer, which the engine does not
    /// copy if it is much beyond `answer_max`.
    pub(crate) async fn call(
        &self,
        store: &mut Store<GuestState>,
        request: &[u8],
        records: usize,
        answer_max: usize,
    ) -> wasmtime::Result<Vec<u8>> {
        match self {
            Self::Batch(function) => {
                store.set_hostcall_fuel(answer_max.max(HOSTCALL_BYTES));
                let function = function.typed::<BatchArguments<'_>, BatchResults>(&*store)?;
                let (answer,) = function.call_async(store, (request,)).await?;
                Ok(answer)
            }
            Self::Typed(function) => {
                let record_bytes = (answer_max / records.max(1)).max(RECORD_BYTES);
                function.call(store, request, record_bytes).await
            }
            Self::Http(function) => {
                store.set_hostcall_fuel(text_max(answer_max));
                function.call(store, request, text_max(answer_max)).await
            }
            Self::Command(function) => {
                store.set_hostcall_fuel(text_max(answer_max));
                function.call(store, request, text_max(answer_max)).await
            }
        }
    }
}

/// What an answer in text may have: base64 makes it larger by a third, names and quotes by a little.
fn text_max(answer_max: usize) -> usize {
    answer_max.saturating_add(answer_max / 2).max(HOSTCALL_BYTES)
}

#[cfg(test)]
mod tests;
