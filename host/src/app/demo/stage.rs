//! The demo's broker, host and audience.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::app::demo::script::ScriptedEvent;
use crate::app::embedded::{ApiListener, EmbeddedHost};
use crate::app::event_printer::{EventPrinter, EventRole};
use crate::config::manifest;
use crate::kafka::produce::producer::OutgoingMessage;
use crate::kafka::produce::publisher::HostPublisher;
use crate::kafka::read::topic_watch::TopicWatch;
use crate::model::ids::FunctionName;
use crate::model::record::PastRecord;
use crate::model::status::{FunctionObserver as _, FunctionState, FunctionStatus};

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
pub(crate) struct EventTally {
    pub(crate) put_in: usize,
    pub(crate) came_out: usize,
    pub(crate) dead: usize,
}

pub(crate) struct DemoBroker {
    embedded: EmbeddedHost,
    functions: Vec<FunctionName>,
    publisher: HostPublisher,
    watch: Arc<TopicWatch>,
    tally: EventTally,
    audience: EventPrinter,
}

impl DemoBroker {
    /// Starts broker and host, and deploys the functions.
    pub(crate) async fn set() -> anyhow::Result<Self> {
        progress("starting a broker and a host in this process");
        let embedded = EmbeddedHost::start("demo", PARTITIONS)?;
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
            embedded.broker.create_topic(topic, PARTITIONS)?;
        }
        let functions = manifests.iter().map(|manifest| manifest.name.clone()).collect();
        for (manifest, (_, module)) in manifests.into_iter().zip(FUNCTIONS) {
            let name = manifest.name.clone();
            progress(&format!("deploying {name}"));
            let deployed = embedded.host.registry.deploy(manifest, Bytes::from_static(module), None).await;
            deployed.with_context(|| format!("{name} was not deployed"))?;
        }
        let watched: Vec<(&str, i32)> = topics
            .iter()
            .filter(|topic| !INPUTS.contains(&topic.as_str()))
            .map(|topic| (topic.as_str(), PARTITIONS))
            .collect();
        let watch = Arc::new(TopicWatch::open(&embedded.kafka, &watched)?);
        let publisher = HostPublisher::new(embedded.kafka.clone());
        let stage =
            Self { embedded, functions, publisher, watch, tally: EventTally::default(), audience: EventPrinter::new() };
        progress("waiting for the functions' partitions");
        stage.until_running().await?;
        println!();
        Ok(stage)
    }

    async fn until_running(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        while !self.all(|status| status.state == FunctionState::Running).await {
            if start.elapsed() > READY_WITHIN {
                bail!("the functions did not start within {READY_WITHIN:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn all(&self, holds: impl Fn(&FunctionStatus) -> bool) -> bool {
        let statuses = self.embedded.host.observe().statuses().await;
        statuses.len() == self.functions.len() && statuses.iter().all(holds)
    }

    /// Puts an event in, as somebody else's producer would.
    pub(crate) async fn put_in(&mut self, line: &ScriptedEvent) -> anyhow::Result<()> {
        self.tally.put_in += 1;
        self.audience.show_input(line.topic, line.key, &format!("{} {}", line.type_, line.data));
        let id = self.tally.put_in.to_string();
        let headers = [
            ("ce_specversion", "1.0"),
            ("ce_id", id.as_str()),
            ("ce_source", "/auction"),
            ("ce_type", line.type_),
            ("content-type", "application/json"),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.as_bytes(), Some(value.as_bytes())));
        let (key, value) = (Some(line.key.as_bytes()), Some(line.data.as_bytes()));
        for written in self.publisher.write([OutgoingMessage { topic: line.topic, key, value, headers }]).await {
            written.context("an event of the script was not written")?;
        }
        Ok(())
    }

    /// Prints what appears within `time`.
    pub(crate) async fn show_what_appears(&mut self, time: Duration) -> anyhow::Result<bool> {
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
    pub(crate) async fn show_the_rest(&mut self, longest: Duration) -> anyhow::Result<()> {
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

    fn show(&mut self, record: &PastRecord) {
        match self.audience.show(record) {
            EventRole::Emitted => self.tally.came_out += 1,
            EventRole::Dead => self.tally.dead += 1,
        }
    }

    pub(crate) fn tally(&self) -> EventTally {
        self.tally
    }

    pub(crate) fn broker(&self) -> String {
        self.embedded.bootstrap_servers()
    }

    pub(crate) async fn listen(
        &self,
        wanted: Option<SocketAddr>,
        stop: CancellationToken,
    ) -> anyhow::Result<ApiListener> {
        self.embedded.listen(wanted, stop).await
    }

    pub(crate) async fn strike(self) {
        self.embedded.stop().await;
    }
}

fn progress(step: &str) {
    println!("  · {step} …");
}
