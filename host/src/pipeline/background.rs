//! Where what may wait is worked on: one thread, to which the system gives what the others leave. Whatever happens there, the
//! threads on which records flow are not kept by it.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// The lowest priority but for what is only done when no one does anything.
const NICENESS: i32 = 15;

/// See the module. Clones share the thread; it ends with the last.
#[derive(Clone)]
pub(crate) struct BackgroundRuntime(Arc<RuntimeThread>);

struct RuntimeThread(Option<Runtime>);

impl Drop for RuntimeThread {
    fn drop(&mut self) {
        // No one waits for what was worked on; this may be the thread of another runtime, which must not wait either.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl BackgroundRuntime {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("aside")
            .enable_all()
            // Threads that it starts in turn, such as those of Kafka's clients, inherit it. A system that refuses it gives
            // it the time of any other thread.
            .on_thread_start(|| {
                let _ = rustix::process::nice(NICENESS);
            })
            .build()?;
        Ok(Self(Arc::new(RuntimeThread(Some(runtime)))))
    }

    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Option<JoinHandle<()>> {
        // It is there as long as anyone can ask.
        self.0.0.as_ref().map(|runtime| runtime.spawn(work))
    }
}
