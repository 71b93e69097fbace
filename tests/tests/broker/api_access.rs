//! Who may do what: tokens on every route of the document, addresses beyond loopback, TLS, and clients that take their time.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use millstream_tests::fixture::HostFixture;
use millstream_tests::host::binary;
use millstream_tests::kafka::Kafka;
use millstream_tests::{unique, wait_until};
use serde_json::Value;

const ALL: &str = "all-rights-0123456789";
const READ: &str = "read-only-0123456789";

#[test]
fn every_route_asks_for_a_token_that_allows_it() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), READ).expect("written");
    let config = format!(
        "[api]\ntoken = \"env:ALL_RIGHTS\"\n[api.tokens.viewer]\ntoken = \"file:{}\"\nscopes = [\"read\"]\n",
        file.path().display()
    );
    let fixture = HostFixture::configured("tokens", 1, &[("ALL_RIGHTS", ALL)], &config);
    let client = &fixture.host.client;
    let bearer = |token: &str| format!("Bearer {token}");

    let (status, document) = client.send("GET", "/openapi.json", &[("authorization", &bearer(READ))], "");
    assert_eq!(status, 200, "{document}");
    let mut guarded = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        let path = path.replace("{name}", "f").replace("{topic}", "t").replace("{revision}", "1");
        for (method, operation) in operations.as_object().expect("operations") {
            let scope = operation["security"][0]["token"][0].as_str();
            let method = method.to_uppercase();
            let ask = |headers: &[(&str, &str)]| client.send(&method, &path, headers, "");
            let place = format!("{method} {path}");
            let Some(scope) = scope else {
                assert_ne!(ask(&[]).0, 401, "{place} asks for nothing");
                continue;
            };
            guarded += 1;
            let (status, problem) = ask(&[]);
            assert_eq!((status, problem["status"].as_u64()), (401, Some(401)), "{place} without a token: {problem}");
            assert_eq!(ask(&[("authorization", &bearer("wrong-wrong-wrong-wrong"))]).0, 401, "{place}, a wrong token");
            assert_eq!(ask(&[("authorization", &format!("Basic {ALL}"))]).0, 401, "{place}, another scheme");
            let (status, problem) = ask(&[("authorization", &bearer(READ))]);
            assert_eq!(status == 403, scope != "read", "{place} with a token that reads: {status}: {problem}");
            assert!(!matches!(ask(&[("authorization", &bearer(ALL))]).0, 401 | 403), "{place} with all rights");
        }
    }
    assert!(guarded >= 10, "{guarded} routes are guarded");

    let run = |token: &str| {
        Command::new(binary())
            .args(["list", "--host", client.base()])
            .env("MILLSTREAM_TOKEN", token)
            .output()
            .expect("the binary runs")
    };
    assert!(run(READ).status.success());
    let refused = run("wrong-wrong-wrong-wrong");
    let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && stderr.contains("Bearer"), "{stderr}");
}

#[test]
fn beyond_loopback_a_host_wants_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(binary())
        .args(["serve"])
        .env("MILLSTREAM_LISTEN", "0.0.0.0:0")
        .env("MILLSTREAM_DATA_DIR", folder.path())
        .env("MILLSTREAM_KAFKA__BOOTSTRAP_SERVERS", &Kafka::shared().bootstrap)
        .output()
        .expect("the binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("token") && stderr.contains("insecure"), "what to do: {stderr}");
}

#[test]
fn tls_comes_from_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        // One that vouches for others is not taken for a server's own.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .expect("openssl, which `./run setup` installs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let kafka = Kafka::shared();
    let port = millstream_tests::process::free_port();
    let name = unique("tls");
    let data = tempfile::tempdir().expect("a folder");
    let _host = millstream_tests::process::Process::start(&binary().to_string_lossy(), |command| {
        command
            .arg("serve")
            .env("MILLSTREAM_KAFKA__BOOTSTRAP_SERVERS", &kafka.bootstrap)
            .env("MILLSTREAM_LISTEN", format!("127.0.0.1:{port}"))
            .env("MILLSTREAM_DATA_DIR", data.path())
            .env("MILLSTREAM_TOPICS__REGISTRY_PREFIX", format!("{name}."))
            .env("MILLSTREAM_API__TLS_CERTIFICATE", &certificate)
            .env("MILLSTREAM_API__TLS_KEY", &key)
            .stderr(std::process::Stdio::null());
    });
    let authority = reqwest::Certificate::from_pem(&std::fs::read(&certificate).expect("a file")).expect("PEM");
    let trusting = reqwest::blocking::Client::builder().add_root_certificate(authority).build().expect("a client");
    let url = format!("https://127.0.0.1:{port}/readyz");
    wait_until("the host is ready", Duration::from_secs(60), || {
        trusting.get(&url).send().is_ok_and(|answer| answer.status().is_success())
    });
    assert!(reqwest::blocking::Client::new().get(&url).send().is_err(), "no public authority signed it");
    let plain = reqwest::blocking::get(format!("http://127.0.0.1:{port}/readyz"));
    assert!(plain.is_err(), "nothing is served in the clear: {plain:?}");
}

/// A thousand clients that never end what they began, more than there are places.
#[track_caller]
fn keep_nobody_out(fixture: &HostFixture, beginning: &str) {
    let address = fixture.host.client.base().trim_start_matches("http://").to_owned();
    let mut slow: Vec<TcpStream> = Vec::new();
    for index in 0..1000 {
        let mut stream = TcpStream::connect(&address).unwrap_or_else(|error| panic!("client {index}: {error}"));
        stream.write_all(beginning.as_bytes()).expect("taken");
        slow.push(stream);
    }
    assert_eq!(fixture.host.client.send("GET", "/healthz", &[], "").0, 200);
    assert!(fixture.host.client.is_ready());
    let problem: Value = fixture.host.client.ask("/v1/functions/none").1;
    assert_eq!(problem["status"], 404);
    // Meanwhile, not afterwards: the last of them has its place still, and the first has not.
    let is_open = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).expect("a mode");
        stream.read(&mut [0; 100]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    assert!(is_open(slow.last_mut().expect("there are many")), "the others were served too late");
    wait_until("the slowest lost its place", Duration::from_secs(40), || !is_open(&mut slow[0]));
}

#[test]
fn clients_that_take_their_time_keep_nobody_out() {
    let fixture = HostFixture::new("slow", 1);
    keep_nobody_out(&fixture, "GET /v1/functions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ");
    let body = "PUT /v1/functions/slow/manifest HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/toml\r\nContent-Length: 100\r\n\r\nname";
    keep_nobody_out(&fixture, body);
}
