//! A real Apache Kafka of one node for this test process, from the artifacts that `./run setup` fetched.

mod compression;
pub mod second;
pub mod secured;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::fault_proxy::FaultProxy;
use crate::process::{Process, free_port};
use crate::wire_client::WireClient;
use crate::{root, wait_until};

/// How long a broker may take to start; longer after it was killed, since it looks through its logs then.
const STARTS_WITHIN: Duration = Duration::from_secs(90);

/// A running broker.
#[derive(Debug)]
pub struct Kafka {
    /// Where clients connect.
    pub bootstrap: String,
    /// A second door for clients whose traffic a test wants to harm; the broker's answers lead them through it again.
    pub proxy: FaultProxy,
    process: Mutex<Process>,
    machine: &'static [&'static str],
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

    /// Starts a broker that is up soon.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_on(&QUICK, PATIENT, "")
    }

    /// A broker with an authorizer. Every operation is allowed on resources that [`Self::allow_only`] has not named.
    #[track_caller]
    pub fn start_guarded() -> Self {
        let authorizer = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
            allow.everyone.if.no.acl.found=true\n";
        Self::start_on(&QUICK, PATIENT, authorizer)
    }

    /// The same for one that is to be killed: it is missed, and may register again, within a few seconds. A busy machine
    /// may make it look dead while it is not.
    #[track_caller]
    pub fn start_fragile() -> Self {
        Self::start_on(&QUICK, Duration::from_secs(4), "")
    }

    /// Starts a broker with the JVM settings of production: it is slow until the JIT compiler has warmed up.
    #[track_caller]
    pub fn start_for_measuring() -> Self {
        Self::start_on(&["-Xms1g", "-Xmx1g", "-XX:+UseG1GC"], PATIENT, "")
    }

    #[track_caller]
    fn start_on(machine: &'static [&'static str], session: Duration, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (port, controller) = (free_port(), free_port());
        let proxy = FaultProxy::start(free_port(), free_port());
        let template = fs::read_to_string(root().join("tests/kafka/server.properties")).expect("the settings");
        let settings = template
            .replace("@PORT@", &port.to_string())
            .replace("@CONTROLLER@", &controller.to_string())
            .replace("@DATA@", &folder.path().join("data").to_string_lossy());
        let file = folder.path().join("server.properties");
        // Of two lines for a key the later one counts.
        fs::write(&file, settings + &two_doors(port, controller, &proxy, session) + more).expect("written");
        format_storage(&folder);
        let process = Mutex::new(run_broker(&folder, machine));
        Self { bootstrap: format!("127.0.0.1:{port}"), proxy, process, machine, folder }
    }

    /// Where clients connect that go through the proxy.
    pub fn proxied(&self) -> String {
        format!("127.0.0.1:{}", self.proxy.port)
    }

    /// Ends it as a power cut would, but for what the system's own cache still writes.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Ends it as an operator would.
    #[track_caller]
    pub fn stop(&self) {
        let mut process = self.process();
        process.signal("TERM");
        process.wait(Duration::from_secs(60));
    }

    /// Starts it again on the same data and ports, and waits until it serves.
    #[track_caller]
    pub fn start_again(&self) {
        let mut process = self.process();
        process.kill();
        *process = run_broker(&self.folder, self.machine);
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.process().ended().is_none()
    }

    /// A connection for what tools are too slow for.
    #[track_caller]
    pub fn wire(&self) -> WireClient {
        self.try_wire().expect("the broker is up")
    }

    /// The same, unless the broker is down.
    pub fn try_wire(&self) -> std::io::Result<WireClient> {
        WireClient::connect(&self.bootstrap)
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The CPU time that it has used.
    #[track_caller]
    pub fn cpu(&self) -> Duration {
        self.process().cpu()
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

    /// Allows only these operations on a resource (for example `--topic` and its name), for every user.
    #[track_caller]
    pub fn allow_only(&self, resource: &[&str], operations: &[&str]) {
        let mut arguments = vec!["--add", "--allow-principal", "User:*"];
        arguments.extend(operations.iter().flat_map(|operation| ["--operation", operation]));
        arguments.extend(resource);
        self.tool("org.apache.kafka.tools.AclCommand", &arguments);
    }

    /// Allows every operation on a resource again.
    #[track_caller]
    pub fn allow_all(&self, resource: &[&str]) {
        let arguments = [&["--remove", "--force"], resource].concat();
        self.tool("org.apache.kafka.tools.AclCommand", &arguments);
    }

    /// Deletes a topic, and waits until it is gone.
    #[track_caller]
    pub fn delete_topic(&self, topic: &str) {
        self.tool("org.apache.kafka.tools.TopicCommand", &["--delete", "--topic", topic]);
        wait_until("the topic is gone", Duration::from_secs(20), || !self.has_topic(topic));
    }

    /// Whether there is such a topic.
    #[track_caller]
    pub fn has_topic(&self, topic: &str) -> bool {
        self.tool("org.apache.kafka.tools.TopicCommand", &["--list"]).lines().any(|line| line.trim() == topic)
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

    /// Whether there is such a consumer group.
    #[track_caller]
    pub fn has_group(&self, group: &str) -> bool {
        let groups = self.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &["--list"]);
        groups.lines().any(|line| line.trim() == group)
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

/// Makes the folder of a broker, whose settings lie beside it.
#[track_caller]
fn format_storage(folder: &TempDir) {
    let formatted = java()
        .args(["kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c"])
        .arg(folder.path().join("server.properties"))
        .output()
        .expect("java can be started: `./run setup` installs it");
    assert!(formatted.status.success(), "Kafka's storage: {}", String::from_utf8_lossy(&formatted.stderr));
}

/// How long a broker that stays whole may be silent.
const PATIENT: Duration = Duration::from_secs(30);

/// A virtual machine that starts quickly.
const QUICK: [&str; 3] = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

#[track_caller]
fn run_broker(folder: &TempDir, machine: &[&str]) -> Process {
    let log = folder.path().join("log");
    let output = File::create(&log).expect("a log");
    let mut process = Process::start("java", |command| {
        command.args(machine).args(java_arguments()).arg("kafka.Kafka").arg(folder.path().join("server.properties"));
        command.stdout(output.try_clone().expect("a second handle")).stderr(output);
    });
    wait_until("Kafka starts", STARTS_WITHIN, || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        if let Some(status) = process.ended() {
            panic!("Kafka ended with {status}: {}", text.lines().rev().take(20).collect::<Vec<_>>().join("\n"));
        }
        text.contains("Kafka Server started")
    });
    process
}

/// A second listener that advertises the address of the proxy. And sessions so short that a member of a
/// KIP-848 group is missed as soon as one of a classic group.
fn two_doors(port: u16, controller: u16, proxy: &FaultProxy, session: Duration) -> String {
    let (advertised, upstream) = (proxy.port, proxy.upstream);
    let session = session.as_millis();
    format!(
        "\nlisteners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{upstream},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{advertised}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=PLAINTEXT\n\
         broker.heartbeat.interval.ms=500\nbroker.session.timeout.ms={session}\n\
         group.consumer.min.heartbeat.interval.ms=500\ngroup.consumer.heartbeat.interval.ms=1000\n\
         group.consumer.min.session.timeout.ms=5000\ngroup.consumer.session.timeout.ms=10000\n"
    )
}

fn java() -> Command {
    let mut command = Command::new("java");
    command.args(QUICK).args(java_arguments());
    command
}

fn java_arguments() -> Vec<String> {
    let library: PathBuf = root().join(".cache/kafka/lib");
    assert!(library.join(".complete").exists(), "Kafka's artifacts are missing: run `./run setup`");
    let logging = root().join("tests/kafka/log4j2.properties");
    vec![format!("-Dlog4j2.configurationFile={}", logging.display()), "-cp".into(), format!("{}/*", library.display())]
}
