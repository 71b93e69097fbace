//! Compression as Kafka's own producer writes it and as Kafka's own tool finds it on disk.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Stdio;

use super::{Kafka, java};

impl Kafka {
    /// Writes `key:value` lines with Kafka's Java producer, whose snappy has the framing of snappy-java.
    #[track_caller]
    pub fn produce_with_java(&self, topic: &str, codec: &str, records: impl IntoIterator<Item = (String, String)>) {
        let lines: String = records.into_iter().map(|(key, value)| format!("{key}:{value}\n")).collect();
        let mut child = java()
            .args(["org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", &self.bootstrap, "--topic", topic])
            .args(["--compression-codec", codec, "--property", "parse.key=true"])
            .args(["--property", "key.separator=:"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("java can be started");
        child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{topic}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The codecs of a topic's batches on disk, markers of transactions aside.
    #[track_caller]
    pub fn codecs(&self, topic: &str, partitions: u32) -> BTreeSet<String> {
        (0..partitions).flat_map(|partition| self.partition_codecs(topic, partition)).collect()
    }

    #[track_caller]
    fn partition_codecs(&self, topic: &str, partition: u32) -> BTreeSet<String> {
        let log = self.folder.path().join(format!("data/{topic}-{partition}/00000000000000000000.log"));
        let output =
            java().args(["kafka.tools.DumpLogSegments", "--files"]).arg(&log).output().expect("java can be started");
        assert!(output.status.success(), "{}: {}", log.display(), String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let batches = text.lines().filter(|line| line.contains("isControl: false"));
        let words = batches.filter_map(|line| line.split("compresscodec: ").nth(1)?.split_whitespace().next());
        words.map(str::to_lowercase).collect()
    }
}
