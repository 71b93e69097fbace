//! The API over a registry on a folder, without a network.

use parking_lot::Mutex;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tower::ServiceExt;

use crate::api::{Api, Limits, Parts, TopicWriter, serve};
use crate::config::host::AccessTokens;
use crate::inspect::replay::ReplayService;
use crate::inspect::shadow::{ShadowReports, ShadowStatuses};
use crate::invoke::admission::InstanceAdmission;
use crate::kafka::admin::metadata_probe::MetadataProbe;
use crate::kafka::admin::{KafkaAdmin, TopicCreation};
use crate::kafka::group::poller::PollerThreads;
use crate::kafka::produce::producer::ProducerSet;
use crate::kafka::produce::publisher::HostPublisher;
use crate::kafka::read::history::TopicHistory;
use crate::kafka::settings::ClientSettings;
use crate::model::function::SharedRevision;
use crate::model::ids::{FunctionName, RevisionNumber};
use crate::model::status::{FunctionCounters, FunctionObserver, FunctionState, FunctionStatus};
use crate::pipeline::background::BackgroundRuntime;
use crate::pipeline::build::KafkaContext;
use crate::pipeline::calls::{FunctionInvoker, InvokeCall, InvokeResult, NotCalled};
use crate::pipeline::supervisor::{self, ArtifactSource, HostServices};
use crate::redrive::DeadLetters;
use crate::registry::reserved_topics::ReservedTopics;
use crate::registry::tests::open;
use crate::telemetry::exposition::HostMetrics;
use crate::telemetry::guest_lines::GuestLines;
use crate::telemetry::usage::UsageRecorder;
use crate::wasm::{EngineOptions, WasmEngine};

mod calls;
mod guarded;
mod shadows;
mod usage;

const LIMIT: u64 = 1000;
const LISTEN: (std::net::Ipv4Addr, u16) = (std::net::Ipv4Addr::LOCALHOST, 8080);
const TOML: &str = "name = \"mill\"\ntopics = [\"in\"]\n";

/// Shows every function in this state, at this revision.
struct Fixed(Mutex<Option<(FunctionState, u64)>>, Mutex<Option<std::time::Duration>>);

impl FunctionObserver for Fixed {
    fn status<'a>(&'a self, name: &'a FunctionName) -> BoxFuture<'a, Option<FunctionStatus>> {
        let seen = *self.0.lock();
        let (name, partitions, counters) = (name.to_string(), Vec::new(), FunctionCounters::default());
        let status = seen.map(|(state, revision)| FunctionStatus {
            name,
            revision,
            state,
            reason: None,
            partitions,
            counters,
            shadow: None,
        });
        Box::pin(std::future::ready(status))
    }

    fn statuses(&self) -> BoxFuture<'_, Vec<FunctionStatus>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn state(&self, _: &FunctionName) -> Option<(RevisionNumber, FunctionState, Option<String>)> {
        let (state, revision) = (*self.0.lock())?;
        Some((RevisionNumber(revision), state, (state == FunctionState::Stalled).then(|| "topic in".to_owned())))
    }

    fn kafka_is_silent_for(&self) -> Option<std::time::Duration> {
        *self.1.lock()
    }
}

/// Answers calls as `calls` says, and has no Kafka.
#[derive(Default)]
struct Guests {
    calls: Mutex<Vec<InvokeCall>>,
    lines: Arc<GuestLines>,
}

impl FunctionInvoker for Guests {
    fn call<'a>(&'a self, name: &'a FunctionName, call: InvokeCall) -> BoxFuture<'a, Result<InvokeResult, NotCalled>> {
        self.calls.lock().push(call.clone());
        Box::pin(std::future::ready(calls::called(name, &call)))
    }

    fn lines(&self, _: &FunctionName) -> Option<Arc<GuestLines>> {
        Some(Arc::clone(&self.lines))
    }
}

