//! The log lines of an admin client. rdkafka's `AdminClient` reads only the answers to its requests: log lines and errors
//! would pile up in the client's main queue, and the host could not say why Kafka does not answer.

#![allow(unsafe_code, reason = "rdkafka polls a main queue only for consumers and producers; its library does for all")]

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::bindings as ffi;
use rdkafka::config::RDKafkaLogLevel;
use tokio::sync::watch;

use crate::kafka::client_log::{self, LoggingContext};
use crate::kafka::settings::ClientSettings;
use crate::kafka::{certificate_fault, connection_advice};

/// The longest wait for an event, so that the thread ends soon.
const SLICE: Duration = Duration::from_millis(200);

/// Forwards a client's log, and keeps the latest reason why it cannot connect. Its thread ends when this is dropped.
pub(super) struct ClientEvents {
    cause: watch::Receiver<Option<String>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ClientEvents {
    pub(super) fn listen(client: Arc<AdminClient<LoggingContext>>, settings: ClientSettings) -> std::io::Result<Self> {
        let (sender, cause) = watch::channel(None);
        let stop = Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("kafka-admin-log".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(cause) = next_line(&client).and_then(LogLine::pass_on) {
                    sender.send_replace(Some(explain(cause, &settings)));
                }
            }
        })?;
        Ok(Self { cause, stop, thread: Some(thread) })
    }

    /// Why the latest attempt to connect failed. It stays when a later attempt succeeds.
    pub(super) fn cause(&self) -> watch::Receiver<Option<String>> {
        self.cause.clone()
    }
}

impl Drop for ClientEvents {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has released its client, too.
            let _ = thread.join();
        }
    }
}

/// Adds the reason that librdkafka leaves out, and the remedy.
fn explain(cause: String, settings: &ClientSettings) -> String {
    let is_vague = connection_advice::is_about_a_certificate(&cause);
    let Some(fault) = is_vague.then(|| certificate_fault::find(settings)).flatten() else {
        return connection_advice::with_remedy(&cause);
    };
    connection_advice::with_remedy(&connection_advice::with_certificate_fault(&cause, &fault))
}

struct LogLine {
    level: RDKafkaLogLevel,
    facility: String,
    text: String,
}

impl LogLine {
    /// Logs it. Returns the reason if the line says why the client cannot connect.
    fn pass_on(self) -> Option<String> {
        client_log::line(self.level, &self.facility, &self.text);
        connection_advice::cause(&self.facility, &self.text)
    }
}

/// The next log line, if one comes soon. Other events are dropped: librdkafka logs each error as well.
fn next_line(client: &AdminClient<LoggingContext>) -> Option<LogLine> {
    let milliseconds = i32::try_from(SLICE.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client lives as long as the borrow; queue and event are ours until they are destroyed below, and the texts
    // of an event live as long as it does.
    unsafe {
        let queue = ffi::rd_kafka_queue_get_main(client.inner().native_ptr());
        let event = ffi::rd_kafka_queue_poll(queue, milliseconds);
        ffi::rd_kafka_queue_destroy(queue);
        if event.is_null() {
            return None;
        }
        let (mut facility, mut text, mut level) = (std::ptr::null(), std::ptr::null(), 0);
        let is_line = ffi::rd_kafka_event_log(event, &raw mut facility, &raw mut text, &raw mut level) == 0;
        let line = is_line.then(|| LogLine {
            level: client_log::level_of(level),
            facility: CStr::from_ptr(facility).to_string_lossy().trim().to_owned(),
            text: CStr::from_ptr(text).to_string_lossy().trim().to_owned(),
        });
        ffi::rd_kafka_event_destroy(event);
        line
    }
}
