//! Calls an HTTP handler: a record is a `POST /` in the CloudEvents HTTP binding, binary mode; the answer is empty, one
//! or many events, and its status says what becomes of the record.
//!
//! The guest runs beside the reading of its answer, for it may wait until what it wrote is taken. The call ends with the
//! answer's body.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use millstream_flat::Batch;
use tokio::sync::oneshot;
use wasmtime::component::{Instance, InstancePre};
use wasmtime::{Store, format_err};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::p2::bindings::exports::wasi::http::incoming_handler::{Guest, GuestIndices};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::cloudevents::http as binding;
use crate::wasm::entry::foreign;
use crate::wasm::fault::BadAnswer;
use crate::wasm::state::GuestState;

/// The one path there is. Handlers that ask for the whole address get a name that leads nowhere.
const TARGET: &str = "http://function.invalid/";
/// How long a guest that has answered may take to return. One that takes longer is not called again.
const RETURN_WITHIN: Duration = Duration::from_millis(20);
/// How much of a refusal's body is its reason.
const REASON_MAX: usize = 512;

type HttpResult = Result<Response<HyperOutgoingBody>, ErrorCode>;

/// Where the function is in every instance.
pub(crate) struct HttpEntry(GuestIndices);

impl HttpEntry {
    /// Finds the function and checks its type.
    pub(crate) fn find(instance: &InstancePre<GuestState>) -> wasmtime::Result<Self> {
        GuestIndices::new(instance).map(Self)
    }

    pub(crate) fn bind(&self, instance: &Instance, store: &mut Store<GuestState>) -> wasmtime::Result<BoundHttp> {
        self.0.load(store, instance).map(BoundHttp)
    }
}

/// The function of one instance.
pub(crate) struct BoundHttp(Guest);

impl BoundHttp {
    /// Calls the guest with the record of `request`. It may answer `most` bytes.
    pub(crate) async fn call(
        &self,
        store: &mut Store<GuestState>,
        request: &[u8],
        most: usize,
    ) -> wasmtime::Result<Vec<u8>> {
        let request = self::request(request)?;
        let (answer, answered) = oneshot::channel();
        let mut http = store.data_mut().http();
        let request = http.new_incoming_request(Scheme::Http, request)?;
        let outparam = http.new_response_outparam(answer)?;

        // Until it is known that the guest returned.
        store.data_mut().is_spent = true;
        let mut handling = Box::pin(self.0.call_handle(&mut *store, request, outparam));
        let mut reading = Box::pin(read(answered, most));
        let (read, returned) = tokio::select! {
            biased;
            read = &mut reading => (read, tokio::time::timeout(RETURN_WITHIN, &mut handling).await.is_ok_and(|end| end.is_ok())),
            end = &mut handling => {
                end?;
                // What is not there now will never be. A runtime that wants others to run too must not hide it.
                let read = tokio::task::unconstrained(futures_util::future::poll_immediate(&mut reading)).await;
                (read.unwrap_or(Err(ResponseError::Unfinished)), true)
            }
        };
        drop(handling);
        let state = store.data_mut();
        state.is_spent = !returned;
        match read {
            Ok(HttpResponse { status, headers, body }) => Ok(judge(status, &headers, &body)?),
            Err(ResponseError::Refused(code)) => {
                Ok(foreign::retry(None, &format!("the handler answered with an error instead of a response: {code:?}")))
            }
            Err(ResponseError::TooLarge) => {
                state.overflowed = true;
                Err(format_err!("the answer is too large"))
            }
            Err(ResponseError::Unfinished) => Err(BadAnswer(
                "the handler returned without a response, or without finishing the body of its response".to_owned(),
            )
            .into()),
        }
    }
}

/// The request that carries the record of a flat batch.
fn request(flat: &[u8]) -> wasmtime::Result<Request<Full<Bytes>>> {
    let batch = Batch::parse(flat)?;
    let record = foreign::only_record(&batch)?;
    let data = Bytes::copy_from_slice(record.data().unwrap_or_default());
    let mut request = Request::post(TARGET).body(Full::new(data))?;
    *request.headers_mut() = binding::headers(&record);
    Ok(request)
}

struct HttpResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Why there is no whole response.
enum ResponseError {
    /// The guest gave an error code in its place.
    Refused(ErrorCode),
    /// Its body is larger than allowed.
    TooLarge,
    /// There is none, or its body never ended, or not well.
    Unfinished,
}

async fn read(answered: oneshot::Receiver<HttpResult>, most: usize) -> Result<HttpResponse, ResponseError> {
    let response = match answered.await {
        Ok(answered) => answered.map_err(ResponseError::Refused)?,
        Err(_dropped) => return Err(ResponseError::Unfinished),
    };
    let (head, mut frames) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = frames.frame().await {
        let frame = frame.map_err(|_error| ResponseError::Unfinished)?;
        let Some(data) = frame.data_ref() else { continue };
        if data.len() > most - body.len() {
            return Err(ResponseError::TooLarge);
        }
        body.extend_from_slice(data);
    }
    Ok(HttpResponse { status: head.status, headers: head.headers, body })
}

/// The flat answer that a response stands for.
fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, BadAnswer> {
    if status.is_success() {
        let events = binding::read(headers, body)
            .map_err(|error| BadAnswer(format!("the handler's answer of status {status} is not an event: {error}")))?;
        return Ok(foreign::emitted(&events));
    }
    let text = String::from_utf8_lossy(&body[..body.len().min(REASON_MAX)]);
    let separator = if text.is_empty() { "" } else { ": " };
    let reason = format!("the handler answered {status}{separator}{text}");
    let asks_to_retry = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if asks_to_retry || status.is_server_error() {
        return Ok(foreign::retry(retry_after_ms(headers), &reason));
    }
    if status.is_client_error() {
        return Ok(foreign::reject(&reason));
    }
    Err(BadAnswer(format!("{reason}; a function answers with 2xx, 4xx or 5xx")))
}

/// The wait that `Retry-After` asks for: seconds, or a date.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(seconds.saturating_mul(1000));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let wait = date.duration_since(SystemTime::now()).unwrap_or_default();
    u64::try_from(wait.as_millis()).ok()
}

#[cfg(test)]
mod tests;
