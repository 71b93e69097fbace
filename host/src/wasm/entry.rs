//! The exported function that the host calls: found and type-checked once for each program, bound once for each
//! instance.

use wasmtime::Store;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, Func, Instance, InstancePre};
use wasmtime::format_err;

use super::shape::Inspection;
use super::state::GuestState;
use crate::model::function::Shape;

/// Takes a flat batch, gives a flat answer.
type BatchArguments<'a> = (&'a [u8],);
type BatchResults = (Vec<u8>,);

/// Where the function is in every instance.
pub(super) struct Entry {
    function: ComponentExportIndex,
}

impl Entry {
    /// Finds the function that `inspection` promises, and checks its type.
    pub(super) fn find(instance: &InstancePre<GuestState>, inspection: &Inspection) -> wasmtime::Result<Self> {
        let component: &Component = instance.component();
        let name = &inspection.export;
        let missing = || format_err!("{name} has no function \"handle\"");
        let interface = component.get_export_index(None, name).ok_or_else(missing)?;
        let (item, function) = component.get_export(Some(&interface), "handle").ok_or_else(missing)?;
        let ComponentItem::ComponentFunc(handle) = item else { return Err(missing()) };
        let checked = match inspection.shape {
            Shape::MillstreamBatch => handle.typecheck::<BatchArguments<'_>, BatchResults>(&instance.instance_type()),
            Shape::MillstreamTyped => Ok(()),
        };
        checked.map_err(|error| error.context(format!("\"handle\" of {name} has another type than the host's")))?;
        Ok(Self { function })
    }

    /// The function in `instance`.
    pub(super) fn bind(&self, instance: &Instance, store: &mut Store<GuestState>) -> wasmtime::Result<BoundEntry> {
        let function = instance.get_func(store, self.function).ok_or_else(|| format_err!("the entry is gone"))?;
        Ok(BoundEntry::Batch(function))
    }
}

/// The function of one instance.
pub(super) enum BoundEntry {
    /// It takes whole batches.
    Batch(Func),
}

impl BoundEntry {
    /// Calls the guest with a flat batch and gives its flat answer.
    pub(super) async fn call(&self, store: &mut Store<GuestState>, request: &[u8]) -> wasmtime::Result<Vec<u8>> {
        match self {
            Self::Batch(function) => {
                let function = function.typed::<BatchArguments<'_>, BatchResults>(&*store)?;
                let (answer,) = function.call_async(store, (request,)).await?;
                Ok(answer)
            }
        }
    }
}
