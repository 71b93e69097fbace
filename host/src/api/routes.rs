//! Every route with its document: what is not documented has no route, and what is documented has one.
//!
//! The document also says which scope a token needs, and the guard reads it there.

use std::collections::HashMap;

use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter};
use axum::{Router, routing};
use utoipa::openapi::path::{HttpMethod, Operation, Paths};

use crate::api::Api;
use crate::config::host::TokenScope;

/// What a route asks of anyone who calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequiredScope {
    Nothing,
    /// A token with this scope, where the host has tokens.
    Token(TokenScope),
}

/// What the routes ask, by method and path.
pub(crate) type AccessTable = HashMap<(Method, String), RequiredScope>;

pub(crate) struct RouteTable {
    router: Router<Api>,
    paths: Paths,
    access: AccessTable,
}

impl RouteTable {
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), paths: Paths::new(), access: AccessTable::new() }
    }

    /// Adds a handler with the document `P` that `#[utoipa::path]` made of it.
    pub(crate) fn add<P: utoipa::Path, T: 'static>(self, handler: impl Handler<T, Api>) -> Self {
        self.route::<P>(|filter| routing::on(filter, handler))
    }

    /// The same for one whose extractors take bodies of up to `most` bytes.
    pub(crate) fn add_large<P: utoipa::Path, T: 'static>(self, handler: impl Handler<T, Api>, most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.route::<P>(|filter| routing::on(filter, handler).layer(DefaultBodyLimit::max(most)))
    }

    fn route<P: utoipa::Path>(mut self, route: impl FnOnce(MethodFilter) -> MethodRouter<Api>) -> Self {
        let (path, operation) = (P::path(), P::operation());
        let (filter, method) = match P::methods().first() {
            Some(HttpMethod::Put) => (MethodFilter::PUT, Method::PUT),
            Some(HttpMethod::Post) => (MethodFilter::POST, Method::POST),
            Some(HttpMethod::Delete) => (MethodFilter::DELETE, Method::DELETE),
            _ => (MethodFilter::GET, Method::GET),
        };
        self.access.insert((method, path.clone()), asks(&operation));
        self.paths.add_path_operation(&path, P::methods(), operation);
        self.router = self.router.route(&path, route(filter));
        self
    }

    /// The router, the document's paths, and what each asks.
    pub(crate) fn into_parts(self) -> (Router<Api>, Paths, AccessTable) {
        let Self { router, paths, access } = self;
        (router, paths, access)
    }
}

/// What the document of an operation says that it asks. One that says nothing asks for most.
fn asks(operation: &Operation) -> RequiredScope {
    let Some(first) = operation.security.as_ref().and_then(|security| security.first()) else {
        return RequiredScope::Token(TokenScope::Deploy);
    };
    let security = serde_json::to_value(first).unwrap_or_default();
    match security["token"][0].as_str() {
        None => RequiredScope::Nothing,
        Some(scope) => RequiredScope::Token(TokenScope::parse(scope).unwrap_or(TokenScope::Deploy)),
    }
}
