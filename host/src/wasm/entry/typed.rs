//! Calls the typed export, one record at a time, so that callers see the flat layout whatever the shape.

use millstream_flat::{AnswerWriter, Batch, EmissionFields, EmissionKey as FlatKey, Record};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use self::bindings::exports::millstream::function::handler::{Guest, GuestIndices};
use self::bindings::millstream::function::types;
use crate::wasm::state::GuestState;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "function",
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// Where the typed function is in every instance.
pub(crate) struct TypedEntry(GuestIndices);

impl TypedEntry {
    /// Finds the function and checks its type.
    pub(crate) fn find(instance: &InstancePre<GuestState>) -> wasmtime::Result<Self> {
        GuestIndices::new(instance).map(Self)
    }

    pub(crate) fn bind(&self, instance: &Instance, store: &mut Store<GuestState>) -> wasmtime::Result<BoundTyped> {
        self.0.load(store, instance).map(BoundTyped)
    }
}

/// The typed function of one instance.
pub(crate) struct BoundTyped(Guest);

impl BoundTyped {
    /// Calls the guest for each record of a flat batch and gives a flat answer. The guest may hand over `record_bytes`
    /// for each.
    pub(crate) async fn call(
        &self,
        store: &mut Store<GuestState>,
        request: &[u8],
        record_bytes: usize,
    ) -> wasmtime::Result<Vec<u8>> {
        let batch = Batch::parse(request)?;
        let mut answer = AnswerWriter::new();
        for record in batch.records() {
            // Set again for each, so that the whole answer is bounded by the number of records.
            store.set_hostcall_fuel(record_bytes);
            let verdict = self.call_one(store, &record, batch.deadline_ms()).await?;
            write_verdict(&mut answer, &verdict);
        }
        Ok(answer.finish())
    }

    async fn call_one(
        &self,
        store: &mut Store<GuestState>,
        record: &Record<'_>,
        deadline: u64,
    ) -> wasmtime::Result<Result<Vec<types::Emission>, types::Failure>> {
        let (id, source) = (record.id(), record.source());
        let extensions: Vec<(&str, &str)> = record.extensions().collect();
        let headers: Vec<types::HeaderParam<'_>> =
            record.headers().map(|(name, value)| types::HeaderParam { name, value }).collect();
        let context = types::Context {
            topic: record.topic(),
            partition: record.partition(),
            offset: record.offset(),
            key: record.key(),
            headers: &headers,
            timestamp: record.timestamp_ms(),
            attempt: record.attempt(),
            deadline,
        };
        let event = types::Event {
            id: &id,
            source: &source,
            type_: record.type_(),
            subject: record.subject(),
            time: record.time(),
            datacontenttype: record.datacontenttype(),
            dataschema: record.dataschema(),
            extensions: &extensions,
            data: record.data(),
            context,
        };
        self.0.call_handle(store, event).await
    }
}

fn write_verdict(answer: &mut AnswerWriter, verdict: &Result<Vec<types::Emission>, types::Failure>) {
    match verdict {
        Ok(emissions) => {
            answer.begin_emitted();
            emissions.iter().for_each(|emission| write_emission(answer, emission));
            answer.end_emitted();
        }
        Err(types::Failure::Retry(retry)) => answer.retry(retry.after, &retry.reason),
        Err(types::Failure::Reject(reason)) => answer.reject(reason),
    }
}

fn write_emission(answer: &mut AnswerWriter, emission: &types::Emission) {
    let extensions: Vec<(&str, &str)> =
        emission.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let headers: Vec<(&str, Option<&[u8]>)> =
        emission.headers.iter().map(|header| (header.name.as_str(), header.value.as_deref())).collect();
    answer.emission(&EmissionFields {
        output: emission.output.as_deref().unwrap_or_default(),
        key: match &emission.key {
            types::EmissionKey::Inherit => FlatKey::Inherit,
            types::EmissionKey::None => FlatKey::None,
            types::EmissionKey::Bytes(key) => FlatKey::Bytes(key),
        },
        id: emission.id.as_deref(),
        source: emission.source.as_deref(),
        type_: emission.type_.as_deref(),
        subject: emission.subject.as_deref(),
        time: emission.time.as_deref(),
        datacontenttype: emission.datacontenttype.as_deref(),
        dataschema: emission.dataschema.as_deref(),
        extensions: &extensions,
        headers: &headers,
        data: emission.data.as_deref(),
    });
}
