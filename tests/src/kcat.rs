//! kcat as a foreign client.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A record as kcat read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers in order, as `name=value` texts.
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// The value as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.value.as_deref().unwrap_or_default()).expect("text")
    }

    /// The key as text.
    #[track_caller]
    pub fn key_text(&self) -> &str {
        std::str::from_utf8(self.key.as_deref().unwrap_or_default()).expect("text")
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Writes `key:value` lines; both without colon or line end.
#[track_caller]
pub fn produce(bootstrap: &str, topic: &str, records: impl IntoIterator<Item = (String, String)>) {
    produce_with(bootstrap, topic, &[], records);
}

/// The same, each with these headers. Values may hold colons.
#[track_caller]
pub fn produce_with(
    bootstrap: &str,
    topic: &str,
    headers: &[(&str, &str)],
    records: impl IntoIterator<Item = (String, String)>,
) {
    let lines: String = records.into_iter().map(|(key, value)| format!("{key}:{value}\n")).collect();
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut arguments = vec!["-P", "-t", topic, "-K:", "-X", "partitioner=murmur2_random"];
    for header in &headers {
        arguments.extend(["-H", header]);
    }
    run(bootstrap, &arguments, lines.as_bytes());
}

/// Writes values without a key to one partition; without line end.
#[track_caller]
pub fn produce_to(bootstrap: &str, topic: &str, partition: i32, values: &[String]) {
    let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
    run(bootstrap, &["-P", "-t", topic, "-p", &partition.to_string()], lines.as_bytes());
}

/// Writes one record with headers; the value is any bytes, in one piece.
#[track_caller]
pub fn produce_one(bootstrap: &str, topic: &str, key: Option<&str>, headers: &[(&str, &str)], value: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), value).expect("written");
    let mut arguments: Vec<String> = ["-P", "-t", topic].map(str::to_owned).into();
    if let Some(key) = key {
        arguments.extend(["-k".to_owned(), key.to_owned()]);
    }
    for (name, value) in headers {
        arguments.extend(["-H".to_owned(), format!("{name}={value}")]);
    }
    arguments.push(file.path().to_string_lossy().into_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(bootstrap, &arguments, b"");
}

/// Everything that is in a topic now, as a `read_committed` reader sees it.
#[track_caller]
pub fn read(bootstrap: &str, topic: &str) -> Vec<Record> {
    // Only JSON output separates headers that contain commas or line ends.
    let mut records = read_without_headers(bootstrap, topic);
    let json = consume(bootstrap, topic, &["-J"]);
    let heads = json.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(head_of_json);
    let headers: std::collections::HashMap<_, _> = heads.collect();
    for record in &mut records {
        record.headers = headers.get(&(record.partition, record.offset)).cloned().unwrap_or_default();
    }
    records
}

/// The same, quicker.
#[track_caller]
pub fn read_without_headers(bootstrap: &str, topic: &str) -> Vec<Record> {
    // Lengths first, because keys and values may contain any bytes.
    parse(&consume(bootstrap, topic, &["-f", "%p %o %K %S\n%k\n%s\n"]))
}

#[track_caller]
fn consume(bootstrap: &str, topic: &str, form: &[&str]) -> Vec<u8> {
    let common = ["-C", "-q", "-t", topic, "-o", "beginning", "-e", "-X", "isolation.level=read_committed"];
    run(bootstrap, &[&common, form].concat(), b"")
}

/// The position and the headers of a record in kcat's JSON. JSON loses keys and values that are not UTF-8.
#[track_caller]
fn head_of_json(line: &[u8]) -> ((i32, i64), Vec<(String, String)>) {
    let line = String::from_utf8_lossy(line);
    let record: serde_json::Value = serde_json::from_str(&line).expect("kcat writes JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let headers = record["headers"].as_array().cloned().unwrap_or_default();
    let pairs = headers.chunks_exact(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
    let place = (record["partition"].as_i64().unwrap_or(-1) as i32, record["offset"].as_i64().unwrap_or(-1));
    (place, pairs)
}

/// Whether the broker knows `topic` and a leader for each of its partitions.
#[track_caller]
pub fn has_leaders(bootstrap: &str, topic: &str) -> bool {
    let list = String::from_utf8_lossy(&run(bootstrap, &["-L", "-t", topic], b"")).into_owned();
    let mut partitions = list.lines().filter(|line| line.trim_start().starts_with("partition ")).peekable();
    partitions.peek().is_some() && partitions.all(|line| !line.contains("leader -1"))
}

/// Reads until there are at least `count` records.
#[track_caller]
pub fn read_at_least(bootstrap: &str, topic: &str, count: usize, longest: Duration) -> Vec<Record> {
    let start = Instant::now();
    loop {
        let records = read(bootstrap, topic);
        if records.len() >= count {
            return records;
        }
        assert!(start.elapsed() < longest, "{topic} has {} of {count} records after {longest:?}", records.len());
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn parse(mut bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let line_end = bytes.iter().position(|byte| *byte == b'\n').expect("a head line");
        let head = String::from_utf8_lossy(&bytes[..line_end]).into_owned();
        bytes = &bytes[line_end + 1..];
        let mut fields = head.split(' ');
        let mut number = || fields.next().and_then(|field| field.parse::<i64>().ok()).expect("a number");
        let (partition, offset, key_length, value_length) = (number() as i32, number(), number(), number());
        let mut take = |length: i64| {
            let (taken, rest) = bytes.split_at(length.max(0) as usize);
            bytes = &rest[1..];
            (length >= 0).then(|| taken.to_vec())
        };
        let (key, value) = (take(key_length), take(value_length));
        records.push(Record { partition, offset, key, value, headers: Vec::new() });
    }
    records
}

#[track_caller]
fn run(bootstrap: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("kcat")
        .args(["-b", bootstrap, "-X", "log_level=3"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kcat can be started: `./run setup` installs it");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("kcat ends");
    let _ = writer.join();
    assert!(output.status.success(), "kcat {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
