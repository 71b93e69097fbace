//! A host that gives the canned answers of a test, one for each connection, and then closes.

use parking_lot::Mutex;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use reqwest::Url;

use crate::cli::function_args::{FunctionArgs, OutputArgs};
use crate::cli::host_client::{HostArguments, HostClient};
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;

/// What the host answers to one request.
#[derive(Debug)]
pub(crate) struct CannedAnswer {
    status: u16,
    headers: String,
    body: String,
}

impl CannedAnswer {
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self { status, headers: String::new(), body: body.to_owned() }
    }

    /// Problem details, as a host answers them.
    pub(crate) fn problem(code: &str, detail: &str) -> Self {
        let code = ErrorCode::parse(code).unwrap();
        let problem = serde_json::json!({
            "type": code.page(), "title": code.title(), "status": code.http_status(), "code": code.code(),
            "remedy": code.remedy(), "detail": detail,
        });
        Self::new(code.http_status(), &problem.to_string())
    }

    pub(crate) fn with_header(self, header: &str) -> Self {
        Self { headers: format!("{}{header}\r\n", self.headers), ..self }
    }
}

/// A function as `GET /v1/functions` lists it.
pub(crate) fn function(name: &str) -> String {
    let rest = r#""topics":["in"],"deployed_at":"2023-11-14T22:13:20.000Z","revisions":[1]}"#;
    format!("{},{rest}", deployed(name, 1).trim_end_matches('}'))
}

/// The answer of `GET /v1/functions`.
pub(crate) fn functions(names: &[&str]) -> String {
    let functions: Vec<String> = names.iter().map(|name| function(name)).collect();
    format!("{{\"functions\":[{}]}}", functions.join(","))
}

/// The answer to a change that makes a revision live.
pub(crate) fn deployed(name: &str, revision: u64) -> String {
    let digest = "0".repeat(64);
    format!(
        r#"{{"name":"{name}","revision":{revision},"digest":"sha256:{digest}","shape":"millstream-batch","state":"running"}}"#
    )
}

/// What the host was asked.
#[derive(Debug, Clone)]
pub(crate) struct SeenRequest {
    pub(crate) line: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

#[derive(Debug)]
pub(crate) struct FakeHost {
    address: Url,
    requests: Arc<Mutex<Vec<SeenRequest>>>,
    thread: JoinHandle<()>,
}

impl FakeHost {
    pub(crate) fn start(answers: Vec<CannedAnswer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let thread = std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let request = serve(stream, &answer);
                seen.lock().push(request);
            }
        });
        Self { address, requests, thread }
    }

    pub(crate) fn arguments(&self) -> HostArguments {
        HostArguments { host: self.address.clone(), token: None }
    }

    pub(crate) fn output_args(&self) -> OutputArgs {
        OutputArgs { host: self.arguments(), json: false }
    }

    pub(crate) fn function_args(&self, name: &str) -> FunctionArgs {
        FunctionArgs { name: FunctionName::new(name).unwrap(), output: self.output_args() }
    }

    pub(crate) fn client(&self) -> HostClient {
        HostClient::new(&self.arguments()).unwrap()
    }

    /// Its address, when it has given all its answers and is gone.
    pub(crate) fn address(self) -> Url {
        self.thread.join().unwrap();
        self.address
    }

    /// What it was asked, when it has given all its answers and is gone.
    pub(crate) fn requests(self) -> Vec<SeenRequest> {
        self.thread.join().unwrap();
        self.requests.lock().clone()
    }
}

fn serve(stream: TcpStream, answer: &CannedAnswer) -> SeenRequest {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut body_bytes = 0;
    let mut authorization = None;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if let Some(length) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            body_bytes = length.trim().parse().unwrap();
        }
        if header.to_ascii_lowercase().starts_with("authorization:") {
            authorization = header.split_once(':').map(|(_, value)| value.trim().to_owned());
        }
        if header.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; body_bytes];
    reader.read_exact(&mut body).unwrap();
    let CannedAnswer { status, headers, body: answer } = answer;
    let length = answer.len();
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{answer}")
        .unwrap();
    SeenRequest { line: line.trim_end().to_owned(), authorization, body: String::from_utf8_lossy(&body).into_owned() }
}
