//! How long a future works, without the time in which it waits.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Gives what a future gives, and the time of all its polls. Where more threads want to run than there are processors,
/// that includes the time in which the system gave the processor to another: a thread's own clock would cost more than a
/// short call.
pub(crate) struct PollTime<'a, F> {
    future: Pin<&'a mut F>,
    busy: Duration,
}

impl<'a, F: Future> PollTime<'a, F> {
    pub(crate) fn new(future: Pin<&'a mut F>) -> Self {
        Self { future, busy: Duration::ZERO }
    }
}

impl<F: Future> Future for PollTime<'_, F> {
    type Output = (F::Output, Duration);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let began = Instant::now();
        let polled = self.future.as_mut().poll(context);
        self.busy += began.elapsed();
        polled.map(|output| (output, self.busy))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn waits_are_not_counted() {
        let wait = Duration::from_millis(100);
        let began = Instant::now();
        let ((), busy) = PollTime::new(pin!(tokio::time::sleep(wait))).await;
        assert!(busy + wait <= began.elapsed(), "{busy:?}");
    }

    #[tokio::test]
    async fn work_is_counted() {
        let work = async {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(5) {}
            tokio::task::yield_now().await;
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(5) {}
        };
        let ((), busy) = PollTime::new(pin!(work)).await;
        assert!(busy >= Duration::from_millis(10), "{busy:?}");
    }
}
