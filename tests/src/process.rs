//! Processes that end with the test, whatever happens to it.

use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{OnceLock, mpsc};
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
        match spawn(command) {
            Ok(child) => Self(child),
            Err(error) => panic!("{program} could not be started through setpriv: {error}; `./run setup` installs it"),
        }
    }

    /// Its process id: setpriv becomes the program.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The most resident memory that it ever had, in bytes.
    #[track_caller]
    pub fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The CPU time that it has used, in steps of 10 ms.
    #[track_caller]
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).expect("it runs");
        // The name in parentheses may hold anything.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// How many threads it has.
    #[track_caller]
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs").count()
    }

    /// How many sockets it has open.
    #[track_caller]
    pub fn sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.id())).expect("it runs");
        let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }

    #[track_caller]
    pub(crate) fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(what)).expect("Linux reports it");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
        kib * 1024
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{signal} could not be sent");
    }

    /// What it reads, when it was started so.
    #[track_caller]
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.0.stdin.take().expect("its standard input is a pipe that was not taken yet")
    }

    /// What it writes, when it was started so.
    #[track_caller]
    pub fn take_stdout(&mut self) -> ChildStdout {
        self.0.stdout.take().expect("its standard output is a pipe that was not taken yet")
    }

    /// Whether a signal halted it (SIGSTOP) and nothing has continued it.
    pub fn is_halted(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        // The state follows the name, which stands in brackets and may hold anything.
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
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

/// Starts `command` from a thread that lives as long as this process: the kernel ends a child with the *thread* that
/// started it, and a test's thread ends before the others are done with a shared broker.
fn spawn(command: Command) -> std::io::Result<Child> {
    type Request = (Command, mpsc::Sender<std::io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (requests, received) = mpsc::channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in received {
                // The one who asked waits for it.
                let _ = answer.send(command.spawn());
            }
        });
        requests
    });
    let (answer, started) = mpsc::channel();
    starter.send((command, answer)).expect("the starter lives as long as the process");
    started.recv().expect("the starter answers")
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ports outside the ephemeral range: a killed host or broker finds its own port free when it restarts.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port that nothing listens on at this moment and that no other test of this process was given.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        // Test processes that run at once begin at different places.
        let places = u32::from(PORTS.end - PORTS.start);
        let begin = std::process::id().wrapping_mul(97) % places;
        let place = (begin + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % places;
        let port = PORTS.start + u16::try_from(place).expect("there are fewer than 65,536 ports");
        // Asked by knocking: a socket of our own that listens would live on for a moment in a process that another test
        // starts just then.
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            return port;
        }
    }
}
