//! The demo's broker, host and audience.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::script::Line;
use crate::api;
use crate::app::host::{Host, Surroundings};
use crate::config::host::HostConfig;
use crate::config::manifest;
use crate::kafka::admin::{Admin, TopicCreation};
use crate::kafka::embedded::EmbeddedBroker;
use crate::kafka::producer::{Batching, Delivered, Outgoing, Producer, Producers, Undelivered};
use crate::kafka::settings::ClientSettings;
use crate::kafka::watch::{Appeared, Watch};
use crate::model::ids::FunctionName;
use crate::model::status::{FunctionStatus, Observe as _, State};
use crate::registry::folder_log::FolderLog;
use crate::registry::publication;

/// Partitions of each topic.
const PARTITIONS: i32 = 2;

/// How long the functions may take to join their groups.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The functions, as `build.rs` found them.
const FUNCTIONS: [(&str, &[u8]); 3] = [
    (
        include_str!("../../../../examples/place-bid/millstream.toml"),
        include_bytes!(concat!(env!("OUT_DIR"), "/place_bid.wasm")),
    ),
    (
        include_str!("../../../../examples/item-complete/millstream.toml"),
        include_bytes!(concat!(env!("OUT_DIR"), "/item_complete.wasm")),
    ),
    (
        include_str!("../../../../examples/notify-bidders/millstream.toml"),
        include_bytes!(concat!(env!("OUT_DIR"), "/notify_bidders.wasm")),
    ),
];

/// Topics that somebody else writes to.
const INPUTS: [&str; 2] = ["bids", "items.complete"];

/// How many events were seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) put_in: usize,
    pub(super) came_out: usize,
    pub(super) dead: usize,
}

/// See the module.
pub(super) struct Stage {
    broker: EmbeddedBroker,
    host: Host,
    functions: Vec<FunctionName>,
    producer: Producer,
    watch: Arc<Watch>,
    tally: Tally,
    is_coloured: bool,
    // Last: its files are in use until the host has ended.
    _folder: TempDir,
}

