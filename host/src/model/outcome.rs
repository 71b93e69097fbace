//! What became of an invocation. A guest's failure is data, never an error of the host.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The kind of a failure; stable, in dead letters, metrics and status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FaultClass {
    /// The guest trapped: a panic, an unreachable, a stack overflow, a bad memory access.
    Trap,
    /// The guest ran longer than `limits.timeout`.
    Timeout,
    /// The guest wanted more memory or table elements than its limits.
    Memory,
    /// The guest emitted more than `limits.output`, or more events than allowed.
    OutputLimit,
    /// The guest named an output that the manifest does not have.
    UnknownOutput,
    /// The guest's answer could not be read.
    InvalidAnswer,
    /// Kafka refused an emission for good (too large, invalid).
    OutputRefused,
    /// The record is not a readable CloudEvent although it says that it is one.
    Undecodable,
    /// The guest asked for another attempt.
    Retry,
    /// The guest gave the record up.
    Reject,
}

impl FaultClass {
    pub(crate) const ALL: &[Self] = &[
        Self::Trap,
        Self::Timeout,
        Self::Memory,
        Self::OutputLimit,
        Self::UnknownOutput,
        Self::InvalidAnswer,
        Self::OutputRefused,
        Self::Undecodable,
        Self::Retry,
        Self::Reject,
    ];

    /// Whether another attempt may help (design §2, "What becomes of an outcome").
    pub(crate) fn is_retried(self) -> bool {
        match self {
            Self::Trap | Self::Timeout | Self::Retry => true,
            Self::Memory
            | Self::OutputLimit
            | Self::UnknownOutput
            | Self::InvalidAnswer
            | Self::OutputRefused
            | Self::Undecodable
            | Self::Reject => false,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::OutputLimit => "output-limit",
            Self::UnknownOutput => "unknown-output",
            Self::InvalidAnswer => "invalid-answer",
            Self::OutputRefused => "output-refused",
            Self::Undecodable => "undecodable",
            Self::Retry => "retry",
            Self::Reject => "reject",
        }
    }
}

impl fmt::Display for FaultClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// When a call was made, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallTime {
    pub(crate) started: SystemTime,
    /// How long it took, the start of an instance included.
    pub(crate) took: Duration,
    /// Whether an instance was started for it.
    pub(crate) is_cold: bool,
}

impl CallTime {
    /// No call: what became of the record was known without one.
    pub(crate) fn none() -> Self {
        Self { started: SystemTime::now(), took: Duration::ZERO, is_cold: false }
    }
}

/// A failed attempt: its class and what a person needs to find the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestFault {
    pub(crate) class: FaultClass,
    /// What happened: a reason, the tail of the guest's stderr, a symbolised Wasm backtrace.
    pub(crate) message: String,
    /// A wait that the guest asked for before the next attempt.
    pub(crate) retry_after: Option<Duration>,
}

impl GuestFault {
    /// A fault without a wait of its own.
    pub(crate) fn new(class: FaultClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), retry_after: None }
    }
}

impl fmt::Display for GuestFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.class, self.message)
    }
}

impl std::error::Error for GuestFault {}
