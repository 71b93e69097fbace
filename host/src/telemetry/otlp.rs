//! Traces, metrics and logs for an OpenTelemetry collector, by OTLP over HTTP in protobuf.
//!
//! ```text
//!  attempts ──► tracer ────► basket ─┐
//!  the log ───► log layer ─► basket ─┼─► courier ─► collector
//!  /metrics ──► figures ─────────────┘   (one a signal)
//! ```
//!
//! Anyone who has something to report puts it into a basket and continues: nothing of the data path waits for a collector, and
//! without one nothing is made. A basket holds 4 MiB, and as much is under way.

mod client;
mod export_queue;
mod exporter;
mod figures;
mod log_layer;
mod span;
mod tracer;
mod wire;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use prost::Message;
use reqwest::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::client::OtlpClient;
use self::export_queue::ExportQueue;
use self::exporter::SignalExporter;
use self::figures::SeriesStarts;
use self::wire::{LogRecord, Metric, OfResource, OfScope, Request, Resource, Scope, Span, attribute};
use crate::config::host::OtlpConfig as Settings;

pub(crate) use export_queue::ExportCounters;
pub(crate) use log_layer::LogLayer;
pub(crate) use span::{FinishedSpan, SpanOutcome, SpanTrigger};
pub(crate) use tracer::{FunctionTracer, SpanTracer};

/// How long a span or a line waits for others.
const GATHERING: Duration = Duration::from_secs(1);
/// How often a batch of them is tried to be delivered: for half a minute or so.
const TRIES: u32 = 6;
/// How long what is left may take when the host ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtlpSignal {
    Traces,
    Metrics,
    Logs,
}

impl OtlpSignal {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// Gives the figures in Prometheus' text format.
pub(crate) type MetricsSource = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// What a host sends. Cheap to clone; the default one sends nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct OtlpHandle(Option<Arc<OtlpParts>>);

#[derive(Debug)]
struct OtlpParts {
    settings: Settings,
    client: Client,
    started: SystemTime,
    traces: ExportCounters,
    metrics: ExportCounters,
    logs: ExportCounters,
    spans: Arc<ExportQueue<Span>>,
    lines: Arc<ExportQueue<LogRecord>>,
}

impl OtlpHandle {
    /// What `settings` say; nothing without an endpoint. What is reported before [`Self::start`] is kept.
    pub(crate) fn new(settings: &Settings) -> reqwest::Result<Self> {
        if settings.endpoint.is_none() {
            return Ok(Self::default());
        }
        let (traces, metrics, logs) = (ExportCounters::default(), ExportCounters::default(), ExportCounters::default());
        Ok(Self(Some(Arc::new(OtlpParts {
            client: client::client(settings)?,
            settings: settings.clone(),
            started: SystemTime::now(),
            spans: Arc::new(ExportQueue::new(traces.clone())),
            lines: Arc::new(ExportQueue::new(logs.clone())),
            traces,
            metrics,
            logs,
        }))))
    }

    pub(crate) fn tracer(&self) -> SpanTracer {
        let parts = self.0.as_ref().filter(|parts| parts.settings.traces);
        parts.map(|parts| SpanTracer::new(parts.spans.clone(), parts.settings.trace_ratio)).unwrap_or_default()
    }

    pub(crate) fn log_layer(&self) -> Option<LogLayer> {
        let parts = self.0.as_ref().filter(|parts| parts.settings.logs)?;
        Some(LogLayer::new(parts.lines.clone()))
    }

    /// What became of what was reported, for each signal that is sent.
    pub(crate) fn counts(&self) -> Vec<(OtlpSignal, ExportCounters)> {
        let Some(parts) = &self.0 else { return Vec::new() };
        let all = [
            (parts.settings.traces, OtlpSignal::Traces, &parts.traces),
            (parts.settings.metrics, OtlpSignal::Metrics, &parts.metrics),
            (parts.settings.logs, OtlpSignal::Logs, &parts.logs),
        ];
        all.into_iter().filter(|(is_sent, ..)| *is_sent).map(|(_, signal, counts)| (signal, counts.clone())).collect()
    }

