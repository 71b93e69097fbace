//! What a function's guests wrote on this host: the last lines, and those to come.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response, sse};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::{IntoParams, ToSchema};

use crate::api::functions::view::moment;
use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView};
use crate::api::query::QueryParams;
use crate::api::{Api, functions};
use crate::config::quantity::parse_duration;
use crate::error_code::ErrorCode;
use crate::model::clock::unix_ms;
use crate::telemetry::guest_lines::{GuestLine, GuestLines};

const USUAL_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1000;
/// A comment this often keeps proxies from closing a quiet stream.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// From the least important to the most.
const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "critical"];

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// At most so many: the newest of them.
    #[param(required = false, minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Only lines that are younger, by RFC 3339 or as an age such as `10m`.
    #[param(required = false, example = "10m")]
    since: Option<String>,
    /// Only lines that are as important.
    #[param(required = false, example = "warn")]
    level: Option<String>,
    /// Whether to continue with the lines to come, as server-sent events. `Accept: text/event-stream` does the same.
    #[serde(default)]
    #[param(required = false)]
    follow: bool,
}

/// A line that a guest wrote.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LineView {
    /// When, by RFC 3339.
    pub(crate) time: String,
    /// `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    pub(crate) level: Cow<'static, str>,
    /// The revision that wrote it.
    pub(crate) revision: u64,
    /// The record that it was called for, `topic/partition/offset`, and how many more were in the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record: Option<String>,
    pub(crate) line: String,
}

/// The lines, the oldest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LineList {
    pub(crate) lines: Vec<LineView>,
}

impl LineView {
    fn new(line: &GuestLine) -> Self {
        let record = line.record.as_deref().map(str::to_owned);
        let (level, revision) = (Cow::Borrowed(line.level), line.revision);
        Self { time: moment(line.unix_ms), level, revision, record, line: line.text.to_string() }
    }
}

/// Show what a function wrote
///
/// On this host, since it started: the last 1,000 lines and 256 KiB of each function. With `follow` the answer is a
/// stream of server-sent events, `line` with a line each, and `missed` with a number where the reader was too slow; a
/// `Last-Event-ID` continues after that line.
#[utoipa::path(get, path = "/v1/functions/{name}/logs", tag = "functions", security(("token" = ["read"])),
    params(PathName, LogQuery),
    responses(
        (status = 200, description = "The lines, the oldest first; or a stream of them", content(
            (LineList = "application/json"),
            (String = "text/event-stream"),
        )),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get(
    State(api): State<Api>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<LogQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    functions::find(&api, &name)?;
    let wanted = LineFilter::new(&query)?;
    let limit = match query.limit {
        None => USUAL_LIMIT,
        Some(limit @ 1..=LARGEST_LIMIT) => limit,
        Some(other) => return Err(invalid(format!("limit is {other}, and must be 1 to {LARGEST_LIMIT}"))),
    };
    let wants_events = |accept: &str| accept.split(',').any(|part| part.trim().starts_with("text/event-stream"));
    let follows = query.follow || headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(wants_events);
    let lines = api.direct.lines(&name);
    if !follows {
        let last = lines.map(|lines| lines.last(limit, |line| wanted.takes(line))).unwrap_or_default();
        let lines = last.iter().map(|line| LineView::new(line)).collect();
        return Ok(Json(LineList { lines }).into_response());
    }
    // The supervisor takes notice of a new function within a moment.
    let starting =
        || ApiProblem::new(ErrorCode::FunctionUnavailable).with_detail(format!("\"{name}\" is about to start"));
    let lines = lines.ok_or_else(starting)?;
    let full =
        |_| ApiProblem::new(ErrorCode::TooManyRequests).with_detail("as many logs are followed as the host allows");
    let place = Arc::clone(&api.shared.followers).try_acquire_owned().map_err(full)?;
    let mut newest = lines.newest();
    newest.mark_changed();
    let last_seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let (first, after) = match last_seen {
        Some(number) => (Vec::new(), number),
        None => {
            let after = *newest.borrow();
            (lines.last(limit, |line| line.number <= after && wanted.takes(line)), after)
        }
    };
    let waiting = first.iter().map(|line| line_event(line)).collect();
    let follower = LogFollower { api, name, lines, newest, wanted, after, waiting, _place: place };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)).into_response())
}

struct LineFilter {
    since_ms: u64,
    level: usize,
}

impl LineFilter {
    fn new(query: &LogQuery) -> Result<Self, ApiProblem> {
        let since_ms = query.since.as_deref().map(parse_since).transpose()?.unwrap_or(0);
        let level = match query.level.as_deref() {
            None => 0,
            Some(level) => rank(level).ok_or_else(|| invalid(format!("level is not one of {}", LEVELS.join(", "))))?,
        };
        Ok(Self { since_ms, level })
    }

    fn takes(&self, line: &GuestLine) -> bool {
        line.unix_ms >= self.since_ms && rank(line.level) >= Some(self.level)
    }
}

fn rank(level: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == level)
}

/// A moment, or an age: milliseconds since the Unix epoch.
fn parse_since(text: &str) -> Result<u64, ApiProblem> {
    let moment = match (parse_duration(text), humantime::parse_rfc3339(text)) {
        (Ok(age), _) => SystemTime::now().checked_sub(age).unwrap_or(UNIX_EPOCH),
        (_, Ok(moment)) => moment,
        _ => {
            return Err(invalid(
                "since is not a moment such as 2026-01-31T23:59:59Z, and no age such as 10m".to_owned(),
            ));
        }
    };
    Ok(unix_ms(moment))
}

/// Someone who follows a function's lines.
struct LogFollower {
    api: Api,
    name: crate::model::ids::FunctionName,
    lines: Arc<GuestLines>,
    newest: watch::Receiver<u64>,
    wanted: LineFilter,
    after: u64,
    waiting: VecDeque<sse::Event>,
    _place: OwnedSemaphorePermit,
}

impl LogFollower {
    /// The next event; nothing when the host stops or the function is gone.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            tokio::select! {
                () = self.api.shared.stop.cancelled() => return None,
                changed = tokio::time::timeout(ALIVE_EVERY, self.newest.changed()) => match changed {
                    Ok(Ok(())) => self.take_new(),
                    Ok(Err(_gone)) => return None,
                    // Its ring outlives a deleted function as long as someone follows it.
                    Err(_elapsed) if self.api.registry.get(&self.name).is_none() => return None,
                    Err(_elapsed) => {}
                },
            }
        }
    }

    fn take_new(&mut self) {
        let (new, missed) = self.lines.after(self.after);
        if missed > 0 {
            self.waiting.push_back(sse::Event::default().event("missed").data(missed.to_string()));
        }
        if let Some(last) = new.last() {
            self.after = last.number;
        }
        self.waiting.extend(new.iter().filter(|line| self.wanted.takes(line)).map(|line| line_event(line)));
    }
}

fn line_event(line: &GuestLine) -> sse::Event {
    // A struct of texts and a number always becomes JSON.
    let json = serde_json::to_string(&LineView::new(line)).unwrap_or_default();
    sse::Event::default().event("line").id(line.number.to_string()).data(json)
}

fn invalid(detail: String) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail)
}
