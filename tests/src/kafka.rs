//! A real Apache Kafka of one node for this test process, from the artifacts that `./run setup` fetched.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{Process, free_port};
use crate::{root, wait_until};

/// A running broker.
#[derive(Debug)]
pub struct Kafka {
    /// Where clients connect.
    pub bootstrap: String,
    _process: Process,
    folder: TempDir,
}

/// What Kafka's own tool says of a partition of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The committed offset.
    pub committed: i64,
    /// The end.
    pub end: i64,
    /// The member that has it; "-" for none.
    pub member: String,
}

impl Kafka {
    /// The broker that the tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a broker.
    #[track_caller]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, controller) = (free_port(), free_port());
        let template = fs::read_to_string(root().join("tests/kafka/server.properties")).expect("the settings");
        let settings = template
            .replace("@PORT@", &port.to_string())
            .replace("@CONTROLLER@", &controller.to_string())
            .replace("@DATA@", &folder.path().join("data").to_string_lossy());
        let file = folder.path().join("server.properties");
        fs::write(&file, settings).expect("written");
        let log = folder.path().join("log");
        let formatted = java()
            .args(["kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c"])
            .arg(&file)
            .output()
            .expect("java can be started: `./run setup` installs it");
        assert!(formatted.status.success(), "Kafka's storage: {}", String::from_utf8_lossy(&formatted.stderr));
        let process = Process::start("java", |command| {
            let output = File::create(&log).expect("a log");
            command.args(java_arguments()).arg("kafka.Kafka").arg(&file);
            command.stdout(output.try_clone().expect("a second handle")).stderr(output);
        });
        let kafka = Self { bootstrap: format!("127.0.0.1:{port}"), _process: process, folder };
        wait_until("Kafka starts", Duration::from_secs(60), || {
            fs::read_to_string(&log).is_ok_and(|log| log.contains("Kafka Server started"))
        });
        kafka
    }

    /// Creates a topic.
    #[track_caller]
    pub fn create_topic(&self, topic: &str, partitions: u32) {
        self.create_topic_with(topic, partitions, &[]);
    }

    /// Creates a topic with settings of its own, each as `name=value`.
    #[track_caller]
    pub fn create_topic_with(&self, topic: &str, partitions: u32, settings: &[&str]) {
        let partitions = partitions.to_string();
        let mut arguments =
            vec!["--create", "--topic", topic, "--partitions", &partitions, "--replication-factor", "1"];
        arguments.extend(settings.iter().flat_map(|setting| ["--config", setting]));
        self.tool("org.apache.kafka.tools.TopicCommand", &arguments);
    }

    /// Deletes a topic.
    #[track_caller]
    pub fn delete_topic(&self, topic: &str) {
        self.tool("org.apache.kafka.tools.TopicCommand", &["--delete", "--topic", topic]);
    }

    /// Gives a topic more partitions.
    #[track_caller]
    pub fn grow_topic(&self, topic: &str, partitions: u32) {
        let partitions = partitions.to_string();
        self.tool("org.apache.kafka.tools.TopicCommand", &["--alter", "--topic", topic, "--partitions", &partitions]);
    }

    /// Deletes the records of a partition below an offset, as retention does.
    #[track_caller]
    pub fn delete_records(&self, topic: &str, partition: u32, before: i64) {
        let places = serde_json::json!({
            "version": 1,
            "partitions": [{ "topic": topic, "partition": partition, "offset": before }],
        });
        let file = self.folder.path().join(format!("delete-{topic}.json"));
        fs::write(&file, places.to_string()).expect("written");
        self.tool(
            "org.apache.kafka.tools.DeleteRecordsCommand",
            &["--offset-json-file", file.to_str().expect("a path in text")],
        );
    }

    /// How much a partition's records take on disk.
    #[track_caller]
    pub fn log_bytes(&self, topic: &str, partition: u32) -> u64 {
        let folder = self.folder.path().join(format!("data/{topic}-{partition}"));
        let segments = fs::read_dir(&folder).expect("the partition's folder").filter_map(Result::ok);
        let logs = segments.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "log"));
        logs.filter_map(|entry| entry.metadata().ok()).map(|segment| segment.len()).sum()
    }

    /// What Kafka's own tool says of a consumer group.
    #[track_caller]
    pub fn group(&self, group: &str) -> Vec<GroupPartition> {
        let text =
            self.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &["--describe", "--group", group]);
        let rows = text.lines().filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [found, topic, partition, committed, end, _lag, member, ..] = fields[..] else { return None };
            (found == group).then(|| GroupPartition {
                topic: topic.to_owned(),
                partition: partition.parse().expect("a partition"),
                committed: committed.parse().unwrap_or(-1),
                end: end.parse().unwrap_or(-1),
                member: member.to_owned(),
            })
        });
        rows.collect()
    }

    #[track_caller]
    fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let output = java()
            .arg(class)
            .args(["--bootstrap-server", &self.bootstrap])
            .args(arguments)
            .output()
            .expect("java can be started");
        assert!(output.status.success(), "{class} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn java() -> Command {
    let mut command = Command::new("java");
    command.args(java_arguments());
    command
}

fn java_arguments() -> Vec<String> {
    let library: PathBuf = root().join(".cache/kafka/lib");
    assert!(library.join(".complete").exists(), "Kafka's artifacts are missing: run `./run setup`");
    let logging = root().join("tests/kafka/log4j2.properties");
    vec![
        "-Xmx512m".into(),
        "-XX:+UseSerialGC".into(),
        "-XX:TieredStopAtLevel=1".into(),
        format!("-Dlog4j2.configurationFile={}", logging.display()),
        "-cp".into(),
        format!("{}/*", library.display()),
    ]
}
