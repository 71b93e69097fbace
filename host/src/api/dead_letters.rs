//! Dead letters over HTTP: listed, shown, handled again.

pub(crate) mod view;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::api::invoke::not_called;
use crate::api::name::PathName;
use crate::api::problem::{ApiProblem, ProblemView, of_admin, of_topic_log};
use crate::api::query::QueryParams;
use crate::api::{Api, body, functions};
use crate::error_code::ErrorCode;
use crate::model::function::SharedRevision;
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::redrive::{LetterSelection, LettersError, RecordOverride, RedrivePlan, RemainingRanges, UpperBounds};
pub(crate) use view::{
    HeaderView, LetterAlone, LetterList, LetterView, MarkView, RedriveAnswer, RedriveResult, SourceView,
};

const USUAL_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 1000;
const MOST_PLACES: usize = 100;

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LettersQuery {
    /// At most so many.
    #[param(required = false, minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Older ones: `older` of an earlier answer.
    #[param(required = false, example = "0:120,1:98")]
    from: Option<String>,
}

/// What is to be handled again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedriveRequest {
    /// All of them; a few hundred in one request, and `left` of the answer says what is left.
    #[serde(default)]
    all: bool,
    /// `left` of an earlier answer, to continue there.
    left: Option<String>,
    /// These, at most 100.
    #[serde(default)]
    letters: Vec<PlaceRequest>,
    /// The revision that handles them; the live one when it is left out.
    #[schema(minimum = 1)]
    revision: Option<u64>,
    /// Whether also those that were handled again before.
    #[serde(default)]
    force: bool,
    /// Another value for the one letter, as text.
    value: Option<String>,
    /// Another value for the one letter, in base64.
    value_base64: Option<String>,
    /// Other headers for the one letter's record.
    headers: Option<Vec<HeaderRequest>>,
}

/// A dead letter's place in its topic.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceRequest {
    partition: i32,
    offset: i64,
}

/// A header.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderRequest {
    name: String,
    /// Its value as text; none is a header without a value.
    value: Option<String>,
}

