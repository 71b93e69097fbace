use std::sync::Arc;
use std::time::Duration;

use millstream_flat::{AnswerWriter, EmissionFields};

use crate::config::manifest;
use crate::consume::decode::RawFields;
use crate::dispatch::pace::RecordPace;
use crate::emit::encoder::EmissionEncoder;
use crate::execute::completion::{RecordOutcome, run_in_lanes, run_in_order};
use crate::execute::revisions::CallableRevision;
use crate::execute::work::{PendingWork, WorkOrigin};
use crate::invoke::admission::InstanceAdmission;
use crate::invoke::call::Invoker;
use crate::invoke::pool::InstancePool;
use crate::model::batch_bytes::BatchLimits;
use crate::model::function::{ModuleShape, Revision};
use crate::model::ids::{ArtifactDigest, RevisionNumber};
use crate::model::outcome::FaultClass;
use crate::model::parcel::MessageKind;
use crate::telemetry::otlp::FunctionTracer;
use crate::wasm::testing::{bench, engine, guest};

const SOON: Duration = Duration::from_secs(30);

/// A guest that counts its calls in `$count` and answers with the result of `choice`, which is one of `$emit` (an event
/// with the count), `$retry` and `$reject`.
fn counting_guest(choice: &str) -> Arc<[u8]> {
    let written = |write: &dyn Fn(&mut AnswerWriter)| {
        let mut answer = AnswerWriter::new();
        write(&mut answer);
        answer.finish()
    };
    let emitted = written(&|answer| {
        answer.begin_emitted();
        answer.emission(&EmissionFields { data: Some(b"~"), ..EmissionFields::default() });
        answer.end_emitted();
    });
    let mark = 1024 + emitted.iter().position(|byte| *byte == b'~').expect("the data is in it");
    let answers = [
        ("emit", 1024, emitted),
        ("retry", 2048, written(&|answer| answer.retry(None, "later"))),
        ("reject", 3072, written(&|answer| answer.reject("never"))),
    ];
    let mut items = "(global $count (mut i32) (i32.const 0))".to_owned();
    for (name, at, bytes) in &answers {
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let length = bytes.len();
        items += &format!(
            "(data (i32.const {at}) \"{escaped}\")
             (func ${name} (result i32) (call $answer (i32.const {at}) (i32.const {length})))"
        );
    }
    let body = format!(
        "(global.set $count (i32.add (global.get $count) (i32.const 1)))
         (i32.store8 (i32.const {mark}) (i32.add (i32.const 48) (global.get $count)))
         {choice}"
    );
    guest(&items, &body)
}

const FIRST_IS_RETRIED: &str = "(if (result i32) (i32.eq (global.get $count) (i32.const 1))
        (then (call $retry)) (else (call $emit)))";

async fn callable(more: &str, choice: &str) -> CallableRevision {
    let text = format!("name = \"test\"\ntopics = [\"in\"]\noutputs = {{ default = \"out\" }}\n{more}");
    let revision = Arc::new(Revision {
        number: RevisionNumber(1),
        digest: ArtifactDigest::of(b""),
        module_bytes: 0,
        shape: ModuleShape::MillstreamBatch,
        manifest: manifest::from_toml(&text).expect("a manifest"),
        deployed_at_ms: 0,
    });
    let bench = bench(&engine(4), counting_guest(choice)).await;
    let admission = Arc::new(InstanceAdmission::new(4));
    let pool = InstancePool::new(bench.sandbox, &revision.manifest.instances, admission, bench.metrics);
    CallableRevision {
        invoker: Invoker::new(revision.clone(), pool, "test".into()),
        encoder: EmissionEncoder::new(&revision, &BatchLimits::default()),
        revision,
        tracer: FunctionTracer::default(),
        batches: BatchLimits::default(),
    }
}

/// Records at these places, each with a key and a type.
fn work(callable: &CallableRevision, origin: WorkOrigin, records: &[(&str, i32, i64, &str)]) -> PendingWork {
    let mut work = callable.work(origin);
    for (topic, partition, offset, type_) in records {
        let headers: [(&str, Option<&[u8]>); 4] = [
            ("ce_specversion", Some(b"1.0")),
            ("ce_id", Some(b"1")),
            ("ce_source", Some(b"/test")),
            ("ce_type", Some(type_.as_bytes())),
        ];
        let headers = headers.into_iter().collect();
        let (partition, offset) = (*partition, *offset);
        let (key, value) = (Some(&b"k"[..]), Some(&b"v"[..]));
        work.add(&RawFields { topic, partition, offset, timestamp_ms: None, key, value, headers: &headers });
    }
    work.finish()
}

