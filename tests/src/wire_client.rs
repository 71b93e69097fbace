//! A few of Kafka's own requests, written by hand: quick enough to be asked many times a second, and able to write what
//! no tool writes (the metadata of a commit). Only the old, plain versions of the protocol that Kafka 4 still takes.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a group has committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset.
    pub offset: i64,
    /// The metadata beside it.
    pub metadata: String,
}

/// A connection to a cluster of one broker.
#[derive(Debug)]
pub struct WireClient {
    stream: TcpStream,
    number: i32,
}

impl WireClient {
    /// Connects.
    pub fn connect(bootstrap: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(bootstrap)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, number: 0 })
    }

    /// What `group` has committed, by topic and partition.
    pub fn committed(&mut self, group: &str) -> io::Result<BTreeMap<(String, i32), CommittedOffset>> {
        let body = Writer::default().text(group).number(-1_i32);
        let mut answer = self.ask(9, 2, body)?;
        let mut found = BTreeMap::new();
        for _ in 0..answer.count()? {
            let topic = answer.text()?;
            for _ in 0..answer.count()? {
                let (partition, offset) = (answer.i32()?, answer.i64()?);
                let metadata = answer.text()?;
                refuse(answer.i16()?)?;
                if offset >= 0 {
                    found.insert((topic.clone(), partition), CommittedOffset { offset, metadata });
                }
            }
        }
        refuse(answer.i16()?)?;
        Ok(found)
    }

    /// Commits for a group without members.
    pub fn commit(&mut self, group: &str, topic: &str, partition: i32, committed: &CommittedOffset) -> io::Result<()> {
        let body = Writer::default().text(group).number(-1_i32).text("").number(-1_i64).number(1_i32);
        let body = body.text(topic).number(1_i32).number(partition).number(committed.offset).text(&committed.metadata);
        let mut answer = self.ask(8, 2, body)?;
        for _ in 0..answer.count()? {
            answer.text()?;
            for _ in 0..answer.count()? {
                answer.i32()?;
                refuse(answer.i16()?)?;
            }
        }
        Ok(())
    }

    /// The end of each of the first `partitions` of `topic`, finished transactions or not.
    pub fn ends(&mut self, topic: &str, partitions: i32) -> io::Result<BTreeMap<i32, i64>> {
        let mut body = Writer::default().number(-1_i32).byte(0).number(1_i32).text(topic).number(partitions);
        for partition in 0..partitions {
            body = body.number(partition).number(-1_i64);
        }
        let mut answer = self.ask(2, 2, body)?;
        answer.i32()?;
        let mut found = BTreeMap::new();
        for _ in 0..answer.count()? {
            answer.text()?;
            for _ in 0..answer.count()? {
                let partition = answer.i32()?;
                refuse(answer.i16()?)?;
                answer.i64()?;
                found.insert(partition, answer.i64()?);
            }
        }
        Ok(found)
    }

    /// Creates a topic.
    pub fn create_topic(&mut self, topic: &str, partitions: i32, config: &[(&str, &str)]) -> io::Result<()> {
        let body = Writer::default().number(1_i32).text(topic).number(partitions).number(1_i16).number(0_i32);
        let mut body = body.number(i32::try_from(config.len()).expect("few settings"));
        for (name, value) in config {
            body = body.text(name).text(value);
        }
        self.create(body)
    }

    /// Creates a topic whose partitions all lie on one broker.
    pub fn create_topic_on(&mut self, topic: &str, partitions: i32, broker: i32) -> io::Result<()> {
        let mut body = Writer::default().number(1_i32).text(topic).number(-1_i32).number(-1_i16).number(partitions);
        for partition in 0..partitions {
            body = body.number(partition).number(1_i32).number(broker);
        }
        self.create(body.number(0_i32))
    }

    fn create(&mut self, topics: Writer) -> io::Result<()> {
        let mut answer = self.ask(19, 2, topics.number(10_000_i32).byte(0))?;
        answer.i32()?;
        for _ in 0..answer.count()? {
            answer.text()?;
            refuse(answer.i16()?)?;
            answer.text()?;
        }
        Ok(())
    }

    /// Deletes a topic with all that is in it.
    pub fn delete_topic(&mut self, topic: &str) -> io::Result<()> {
        let mut answer = self.ask(20, 1, Writer::default().number(1_i32).text(topic).number(10_000_i32))?;
        answer.i32()?;
        for _ in 0..answer.count()? {
            answer.text()?;
            refuse(answer.i16()?)?;
        }
        Ok(())
    }

    /// Makes a topic have that many partitions.
    pub fn grow_topic(&mut self, topic: &str, partitions: i32) -> io::Result<()> {
        let body = Writer::default().number(1_i32).text(topic).number(partitions).number(-1_i32);
        let mut answer = self.ask(37, 0, body.number(10_000_i32).byte(0))?;
        answer.i32()?;
        for _ in 0..answer.count()? {
            answer.text()?;
            refuse(answer.i16()?)?;
            answer.text()?;
        }
        Ok(())
    }

    /// Deletes what lies below `offset`.
    pub fn delete_records(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<()> {
        let body = Writer::default().number(1_i32).text(topic).number(1_i32).number(partition).number(offset);
        let mut answer = self.ask(21, 1, body.number(10_000_i32))?;
        answer.i32()?;
        for _ in 0..answer.count()? {
            answer.text()?;
            for _ in 0..answer.count()? {
                answer.i32()?;
                answer.i64()?;
                refuse(answer.i16()?)?;
            }
        }
        Ok(())
    }

    fn ask(&mut self, kind: i16, version: i16, body: Writer) -> io::Result<Reader> {
        self.number += 1;
        let head = Writer::default().number(kind).number(version).number(self.number).text("millstream-tests");
        let frame = [head.0, body.0].concat();
        let size = i32::try_from(frame.len()).expect("requests are small");
        self.stream.write_all(&[&size.to_be_bytes()[..], &frame].concat())?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let size = usize::try_from(i32::from_be_bytes(size)).map_err(io::Error::other)?;
        let mut answer = vec![0; size];
        self.stream.read_exact(&mut answer)?;
        let mut reader = Reader { bytes: answer, at: 0 };
        if reader.i32()? != self.number {
            return Err(io::Error::other("an answer to another request"));
        }
        Ok(reader)
    }
}

