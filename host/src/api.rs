//! L5: the HTTP surface; the only room that knows axum.
