//! Threads that poll. Each owns many consumers and takes turns between them; it sleeps only when all are idle.
//!
//! A consumer must always be polled, also while its function is slow: rebalances, commit answers and `max.poll.interval.ms`
//! depend on it. So a turn never waits for work that it handed over; it says `Waiting` and is asked again when woken.

use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, Thread};
use std::time::Duration;

/// The longest sleep of a thread that nothing woke: bounds every wait that depends on time alone.
const LONGEST_SLEEP: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollOutcome {
    /// There was work, and there may be more.
    Busy,
    /// Nothing to do until something wakes the thread.
    Waiting,
    /// It is over: the poller drops it.
    Finished,
}

/// Something that a poller serves.
pub(crate) trait PollTask: Send {
    /// Does a bounded piece of work and never waits.
    fn turn(&mut self) -> PollOutcome;
}

/// Wakes the thread that serves one [`PollTask`]. Cheap, and harmless when the thread is awake.
#[derive(Debug, Clone)]
pub(crate) struct PollerUnparker(Arc<Mutex<Option<Thread>>>);

impl PollerUnparker {
    /// A waker that does nothing until a poller takes what it belongs to.
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn wake(&self) {
        if let Some(thread) = &*self.0.lock() {
            thread.unpark();
        }
    }

    fn bind(&self, thread: Thread) {
        *self.0.lock() = Some(thread);
    }
}

impl Default for PollerUnparker {
    fn default() -> Self {
        Self::new()
    }
}

/// The poller threads of a host.
#[derive(Debug)]
pub(crate) struct PollerThreads {
    threads: Vec<PollerThread>,
    next: std::sync::atomic::AtomicUsize,
}

struct PollerThread {
    thread: Thread,
    newcomers: mpsc::Sender<(Box<dyn PollTask>, PollerUnparker)>,
}

impl std::fmt::Debug for PollerThread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Poller").field(&self.thread.name()).finish()
    }
}

impl PollerThreads {
    /// Starts `count` threads. They end when this is dropped and all that they serve is finished.
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        let threads = (0..count.max(1)).map(start_one).collect::<Result<_, _>>()?;
        Ok(Self { threads, next: Default::default() })
    }

    /// Gives `turn` to one of the threads; `waker` wakes that thread from now on.
    pub(crate) fn add(&self, turn: Box<dyn PollTask>, waker: PollerUnparker) {
        let next = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let poller = &self.threads[next % self.threads.len()];
        // A poller ends only after its sender is dropped, so this cannot fail.
        let _ = poller.newcomers.send((turn, waker));
        poller.thread.unpark();
    }
}

fn start_one(index: usize) -> std::io::Result<PollerThread> {
    let (newcomers, arrivals) = mpsc::channel();
    let handle = thread::Builder::new().name(format!("poller-{index}")).spawn(move || serve(&arrivals))?;
    Ok(PollerThread { thread: handle.thread().clone(), newcomers })
}

fn serve(arrivals: &mpsc::Receiver<(Box<dyn PollTask>, PollerUnparker)>) {
    let mut turns: Vec<Box<dyn PollTask>> = Vec::new();
    loop {
        loop {
            match arrivals.try_recv() {
                Ok((turn, waker)) => {
                    waker.bind(thread::current());
                    turns.push(turn);
                }
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) if turns.is_empty() => return,
                Err(mpsc::TryRecvError::Disconnected) => break,
            }
        }
        let mut busy = false;
        turns.retain_mut(|turn| match turn.turn() {
            PollOutcome::Busy => {
                busy = true;
                true
            }
            PollOutcome::Waiting => true,
            PollOutcome::Finished => false,
        });
        if !busy {
            thread::park_timeout(LONGEST_SLEEP);
        }
    }
}
