//! A timer that is finer than the runtime's, for guests that sleep.
//!
//! The runtime's timer counts in milliseconds and rounds up, so that a sleep of 1 ms takes up to 2. Here one thread
//! waits on a condition variable for the earliest deadline, which the kernel times to some tens of microseconds.
//! The thread ends when the last [`TimerHandle`] is dropped; a [`SleepFuture`] borrows nothing and may outlive it only unfinished.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// The place of a sleeper in the queue: its deadline, and a number that keeps equal deadlines apart.
type SleeperKey = (Instant, u64);

#[derive(Default)]
struct SleeperQueue {
    sleepers: BTreeMap<SleeperKey, Waker>,
    next_number: u64,
    stopped: bool,
}

#[derive(Default)]
struct TimerState {
    queue: Mutex<SleeperQueue>,
    earlier: Condvar,
}

impl TimerState {
    fn lock(&self) -> MutexGuard<'_, SleeperQueue> {
        // The queue is consistent at every point where a panic is possible.
        self.queue.lock()
    }
}

/// The handle of the timer thread.
pub(crate) struct TimerHandle {
    shared: Arc<TimerState>,
}

impl TimerHandle {
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(TimerState::default());
        let thread_shared = Arc::clone(&shared);
        std::thread::Builder::new().name("wasm-timer".to_owned()).spawn(move || run(&thread_shared))?;
        Ok(Self { shared })
    }

    /// Resolves at `deadline` or shortly after.
    pub(crate) fn sleep_until(&self, deadline: Instant) -> SleepFuture {
        SleepFuture { shared: Arc::clone(&self.shared), deadline, place: None }
    }
}

impl Drop for TimerHandle {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.earlier.notify_one();
    }
}

fn run(shared: &TimerState) {
    let mut due = Vec::new();
    let mut queue = shared.lock();
    while !queue.stopped {
        let now = Instant::now();
        while let Some(sleeper) = queue.sleepers.first_entry().filter(|sleeper| sleeper.key().0 <= now) {
            due.push(sleeper.remove());
        }
        if !due.is_empty() {
            // A waker may run anything: never under the lock.
            drop(queue);
            due.drain(..).for_each(Waker::wake);
            queue = shared.lock();
            continue;
        }
        let earliest = queue.sleepers.first_key_value().map(|(place, _)| place.0);
        match earliest {
            None => shared.earlier.wait(&mut queue),
            Some(deadline) => {
                shared.earlier.wait_until(&mut queue, deadline);
            }
        }
    }
}

/// A wait for a point in time.
pub(crate) struct SleepFuture {
    shared: Arc<TimerState>,
    deadline: Instant,
    place: Option<SleeperKey>,
}

impl Future for SleepFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.lock();
        let place = self.place.unwrap_or_else(|| {
            queue.next_number += 1;
            (self.deadline, queue.next_number)
        });
        self.place = Some(place);
        queue.sleepers.insert(place, context.waker().clone());
        let is_earliest = queue.sleepers.first_key_value().is_some_and(|(first, _)| *first == place);
        drop(queue);
        if is_earliest {
            shared.earlier.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for SleepFuture {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let waker = self.shared.lock().sleepers.remove(&place);
        // Dropped here, outside of the lock.
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_deadlines() {
        let timer = TimerHandle::start().expect("a thread");
        let start = Instant::now();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for milliseconds in [30, 10, 20] {
            let sleep = timer.sleep_until(start + Duration::from_millis(milliseconds));
            let sender = sender.clone();
            tokio::spawn(async move {
                sleep.await;
                sender.send((milliseconds, start.elapsed())).expect("a receiver");
            });
        }
        for expected in [10, 20, 30] {
            let (milliseconds, elapsed) = receiver.recv().await.expect("a sleeper");
            assert_eq!(milliseconds, expected);
            assert!(elapsed >= Duration::from_millis(milliseconds));
        }
    }

    #[tokio::test]
    async fn a_dropped_sleep_leaves_the_queue() {
        let timer = TimerHandle::start().expect("a thread");
        let mut sleep = Box::pin(timer.sleep_until(Instant::now() + Duration::from_secs(3600)));
        let polled = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        assert_eq!(timer.shared.lock().sleepers.len(), 1);
        drop(sleep);
        assert_eq!(timer.shared.lock().sleepers.len(), 0);
    }

    #[tokio::test]
    async fn two_milliseconds_are_printed() {
        let timer = TimerHandle::start().expect("a thread");
        let mut took = Vec::new();
        for _ in 0..200 {
            let start = Instant::now();
            timer.sleep_until(start + Duration::from_millis(2)).await;
            took.push(start.elapsed());
        }
        took.sort();
        assert!(took[0] >= Duration::from_millis(2));
        println!("a sleep of 2 ms: p50 {:?} p99 {:?}", took[100], took[198]);
    }
}
