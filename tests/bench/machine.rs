//! On what it was measured: read from the machine and from the artifacts, so that it can't be out of date.

use std::fs;
use std::path::Path;

use millstream_tests::root;

/// Cores, memory, and the versions of the others.
pub(crate) fn description() -> String {
    format!(
        "{}, the broker and the driver on the same cores; Kafka {}, Kafka Streams {}, Parallel Consumer {}, librdkafka {}",
        alone(),
        version(".cache/kafka/lib", "kafka_2.13-"),
        version(".cache/peers/streams/lib", "kafka-streams-"),
        version(".cache/peers/parallel/lib", "parallel-consumer-core-"),
        rdkafka::util::get_rdkafka_version().1
    )
}

/// Cores and memory.
pub(crate) fn alone() -> String {
    let text = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let memory = value(&text("/proc/meminfo"), "MemTotal");
    let kib: f64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
    format!(
        "{cores} cores ({}), {:.0} GiB, Linux {}",
        value(&text("/proc/cpuinfo"), "model name"),
        kib / 1_048_576.0,
        text("/proc/sys/kernel/osrelease").trim().split('-').next().unwrap_or_default(),
    )
}

fn version(folder: &str, stem: &str) -> String {
    let entries = fs::read_dir(root().join(Path::new(folder))).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let version = |name: String| Some(name.strip_prefix(stem)?.strip_suffix(".jar")?.to_owned());
    names.filter_map(version).next().unwrap_or_else(|| "?".to_owned())
}