fn refuse(code: i16) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::other(format!("Kafka answered with its error {code}"))) }
}

#[derive(Debug, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(mut self, number: impl BigEndian) -> Self {
        number.append_to(&mut self.0);
        self
    }

    fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    fn text(self, text: &str) -> Self {
        let mut longer = self.number(i16::try_from(text.len()).expect("a short text"));
        longer.0.extend_from_slice(text.as_bytes());
        longer
    }
}

trait BigEndian {
    fn append_to(self, bytes: &mut Vec<u8>);
}

impl BigEndian for i16 {
    fn append_to(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_be_bytes());
    }
}

impl BigEndian for i32 {
    fn append_to(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_be_bytes());
    }
}

impl BigEndian for i64 {
    fn append_to(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_be_bytes());
    }
}

struct Reader {
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    fn take<const COUNT: usize>(&mut self) -> io::Result<[u8; COUNT]> {
        let found = self.bytes.get(self.at..self.at + COUNT).and_then(|bytes| bytes.try_into().ok());
        self.at += COUNT;
        found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn i16(&mut self) -> io::Result<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> io::Result<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn count(&mut self) -> io::Result<i32> {
        self.i32()
    }

    /// A text; none is the empty one.
    fn text(&mut self) -> io::Result<String> {
        let length = usize::try_from(self.i16()?).unwrap_or_default();
        let bytes = self.bytes.get(self.at..self.at + length).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.at += length;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}
