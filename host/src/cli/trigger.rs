//! `millstream trigger`: runs a scheduled function now.

use std::io::Write;

use crate::cli::failure::VerbFailure;
use crate::cli::function_args::FunctionArgs;
use crate::cli::publish::print_position;

const EXAMPLES: &str = "\
Examples:
  millstream trigger nightly-report
  millstream trigger nightly-report && millstream logs nightly-report --follow";

/// Run a scheduled function now
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TriggerArgs {
    #[command(flatten)]
    function: FunctionArgs,
}

pub(crate) fn run(arguments: &TriggerArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = arguments.function.client()?;
    // Sent once: a retry could trigger a second run.
    let answer = client.once(&["trigger"], |http, url| http.post(url))?;
    arguments.function.output.show(client.json_of(answer)?, out, print_position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn the_position_of_the_tick_is_printed() {
        let host = FakeHost::start(vec![CannedAnswer::new(202, r#"{"topic":"f.ticks","partition":0,"offset":3}"#)]);
        let mut out = Vec::new();
        run(&TriggerArgs { function: host.function_args("f") }, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "f.ticks/0/3\n");
        assert_eq!(host.requests()[0].line, "POST /v1/functions/f/trigger HTTP/1.1");
    }
}
