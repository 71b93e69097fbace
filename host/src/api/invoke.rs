//! Calls of a function over HTTP: synchronous, one attempt for each event.
//!
//! What the guest makes of an event is data, whatever it is: the status is 200 once the function was called, and the
//! outcome is in the answer and in the header `millstream-outcome`. Other statuses mean that there was no call, or that
//! Kafka has not acknowledged what was to be published.

mod idempotency;
pub(crate) mod view;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};

use crate::api::events::{self, RequestContent};
use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView};
use crate::api::query::QueryParams;
use crate::api::{Api, body, functions};
use crate::error_code::ErrorCode;
use crate::kafka::produce::publisher::UnwrittenKind;
use crate::model::ids::FunctionName;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::pipeline::calls::{InvokeCall, InvokeEvent, InvokeResult, NotCalled};
pub(crate) use idempotency::IdempotencyCache;
use idempotency::{KeyClaim, StoredAnswer};
use view::{Invocation, Invocations};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const OUTCOME: HeaderName = HeaderName::from_static("millstream-outcome");
/// Numbers of calls are this small, so that JSON's readers keep them exact.
const NUMBER_BITS: u32 = 53;

/// How a function is called.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct InvokeQuery {
    /// Whether what is emitted is also written to its topics, before the answer.
    #[serde(default)]
    #[param(required = false)]
    publish: bool,
    /// The record's key; else the event's `partitionkey`.
    #[param(required = false)]
    key: Option<String>,
}

/// What a call is answered with.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described")]
#[serde(untagged)]
pub(crate) enum InvokeResponse {
    One(Invocation),
    Batch(Invocations),
}

