//! Commands written as text: what they are given, what becomes of their exit and output, and that every limit holds.

use std::sync::Arc;
use std::time::Duration;

use millstream_flat::{Answer, RecordFields, Verdict, begin_batch, write_record};

use crate::model::function::ModuleShape;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::wasm::StartError;
use crate::wasm::log::Level;
use crate::wasm::testing::{SandboxBench, bench_with, engine, limits, load};

const LIMIT: Duration = Duration::from_millis(300);
/// An event without its braces' inside of `data`, as a string of the text format.
const EVENT: &str = r#"{\22specversion\22:\221.0\22,\22id\22:\221\22,\22source\22:\22/s\22,\22type\22:\22t\22"#;

/// A command whose `_start` has this body, beside these other items. `$read` puts stdin at 4096 and gives its length;
/// `$write` writes to a descriptor.
fn command(items: &str, body: &str) -> Arc<[u8]> {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
            (memory (export "memory") 2)
            (func $read (result i32) (local $length i32)
                (loop $more
                    (i32.store (i32.const 0) (i32.add (i32.const 4096) (local.get $length)))
                    (i32.store (i32.const 4) (i32.const 100))
                    (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
                    (local.set $length (i32.add (local.get $length) (i32.load (i32.const 8))))
                    (br_if $more (i32.load (i32.const 8))))
                (local.get $length))
            (func $write (param $fd i32) (param $at i32) (param $length i32)
                (i32.store (i32.const 0) (local.get $at))
                (i32.store (i32.const 4) (local.get $length))
                (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
            {items}
            (func (export "_start") {body}))"#
    );
    wat::parse_str(text).expect("valid text").into()
}

/// Text at 1024 and the body that writes it to stdout.
fn printing(text: &str, length: usize) -> Arc<[u8]> {
    let data = format!(r#"(data (i32.const 1024) "{text}")"#);
    command(&data, &format!("(call $write (i32.const 1) (i32.const 1024) (i32.const {length}))"))
}

/// The length of a text in the text format, whose escapes are all of two digits.
fn length(text: &str) -> usize {
    text.len() - 2 * text.matches('\\').count()
}

fn request() -> Vec<u8> {
    let mut request = Vec::new();
    begin_batch(&mut request, 1, 0, "east");
    let fields = RecordFields {
        topic: "bids",
        partition: 3,
        offset: 42,
        key: Some(b"lot"),
        data: Some(b"[1]"),
        ..RecordFields::default()
    };
    write_record(&mut request, &fields);
    request
}

async fn bench(module: Arc<[u8]>) -> SandboxBench {
    bench_with(&engine(2), module, limits(), &[("REGION", "eu")]).await
}

async fn run(bench: &SandboxBench) -> Result<Vec<u8>, GuestFault> {
    let mut instance = match bench.sandbox.start().await {
        Ok(instance) => instance,
        Err(StartError::Fault(fault)) => return Err(fault),
        Err(StartError::Exhausted) => panic!("no place"),
    };
    let answer = instance.call(&request(), 1, LIMIT).await;
    assert!(!instance.is_healthy(), "a command runs once");
    answer
}

/// The fault of a command, more often than there are places for instances.
async fn fault(module: Arc<[u8]>) -> GuestFault {
    let bench = bench(module).await;
    let mut last = None;
    for _ in 0..3 {
        last = Some(run(&bench).await.expect_err("a fault"));
    }
    last.expect("a fault")
}

#[tokio::test]
async fn an_event_comes_on_stdin_and_goes_on_stdout() {
    let echo = "(call $write (i32.const 1) (i32.const 4096) (call $read))";
    for body in [echo.to_owned(), format!("{echo} (call $exit (i32.const 0))")] {
        let module = command("", &body);
        assert_eq!(load(&engine(1), Arc::clone(&module)).await.shape(), ModuleShape::WasiCommand);
        let bench = bench(module).await;
        for _ in 0..3 {
            let answer = run(&bench).await.expect("answered");
            let answer = Answer::parse(&answer).expect("an answer");
            let Some(Verdict::Emitted(emissions)) = answer.verdicts().next() else { panic!("{answer:?}") };
            let emission = emissions.iter().next().expect("one emission");
            assert_eq!((emissions.len(), emission.output()), (1, "default"));
            assert_eq!((emission.id(), emission.source()), (Some("bids/3/42"), Some("kafka://east/bids")));
            assert_eq!((emission.data(), emission.datacontenttype()), (Some(&b"[1]"[..]), Some("application/json")));
            let place: Vec<_> = emission.extensions().collect();
            assert_eq!(place.len(), 4, "{place:?}");
        }
    }
}

#[tokio::test]
async fn every_line_is_an_event_that_may_name_its_output() {
    let named = format!(r"{EVENT},\22millstreamoutput\22:\22alerts\22,\22x\22:\221\22}}\0a{EVENT}}}\0a");
    let answer = run(&bench(printing(&named, length(&named))).await).await.expect("answered");
    let answer = Answer::parse(&answer).expect("an answer");
    let Some(Verdict::Emitted(emissions)) = answer.verdicts().next() else { panic!("{answer:?}") };
    let outputs: Vec<_> = emissions.iter().map(|emission| emission.output()).collect();
    assert_eq!(outputs, ["alerts", "default"]);
    let extensions: Vec<_> = emissions.iter().flat_map(|emission| emission.extensions()).collect();
    assert_eq!(extensions, [("x", "1")], "the name of the output is taken off");
}

#[tokio::test]
async fn no_line_emits_nothing() {
    let answer = run(&bench(command("", "(drop (call $read))")).await).await.expect("answered");
    let answer = Answer::parse(&answer).expect("an answer");
    assert!(
        matches!(answer.verdicts().next(), Some(Verdict::Emitted(emissions)) if emissions.is_empty()),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_line_that_is_no_event_is_a_fault_and_nothing_is_emitted() {
    for wrong in [format!(r"{EVENT}}}\0ahello\0a"), format!(r"\0a{EVENT}}}"), EVENT.to_owned(), "{}".to_owned()] {
        let fault = fault(printing(&wrong, length(&wrong))).await;
        assert_eq!(fault.class, FaultClass::InvalidAnswer, "{fault}");
        assert!(fault.message.contains("on stdout is not an event"), "{fault}");
    }
}

#[tokio::test]
async fn another_status_than_zero_asks_for_a_retry_and_tells_stderr() {
    let body = "(call $write (i32.const 2) (i32.const 1024) (i32.const 4)) (call $exit (i32.const 3))";
    let bench = bench(command(r#"(data (i32.const 1024) "alas")"#, body)).await;
    let answer = run(&bench).await.expect("answered");
    let answer = Answer::parse(&answer).expect("an answer");
    let Some(Verdict::Retry { after_ms: None, reason }) = answer.verdicts().next() else { panic!("{answer:?}") };
    assert!(reason.contains("status 3") && reason.contains("alas"), "{reason}");
    assert_eq!(bench.lines.all(), [(Level::Warn, "alas".to_owned())]);
}

#[tokio::test]
async fn every_limit_holds() {
    let wrong = [
        ("(unreachable)", FaultClass::Trap),
        ("(loop (br 0))", FaultClass::Timeout),
        ("(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)", FaultClass::Memory),
        // Whatever the command makes of it.
        (
            "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (call $exit (i32.const 1))",
            FaultClass::Memory,
        ),
        ("(loop (call $write (i32.const 1) (i32.const 4096) (i32.const 60000)) (br 0))", FaultClass::OutputLimit),
        // A clock, relative, for an hour.
        (
            "(i32.store (i32.const 48) (i32.const 1)) (i64.store (i32.const 56) (i64.const 3600000000000))
             (drop (call $poll (i32.const 32) (i32.const 512) (i32.const 1) (i32.const 8)))",
            FaultClass::Timeout,
        ),
    ];
    for (body, class) in wrong {
        let fault = fault(command("", body)).await;
        assert_eq!(fault.class, class, "{body}: {fault}");
    }
}

#[tokio::test]
async fn it_sees_its_environment_and_no_folder() {
    let body = "(drop (call $environ_get (i32.const 512) (i32.const 1024)))
        (call $write (i32.const 2) (i32.const 1024) (i32.const 9))
        (if (i32.eqz (call $prestat (i32.const 3) (i32.const 2048))) (then (unreachable)))";
    let bench = bench(command("", body)).await;
    run(&bench).await.expect("answered");
    assert_eq!(bench.lines.all(), [(Level::Warn, "REGION=eu".to_owned())]);
}

#[tokio::test]
async fn a_start_with_arguments_is_refused() {
    let module: Arc<[u8]> = wat::parse_str(r#"(module (func (export "_start") (param i32)))"#).expect("valid").into();
    let digest = crate::model::ids::ArtifactDigest::of(&module);
    let error = engine(1).load(module, digest).await.expect_err("refused");
    assert!(error.to_string().contains("_start with arguments"), "{error}");
    assert_eq!(error.code(), crate::error_code::ErrorCode::ModuleRefused);
}
