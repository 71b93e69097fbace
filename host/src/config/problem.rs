//! What is wrong with a configuration: all of it at once, each with its key and what to do.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigProblem {
    /// The key's path, such as `limits.memory`, or a variable's name; empty when the whole text is meant.
    pub(crate) at: String,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

impl ConfigProblem {
    /// A problem of the key `at`.
    pub(crate) fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into() }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() {
            formatter.write_str(&self.message)
        } else {
            write!(formatter, "{}: {}", self.at, self.message)
        }
    }
}

/// Writes `problems` a line each, or a single one alone.
pub(crate) fn write_all(formatter: &mut fmt::Formatter<'_>, what: &str, problems: &[ConfigProblem]) -> fmt::Result {
    if let [only] = problems {
        return write!(formatter, "{what} is not valid: {only}");
    }
    write!(formatter, "{what} has {} problems:", problems.len())?;
    problems.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
}
