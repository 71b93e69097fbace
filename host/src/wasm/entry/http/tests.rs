//! Handlers written as text: what they are asked, and what becomes of each kind of answer.

use std::sync::Arc;
use std::time::Duration;

use millstream_flat::{Answer, Attributes, EmissionKey, RecordFields, Verdict, begin_batch, write_record};

use crate::model::function::ModuleShape;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::wasm::GuestInstance;
use crate::wasm::testing::handler::{HEADERS_AT, handler, headers};
use crate::wasm::testing::{SandboxBench, bench, engine, load};

const LIMIT: Duration = Duration::from_millis(300);
/// The attributes that make an answer an event.
const EVENT: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "Caf%C3%A9")];

fn request() -> Vec<u8> {
    let mut request = Vec::new();
    begin_batch(&mut request, 1, 0, "east");
    let attributes = Attributes { id: "bid 1", source: "/s", type_: "t", ..Attributes::default() };
    let fields = RecordFields {
        topic: "bids",
        offset: 42,
        data: Some(b"some data"),
        attributes: Some(attributes),
        ..RecordFields::default()
    };
    write_record(&mut request, &fields);
    request
}

/// A handler that answers with this status, these headers and this body.
fn answering(status: u16, fields: &[(&str, &str)], body: &str) -> Arc<[u8]> {
    let text: String = body.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let write = match body.len() {
        0 => String::new(),
        length => format!("(call $put (local.get $body) (i32.const 16384) (i32.const {length}))"),
    };
    handler(
        &format!(r#"{} (data (i32.const 16384) "{text}")"#, headers(fields)),
        &format!(
            "(local.set $body (call $answer (local.get $out) (i32.const {status}) (i32.const {HEADERS_AT})
                (i32.const {}))) {write} (call $end (local.get $body))",
            fields.len()
        ),
    )
}

async fn started(bench: &SandboxBench) -> GuestInstance {
    bench.sandbox.start().await.expect("started")
}

async fn call(module: Arc<[u8]>) -> (Result<Vec<u8>, GuestFault>, bool) {
    let engine = engine(1);
    let bench = bench(&engine, module).await;
    let mut instance = started(&bench).await;
    let answer = instance.call(&request(), 1, LIMIT).await;
    (answer, instance.is_healthy())
}

/// The one verdict of an answer, as text.
async fn told(module: Arc<[u8]>) -> String {
    let (answer, _) = call(module).await;
    let answer = answer.expect("answered");
    let answer = Answer::parse(&answer).expect("an answer");
    match answer.verdicts().next().expect("a verdict") {
        Verdict::Emitted(emissions) => format!("emitted {}", emissions.len()),
        Verdict::Retry { after_ms, reason } => format!("retry {after_ms:?} {reason}"),
        Verdict::Reject { reason } => format!("reject {reason}"),
    }
}

#[tokio::test]
async fn a_core_module_with_a_component_type_becomes_a_handler_that_stays_healthy() {
    let engine = engine(1);
    let fields = [&EVENT[..], &[("content-type", "text/plain"), ("ce-millstreamoutput", "alerts")]].concat();
    let module = answering(200, &fields, "hello");
    assert_eq!(load(&engine, Arc::clone(&module)).await.shape(), ModuleShape::WasiHttp);
    let bench = bench(&engine, module).await;
    let mut instance = started(&bench).await;
    for _ in 0..3 {
        let answer = instance.call(&request(), 1, LIMIT).await.expect("answered");
        let answer = Answer::parse(&answer).expect("an answer");
        let Some(Verdict::Emitted(emissions)) = answer.verdicts().next() else { panic!("{answer:?}") };
        let emission = emissions.iter().next().expect("one emission");
        assert_eq!((emission.output(), emission.key()), ("alerts", EmissionKey::Inherit));
        assert_eq!((emission.type_(), emission.datacontenttype()), (Some("Café"), Some("text/plain")));
        assert_eq!((emission.data(), emission.extensions().count()), (Some(&b"hello"[..]), 0));
        assert!(instance.is_healthy());
    }
}

