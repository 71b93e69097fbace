//! Errors as clients see them: problem details (RFC 9457) with a stable code.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::error_code::ErrorCode;
use crate::kafka::admin::AdminError;
use crate::kafka::topic_log::TopicLogError;
use crate::registry::ChangeError;
use crate::registry::cluster::ClusterError;
use crate::registry::log::LogError;
use crate::registry::record::RecordError;

/// When a client may ask a host again that is not ready.
const RETRY_AFTER_SECONDS: u16 = 2;

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    code: ErrorCode,
    detail: Option<String>,
}

impl Problem {
    pub(super) fn new(code: ErrorCode) -> Self {
        Self { code, detail: None }
    }

    /// What happened to this request, and what to do.
    pub(super) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { code, detail } = self;
        let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%code, "{}", detail.as_deref().unwrap_or(code.title()));
        }
        let mut body = json!({
            "type": code.page(),
            "title": code.title(),
            "status": status.as_u16(),
            "code": code.code(),
            "remedy": code.remedy(),
        });
        if let Some(detail) = detail {
            body["detail"] = detail.into();
        }
        let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = (status, [content_type], body.to_string()).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
        }
        response
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        Self::new(code_of(&error)).with_detail(error.to_string())
    }
}

fn code_of(error: &ChangeError) -> ErrorCode {
    match error {
        ChangeError::NotReady(_) => ErrorCode::NotReady,
        ChangeError::Module(refused) => refused.code,
        ChangeError::Precondition { .. } => ErrorCode::PreconditionFailed,
        ChangeError::NotFound(_) => ErrorCode::FunctionNotFound,
        ChangeError::Record { reason: RecordError::TooLarge(_), .. } => ErrorCode::InvalidManifest,
        ChangeError::Record { reason: RecordError::Version(_), .. } => ErrorCode::NotSupported,
        ChangeError::Record { reason: RecordError::Invalid(_), .. } => ErrorCode::Internal,
        ChangeError::Cluster(ClusterError::MissingTopics(_)) => ErrorCode::TopicMissing,
        ChangeError::Cluster(ClusterError::Pattern { .. }) => ErrorCode::InvalidManifest,
        ChangeError::Cluster(ClusterError::Admin(error)) => code_of_admin(error),
        ChangeError::Log(LogError::NotReady(_)) => ErrorCode::NotReady,
        ChangeError::Log(LogError::Topic(TopicLogError::Superseded { .. })) => ErrorCode::Conflict,
        ChangeError::Log(LogError::Topic(_)) => ErrorCode::KafkaUnavailable,
        ChangeError::Log(LogError::Interrupted) => ErrorCode::ShuttingDown,
        ChangeError::Log(LogError::Folder(_) | LogError::MissingChunks { .. }) => ErrorCode::Internal,
    }
}

fn code_of_admin(error: &AdminError) -> ErrorCode {
    match error {
        AdminError::Unreachable(_) => ErrorCode::KafkaUnavailable,
        AdminError::Interrupted => ErrorCode::ShuttingDown,
        AdminError::MissingTopics(_) => ErrorCode::TopicMissing,
        AdminError::NotCreated { .. } | AdminError::NotVisible { .. } | AdminError::Embedded { .. } => {
            ErrorCode::TopicNotCreated
        }
        AdminError::GroupHasMembers { .. } => ErrorCode::GroupInUse,
        AdminError::Configuration(_)
        | AdminError::Forbidden { .. }
        | AdminError::Refused { .. }
        | AdminError::OffsetsNotKept { .. } => ErrorCode::KafkaRefused,
    }
}
