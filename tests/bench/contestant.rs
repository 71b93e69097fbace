//! Who is measured: Millstream and its peers, each a process that takes records from one topic to another.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use millstream_tests::host::Host;
use millstream_tests::process::Process;
use millstream_tests::{client, root};
use tempfile::TempDir;

/// What is promised of each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

impl Guarantee {
    /// As a person reads it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at least once",
            Self::ExactlyOnce => "exactly once",
        }
    }
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// A host with one function; the rest of its manifest.
    Millstream { function: &'static str, manifest: &'static str, format: &'static str },
    /// `tests/peers/native.rs`.
    Native,
    /// `tests/peers/streams`; whether it is set for short delays.
    Streams { soon: bool },
    /// `tests/peers/parallel`; whether it waits for what it sends.
    Parallel { function: &'static str, waits: bool },
}

/// One who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contestant {
    /// As the table calls it.
    pub name: &'static str,
    /// What runs.
    pub program: Program,
    /// What it promises.
    pub guarantee: Guarantee,
}

/// From where to where.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    /// The broker.
    pub bootstrap: &'a str,
    /// The input topic.
    pub from: &'a str,
    /// The output topic.
    pub to: &'a str,
    /// A name of this run alone.
    pub id: &'a str,
}

/// A contestant at work; it ends when dropped.
pub(crate) enum Running {
    Host(Box<Host>),
    Program { process: Process, folder: TempDir },
}

impl Contestant {
    /// Starts it. The error says why the host can't do what the manifest asks for.
    pub(crate) fn start(&self, task: &Task<'_>) -> Result<Running, String> {
        let exactly_once = self.guarantee == Guarantee::ExactlyOnce;
        let to = |text: &str| text.to_owned();
        let Task { bootstrap, from, to: output, id } = *task;
        match self.program {
            Program::Millstream { function, manifest, format } => {
                let host = Host::start(bootstrap, id);
                let guarantee = if exactly_once { "exactly_once" } else { "at_least_once" };
                let text = format!(
                    "name = \"{id}\"\ntopics = [\"{from}\"]\ninitial_offset = \"earliest\"\n{manifest}\n\
                     processing_guarantee = \"{guarantee}\"\n\
                     [outputs]\ndefault = {{ topic = \"{output}\", format = \"{format}\" }}\n"
                );
                let (status, answer) = host.client.put(id, &text, client::module(function));
                match status {
                    200..300 => Ok(Running::Host(Box::new(host))),
                    _ => Err(answer["detail"].as_str().map_or_else(|| answer.to_string(), str::to_owned)),
                }
            }
            Program::Native => {
                let own = std::env::current_exe().expect("the driver's own path");
                let mode = if exactly_once { "transactional" } else { "plain" };
                let arguments = [bootstrap, from, output, id, mode].map(str::to_owned);
                Ok(start(&own.with_file_name("native-loop").to_string_lossy(), &arguments))
            }
            Program::Streams { soon } => {
                let guarantee = if exactly_once { "exactly_once_v2" } else { "at_least_once" };
                let folder = tempfile::tempdir().expect("a folder");
                let state = folder.path().join("state").to_string_lossy().into_owned();
                let aim = if soon { "soon" } else { "default" }.to_owned();
                let arguments = [to(bootstrap), to(from), to(output), to(guarantee), to(id), state, aim];
                Ok(start_in(folder, "java", &java("streams", "Streams", &arguments)))
            }
            Program::Parallel { function, waits } => {
                let sending = if waits { "waits" } else { "forgets" };
                let arguments = [bootstrap, from, output, id, function, sending].map(str::to_owned);
                Ok(start("java", &java("parallel", "Parallel", &arguments)))
            }
        }
    }
}

impl Running {
    /// Panics with its last words when it has ended by itself.
    pub(crate) fn check(&mut self) {
        match self {
            Self::Host(host) => assert!(host.is_alive(), "the host ended: {}", host.log_tail()),
            Self::Program { process, folder } => {
                if let Some(status) = process.ended() {
                    let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                    panic!("a peer ended with {status}: {log}");
                }
            }
        }
    }

    /// The CPU time that it has used.
    pub(crate) fn cpu(&self) -> Duration {
        match self {
            Self::Host(host) => host.cpu(),
            Self::Program { process, .. } => process.cpu(),
        }
    }

    /// The most memory that it ever held, in MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        let bytes = match self {
            Self::Host(host) => host.peak_bytes(),
            Self::Program { process, .. } => process.peak_bytes(),
        };
        bytes as f64 / 1_048_576.0
    }
}

fn start(program: &str, arguments: &[String]) -> Running {
    start_in(tempfile::tempdir().expect("a folder"), program, arguments)
}

fn start_in(folder: TempDir, program: &str, arguments: &[String]) -> Running {
    let process = Process::start(program, |command| {
        let log = File::create(folder.path().join("log")).expect("a log");
        command.args(arguments).stdout(log.try_clone().expect("a second handle")).stderr(log);
    });
    Running::Program { process, folder }
}

fn java(module: &str, class: &str, arguments: &[String]) -> Vec<String> {
    let built = root().join(".cache/peers").join(module);
    assert!(built.join("classes").exists(), "{module} is not built: `./run bench` builds it");
    let path = |end: &str| Path::new(&built).join(end).to_string_lossy().into_owned();
    let mut all = vec![
        "-Xmx1g".to_owned(),
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn".to_owned(),
        "-cp".to_owned(),
        format!("{}:{}", path("classes"), path("lib/*")),
        class.to_owned(),
    ];
    all.extend_from_slice(arguments);
    all
}
