//! The host's log: lines on stderr, for people or as JSON. Results of commands go to stdout and never come here.

use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
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

/// Starts the log of this process. `level` is a level or filter directives. What is written is told to `also`.
pub(crate) fn start(level: &str, format: LineFormat, also: Option<LogLayer>) -> Result<(), LogsError> {
    let filter = EnvFilter::try_new(level).map_err(|source| LogsError::Level { level: level.to_owned(), source })?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LineFormat::Text => {
            // Messages and fields hold what records, guests and brokers chose.
            let fields = debug_fn(|writer: &mut Writer<'_>, field, value| {
                let value = format!("{value:?}");
                let value = escape_for_terminal(&value);
                match field.name() {
                    "message" => write!(writer, "{value}"),
                    name => write!(writer, "{name}={value}"),
                }
            });
            lines.with_ansi(ColorChoice::for_stderr().is_colored()).fmt_fields(fields.delimited(" ")).boxed()
        }
        LineFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    registry().with(filter).with(lines).with(also).try_init().map_err(|_| LogsError::Started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_cannot_be_read_is_named() {
        let error = start("info=info=info", LineFormat::Text, None).unwrap_err();
        assert!(error.to_string().contains("info=info=info"), "{error}");
    }
}
