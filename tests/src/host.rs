//! The real `millstream serve`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::process::{Process, free_port};
use crate::wait_until;

/// A running host with a data folder of its own.
#[derive(Debug)]
pub struct Host {
    /// Speaks with it.
    pub client: Client,
    process: Process,
    log: PathBuf,
    folder: TempDir,
}

/// The binary, which `./run test` builds before the tests.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("this test's own path");
    let folder = test.ancestors().find(|folder| folder.ends_with("release") || folder.ends_with("debug"));
    let binary = folder.expect("tests run from cargo's folder").join("millstream");
    assert!(binary.exists(), "{} is missing: `./run test` builds it first", binary.display());
    binary
}

/// The binary in which tests can make the process fail.
pub fn failing_binary() -> PathBuf {
    let binary = binary().with_file_name("millstream-failpoints");
    assert!(binary.exists(), "{} is missing: `./run test` builds it first", binary.display());
    binary
}

impl Host {
    /// Starts a host and waits until it is ready.
    #[track_caller]
    pub fn start(bootstrap: &str, prefix: &str) -> Self {
        Self::start_in(bootstrap, prefix, tempfile::tempdir().expect("a folder"))
    }

    /// The same on a data folder that exists. Hosts with the same `prefix` have the same functions.
    #[track_caller]
    pub fn start_in(bootstrap: &str, prefix: &str, folder: TempDir) -> Self {
        Self::start_with(bootstrap, prefix, folder, &binary(), &[])
    }

    /// The same with a binary and variables of its own.
    #[track_caller]
    pub fn start_with(
        bootstrap: &str,
        prefix: &str,
        folder: TempDir,
        binary: &Path,
        variables: &[(&str, &str)],
    ) -> Self {
        let port = free_port();
        let log = folder.path().join(format!("stderr-{port}"));
        let process = Process::start(&binary.to_string_lossy(), |command| {
            command.arg("serve").env("MILLSTREAM_KAFKA__BOOTSTRAP_SERVERS", bootstrap);
            command.env("MILLSTREAM_LISTEN", format!("127.0.0.1:{port}"));
            command.env("MILLSTREAM_DATA_DIR", folder.path());
            command.env("MILLSTREAM_TOPICS__REGISTRY_PREFIX", format!("{prefix}."));
            command.env("MILLSTREAM_LOG__LEVEL", std::env::var("HOST_LOG").unwrap_or("info".into()));
            command.envs(variables.iter().copied());
            command.stderr(File::create(&log).expect("a log"));
        });
        let client = Client::new(port);
        let mut host = Self { client, process, log, folder };
        wait_until("the host is ready", Duration::from_secs(60), || {
            if let Some(status) = host.process.ended() {
                panic!("the host ended with {status}: {}", host.log_tail());
            }
            host.client.is_ready()
        });
        host
    }

    /// Ends it as an operator would, and gives the data folder for the next one.
    #[track_caller]
    pub fn terminate(mut self) -> TempDir {
        self.process.signal("TERM");
        let status = self.process.wait(Duration::from_secs(40));
        assert!(status.success(), "the host ended with {status}: {}", self.log_tail());
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"))
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) -> TempDir {
        self.process.kill();
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a folder"))
    }

    /// Its resident memory in bytes.
    #[track_caller]
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux tells it");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
        kib * 1024
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// How many lines it wrote with this in them.
    pub fn log_lines_with(&self, text: &str) -> usize {
        fs::read_to_string(&self.log).unwrap_or_default().lines().filter(|line| line.contains(text)).count()
    }

    /// The end of what it wrote.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the host's last lines\n{}", self.log_tail());
        }
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
