//! Errors as clients see them: problem details (RFC 9457) with a stable code.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error_code::ErrorCode;
use crate::kafka::admin::AdminError;
use crate::kafka::topic_log::TopicLogError;
use crate::registry::cluster::ClusterError;
use crate::registry::log::LogError;
use crate::registry::record::RecordError;
use crate::registry::{ArtifactError, ChangeError};

/// When a client may ask a host again that is not ready.
const RETRY_AFTER_SECONDS: u16 = 2;

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiProblem {
    code: ErrorCode,
    detail: Option<String>,
    challenge: Option<HeaderValue>,
}

/// Problem details (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ProblemView {
    /// The page about this kind of error.
    #[serde(rename = "type")]
    type_: &'static str,
    /// What happened, the same for all errors of the code.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The stable code, such as `MS0201`.
    code: &'static str,
    /// What to do.
    remedy: &'static str,
    /// What happened this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl ApiProblem {
    pub(crate) fn new(code: ErrorCode) -> Self {
        Self { code, detail: None, challenge: None }
    }

    /// What happened to this request, and what to do.
    pub(crate) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// How a client is to show who it is (`WWW-Authenticate`).
    pub(crate) fn with_challenge(self, challenge: HeaderValue) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    /// What happened, in a line.
    pub(crate) fn text(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.code.title())
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> ErrorCode {
        self.code
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn view(&self) -> ProblemView {
        let Self { code, detail, .. } = self;
        ProblemView {
            type_: code.page(),
            title: code.title(),
            status: self.status().as_u16(),
            code: code.code(),
            remedy: code.remedy(),
            detail: detail.clone(),
        }
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        let status = self.status();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(code = %self.code, "{}", self.text());
        }
        // A struct of texts and a number always becomes JSON.
        let body = serde_json::to_string(&self.view()).unwrap_or_default();
        let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        let mut response = (status, [content_type], body).into_response();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
        }
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<ChangeError> for ApiProblem {
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
        ChangeError::NoShadow(_) => ErrorCode::ShadowNotFound,
        ChangeError::ShadowElsewhere(_) => ErrorCode::InvalidManifest,
        ChangeError::ResetUnderWay(_) => ErrorCode::Conflict,
        ChangeError::NoRevision { .. } => ErrorCode::RevisionNotFound,
        ChangeError::Artifact(error) => match **error {
            ArtifactError::Log { source: LogError::Topic(_), .. } => ErrorCode::KafkaUnavailable,
            _ => ErrorCode::Internal,
        },
        ChangeError::Record { reason: RecordError::TooLarge(_), .. } => ErrorCode::InvalidManifest,
        ChangeError::Record { reason: RecordError::Version(_), .. } => ErrorCode::NotSupported,
        ChangeError::Record { reason: RecordError::Invalid(_), .. } => ErrorCode::Internal,
        ChangeError::Cluster(ClusterError::MissingTopics(_)) => ErrorCode::TopicMissing,
        ChangeError::Cluster(ClusterError::Selection(_)) => ErrorCode::InvalidRequest,
        ChangeError::Cluster(ClusterError::Pattern { .. } | ClusterError::Reserved(_)) => ErrorCode::InvalidManifest,
        ChangeError::Cluster(ClusterError::Codec { .. }) => ErrorCode::NotSupported,
        ChangeError::Cluster(ClusterError::Admin(error)) => code_of_admin(error),
        ChangeError::Log(LogError::NotReady(_)) => ErrorCode::NotReady,
        ChangeError::Log(LogError::Topic(error)) => code_of_topic_log(error),
        ChangeError::Log(LogError::Interrupted) => ErrorCode::ShuttingDown,
        ChangeError::Log(LogError::Folder(_) | LogError::MissingChunks { .. }) => ErrorCode::Internal,
    }
}

/// The problem of a question to Kafka.
pub(crate) fn of_admin(error: &AdminError) -> ApiProblem {
    ApiProblem::new(code_of_admin(error)).with_detail(error.to_string())
}

/// The problem of a topic that is read as a log.
pub(crate) fn of_topic_log(error: &TopicLogError) -> ApiProblem {
    ApiProblem::new(code_of_topic_log(error)).with_detail(error.to_string())
}

fn code_of_topic_log(error: &TopicLogError) -> ErrorCode {
    match error {
        TopicLogError::Superseded { .. } => ErrorCode::Conflict,
        _ => ErrorCode::KafkaUnavailable,
    }
}

fn code_of_admin(error: &AdminError) -> ErrorCode {
    match error {
        AdminError::Unreachable(_) => ErrorCode::KafkaUnavailable,
        AdminError::Interrupted => ErrorCode::ShuttingDown,
        AdminError::Thread(_) => ErrorCode::Internal,
        AdminError::MissingTopics(_) => ErrorCode::TopicMissing,
        AdminError::NotCreated { .. } | AdminError::NotVisible { .. } | AdminError::Embedded { .. } => {
            ErrorCode::TopicNotCreated
        }
        AdminError::GroupHasMembers { .. } => ErrorCode::GroupInUse,
        AdminError::Configuration(_)
        | AdminError::NotEmbedded { .. }
        | AdminError::Forbidden { .. }
        | AdminError::Refused { .. }
        | AdminError::OffsetsNotKept { .. } => ErrorCode::KafkaRefused,
    }
}