    /// Begins to send, as the host `host_id`.
    pub(crate) fn start(&self, host_id: &str, figures: MetricsSource) -> ExporterTasks {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        if let Some(parts) = &self.0
            && let Some(endpoint) = &parts.settings.endpoint
        {
            let sender = SignalSender { origin: ResourceOrigin::new(host_id), stop: stop.clone() };
            for (signal, counts) in self.counts() {
                let post = OtlpClient::new(&parts.client, endpoint, signal);
                let courier = SignalExporter::new(signal, post, counts, stop.clone());
                match signal {
                    OtlpSignal::Traces => drop(tasks.spawn(sender.clone().items(parts.spans.clone(), courier))),
                    OtlpSignal::Logs => drop(tasks.spawn(sender.clone().items(parts.lines.clone(), courier))),
                    OtlpSignal::Metrics => {
                        let (figures, every) = (figures.clone(), parts.settings.metrics_interval);
                        let started = span::nanos(parts.started);
                        drop(tasks.spawn(sender.clone().figures(figures, every, started, courier)));
                    }
                }
            }
        }
        ExporterTasks { stop, tasks }
    }
}

#[derive(Debug)]
pub(crate) struct ExporterTasks {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl ExporterTasks {
    /// Sends what is left, as far as there is time for it.
    pub(crate) async fn finish(mut self) {
        self.stop.cancel();
        let all_sent = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORDS, all_sent).await.is_err() {
            tracing::warn!("the last telemetry could not be sent within {} s", LAST_WORDS.as_secs());
        }
    }
}

/// Where all telemetry of a host comes from.
#[derive(Debug, Clone)]
struct ResourceOrigin {
    resource: Resource,
    scope: Scope,
}

impl ResourceOrigin {
    fn new(host_id: &str) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let attributes = vec![
            attribute("service.name", "millstream"),
            attribute("service.instance.id", host_id),
            attribute("service.version", version),
        ];
        let scope = Scope { name: "millstream".to_owned(), version: version.to_owned() };
        Self { resource: Resource { attributes }, scope }
    }

    fn request<T: Message + Default + Debug>(&self, items: Vec<T>) -> Vec<u8> {
        let of_scopes = vec![OfScope { scope: Some(self.scope.clone()), items }];
        let resource = Some(self.resource.clone());
        let of_resource = OfResource { resource, of_scopes, schema_url: span::SCHEMA.to_owned() };
        Request { of_resources: vec![of_resource] }.encode_to_vec()
    }
}

#[derive(Debug, Clone)]
struct SignalSender {
    origin: ResourceOrigin,
    stop: CancellationToken,
}

impl SignalSender {
    /// Sends what gathers in `basket`, and at the end what is left.
    async fn items<T: Message + Default + Debug>(self, basket: Arc<ExportQueue<T>>, mut courier: SignalExporter) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = basket.worth_sending() => {}
                () = tokio::time::sleep(GATHERING) => {}
            }
            let is_last = self.stop.is_cancelled();
            let items = basket.take();
            if !items.is_empty() {
                let count = items.len() as u64;
                courier.deliver(self.origin.request(items), count, TRIES).await;
            }
            if is_last {
                return;
            }
        }
    }

    /// Sends the figures at every interval, and at the end. Old ones are not tried again: new ones say more.
    async fn figures(self, figures: MetricsSource, every: Duration, started: u64, mut courier: SignalExporter) {
        let mut starts = SeriesStarts::new(started);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(every) => {}
            }
            let is_last = self.stop.is_cancelled();
            let text = figures().await;
            let metrics = starts.read(&text, span::nanos(SystemTime::now()));
            let count = metrics.iter().map(Metric::points).sum();
            courier.deliver(self.origin.request(metrics), count, 1).await;
            if is_last {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
