//! What every test here stands on: topics of its own and a host of its own on the shared broker.

use millstream_tests::client::module;
use millstream_tests::host::{Host, Options};
use millstream_tests::kafka::Kafka;
use millstream_tests::turn::{Turn, Turns};
use millstream_tests::unique;

/// Tests that run at once: two cores are two busy hosts.
static TURNS: Turns = Turns::new(2);

/// A broker, a host, and a function's names.
#[derive(Debug)]
pub(super) struct Setting {
    /// The shared broker.
    pub kafka: &'static Kafka,
    /// This test's host.
    pub host: Host,
    /// The registry's prefix: what this test's hosts share.
    pub prefix: String,
    /// A function's name.
    pub name: String,
    /// Its input topic, which exists.
    pub input: String,
    /// Its output topic, which the deploy creates.
    pub output: String,
    pub turn: Turn,
}

impl Setting {
    /// An input topic of `partitions`, and a ready host without functions.
    #[track_caller]
    pub(super) fn new(stem: &str, partitions: u32) -> Self {
        Self::with(stem, partitions, &[])
    }

    /// The same with variables of its own.
    #[track_caller]
    pub(super) fn with(stem: &str, partitions: u32, variables: &[(&str, &str)]) -> Self {
        Self::configured(stem, partitions, variables, "")
    }

    /// The same with a configuration file of its own.
    #[track_caller]
    pub(super) fn configured(stem: &str, partitions: u32, variables: &[(&str, &str)], config: &str) -> Self {
        let turn = TURNS.wait();
        let kafka = Kafka::shared();
        let name = unique(stem);
        let (input, output) = (format!("{name}.in"), format!("{name}.out"));
        kafka.create_topic(&input, partitions);
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options { config: config.to_owned(), ..Options::new(&kafka.bootstrap, &name) };
        let options = variables.iter().fold(options, |options, (name, value)| options.with(name, value));
        let mut host = Host::launch(options, folder);
        host.wait_until_ready();
        Self { kafka, host, prefix: name.clone(), name, input, output, turn }
    }

    /// Deploys an example between this setting's topics.
    #[track_caller]
    pub(super) fn deploy(&self, example: &str, more: &str) {
        self.host.client.deploy(&self.name, example, &self.manifest(more));
    }

    /// The same for a function that is paused.
    #[track_caller]
    pub(super) fn deploy_paused(&self, example: &str, more: &str) {
        let manifest = format!("name = \"{}\"\n{}", self.name, self.manifest(more));
        let (status, answer) = self.host.client.put(&self.name, &manifest, module(example));
        assert_eq!((status, &answer["state"]), (200, &"paused".into()), "{answer}");
    }

    /// The manifest of a function between these topics, but for its name.
    pub(super) fn manifest(&self, more: &str) -> String {
        format!(
            "topics = [\"{}\"]\ninitial_offset = \"earliest\"\noutputs = {{ default = \"{}\" }}\n{more}",
            self.input, self.output
        )
    }

    /// The consumer group.
    pub(super) fn group(&self) -> String {
        format!("millstream.{}", self.name)
    }

    /// The dead letter topic.
    pub(super) fn dead(&self) -> String {
        format!("{}.dead", self.name)
    }
}
