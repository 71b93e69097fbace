//! Guests for tests, written as text: a component around a core module, with the WASI imports that misbehaving needs.

pub(crate) mod handler;

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::function::{
    DeliveryPolicy, FunctionLimits, GroupMembership, InitialOffset, InstancePolicy, LogLimits, Manifest, ModuleShape,
    Ordering, ProcessingGuarantee, RetryPolicy, Revision, TopicSelection,
};
use crate::model::ids::{ArtifactDigest, FunctionName, RevisionNumber};
use crate::telemetry::function_metrics::FunctionMetrics;
use crate::wasm::log::{GuestLogSink, Level, LogSink};
use crate::wasm::{EngineOptions, LoadedProgram, Sandbox, WasmEngine};

/// The imports of every guest.
const IMPORTS: &str = r#"
    (import "wasi:io/poll@0.2.3" (instance $poll
        (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
        (alias outer 1 $pollable (type $p0)) (export "pollable" (type $p (eq $p0)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
    (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
    (alias export $error "error" (type $io-error))
    (import "wasi:io/streams@0.2.0" (instance $streams
        (export "output-stream" (type $os (sub resource)))
        (alias outer 1 $io-error (type $e0)) (export "error" (type $e (eq $e0)))
        (type $se0 (variant (case "last-operation-failed" (own $e)) (case "closed")))
        (export "stream-error" (type $se (eq $se0)))
        (export "[method]output-stream.blocking-write-and-flush"
            (func (param "self" (borrow $os)) (param "contents" (list u8)) (result (result (error $se)))))))
    (alias export $streams "output-stream" (type $stream))
    (import "wasi:cli/stderr@0.2.12" (instance $stderr
        (alias outer 1 $stream (type $s0)) (export "output-stream" (type $s (eq $s0)))
        (export "get-stderr" (func (result (own $s))))))
    (import "wasi:cli/environment@0.2.0" (instance $environment
        (export "get-environment" (func (result (list (tuple string string)))))))
    (import "wasi:filesystem/types@0.2.0" (instance $files (export "descriptor" (type (sub resource)))))
    (alias export $files "descriptor" (type $descriptor))
    (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
        (alias outer 1 $descriptor (type $d0)) (export "descriptor" (type $d (eq $d0)))
        (export "get-directories" (func (result (list (tuple (own $d) string)))))))
    (import "wasi:sockets/network@0.2.0" (instance $network
        (type $code0 (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
            "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
            "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused" "connection-reset"
            "connection-aborted" "datagram-too-large" "name-unresolvable" "temporary-resolver-failure"
            "permanent-resolver-failure"))
        (export "error-code" (type (eq $code0)))
        (type $family0 (enum "ipv4" "ipv6"))
        (export "ip-address-family" (type (eq $family0)))
        (export "network" (type (sub resource)))))
    (alias export $network "error-code" (type $code))
    (alias export $network "ip-address-family" (type $family))
    (alias export $network "network" (type $net))
    (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type (sub resource)))))
    (alias export $tcp "tcp-socket" (type $tcp-socket))
    (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $tcp-create
        (alias outer 1 $code (type $c0)) (export "error-code" (type $c (eq $c0)))
        (alias outer 1 $family (type $f0)) (export "ip-address-family" (type $f (eq $f0)))
        (alias outer 1 $tcp-socket (type $t0)) (export "tcp-socket" (type $t (eq $t0)))
        (export "create-tcp-socket" (func (param "address-family" $f) (result (result (own $t) (error $c)))))))
    (import "wasi:sockets/instance-network@0.2.0" (instance $instance-network
        (alias outer 1 $net (type $n0)) (export "network" (type $n (eq $n0)))
        (export "instance-network" (func (result (own $n))))))
    (import "wasi:sockets/ip-name-lookup@0.2.0" (instance $lookup
        (alias outer 1 $code (type $c0)) (export "error-code" (type $c (eq $c0)))
        (alias outer 1 $net (type $n0)) (export "network" (type $n (eq $n0)))
        (export "resolve-address-stream" (type $r (sub resource)))
        (export "resolve-addresses"
            (func (param "network" (borrow $n)) (param "name" string) (result (result (own $r) (error $c)))))))
    (core module $memory-module
        (memory (export "memory") 2)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
    (core instance $shared (instantiate $memory-module))
    (alias core export $shared "memory" (core memory $memory))
    (alias core export $shared "realloc" (core func $realloc))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core func $subscribe (canon lower (func $clock "subscribe-duration")))
    (core func $get-stderr (canon lower (func $stderr "get-stderr")))
    (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory)
        (realloc $realloc)))
    (core func $get-environment (canon lower (func $environment "get-environment") (memory $memory)
        (realloc $realloc)))
    (core func $get-directories (canon lower (func $preopens "get-directories") (memory $memory)
        (realloc $realloc)))
    (core func $create-tcp (canon lower (func $tcp-create "create-tcp-socket") (memory $memory)))
    (core func $get-network (canon lower (func $instance-network "instance-network")))
    (core func $resolve (canon lower (func $lookup "resolve-addresses") (memory $memory)))
    (core instance $host
        (export "memory" (memory $memory))
        (export "block" (func $block)) (export "subscribe" (func $subscribe))
        (export "get-stderr" (func $get-stderr)) (export "write" (func $write))
        (export "get-environment" (func $get-environment)) (export "get-directories" (func $get-directories))
        (export "create-tcp" (func $create-tcp)) (export "get-network" (func $get-network))
        (export "resolve" (func $resolve)))
