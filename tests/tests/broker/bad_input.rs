//! Bad input: refused with a code and the reason, and the host keeps running.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use millstream_tests::PROGRESS;
use millstream_tests::client::module;
use millstream_tests::fixture::HostFixture;
use serde_json::Value;

/// Small limits, so that what goes beyond them is quickly sent.
const SMALL: &str = "[limits]\nupload = \"6MiB\"\nrequest = \"64KiB\"\ncompile_timeout = \"1s\"\n";
fn manifest(fixture: &HostFixture, more: &str) -> String {
    format!("name = \"{}\"\ntopics = [\"{}\"]\n{more}", fixture.name, fixture.input)
}

#[track_caller]
fn is_refused(answer: (u16, Value), status: u16, code: &str, words: &[&str]) {
    let (found, problem) = answer;
    assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{problem}");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(words.iter().all(|word| detail.contains(word)), "{words:?}: {detail}");
    assert!(problem["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{problem}");
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("valid text")
}

/// More to compile than a second is enough for.
fn compile_bomb() -> Vec<u8> {
    let step = "(local.set 0 (i32.xor (i32.mul (local.get 0) (local.get 1)) (i32.load (local.get 0))))";
    let function = format!("(func (param i32 i32) {})", step.repeat(30_000));
    wat(&format!("(module (memory (export \"memory\") 1) (func (export \"_start\")) {})", function.repeat(14)))
}

#[test]
fn modules_that_cannot_run_are_refused_with_the_reason() {
    let fixture = HostFixture::configured("bad-module", 1, &[], SMALL);
    let manifest = manifest(&fixture, "");
    let put = |module: Vec<u8>| fixture.host.client.put(&fixture.name, &manifest, module);
    let good = module("uppercase");

    is_refused(put(Vec::new()), 400, "MS0104", &["empty"]);
    is_refused(put(b"#!/bin/sh\necho no\n".to_vec()), 400, "MS0104", &["not WebAssembly", "#!/bin/s"]);
    for length in [5, 100, good.len() / 2, good.len() - 1] {
        is_refused(put(good[..length].to_vec()), 400, "MS0104", &["truncated"]);
    }
    let component = wat(r#"(component (import "acme:vault/secrets@1.0.0" (instance (export "read" (func))))
        (core module $m (func (export "run")))
        (core instance $i (instantiate $m))
        (func $run (canon lift (core func $i "run")))
        (instance $e (export "run" (func $run)))
        (export "millstream:function/batch@0.1.0" (instance $e)))"#);
    is_refused(put(component), 400, "MS0104", &["acme:vault/secrets@1.0.0"]);
    let command = wat(r#"(module (import "env" "launch" (func)) (func (export "_start")))"#);
    is_refused(put(command), 400, "MS0104", &["env.launch"]);
    is_refused(put(wat("(module)")), 400, "MS0104", &["exports nothing", "docs/languages.md"]);
    is_refused(put(compile_bomb()), 400, "MS0106", &["stopped"]);

    // What a host compiled is machine code, and would run unchecked.
    fixture.deploy("uppercase", "");
    let compiled = std::fs::read_dir(fixture.host.data_folder().join("compiled")).expect("compiled code");
    let mut compiled = compiled.filter_map(Result::ok).map(|entry| entry.path());
    let compiled = compiled.find(|path| path.extension().is_some_and(|extension| extension == "cwasm"));
    let compiled = std::fs::read(compiled.expect("of what was deployed")).expect("readable");
    is_refused(put(compiled), 400, "MS0104", &["precompiled"]);

    fixture.host.client.wait_for_no_lag(&fixture.name, PROGRESS);
    assert_eq!(fixture.host.client.status(&fixture.name)["revision"], 1, "what is refused leaves no trace");
}

/// A flipped bit may leave a module that works. What counts is that the host says one or the other, and lives.
#[test]
fn modules_with_flipped_bits_are_refused_or_run() {
    let fixture = HostFixture::configured("flipped", 1, &[], SMALL);
    let manifest = manifest(&fixture, "");
    let good = module("uppercase");
    let mut chance = millstream_tests::rng::SeededRng::new(6);
    let mut refused = 0;
    for _ in 0..30 {
        let mut bytes = good.clone();
        let at = chance.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << chance.below(8);
        let (status, answer) = fixture.host.client.put(&fixture.name, &manifest, bytes);
        match status {
            200 | 201 => {}
            400 => {
                assert!(answer["code"].as_str().is_some_and(|code| code.starts_with("MS010")), "{answer}");
                refused += 1;
            }
            _ => panic!("bit of byte {at}: {status}: {answer}"),
        }
    }
    assert!(refused > 0, "not one of 30 was refused");
    fixture.deploy("uppercase", "");
}

#[test]
fn manifests_that_are_wrong_say_what_was_probably_meant() {
    let fixture = HostFixture::configured("bad-manifest", 1, &[], SMALL);
    let put = |more: &str| fixture.host.client.put(&fixture.name, &manifest(&fixture, more), module("uppercase"));
    is_refused(put("odering = \"key\""), 400, "MS0101", &["odering", "did you mean \"ordering\"?"]);
    is_refused(put("[limits]\ntimeout = \"3 parsecs\""), 400, "MS0101", &["limits.timeout", "parsecs"]);
    is_refused(put("[limits]\ntimeout = 3"), 400, "MS0101", &["limits.timeout", "\"3ms\""]);
    is_refused(put("[retry]\nbackoff = \"11s\"\nbackoff_max = \"10s\""), 400, "MS0101", &["retry.backoff_max"]);
    is_refused(put("topics_pattern = \"a.*\""), 400, "MS0101", &["keep one of the two"]);
    is_refused(put(&format!("[outputs]\ndefault = \"{}\"", fixture.input)), 400, "MS0101", &["feed itself"]);
    is_refused(put("[kafka]\n\"enable.auto.commit\" = true"), 400, "MS0101", &["enable.auto.commit"]);
    is_refused(put("topics = ["), 400, "MS0101", &["line 3"]);
    // All at once.
    is_refused(put("concurrency = 0\nshards = 0"), 400, "MS0101", &["concurrency", "shards"]);
    let (status, _) = fixture.host.client.send("GET", &format!("/v1/functions/{}", fixture.name), &[], "");
    assert_eq!(status, 404, "nothing was deployed");
}

#[test]
fn requests_that_are_wrong_are_told_how_to_be_right() {
    let fixture = HostFixture::configured("bad-request", 1, &[], SMALL);
    fixture.deploy("uppercase", "");
    let client = &fixture.host.client;
    let (function, events) =
        (format!("/v1/functions/{}", fixture.name), format!("/v1/topics/{}/events", fixture.input));
    let invoke = format!("{function}/invoke");

    is_refused(client.send("PATCH", &function, &[], ""), 405, "MS0203", &["PATCH"]);
    is_refused(client.send("GET", "/v2/functions", &[], ""), 404, "MS0202", &["/v2/functions"]);
    is_refused(client.send("GET", "/v1/functions/No_Name", &[], ""), 400, "MS0204", &[]);
    let json = [("content-type", "application/json")];
    is_refused(client.send("PUT", &function, &json, "{}"), 415, "MS0109", &["multipart/form-data"]);
    let html = [("content-type", "text/html")];
    let manifest = format!("{function}/manifest");
    is_refused(client.send("PUT", &manifest, &html, "<p>"), 415, "MS0109", &["application/toml"]);
    is_refused(client.send("PUT", &manifest, &[], ""), 415, "MS0109", &["application/toml"]);
    let avro = [("content-type", "application/cloudevents+avro")];
    is_refused(client.send("POST", &invoke, &avro, "x"), 415, "MS0109", &["application/cloudevents+json"]);
    is_refused(client.send("POST", &invoke, &[], &"x".repeat(65 << 10)), 413, "MS0213", &["65536"]);
    let large = client.put(&fixture.name, &self::manifest(&fixture, ""), vec![b'x'; 7 << 20]);
    is_refused(large, 413, "MS0107", &["bytes"]);

    // As no library would send them.
    let event = |more: &[u8]| {
        let head = format!(
            "POST {events} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\
             Ce-Specversion: 1.0\r\nCe-Source: /s\r\nCe-Type: t\r\n"
        );
        answer(&fixture, &[head.as_bytes(), more, b"\r\n\r\nx"].concat())
    };
    for (header, words) in [
        (&b"Ce-Id: \xff\xfe"[..], "not UTF-8"),
        (b"Ce-Id: 1\r\nContent-Type: \xff", "not ASCII"),
        (b"Ce-Id: a%0D%0Ab", "control character"),
        (b"Ce-Id: 1\r\nCe-Millstreamcause: x/0/0", "reserved"),
        (b"Ce-Id: 1\r\nCe-Id: 2", "twice"),
    ] {
        is_refused(event(header), 400, "MS0506", &[words]);
    }
    assert_eq!(event(b"Ce-Id: 1\r\nX-Other: \xff").0, 202, "a header that is not an attribute does no harm");
    assert_eq!(answer(&fixture, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\0b: c\r\n\r\n").0, 400);
    client.wait_for_no_lag(&fixture.name, PROGRESS);
}

/// Endless bodies without a length.
#[test]
fn endless_bodies_are_cut_off() {
    let fixture = HostFixture::configured("endless", 1, &[], SMALL);
    fixture.deploy("uppercase", "");
    let before = fixture.host.resident_bytes();
    let function = format!("/v1/functions/{}", fixture.name);
    let part = "--edge\r\nContent-Disposition: form-data; name=\"module\"\r\nContent-Type: application/wasm\r\n\r\n";
    let form = "Content-Type: multipart/form-data; boundary=edge\r\n";
    is_refused(endless(&fixture, &format!("PUT {function}"), form, part), 413, "MS0107", &["6291456"]);
    is_refused(endless(&fixture, &format!("POST {function}/invoke"), "", ""), 413, "MS0213", &["65536"]);
    let json = "Content-Type: application/json\r\n";
    is_refused(endless(&fixture, &format!("PUT {function}/manifest"), json, ""), 413, "MS0213", &[]);
    let grown = fixture.host.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "the host grew by {grown} bytes");
}

/// Sends chunks without end, until there is an answer.
#[track_caller]
fn endless(fixture: &HostFixture, request: &str, headers: &str, start: &str) -> (u16, Value) {
    let mut stream = connect(fixture);
    let head = format!("{request} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).expect("taken");
    // Read meanwhile, as clients do: what arrived is lost once the connection is reset.
    let incoming = stream.try_clone().expect("a second handle");
    let reader = std::thread::spawn(move || read_answer(incoming));
    let mut send = |bytes: &[u8]| {
        let size = format!("{:x}\r\n", bytes.len());
        stream.write_all(&[size.as_bytes(), bytes, b"\r\n"].concat())
    };
    if !start.is_empty() {
        send(start.as_bytes()).expect("taken");
    }
    let chunk = vec![b'x'; 64 << 10];
    let mut sent = 0_u64;
    while !reader.is_finished() && send(&chunk).is_ok() {
        sent += chunk.len() as u64;
        assert!(sent < 1 << 30, "a gigabyte was taken");
    }
    reader.join().expect("there was an answer")
}

#[track_caller]
fn answer(fixture: &HostFixture, request: &[u8]) -> (u16, Value) {
    let mut stream = connect(fixture);
    stream.write_all(request).expect("taken");
    read_answer(stream)
}

#[track_caller]
fn connect(fixture: &HostFixture) -> TcpStream {
    let address = fixture.host.client.base().trim_start_matches("http://").to_owned();
    let stream = TcpStream::connect(address).expect("the host listens");
    stream.set_read_timeout(Some(PROGRESS)).expect("a limit");
    stream
}

#[track_caller]
fn read_answer(mut stream: TcpStream) -> (u16, Value) {
    let mut bytes = Vec::new();
    // A connection that was reset after its answer still gives it.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or_else(|| panic!("no answer: {text}")), serde_json::from_str(body).unwrap_or_default())
}