impl Stage {
    /// Starts broker and host, and deploys the functions.
    pub(super) async fn set() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("no folder for temporary files")?;
        let broker = EmbeddedBroker::start()?;
        // The embedded broker answers a fetch only when its time is up: a short one, so that one can watch.
        let options = [("fetch.wait.max.ms".to_owned(), "20".to_owned())].into();
        let kafka = ClientSettings { bootstrap_servers: broker.bootstrap_servers(), options };
        let manifests: Vec<_> =
            FUNCTIONS.iter().map(|(text, _)| manifest::from_toml(text)).collect::<Result<_, _>>()?;
        let mut topics: Vec<String> = INPUTS.map(str::to_owned).into();
        for manifest in &manifests {
            topics.extend(manifest.outputs.values().map(|output| output.topic.clone()));
            topics.push(manifest.dead_letter_topic.clone());
        }
        topics.sort();
        topics.dedup();
        for topic in &topics {
            broker.create_topic(topic, PARTITIONS)?;
        }
        let config = configuration(folder.path(), &kafka.bootstrap_servers)?;
        let host = Host::start(&config, surroundings(&broker, kafka.clone(), folder.path())?)?;
        let functions = manifests.iter().map(|manifest| manifest.name.clone()).collect();
        for (manifest, (_, module)) in manifests.into_iter().zip(FUNCTIONS) {
            let name = manifest.name.clone();
            let deployed = host.registry.deploy(manifest, Bytes::from_static(module), None).await;
            deployed.with_context(|| format!("{name} was not deployed"))?;
        }
        let watched: Vec<(&str, i32)> = topics
            .iter()
            .filter(|topic| !INPUTS.contains(&topic.as_str()))
            .map(|topic| (topic.as_str(), PARTITIONS))
            .collect();
        let watch = Arc::new(Watch::open(&kafka, &watched)?);
        let producer = Producers::new(kafka).with(None, Batching::Together, None)?;
        let is_coloured =
            std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let stage =
            Self { broker, host, functions, producer, watch, tally: Tally::default(), is_coloured, _folder: folder };
        stage.until_running().await?;
        Ok(stage)
    }

    async fn until_running(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        while !self.all(|status| status.state == State::Running).await {
            if start.elapsed() > READY_WITHIN {
                bail!("the functions did not start within {READY_WITHIN:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn all(&self, holds: impl Fn(&FunctionStatus) -> bool) -> bool {
        let statuses = self.host.observe().statuses().await;
        statuses.len() == self.functions.len() && statuses.iter().all(holds)
    }

    /// Puts an event in, as somebody else's producer would.
    pub(super) fn put_in(&mut self, line: &Line) -> anyhow::Result<()> {
        self.tally.put_in += 1;
        self.print('›', "36", line.topic, line.key, &format!("{} {}", line.type_, line.data));
        let id = self.tally.put_in.to_string();
        let headers = [
            ("ce_specversion", "1.0"),
            ("ce_id", id.as_str()),
            ("ce_source", "/auction"),
            ("ce_type", line.type_),
            ("content-type", "application/json"),
        ];
        let message = Outgoing {
            topic: line.topic,
            key: Some(line.key.as_bytes()),
            value: Some(line.data.as_bytes()),
            headers: headers.iter().map(|(name, value)| (*name, Some(value.as_bytes()))),
        };
        let sent = self.producer.send(message, Box::new((Arc::new(Unheard), 0)));
        sent.map_err(|error| anyhow::anyhow!("an event of the script was not written: {error:?}"))
    }

    /// Prints what appears within `time`.
    pub(super) async fn show_what_appears(&mut self, time: Duration) -> anyhow::Result<bool> {
        let start = Instant::now();
        let mut appeared = false;
        while start.elapsed() < time {
            let watch = self.watch.clone();
            let patience = time.saturating_sub(start.elapsed());
            match tokio::task::spawn_blocking(move || watch.next(patience)).await?? {
                Some(record) => {
                    appeared = true;
                    self.show(&record);
                }
                None => break,
            }
        }
        Ok(appeared)
    }

    /// Prints until nothing is left to do.
    pub(super) async fn show_the_rest(&mut self, longest: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let is_done = self
                .all(|status| status.partitions.iter().all(|partition| partition.lag == 0 && partition.in_flight == 0))
                .await;
            // The last function may have emitted just before it was asked.
            let appeared = self.show_what_appears(Duration::from_millis(400)).await?;
            if is_done && !appeared {
                return Ok(());
            }
            if start.elapsed() > longest {
                bail!("the functions were not done within {longest:?}");
            }
        }
    }

    fn show(&mut self, record: &Appeared) {
        let header = |name: &str| {
            let found = record.headers.iter().find(|(found, _)| found == name);
            String::from_utf8_lossy(found.map_or(&[][..], |(_, value)| value)).into_owned()
        };
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
        if record.topic.ends_with(".dead") {
            self.tally.dead += 1;
            let reason =
                format!("{}: {}   «{value}»", header("millstream-error-class"), header("millstream-error-message"));
            self.print('✗', "31", &record.topic, &key, &reason);
            return;
        }
        self.tally.came_out += 1;
        self.print('‹', "32", &record.topic, &key, &format!("{} {value}", header("ce_type")));
    }

    fn print(&self, mark: char, colour: &str, topic: &str, key: &str, text: &str) {
        let line = format!("  {mark} {topic:<16} {key:<6} ");
        if self.is_coloured {
            println!("\x1b[{colour}m{line}\x1b[0m{text}");
        } else {
            println!("{line}{text}");
        }
    }

    /// What was seen.
    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// Where the broker is.
    pub(super) fn broker(&self) -> String {
        self.broker.bootstrap_servers()
    }

    /// Starts the API.
    pub(super) async fn listen(&self, stop: CancellationToken) -> anyhow::Result<Listening> {
        let listener = match TcpListener::bind("127.0.0.1:8080").await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind("127.0.0.1:0").await.context("no free port for the API")?,
        };
        let address = listener.local_addr()?;
        let task = tokio::spawn(api::serve(listener, self.host.api(), None, stop.cancelled_owned()));
        Ok(Listening { address, task })
    }

    /// Ends host and broker.
    pub(super) async fn strike(self) {
        self.host.stop().await;
    }
}

/// The API of a demo that stays.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    task: JoinHandle<std::io::Result<()>>,
}

impl Listening {
    pub(super) async fn ended(self) {
        if let Ok(Err(error)) = self.task.await {
            tracing::error!(%error, "the API ended");
        }
    }
}

/// What the script writes is watched for, not waited for.
struct Unheard;

impl Delivered for Unheard {
    fn delivered(self: Arc<Self>, _message: u32, result: Result<(), Undelivered>) {
        if let Err(error) = result {
            tracing::error!(%error, "an event of the script was not written");
        }
    }
}

fn configuration(folder: &Path, bootstrap_servers: &str) -> anyhow::Result<HostConfig> {
    let variables = [
        ("MILLSTREAM_DATA_DIR", folder.to_string_lossy().into_owned()),
        ("MILLSTREAM_KAFKA__BOOTSTRAP_SERVERS", bootstrap_servers.to_owned()),
        ("MILLSTREAM_CLUSTER__NAME", "demo".to_owned()),
        ("MILLSTREAM_INSTANCES__TOTAL", "50".to_owned()),
    ];
    Ok(HostConfig::from_parts("", variables.map(|(name, value)| (name.to_owned(), value)))?)
}

fn surroundings(broker: &EmbeddedBroker, kafka: ClientSettings, folder: &Path) -> anyhow::Result<Surroundings> {
    let creator = broker.clone();
    let create =
        move |topic: &str, partitions: i32| creator.create_topic(topic, partitions).map_err(|error| error.to_string());
    let admin = Admin::new(kafka.clone(), TopicCreation::Embedded(Arc::new(create)))?;
    let (publication, view) = publication();
    let log = Arc::new(FolderLog::open(&folder.join("registry"), publication)?);
    Ok(Surroundings { kafka, admin, log, view, host_id: "demo".into() })
}