/// List a function's dead letters
///
/// The newest first, with why each was dead-lettered, and what became of it if it was handled again. Their values are shown one
/// by one.
#[utoipa::path(get, path = "/v1/functions/{name}/dead-letters", tag = "dead letters", security(("token" = ["read"])),
    params(PathName, LettersQuery),
    responses(
        (status = 200, description = "The dead letters, the newest first", body = LetterList),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list(
    State(api): State<Api>,
    PathName(name): PathName,
    QueryParams(query): QueryParams<LettersQuery>,
) -> Result<Json<LetterList>, ApiProblem> {
    let live = functions::find(&api, &name)?;
    let limit = match query.limit {
        None => USUAL_LIMIT,
        Some(limit @ 1..=LARGEST_LIMIT) => limit,
        Some(other) => return Err(invalid(format!("limit is {other}, and must be 1 to {LARGEST_LIMIT}"))),
    };
    let before = query.from.map(|text| text.parse::<UpperBounds>().map_err(|error| invalid(format!("from: {error}"))));
    let page = api.letters.page(&live, limit, before.transpose()?).await.map_err(problem)?;
    Ok(Json(LetterList::new(name, page)))
}

/// Show a dead letter
///
/// With its record's value and headers.
#[utoipa::path(get, path = "/v1/functions/{name}/dead-letters/{partition}/{offset}", tag = "dead letters",
    security(("token" = ["read"])),
    params(PathName, ("partition" = i32, Path, description = "The dead letter's partition", minimum = 0),
        ("offset" = i64, Path, description = "The dead letter's offset", minimum = 0)),
    responses(
        (status = 200, description = "The dead letter", body = LetterAlone),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get(
    State(api): State<Api>,
    Path((name, partition, offset)): Path<(String, String, String)>,
) -> Result<Json<LetterAlone>, ApiProblem> {
    let name = FunctionName::new(&name).map_err(|error| invalid(error.to_string()))?;
    let number = |_| invalid("a dead letter's place is two numbers, such as 0/12".to_owned());
    let (partition, offset) = (partition.parse::<i32>().map_err(number)?, offset.parse::<i64>().map_err(number)?);
    let live = functions::find(&api, &name)?;
    let found = api.letters.letter(&live, partition, offset).await.map_err(problem)?;
    let (letter, mark) = found.ok_or_else(|| {
        let topic = &live.manifest.dead_letter_topic;
        ApiProblem::new(ErrorCode::DeadLetterNotFound)
            .with_detail(format!("{topic}/{partition}/{offset} is not a dead letter of \"{name}\", or not any more"))
    })?;
    Ok(Json(LetterAlone::new(&letter, mark)))
}

/// Handle dead letters again
///
/// The function runs on their records, under its own limits and retries; what it emits is written to its outputs, or the
/// record becomes a new dead letter. Nothing is written back to the topics that the records came from. A letter is handled
/// once, unless one insists (`force`); what comes of it has the header `millstream-redriven`. The order of a key is kept
/// among them.
#[utoipa::path(post, path = "/v1/functions/{name}/dead-letters/redrive", tag = "dead letters",
    security(("token" = ["invoke"])), params(PathName), request_body(content = RedriveRequest),
    responses(
        (status = 200, description = "What became of each", body = RedriveAnswer),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
        (status = "5XX", description = "Not done, or only in part", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn redrive(
    State(api): State<Api>,
    PathName(name): PathName,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<RedriveAnswer>, ApiProblem> {
    let live = functions::find(&api, &name)?;
    let bytes = body::read(&headers, body, api.limits.request).await?;
    let request: RedriveRequest = serde_json::from_slice(&bytes)
        .map_err(|error| invalid(format!("the body is not such as {{\"all\": true}}: {error}")))?;
    let order = request.order(&api, &live)?;
    let redriven = api.letters.redrive(live, order).await.map_err(problem)?;
    Ok(Json(RedriveAnswer::new(name, redriven)))
}

impl RedriveRequest {
    fn order(self, api: &Api, live: &SharedRevision) -> Result<RedrivePlan, ApiProblem> {
        let edit = self.edit()?;
        let Self { all, left, letters, revision, force, .. } = self;
        let which = match (all, left, letters.as_slice()) {
            (true, left, []) => {
                let left =
                    left.map(|text| text.parse::<RemainingRanges>().map_err(|error| invalid(format!("left: {error}"))));
                LetterSelection::All(left.transpose()?)
            }
            (false, None, [_, ..]) if letters.len() <= MOST_PLACES => {
                LetterSelection::These(letters.iter().map(|place| (place.partition, place.offset)).collect())
            }
            _ => return Err(invalid(format!("say either \"all\", or up to {MOST_PLACES} \"letters\""))),
        };
        if edit.is_some() && letters.len() != 1 {
            return Err(invalid("another value or other headers are for one letter alone".to_owned()));
        }
        let revision = revision.map(|number| functions::kept(api, &live.manifest.name, RevisionNumber(number)));
        Ok(RedrivePlan { which, revision: revision.transpose()?, force, edit })
    }

    fn edit(&self) -> Result<Option<RecordOverride>, ApiProblem> {
        let value = match (&self.value, &self.value_base64) {
            (Some(_), Some(_)) => return Err(invalid("give value or value_base64, not both".to_owned())),
            (Some(text), None) => Some(text.clone().into_bytes()),
            (None, Some(text)) => {
                Some(BASE64.decode(text).map_err(|error| invalid(format!("value_base64 is not base64: {error}")))?)
            }
            (None, None) => None,
        };
        let headers = self.headers.as_ref().map(|headers| {
            headers
                .iter()
                .map(|header| (header.name.clone().into_bytes(), header.value.clone().map(String::into_bytes)))
                .collect()
        });
        let edit = RecordOverride { value, headers };
        Ok((edit != RecordOverride::default()).then_some(edit))
    }
}

fn problem(error: LettersError) -> ApiProblem {
    match error {
        LettersError::Admin(error) => of_admin(&error),
        LettersError::Log(error) => of_topic_log(&error),
        LettersError::NotCalled(error) => not_called(error),
        LettersError::Read(error) => ApiProblem::new(ErrorCode::KafkaUnavailable).with_detail(error.to_string()),
        error @ LettersError::NotStarted(_) => {
            ApiProblem::new(ErrorCode::FunctionUnavailable).with_detail(error.to_string())
        }
        LettersError::Interrupted => ApiProblem::new(ErrorCode::ShuttingDown),
    }
}

fn invalid(detail: String) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail)
}
