//! What a collector gets of a host, and what a host does without one.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::config::host::HostConfig;
use crate::model::ids::FunctionName;
use crate::telemetry::exposition::HostMetrics;
use crate::telemetry::otlp::*;

/// Where it went, and what was sent.
type Sent = (String, Vec<u8>);

/// Answers to requests one after another, the last of them again and again.
struct Collector {
    endpoint: String,
    requests: Arc<Mutex<Vec<Sent>>>,
    task: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Collector {
    async fn start(answers: Vec<(u16, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let requests: Arc<Mutex<Vec<_>>> = Arc::default();
        let heard = requests.clone();
        let task = tokio::spawn(async move {
            let answered = AtomicUsize::new(0);
            while let Ok((stream, _)) = listener.accept().await {
                let next = || answers[answered.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)].clone();
                // One at a time, each on a connection of its own.
                if let Some(request) = serve(stream, next).await {
                    heard.lock().push(request);
                }
            }
        });
        Self { endpoint, requests, task }
    }

    fn of(&self, signal: OtlpSignal) -> Vec<Vec<u8>> {
        let path = format!("/v1/{}", signal.as_str());
        let requests = self.requests.lock();
        requests.iter().filter(|(at, _)| *at == path).map(|(_, body)| body.clone()).collect()
    }
}

async fn serve(mut stream: TcpStream, answer: impl Fn() -> (u16, Vec<u8>)) -> Option<Sent> {
    let mut read = Vec::new();
    let head = loop {
        stream.read_buf(&mut read).await.ok().filter(|bytes| *bytes > 0)?;
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8_lossy(&read[..end]).to_lowercase();
        }
    };
    assert!(
        head.contains("content-type: application/x-protobuf") && head.contains("authorization: bearer t"),
        "{head}"
    );
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let whole = head.len() + 4 + length.parse::<usize>().expect("a number");
    while read.len() < whole {
        stream.read_buf(&mut read).await.ok().filter(|bytes| *bytes > 0)?;
    }
    let (status, body) = answer();
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(&[answer.as_bytes(), &body].concat()).await.ok()?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    Some((path, read[head.len() + 4..].to_vec()))
}

fn otlp(endpoint: &str, more: &str) -> OtlpHandle {
    let text = format!("[otlp]\nendpoint = \"{endpoint}\"\nheaders = \"env:H\"\n{more}");
    let header = ("H".to_owned(), "authorization=Bearer t".to_owned());
    let config = HostConfig::from_parts(&text, [header]).expect("it is valid");
    OtlpHandle::new(&config.otlp).expect("a client")
}

fn figures() -> MetricsSource {
    let metrics = HostMetrics::default();
    metrics.function(&FunctionName::new("mill").expect("a name")).received.inc_by(7);
    Arc::new(move || -> BoxFuture<'static, String> {
        let text = metrics.render(Vec::new());
        Box::pin(async move { text })
    })
}

fn log(otlp: &OtlpHandle, line: &str) {
    let layers = tracing_subscriber::registry().with(otlp.log_layer());
    tracing::subscriber::with_default(layers, || tracing::info!("{line}"));
}

fn count(otlp: &OtlpHandle, signal: OtlpSignal) -> (u64, u64) {
    let counts = otlp.counts();
    let (_, counts) = counts.iter().find(|(of, _)| *of == signal).expect("it is sent");
    (counts.sent.get(), counts.dropped.get())
}

fn items<T: Message + Default + Debug>(body: &[u8]) -> Vec<T> {
    let request: Request<T> = Request::decode(body).expect("protobuf");
    let [of_resource] = <[_; 1]>::try_from(request.of_resources).expect("one resource");
    let attributes = of_resource.resource.expect("a resource").attributes;
    assert!(attributes.contains(&attribute("service.instance.id", "host-1")), "{attributes:?}");
    of_resource.of_scopes.into_iter().flat_map(|of_scope| of_scope.items).collect()
}

#[tokio::test]
async fn what_is_left_is_sent_at_the_end_line_and_figure_alike() {
    let collector = Collector::start(vec![(200, Vec::new())]).await;
    let otlp = otlp(&collector.endpoint, "");
    log(&otlp, "before it starts");
    let sending = otlp.start("host-1", figures());
    log(&otlp, "after");
    sending.finish().await;
    let lines: Vec<LogRecord> = collector.of(OtlpSignal::Logs).iter().flat_map(|body| items(body)).collect();
    assert_eq!(lines.len(), 2);
    let metrics: Vec<Metric> = items(&collector.of(OtlpSignal::Metrics)[0]);
    assert!(metrics.iter().any(|metric| metric.name == "millstream_records_received_total"), "{metrics:?}");
    assert_eq!(collector.of(OtlpSignal::Traces).len(), 0, "there was none");
    assert_eq!(count(&otlp, OtlpSignal::Logs), (2, 0));
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_dropped() {
    let collector = Collector::start(vec![(503, b"later".to_vec()), (200, Vec::new()), (400, Vec::new())]).await;
    let otlp = otlp(&collector.endpoint, "metrics = false\ntraces = false");
    assert!(!otlp.tracer().decides());
    let sending = otlp.start("host-1", figures());
    log(&otlp, "one");
    let arrived = async {
        while count(&otlp, OtlpSignal::Logs).0 < 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), arrived).await.expect("it is tried again");
    assert_eq!((count(&otlp, OtlpSignal::Logs), collector.of(OtlpSignal::Logs).len()), ((1, 0), 2));
    log(&otlp, "two");
    sending.finish().await;
    assert_eq!(count(&otlp, OtlpSignal::Logs), (1, 1));
}

#[tokio::test]
async fn what_a_collector_rejects_is_counted() {
    let partial_success = Some(wire::PartialSuccess { rejected: 2, error_message: "too old".to_owned() });
    let answer = wire::Answer { partial_success }.encode_to_vec();
    let collector = Collector::start(vec![(200, answer)]).await;
    let otlp = otlp(&collector.endpoint, "metrics = false");
    let sending = otlp.start("host-1", figures());
    (0..5).for_each(|number| log(&otlp, &number.to_string()));
    sending.finish().await;
    // At the end all five are one request.
    assert_eq!(count(&otlp, OtlpSignal::Logs), (3, 2));
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_what_was_for_it_and_nothing_else() {
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address").port();
    let otlp = otlp(&format!("http://127.0.0.1:{port}"), "");
    let sending = otlp.start("host-1", figures());
    log(&otlp, "into the void");
    sending.finish().await;
    assert_eq!(count(&otlp, OtlpSignal::Logs), (0, 1));
    assert!(count(&otlp, OtlpSignal::Metrics).1 > 0);
}

#[tokio::test]
async fn without_an_endpoint_there_is_nothing() {
    let config = HostConfig::from_parts("", []).expect("it is valid");
    let otlp = OtlpHandle::new(&config.otlp).expect("nothing is needed for it");
    assert!(otlp.log_layer().is_none() && otlp.counts().is_empty() && !otlp.tracer().decides());
    otlp.start("host-1", figures()).finish().await;
}
