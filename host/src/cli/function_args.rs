//! What verbs about one function have in common: their arguments, requests, and how an answer is shown.

use std::io::{self, IsTerminal as _, Write};

use reqwest::Url;
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::error_code::ErrorCode;
use crate::model::ids::FunctionName;
use crate::terminal::{escape_json, escape_lines};

#[derive(Debug, clap::Args)]
pub(crate) struct FunctionArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    pub(crate) name: FunctionName,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Which host a verb talks to, and how it shows the answer.
#[derive(Debug, clap::Args)]
pub(crate) struct OutputArgs {
    #[command(flatten)]
    pub(crate) host: HostArguments,
    /// Print the host's answer as JSON
    #[arg(long, display_order = 1002)]
    pub(crate) json: bool,
}

impl OutputArgs {
    /// Prints a host's answer: as JSON where that is asked for, else as `print` does.
    pub(crate) fn show<T: DeserializeOwned>(
        &self,
        answer: Value,
        out: &mut dyn Write,
        print: impl FnOnce(T, &mut dyn Write) -> Result<(), VerbFailure>,
    ) -> Result<(), VerbFailure> {
        match self.json {
            true => print_json(&answer, out),
            false => print(read_answer(answer)?, out),
        }
    }
}

/// Requests about one function. A failure that the function is unknown suggests the name of another.
#[derive(Debug)]
pub(crate) struct FunctionClient<'a> {
    host: HostClient,
    name: &'a FunctionName,
}

impl FunctionArgs {
    pub(crate) fn client(&self) -> Result<FunctionClient<'_>, VerbFailure> {
        FunctionClient::new(&self.output.host, &self.name)
    }
}

impl<'a> FunctionClient<'a> {
    pub(crate) fn new(host: &HostArguments, name: &'a FunctionName) -> Result<Self, VerbFailure> {
        Ok(Self { host: HostClient::new(host)?, name })
    }

    /// Reads what is at `path` below the function.
    pub(crate) fn get(&self, path: &[&str]) -> Result<Value, VerbFailure> {
        self.suggesting(self.host.get(&self.path(path)))
    }

    /// Makes a change, again and again while the host is not ready. The answer is null when it has no body.
    pub(crate) fn change(
        &self,
        path: &[&str],
        request: impl Fn(&Client, Url) -> RequestBuilder,
    ) -> Result<Value, VerbFailure> {
        self.suggesting(self.host.change(&self.path(path), request)).map(Option::unwrap_or_default)
    }

    /// Sends a request once, and returns an answer that is a success.
    pub(crate) fn once(
        &self,
        path: &[&str],
        request: impl FnOnce(&Client, Url) -> RequestBuilder,
    ) -> Result<Response, VerbFailure> {
        self.suggesting(self.host.once(&self.path(path), request))
    }

    pub(crate) fn json_of(&self, response: Response) -> Result<Value, VerbFailure> {
        self.host.json_of(response)
    }

    pub(crate) fn broken_off(&self, error: &io::Error) -> VerbFailure {
        self.host.broken_off(error)
    }

    fn path<'b>(&'b self, below: &[&'b str]) -> Vec<&'b str> {
        [&["v1", "functions", self.name.as_str()], below].concat()
    }

    fn suggesting<T>(&self, result: Result<T, VerbFailure>) -> Result<T, VerbFailure> {
        result.map_err(|failure| self.host.with_suggestion(failure, self.name))
    }
}

/// A host's answer as the type that the API serializes. Fields of later versions are ignored.
pub(crate) fn read_answer<T: DeserializeOwned>(answer: Value) -> Result<T, VerbFailure> {
    serde_json::from_value(answer).map_err(|error| {
        VerbFailure::new(ErrorCode::UnexpectedAnswer, format!("the host's answer cannot be read: {error}"))
    })
}

/// Prints `value` in several lines: exactly, or on a terminal with its unsafe characters escaped, which is the same JSON.
pub(crate) fn print_json(value: &Value, out: &mut dyn Write) -> Result<(), VerbFailure> {
    print_json_line(&format!("{value:#}"), out)
}

/// The same of JSON that is serialized already.
pub(crate) fn print_json_line(json: &str, out: &mut dyn Write) -> Result<(), VerbFailure> {
    match io::stdout().is_terminal() {
        true => writeln!(out, "{}", escape_json(json))?,
        false => writeln!(out, "{json}")?,
    }
    Ok(())
}

/// Prints bytes that are to be kept as they are, on a terminal escaped.
pub(crate) fn print_bytes(bytes: &[u8], out: &mut dyn Write) -> Result<(), VerbFailure> {
    match io::stdout().is_terminal() {
        true => out.write_all(escape_lines(&String::from_utf8_lossy(bytes)).as_bytes())?,
        false => out.write_all(bytes)?,
    }
    Ok(())
}
