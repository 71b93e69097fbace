//! The producers on librdkafka's mock cluster: what becomes of messages, and who is notified.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::kafka::produce::producer::*;
use crate::model::parcel::MessageKind;
use crate::model::stamp::HeaderSink as _;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

type Answer = (usize, Vec<(u32, DeliveryError)>);

struct Listener(mpsc::Sender<Answer>);

impl DeliveryWatcher for Listener {
    fn delivered(self: Arc<Self>, messages: usize, refused: Vec<(u32, DeliveryError)>) {
        // A test that failed listens no more.
        let _ = self.0.send((messages, refused));
    }
}

fn listener() -> (Arc<Listener>, mpsc::Receiver<Answer>) {
    let (tell, told) = mpsc::channel();
    (Arc::new(Listener(tell)), told)
}

fn producers(bootstrap_servers: String) -> ProducerSet {
    ProducerSet::new(ClientSettings { bootstrap_servers, options: BTreeMap::new(), is_embedded: true })
}

fn producer(producers: &ProducerSet) -> SharedProducer {
    producers.with(ClientGeneration::default(), None, MessageBatching::Together, None).expect("a client")
}

/// Messages for topics in turn, every third with a header.
fn parcel(topics: &[&str], count: usize) -> Parcel {
    let mut parcel = Parcel::default();
    for index in 0..count {
        let first_header = parcel.headers.len() as u32;
        if index % 3 == 0 {
            parcel.header("number", index.to_string().as_bytes());
        }
        let key = parcel.store(&(index as u32).to_be_bytes());
        parcel.messages.push(ParcelMessage {
            topic: topics[index / 100 % topics.len()].into(),
            compression: None,
            batch_bytes: None,
            value: Some(key.clone()),
            key: Some(key),
            headers: first_header..parcel.headers.len() as u32,
            record: 0,
            kind: MessageKind::Emission,
        });
    }
    parcel
}

fn send(producer: &SharedProducer, parcel: &Parcel, listener: Arc<Listener>, longest: Duration) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let sent = producer.send(parcel, 0..parcel.messages.len(), listener);
    runtime.block_on(async { tokio::time::timeout(longest, sent).await }).is_ok()
}

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    for topic in ["bids", "items"] {
        cluster.create_topic(topic, 2, 1).expect("a topic");
    }
    cluster
}

#[test]
fn what_is_taken_is_told_at_once() {
    let cluster = cluster();
    let producers = producers(cluster.bootstrap_servers());
    let (listener, told) = listener();
    let parcel = parcel(&["bids", "items"], 1_000);
    assert!(send(&producer(&producers), &parcel, listener, PATIENCE));
    assert_eq!(told.recv_timeout(PATIENCE), Ok((1_000, Vec::new())));
    assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "told once");
}

#[test]
fn what_is_refused_is_told_by_its_number() {
    let cluster = cluster();
    let producers = producers(cluster.bootstrap_servers());
    let alone = producers.with(ClientGeneration::default(), None, MessageBatching::Alone, None).expect("a client");
    // Of messages that travel alone, Kafka refuses the first; and a topic's name can't be one.
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let (listener, told) = listener();
    let parcel = parcel(&["bids", "no\0topic"], 200);
    assert!(send(&alone, &parcel, listener, PATIENCE));
    let (messages, mut refused) = told.recv_timeout(PATIENCE).expect("told");
    refused.sort_by_key(|(number, _)| *number);
    let numbers: Vec<u32> = refused.iter().map(|(number, _)| *number).collect();
    assert_eq!(messages, 200);
    assert_eq!(numbers.len(), 101, "one of the first hundred, all of the second: {numbers:?}");
    assert!(numbers[0] < 100 && numbers[1..].iter().copied().eq(100..200), "{numbers:?}");
    assert!(refused[0].1.for_good, "{:?}", refused[0].1);
}

#[test]
fn what_nobody_takes_is_told_when_the_client_ends() {
    // Port 9 of loopback: no one listens there.
    let producers = producers("127.0.0.1:9".to_owned());
    let producer = producer(&producers);
    let (listener, told) = listener();
    let parcel = parcel(&["bids"], 100);
    assert!(send(&producer, &parcel, listener, PATIENCE));
    assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "it waits for its broker without end");
    drop((producer, producers));
    let (messages, refused) = told.recv_timeout(PATIENCE).expect("told");
    assert_eq!((messages, refused.len()), (100, 100));
    assert!(refused.iter().all(|(_, undelivered)| !undelivered.for_good), "{:?}", refused[0]);
}

#[test]
fn a_full_queue_is_waited_for() {
    let producers = producers("127.0.0.1:9".to_owned());
    let producer = producer(&producers);
    let (listener, told) = listener();
    let count = QUEUED_MESSAGES + 100;
    let parcel = parcel(&["bids"], count);
    assert!(!send(&producer, &parcel, listener, Duration::from_secs(2)), "there is no room for all");
    assert!(told.try_recv().is_err(), "what was queued is not answered");
    drop((producer, producers));
    let (messages, refused) = told.recv_timeout(PATIENCE).expect("told");
    assert_eq!((messages, refused.len()), (count, count));
}
