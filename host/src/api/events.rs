//! CloudEvents over HTTP: binary, structured and batched, and plain bodies.
//!
//! What comes in becomes what a producer on Kafka would have written: attributes in `ce_…` headers, or the JSON as it is.
//! So the host reads it in the one way that it reads records. Attributes that no event may have, or that are the host's,
//! are refused.

mod check;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use percent_encoding::percent_decode;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::cloudevents::structured;
use crate::error_code::ErrorCode;
use crate::pipeline::direct::Event;

/// The most events of one batch.
pub(super) const MOST_EVENTS: usize = 1000;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
/// Headers of the trace, which a record carries under the same names.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// A CloudEvent in its JSON format.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described; events are read attribute by attribute")]
pub(super) struct CloudEvent {
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

/// What a request holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// An event.
    One(Event),
    /// A body that says of itself no more than its type.
    Plain(Event),
    /// Events, each readable or not.
    Batch(Vec<Result<Event, Problem>>),
}

/// Reads a request. `key` wins over what an event says of itself.
pub(super) fn read(headers: &HeaderMap, body: &Bytes, key: Option<&str>) -> Result<Content, Problem> {
    let content_type = headers.get(CONTENT_TYPE).map(text_of).transpose()?;
    let media_type = content_type.as_deref().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let media_type = media_type.to_ascii_lowercase();
    let mut content = match media_type.as_str() {
        STRUCTURED => Content::One(read_structured(body, headers)?),
        BATCH => Content::Batch(read_batch(body, headers)?),
        other if other.starts_with("application/cloudevents") => {
            let detail = format!("\"{other}\" is no format of events that is understood; {STRUCTURED} and {BATCH} are");
            return Err(Problem::new(ErrorCode::UnsupportedMediaType).with_detail(detail));
        }
        _ if is_binary(headers) => Content::One(read_binary(headers, body, content_type)?),
        _ => Content::Plain(plain(headers, body, content_type)),
    };
    if let Some(key) = key {
        let replace = |event: &mut Event| event.key = Some(key.as_bytes().to_vec());
        match &mut content {
            Content::One(event) | Content::Plain(event) => replace(event),
            Content::Batch(events) => events.iter_mut().flatten().for_each(replace),
        }
    }
    Ok(content)
}

fn is_binary(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("ce-"))
}

fn plain(headers: &HeaderMap, body: &Bytes, content_type: Option<String>) -> Event {
    let content_type = content_type.map(|text| ("content-type".to_owned(), text.into_bytes()));
    Event { key: None, value: Some(body.to_vec()), headers: content_type.into_iter().chain(trace(headers)).collect() }
}

fn read_binary(headers: &HeaderMap, body: &Bytes, content_type: Option<String>) -> Result<Event, Problem> {
    let mut read: Vec<(String, Vec<u8>)> = Vec::new();
    let mut key = None;
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        let mut values = headers.get_all(name).iter();
        let (value, None) = (values.next().map(decoded).transpose()?.unwrap_or_default(), values.next()) else {
            return Err(invalid(format!("attribute {attribute} came twice")));
        };
        if attribute == "datacontenttype" {
            return Err(invalid("datacontenttype is the header Content-Type, not Ce-Datacontenttype".to_owned()));
        }
        check::attribute(attribute, &value).map_err(invalid)?;
        if attribute == "partitionkey" {
            key = Some(value.clone().into_bytes());
        }
        read.push((format!("ce_{attribute}"), value.into_bytes()));
    }
    let given = |name: &str| read.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
    match given("ce_specversion") {
        Some(b"1.0") => {}
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            return Err(invalid(format!("specversion is \"{other}\", and only \"1.0\" is understood")));
        }
        None => return Err(invalid("the header Ce-Specversion is missing".to_owned())),
    }
    for name in ["id", "source", "type"] {
        if given(&format!("ce_{name}")).is_none_or(<[u8]>::is_empty) {
            return Err(invalid(format!("the header Ce-{name} is missing or empty")));
        }
    }
    read.extend(content_type.map(|text| ("content-type".to_owned(), text.into_bytes())));
    read.extend(trace(headers));
    // An event without data is a record without a value.
    Ok(Event { key, value: Some(body.to_vec()).filter(|body| !body.is_empty()), headers: read })
}

fn read_structured(json: &[u8], headers: &HeaderMap) -> Result<Event, Problem> {
    let event = structured::read(json).map_err(|error| invalid(error.to_string()))?;
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
        check::attribute(name, value).map_err(invalid)?;
    }
    let key = event.extensions.iter().find(|(name, _)| name == "partitionkey").map(|(_, key)| key.clone().into_bytes());
    let content_type = ("content-type".to_owned(), format!("{STRUCTURED}; charset=UTF-8").into_bytes());
    Ok(Event {
        key,
        value: Some(json.to_vec()),
        headers: std::iter::once(content_type).chain(trace(headers)).collect(),
    })
}

fn read_batch(json: &[u8], headers: &HeaderMap) -> Result<Vec<Result<Event, Problem>>, Problem> {
    let events: Vec<&RawValue> =
        serde_json::from_slice(json).map_err(|error| invalid(format!("a batch is a JSON array of events: {error}")))?;
    if events.len() > MOST_EVENTS {
        return Err(Problem::new(ErrorCode::RequestTooLarge)
            .with_detail(format!("the batch has {} events, and at most {MOST_EVENTS} are taken", events.len())));
    }
    Ok(events.into_iter().map(|event| read_structured(event.get().as_bytes(), headers)).collect())
}

fn trace(headers: &HeaderMap) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    TRACE.iter().filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.as_bytes().to_vec())))
}

fn text_of(value: &HeaderValue) -> Result<String, Problem> {
    value.to_str().map(str::to_owned).map_err(|_| invalid("Content-Type is not ASCII".to_owned()))
}

/// A header's value as the HTTP binding means it: percent-encoded UTF-8.
fn decoded(value: &HeaderValue) -> Result<String, Problem> {
    let text = percent_decode(value.as_bytes()).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| invalid("an attribute is not UTF-8, percent-encoded".to_owned()))
}

fn invalid(detail: String) -> Problem {
    Problem::new(ErrorCode::InvalidEvent).with_detail(detail)
}

#[cfg(test)]
mod tests;
