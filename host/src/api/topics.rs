//! Events into topics: answered once Kafka has acknowledged them.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::events::{self, RequestContent};
use crate::api::invoke::view::RecordPosition;
use crate::api::problem::{ApiProblem, ProblemView, of_admin};
use crate::api::query::QueryParams;
use crate::api::{Api, body};
use crate::config::suggest::nearest;
use crate::error_code::ErrorCode;
use crate::kafka::admin::KafkaAdmin;
use crate::kafka::produce::producer::OutgoingMessage;
use crate::kafka::produce::publisher::{self, HostPublisher, PublishError, UnwrittenKind};
use crate::model::record::HeaderRef;
use crate::pipeline::calls::InvokeEvent;
use crate::registry::reserved_topics::ReservedTopics;

/// How long a topic that was there is taken to be there still. Kafka says it too when it is not.
const KNOWN_FOR: Duration = Duration::from_secs(30);

/// Writes events to topics. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct TopicWriter {
    admin: KafkaAdmin,
    publisher: HostPublisher,
    reserved: ReservedTopics,
    known: Arc<Mutex<KnownTopics>>,
}

#[derive(Debug, Default)]
struct KnownTopics {
    topics: BTreeMap<String, i32>,
    since: Option<Instant>,
}

/// How events are published.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PublishQuery {
    /// The key of every record; else each event's `partitionkey`.
    #[param(required = false)]
    key: Option<String>,
}

/// An event that Kafka has.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct WrittenEvent {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// What became of one event of a batch: a place, or an error.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum EventResult {
    Written(WrittenEvent),
    NotWritten(NotWritten),
}

/// An event of a batch that was not written, as far as one knows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotWritten {
    error: ProblemView,
}

/// What became of the events of a batch, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventResults {
    results: Vec<EventResult>,
}

/// What is answered when Kafka has everything.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only described")]
#[serde(untagged)]
pub(crate) enum PublishOutcome {
    One(WrittenEvent),
    Batch(EventResults),
}