/// What functions would run on, if there were any.
fn ground(kafka: ClientSettings, admin: KafkaAdmin) -> (HostServices, supervisor::FunctionDirectory) {
    static ENGINE: std::sync::LazyLock<WasmEngine> = std::sync::LazyLock::new(|| {
        WasmEngine::new(EngineOptions { max_instances: 1, ..EngineOptions::default() }).unwrap()
    });
    struct NoModules;
    impl ArtifactSource for NoModules {
        fn module(&self, _: SharedRevision) -> BoxFuture<'_, Result<Arc<[u8]>, String>> {
            Box::pin(std::future::ready(Err("there is none".to_owned())))
        }
    }
    let survey = MetadataProbe::new(&kafka).unwrap();
    let environment = KafkaContext {
        tracer: Default::default(),
        producers: ProducerSet::new(kafka.clone()),
        survey: survey.clone(),
        kafka,
        admin,
        pollers: Arc::new(PollerThreads::start(1).unwrap()),
        cluster: "test".into(),
        host_id: "test".into(),
    };
    let ground = HostServices {
        environment,
        engine: ENGINE.clone(),
        admission: Arc::new(InstanceAdmission::new(1)),
        artifacts: Arc::new(NoModules),
        aside: BackgroundRuntime::start().unwrap(),
        metrics: HostMetrics::default(),
    };
    (ground, supervisor::FunctionDirectory::new(survey))
}

struct Host {
    api: Api,
    observed: Arc<Fixed>,
    guests: Arc<Guests>,
    _folder: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        Self::with_tokens(AccessTokens::default())
    }

    fn with_tokens(tokens: AccessTokens) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (registry, _) = open(folder.path());
        let observed = Arc::new(Fixed(Mutex::new(None), Mutex::new(None)));
        let guests = Arc::new(Guests::default());
        // No one is there.
        let kafka =
            ClientSettings { bootstrap_servers: "127.0.0.1:1".to_owned(), options: [].into(), is_embedded: false };
        let admin = KafkaAdmin::new(kafka.clone(), TopicCreation::Broker).unwrap();
        let publisher = HostPublisher::new(kafka.clone());
        let (ground, functions) = ground(kafka.clone(), admin.clone());
        let metrics = HostMetrics::default();
        let api = Api::new(Parts {
            registry,
            observe: Arc::clone(&observed) as Arc<dyn FunctionObserver>,
            direct: Arc::clone(&guests) as Arc<dyn FunctionInvoker>,
            topics: TopicWriter::new(admin.clone(), publisher.clone(), ReservedTopics::new("millstream.")),
            letters: DeadLetters::new(ground.clone(), functions, "millstream.", -1),
            shadows: ShadowReports::new(admin, ShadowStatuses::default()),
            replays: ReplayService::new(ground, publisher),
            history: TopicHistory::new(kafka),
            usage: UsageRecorder::open(folder.path(), metrics.clone()).unwrap(),
            metrics,
            limits: Limits { upload: LIMIT, request: LIMIT },
            uploads_folder: folder.path().to_owned(),
            tokens,
        });
        Self { api, observed, guests, _folder: folder }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.api.clone().router(LISTEN.into()).oneshot(request).await.unwrap()).await
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
    }

    async fn put(&self, path: &str, parts: &[(&str, &str, &[u8])]) -> Answer {
        self.send(upload(path).body(Body::from(form(parts))).unwrap()).await
    }

    async fn deploy(&self, manifest: &str, module: &[u8]) -> Answer {
        self.put("/v1/functions/mill", &good(manifest, module)).await
    }
}

struct Answer {
    status: StatusCode,
    response: axum::http::response::Parts,
    body: Value,
    text: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        Self { status: parts.status, response: parts, body: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    fn header(&self, name: &str) -> &str {
        self.response.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn is_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(self.body["title"].is_string() && self.body["type"].as_str().unwrap().ends_with(&format!("{code}.md")));
    }
}

fn good<'a>(manifest: &'a str, module: &'a [u8]) -> [(&'a str, &'a str, &'a [u8]); 2] {
    [("manifest", "application/toml", manifest.as_bytes()), ("module", "application/wasm", module)]
}

