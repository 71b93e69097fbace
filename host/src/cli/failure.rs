//! Why a verb failed: a code, what happened, what to do, and the exit code for scripts.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::error_code::ErrorCode;
use crate::terminal::{ColorChoice, escape_for_terminal, escape_lines};

/// The exit codes beside success and clap's 2 for usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitStatus {
    Failed = 1,
    NotFound = 3,
    Unreachable = 4,
}

#[derive(Debug)]
pub(crate) enum VerbFailure {
    /// Printed on stderr.
    Reported(Box<ReportedError>),
    /// The reader of our results closed the pipe: `millstream list | head -1`.
    ReaderGone,
    /// Ctrl-C or SIGTERM: the user knows.
    Interrupted,
}

/// A failure as it is printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReportedError {
    /// The code; a host of another version may have one that is unknown here.
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) suggestion: Option<String>,
    pub(crate) remedy: Option<String>,
    pub(crate) exit: ExitStatus,
}

impl VerbFailure {
    /// A failure of kind `code`.
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let exit = match code {
            ErrorCode::FunctionNotFound => ExitStatus::NotFound,
            ErrorCode::HostUnreachable => ExitStatus::Unreachable,
            _ => ExitStatus::Failed,
        };
        Self::Reported(Box::new(ReportedError {
            code: code.code().to_owned(),
            detail: detail.into(),
            suggestion: None,
            remedy: Some(code.remedy().to_owned()),
            exit,
        }))
    }

    /// The failure of a long-running verb. Its code, if one is known, is attached to the error as context.
    pub(crate) fn of_running(error: &anyhow::Error) -> Self {
        let code = error.downcast_ref::<ErrorCode>().copied();
        let causes = error.chain().map(ToString::to_string);
        let detail: Vec<String> = causes.filter(|cause| code.is_none_or(|code| *cause != code.code())).collect();
        Self::new(code.unwrap_or(ErrorCode::Internal), detail.join(": "))
    }

    /// The same, with the word that was probably meant.
    pub(crate) fn suggesting(mut self, meant: Option<&str>) -> Self {
        if let Self::Reported(reported) = &mut self {
            reported.suggestion = meant.map(|meant| format!("did you mean \"{meant}\"?"));
        }
        self
    }

    /// Prints it on stderr and returns the exit code of the process.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::ReaderGone => ExitCode::SUCCESS,
            // As a shell reports a process that SIGINT ended.
            Self::Interrupted => ExitCode::from(130),
            Self::Reported(reported) => {
                let mut stderr = io::stderr();
                let paint = ColorChoice::for_stderr();
                // When stderr is gone, there is nowhere left to say so.
                let _ = stderr.write_all(reported.render(paint).as_bytes());
                ExitCode::from(reported.exit as u8)
            }
        }
    }
}

impl ReportedError {
    fn render(&self, paint: ColorChoice) -> String {
        let code = format!("error[{}]:", escape_for_terminal(&self.code));
        let mut text = format!("{} {}\n", paint.red(&code), escape_lines(&self.detail));
        for line in self.suggestion.iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {}", escape_for_terminal(line));
        }
        for line in self.remedy.iter() {
            let _ = writeln!(text, "  what to do: {}", escape_for_terminal(line));
        }
        text
    }
}

impl From<io::Error> for VerbFailure {
    /// An error of writing results.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::new(ErrorCode::Internal, format!("cannot write the result: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    fn reported(failure: VerbFailure) -> ReportedError {
        match failure {
            VerbFailure::Reported(reported) => *reported,
            VerbFailure::ReaderGone | VerbFailure::Interrupted => panic!("it is a failure"),
        }
    }

    #[test]
    fn people_read_what_happened_and_what_to_do() {
        let failure = VerbFailure::new(ErrorCode::FunctionNotFound, "there is no function \"uppercse\"");
        let reported = reported(failure.suggesting(Some("uppercase")));
        assert_eq!(
            reported.render(ColorChoice::Plain),
            "error[MS0201]: there is no function \"uppercse\"\n  did you mean \"uppercase\"?\n  \
             what to do: check the name: `millstream list` shows all functions\n"
        );
    }

    #[test]
    fn scripts_tell_failures_apart() {
        assert_eq!(reported(VerbFailure::new(ErrorCode::FunctionNotFound, "")).exit as u8, 3);
        assert_eq!(reported(VerbFailure::new(ErrorCode::HostUnreachable, "")).exit as u8, 4);
        assert_eq!(reported(VerbFailure::new(ErrorCode::InvalidManifest, "")).exit as u8, 1);
    }

    #[test]
    fn a_code_can_be_attached_to_an_error_of_running() {
        let refused: Result<(), io::Error> = Err(io::Error::other("address in use"));
        let error = refused.context("cannot listen on 127.0.0.1:1").context(ErrorCode::CannotListen).unwrap_err();
        let reported = reported(VerbFailure::of_running(&error));
        assert_eq!(
            (reported.code.as_str(), reported.detail.as_str()),
            ("MS0402", "cannot listen on 127.0.0.1:1: address in use")
        );
    }

    #[test]
    fn a_reader_that_has_enough_is_no_failure() {
        let gone = VerbFailure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(gone, VerbFailure::ReaderGone));
    }
}
