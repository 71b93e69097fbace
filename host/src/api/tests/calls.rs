//! Calls, logs, revisions and topics, over guests that only say what they were asked.

use std::time::Duration;

use crate::api::tests::*;
use crate::model::function::tests_support::revision;
use crate::model::outcome::{FaultClass, GuestFault};
use crate::pipeline::calls::InvokeEmission;

/// What the guest makes of a call: it emits the value, or fails as the value says.
pub(crate) fn called(name: &FunctionName, call: &InvokeCall) -> Result<InvokeResult, NotCalled> {
    let value = String::from_utf8(call.event.value.clone().unwrap_or_default()).unwrap();
    let fault = |class, message: &str| {
        Err(GuestFault { retry_after: Some(Duration::from_millis(7)), ..GuestFault::new(class, message) })
    };
    let outcome = match value.as_str() {
        "busy" => return Err(NotCalled::Busy { function: name.clone(), calls: 4 }),
        "away" => return Err(NotCalled::Unavailable { function: name.clone(), reason: None }),
        "retry" => fault(FaultClass::Retry, "not yet"),
        _ => Ok(vec![InvokeEmission {
            output: "default".to_owned(),
            topic: "out".into(),
            key: call.event.key.clone(),
            event: serde_json::value::RawValue::from_string(format!(r#"{{"id":"{}","data":{value:?}}}"#, call.number))
                .unwrap(),
            headers: vec![("h".to_owned(), Some(vec![0xff]))],
            written: None,
        }]),
    };
    let logs = vec![("warn", "a\u{1b}line".to_owned())];
    Ok(InvokeResult { revision: revision(), outcome, is_cold: true, elapsed: Duration::from_micros(1500), logs })
}

impl Host {
    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method("POST").uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn invoke(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        self.post("/v1/functions/mill/invoke", headers, body).await
    }
}

const KEY: &str = "idempotency-key";

#[tokio::test]
async fn a_call_answers_what_the_function_made_of_the_event() {
    let host = Host::new();
    host.invoke(&[], "x").await.is_problem(404, "MS0201");
    host.deploy(TOML, b"one").await;
    let answer = host.post("/v1/functions/mill/invoke?key=k", &[("content-type", "text/plain")], "hello").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.header("millstream-outcome"), "emitted");
    let body = &answer.body;
    assert_eq!(
        (&body["outcome"], &body["start"], &body["duration_ms"]),
        (&"emitted".into(), &"cold".into(), &1.5.into())
    );
    let emission = &body["emissions"][0];
    assert_eq!((&emission["key"], &emission["event"]["data"]), (&"k".into(), &"hello".into()));
    assert_eq!(emission["headers"][0], serde_json::json!({ "name": "h", "value_base64": "/w==" }));
    assert_eq!(body["logs"][0], serde_json::json!({ "level": "warn", "line": "a\u{1b}line" }));
    let call = host.guests.calls.lock().pop().unwrap();
    let header =
        |name: &str| call.event.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
    assert_eq!(header("ce_type"), Some(&b"dev.millstream.record"[..]), "a plain body becomes an event");
    assert_eq!((header("content-type"), call.publish), (Some(&b"text/plain"[..]), false));

    let failed = host.invoke(&[], "retry").await;
    assert_eq!((failed.status, failed.header("millstream-outcome")), (StatusCode::OK, "retry"));
    assert_eq!((&failed.body["message"], &failed.body["retry_after_ms"]), (&"not yet".into(), &7.into()));
    assert_eq!(failed.body["emissions"], serde_json::json!([]));

    let busy = host.invoke(&[], "busy").await;
    busy.is_problem(429, "MS0215");
    assert_eq!(busy.header("retry-after"), "2");
    host.invoke(&[], "away").await.is_problem(503, "MS0309");
    host.invoke(&[("ce-id", "1")], "x").await.is_problem(400, "MS0506");
    host.invoke(&[("content-type", "application/cloudevents+xml")], "x").await.is_problem(415, "MS0109");
    host.invoke(&[], &"x".repeat(LIMIT as usize + 1)).await.is_problem(413, "MS0213");
    host.post("/v1/functions/mill/invoke?publish=perhaps", &[], "x").await.is_problem(400, "MS0204");
}

#[tokio::test]
async fn the_events_of_a_batch_are_called_one_by_one() {
    let host = Host::new();
    host.deploy(TOML, b"one").await;
    let batch = r#"[{"specversion":"1.0","id":"1","source":"/s","type":"t"},{"id":"2"}]"#;
    let answer = host.invoke(&[("content-type", "application/cloudevents-batch+json")], batch).await;
    assert_eq!((answer.status, answer.header("millstream-outcome")), (StatusCode::OK, "undecodable"));
    let outcomes: Vec<_> = answer.body["results"].as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["emitted", "undecodable"]);
    assert_eq!(host.guests.calls.lock().len(), 1);
}

