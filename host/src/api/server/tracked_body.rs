//! Bodies that note in their connection's place who waits for whom.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use crate::api::server::connection_limiter::ConnectionSlot;

/// The body of a request or of its answer.
#[derive(Debug)]
pub(crate) struct TrackedBody<B> {
    body: B,
    place: ConnectionSlot,
    is_request: bool,
}

impl<B> TrackedBody<B> {
    /// A request's: while more of it is wanted, the host waits for the client. Anyone who has read it continues without the client.
    pub(crate) fn request(body: B, place: ConnectionSlot) -> Self {
        Self { body, place, is_request: true }
    }

    /// An answer's: when it is at its end, the host waits for the next request.
    pub(crate) fn answer(body: B, place: ConnectionSlot) -> Self {
        Self { body, place, is_request: false }
    }
}

impl<B> Drop for TrackedBody<B> {
    fn drop(&mut self) {
        self.place.note(!self.is_request);
    }
}

impl<B: Body + Unpin> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if self.is_request {
            self.place.note(polled.is_pending());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