/// The values of the events that were emitted; nothing of a dead letter.
fn values(ran: &RecordOutcome) -> Vec<&str> {
    let emissions = ran.parcel.messages.iter().filter(|message| message.kind == MessageKind::Emission);
    let value = |range| std::str::from_utf8(ran.parcel.slice(range)).expect("text");
    emissions.filter_map(|message| message.value.as_ref()).map(value).collect()
}

#[tokio::test]
async fn a_record_waits_for_the_retry_of_the_one_before_it_in_its_lane() {
    let more = "ordering = \"key\"\nconcurrency = 4\n[retry]\nbackoff = \"50ms\"\n";
    let callable = callable(more, FIRST_IS_RETRIED).await;
    let records = [("in", 0, 7, "t"), ("in", 0, 8, "t"), ("in", 0, 9, "t")];
    let ran = run_in_lanes(&callable, work(&callable, WorkOrigin::Redrive, &records)).await;
    let ran: Vec<_> = ran.iter().map(|ran| values(ran.as_ref().expect("no filter applies"))).collect();
    assert_eq!(ran, [["2"], ["3"], ["4"]], "the first call is retried before the others are made");
}

#[tokio::test]
async fn a_dry_run_retries_at_once() {
    let callable = callable("[retry]\nbackoff = \"1h\"\nbackoff_max = \"1h\"\n", FIRST_IS_RETRIED).await;
    let work = work(&callable, WorkOrigin::Replay, &[("in", 0, 7, "t")]);
    let pace = RecordPace::default();
    let ran = tokio::time::timeout(SOON, run_in_order(&callable, work, &pace)).await.expect("nothing is waited for");
    assert_eq!(values(ran[0].as_ref().expect("it ran")), ["2"]);
}

#[tokio::test]
async fn what_follows_a_failure_depends_on_the_origin() {
    for (origin, letters, choice, class) in [
        (WorkOrigin::Redrive, 1, "(call $reject)", FaultClass::Reject),
        (WorkOrigin::Shadow, 0, "(call $reject)", FaultClass::Reject),
        // A caller gets the failure of the first attempt.
        (WorkOrigin::Call, 0, FIRST_IS_RETRIED, FaultClass::Retry),
        (WorkOrigin::Local, 0, FIRST_IS_RETRIED, FaultClass::Retry),
    ] {
        let callable = callable("", choice).await;
        let work = work(&callable, origin, &[("in", 0, 7, "t")]);
        let ran = run_in_order(&callable, work, &RecordPace::default()).await.remove(0).expect("it ran");
        assert_eq!(ran.outcome.expect_err("it failed").class, class, "{origin:?}");
        assert_eq!(ran.parcel.messages.len(), letters, "{origin:?}");
        assert!(ran.parcel.messages.iter().all(|message| message.kind == MessageKind::DeadLetter));
    }
}

#[tokio::test]
async fn outcomes_are_numbered_as_the_records_were_added() {
    let more = "[delivery]\nbatch_size = 1\n[[filters]]\nexact = { type = \"wanted\" }\n";
    let callable = callable(more, "(call $emit)").await;
    let records = [
        ("in", 1, 5, "wanted"),
        ("in", 0, 9, "unwanted"),
        ("other", 1, 5, "wanted"),
        ("in", 1, 6, "unwanted"),
        ("in", 0, 10, "wanted"),
    ];
    let replayed = work(&callable, WorkOrigin::Replay, &records);
    let ran = run_in_order(&callable, replayed, &RecordPace::default()).await;
    let ran: Vec<_> = ran.iter().map(|ran| ran.as_ref().map(values)).collect();
    assert_eq!(ran, [Some(vec!["1"]), None, Some(vec!["2"]), None, Some(vec!["3"])]);

    // Dead letters have passed the filters of their time.
    let ran = run_in_lanes(&callable, work(&callable, WorkOrigin::Redrive, &records)).await;
    let causes: Vec<_> = ran
        .iter()
        .map(|ran| {
            let parcel = &ran.as_ref().expect("no filter applies").parcel;
            let mut headers = parcel.headers_of(&parcel.messages[0]);
            let cause = headers.find(|(name, _)| *name == *b"ce_millstreamcause").and_then(|(_, cause)| cause);
            String::from_utf8(cause.expect("a cause").to_vec()).expect("text")
        })
        .collect();
    assert_eq!(causes, ["in/1/5", "in/0/9", "other/1/5", "in/1/6", "in/0/10"]);
}
