//! Talks to a host's API and makes failures of its problem details.

use std::time::{Duration, Instant};

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde_json::Value;

use crate::api::views::{FunctionList, ProblemView};
use crate::cli::failure::{ExitStatus, ReportedError, VerbFailure};
use crate::cli::function_args::read_answer;
use crate::cli::progress;
use crate::config::suggest::nearest;
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a change is tried again while the host says that it is not ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Which host a verb talks to.
#[derive(Debug, clap::Args)]
pub(crate) struct HostArguments {
    /// The host's address
    #[arg(
        long, env = "MILLSTREAM_HOST", display_order = 1000, default_value = "http://127.0.0.1:8080", value_name = "URL",
        value_parser = parse_host
    )]
    pub(crate) host: Url,
    /// A token of the host, where it has some. Set it in the environment: other users can see a command line
    #[arg(long, env = "MILLSTREAM_TOKEN", display_order = 1001, hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

fn parse_host(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}: write an address such as http://127.0.0.1:8080"))?;
    match (url.scheme(), url.has_host()) {
        ("http" | "https", true) => Ok(url),
        _ => Err("write an address such as http://127.0.0.1:8080".to_owned()),
    }
}

/// A connection to a host's API.
#[derive(Debug)]
pub(crate) struct HostClient {
    base: Url,
    http: Client,
}

