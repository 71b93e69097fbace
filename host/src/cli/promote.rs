//! `millstream promote`: makes a function's shadow its live revision.

use std::io::Write;
use std::time::Duration;

use crate::api::views::DeployedView;
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::FunctionArgs;

const EXAMPLES: &str = "\
Examples:
  millstream promote enrich-bid
  millstream promote enrich-bid --if-same";

/// Longer than a host takes to load a module again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Make a function's shadow its live revision
///
/// As a deploy does: each partition goes over between two records, the function's place in its topics stays, and records that
/// run end on the revision that they began with. `millstream shadow` shows what will change.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PromoteArgs {
    #[command(flatten)]
    function: FunctionArgs,
    /// Only when records were compared, and none of them showed a difference
    #[arg(long)]
    if_same: bool,
}

pub(crate) fn run(arguments: &PromoteArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let answer = arguments.function.client()?.change(&["promote"], |http, mut url| {
        if arguments.if_same {
            url.query_pairs_mut().append_pair("if_same", "true");
        }
        http.post(url).timeout(ANSWER_TIMEOUT)
    })?;
    arguments.function.output.show(answer, out, |DeployedView { name, revision, .. }, out| {
        Ok(writeln!(out, "{name} is at revision {revision} now")?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost, deployed};

    #[test]
    fn a_promotion_says_what_is_live_now() {
        let answers = (0..2).map(|_| CannedAnswer::new(200, &deployed("f", 4))).collect();
        let host = FakeHost::start(answers);
        let mut out = Vec::new();
        for if_same in [false, true] {
            run(&PromoteArgs { function: host.function_args("f"), if_same }, &mut out).unwrap();
        }
        assert_eq!(String::from_utf8(out).unwrap(), "f is at revision 4 now\n".repeat(2));
        let lines: Vec<String> = host.requests().into_iter().map(|request| request.line).collect();
        assert_eq!(
            lines,
            ["POST /v1/functions/f/promote HTTP/1.1", "POST /v1/functions/f/promote?if_same=true HTTP/1.1"]
        );
    }
}
