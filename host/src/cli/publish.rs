//! `millstream publish`: writes an event to a topic.

use std::io::Write;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::invoke::input::{InputArguments, body};

const EXAMPLES: &str = "\
Examples:
  millstream publish bids --data '{\"amount\":5}' --key lot-7
  millstream publish bids --event bid.json";

/// Write an event to a topic
///
/// Ends well once Kafka has acknowledged it. The topic must exist.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PublishArgs {
    /// The topic
    #[arg(value_name = "TOPIC")]
    topic: String,
    #[command(flatten)]
    input: InputArguments,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &PublishArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let record = arguments.input.record()?;
    let response =
        client.once(&["v1", "topics", &arguments.topic, "events"], |http, url| body(http.post(url), &record))?;
    let answer = client.json_of(response)?;
    if arguments.json {
        return Ok(writeln!(out, "{answer:#}")?);
    }
    let topic = answer["topic"].as_str().unwrap_or(&arguments.topic);
    Ok(writeln!(out, "{topic}/{}/{}", answer["partition"], answer["offset"])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn the_place_of_what_was_written_is_printed() {
        let host = FakeHost::start(vec![CannedAnswer::new(202, r#"{"topic":"bids","partition":1,"offset":7}"#)]);
        let input = InputArguments::of_data("hello", Some("lot 7"));
        let arguments = PublishArgs { topic: "bids".to_owned(), input, host: host.arguments(), json: false };
        let mut out = Vec::new();
        run(&arguments, &mut out).unwrap();
        assert_eq!(out, b"bids/1/7\n");
        let request = &host.requests()[0];
        assert_eq!(request.line, "POST /v1/topics/bids/events?key=lot+7 HTTP/1.1");
        assert_eq!(request.body, "hello");
    }
}