#[tokio::test]
async fn calls_with_one_key_are_one_call() {
    let host = Host::new();
    host.deploy(TOML, b"one").await;
    let first = host.invoke(&[(KEY, "k")], "x").await;
    let again = host.invoke(&[(KEY, "k")], "x").await;
    assert_eq!((&first.text, again.header("idempotency-replayed")), (&again.text, "true"));
    assert_eq!(host.guests.calls.lock().len(), 1);
    host.invoke(&[(KEY, "k")], "y").await.is_problem(422, "MS0212");
    host.invoke(&[(KEY, "k"), ("content-type", "text/plain")], "x").await.is_problem(422, "MS0212");
    host.post("/v1/functions/mill/invoke?publish=true", &[(KEY, "k")], "x").await.is_problem(422, "MS0212");
    let number = |answer: &Answer| answer.body["emissions"][0]["event"]["id"].as_str().unwrap().to_owned();
    let other = Host::new();
    other.deploy(TOML, b"one").await;
    assert_eq!(number(&other.invoke(&[(KEY, "k")], "x").await), number(&first), "also on another host");
    assert_ne!(number(&host.invoke(&[(KEY, "l")], "x").await), number(&first));
    // What came to nothing may be tried again.
    host.invoke(&[(KEY, "m")], "busy").await.is_problem(429, "MS0215");
    host.invoke(&[(KEY, "m")], "busy").await.is_problem(429, "MS0215");
    host.invoke(&[(KEY, "")], "x").await.is_problem(400, "MS0204");
    host.invoke(&[(KEY, &"k".repeat(256))], "x").await.is_problem(400, "MS0204");
}

#[tokio::test]
async fn lines_are_shown_and_followed() {
    let host = Host::new();
    host.ask("GET", "/v1/functions/mill/logs").await.is_problem(404, "MS0201");
    host.deploy(TOML, b"one").await;
    for (level, text) in [("info", "one"), ("warn", "two"), ("info", "three")] {
        host.guests.lines.push(level, 1, Some("bids/0/7".to_owned()), text);
    }
    let texts = |answer: &Answer| -> Vec<String> {
        let lines = answer.body["lines"].as_array().unwrap();
        lines.iter().map(|line| line["line"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts(&host.ask("GET", "/v1/functions/mill/logs").await), ["one", "two", "three"]);
    assert_eq!(texts(&host.ask("GET", "/v1/functions/mill/logs?limit=1").await), ["three"]);
    assert_eq!(texts(&host.ask("GET", "/v1/functions/mill/logs?level=warn&since=1h").await), ["two"]);
    assert_eq!(texts(&host.ask("GET", "/v1/functions/mill/logs?since=9999-01-01T00:00:00Z").await), [""; 0]);
    for wrong in ["limit=0", "limit=1001", "level=loud", "since=soon", "follow=maybe"] {
        host.ask("GET", &format!("/v1/functions/mill/logs?{wrong}")).await.is_problem(400, "MS0204");
    }

    let lines = Arc::clone(&host.guests.lines);
    let stop = host.api.shared.stop.clone();
    let writer = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        lines.push("error", 2, None, "four");
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
    });
    let stream = host.ask("GET", "/v1/functions/mill/logs?follow=true&limit=2").await;
    writer.await.unwrap();
    assert!(stream.header("content-type").starts_with("text/event-stream"));
    let data: Vec<Value> =
        stream.text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect();
    let followed: Vec<_> = data.iter().map(|line| line["line"].as_str().unwrap()).collect();
    assert_eq!(followed, ["two", "three", "four"], "{}", stream.text);
    assert_eq!((&data[0]["record"], &data[2]["record"]), (&"bids/0/7".into(), &Value::Null));
    assert_eq!((&data[2]["level"], &data[2]["revision"]), (&"error".into(), &2.into()));
}

