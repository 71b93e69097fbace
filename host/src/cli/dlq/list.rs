//! `millstream dlq list`.

use std::io::Write;

use crate::api::views::{LetterList, LetterView};
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::FunctionArgs;
use crate::cli::progress;
use crate::cli::table::{self, CellAlign, ColorChoice};
use crate::terminal::escape_for_terminal;

const EXAMPLES: &str = "\
Examples:
  millstream dlq list place-bid
  millstream dlq list place-bid --limit 1000 --json | jq -r '.letters[].class' | sort | uniq -c";

/// List a function's dead letters, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DlqListArgs {
    #[command(flatten)]
    function: FunctionArgs,
    /// The most dead letters to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// List older ones: the position at which an earlier list ended
    #[arg(long, value_name = "POSITION")]
    from: Option<String>,
}

pub(crate) fn run(arguments: &DlqListArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = arguments.function.client()?;
    let answer = client.once(&["dead-letters"], |http, url| {
        let request = http.get(url).query(&[("limit", arguments.limit)]);
        match &arguments.from {
            Some(from) => request.query(&[("from", from)]),
            None => request,
        }
    })?;
    arguments.function.output.show(client.json_of(answer)?, out, |list, out| print(&list, out))
}

fn print(list: &LetterList, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let columns = [
        ("POSITION", CellAlign::Left),
        ("TIME", CellAlign::Left),
        ("CLASS", CellAlign::Left),
        ("RECORD", CellAlign::Left),
        ("KEY", CellAlign::Left),
        ("BY", CellAlign::Left),
        ("REDRIVEN", CellAlign::Left),
        ("MESSAGE", CellAlign::Left),
    ];
    let rows: Vec<[String; 8]> = list.letters.iter().map(row).collect();
    table::write(out, ColorChoice::Plain, columns, &rows)?;
    if let Some(older) = &list.older {
        progress::report(format_args!("for older ones add --from {}", escape_for_terminal(older)));
    }
    Ok(())
}

fn row(letter: &LetterView) -> [String; 8] {
    let source = &letter.source;
    let redriven = letter.redriven.as_ref().map(|mark| format!("{} by {}", mark.outcome, mark.by));
    let message = letter.message.lines().next().unwrap_or_default();
    let key = letter.key.as_deref().or(letter.key_base64.as_deref()).unwrap_or("-");
    [
        format!("{}/{}", letter.partition, letter.offset),
        letter.time.clone().unwrap_or_default(),
        letter.class.clone(),
        format!("{}/{}/{}", source.topic, source.partition, source.offset),
        key.chars().take(40).collect(),
        letter.function.clone(),
        redriven.unwrap_or_else(|| "-".to_owned()),
        message.chars().take(60).collect(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn dead_letters_are_a_table() {
        let answer = r#"{"name":"f","topic":"f.dead","older":"0:5","letters":[
            {"partition":0,"offset":9,"time":"now","key":"a","class":"trap","message":"asked to panic\nmore","attempts":3,"value_truncated":false,
             "function":"f@1","source":{"topic":"in","partition":2,"offset":7},
             "redriven":{"at":"x","by":"f@2","outcome":"emitted","emitted":1}},
            {"partition":0,"offset":5,"class":"reject","message":"","attempts":1,"value_truncated":false,"function":"f@1","source":{"topic":"in","partition":0,"offset":1}}]}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, answer)]);
        let (function, from) = (host.function_args("f"), Some("0:10".to_owned()));
        let mut out = Vec::new();
        run(&DlqListArgs { function, limit: 2, from }, &mut out).unwrap();
        let printed = String::from_utf8(out).unwrap();
        let words: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        let first = ["0/9", "now", "trap", "in/2/7", "a", "f@1", "emitted", "by", "f@2", "asked", "to", "panic"];
        assert_eq!(words[1], first, "{printed}");
        assert_eq!(words[2], ["0/5", "reject", "in/0/1", "-", "f@1", "-"], "{printed}");
        assert_eq!(host.requests()[0].line, "GET /v1/functions/f/dead-letters?limit=2&from=0%3A10 HTTP/1.1");
    }
}