#[tokio::test]
async fn the_request_has_the_events_attributes_and_data() {
    let body = |what: &str| {
        format!(
            "(local.set $body (call $answer (local.get $out) (i32.const 200) (i32.const {HEADERS_AT}) (i32.const 4)))
             {what} (call $end (local.get $body))"
        )
    };
    let items = headers(&EVENT);
    let header = body(
        "(call $get (call $headers (local.get $request)) (i32.const 512) (i32.const 5) (i32.const 16))
         (call $put (local.get $body) (i32.load (i32.load (i32.const 16)))
            (i32.load offset=4 (i32.load (i32.const 16))))",
    );
    let data = body(
        "(call $consume (local.get $request) (i32.const 16))
         (call $stream (i32.load (i32.const 20)) (i32.const 16))
         (call $read (i32.load (i32.const 20)) (i64.const 100) (i32.const 32))
         (call $put (local.get $body) (i32.load (i32.const 36)) (i32.load (i32.const 40)))",
    );
    for (what, expected) in [(header, &b"bid%201"[..]), (data, b"some data")] {
        let (answer, _) = call(handler(&format!(r#"{items} (data (i32.const 512) "ce-id")"#), &what)).await;
        let answer = answer.expect("answered");
        let answer = Answer::parse(&answer).expect("an answer");
        let Some(Verdict::Emitted(emissions)) = answer.verdicts().next() else { panic!("{answer:?}") };
        assert_eq!(emissions.iter().next().expect("one").data(), Some(expected));
    }
}

#[tokio::test]
async fn the_status_says_what_becomes_of_the_record() {
    assert_eq!(told(answering(204, &[], "")).await, "emitted 0");
    assert_eq!(told(answering(200, &[], "")).await, "emitted 0");
    assert_eq!(told(answering(202, &EVENT, "x")).await, "emitted 1");
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
    let structured = [("content-type", "application/cloudevents+json")];
    assert_eq!(told(answering(200, &structured, event)).await, "emitted 1");
    let batch = [("content-type", "application/cloudevents-batch+json")];
    assert_eq!(told(answering(200, &batch, &format!("[{event},{event}]"))).await, "emitted 2");

    let busy = "the handler answered 503 Service Unavailable: busy";
    assert_eq!(told(answering(503, &[("retry-after", "7")], "busy")).await, format!("retry Some(7000) {busy}"));
    assert!(told(answering(408, &[], "")).await.starts_with("retry None"));
    assert!(
        told(answering(429, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], ""))
            .await
            .starts_with("retry Some(0)")
    );
    assert_eq!(
        told(answering(422, &[], "no bid")).await,
        "reject the handler answered 422 Unprocessable Entity: no bid"
    );
}

#[tokio::test]
async fn what_is_no_answer_is_a_fault() {
    let begin = "(local.set $body (call $answer (local.get $out) (i32.const 200) (i32.const 0) (i32.const 0)))";
    let flood = format!(
        "{begin} (call $sink (local.get $body) (i32.const 0)) (local.set $body (i32.load (i32.const 4)))
         (loop (call $write (local.get $body) (i32.const 16384) (i32.const 4096) (i32.const 0)) (br 0))"
    );
    let cases = [
        (answering(200, &[("content-type", "text/html")], "<p>"), FaultClass::InvalidAnswer, "text/html"),
        (answering(301, &[], ""), FaultClass::InvalidAnswer, "301"),
        (handler("", ""), FaultClass::InvalidAnswer, "without a response"),
        (handler("", begin), FaultClass::InvalidAnswer, "without finishing"),
        (handler("", "(unreachable)"), FaultClass::Trap, "unreachable"),
        (handler("", &format!("{begin} (unreachable)")), FaultClass::Trap, "unreachable"),
        (handler("", "(loop (br 0))"), FaultClass::Timeout, "300ms"),
        (handler("", &flood), FaultClass::OutputLimit, "limits.output"),
        (
            handler("", "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)"),
            FaultClass::Memory,
            "limits.memory",
        ),
    ];
    for (module, class, words) in cases {
        let (answer, is_healthy) = call(module).await;
        let fault = answer.expect_err("a fault");
        assert!(fault.class == class && fault.message.contains(words), "{words}: {fault}");
        assert!(!is_healthy, "{words}");
    }
}

#[tokio::test]
async fn a_guest_that_goes_on_after_its_answer_is_not_called_again() {
    let module = handler(
        &headers(&EVENT),
        &format!(
            "(local.set $body (call $answer (local.get $out) (i32.const 200) (i32.const {HEADERS_AT}) (i32.const 4)))
             (call $end (local.get $body)) (loop (br 0))"
        ),
    );
    let (answer, is_healthy) = call(module).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert!(!is_healthy);
}