#[tokio::test]
async fn revisions_are_listed_and_brought_back() {
    let host = Host::new();
    host.ask("GET", "/v1/functions/mill/revisions").await.is_problem(404, "MS0201");
    host.post("/v1/functions/mill/rollback", &[], "").await.is_problem(404, "MS0201");
    host.deploy(TOML, b"one").await;
    host.post("/v1/functions/mill/rollback", &[], "").await.is_problem(404, "MS0208");
    host.deploy(&format!("{TOML}concurrency = 2"), b"two").await;

    let lost = host.post("/v1/functions/mill/rollback", &[("if-match", "\"1\"")], "").await;
    lost.is_problem(412, "MS0205");
    let back = host.post("/v1/functions/mill/rollback", &[("if-match", "\"2\"")], "").await;
    assert_eq!((back.status, back.header("etag")), (StatusCode::OK, "\"3\""), "{}", back.text);
    let list = host.ask("GET", "/v1/functions/mill/revisions").await;
    let shown: Vec<_> =
        list.body["revisions"].as_array().unwrap().iter().map(|one| (&one["revision"], &one["live"])).collect();
    assert_eq!(shown, [(&3.into(), &true.into()), (&2.into(), &false.into()), (&1.into(), &false.into())]);
    assert_eq!(list.body["revisions"][0]["restores"], 1);
    let function = host.ask("GET", "/v1/functions/mill").await;
    assert_eq!(function.body["revisions"], serde_json::json!([1, 2, 3]));
    assert_eq!((&function.body["restores"], &function.body["manifest"]["concurrency"]), (&1.into(), &16.into()));

    let forth = host.post("/v1/functions/mill/rollback", &[], r#"{"revision":2}"#).await;
    assert_eq!(forth.body["revision"], 4);
    let second = host.ask("GET", "/v1/functions/mill/revisions/2").await;
    assert_eq!((&second.body["live"], &second.body["manifest"]["concurrency"]), (&false.into(), &2.into()));
    host.ask("GET", "/v1/functions/mill/revisions/9").await.is_problem(404, "MS0208");
    host.ask("GET", "/v1/functions/mill/revisions/x").await.is_problem(400, "MS0204");
    for wrong in [r#"{"revison":2}"#, "2", "[]", r#"{"revision":-1}"#] {
        host.post("/v1/functions/mill/rollback", &[], wrong).await.is_problem(400, "MS0204");
    }
}

#[tokio::test]
async fn a_manifest_alone_changes_the_limits() {
    let host = Host::new();
    let put = async |content_type: &'static str, tag: &'static str, body: String| {
        let request = Request::builder().method("PUT").uri("/v1/functions/mill/manifest");
        let request = request.header("content-type", content_type).header("if-match", tag);
        host.send(request.body(Body::from(body)).unwrap()).await
    };
    let limits = format!("{TOML}[limits]\nmemory = \"256MiB\"\n");
    put("application/toml", "*", limits.clone()).await.is_problem(404, "MS0201");
    host.deploy(TOML, b"one").await;
    let changed = put("application/toml", "\"1\"", limits).await;
    assert_eq!((changed.status, &changed.body["revision"]), (StatusCode::OK, &2.into()), "{}", changed.text);
    assert_eq!(host.ask("GET", "/v1/functions/mill").await.body["manifest"]["limits"]["memory"], "256MiB");
    put("application/toml", "\"1\"", TOML.to_owned()).await.is_problem(412, "MS0205");
    put("application/wasm", "*", TOML.to_owned()).await.is_problem(415, "MS0109");
    put("application/json", "*", TOML.to_owned()).await.is_problem(400, "MS0101");
    put("application/toml", "*", TOML.replace("mill", "other")).await.is_problem(400, "MS0102");
}

#[tokio::test]
async fn only_the_first_deploy_may_ask_to_be_it() {
    let host = Host::new();
    let put = async |module: &[u8]| {
        let request = upload("/v1/functions/mill").header("if-none-match", "*");
        host.send(request.body(Body::from(form(&good(TOML, module)))).unwrap()).await
    };
    assert_eq!(put(b"one").await.status, StatusCode::CREATED);
    put(b"two").await.is_problem(412, "MS0205");
}

#[tokio::test]
async fn topics_that_are_nobodys_to_write_to_are_refused() {
    let host = Host::new();
    for own in ["millstream.functions", "millstream.artifacts", "__consumer_offsets", "__transaction_state"] {
        host.post(&format!("/v1/topics/{own}/events"), &[], "x").await.is_problem(403, "MS0217");
    }
    for wrong in ["a%20b", "a%2Fb", "..", &"a".repeat(250)] {
        let answer = host.post(&format!("/v1/topics/{wrong}/events"), &[], "x").await;
        assert!(answer.status.is_client_error(), "{wrong}: {}", answer.text);
    }
}
