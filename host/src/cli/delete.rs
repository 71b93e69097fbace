//! `millstream delete`: deletes a function.

use std::io::Write;
use std::time::Duration;

use serde_json::json;

use crate::cli::failure::VerbFailure;
use crate::cli::function_args::{FunctionArgs, print_json};

const EXAMPLES: &str = "\
Examples:
  millstream delete enrich-bid
  millstream delete enrich-bid || test $? = 3    # also if it does not exist";

/// A delete waits until every host has left the function's group.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Delete a function, on every host of the cluster
///
/// Its topics and their records stay. Its committed offsets are deleted: if it is deployed again, it starts at its
/// initial_offset.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    function: FunctionArgs,
}

pub(crate) fn run(arguments: &DeleteArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let FunctionArgs { name, output } = &arguments.function;
    let answer = arguments.function.client()?.change(&[], |http, url| http.delete(url).timeout(ANSWER_TIMEOUT))?;
    match (output.json, answer.is_null()) {
        (true, true) => print_json(&json!({ "name": name, "deleted": true }), out),
        (true, false) => print_json(&answer, out),
        (false, _) => Ok(writeln!(out, "deleted {name}")?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn a_deleted_function_is_confirmed() {
        let host = FakeHost::start(vec![CannedAnswer::new(204, ""), CannedAnswer::new(200, r#"{"name":"f"}"#)]);
        let arguments = |json| {
            let mut function = host.function_args("f");
            function.output.json = json;
            DeleteArgs { function }
        };
        let mut out = Vec::new();
        run(&arguments(false), &mut out).unwrap();
        assert_eq!(out, b"deleted f\n");
        out.clear();
        run(&arguments(true), &mut out).unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out).unwrap()["name"], "f");
        assert_eq!(host.requests()[0].line, "DELETE /v1/functions/f HTTP/1.1");
    }
}
