use std::time::Duration;

use millstream_flat::{Answer, EmissionKey, RecordFields, Verdict, begin_batch, write_record};

use crate::model::function::ModuleShape;
use crate::model::outcome::FaultClass;
use crate::wasm::testing::{bench, engine, load, typed_guest};

const LIMIT: Duration = Duration::from_secs(10);

fn request(attempts: &[u32]) -> Vec<u8> {
    let mut request = Vec::new();
    begin_batch(&mut request, attempts.len() as u32, 1234, "test");
    for attempt in attempts {
        let fields = RecordFields {
            topic: "bids",
            partition: 3,
            offset: 42,
            attempt: *attempt,
            key: Some(b"\xffkey"),
            data: Some(b"some data"),
            headers: &[("one", Some(b"1")), ("none", None)],
            ..RecordFields::default()
        };
        write_record(&mut request, &fields);
    }
    request
}

#[tokio::test]
async fn a_typed_guest_answers_in_the_flat_layout() {
    let engine = engine(1);
    assert_eq!(load(&engine, typed_guest()).await.shape(), ModuleShape::MillstreamTyped);
    let bench = bench(&engine, typed_guest()).await;
    let mut instance = bench.sandbox.start().await.expect("started");
    let answer = instance.call(&request(&[1, 2, 3, 1]), 4, LIMIT).await.expect("answered");
    let answer = Answer::parse(&answer).expect("an answer");
    let verdicts: Vec<_> = answer.verdicts().collect();
    assert_eq!(verdicts.len(), 4);
    for verdict in [&verdicts[0], &verdicts[3]] {
        let Verdict::Emitted(emissions) = verdict else { panic!("{verdict:?}") };
        let emission = emissions.iter().next().expect("one emission");
        assert_eq!((emissions.len(), emission.output()), (1, "default"));
        assert_eq!((emission.id(), emission.type_()), (Some("bids/3/42"), None));
        assert_eq!((emission.key(), emission.data()), (EmissionKey::Bytes(b"\xffkey"), Some(&b"some data"[..])));
    }
    assert!(matches!(verdicts[1], Verdict::Reject { reason: "bids/3/42" }), "{:?}", verdicts[1]);
    assert!(matches!(verdicts[2], Verdict::Retry { after_ms: Some(7), reason: "bids" }), "{:?}", verdicts[2]);
    assert!(instance.is_healthy());
}

#[tokio::test]
async fn a_typed_guest_that_traps_is_a_fault() {
    let engine = engine(1);
    let bench = bench(&engine, typed_guest()).await;
    let mut instance = bench.sandbox.start().await.expect("started");
    let fault = instance.call(&request(&[1, 4]), 2, LIMIT).await.expect_err("a trap");
    assert_eq!(fault.class, FaultClass::Trap);
    assert!(!instance.is_healthy());
}
