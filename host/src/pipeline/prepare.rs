//! Makes revisions callable: the live one of a function, and others beside it for those who look at the past.

use std::sync::Arc;

use crate::emit::encoder::EmissionEncoder;
use crate::emit::traceparent::NewTraceSampling;
use crate::execute::revisions::CallableRevision;
use crate::invoke::call::Invoker;
use crate::invoke::pool::InstancePool;
use crate::model::function::{InstancePolicy, SharedRevision};
use crate::pipeline::build::KafkaContext;
use crate::pipeline::guest_log::FunctionLog;
use crate::pipeline::supervisor::HostServices;
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::telemetry::guest_lines::GuestLines;
use crate::wasm::log::LogSink;

impl HostServices {
    /// `revision` with instances of its own, whose lines go to the function's. The error says what a person should do.
    pub(crate) async fn callable_with_lines(
        &self,
        revision: &SharedRevision,
        metrics: Arc<FunctionMetrics>,
        lines: Arc<GuestLines>,
    ) -> Result<CallableRevision, String> {
        let log = FunctionLog::new(revision, lines, metrics.clone());
        self.callable(revision, metrics, Arc::new(log)).await
    }

    /// The same with lines that go elsewhere.
    pub(crate) async fn callable(
        &self,
        revision: &SharedRevision,
        metrics: Arc<FunctionMetrics>,
        logs: LogSink,
    ) -> Result<CallableRevision, String> {
        let module = self.artifacts.module(revision.clone()).await?;
        let program = self.engine.load(module, revision.digest).await.map_err(|error| error.to_string())?;
        let sandbox = program.sandbox(revision, metrics.clone(), logs);
        let instances = InstancePolicy { isolation: Some(revision.isolation()), ..revision.manifest.instances.clone() };
        let pool = InstancePool::new(sandbox, &instances, self.admission.clone(), metrics);
        let KafkaContext { admin, cluster, tracer, .. } = &self.environment;
        let outputs = revision.manifest.outputs.values().map(|output| output.topic.as_str());
        let batches = admin.batch_limits(outputs.chain([revision.manifest.dead_letter_topic.as_str()])).await;
        let begun = if tracer.decides() { NewTraceSampling::Unsampled } else { NewTraceSampling::Sampled };
        Ok(CallableRevision {
            revision: revision.clone(),
            invoker: Invoker::new(revision.clone(), pool, cluster.clone()),
            encoder: EmissionEncoder::new(revision, &batches).beginning(begun),
            tracer: tracer.of(revision),
            batches,
        })
    }
}