fn upload(path: &str) -> axum::http::request::Builder {
    Request::builder().method("PUT").uri(path).header("content-type", "multipart/form-data; boundary=edge")
}

fn form(parts: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content_type, bytes) in parts {
        body.extend_from_slice(
            format!(
                "--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\ncontent-type: {content_type}\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    body
}

#[tokio::test]
async fn a_function_is_deployed_shown_and_deleted() {
    let host = Host::new();
    let first = host.deploy(TOML, b"one").await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    assert_eq!(first.header("etag"), "\"1\"");
    assert_eq!(first.body["name"], "mill");
    assert_eq!(first.body["revision"], 1);
    assert_eq!(first.body["shape"], "millstream-batch");
    assert_eq!(first.body["state"], "starting");
    assert!(first.body["digest"].as_str().unwrap().starts_with("sha256:"));

    let json = r#"{"name": "mill", "topics": ["in"], "concurrency": 2}"#;
    let parts = [("module", "application/wasm", &b"one"[..]), ("manifest", "application/json", json.as_bytes())];
    let second = host.put("/v1/functions/mill", &parts).await;
    assert_eq!((second.status, second.body["revision"].as_u64()), (StatusCode::OK, Some(2)), "{}", second.text);

    let list = host.ask("GET", "/v1/functions").await;
    let listed = &list.body["functions"][0];
    assert_eq!((listed["name"].as_str(), listed["topics"][0].as_str()), (Some("mill"), Some("in")));
    assert!(listed["deployed_at"].as_str().unwrap().ends_with('Z'));
    let one = host.ask("GET", "/v1/functions/mill").await;
    assert_eq!(one.header("etag"), "\"2\"");
    assert_eq!(one.body["manifest"]["concurrency"], 2);
    let status = host.ask("GET", "/v1/functions/mill/status").await;
    assert_eq!((status.body["state"].as_str(), status.body["revision"].as_u64()), (Some("starting"), Some(2)));

    let deleted = host.ask("DELETE", "/v1/functions/mill").await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::NO_CONTENT, ""));
    host.ask("GET", "/v1/functions/mill").await.is_problem(404, "MS0201");
    host.ask("GET", "/v1/functions/mill/status").await.is_problem(404, "MS0201");
    host.ask("DELETE", "/v1/functions/mill").await.is_problem(404, "MS0201");
}

#[tokio::test]
async fn uploads_that_are_wrong_say_what_is() {
    let host = Host::new();
    let path = "/v1/functions/mill";
    let [manifest, module] = good(TOML, b"one");
    host.put(path, &[manifest]).await.is_problem(400, "MS0103");
    host.put(path, &[module]).await.is_problem(400, "MS0103");
    host.put(path, &[manifest, module, module]).await.is_problem(400, "MS0103");
    host.put(path, &[manifest, module, ("more", "text/plain", b"")]).await.is_problem(400, "MS0103");
    host.put(path, &[manifest, ("module", "text/plain", b"one")]).await.is_problem(415, "MS0109");
    host.put(path, &[("manifest", "text/html", b""), module]).await.is_problem(415, "MS0109");
    host.put("/v1/functions/other", &[manifest, module]).await.is_problem(400, "MS0102");
    host.put("/v1/functions/Wrong", &[manifest, module]).await.is_problem(400, "MS0204");
    host.put("/v1/functions/mill?wait=long", &[manifest, module]).await.is_problem(400, "MS0204");
    host.deploy("name = \"mill\"\nconcurrency = 0", b"one").await.is_problem(400, "MS0101");
    host.deploy(TOML, b"bad").await.is_problem(400, "MS0104");
    host.ask("PUT", path).await.is_problem(415, "MS0109");
    let cut = Body::from(form(&[manifest, module])[..100].to_vec());
    host.send(upload(path).body(cut).unwrap()).await.is_problem(400, "MS0103");
    assert_eq!(host.ask("GET", "/v1/functions").await.body["functions"].as_array().unwrap().len(), 0);
}

