//! Bodies that are taken as a whole: at most so large, and within a time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

use crate::api::problem::ApiProblem;
use crate::error_code::ErrorCode;

const ARRIVES_WITHIN: Duration = Duration::from_secs(30);
/// How much more of a body that is refused is taken, and for how long: a client that still sends when the answer comes
/// sees a broken connection instead of it.
const REST_BYTES: usize = 1 << 20;
const REST_WITHIN: Duration = Duration::from_secs(2);

/// Reads `body`, which has at most `limit` bytes.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: u64) -> Result<Bytes, ApiProblem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let mut stream = body.into_data_stream();
    let limit_bytes = usize::try_from(limit).unwrap_or(usize::MAX);
    match tokio::time::timeout(ARRIVES_WITHIN, collect(&mut stream, limit_bytes)).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => {
            let _ = tokio::time::timeout(REST_WITHIN, pass_over(&mut stream)).await;
            Err(too_large(limit))
        }
        Ok(Err(error)) => {
            Err(ApiProblem::new(ErrorCode::InvalidRequest).with_detail(format!("the body broke off: {error}")))
        }
        Err(_elapsed) => {
            let detail = format!("the body did not arrive within {} s", ARRIVES_WITHIN.as_secs());
            Err(ApiProblem::new(ErrorCode::RequestTimeout).with_detail(detail))
        }
    }
}

/// The whole body, or nothing when it is larger than `limit`.
async fn collect(stream: &mut BodyDataStream, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        if bytes.len() + chunk.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes.freeze()))
}

async fn pass_over(stream: &mut BodyDataStream) {
    let mut left = REST_BYTES;
    while let Some(Ok(chunk)) = stream.next().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn too_large(limit: u64) -> ApiProblem {
    ApiProblem::new(ErrorCode::RequestTooLarge)
        .with_detail(format!("the body has more than the {limit} bytes of the host's limits.request"))
}