/// Publish events
///
/// Writes a CloudEvent in binary or structured mode, a batch of them, or a plain body, and answers once Kafka has
/// acknowledged it. The topic must exist. The record's key is the event's `partitionkey`, or `key`.
#[utoipa::path(post, path = "/v1/topics/{topic}/events", tag = "topics", security(("token" = ["invoke"])),
    params(("topic" = String, Path, description = "The topic", pattern = "^[a-zA-Z0-9._-]{1,249}$"), PublishQuery),
    request_body(content(
        (events::CloudEvent = "application/cloudevents+json"),
        (Vec<events::CloudEvent> = "application/cloudevents-batch+json"),
        (serde_json::Value = "application/json"),
        (String = "text/plain"),
    )),
    responses(
        (status = 202, description = "Kafka has all of it: a place, or for a batch all places", body = PublishOutcome),
        (status = 207, description = "Kafka has some events of the batch, or none", body = EventResults),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not acknowledged", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn publish(
    State(api): State<Api>,
    Path(topic): Path<String>,
    QueryParams(query): QueryParams<PublishQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiProblem> {
    api.topics.check(&topic).await?;
    let body = body::read(&headers, body, api.limits.request).await?;
    match events::read(&headers, &body, query.key.as_deref())? {
        RequestContent::One(event) | RequestContent::Plain(event) => {
            let written = api.topics.write(&topic, std::slice::from_ref(&event)).await.into_iter().next();
            let written = written.ok_or_else(|| ApiProblem::new(ErrorCode::Internal))?;
            let place = written.map_err(|unwritten| not_written(&topic, &unwritten))?;
            Ok((StatusCode::ACCEPTED, Json(WrittenEvent::new(&topic, place))).into_response())
        }
        RequestContent::Batch(events) => {
            let readable: Vec<InvokeEvent> = events.iter().flatten().cloned().collect();
            let mut written = api.topics.write(&topic, &readable).await.into_iter();
            let results: Vec<EventResult> = events
                .into_iter()
                .map(|event| {
                    let unanswered = || Err(ApiProblem::new(ErrorCode::Internal));
                    let written = |_| match written.next() {
                        Some(result) => result.map_err(|unwritten| not_written(&topic, &unwritten)),
                        None => unanswered(),
                    };
                    match event.and_then(written) {
                        Ok(place) => EventResult::Written(WrittenEvent::new(&topic, place)),
                        Err(problem) => EventResult::NotWritten(NotWritten { error: problem.view() }),
                    }
                })
                .collect();
            let is_complete = results.iter().all(|result| matches!(result, EventResult::Written(_)));
            let status = if is_complete { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
            Ok((status, Json(EventResults { results })).into_response())
        }
    }
}

impl WrittenEvent {
    fn new(topic: &str, place: RecordPosition) -> Self {
        Self { topic: topic.to_owned(), partition: place.partition, offset: place.offset }
    }
}

impl TopicWriter {
    /// Writes with `publisher` to the topics that `admin` lists, but not to the registry's.
    pub(crate) fn new(admin: KafkaAdmin, publisher: HostPublisher, reserved: ReservedTopics) -> Self {
        Self { admin, publisher, reserved, known: Arc::default() }
    }

    /// Whether `topic` may be written to: a client that is asked for a topic that is not there may create it.
    async fn check(&self, topic: &str) -> Result<(), ApiProblem> {
        self.check_name(topic)?;
        if self.is_known(topic) {
            return Ok(());
        }
        let topics = self.admin.topics().await.map_err(|error| of_admin(&error))?;
        let found = topics.contains_key(topic);
        let meant =
            nearest(topic, topics.keys().map(String::as_str)).map(|meant| format!("; did you mean \"{meant}\"?"));
        *self.known.lock() = KnownTopics { topics, since: Some(Instant::now()) };
        if found {
            return Ok(());
        }
        let detail = format!("Kafka has no topic \"{topic}\"{}", meant.unwrap_or_default());
        Err(ApiProblem::new(ErrorCode::TopicNotFound).with_detail(detail))
    }

    /// Whether `topic` is a name, and neither the hosts' nor Kafka's own.
    pub(crate) fn check_name(&self, topic: &str) -> Result<(), ApiProblem> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_name =
            (1..=249).contains(&topic.len()) && topic.bytes().all(is_allowed) && topic != "." && topic != "..";
        if !is_name {
            let shown: String = topic.chars().take(80).collect();
            let detail = format!("\"{}\" is not a name of a topic", shown.escape_debug());
            return Err(ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail));
        }
        match self.reserved.owner(topic) {
            Some(owner) => {
                Err(ApiProblem::new(ErrorCode::TopicForbidden).with_detail(format!("\"{topic}\" is {owner}")))
            }
            None => Ok(()),
        }
    }

    fn is_known(&self, topic: &str) -> bool {
        let known = self.known.lock();
        known.since.is_some_and(|since| since.elapsed() < KNOWN_FOR) && known.topics.contains_key(topic)
    }

    /// Writes one event to a topic of the hosts' own making.
    pub(crate) async fn publish_one(&self, topic: &str, event: &InvokeEvent) -> Result<WrittenEvent, ApiProblem> {
        let written = self.write(topic, std::slice::from_ref(event)).await.into_iter().next();
        let place = written.ok_or_else(|| ApiProblem::new(ErrorCode::Internal))?;
        Ok(WrittenEvent::new(topic, place.map_err(|unwritten| not_written(topic, &unwritten))?))
    }

    async fn write<'a>(&self, topic: &'a str, events: &'a [InvokeEvent]) -> Vec<Result<RecordPosition, PublishError>> {
        // A function, not a closure: the future that holds it must be `Send` for any lifetime.
        fn header((name, value): &(String, Vec<u8>)) -> HeaderRef<'_> {
            (name.as_bytes(), Some(value))
        }
        let message = |InvokeEvent { key, value, headers }: &'a InvokeEvent| OutgoingMessage {
            topic,
            key: key.as_deref(),
            value: value.as_deref(),
            headers: headers.iter().map(header as fn(&'a (String, Vec<u8>)) -> HeaderRef<'a>),
        };
        let messages: Vec<_> = events.iter().map(message).collect();
        let place = |publisher::WrittenPosition { partition, offset }| RecordPosition { partition, offset };
        self.publisher.write(messages).await.into_iter().map(|written| written.map(place)).collect()
    }
}

fn not_written(topic: &str, unwritten: &PublishError) -> ApiProblem {
    let code = match unwritten.kind {
        UnwrittenKind::Refused => ErrorCode::EventRefused,
        UnwrittenKind::Forbidden => ErrorCode::KafkaRefused,
        UnwrittenKind::NoTopic => ErrorCode::TopicNotFound,
        UnwrittenKind::Unknown => ErrorCode::NotAcknowledged,
    };
    ApiProblem::new(code).with_detail(format!("topic \"{topic}\": {unwritten}"))
}
