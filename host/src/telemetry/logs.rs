//! The host's log: lines on stderr, for people or as JSON. Results of commands go to stdout and never come here.

use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use crate::telemetry::otlp::LogLayer;
use crate::terminal::{ColorChoice, escape_for_terminal};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// For people; coloured on a terminal.
    Text,
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogsError {
    /// The level cannot be read.
    #[error("log level \"{level}\" cannot be read: {source}; use error, warn, info, debug, trace or filter directives")]
    Level { level: String, source: ParseError },
    /// It is a process's one log.
    #[error("the log was started twice in one process")]
    Started,
}

/// Starts the log of this process. `level` is a level or filter directives. `also` receives every event too.
pub(crate) fn start(level: &str, format: LineFormat, also: Option<LogLayer>) -> Result<(), LogsError> {
    let filter = EnvFilter::try_new(level).map_err(|source| LogsError::Level { level: level.to_owned(), source })?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LineFormat::Text => lines.with_ansi(ColorChoice::for_stderr().is_colored()).fmt_fields(EscapedFields).boxed(),
        LineFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    registry().with(filter).with(lines).with(also).try_init().map_err(|_| LogsError::Started)
}

/// Messages and fields hold what records, guests and brokers chose: each is escaped, and stays on its line.
struct EscapedFields;

impl<'writer> FormatFields<'writer> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> std::fmt::Result {
        let mut line = FieldWriter { writer, is_first: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct FieldWriter<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    result: std::fmt::Result,
}

impl Visit for FieldWriter<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        let value = escape_for_terminal(&value);
        let space = if std::mem::take(&mut self.is_first) { "" } else { " " };
        let written = match field.name() {
            "message" => write!(self.writer, "{space}{value}"),
            name => write!(self.writer, "{space}{name}={value}"),
        };
        self.result = self.result.and(written);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct WrittenLog(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for WrittenLog {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_does_what_no_field_chose() {
        let log = WrittenLog::default();
        let written = log.clone();
        let lines = fmt::layer().with_writer(move || written.clone()).with_ansi(false).without_time();
        let subscriber = registry().with(lines.fmt_fields(EscapedFields));
        tracing::subscriber::with_default(subscriber, || {
            let hostile = "a\u{1b}[2J\nb\u{202e}";
            tracing::info!(topic = hostile, error = %hostile, count = 3, "guest: {hostile}");
        });
        let text = String::from_utf8(log.0.lock().clone()).unwrap();
        let shown = "a\\u{1b}[2J\\nb\\u{202e}";
        let line = format!("guest: {shown} topic=\"{shown}\" error={shown} count=3\n");
        assert!(text.ends_with(&line), "{text}");
    }

    #[test]
    fn a_level_that_cannot_be_read_is_named() {
        let error = start("info=info=info", LineFormat::Text, None).unwrap_err();
        assert!(error.to_string().contains("info=info=info"), "{error}");
    }
}
