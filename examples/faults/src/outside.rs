//! Looks for a way out of the sandbox, and reports what it found.

use std::net::TcpStream;

/// The environment: what the manifest gives, and no more.
pub fn environment() -> String {
    let mut variables: Vec<_> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    variables.sort();
    variables.join("\n")
}

/// Reads a file that every system has.
pub fn read_file() -> String {
    found("read /etc/passwd", std::fs::read("/etc/passwd").map(|bytes| bytes.len()))
}

/// Connects to where Kafka might be.
pub fn connect() -> String {
    found("connected to 127.0.0.1:9092", TcpStream::connect("127.0.0.1:9092").map(drop))
}

fn found<T: std::fmt::Debug, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("{what}: {value:?}"),
        Err(error) => format!("denied: {error}"),
    }
}

/// Sends an HTTP request.
#[cfg(target_family = "wasm")]
pub fn request() -> String {
    use wasip2::http::outgoing_handler::handle;
    use wasip2::http::types::{ErrorCode, Fields, OutgoingRequest};

    fn send() -> Result<u16, ErrorCode> {
        let request = OutgoingRequest::new(Fields::new());
        let refused = |()| ErrorCode::HttpRequestUriInvalid;
        request.set_authority(Some("127.0.0.1:9092")).map_err(refused)?;
        request.set_path_with_query(Some("/")).map_err(refused)?;
        let response = handle(request, None)?;
        response.subscribe().block();
        match response.get() {
            Some(Ok(Ok(response))) => Ok(response.status()),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(())) | None => Err(ErrorCode::InternalError(None)),
        }
    }

    found("requested http://127.0.0.1:9092/", send().map_err(|error| format!("{error:?}")))
}

/// Outside Wasm there is no sandbox to look out of.
#[cfg(not(target_family = "wasm"))]
pub fn request() -> String {
    found("requested", Err::<(), _>("there is no HTTP outside Wasm"))
}
