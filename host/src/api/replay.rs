//! Replays over HTTP: a stream of lines, each JSON.

pub(crate) mod view;

use std::time::{Duration, Instant, SystemTime};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView, of_admin};
use crate::api::{Api, body, functions};
use crate::config::offset_target::OffsetTarget;
use crate::error_code::ErrorCode;
use crate::inspect::replay::{ReplayBaseline, ReplayError, ReplayEvent, ReplayPlan};
use crate::model::function::SharedRevision;
use crate::model::ids::RevisionNumber;
use crate::model::inputs::InputTopics;
pub(crate) use view::{EventView, PartView, ReplayLine, SideView, TallyView};

const BODY_BYTES: u64 = 64 * 1024;
const USUAL_RECORDS: u64 = 1_000_000;
const USUAL_SHOWN: u64 = 100;
/// How often it reports how far it is.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// What is to be replayed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    /// The topic.
    topic: String,
    /// Only this partition.
    #[schema(minimum = 0)]
    partition: Option<i32>,
    /// Where to begin: `earliest`, an offset, a moment by RFC 3339, or an age such as `-1h`.
    #[serde(default = "earliest")]
    #[schema(example = "-1h")]
    from: String,
    /// Where to end; the record there is not run.
    #[serde(default = "latest")]
    #[schema(example = "latest")]
    to: String,
    /// The revision that is run; the live one when it is left out.
    #[schema(minimum = 1)]
    revision: Option<u64>,
    /// With what it is compared: `recorded`, what the function emitted then, as its output topics have it; `live`, what the
    /// live revision emits for the same record; or `nothing`. Without it `recorded` where all outputs say their cause, else
    /// `live`.
    against: Option<AgainstRequest>,
    /// Attributes and headers in which a difference does not count, such as `time`.
    #[serde(default)]
    ignore: Vec<String>,
    /// A topic of your own to which all that is emitted is written; it is made where it is missing.
    output: Option<String>,
    /// The most records; a million when it is left out.
    most_records: Option<u64>,
    /// The most differences that are shown; the others are counted. A hundred when it is left out.
    most_shown: Option<u64>,
}

/// With what a replay is compared.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AgainstRequest {
    /// What the function emitted then.
    Recorded,
    /// What the live revision emits now.
    Live,
    /// Nothing.
    Nothing,
}

fn earliest() -> String {
    "earliest".to_owned()
}

fn latest() -> String {
    "latest".to_owned()
}

/// Replay a topic's past
///
/// Runs a revision over records of the past, with its filters, limits and attempts, and says where what it emits differs
/// from what was emitted then. Nothing is written but to `output`, and the function's group is not touched. The answer is a
/// stream of lines, each JSON with its `kind`: `began`, `difference`, `progress`, and at last `ended` or `failed`. It ends when
/// the client goes away.
#[utoipa::path(post, path = "/v1/functions/{name}/replay", tag = "functions", security(("token" = ["deploy"])),
    params(PathName), request_body(content = ReplayRequest),
    responses(
        (status = 200, description = "It continues; a line for each thing to tell", body = ReplayLine, content_type = "application/x-ndjson"),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn replay(
    State(api): State<Api>,
    PathName(name): PathName,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiProblem> {
    let live = functions::find(&api, &name)?;
    let bytes = body::read(&headers, body, BODY_BYTES).await?;
    let request: ReplayRequest = serde_json::from_slice(&bytes)
        .map_err(|error| invalid(format!("the body is not such as {{\"topic\": \"bids\"}}: {error}")))?;
    let order = request.order(&api, live)?;
    let news = api.replays.begin(order).await.map_err(problem)?;
    let lines = EventLines { news, stop: api.shared.stop.clone(), told: Instant::now(), is_over: false };
    let lines = stream::unfold(lines, |mut lines| async move {
        let line = lines.next().await?;
        Some((Ok::<_, std::convert::Infallible>(line), lines))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

impl ReplayRequest {
    fn order(self, api: &Api, live: SharedRevision) -> Result<ReplayPlan, ApiProblem> {
        let name = live.manifest.name.clone();
        let now = SystemTime::now();
        let place = |what: &str, text: &str| {
            OffsetTarget::parse(text, now).map_err(|error| invalid(format!("{what}: {error}")))
        };
        let (from, to) = (place("from", &self.from)?, place("to", &self.to)?);
        let revision = match self.revision {
            Some(number) => functions::kept(api, &name, RevisionNumber(number))?,
            None => live.clone(),
        };
        let kept: Vec<SharedRevision> =
            api.registry.revisions(&name).unwrap_or_default().into_iter().map(|stored| stored.revision).collect();
        let against = match self.against {
            Some(AgainstRequest::Nothing) => ReplayBaseline::Nothing,
            Some(AgainstRequest::Live) => ReplayBaseline::Live(live),
            Some(AgainstRequest::Recorded) => ReplayBaseline::Recorded(kept),
            // A bare record does not say what it was emitted for.
            None if live.manifest.emits_raw() => ReplayBaseline::Live(live),
            None => ReplayBaseline::Recorded(kept),
        };
        if let Some(output) = &self.output {
            check_output(api, output)?;
        }
        Ok(ReplayPlan {
            revision,
            against,
            topic: self.topic,
            partition: self.partition,
            from,
            to,
            output: self.output,
            ignore: self.ignore,
            most_records: self.most_records.unwrap_or(USUAL_RECORDS),
            most_shown: self.most_shown.unwrap_or(USUAL_SHOWN),
        })
    }
}

/// No one should take what a replay emits for what a function emitted.
fn check_output(api: &Api, output: &str) -> Result<(), ApiProblem> {
    api.topics.check_name(output)?;
    for revision in api.registry.list() {
        let manifest = &revision.manifest;
        let reads = InputTopics::of(manifest).is_ok_and(|inputs| inputs.has(output));
        let writes = manifest.outputs.values().any(|to| to.topic == output) || manifest.dead_letter_topic == output;
        if reads || writes {
            let what = if reads { "reads" } else { "writes to" };
            let detail = format!("output: \"{}\" {what} topic \"{output}\": name a topic of your own", manifest.name);
            return Err(invalid(detail));
        }
    }
    Ok(())
}

struct EventLines {
    news: mpsc::Receiver<ReplayEvent>,
    stop: tokio_util::sync::CancellationToken,
    told: Instant,
    is_over: bool,
}

impl EventLines {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over {
            let news = tokio::select! {
                () = self.stop.cancelled() => return None,
                news = self.news.recv() => news?,
            };
            match news {
                ReplayEvent::Progress(_) if self.told.elapsed() < TELL_EVERY => continue,
                ReplayEvent::Progress(_) => self.told = Instant::now(),
                ReplayEvent::Ended(_) | ReplayEvent::Failed(_) => self.is_over = true,
                _ => {}
            }
            return Some(ReplayLine::of(news, |error| problem(error).view()).to_bytes());
        }
        None
    }
}

fn problem(error: ReplayError) -> ApiProblem {
    let code = match &error {
        ReplayError::Admin(error) => return of_admin(error),
        ReplayError::Refused(_) => ErrorCode::InvalidRequest,
        ReplayError::Busy => ErrorCode::TooManyRequests,
        ReplayError::Read(_) => ErrorCode::KafkaUnavailable,
        ReplayError::NotStarted(_) => ErrorCode::FunctionUnavailable,
        ReplayError::NotWritten(..) => ErrorCode::NotAcknowledged,
        ReplayError::Interrupted => ErrorCode::ShuttingDown,
    };
    ApiProblem::new(code).with_detail(error.to_string())
}

fn invalid(detail: String) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail)
}
