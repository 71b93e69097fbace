//! The client of a producer whose messages carry tickets.
//!
//! Most messages are acknowledged, and a delivery report for each of them costs a tenth of a host's CPU time: librdkafka
//! hands them from its thread to the one that polls, where none of them is in a cache any more. So only what is refused is
//! reported; what is acknowledged an interceptor sees, on the thread that read the answer. rdkafka's own producers leave no
//! room for an interceptor. See docs/decisions/0015-acknowledgements-without-reports.md.

#![allow(unsafe_code, reason = "rdkafka wraps no interceptors")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rdkafka::bindings as ffi;
use rdkafka::client::{Client, NativeClient};
use rdkafka::config::{ClientConfig, NativeClientConfig};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::{RDKafka, RDKafkaConf, RDKafkaMessage, RDKafkaRespErr, RDKafkaType};

use crate::kafka::client_log::{self, LoggingContext};
use crate::kafka::produce::tickets;

/// What librdkafka knows our interceptors by.
const INTERCEPTORS: &CStr = c"millstream";

/// How long one turn of polling waits at most: how long the end of a client takes.
const POLL: Duration = Duration::from_millis(100);
/// How long the end of a client waits for the refusals of what it threw away.
const LAST_REPORTS: Duration = Duration::from_millis(500);

/// See the module. Messages are given to [`Self::native`], each with a ticket.
pub(crate) struct TicketedClient {
    client: Arc<Client<LoggingContext>>,
    ends: Arc<AtomicBool>,
    polling: Option<JoinHandle<()>>,
}

impl TicketedClient {
    /// Starts a client and its thread.
    pub(crate) fn start(mut config: ClientConfig) -> Result<Self, KafkaError> {
        config.set("delivery.report.only.error", "true");
        let native = config.create_native_config()?;
        listen(&native)?;
        let client = Arc::new(Client::new(&config, native, RDKafkaType::RD_KAFKA_PRODUCER, LoggingContext)?);
        let ends = Arc::new(AtomicBool::new(false));
        let (polled, over) = (client.clone(), ends.clone());
        let polling = thread::Builder::new()
            .name("producer".to_owned())
            .spawn(move || {
                while !over.load(Ordering::Acquire) {
                    poll(polled.native_client(), POLL);
                }
            })
            .map_err(|error| KafkaError::ClientCreation(format!("no thread for a producer: {error}")))?;
        Ok(Self { client, ends, polling: Some(polling) })
    }

    /// What messages are given to.
    pub(crate) fn native(&self) -> &NativeClient {
        self.client.native_client()
    }

    /// Whether it failed for good.
    pub(crate) fn is_broken(&self) -> bool {
        self.client.fatal_error().is_some()
    }
}

impl Drop for TicketedClient {
    /// What is not sent yet is refused.
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(polling) = self.polling.take() {
            // It does nothing but poll.
            let _ = polling.join();
        }
        // SAFETY: the client lives until after this. Both calls may be made at any time, and the second serves reports.
        unsafe {
            ffi::rd_kafka_purge(self.native().ptr(), ffi::RD_KAFKA_PURGE_F_QUEUE | ffi::RD_KAFKA_PURGE_F_INFLIGHT);
            ffi::rd_kafka_flush(self.native().ptr(), LAST_REPORTS.as_millis() as c_int);
        }
    }
}

/// Serves refusals, errors and log lines, or waits for some.
fn poll(client: &NativeClient, longest: Duration) {
    // SAFETY: the client lives as long as the borrow.
    unsafe { ffi::rd_kafka_poll(client.ptr(), longest.as_millis() as c_int) };
}

/// Lets a client made of `config` call the functions below.
fn listen(config: &NativeClientConfig) -> Result<(), KafkaError> {
    // SAFETY: the configuration lives as long as the borrow; none of the functions uses what is passed through.
    let added = unsafe {
        ffi::rd_kafka_conf_set_dr_msg_cb(config.ptr(), Some(reported));
        ffi::rd_kafka_conf_set_error_cb(config.ptr(), Some(failed));
        ffi::rd_kafka_conf_set_log_cb(config.ptr(), Some(logged));
        ffi::rd_kafka_conf_interceptor_add_on_new(config.ptr(), INTERCEPTORS.as_ptr(), Some(begins), ptr::null_mut())
    };
    match added {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        error => Err(KafkaError::Global(error.into())),
    }
}

/// Called by librdkafka while it makes a client: the only time at which an interceptor may be added.
unsafe extern "C" fn begins(
    client: *mut RDKafka,
    _: *const RDKafkaConf,
    _: *mut c_void,
    _: *mut c_char,
    _: usize,
) -> RDKafkaRespErr {
    // SAFETY: librdkafka gives a client that may be used for this.
    unsafe {
        ffi::rd_kafka_interceptor_add_on_acknowledgement(
            client,
            INTERCEPTORS.as_ptr(),
            Some(acknowledged),
            ptr::null_mut(),
        )
    }
}

/// Called by librdkafka, on any thread, with a message that is done with. What is not written is reported besides, or was
/// never queued.
unsafe extern "C" fn acknowledged(_: *mut RDKafka, message: *mut RDKafkaMessage, _: *mut c_void) -> RDKafkaRespErr {
    // SAFETY: librdkafka gives a message that it does not use for as long. It carries a ticket, and is done with only once.
    unsafe {
        if (*message).err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            tickets::acknowledge((*message)._private);
        }
    }
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// Called by librdkafka, while it is polled, with a message that was not written.
unsafe extern "C" fn reported(_: *mut RDKafka, message: *const RDKafkaMessage, _: *mut c_void) {
    // SAFETY: as above.
    let (error, ticket) = unsafe { ((*message).err, (*message)._private) };
    if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        // SAFETY: as above; no interceptor answered it.
        unsafe { tickets::refuse(ticket, &KafkaError::MessageProduction(error.into())) };
    }
}

/// Called by librdkafka, while it is polled, with an error that belongs to no message.
unsafe extern "C" fn failed(_: *mut RDKafka, error: c_int, reason: *const c_char, _: *mut c_void) {
    // SAFETY: librdkafka gives a text that ends with a zero byte.
    let reason = unsafe { CStr::from_ptr(reason) }.to_string_lossy();
    let code = RDKafkaRespErr::try_from(error).map_or(RDKafkaErrorCode::Unknown, Into::into);
    client_log::error(&KafkaError::Global(code), reason.trim());
}

/// Called by librdkafka, while it is polled, with a line for the log.
unsafe extern "C" fn logged(_: *const RDKafka, level: c_int, facility: *const c_char, line: *const c_char) {
    // SAFETY: librdkafka gives texts that end with a zero byte.
    let (facility, line) = unsafe { (CStr::from_ptr(facility), CStr::from_ptr(line)) };
    client_log::line(client_log::level_of(level), &facility.to_string_lossy(), line.to_string_lossy().trim());
}
