//! `millstream dlq show`.

use std::io::Write;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::api::views::{LetterAlone, LetterView};
use crate::cli::dlq::{RecordId, place};
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::{FunctionArgs, print_bytes, print_json, read_answer};
use crate::terminal::{escape_for_terminal, escape_lines};

const EXAMPLES: &str = "\
Examples:
  millstream dlq show place-bid 0/12
  millstream dlq show place-bid 0/12 --value > value.json";

/// Show a dead letter: why its record failed, and the record
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DlqShowArgs {
    #[command(flatten)]
    function: FunctionArgs,
    /// The dead letter's position, as `dlq list` shows it
    #[arg(value_name = "PARTITION/OFFSET", value_parser = place)]
    place: RecordId,
    /// Print only the record's value, byte for byte; on a terminal it is escaped
    #[arg(long, conflicts_with = "json")]
    value: bool,
}

pub(crate) fn run(arguments: &DlqShowArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let RecordId { partition, offset } = arguments.place;
    let (partition, offset) = (partition.to_string(), offset.to_string());
    let answer = arguments.function.client()?.get(&["dead-letters", &partition, &offset])?;
    if arguments.function.output.json {
        return print_json(&answer, out);
    }
    let letter: LetterAlone = read_answer(answer)?;
    match arguments.value {
        true => print_bytes(&value(&letter), out),
        false => print(&letter, out),
    }
}

fn value(letter: &LetterAlone) -> Vec<u8> {
    match (&letter.value, &letter.value_base64) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(encoded)) => BASE64_STANDARD.decode(encoded).unwrap_or_default(),
        (None, None) => Vec::new(),
    }
}

fn print(alone: &LetterAlone, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let line = escape_for_terminal;
    let LetterAlone { letter, headers, .. } = alone;
    let LetterView { class, attempts, function, source, .. } = letter;
    let record = format!("{}/{}/{}", line(&source.topic), source.partition, source.offset);
    let time = |time: &Option<String>| line(time.as_deref().unwrap_or("-")).into_owned();
    writeln!(out, "{} after {attempts} attempts by {}", line(class), line(function))?;
    writeln!(out, "  written   {}", time(&letter.time))?;
    writeln!(out, "  record    {record}  {}", time(&source.time))?;
    if let Some(from) = &letter.redriven_from {
        writeln!(out, "  was       {}, which was redriven", line(from))?;
    }
    if let Some(mark) = &letter.redriven {
        writeln!(out, "  redriven  {} by {} at {}", line(&mark.outcome), line(&mark.by), line(&mark.at))?;
    }
    writeln!(out)?;
    for text in letter.message.lines() {
        writeln!(out, "  {}", line(text))?;
    }
    writeln!(out)?;
    writeln!(out, "key: {}", line(&shown(letter.key.as_ref(), letter.key_base64.as_ref())))?;
    for header in headers {
        let value = shown(header.value.as_ref(), header.value_base64.as_ref());
        writeln!(out, "{}: {}", line(&header.name), line(&value))?;
    }
    writeln!(out)?;
    if letter.value_truncated {
        return Ok(writeln!(out, "the value was too large for the dead letter topic; it is in {record}")?);
    }
    Ok(writeln!(out, "{}", escape_lines(&shown(alone.value.as_ref(), alone.value_base64.as_ref())))?)
}

fn shown(text: Option<&String>, base64: Option<&String>) -> String {
    match (text, base64) {
        (Some(text), _) => text.clone(),
        (None, Some(encoded)) => format!("{encoded} (base64)"),
        (None, None) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn a_dead_letter_is_shown_with_its_record() {
        let answer = r#"{"partition":0,"offset":9,"time":"now","key":"a","class":"trap","message":"asked to panic","attempts":3,
            "function":"f@1","source":{"topic":"in","partition":2,"offset":7,"time":"then"},"value_truncated":false,
            "value":"{\"a\":1}","headers":[{"name":"color","value":"red"},{"name":"raw","value_base64":"/w=="}]}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, answer), CannedAnswer::new(200, answer)]);
        let arguments = |value| DlqShowArgs { function: host.function_args("f"), place: place("0/9").unwrap(), value };
        let mut out = Vec::new();
        run(&arguments(false), &mut out).unwrap();
        let printed = String::from_utf8(std::mem::take(&mut out)).unwrap();
        for line in [
            "trap after 3 attempts by f@1",
            "in/2/7",
            "asked to panic",
            "color: red",
            "raw: /w== (base64)",
            "{\"a\":1}",
        ] {
            assert!(printed.contains(line), "{line}: {printed}");
        }
        run(&arguments(true), &mut out).unwrap();
        assert_eq!(out, br#"{"a":1}"#);
        assert_eq!(host.requests()[0].line, "GET /v1/functions/f/dead-letters/0/9 HTTP/1.1");
        assert!(place("0").is_err() && place("-1/2").is_err() && place("0/x").is_err());
    }
}
