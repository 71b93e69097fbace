//! Who may do what: a token's scopes against what a route asks.
//!
//! A host without tokens lets everyone do everything; it listens on loopback, or was started with `--insecure`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::problem::ApiProblem;
use crate::api::routes::{AccessTable, RequiredScope};
use crate::config::host::{AccessToken, AccessTokens, TokenScope};
use crate::error_code::ErrorCode;

/// Knows the tokens and what each route asks.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) tokens: AccessTokens,
    pub(crate) access: Arc<AccessTable>,
}

#[derive(Debug, Clone)]
pub(crate) enum CallerIdentity {
    /// Anyone, on a host without tokens.
    Anybody,
    Token(Arc<AccessToken>),
    /// Someone without a valid token.
    Stranger,
}

impl CallerIdentity {
    /// Whether the caller may do what needs `scope`.
    pub(crate) fn may(&self, scope: TokenScope) -> bool {
        match self {
            Self::Anybody => true,
            Self::Token(token) => token.scopes.contains(&scope),
            Self::Stranger => false,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CallerIdentity {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // The guard has seen every request to a route.
        Ok(parts.extensions.get().cloned().unwrap_or(Self::Stranger))
    }
}

/// Lets a request through to its handler, or not.
pub(crate) async fn check(State(guard): State<Authorization>, mut request: Request, next: Next) -> Response {
    let caller = guard.caller(request.headers());
    if let Err(problem) = guard.admit(&request, &caller) {
        return problem.into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

impl Authorization {
    fn caller(&self, headers: &HeaderMap) -> CallerIdentity {
        if self.tokens.is_empty() {
            return CallerIdentity::Anybody;
        }
        let token = bearer(headers).and_then(|presented| self.tokens.find(presented));
        token.map_or(CallerIdentity::Stranger, CallerIdentity::Token)
    }

    fn admit(&self, request: &Request, caller: &CallerIdentity) -> Result<(), ApiProblem> {
        // The router refuses unknown paths and methods, and reveals nothing.
        let Some(path) = request.extensions().get::<MatchedPath>() else { return Ok(()) };
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        let Some(RequiredScope::Token(scope)) = self.access.get(&(method, path.as_str().to_owned())) else {
            return Ok(());
        };
        match caller {
            caller if caller.may(*scope) => Ok(()),
            CallerIdentity::Token(token) => Err(ApiProblem::new(ErrorCode::Forbidden)
                .with_detail(format!("the token \"{}\" lacks the scope \"{scope}\"", token.name))
                .with_challenge(challenge(&format!("error=\"insufficient_scope\", scope=\"{scope}\"")))),
            _ if request.headers().contains_key(AUTHORIZATION) => Err(ApiProblem::new(ErrorCode::Unauthorized)
                .with_detail("Authorization is not \"Bearer\" with a token of this host")
                .with_challenge(challenge("error=\"invalid_token\""))),
            _ => Err(ApiProblem::new(ErrorCode::Unauthorized)
                .with_detail(format!("this needs a token with the scope \"{scope}\", and the request has none"))
                .with_challenge(challenge(&format!("scope=\"{scope}\"")))),
        }
    }
}

fn challenge(more: &str) -> HeaderValue {
    let text = format!("Bearer realm=\"millstream\", {more}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Bearer"))
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.as_bytes();
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}