/// Call a function
///
/// Runs the function on this event, once, under its own limits and in its own pool, and answers what it emitted. Filters
/// and retries do not apply. The body is a CloudEvent in binary or structured mode, a batch of them, whose events are
/// handled one after another, or anything else, which becomes an event of type `dev.millstream.record`.
///
/// The status is 200 once the function was called, also when it failed: see `outcome`, or the header
/// `millstream-outcome`.
#[utoipa::path(post, path = "/v1/functions/{name}/invoke", tag = "functions", security(("token" = ["invoke"])),
    params(PathName, InvokeQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "Calls with the same key within ten minutes are one call, with one answer", max_length = 255)),
    request_body(content(
        (events::CloudEvent = "application/cloudevents+json"),
        (Vec<events::CloudEvent> = "application/cloudevents-batch+json"),
        (serde_json::Value = "application/json"),
        (String = "text/plain"),
    )),
    responses(
        (status = 200, description = "The function was called: an invocation, or for a batch all of them", body = InvokeResponse,
            headers(("millstream-outcome" = String, description = "The outcome; for a batch the first that is not `emitted`"))),
        (status = "4XX", description = "Not called", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not called, or not acknowledged by Kafka", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn invoke(
    State(api): State<Api>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<InvokeQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiProblem> {
    functions::find(&api, &name)?;
    let body = body::read(&headers, body, api.limits.request).await?;
    let content = events::read(&headers, &body, query.key.as_deref())?;
    let Some(key) = idempotency_key(&headers)? else {
        return run(api, name, content, query.publish, None).await.map(StoredAnswer::into_response);
    };
    let turn = match api.shared.answers.turn(&name, &key, fingerprint(&headers, &body, &query))? {
        KeyClaim::Answered(kept) => return Ok(kept.into_response_again()),
        KeyClaim::Yours(turn) => turn,
    };
    // To its end although the caller may go away: with the same key it comes back for the answer.
    let work = tokio::spawn(async move {
        let answer = run(api, name, content, query.publish, Some(&key)).await;
        if let Ok(kept) = &answer {
            turn.keep(kept.clone());
        }
        answer
    });
    let ended = |_| ApiProblem::new(ErrorCode::ShuttingDown);
    work.await.map_err(ended)?.map(StoredAnswer::into_response)
}

async fn run(
    api: Api,
    name: FunctionName,
    content: RequestContent,
    publish: bool,
    key: Option<&str>,
) -> Result<StoredAnswer, ApiProblem> {
    let base = match key {
        Some(key) => number_of(&name, key),
        None => fastrand::i64(0..1 << NUMBER_BITS),
    };
    let call = |event: InvokeEvent, index: i64| {
        let number = (base + index) & ((1 << NUMBER_BITS) - 1);
        one(&api, &name, InvokeCall { event, number, publish })
    };
    match content {
        RequestContent::One(event) => Ok(StoredAnswer::of(&call(event, 0).await?)),
        RequestContent::Plain(event) => Ok(StoredAnswer::of(&call(described(event, &name, base), 0).await?)),
        RequestContent::Batch(events) => {
            let mut results = Vec::with_capacity(events.len());
            for (index, event) in (0..).zip(events) {
                results.push(match event {
                    Ok(event) => call(event, index).await?,
                    // As the same bytes in a topic would end.
                    Err(problem) => {
                        let revision = functions::find(&api, &name)?.number;
                        let fault = GuestFault::new(FaultClass::Undecodable, problem.text());
                        Invocation::not_called(&name, revision, &fault)
                    }
                });
            }
            Ok(StoredAnswer::of_batch(&Invocations { results }))
        }
    }
}

async fn one(api: &Api, name: &FunctionName, call: InvokeCall) -> Result<Invocation, ApiProblem> {
    let publish = call.publish;
    let mut called = api.direct.call(name, call).await.map_err(not_called)?;
    refused_outputs(&mut called)?;
    Ok(Invocation::new(&called, publish))
}

pub(crate) fn not_called(error: NotCalled) -> ApiProblem {
    let code = match error {
        NotCalled::Unavailable { .. } => ErrorCode::FunctionUnavailable,
        NotCalled::Busy { .. } => ErrorCode::TooManyRequests,
    };
    ApiProblem::new(code).with_detail(error.to_string())
}

/// What Kafka refuses for good is the function's outcome; what it does not acknowledge is not an answer at all.
fn refused_outputs(called: &mut InvokeResult) -> Result<(), ApiProblem> {
    let Ok(emitted) = &called.outcome else { return Ok(()) };
    let mut refused = None;
    for emission in emitted {
        let Some(Err(unwritten)) = &emission.written else { continue };
        let what = format!("output \"{}\", topic {}: {unwritten}", emission.output, emission.topic);
        match unwritten.kind {
            UnwrittenKind::Unknown => return Err(ApiProblem::new(ErrorCode::NotAcknowledged).with_detail(what)),
            UnwrittenKind::Forbidden => return Err(ApiProblem::new(ErrorCode::KafkaRefused).with_detail(what)),
            UnwrittenKind::NoTopic => return Err(ApiProblem::new(ErrorCode::TopicMissing).with_detail(what)),
            UnwrittenKind::Refused => refused = refused.or(Some(what)),
        }
    }
    if let Some(what) = refused {
        called.outcome = Err(GuestFault::new(FaultClass::OutputRefused, what));
    }
    Ok(())
}

/// A plain body with the attributes that every event has.
fn described(plain: InvokeEvent, name: &FunctionName, number: i64) -> InvokeEvent {
    let InvokeEvent { key, value, headers } = plain;
    let attributes = [
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", format!("{}/0/{number}", crate::pipeline::calls::TOPIC)),
        ("ce_source", format!("/millstream/functions/{name}/invoke")),
        ("ce_type", "dev.millstream.record".to_owned()),
    ];
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes()));
    InvokeEvent { key, value, headers: attributes.chain(headers).collect() }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiProblem> {
    let invalid = || {
        ApiProblem::new(ErrorCode::InvalidRequest)
            .with_detail("Idempotency-Key comes once and has 1 to 255 visible ASCII characters")
    };
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=255).contains(&key.len()) && values.next().is_none());
    key.map(|key| Some(key.to_owned())).ok_or_else(invalid)
}

/// The number of the call with this key: the same on every host, so that a repetition has the same ids.
fn number_of(name: &FunctionName, key: &str) -> i64 {
    let digest = Sha256::new().chain_update(name.as_str()).chain_update([0]).chain_update(key).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first) & ((1 << NUMBER_BITS) - 1)
}

/// What distinguishes one request from another with the same key.
fn fingerprint(headers: &HeaderMap, body: &Bytes, query: &InvokeQuery) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    let mut named: Vec<_> =
        headers.iter().filter(|(name, _)| *name == CONTENT_TYPE || name.as_str().starts_with("ce-")).collect();
    named.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in named {
        part(name.as_str().as_bytes());
        part(value.as_bytes());
    }
    part(query.key.as_deref().map_or(&[][..], str::as_bytes));
    part(&[u8::from(query.publish), u8::from(query.key.is_some())]);
    part(body);
    hasher.finalize().into()
}

impl IntoResponse for StoredAnswer {
    fn into_response(self) -> Response {
        let headers = [(CONTENT_TYPE, "application/json"), (OUTCOME, self.outcome.as_ref())];
        (headers, Arc::unwrap_or_clone(self.body)).into_response()
    }
}
