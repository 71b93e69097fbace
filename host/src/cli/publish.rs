//! `millstream publish`: writes an event to a topic.

use std::io::Write;

use crate::api::views::WrittenEvent;
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::OutputArgs;
use crate::cli::host_client::HostClient;
use crate::cli::invoke::input::{InputArguments, body};
use crate::terminal::escape_for_terminal;

const EXAMPLES: &str = "\
Examples:
  millstream publish bids --data '{\"amount\":5}' --key lot-7
  millstream publish bids --event bid.json";

/// Write an event to a topic
///
/// Returns once Kafka has acknowledged the event. The topic must exist.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PublishArgs {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    #[command(flatten)]
    input: InputArguments,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(arguments: &PublishArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.output.host)?;
    let record = arguments.input.record()?;
    let response =
        client.once(&["v1", "topics", &arguments.topic, "events"], |http, url| body(http.post(url), &record))?;
    arguments.output.show(client.json_of(response)?, out, print_position)
}

/// Prints where Kafka has an event.
pub(crate) fn print_position(written: WrittenEvent, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let WrittenEvent { topic, partition, offset } = written;
    Ok(writeln!(out, "{}/{partition}/{offset}", escape_for_terminal(&topic))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn the_position_of_the_event_is_printed() {
        let host = FakeHost::start(vec![CannedAnswer::new(202, r#"{"topic":"bids","partition":1,"offset":7}"#)]);
        let input = InputArguments::of_data("hello", Some("lot 7"));
        let arguments = PublishArgs { topic: "bids".to_owned(), input, output: host.output_args() };
        let mut out = Vec::new();
        run(&arguments, &mut out).unwrap();
        assert_eq!(out, b"bids/1/7\n");
        let request = &host.requests()[0];
        assert_eq!(request.line, "POST /v1/topics/bids/events?key=lot+7 HTTP/1.1");
        assert_eq!(request.body, "hello");
    }
}
