//! The lines of the host's log, as records of OTLP.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::telemetry::otlp::export_queue::ExportQueue;
use crate::telemetry::otlp::span::{cut, nanos};
use crate::telemetry::otlp::wire::{AnyValue, KeyValue, LogRecord, Value, attribute};

/// What speaks when lines are sent: its lines would never end.
const SENDERS: [&str; 5] = ["h2", "hyper", "hyper_util", "reqwest", "rustls"];

/// The most of one text, in bytes.
const LONGEST: usize = 16 << 10;

/// Puts lines where they wait to be sent.
#[derive(Debug)]
pub(crate) struct LogLayer {
    basket: Arc<ExportQueue<LogRecord>>,
}

impl LogLayer {
    pub(crate) fn new(basket: Arc<ExportQueue<LogRecord>>) -> Self {
        Self { basket }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = EventFields::default();
        event.record(&mut line);
        // Of what comes from the crate `log`, the target is a field.
        let target = line.target.take().unwrap_or_else(|| metadata.target().to_owned());
        let room = target.split("::").next().unwrap_or_default();
        if !SENDERS.contains(&room) {
            self.basket.put(|| line.record(*metadata.level(), &target));
        }
    }
}

/// The fields of an event.
#[derive(Default)]
struct EventFields {
    message: Option<String>,
    target: Option<String>,
    trace_id: Vec<u8>,
    span_id: Vec<u8>,
    attributes: Vec<KeyValue>,
}

impl EventFields {
    fn record(self, level: Level, target: &str) -> LogRecord {
        let (severity_number, severity_text) = match level {
            Level::TRACE => (1, "TRACE"),
            Level::DEBUG => (5, "DEBUG"),
            Level::INFO => (9, "INFO"),
            Level::WARN => (13, "WARN"),
            Level::ERROR => (17, "ERROR"),
        };
        let mut attributes = self.attributes;
        attributes.push(attribute("log.target", target));
        let now = nanos(SystemTime::now());
        LogRecord {
            time_unix_nano: now,
            observed_time_unix_nano: now,
            severity_number,
            severity_text: severity_text.to_owned(),
            body: self.message.map(|message| AnyValue { value: Some(Value::Text(message)) }),
            attributes,
            // Only a sampled trace has a span here.
            flags: u32::from(!self.trace_id.is_empty()),
            trace_id: self.trace_id,
            span_id: self.span_id,
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        match name {
            // What a guest writes is the line itself.
            "message" | "line" => self.message = Some(cut(text, LONGEST).to_owned()),
            "log.target" => self.target = Some(text.to_owned()),
            "log.module_path" | "log.file" => {}
            "trace_id" => self.trace_id = bytes(text),
            "span_id" => self.span_id = bytes(text),
            _ => self.attributes.push(attribute(name, cut(text, LONGEST))),
        }
    }
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.push(attribute(field.name(), value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push(attribute(field.name(), value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(_) if field.name() == "log.line" => {}
            Ok(value) => self.attributes.push(attribute(field.name(), value)),
            Err(_) => self.attributes.push(attribute(field.name(), value.to_string())),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attributes.push(attribute(field.name(), Value::Float(value)));
    }
}

/// The bytes of hexadecimal digits; none where they are not such.
fn bytes(text: &str) -> Vec<u8> {
    let pair = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(pair).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::telemetry::otlp::export_queue::ExportCounters;

    fn logged(log: impl FnOnce()) -> Vec<LogRecord> {
        let basket = Arc::new(ExportQueue::new(ExportCounters::default()));
        let layers = tracing_subscriber::registry().with(LogLayer::new(basket.clone()));
        tracing::subscriber::with_default(layers, log);
        basket.take()
    }

    fn text(record: &LogRecord) -> Option<&str> {
        match record.body.as_ref()?.value.as_ref()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn a_line_keeps_its_fields_and_its_level() {
        let error = std::io::Error::other("gone");
        let records = logged(|| tracing::warn!(%error, tries = 3_u64, wide = u64::MAX, "can't reach it"));
        let [record] = records.as_slice() else { panic!("one line: {records:?}") };
        assert_eq!((text(record), record.severity_number), (Some("can't reach it"), 13));
        let of =
            |key: &str| record.attributes.iter().find(|found| found.key == key).and_then(|found| found.value.clone());
        let value = |value: Value| Some(AnyValue { value: Some(value) });
        assert_eq!(of("error"), value("gone".into()));
        assert_eq!(of("tries"), value(Value::Integer(3)));
        assert_eq!(of("wide"), value(u64::MAX.to_string().into()));
        assert_eq!(of("log.target"), value(module_path!().into()));
        assert!(record.trace_id.is_empty());
    }

    #[test]
    fn what_a_guest_wrote_is_the_line_and_belongs_to_its_span() {
        let (trace_id, span_id) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let records = logged(|| {
            let (trace_id, span_id) = (tracing::field::display(trace_id), tracing::field::display(span_id));
            tracing::info!(target: "millstream::guest", function = "f@1", trace_id, span_id, line = "\"hi\"\n");
        });
        let [record] = records.as_slice() else { panic!("one line: {records:?}") };
        assert_eq!((text(record), record.flags), (Some("\"hi\"\n"), 1));
        assert_eq!((record.trace_id[0], record.trace_id.len(), record.span_id[1]), (0x4b, 16, 0xf0));
    }

    #[test]
    fn those_who_send_are_not_heard() {
        let records = logged(|| {
            tracing::debug!(target: "hyper_util::client", "connecting");
            tracing::debug!(target: "log", { log.target = "reqwest::connect" }, "starting new connection");
        });
        assert!(records.is_empty(), "{records:?}");
    }
}
