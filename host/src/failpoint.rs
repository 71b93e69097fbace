//! Places where a test can make this process fail, stop or wait. Compiled in by the feature `failpoints` alone, which
//! only tests use; without it every function here is empty.
//!
//! Set by the environment variable `FAILPOINTS`, in the syntax of the crate `fail`: `transaction::produced=20*off->1*return(kill)`.
//! `return(kill)` ends the process as SIGKILL does, `return(stop)` halts it as SIGSTOP does, `return(stop,50)` waits 50 ms
//! after it continues, `return(error)` makes the step fail.

/// A test made this step fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a failpoint was reached")]
pub(crate) struct InjectedFailure;

/// Reads `FAILPOINTS`. Call it once, early.
pub(crate) fn set_up() {
    #[cfg(feature = "failpoints")]
    std::mem::forget(fail::FailScenario::setup());
}

/// The place `name` is reached.
pub(crate) fn at(name: &'static str) -> Result<(), InjectedFailure> {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |action| active::act(action.as_deref().unwrap_or_default()));
    let _ = name;
    Ok(())
}

/// The place `name` is reached, and what happens there happens beside what follows.
pub(crate) fn beside(name: &'static str) {
    #[cfg(feature = "failpoints")]
    std::thread::spawn(move || at(name));
    let _ = name;
}

#[cfg(feature = "failpoints")]
mod active {
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::InjectedFailure;

    pub(crate) fn act(action: &str) -> Result<(), InjectedFailure> {
        let (action, wait) = action.split_once(',').unwrap_or((action, "0"));
        let signal = match action {
            "kill" => Signal::KILL,
            "stop" => Signal::STOP,
            _ => return Err(InjectedFailure),
        };
        // A signal to oneself can't be refused; were it, the test would notice.
        let _ = kill_process(getpid(), signal);
        std::thread::sleep(Duration::from_millis(wait.parse().unwrap_or(0)));
        Ok(())
    }
}
