//! `ETag`, `If-Match` and `If-None-Match`: a function's tag is its live revision's number.

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue};

use crate::api::problem::ApiProblem;
use crate::error_code::ErrorCode;
use crate::model::ids::RevisionNumber;
use crate::registry::LiveExpectation;

/// The tag of a revision.
pub(crate) fn etag(revision: RevisionNumber) -> HeaderValue {
    // Digits between quotes are a valid header.
    HeaderValue::from_str(&format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// What the client believes to be live, if it says so.
pub(crate) fn expectation(headers: &HeaderMap) -> Result<Option<LiveExpectation>, ApiProblem> {
    let Some(value) = headers.get(IF_MATCH) else { return absence(headers) };
    if headers.contains_key(IF_NONE_MATCH) {
        return Err(ApiProblem::new(ErrorCode::InvalidRequest).with_detail("send If-Match or If-None-Match, not both"));
    }
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(Some(LiveExpectation::Exists));
    }
    let number = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|digits| digits.parse().ok());
    match number {
        Some(number) => Ok(Some(LiveExpectation::Revision(RevisionNumber(number)))),
        None => Err(ApiProblem::new(ErrorCode::InvalidRequest).with_detail(
            "If-Match is not a tag of a function: send the ETag of an earlier answer, such as \"3\", or *",
        )),
    }
}

/// Whether the client believes that there is no function of the name.
fn absence(headers: &HeaderMap) -> Result<Option<LiveExpectation>, ApiProblem> {
    match headers.get(IF_NONE_MATCH).map(|value| value.as_bytes().trim_ascii()) {
        None => Ok(None),
        Some(b"*") => Ok(Some(LiveExpectation::Absent)),
        Some(_) => Err(ApiProblem::new(ErrorCode::InvalidRequest)
            .with_detail("If-None-Match of a change is *, which means: only when there is no such function")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<Option<LiveExpectation>, ApiProblem> {
        expectation(&HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_str(value).unwrap())]))
    }

    #[test]
    fn tags_survive_their_header() {
        let tag = etag(RevisionNumber(12));
        assert_eq!(read(tag.to_str().unwrap()), Ok(Some(LiveExpectation::Revision(RevisionNumber(12)))));
        assert_eq!(read("*"), Ok(Some(LiveExpectation::Exists)));
        assert_eq!(expectation(&HeaderMap::new()), Ok(None));
        let absent = |value| expectation(&HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(value))]));
        assert_eq!(absent("*"), Ok(Some(LiveExpectation::Absent)));
        assert!(absent("\"1\"").is_err());
        let star = || HeaderValue::from_static("*");
        assert!(expectation(&HeaderMap::from_iter([(IF_MATCH, star()), (IF_NONE_MATCH, star())])).is_err());
        for wrong in ["12", "W/\"12\"", "\"x\"", "\"1\", \"2\"", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
