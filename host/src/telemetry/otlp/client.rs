//! One request to the collector: OTLP over HTTP, in protobuf.

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use prost::Message;
use reqwest::{Client, Response, Url};

use crate::config::host::OtlpConfig as Settings;
use crate::telemetry::otlp::OtlpSignal;
use crate::telemetry::otlp::wire::Answer;

/// An answer is a few words.
const LONGEST_ANSWER: usize = 64 << 10;
/// The most of a refusal's text that is repeated.
const LONGEST_REASON: usize = 300;

#[derive(Debug, Clone)]
pub(crate) struct OtlpClient {
    client: Client,
    url: Url,
}

/// What the collector said to a request that it took.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CollectorAnswer {
    /// What of it, it did not take.
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

/// Why it did not take a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CollectorRefusal {
    pub(crate) reason: String,
    /// Whether it may take the same request later.
    pub(crate) passes: bool,
    /// The wait that it asks for.
    pub(crate) wait: Option<Duration>,
}

/// A client for all signals. Proxies and the like are those of the settings, so there are none.
pub(crate) fn client(settings: &Settings) -> reqwest::Result<Client> {
    Client::builder()
        .default_headers(settings.headers.clone())
        .timeout(settings.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

impl OtlpClient {
    /// Posts `signal` to the collector at `endpoint`.
    pub(crate) fn new(client: &Client, endpoint: &Url, signal: OtlpSignal) -> Self {
        let mut url = endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", signal.as_str()]);
        }
        Self { client: client.clone(), url }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) async fn send(&self, body: Bytes) -> Result<CollectorAnswer, CollectorRefusal> {
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let wait = wait(&answer);
        let body = read(answer).await.map_err(unreachable)?;
        if status.is_success() {
            // An empty answer is one, and what can't be read says no more than the status.
            let partly = Answer::decode(&*body).unwrap_or_default().partial_success.unwrap_or_default();
            let rejected = u64::try_from(partly.rejected).unwrap_or_default();
            return Ok(CollectorAnswer { rejected, message: partly.error_message });
        }
        let passes = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let text: String = String::from_utf8_lossy(&body).chars().filter(|letter| !letter.is_control()).collect();
        let text: String = text.chars().take(LONGEST_REASON).collect();
        let reason = format!("it answered {status}{}{text}", if text.is_empty() { "" } else { ": " });
        Err(CollectorRefusal { reason, passes, wait })
    }
}

fn unreachable(error: reqwest::Error) -> CollectorRefusal {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        // Writing to a String does not fail.
        let _ = write!(reason, ": {deeper}");
        source = deeper.source();
    }
    CollectorRefusal { reason, passes: true, wait: None }
}

fn wait(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read(mut answer: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            body.truncate(LONGEST_ANSWER);
            break;
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signals_path_is_added_to_the_endpoint() {
        let at = |endpoint: &str, signal| {
            let post = OtlpClient::new(&Client::new(), &Url::parse(endpoint).expect("a URL"), signal);
            post.url().to_string()
        };
        assert_eq!(at("http://c:4318", OtlpSignal::Traces), "http://c:4318/v1/traces");
        assert_eq!(at("https://c/otlp/", OtlpSignal::Metrics), "https://c/otlp/v1/metrics");
        assert_eq!(at("https://c/otlp", OtlpSignal::Logs), "https://c/otlp/v1/logs");
    }
}
