//! What every test here stands on: topics of its own on a broker that it shares, or on one that it may break.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use millstream_tests::host::{Host, Options};
use millstream_tests::kafka::Kafka;
use millstream_tests::oracle::Guarantee;
use millstream_tests::turn::{Turn, Turns};
use millstream_tests::unique;

/// How long anything may stand still after the last fault is healed.
pub(super) const PROGRESS: Duration = Duration::from_secs(60);

/// Partitions of every output topic.
pub(super) const OUTPUT_PARTITIONS: i32 = 4;

/// Partitions of every dead letter topic.
pub(super) const DEAD_PARTITIONS: i32 = 2;

/// Whether the long runs were asked for (`./run test --long`).
pub(super) fn long() -> bool {
    std::env::var_os("MILLSTREAM_TEST_LONG").is_some()
}

/// Tests that run at once: two cores are two busy hosts.
static TURNS: Turns = Turns::new(6);

/// The broker of a test.
#[derive(Debug)]
pub(super) enum Broker {
    /// Other tests use it at the same time: it must stay whole.
    Shared(&'static Kafka),
    /// This test's alone for now: it may be killed, and its proxy jammed.
    Fragile(&'static Kafka, #[expect(dead_code, reason = "held until the test is over")] MutexGuard<'static, ()>),
}

/// Brokers that may be broken. Two, so that two tests may break one at the same time.
static FRAGILE: [(Mutex<()>, OnceLock<Kafka>); 2] = [const { (Mutex::new(()), OnceLock::new()) }; 2];

impl Broker {
    fn fragile() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let free = FRAGILE.iter().find_map(|(taken, broker)| Some((taken.try_lock().ok()?, broker)));
        let (taken, broker) = free.unwrap_or_else(|| {
            let (taken, broker) = &FRAGILE[NEXT.fetch_add(1, Ordering::Relaxed) % FRAGILE.len()];
            (taken.lock().unwrap_or_else(PoisonError::into_inner), broker)
        });
        let kafka = broker.get_or_init(Kafka::start_fragile);
        // A test that failed may have left it broken.
        kafka.proxy.heal();
        if !kafka.is_up() {
            kafka.start_again();
        }
        Self::Fragile(kafka, taken)
    }
}

impl Deref for Broker {
    type Target = Kafka;

    fn deref(&self) -> &Kafka {
        match self {
            Self::Shared(kafka) | Self::Fragile(kafka, _) => kafka,
        }
    }
}

/// A broker and a function's names.
#[derive(Debug)]
pub(super) struct Stage {
    /// The broker.
    pub kafka: Broker,
    /// What the function promises.
    pub guarantee: Guarantee,
    /// The function's name, and the registry's prefix: what this test's hosts share.
    pub name: String,
    /// Its input topic, which exists.
    pub input: String,
    /// Its output topic, which exists.
    pub output: String,
    start: Instant,
    _turn: Turn,
}

impl Drop for Stage {
    fn drop(&mut self) {
        println!("{} took {:.1} s", self.name, self.start.elapsed().as_secs_f32());
    }
}

impl Stage {
    /// Topics on the shared broker; the input has `partitions`.
    #[track_caller]
    pub(super) fn new(stem: &str, guarantee: Guarantee, partitions: i32) -> Self {
        let turn = TURNS.wait();
        Self::set(Broker::Shared(Kafka::shared()), stem, guarantee, partitions, turn)
    }

    /// The same on the broker that may be broken; hosts reach it through its proxy.
    #[track_caller]
    pub(super) fn fragile(stem: &str, guarantee: Guarantee, partitions: i32) -> Self {
        let broker = Broker::fragile();
        let turn = TURNS.wait();
        Self::set(broker, stem, guarantee, partitions, turn)
    }

    #[track_caller]
    fn set(kafka: Broker, stem: &str, guarantee: Guarantee, partitions: i32, turn: Turn) -> Self {
        let name = unique(&format!("{stem}-{}", guarantee.name().replace('_', "-")));
        let stage = Self {
            kafka,
            guarantee,
            input: format!("{name}.in"),
            output: format!("{name}.out"),
            name,
            start: Instant::now(),
            _turn: turn,
        };
        let mut wire = stage.kafka.wire();
        let dead = stage.dead();
        for (topic, partitions) in
            [(&stage.input, partitions), (&stage.output, OUTPUT_PARTITIONS), (&dead, DEAD_PARTITIONS)]
        {
            wire.create_topic(topic, partitions, &[]).expect("a new topic");
        }
        stage
    }

    /// The consumer group.
    pub(super) fn group(&self) -> String {
        format!("millstream.{}", self.name)
    }

    /// The dead letter topic.
    pub(super) fn dead(&self) -> String {
        format!("{}.dead", self.name)
    }

    /// How this stage's hosts are started.
    pub(super) fn options(&self) -> Options {
        let bootstrap = match &self.kafka {
            Broker::Shared(kafka) => kafka.bootstrap.clone(),
            Broker::Fragile(kafka, _) => kafka.proxied(),
        };
        Options::new(&bootstrap, &self.name)
    }

    /// A ready host of its own.
    #[track_caller]
    pub(super) fn host(&self) -> Host {
        self.host_with(self.options())
    }

    /// The same, started so.
    #[track_caller]
    pub(super) fn host_with(&self, options: Options) -> Host {
        let mut host = Host::launch(options, tempfile::tempdir().expect("a folder"));
        host.wait_until_ready();
        host
    }

    /// Deploys an example between this stage's topics. `top` are keys of the manifest, `sections` its tables.
    #[track_caller]
    pub(super) fn deploy(&self, host: &Host, example: &str, top: &str, sections: &str) {
        host.client.deploy(&self.name, example, &self.manifest(top, sections));
    }

    /// The manifest of a deploy, but for the name.
    pub(super) fn manifest(&self, top: &str, sections: &str) -> String {
        format!(
            "topics = [\"{}\"]\ninitial_offset = \"earliest\"\nprocessing_guarantee = \"{}\"\n\
             outputs = {{ default = \"{}\" }}\n{top}\n{sections}\n",
            self.input,
            self.guarantee.name(),
            self.output
        )
    }
}
