//! Bodies that note in their connection's place who waits for whom.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use super::places::Place;

/// A request's body: while more of it is wanted, the host waits for the client.
#[derive(Debug)]
pub(super) struct Asking<B> {
    pub(super) body: B,
    pub(super) place: Place,
}

impl<B> Drop for Asking<B> {
    fn drop(&mut self) {
        // Whoever read it goes on without the client.
        self.place.note(false);
    }
}

impl<B: Body + Unpin> Body for Asking<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.place.note(polled.is_pending());
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body: when it is at its end, the host waits for the next request.
#[derive(Debug)]
pub(super) struct Answering<B> {
    pub(super) body: B,
    pub(super) place: Place,
}

impl<B> Drop for Answering<B> {
    fn drop(&mut self) {
        self.place.note(true);
    }
}

impl<B: Body + Unpin> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