/// Whatever comes as an upload, the host says what is wrong with it, and it is never the host.
#[test]
fn fuzzed_uploads_are_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let host = runtime.block_on(async { Host::new() });
    let (one, other) = (good(TOML, b"one"), [good(TOML, b"bad")[1], good("name = \"mill\"\ntopics = 1", b"")[0]]);
    let forms = [form(&one), form(&other), form(&[one[0], one[0], one[1]])];
    let forms: Vec<&[u8]> = forms.iter().map(Vec::as_slice).collect();
    crate::fuzzing::fuzz(&forms, |bytes| {
        let request = upload("/v1/functions/mill").body(Body::from(bytes.to_vec())).unwrap();
        let answer = runtime.block_on(host.send(request));
        match answer.status.as_u16() {
            200 | 201 => {}
            status => {
                proptest::prop_assert!((400..500).contains(&status), "{}", answer.text);
                proptest::prop_assert!(answer.body["code"].is_string(), "{}", answer.text);
            }
        }
        Ok(())
    });
}

#[tokio::test]
async fn modules_up_to_the_limit_are_taken() {
    let host = Host::new();
    assert_eq!(host.deploy(TOML, &[b'x'; LIMIT as usize]).await.status, StatusCode::CREATED);
    host.deploy(TOML, &[b'x'; LIMIT as usize + 1]).await.is_problem(413, "MS0107");
    // Beyond the limit of the whole body.
    host.deploy(TOML, &vec![b'x'; 2 << 20]).await.is_problem(413, "MS0107");
    host.deploy(&format!("{TOML}# {}", "x".repeat(300_000)), b"one").await.is_problem(413, "MS0107");
}

#[tokio::test]
async fn changes_of_something_old_are_refused() {
    let host = Host::new();
    host.deploy(TOML, b"one").await;
    let changed = |tag: &'static str, module: &'static [u8]| {
        let parts = good(TOML, module);
        upload("/v1/functions/mill").header("if-match", tag).body(Body::from(form(&parts))).unwrap()
    };
    assert_eq!(host.send(changed("\"1\"", b"two")).await.status, StatusCode::OK);
    host.send(changed("\"1\"", b"three")).await.is_problem(412, "MS0205");
    host.send(changed("nonsense", b"three")).await.is_problem(400, "MS0204");
    let delete = Request::builder().method("DELETE").uri("/v1/functions/mill").header("if-match", "\"1\"");
    host.send(delete.body(Body::empty()).unwrap()).await.is_problem(412, "MS0205");
    assert_eq!(host.ask("GET", "/v1/functions/mill").await.body["revision"], 2);
}

#[tokio::test]
async fn waiting_ends_when_this_very_revision_runs_and_is_no_error_when_it_does_not() {
    let host = Host::new();
    *host.observed.0.lock() = Some((FunctionState::Running, 1));
    let parts = good(TOML, b"one");
    let running = host.put("/v1/functions/mill?wait=60s", &parts).await;
    assert_eq!((running.status, running.body["state"].as_str()), (StatusCode::CREATED, Some("running")));

    let other = good(TOML, b"two");
    let starting = host.put("/v1/functions/mill?wait=60ms", &other).await;
    assert_eq!((starting.status, starting.body["state"].as_str()), (StatusCode::OK, Some("starting")));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let host = Host::new();
    host.ask("GET", "/v2").await.is_problem(404, "MS0202");
    let wrong = host.ask("POST", "/v1/functions").await;
    wrong.is_problem(405, "MS0203");
    assert!(wrong.header("allow").contains("GET"), "{:?}", wrong.response.headers);
    host.ask("GET", "/v1/functions/A_b").await.is_problem(400, "MS0204");
}

#[tokio::test]
async fn operators_are_answered() {
    let host = Host::new();
    host.deploy(TOML, b"one").await;
    host.api.metrics.function(&FunctionName::new("mill").unwrap()).received.inc();
    assert_eq!(host.ask("GET", "/healthz").await.status, StatusCode::OK);
    assert_eq!(host.ask("GET", "/readyz").await.status, StatusCode::OK);
    let metrics = host.ask("GET", "/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    assert!(metrics.text.contains("millstream_records_received_total{function=\"mill\"} 1\n"), "{}", metrics.text);
}

