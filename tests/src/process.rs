//! Processes that end with the test, whatever happens to it.

use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// A process of a test's own. Killed when dropped, and by the kernel when the test process dies.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts `program` with `set` applied to its command.
    #[track_caller]
    pub fn start(program: &str, set: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]);
        command.stdin(std::process::Stdio::null());
        set(&mut command);
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => panic!("{program} could not be started through setpriv: {error}; `./run setup` installs it"),
        }
    }

    /// Its process id: setpriv becomes the program.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{signal} could not be sent");
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("the child is ours")
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, longest: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(start.elapsed() < longest, "process {} did not end within {longest:?}", self.id());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nothing listens on at this moment.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
