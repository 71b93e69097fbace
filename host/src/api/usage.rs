//! What functions used on this host, for one's own accounting.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::api::functions::view::moment;
use crate::api::problem::{ApiProblem, ProblemView};
use crate::api::query::QueryParams;
use crate::config::quantity::parse_duration;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;
use crate::telemetry::usage::history::{UsagePeriod, UsageTotals};

const USUAL_SECONDS: u64 = 3600;

/// Of which time, and of which function.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageQuery {
    /// From this moment on, by RFC 3339 or as an age such as `1d`; one hour ago without it.
    #[param(required = false, example = "1d")]
    from: Option<String>,
    /// Up to before this one; now without it.
    #[param(required = false, example = "2026-01-31T00:00:00Z")]
    to: Option<String>,
    /// Of this function only.
    #[param(required = false)]
    function: Option<String>,
    /// `json` or `csv`; `Accept: text/csv` asks for CSV too.
    #[param(required = false)]
    format: Option<String>,
}

/// What functions used on this host.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct UsageView {
    /// The first moment that is counted: `from` widened to what is kept, minutes for three hours and hours for 32 days.
    pub(crate) from: String,
    /// The moment before which is counted.
    pub(crate) to: String,
    /// Functions that used something, by name; deleted ones too.
    pub(crate) functions: Vec<FunctionUsage>,
}

/// What one function used.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct FunctionUsage {
    pub(crate) function: String,
    /// Records that were handed to the guest, each attempt for itself.
    pub(crate) invocations: u64,
    /// Calls of the guest, which may hold many records.
    pub(crate) calls: u64,
    /// Linear memory of the instance that was called, times the time of the call: 10⁹ bytes for a second.
    pub(crate) gb_seconds: f64,
    /// Time in which the guest had a processor.
    pub(crate) cpu_seconds: f64,
    /// Time of calls, with their waits.
    pub(crate) wall_seconds: f64,
    /// Bytes handed to the guest: its records with their headers.
    pub(crate) bytes_in: u64,
    /// Bytes that it answered: what it emitted.
    pub(crate) bytes_out: u64,
}

/// Show what functions used
///
/// On this host; each host reports its own, and keeps it over a restart. Calls of people are counted too, starts of instances
/// are not.
#[utoipa::path(get, path = "/v1/usage", tag = "functions", security(("token" = ["read"])), params(UsageQuery),
    responses(
        (status = 200, description = "The usage", content((UsageView = "application/json"), (String = "text/csv"))),
        (status = "4XX", description = "Refused", body = ProblemView, content_type = "application/problem+json"),
    ))]
pub(crate) async fn get(
    State(api): State<Api>,
    QueryParams(query): QueryParams<UsageQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiProblem> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let second = |name: &str, text: &Option<String>, usual: u64| match text {
        None => Ok(usual),
        Some(text) => parse_moment(text, now).ok_or_else(|| {
            invalid(format!("{name} is not a moment such as 2026-01-31T23:59:59Z, and no age such as 10m"))
        }),
    };
    let from = second("from", &query.from, now.saturating_sub(USUAL_SECONDS))?;
    let to = second("to", &query.to, now + 1)?;
    if from >= to {
        return Err(invalid("from is not before to".to_owned()));
    }
    let function = query.function.as_deref().map(FunctionName::new).transpose();
    let function = function.map_err(|error| invalid(error.to_string()))?;
    let accepts_csv = |accept: &str| accept.split(',').any(|part| part.trim().starts_with("text/csv"));
    let is_csv = match query.format.as_deref() {
        None => headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(accepts_csv),
        Some("csv") => true,
        Some("json") => false,
        Some(_) => return Err(invalid("format is neither json nor csv".to_owned())),
    };
    let usage = api.usage.clone();
    let period = tokio::task::spawn_blocking(move || usage.period(from..to, function.as_ref()));
    let period = period.await.map_err(|error| ApiProblem::new(ErrorCode::Internal).with_detail(error.to_string()))?;
    let view = UsageView::new(&period);
    Ok(match is_csv {
        true => ([(CONTENT_TYPE, "text/csv; charset=utf-8")], view.csv()).into_response(),
        false => Json(view).into_response(),
    })
}

fn invalid(detail: String) -> ApiProblem {
    ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail)
}

/// Seconds since the Unix epoch.
fn parse_moment(text: &str, now: u64) -> Option<u64> {
    if let Ok(age) = parse_duration(text) {
        return Some(now.saturating_sub(age.as_secs()));
    }
    let moment = humantime::parse_rfc3339(text).ok()?;
    Some(moment.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

impl UsageView {
    fn new(period: &UsagePeriod) -> Self {
        let text = |seconds: u64| moment(seconds.saturating_mul(1000));
        Self {
            from: text(period.seconds.start),
            to: text(period.seconds.end),
            functions: period.used.iter().map(FunctionUsage::new).collect(),
        }
    }

    /// RFC 4180; no value holds a comma or a quote.
    fn csv(&self) -> String {
        let mut text =
            "function,from,to,invocations,calls,gb_seconds,cpu_seconds,wall_seconds,bytes_in,bytes_out\r\n".to_owned();
        let Self { from, to, functions } = self;
        for used in functions {
            let FunctionUsage { function, invocations, calls, gb_seconds, cpu_seconds, wall_seconds, .. } = used;
            // Writing to a String does not fail.
            let _ = write!(text, "{function},{from},{to},{invocations},{calls},{gb_seconds},{cpu_seconds},");
            let _ = write!(text, "{wall_seconds},{},{}\r\n", used.bytes_in, used.bytes_out);
        }
        text
    }
}

impl FunctionUsage {
    fn new(used: &UsageTotals) -> Self {
        let UsageTotals { function, amounts } = used;
        Self {
            function: function.to_string(),
            invocations: amounts.invocations,
            calls: amounts.calls,
            gb_seconds: amounts.gigabyte_seconds(),
            cpu_seconds: amounts.cpu_seconds(),
            wall_seconds: amounts.wall_seconds(),
            bytes_in: amounts.bytes_in,
            bytes_out: amounts.bytes_out,
        }
    }
}