#[tokio::test]
async fn a_stalled_function_is_named_and_fails_only_who_asks_strictly() {
    let host = Host::new();
    host.deploy(TOML, b"one").await;
    assert_eq!(host.ask("GET", "/readyz?strict=true").await.status, StatusCode::OK);
    *host.observed.0.lock() = Some((FunctionState::Stalled, 1));
    let answer = host.ask("GET", "/readyz").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["stalled"], serde_json::json!([{ "function": "mill", "reason": "topic in" }]));
    let strict = host.ask("GET", "/readyz?strict=true").await;
    strict.is_problem(503, "MS0302");
    assert!(strict.text.contains("mill is stalled: topic in"), "{}", strict.text);
    host.ask("GET", "/readyz?strict=perhaps").await.is_problem(400, "MS0204");
}

#[tokio::test]
async fn a_host_whose_kafka_is_away_is_not_ready_and_lives() {
    let host = Host::new();
    let silent = |seconds| *host.observed.1.lock() = Some(std::time::Duration::from_secs(seconds));
    silent(5);
    assert_eq!(host.ask("GET", "/readyz").await.status, StatusCode::OK, "a broker restarts");
    silent(12);
    let away = host.ask("GET", "/readyz").await;
    away.is_problem(503, "MS0301");
    assert!(away.text.contains("for 12 s"), "{}", away.text);
    assert_eq!(host.ask("GET", "/healthz").await.status, StatusCode::OK);
    assert_eq!(host.ask("GET", "/v1/functions").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_host_that_has_not_read_its_registry_says_so() {
    let host = Host::new();
    let (_unread, registry) = crate::registry::tests::unread(host._folder.path());
    let api = Api { registry, ..host.api.clone() };
    let host = Host { api, ..host };
    assert_eq!(host.ask("GET", "/healthz").await.status, StatusCode::OK);
    for (method, path) in [("GET", "/readyz"), ("GET", "/v1/functions"), ("DELETE", "/v1/functions/mill")] {
        let answer = host.ask(method, path).await;
        answer.is_problem(503, "MS0302");
        assert_eq!(answer.header("retry-after"), "2");
    }
    host.deploy(TOML, b"one").await.is_problem(503, "MS0302");
}

#[tokio::test]
async fn the_server_stops_when_told_and_ends_what_it_has_begun() {
    let host = Host::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, host.api.clone(), None, async {
        let _ = stopped.await;
    }));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let slow = client.put(format!("http://{address}/v1/functions/mill?wait=300ms"));
    let body = form(&good(TOML, b"one"));
    let slow = slow.header("content-type", "multipart/form-data; boundary=edge").body(body).send();
    let slow = tokio::spawn(slow);
    while host.api.registry.list().is_empty() {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    assert_eq!(slow.await.unwrap().unwrap().status().as_u16(), 201);
    server.await.unwrap().unwrap();
    assert!(client.get(format!("http://{address}/healthz")).send().await.is_err());
}

/// A page whose name was made to resolve to this machine, and a page that sends what it may not read the answer of.
#[tokio::test]
async fn pages_of_elsewhere_are_refused() {
    let host = Host::new();
    for path in ["/v1/functions", "/healthz", "/nowhere"] {
        let rebound = Request::builder().uri(path).header("host", "evil.example:8080").body(Body::empty()).unwrap();
        host.send(rebound).await.is_problem(403, "MS0207");
    }
    let form = form(&good(TOML, b"module"));
    let foreign = upload("/v1/functions/mill").header("host", "localhost:8080").header("origin", "http://evil.example");
    host.send(foreign.body(Body::from(form.clone())).unwrap()).await.is_problem(403, "MS0207");
    let own = upload("/v1/functions/mill").header("host", "localhost:8080").header("origin", "http://localhost:8080");
    assert_eq!(host.send(own.body(Body::from(form)).unwrap()).await.status, StatusCode::CREATED);
}
