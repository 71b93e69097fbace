//! A minimal OpenTelemetry collector: takes what a host sends by OTLP over HTTP, and reads it with OpenTelemetry's own
//! messages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// What a collector was given.
#[derive(Debug, Default, Clone)]
pub struct ReceivedTelemetry {
    /// Spans, in the order in which they came.
    pub spans: Vec<Span>,
    /// Every metric of every request.
    pub metrics: Vec<Metric>,
    /// Log records.
    pub lines: Vec<LogRecord>,
    /// The resources of all requests, each with its signal.
    pub resources: Vec<(&'static str, Attributes)>,
    /// The header `authorization` of each request.
    pub authorizations: Vec<String>,
    /// Requests that are not OTLP.
    pub unreadable: Vec<String>,
}

/// Attributes by name, as texts.
pub type Attributes = BTreeMap<String, String>;

/// Listens until the test ends.
#[derive(Debug)]
pub struct Collector {
    endpoint: String,
    given: Arc<Mutex<ReceivedTelemetry>>,
}

impl Collector {
    /// Starts one on a port of its own.
    #[track_caller]
    pub fn start() -> Self {
        let given: Arc<Mutex<ReceivedTelemetry>> = Arc::default();
        let router = Router::new()
            .route("/v1/traces", post(traces))
            .route("/v1/metrics", post(metrics))
            .route("/v1/logs", post(logs))
            .layer(DefaultBodyLimit::max(20 << 20))
            .with_state(given.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        listener.set_nonblocking(true).expect("a listener for tokio");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, router).await.expect("it serves");
            });
        });
        Self { endpoint, given }
    }

    /// The endpoint to configure on a host.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What it was given until now.
    #[track_caller]
    pub fn given(&self) -> ReceivedTelemetry {
        let given = lock(&self.given).clone();
        assert!(given.unreadable.is_empty(), "{:?}", given.unreadable);
        given
    }
}

impl ReceivedTelemetry {
    /// The spans of a trace, in hexadecimal digits, by when they began.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        let mut spans: Vec<Span> = self.spans.iter().filter(|span| hex(&span.trace_id) == id).cloned().collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }
}

/// Attributes by name.
pub fn attributes(pairs: &[KeyValue]) -> Attributes {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(boolean)) => boolean.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

/// The text of a line.
pub fn body(line: &LogRecord) -> &str {
    match line.body.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}

/// Bytes in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock(given: &Mutex<ReceivedTelemetry>) -> MutexGuard<'_, ReceivedTelemetry> {
    given.lock().expect("no panic under it")
}

type Shared = State<Arc<Mutex<ReceivedTelemetry>>>;

async fn traces(State(given): Shared, headers: HeaderMap, body: Bytes) -> (StatusCode, Vec<u8>) {
    let given = &mut *lock(&given);
    if let Some(request) = read::<ExportTraceServiceRequest>(given, &headers, &body) {
        for of_resource in request.resource_spans {
            note(given, "traces", of_resource.resource);
            given.spans.extend(of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans));
        }
    }
    (StatusCode::OK, ExportTraceServiceResponse { partial_success: None }.encode_to_vec())
}

async fn metrics(State(given): Shared, headers: HeaderMap, body: Bytes) -> StatusCode {
    let given = &mut *lock(&given);
    if let Some(request) = read::<ExportMetricsServiceRequest>(given, &headers, &body) {
        for of_resource in request.resource_metrics {
            note(given, "metrics", of_resource.resource);
            given.metrics.extend(of_resource.scope_metrics.into_iter().flat_map(|of_scope| of_scope.metrics));
        }
    }
    StatusCode::OK
}

async fn logs(State(given): Shared, headers: HeaderMap, body: Bytes) -> StatusCode {
    let given = &mut *lock(&given);
    if let Some(request) = read::<ExportLogsServiceRequest>(given, &headers, &body) {
        for of_resource in request.resource_logs {
            note(given, "logs", of_resource.resource);
            given.lines.extend(of_resource.scope_logs.into_iter().flat_map(|of_scope| of_scope.log_records));
        }
    }
    StatusCode::OK
}

fn read<T: Message + Default>(given: &mut ReceivedTelemetry, headers: &HeaderMap, body: &Bytes) -> Option<T> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    given.authorizations.push(header("authorization"));
    let is_protobuf = header("content-type") == "application/x-protobuf";
    match T::decode(body.clone()) {
        Ok(request) if is_protobuf => Some(request),
        read => {
            given.unreadable.push(format!("{}: {:?}", header("content-type"), read.err()));
            None
        }
    }
}

fn note(given: &mut ReceivedTelemetry, signal: &'static str, resource: Option<Resource>) {
    let attributes = attributes(&resource.map(|resource| resource.attributes).unwrap_or_default());
    if !given.resources.iter().any(|known| *known == (signal, attributes.clone())) {
        given.resources.push((signal, attributes));
    }
}
