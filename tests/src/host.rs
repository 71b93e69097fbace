//! The real `millstream serve`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::process::{Process, free_port};
use crate::wait_until;

/// How long a host may take until it is ready.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// How a host is started.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// The brokers.
    pub bootstrap: String,
    /// The registry's prefix: hosts with the same one have the same functions.
    pub prefix: String,
    /// More environment. With `FAILPOINTS` in it, the binary that knows them is started.
    pub environment: Vec<(String, String)>,
    /// The text of its configuration file.
    pub config: String,
}

/// A running host with a data folder of its own.
#[derive(Debug)]
pub struct Host {
    /// Speaks with it.
    pub client: Client,
    process: Process,
    log: PathBuf,
    folder: TempDir,
    options: HostOptions,
}

/// The binary, which `./run test` builds before the tests.
pub fn binary() -> PathBuf {
    built("millstream")
}

/// The binary that ends, halts or fails where `FAILPOINTS` says.
pub fn binary_with_failpoints() -> PathBuf {
    built("millstream-failpoints")
}

fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test's own path");
    let folder = test.ancestors().find(|folder| folder.ends_with("release") || folder.ends_with("debug"));
    let binary = folder.expect("tests run from cargo's folder").join(name);
    assert!(binary.exists(), "{} is missing: `./run test` builds it first", binary.display());
    binary
}

impl HostOptions {
    /// A host without failpoints.
    pub fn new(bootstrap: &str, prefix: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            prefix: prefix.to_owned(),
            environment: Vec::new(),
            config: String::new(),
        }
    }

    /// The same with one more variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    #[track_caller]
    fn spawn(&self, folder: &Path) -> (Process, Client, PathBuf) {
        let port = free_port();
        let log = folder.join(format!("stderr-{port}"));
        let config = folder.join("host.toml");
        fs::write(&config, &self.config).expect("a configuration file");
        let has_failpoints = self.environment.iter().any(|(name, _)| name == "FAILPOINTS");
        let binary = if has_failpoints { binary_with_failpoints() } else { binary() };
        let process = Process::start(&binary.to_string_lossy(), |command| {
            command
                .arg("serve")
                .arg("--config")
                .arg(&config)
                .env("MILLSTREAM_KAFKA__BOOTSTRAP_SERVERS", &self.bootstrap);
            command.env("MILLSTREAM_LISTEN", format!("127.0.0.1:{port}"));
            command.env("MILLSTREAM_DATA_DIR", folder);
            command.env("MILLSTREAM_TOPICS__REGISTRY_PREFIX", format!("{}.", self.prefix));
            command.env("MILLSTREAM_LOG__LEVEL", std::env::var("HOST_LOG").unwrap_or("info".into()));
            command.envs(self.environment.iter().map(|(name, value)| (name, value)));
            command.stderr(File::create(&log).expect("a log"));
        });
        (process, Client::new(port), log)
    }
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
        let mut host = Self::launch(HostOptions::new(bootstrap, prefix), folder);
        host.wait_until_ready();
        host
    }

    /// Starts a host and waits for nothing.
    #[track_caller]
    pub fn launch(options: HostOptions, folder: TempDir) -> Self {
        let (process, client, log) = options.spawn(folder.path());
        Self { client, process, log, folder, options }
    }

    /// Waits until it is ready.
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        wait_until("the host is ready", STARTS_WITHIN, || {
            if let Some(status) = self.process.ended() {
                panic!("the host ended with {status}: {}", self.log_tail());
            }
            self.client.is_ready()
        });
    }

    /// Ends it as a power cut would; [`Self::restart`] starts it again.
    pub fn crash(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same data, with the same identity; waits for nothing.
    #[track_caller]
    pub fn restart(&mut self) {
        self.process.kill();
        (self.process, self.client, self.log) = self.options.spawn(self.folder.path());
    }

    /// The same without failpoints: what was to fail has failed.
    #[track_caller]
    pub fn restart_without_failpoints(&mut self) {
        self.options.environment.retain(|(name, _)| name != "FAILPOINTS");
        self.restart();
    }

    /// Halts the process (SIGSTOP) until [`Self::resume`].
    pub fn halt(&self) {
        self.process.signal("STOP");
        wait_until("the host is halted", Duration::from_secs(5), || self.process.is_halted());
    }

    /// Whether it is halted, by [`Self::halt`] or by a failpoint.
    pub fn is_halted(&self) -> bool {
        self.process.is_halted()
    }

    /// Continues a halted process (SIGCONT).
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Waits until it ends by itself, as a failpoint makes it.
    #[track_caller]
    pub fn wait_for_end(&mut self, longest: Duration) -> std::process::ExitStatus {
        self.process.wait(longest)
    }

    /// Ends it as an operator would, and gives the data folder for the next one.
    #[track_caller]
    pub fn terminate(self) -> TempDir {
        self.terminate_within(Duration::from_secs(40))
    }

    /// The same; it must have ended by itself, with success, after `longest`.
    #[track_caller]
    pub fn terminate_within(mut self, longest: Duration) -> TempDir {
        self.process.signal("TERM");
        let status = self.process.wait(longest);
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
        self.process.memory("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    #[track_caller]
    pub fn peak_bytes(&self) -> u64 {
        self.process.peak_bytes()
    }

    /// How many threads it has.
    #[track_caller]
    pub fn threads(&self) -> usize {
        self.process.threads()
    }

    /// How many sockets it has open.
    #[track_caller]
    pub fn sockets(&self) -> usize {
        self.process.sockets()
    }

    /// The CPU time that it has used.
    #[track_caller]
    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Its data folder.
    pub fn data_folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it wrote since it was started last.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
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
