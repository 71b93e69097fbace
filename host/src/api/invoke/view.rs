//! What a call led to, as JSON shows it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::model::ids::{FunctionName, RevisionNumber};
use crate::model::outcome::GuestFault;
use crate::pipeline::calls::{InvokeEmission, InvokeResult};

/// What one event led to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Invocation {
    pub(crate) function: String,
    /// The revision that was called.
    pub(crate) revision: u64,
    /// `emitted`, or why nothing was: `reject`, `retry`, `trap`, `timeout`, `memory`, `output-limit`, `unknown-output`,
    /// `invalid-answer`, `output-refused`, `undecodable`.
    pub(crate) outcome: Cow<'static, str>,
    /// What happened, when it is not `emitted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// When the function wants to be called again, in milliseconds, where it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
    /// What it emitted, in order.
    pub(crate) emissions: Vec<Emission>,
    /// Whether the emissions are in their topics.
    pub(crate) published: bool,
    /// Whether an instance was started for it; nothing when the guest was not called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<InstanceStart>,
    /// How long the call took, the start of an instance included, in milliseconds.
    pub(crate) duration_ms: f64,
    /// What the guest wrote meanwhile, up to `limits.logs`.
    pub(crate) logs: Vec<LogLine>,
}

/// What the events of a batch led to, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Invocations {
    pub(crate) results: Vec<Invocation>,
}

/// How the instance was when the call came.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InstanceStart {
    Cold,
    Hot,
}

/// An event that was emitted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Emission {
    pub(crate) output: String,
    pub(crate) topic: String,
    /// The record's key, where it is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The record's key in base64, where it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_base64: Option<String>,
    /// The event in the JSON format of CloudEvents, whatever the output's format.
    #[schema(value_type = Object)]
    pub(crate) event: Box<RawValue>,
    /// The record's headers beside the attributes.
    pub(crate) headers: Vec<EmittedHeader>,
    /// Where it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) written: Option<RecordPosition>,
}

/// A header of a record.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EmittedHeader {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value_base64: Option<String>,
}

/// A place in a topic.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub(crate) struct RecordPosition {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// A line that the guest wrote.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct LogLine {
    /// `trace`, `debug`, `info`, `warn`, `error` or `critical`.
    pub(crate) level: Cow<'static, str>,
    pub(crate) line: String,
}

impl Invocation {
    pub(crate) fn new(called: &InvokeResult, is_to_be_published: bool) -> Self {
        let revision = &called.revision;
        let logs = called
            .logs
            .iter()
            .map(|(level, line)| LogLine { level: Cow::Borrowed(level), line: line.clone() })
            .collect();
        let base = Self {
            start: Some(if called.is_cold { InstanceStart::Cold } else { InstanceStart::Hot }),
            duration_ms: (called.elapsed.as_secs_f64() * 1e6).round() / 1e3,
            logs,
            ..Self::empty(&revision.manifest.name, revision.number)
        };
        match &called.outcome {
            Ok(emitted) => {
                let emissions = emitted.iter().map(Emission::new).collect();
                Self { emissions, published: is_to_be_published, ..base }
            }
            Err(fault) => base.failed(fault),
        }
    }

    /// An invalid event, so that the guest was not called.
    pub(crate) fn not_called(name: &FunctionName, revision: RevisionNumber, fault: &GuestFault) -> Self {
        Self::empty(name, revision).failed(fault)
    }

    pub(crate) fn outcome(&self) -> Cow<'static, str> {
        self.outcome.clone()
    }

    fn empty(name: &FunctionName, revision: RevisionNumber) -> Self {
        Self {
            function: name.to_string(),
            revision: revision.0,
            outcome: Cow::Borrowed("emitted"),
            message: None,
            retry_after_ms: None,
            emissions: Vec::new(),
            published: false,
            start: None,
            duration_ms: 0.0,
            logs: Vec::new(),
        }
    }

    fn failed(mut self, fault: &GuestFault) -> Self {
        self.outcome = Cow::Borrowed(fault.class.as_str());
        self.message = Some(fault.message.clone());
        self.retry_after_ms = fault.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }
}

impl Emission {
    fn new(emitted: &InvokeEmission) -> Self {
        let (key, key_base64) = bytes(emitted.key.as_deref());
        let headers = emitted.headers.iter().map(|(name, value)| {
            let (value, value_base64) = bytes(value.as_deref());
            EmittedHeader { name: name.clone(), value, value_base64 }
        });
        let written = emitted.written.as_ref().and_then(|written| written.as_ref().ok());
        Self {
            output: emitted.output.clone(),
            topic: emitted.topic.to_string(),
            key,
            key_base64,
            event: emitted.event.clone(),
            headers: headers.collect(),
            written: written.map(|written| RecordPosition { partition: written.partition, offset: written.offset }),
        }
    }
}

/// Bytes as text where they are one, else in base64.
pub(crate) fn bytes(bytes: Option<&[u8]>) -> (Option<String>, Option<String>) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => (None, None),
        Some(Ok(text)) => (Some(text.to_owned()), None),
        Some(Err(bytes)) => (None, Some(BASE64.encode(bytes))),
    }
}
