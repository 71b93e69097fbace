//! CloudEvents over HTTP: binary, structured and batched, and plain bodies.
//!
//! What comes in becomes what a producer on Kafka would have written: attributes in `ce_…` headers, or the JSON as it is.
//! So the host reads it in the one way that it reads records. Attributes that no event may have, or that are the host's,
//! are refused.

use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::problem::ApiProblem;
use crate::cloudevents::http::{BATCH, ContentMode, STRUCTURED};
use crate::cloudevents::{NotAnEvent, attribute, check_required, http, structured};
use crate::error_code::ErrorCode;
use crate::pipeline::calls::InvokeEvent;

/// The most events of one batch.
pub(crate) const MOST_EVENTS: usize = 1000;

/// Headers of the trace, which a record carries under the same names.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// A CloudEvent in its JSON format.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described; events are read attribute by attribute")]
pub(crate) struct CloudEvent {
    #[schema(pattern = "^1\\.0$", example = "1.0")]
    specversion: String,
    #[schema(min_length = 1)]
    id: String,
    #[schema(min_length = 1)]
    source: String,
    #[schema(min_length = 1)]
    r#type: String,
    subject: Option<String>,
    time: Option<String>,
    datacontenttype: Option<String>,
    dataschema: Option<String>,
    /// The record's key.
    partitionkey: Option<String>,
    data: Option<serde_json::Value>,
    data_base64: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RequestContent {
    One(InvokeEvent),
    /// A body that says of itself no more than its type.
    Plain(InvokeEvent),
    /// Events, each readable or not.
    Batch(Vec<Result<InvokeEvent, ApiProblem>>),
}

/// Reads a request. `key` wins over what an event says of itself.
pub(crate) fn read(headers: &HeaderMap, body: &Bytes, key: Option<&str>) -> Result<RequestContent, ApiProblem> {
    let mut content = match http::mode(headers).map_err(not_an_event)? {
        ContentMode::Structured => RequestContent::One(read_structured(body, headers)?),
        ContentMode::Batch => RequestContent::Batch(read_batch(body, headers)?),
        ContentMode::Binary => RequestContent::One(read_binary(headers, body)?),
        ContentMode::Plain => RequestContent::Plain(plain(headers, body)?),
        ContentMode::Unsupported(other) => {
            let detail =
                format!("\"{other}\" is not a format of events that is understood; {STRUCTURED} and {BATCH} are");
            return Err(ApiProblem::new(ErrorCode::UnsupportedMediaType).with_detail(detail));
        }
    };
    if let Some(key) = key {
        let replace = |event: &mut InvokeEvent| event.key = Some(key.as_bytes().to_vec());
        match &mut content {
            RequestContent::One(event) | RequestContent::Plain(event) => replace(event),
            RequestContent::Batch(events) => events.iter_mut().flatten().for_each(replace),
        }
    }
    Ok(content)
}

fn plain(headers: &HeaderMap, body: &Bytes) -> Result<InvokeEvent, ApiProblem> {
    let headers = content_type(headers)?.into_iter().chain(trace(headers)).collect();
    Ok(InvokeEvent { key: None, value: Some(body.to_vec()), headers })
}

fn read_binary(headers: &HeaderMap, body: &Bytes) -> Result<InvokeEvent, ApiProblem> {
    let attributes = http::attributes(headers).map_err(not_an_event)?;
    let given = |name: &str| attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let required = |name| given(name).unwrap_or_default();
    check_required(given("specversion"), required("id"), required("source"), required("type")).map_err(not_an_event)?;
    for (name, value) in &attributes {
        attribute::check(name, value).map_err(invalid)?;
    }
    let key = given("partitionkey").map(|key| key.as_bytes().to_vec());
    let mut read: Vec<_> =
        attributes.into_iter().map(|(name, value)| (format!("ce_{name}"), value.into_bytes())).collect();
    read.extend(content_type(headers)?);
    read.extend(trace(headers));
    // An event without data is a record without a value.
    Ok(InvokeEvent { key, value: Some(body.to_vec()).filter(|body| !body.is_empty()), headers: read })
}

fn read_structured(json: &[u8], headers: &HeaderMap) -> Result<InvokeEvent, ApiProblem> {
    let event = structured::read(json).map_err(not_an_event)?;
    let known = [
        ("id", Some(&event.id)),
        ("source", Some(&event.source)),
        ("type", Some(&event.type_)),
        ("subject", event.subject.as_ref()),
        ("time", event.time.as_ref()),
        ("datacontenttype", event.datacontenttype.as_ref()),
        ("dataschema", event.dataschema.as_ref()),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let extensions = event.extensions.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in known.chain(extensions) {
        attribute::check(name, value).map_err(invalid)?;
    }
    let key = event.extensions.iter().find(|(name, _)| name == "partitionkey").map(|(_, key)| key.clone().into_bytes());
    let content_type = ("content-type".to_owned(), format!("{STRUCTURED}; charset=UTF-8").into_bytes());
    Ok(InvokeEvent {
        key,
        value: Some(json.to_vec()),
        headers: std::iter::once(content_type).chain(trace(headers)).collect(),
    })
}

fn read_batch(json: &[u8], headers: &HeaderMap) -> Result<Vec<Result<InvokeEvent, ApiProblem>>, ApiProblem> {
    let events: Vec<&RawValue> =
        serde_json::from_slice(json).map_err(|error| invalid(format!("a batch is a JSON array of events: {error}")))?;
    if events.len() > MOST_EVENTS {
        return Err(ApiProblem::new(ErrorCode::RequestTooLarge)
            .with_detail(format!("the batch has {} events, and at most {MOST_EVENTS} are taken", events.len())));
    }
    Ok(events.into_iter().map(|event| read_structured(event.get().as_bytes(), headers)).collect())
}

fn trace(headers: &HeaderMap) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    TRACE.iter().filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.as_bytes().to_vec())))
}

fn content_type(headers: &HeaderMap) -> Result<Option<(String, Vec<u8>)>, ApiProblem> {
    let text = http::content_type(headers).map_err(not_an_event)?;
    Ok(text.map(|text| ("content-type".to_owned(), text.as_bytes().to_vec())))
}

fn not_an_event(error: NotAnEvent) -> ApiProblem {
    invalid(error.0)
}

fn invalid(detail: String) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidEvent).with_detail(detail)
}

#[cfg(test)]
mod tests;
