//! `millstream rollback`: makes an earlier revision live again.

use std::io::Write;
use std::num::NonZeroU64;
use std::time::Duration;

use serde_json::json;

use crate::api::views::DeployedView;
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::FunctionArgs;

const EXAMPLES: &str = "\
Examples:
  millstream rollback enrich-bid
  millstream rollback enrich-bid --to 3";

/// Longer than a host takes to load a module again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Make an earlier revision live again, as a new one
///
/// The function keeps its offsets, and records in flight finish on the revision that they started with. The last ten
/// revisions are stored; `millstream revisions` lists them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    function: FunctionArgs,
    /// The revision to return to [default: the one before the live one]
    #[arg(long, value_name = "REVISION")]
    to: Option<NonZeroU64>,
}

pub(crate) fn run(arguments: &RollbackArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let wanted = arguments.to.map(|revision| json!({ "revision": revision }));
    let request = |http: &reqwest::blocking::Client, url| {
        let request = http.post(url).timeout(ANSWER_TIMEOUT);
        match &wanted {
            Some(wanted) => request.json(wanted),
            None => request,
        }
    };
    let answer = arguments.function.client()?.change(&["rollback"], request)?;
    arguments.function.output.show(answer, out, |DeployedView { name, revision, .. }, out| {
        Ok(writeln!(out, "{name} is at revision {revision} now")?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost, deployed};

    #[test]
    fn a_rollback_says_what_is_live_now() {
        let answers = (0..2).map(|_| CannedAnswer::new(200, &deployed("f", 4))).collect();
        let host = FakeHost::start(answers);
        let mut out = Vec::new();
        for to in [None, NonZeroU64::new(2)] {
            run(&RollbackArgs { function: host.function_args("f"), to }, &mut out).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "f is at revision 4 now\n".repeat(2));
        let requests = host.requests();
        assert_eq!(requests[0].line, "POST /v1/functions/f/rollback HTTP/1.1");
        assert_eq!((requests[0].body.as_str(), requests[1].body.as_str()), ("", r#"{"revision":2}"#));
    }
}
