//! Why an event could not be handled.

use std::time::Duration;

/// Why nothing is emitted for an event, and what the host is to do about it.
///
/// `?` makes one of most errors. Errors that come from reading the data (JSON, UTF-8, numbers) *reject*: they come again
/// with every attempt. All others *retry*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It may work later: the host tries again, until the manifest's `retry.max_attempts` are used up.
    Retry {
        /// After this long, at most the manifest's `retry.backoff_max`. None leaves the wait to the host.
        after: Option<Duration>,
        /// Why.
        reason: String,
    },
    /// It will never work: the record goes to the dead letter topic at once.
    Reject {
        /// Why.
        reason: String,
    },
}

impl Failure {
    /// Asks for another attempt, after the wait that the manifest's `[retry]` says.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { after: None, reason: reason.into() }
    }

    /// Asks for another attempt after this long.
    pub fn retry_after(after: Duration, reason: impl Into<String>) -> Self {
        Self::Retry { after: Some(after), reason: reason.into() }
    }

    /// Gives the record up: it becomes a dead letter with this reason.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject { reason: reason.into() }
    }

    /// Why.
    pub fn reason(&self) -> &str {
        match self {
            Self::Retry { reason, .. } | Self::Reject { reason } => reason,
        }
    }
}

// `Failure` itself is not a `std::error::Error`: else the conversion from a boxed error would meet `From<Failure>`.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.reason())
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        // The reader of a dead letter sees the text alone: "EOF while parsing" does not say of what.
        Self::reject(format!("the JSON cannot be read: {error}"))
    }
}

macro_rules! failure_from {
    ($($make:ident: $($error:ty),+;)+) => {
        $($(
            impl From<$error> for Failure {
                fn from(error: $error) -> Self {
                    Self::$make(error.to_string())
                }
            }
        )+)+
    };
}

failure_from! {
    reject: std::str::Utf8Error, std::string::FromUtf8Error, std::num::ParseIntError, std::num::ParseFloatError;
    retry: std::io::Error, std::fmt::Error, std::env::VarError, std::time::SystemTimeError, String, &str,
        Box<dyn std::error::Error>, Box<dyn std::error::Error + Send + Sync>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails<E: Into<Failure>>(result: Result<(), E>) -> Failure {
        result.map_err(Into::into).expect_err("a failure")
    }

    #[test]
    fn errors_in_the_data_reject_and_others_retry() {
        let json = serde_json::from_str::<serde_json::Value>("{").map(drop);
        assert!(
            matches!(fails(json), Failure::Reject { reason } if reason.starts_with("the JSON cannot be read: EOF"))
        );
        assert!(matches!(fails("x".parse::<u8>().map(drop)), Failure::Reject { .. }));
        assert!(matches!(fails(Err(std::io::Error::other("gone"))), Failure::Retry { after: None, .. }));
        assert_eq!(fails(Err("not yet")), Failure::retry("not yet"));
    }
}
