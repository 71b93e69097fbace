//! Why OpenSSL rejects a broker's certificate. librdkafka reports only that it does, not whether the certificate expired, is
//! for another name, or has an unknown issuer. OpenSSL passes that to a callback, so this makes one more connection to ask.

#![allow(
    unsafe_code,
    reason = "rdkafka does not offer the callback that is asked about certificates; its library does"
)]

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as ffi;
use rdkafka::client::Client;
use rdkafka::types::{RDKafka, RDKafkaType};

use crate::kafka::settings::ClientSettings;

/// A handshake takes some milliseconds; a slow broker gets two seconds.
const SLICE: Duration = Duration::from_millis(200);
const SLICES: usize = 10;

/// OpenSSL's number of the first fault.
#[derive(Default)]
struct FaultContext(OnceLock<c_int>);

impl ClientContext for FaultContext {}

/// Connects with `settings`, and returns what OpenSSL finds wrong with the certificate, if anything.
pub(crate) fn find(settings: &ClientSettings) -> Option<String> {
    let config = settings.base();
    let native = config.create_native_config().ok()?;
    // SAFETY: the configuration lives as long as the borrow, and the callback as long as the program.
    unsafe { ffi::rd_kafka_conf_set_ssl_cert_verify_cb(native.ptr(), Some(verify)) };
    let client = Client::new(&config, native, RDKafkaType::RD_KAFKA_PRODUCER, FaultContext::default()).ok()?;
    (0..SLICES).find_map(|_| {
        // Only the connection matters, not the answer.
        let _ = client.fetch_metadata(None, SLICE);
        client.context().0.get().map(|number| words(*number))
    })
}

/// librdkafka calls this on its own thread, for each certificate of a chain.
unsafe extern "C" fn verify(
    _: *mut RDKafka,
    _: *const c_char,
    _: i32,
    fault: *mut c_int,
    _: c_int,
    _: *const c_char,
    _: usize,
    _: *mut c_char,
    _: usize,
    context: *mut c_void,
) -> c_int {
    // SAFETY: librdkafka passes a number that it does not use meanwhile, and the context that rdkafka created the client with.
    let (fault, context) = unsafe { (*fault, &*context.cast::<FaultContext>()) };
    if fault == 0 {
        return 1;
    }
    // The first is the cause.
    let _ = context.0.set(fault);
    0
}

/// OpenSSL's text for its own codes (`X509_V_ERR_…`), as far as users meet them.
fn words(number: c_int) -> String {
    let known = match number {
        9 => "certificate is not yet valid",
        10 => "certificate has expired",
        18 => "self-signed certificate",
        19 => "self-signed certificate in certificate chain",
        20 => "unable to get local issuer certificate",
        21 => "unable to verify the first certificate",
        23 => "certificate revoked",
        62 => "hostname mismatch",
        64 => "IP address mismatch",
        _ => return format!("OpenSSL's error {number}"),
    };
    known.to_owned()
}