"#;

/// The core imports that go with them.
const CORE_IMPORTS: &str = r#"
    (import "host" "memory" (memory 2))
    (import "host" "block" (func $block (param i32)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "get-stderr" (func $get-stderr (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "host" "get-environment" (func $get-environment (param i32)))
    (import "host" "get-directories" (func $get-directories (param i32)))
    (import "host" "create-tcp" (func $create-tcp (param i32 i32)))
    (import "host" "get-network" (func $get-network (result i32)))
    (import "host" "resolve" (func $resolve (param i32 i32 i32 i32)))
    (func $answer (param $ptr i32) (param $len i32) (result i32)
        (i32.store (i32.const 16) (local.get $ptr))
        (i32.store (i32.const 20) (local.get $len))
        (i32.const 16))
"#;

/// The body of a guest that answers with its request.
pub(crate) const ECHO: &str = "(call $answer (local.get $ptr) (local.get $len))";

/// A guest whose entry has this body, beside these other items of its module.
///
/// The request is at `$ptr` (4096), 16 to 24 holds the answer's place, and all beyond it is free.
pub(crate) fn guest(items: &str, body: &str) -> Arc<[u8]> {
    let text = format!(
        r#"(component {IMPORTS}
            (core module $m {CORE_IMPORTS} {items}
                (func $handle (export "handle") (param $ptr i32) (param $len i32) (result i32) {body}))
            (core instance $i (instantiate $m (with "host" (instance $host))))
            (func $lifted (param "input" (list u8)) (result (list u8))
                (canon lift (core func $i "handle") (memory $memory) (realloc $realloc)))
            (instance $e (export "handle" (func $lifted)))
            (export "millstream:function/batch@0.1.0" (instance $e)))"#
    );
    wat::parse_str(text).expect("valid text").into()
}

/// An engine for a test.
pub(crate) fn engine(max_instances: u32) -> WasmEngine {
    WasmEngine::new(EngineOptions { max_instances, ..EngineOptions::default() }).expect("an engine")
}

pub(crate) async fn load(engine: &WasmEngine, module: Arc<[u8]>) -> LoadedProgram {
    let digest = ArtifactDigest::of(&module);
    engine.load(module, digest).await.expect("a program")
}

/// The limits of a test, small enough to be reached soon.
pub(crate) fn limits() -> FunctionLimits {
    FunctionLimits {
        memory: 8 << 20,
        timeout: Duration::from_millis(300),
        output: 64 << 10,
        logs: 4096,
        table_elements: 1000,
    }
}

/// A revision with these limits.
pub(crate) fn revision(limits: FunctionLimits, env: &[(&str, &str)]) -> Arc<Revision> {
    let manifest = Manifest {
        name: FunctionName::new("test").expect("a name"),
        topics: TopicSelection::Named(Vec::new()),
        initial_offset: InitialOffset::Latest,
        ordering: Ordering::Partition,
        concurrency: 1,
        shards: 1,
        processing_guarantee: ProcessingGuarantee::AtLeastOnce,
        dead_letter_topic: "test.dead".to_owned(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        outputs: BTreeMap::new(),
        filters: Vec::new(),
        limits,
        logs: LogLimits::default(),
        instances: instances(),
        retry: RetryPolicy { max_attempts: 1, backoff: Duration::ZERO, backoff_max: Duration::ZERO },
        delivery: DeliveryPolicy {
            batch_size: 1,
            batch_window: Duration::ZERO,
            commit_interval: Duration::ZERO,
            drain_timeout: Duration::ZERO,
            in_flight: 1,
            pending: 1,
            membership: GroupMembership::Dynamic,
        },
        schedule: None,
        kafka: BTreeMap::new(),
    };
    Arc::new(Revision {
        number: RevisionNumber(1),
        digest: ArtifactDigest::of(b""),
        module_bytes: 0,
        shape: ModuleShape::MillstreamBatch,
        manifest,
        deployed_at_ms: 0,
    })
}

/// Shared instances that are kept for a minute.
pub(crate) fn instances() -> InstancePolicy {
    InstancePolicy { isolation: None, keep_warm: Duration::from_secs(60), min: 0, emulate: None }
}

/// The lines that guests wrote.
#[derive(Default)]
pub(crate) struct KeptLines(Mutex<Vec<(Level, String)>>);

impl KeptLines {
    pub(crate) fn all(&self) -> Vec<(Level, String)> {
        self.0.lock().clone()
    }
}

impl GuestLogSink for KeptLines {
    fn line(&self, level: Level, line: &str) {
        self.0.lock().push((level, line.to_owned()));
    }
}

/// A sandbox of a guest, and what it reports to.
pub(crate) struct SandboxBench {
    pub(crate) sandbox: Sandbox,
    pub(crate) metrics: Arc<FunctionMetrics>,
    pub(crate) lines: Arc<KeptLines>,
}

/// Makes a sandbox with these limits.
pub(crate) async fn bench_with(
    engine: &WasmEngine,
    module: Arc<[u8]>,
    limits: FunctionLimits,
    env: &[(&str, &str)],
) -> SandboxBench {
    let metrics = Arc::new(FunctionMetrics::default());
    let lines = Arc::new(KeptLines::default());
    let sink: LogSink = Arc::<KeptLines>::clone(&lines);
    let sandbox = load(engine, module).await.sandbox(&revision(limits, env), Arc::clone(&metrics), sink);
    SandboxBench { sandbox, metrics, lines }
}

/// Makes a sandbox with the limits of a test.
pub(crate) async fn bench(engine: &WasmEngine, module: Arc<[u8]>) -> SandboxBench {
    bench_with(engine, module, limits(), &[]).await
}

/// A guest of the typed shape. The first attempt emits the event's id, key and data; the second is rejected with the id
/// as the reason; the third wants another one after 7 ms because of the topic; the fourth traps.
pub(crate) fn typed_guest() -> Arc<[u8]> {
    wat::parse_str(TYPED).expect("valid text").into()
}

const TYPED: &str = r#"(component
    (import "millstream:function/types@0.1.0" (instance $types
        (type $header0 (record (field "name" string) (field "value" (option (list u8)))))
        (export "header" (type $header (eq $header0)))
        (type $context0 (record (field "topic" string) (field "partition" s32) (field "offset" s64)
            (field "key" (option (list u8))) (field "headers" (list $header)) (field "timestamp" (option s64))
            (field "attempt" u32) (field "deadline" u64)))
        (export "context" (type $context (eq $context0)))
        (type $event0 (record (field "id" string) (field "source" string) (field "type" string)
            (field "subject" (option string)) (field "time" (option string)) (field "datacontenttype" (option string))
            (field "dataschema" (option string)) (field "extensions" (list (tuple string string)))
            (field "data" (option (list u8))) (field "context" $context)))
        (export "event" (type (eq $event0)))
        (type $key0 (variant (case "inherit") (case "none") (case "bytes" (list u8))))
        (export "emission-key" (type $key (eq $key0)))
        (type $emission0 (record (field "output" (option string)) (field "key" $key) (field "id" (option string))
            (field "source" (option string)) (field "type" (option string)) (field "subject" (option string))
            (field "time" (option string)) (field "datacontenttype" (option string))
            (field "dataschema" (option string)) (field "extensions" (list (tuple string string)))
            (field "headers" (list $header)) (field "data" (option (list u8)))))
        (export "emission" (type (eq $emission0)))
        (type $retry0 (record (field "after" (option u64)) (field "reason" string)))
        (export "retry" (type $retry (eq $retry0)))
        (type $failure0 (variant (case "retry" $retry) (case "reject" string)))
        (export "failure" (type (eq $failure0)))))
    (alias export $types "event" (type $event))
    (alias export $types "emission" (type $emission))
    (alias export $types "failure" (type $failure))
    (core module $m
        (memory (export "memory") 2)
        (global $next (mut i32) (i32.const 4096))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (global.get $next)
            (global.set $next (i32.and (i32.add (i32.add (global.get $next) (local.get 3)) (i32.const 15)) (i32.const -16))))
        (func $copy (param $to i32) (param $from i32) (i64.store (local.get $to) (i64.load (local.get $from))))
        (func (export "handle") (param $event i32) (result i32) (local $attempt i32)
            (global.set $next (i32.const 4096))
            (memory.fill (i32.const 64) (i32.const 0) (i32.const 512))
            (local.set $attempt (i32.load (i32.add (local.get $event) (i32.const 160))))
            (if (i32.eq (local.get $attempt) (i32.const 1)) (then
                ;; ok of one emission at 256: key and data are those of the event, so is the id
                (i32.store (i32.const 72) (i32.const 256)) (i32.store (i32.const 76) (i32.const 1))
                (i32.store8 (i32.const 268) (i32.const 2))
                (call $copy (i32.const 272) (i32.add (local.get $event) (i32.const 124)))
                (i32.store8 (i32.const 280) (i32.const 1)) (call $copy (i32.const 284) (local.get $event))
                (i32.store8 (i32.const 380) (i32.load8_u (i32.add (local.get $event) (i32.const 80))))
                (call $copy (i32.const 384) (i32.add (local.get $event) (i32.const 84)))))
            (if (i32.eq (local.get $attempt) (i32.const 2)) (then
                (i32.store8 (i32.const 64) (i32.const 1)) (i32.store8 (i32.const 72) (i32.const 1))
                (call $copy (i32.const 80) (local.get $event))))
            (if (i32.eq (local.get $attempt) (i32.const 3)) (then
                (i32.store8 (i32.const 64) (i32.const 1))
                (i32.store8 (i32.const 80) (i32.const 1)) (i64.store (i32.const 88) (i64.const 7))
                (call $copy (i32.const 96) (i32.add (local.get $event) (i32.const 96)))))
            (if (i32.eq (local.get $attempt) (i32.const 4)) (then (unreachable)))
            (i32.const 64)))
    (core instance $i (instantiate $m))
    (func $lifted (param "event" $event) (result (result (list $emission) (error $failure)))
        (canon lift (core func $i "handle") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
    (instance $e (export "handle" (func $lifted)))
    (export "millstream:function/handler@0.1.0" (instance $e)))"#;
