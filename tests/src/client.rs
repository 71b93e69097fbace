//! The HTTP surface, as a user's script calls it.

use std::time::Duration;

use reqwest::blocking::multipart::{Form, Part};
use serde_json::Value;

use crate::{root, wait_until};

/// Speaks with one host.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::blocking::Client,
}

impl Client {
    /// A client of the host on that port.
    pub fn new(port: u16) -> Self {
        let http = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(90))
            // A host that was halted or killed leaves dead connections behind.
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client");
        Self { base: format!("http://127.0.0.1:{port}"), http }
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request with these headers and this body; gives the status code and the answer, JSON or else text.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.base)).body(body.to_owned());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.send().expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().expect("text");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Whether anything answers there.
    pub fn is_listening(&self) -> bool {
        self.http.get(format!("{}/healthz", self.base)).send().is_ok()
    }

    /// Whether `/readyz` says yes.
    pub fn is_ready(&self) -> bool {
        self.http.get(format!("{}/readyz", self.base)).send().is_ok_and(|answer| answer.status().is_success())
    }

    /// Whether `/healthz` says yes.
    pub fn is_healthy(&self) -> bool {
        self.http.get(format!("{}/healthz", self.base)).send().is_ok_and(|answer| answer.status().is_success())
    }

    /// Asks; panics unless the answer is a success.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        let answer = self.http.get(format!("{}{path}", self.base)).send().expect("an answer");
        let status = answer.status();
        let text = answer.text().expect("text");
        assert!(status.is_success(), "GET {path}: {status}: {text}");
        text
    }

    /// Asks; gives the status code and the answer.
    #[track_caller]
    pub fn ask(&self, path: &str) -> (u16, Value) {
        let answer = self.http.get(format!("{}{path}", self.base)).send().expect("an answer");
        (answer.status().as_u16(), answer.json().expect("JSON"))
    }

    /// Waits until a function is stalled for a reason with these words; gives its status.
    #[track_caller]
    pub fn wait_until_stalled(&self, name: &str, words: &str, longest: Duration) -> Value {
        let mut status = Value::Null;
        wait_until(&format!("{name} is stalled: {words}"), longest, || {
            status = self.status(name);
            status["state"] == "stalled" && status["reason"].as_str().is_some_and(|reason| reason.contains(words))
        });
        status
    }

    /// Uploads a function; gives the status code and the answer.
    #[track_caller]
    pub fn put(&self, name: &str, manifest: &str, module: Vec<u8>) -> (u16, Value) {
        self.upload(name, manifest, module, None)
    }

    /// The same, if the live revision has the tag `tag`.
    #[track_caller]
    pub fn put_if(&self, name: &str, manifest: &str, module: Vec<u8>, tag: &str) -> (u16, Value) {
        self.upload(name, manifest, module, Some(tag))
    }

    #[track_caller]
    fn upload(&self, name: &str, manifest: &str, module: Vec<u8>, tag: Option<&str>) -> (u16, Value) {
        let manifest = Part::text(manifest.to_owned()).mime_str("application/toml").expect("a type");
        let module = Part::bytes(module).mime_str("application/wasm").expect("a type");
        let form = Form::new().part("manifest", manifest).part("module", module);
        let mut request = self.http.put(format!("{}/v1/functions/{name}?wait=60s", self.base)).multipart(form);
        if let Some(tag) = tag {
            request = request.header("If-Match", tag);
        }
        let answer = request.send().expect("an answer");
        (answer.status().as_u16(), answer.json().expect("JSON"))
    }

    /// Deploys one of the examples and waits until it runs.
    #[track_caller]
    pub fn deploy(&self, name: &str, example: &str, manifest: &str) {
        let manifest = format!("name = \"{name}\"\n{manifest}");
        let (status, answer) = self.put(name, &manifest, module(example));
        assert!(status == 201 || status == 200, "deploy {name}: {status}: {answer}");
        assert_eq!(answer["state"], "running", "deploy {name}: {answer}");
    }

    /// A function's status.
    #[track_caller]
    pub fn status(&self, name: &str) -> Value {
        serde_json::from_str(&self.get(&format!("/v1/functions/{name}/status"))).expect("JSON")
    }

    /// One of a function's counters.
    #[track_caller]
    pub fn counter(&self, name: &str, counter: &str) -> u64 {
        self.status(name)["counters"][counter].as_u64().unwrap_or_else(|| panic!("{name} has no counter {counter}"))
    }

    /// How many partitions of a function this host has.
    #[track_caller]
    pub fn partitions(&self, name: &str) -> usize {
        self.status(name)["partitions"].as_array().map_or(0, Vec::len)
    }

    /// Waits until nothing is left to do, as the host sees it.
    #[track_caller]
    pub fn wait_for_no_lag(&self, name: &str, longest: Duration) {
        wait_until(&format!("{name} has no lag"), longest, || {
            let status = self.status(name);
            let partitions = status["partitions"].as_array().cloned().unwrap_or_default();
            !partitions.is_empty() && partitions.iter().all(|partition| partition["lag"] == 0)
        });
    }

    /// Deletes a function; gives the status code.
    #[track_caller]
    pub fn delete(&self, name: &str) -> u16 {
        let answer = self.http.delete(format!("{}/v1/functions/{name}", self.base)).send().expect("an answer");
        answer.status().as_u16()
    }
}

/// The module of an example, which `./run guests` builds.
#[track_caller]
pub fn module(example: &str) -> Vec<u8> {
    let file = root().join(format!("examples/target/wasm32-wasip2/release/{}.wasm", example.replace('-', "_")));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; `./run guests` builds it", file.display()))
}