impl HostClient {
    /// A client of the host that `arguments` name; connects only with the first request.
    pub(crate) fn new(arguments: &HostArguments) -> Result<Self, VerbFailure> {
        let base = arguments.host.clone();
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&base) {
            // A proxy of the environment does not lead to this machine.
            builder = builder.no_proxy();
        }
        if let Some(token) = &arguments.token {
            let unfit =
                |_| VerbFailure::new(ErrorCode::Unauthorized, "the token has characters that no header may have");
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(unfit)?;
            value.set_sensitive(true);
            builder = builder.default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]));
        }
        let http = builder
            .build()
            .map_err(|error| VerbFailure::new(ErrorCode::Internal, format!("cannot make an HTTP client: {error}")))?;
        Ok(Self { base, http })
    }

    /// Reads the resource at `path`, such as `["v1", "functions"]`.
    pub(crate) fn get(&self, path: &[&str]) -> Result<Value, VerbFailure> {
        self.json_of(self.send(self.http.get(self.url(path)))?)
    }

    /// Sends what `request` makes of a client and an address, again and again while the host is not ready.
    /// The answer is nothing when it has no body.
    pub(crate) fn change(
        &self,
        path: &[&str],
        request: impl Fn(&Client, Url) -> RequestBuilder,
    ) -> Result<Option<Value>, VerbFailure> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let response = self.send(request(&self.http, self.url(path)))?;
            let Some(wait) = wait_until_ready(&response).filter(|wait| Instant::now() + *wait < deadline) else {
                let has_no_body = response.status() == StatusCode::NO_CONTENT;
                return if has_no_body { Ok(None) } else { self.json_of(response).map(Some) };
            };
            progress::report(format_args!("the host is not ready yet, trying again in {} s", wait.as_secs()));
            std::thread::sleep(wait);
        }
    }

    /// Sends what `request` makes of a client and an address, once, and gives an answer that is a success.
    pub(crate) fn once(
        &self,
        path: &[&str],
        request: impl FnOnce(&Client, Url) -> RequestBuilder,
    ) -> Result<Response, VerbFailure> {
        let response = self.send(request(&self.http, self.url(path)))?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(self.failure_of(response)),
        }
    }

    /// What a stream that ended early ends with.
    pub(crate) fn broken_off(&self, error: &std::io::Error) -> VerbFailure {
        VerbFailure::new(ErrorCode::HostUnreachable, format!("{} broke off: {}", self.base, innermost(error)))
    }

    /// `failure`, if it is that `name` is unknown, with the deployed function that was probably meant.
    pub(crate) fn with_suggestion(&self, failure: VerbFailure, name: &FunctionName) -> VerbFailure {
        if !matches!(&failure, VerbFailure::Reported(reported) if reported.exit == ExitStatus::NotFound) {
            return failure;
        }
        let list = self.get(&["v1", "functions"]).and_then(read_answer::<FunctionList>);
        let Ok(FunctionList { functions }) = list else { return failure };
        let names = functions.iter().map(|function| function.deployed.name.as_str());
        failure.suggesting(nearest(name.as_str(), names))
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only addresses without a host cannot have a path, and those were refused.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn send(&self, request: RequestBuilder) -> Result<Response, VerbFailure> {
        request.send().map_err(|error| self.unreachable(&error))
    }

    /// The JSON of an answer.
    pub(crate) fn json_of(&self, response: Response) -> Result<Value, VerbFailure> {
        let status = response.status();
        if !status.is_success() {
            return Err(self.failure_of(response));
        }
        let body = response.bytes().map_err(|error| self.unreachable(&error))?;
        serde_json::from_slice(&body).map_err(|error| self.unexpected(status, &error.to_string()))
    }

    fn failure_of(&self, response: Response) -> VerbFailure {
        let status = response.status();
        match response.bytes().map(|body| serde_json::from_slice::<ProblemView>(&body)) {
            Ok(Ok(problem)) => problem.into(),
            Ok(Err(_)) => self.unexpected(status, "it carries no problem details"),
            Err(error) => self.unreachable(&error),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> VerbFailure {
        let reason = innermost(error);
        let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        VerbFailure::new(ErrorCode::HostUnreachable, format!("{} {what}: {reason}", self.base))
    }

    fn unexpected(&self, status: StatusCode, reason: &str) -> VerbFailure {
        VerbFailure::new(ErrorCode::UnexpectedAnswer, format!("{} answered {status}: {reason}", self.base))
    }
}

impl From<ProblemView> for VerbFailure {
    fn from(problem: ProblemView) -> Self {
        let ProblemView { code, title, detail, remedy, .. } = problem;
        let is_unknown = ErrorCode::parse(&code) == Some(ErrorCode::FunctionNotFound);
        let exit = if is_unknown { ExitStatus::NotFound } else { ExitStatus::Failed };
        // The title says what went wrong, the detail where.
        let detail = detail.map_or_else(|| title.to_string(), |detail| format!("{title}: {detail}"));
        let (code, remedy) = (code.into_owned(), Some(remedy.into_owned()));
        Self::Reported(Box::new(ReportedError { code, detail, suggestion: None, remedy, exit }))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// How long the host asks us to wait, when all it says is that it is not ready.
fn wait_until_ready(response: &Response) -> Option<Duration> {
    if response.status() != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.clamp(1, 60)))
}

/// The innermost cause says most: the outer ones repeat the address.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost, functions};

    fn reported(failure: VerbFailure) -> ReportedError {
        match failure {
            VerbFailure::Reported(reported) => *reported,
            VerbFailure::ReaderGone | VerbFailure::Interrupted => panic!("it is a failure"),
        }
    }

    #[test]
    fn hosts_are_addresses() {
        assert!(parse_host("http://[::1]:1/base").is_ok() && parse_host("https://example.com").is_ok());
        for wrong in ["127.0.0.1:8080", "localhost:8080", "", "file:///x"] {
            assert!(parse_host(wrong).unwrap_err().contains("http://127.0.0.1:8080"), "{wrong}");
        }
    }

    #[test]
    fn problem_details_are_shown_to_people() {
        let problem = r#"{"type":"x","title":"the manifest is not valid","status":400,"code":"MS0101",
            "detail":"concurrency: 0 is out of range","remedy":"choose 1 to 1024"}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(400, problem)]);
        let reported = reported(host.client().get(&["v1", "functions"]).unwrap_err());
        assert_eq!(reported.detail, "the manifest is not valid: concurrency: 0 is out of range");
        assert_eq!((reported.code.as_str(), reported.remedy.as_deref()), ("MS0101", Some("choose 1 to 1024")));
        assert_eq!(reported.exit, ExitStatus::Failed);
        assert_eq!(host.requests()[0].line, "GET /v1/functions HTTP/1.1");
    }

    #[test]
    fn a_token_is_sent() {
        let host = FakeHost::start(vec![CannedAnswer::new(200, "{}")]);
        let arguments = HostArguments { token: Some("secret-secret-16".to_owned()), ..host.arguments() };
        HostClient::new(&arguments).unwrap().get(&["v1"]).unwrap();
        assert_eq!(host.requests()[0].authorization.as_deref(), Some("Bearer secret-secret-16"));
    }

    #[test]
    fn another_server_is_recognised() {
        let host = FakeHost::start(vec![CannedAnswer::new(404, "<html>"), CannedAnswer::new(200, "<html>")]);
        for _ in 0..2 {
            let reported = reported(host.client().get(&["v1"]).unwrap_err());
            assert_eq!((reported.code.as_str(), reported.exit), ("MS0502", ExitStatus::Failed));
        }
    }

    #[test]
    fn an_unreachable_host_has_its_own_code() {
        let address = FakeHost::start(vec![]).address();
        let client = HostClient::new(&HostArguments { host: address, token: None }).unwrap();
        let reported = reported(client.get(&["v1"]).unwrap_err());
        assert_eq!((reported.code.as_str(), reported.exit), ("MS0501", ExitStatus::Unreachable));
    }

    #[test]
    fn a_change_waits_until_the_host_is_ready() {
        let host = FakeHost::start(vec![
            CannedAnswer::new(503, "{}").with_header("Retry-After: 1"),
            CannedAnswer::new(200, "{\"ok\":true}"),
        ]);
        let answer = host.client().change(&["v1"], |http, url| http.delete(url)).unwrap();
        assert_eq!(answer, Some(serde_json::json!({ "ok": true })));
        assert_eq!(host.requests().len(), 2);
    }

    #[test]
    fn a_mistyped_name_gets_a_suggestion() {
        let host = FakeHost::start(vec![CannedAnswer::new(200, &functions(&["uppercase", "sleepy"]))]);
        let failure = VerbFailure::new(ErrorCode::FunctionNotFound, "there is none");
        let failure = host.client().with_suggestion(failure, &FunctionName::new("upercase").unwrap());
        assert_eq!(reported(failure).suggestion.as_deref(), Some("did you mean \"uppercase\"?"));
    }
}
