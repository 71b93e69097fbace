//! The function that a path names.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::api::problem::ApiProblem;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;

/// A function's name, taken from the path and checked.
pub(crate) struct PathName(pub(crate) FunctionName);

impl IntoParams for PathName {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[a-z][a-z0-9-]{0,62}$"));
        let name = ParameterBuilder::new()
            .name("name")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some("The function's name"))
            .schema(Some(schema));
        vec![name.build()]
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = ApiProblem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiProblem> {
        let invalid = |detail: String| ApiProblem::new(ErrorCode::InvalidRequest).with_detail(detail);
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| invalid(rejection.body_text()))?;
        FunctionName::new(&name).map(Self).map_err(|error| invalid(error.to_string()))
    }
}
