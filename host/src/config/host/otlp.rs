//! `[otlp]`: what is sent to an OpenTelemetry collector.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::config::host::secret;
use crate::config::node::ConfigNode;
use crate::config::quantity::cut;
use crate::config::section::ConfigSection;
use crate::config::value::{self, ReadResult};

/// What is sent to an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OtlpConfig {
    /// Where it listens; without it nothing is sent.
    pub(crate) endpoint: Option<Url>,
    /// Headers of every request. Their values are marked as secret.
    pub(crate) headers: HeaderMap,
    pub(crate) traces: bool,
    /// Of the records that belong to no trace, the share for which one is begun.
    pub(crate) trace_ratio: f64,
    /// Whether the figures are sent.
    pub(crate) metrics: bool,
    /// The time between two sends of them.
    pub(crate) metrics_interval: Duration,
    /// Whether the lines of the host's log are sent.
    pub(crate) logs: bool,
    /// How long a request may take.
    pub(crate) timeout: Duration,
}

pub(crate) fn read(otlp: &ConfigSection<'_>, variables: &BTreeMap<String, String>) -> Option<OtlpConfig> {
    let endpoint = otlp.optional("endpoint", endpoint);
    let headers = otlp.optional("headers", |node| headers(node, variables));
    let traces = otlp.get("traces", value::boolean);
    let trace_ratio = otlp.get("trace_ratio", value::ratio);
    let metrics = otlp.get("metrics", value::boolean);
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    let metrics_interval = otlp.get("metrics_interval", value::duration(second..=hour));
    let logs = otlp.get("logs", value::boolean);
    let timeout = otlp.get("timeout", value::duration(Duration::from_millis(100)..=Duration::from_secs(60)));
    Some(OtlpConfig {
        endpoint: endpoint?,
        headers: headers?.unwrap_or_default(),
        traces: traces?,
        trace_ratio: trace_ratio?,
        metrics: metrics?,
        metrics_interval: metrics_interval?,
        logs: logs?,
        timeout: timeout?,
    })
}

fn endpoint(node: &ConfigNode) -> ReadResult<Url> {
    let text = value::non_empty_text(node)?;
    let advice = "write where the collector listens for OTLP over HTTP, such as \"http://127.0.0.1:4318\"";
    // The text may hold a password: it is not repeated.
    let url = Url::parse(text.trim()).map_err(|error| format!("is not a URL ({error}): {advice}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("is neither http:// nor https://: {advice}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a name or a password: leave them out, and give them with otlp.headers".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("has more than an address and a path: {advice}"));
    }
    Ok(url)
}

/// `name=value` pairs, separated by commas or line ends.
fn headers(node: &ConfigNode, variables: &BTreeMap<String, String>) -> ReadResult<HeaderMap> {
    let found = secret::read(node, variables, "the headers themselves")?;
    let mut headers = HeaderMap::new();
    for pair in found.text.split([',', '\n']).map(str::trim).filter(|pair| !pair.is_empty()) {
        let wrong = |what: &str| format!("{} {what}: write name=value, separated by commas", found.place);
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong("holds a part without \"=\""))?;
        let name = HeaderName::try_from(name.trim())
            .map_err(|_| wrong(&format!("names a header \"{}\", which none can be called", cut(name))))?;
        let mut value = HeaderValue::try_from(value.trim())
            .map_err(|_| wrong(&format!("holds characters in \"{name}\" that no header can have")))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
