//! `wasi:http/outgoing-handler`: it links, and every request is denied when it is made.
//!
//! No name is looked up and no connection is opened, whatever the address.

use std::future::Future;
use std::sync::Arc;

use http::{HeaderName, Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::wasm::guest_log::{GuestLog, LogStream};

/// How much of an authority is shown.
const AUTHORITY_MAX: usize = 200;

type HttpTransfer = Box<dyn Future<Output = Result<(), Error>> + Send>;
type HttpAnswer = Box<dyn Future<Output = Result<(Response<WasiBody>, HttpTransfer), Error>> + Send>;

/// Denies all requests, and says so to the function's owner.
pub(crate) struct DeniedHttp {
    log: Arc<GuestLog>,
}

impl DeniedHttp {
    pub(crate) fn new(log: &Arc<GuestLog>) -> Self {
        Self { log: Arc::clone(log) }
    }
}

impl WasiHttpHooks for DeniedHttp {
    fn is_forbidden_header(&mut self, _name: &HeaderName) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: HttpTransfer,
    ) -> HttpAnswer {
        let authority: String = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().chars().take(AUTHORITY_MAX).collect())
            .unwrap_or_default();
        let reason = format!(
            "outgoing HTTP to \"{authority}\" is denied: functions have no network; emit an event and let another \
             service make the request"
        );
        // On stderr, so that a fault that follows shows the reason too.
        self.log.write(LogStream::Stderr, reason.as_bytes());
        self.log.write(LogStream::Stderr, b"\n");
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
