//! `millstream trace`: what caused a record, and what it led to.

use std::io::Write;
use std::time::Duration;

use crate::cli::failure::VerbFailure;
use crate::cli::function_args::OutputArgs;
use crate::cli::host_client::HostClient;
use crate::cli::progress;
use crate::cli::table::ColorChoice;
use crate::config::quantity::parse_duration;
use crate::lineage::{Lineage, LineageNode, NodeKind, RecordId};
use crate::terminal::escape_for_terminal;

const EXAMPLES: &str = "\
Examples:
  millstream trace bids/0/42
  millstream trace notifications/1/7 --whole
  millstream trace bids/0/42 --window 1d --records 2000000 --within 60s
  millstream trace bids/0/42 --json | jq '.root.effects[].type'";

/// Time for the request itself, beside reading the topics.
const ANSWER_SLACK: Duration = Duration::from_secs(30);

/// Show what caused a record, and what it led to
///
/// Causes are followed from record to record. Effects are searched in the output and dead letter topics of the functions
/// that read the record's topic. If the search was cut short, stderr says where.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TraceArgs {
    /// The record
    #[arg(value_name = "TOPIC/PARTITION/OFFSET")]
    place: RecordId,
    /// Show everything that the first cause led to, not only what the record led to
    #[arg(long)]
    whole: bool,
    /// How long after a record its effects may have been written [default: 1h]
    #[arg(long, value_name = "DURATION")]
    window: Option<String>,
    /// How many records to read at most to find effects [default: 200000]
    #[arg(long, value_name = "COUNT")]
    records: Option<usize>,
    /// How long the search may take [default: 10s]
    #[arg(long, value_name = "DURATION")]
    within: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(arguments: &TraceArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.output.host)?;
    let RecordId { partition, offset } = &arguments.place;
    let mut query = vec![
        ("topic", partition.topic.to_string()),
        ("partition", partition.partition.to_string()),
        ("offset", offset.to_string()),
    ];
    if arguments.whole {
        query.push(("whole", "true".to_owned()));
    }
    query.extend(arguments.window.clone().map(|window| ("window", window)));
    query.extend(arguments.records.map(|records| ("records", records.to_string())));
    query.extend(arguments.within.clone().map(|within| ("within", within)));
    let within = arguments.within.as_deref().and_then(|text| parse_duration(text).ok());
    let patience = within.unwrap_or(Duration::from_secs(10)) + ANSWER_SLACK;
    let answer = client.once(&["v1", "lineage"], |http, url| http.get(url).query(&query).timeout(patience))?;
    arguments.output.show(client.json_of(answer)?, out, |lineage: Lineage, out| {
        print(&lineage.root, ColorChoice::for_stdout(), "", "", out)?;
        for cut in &lineage.scan.cut {
            let cut = escape_for_terminal(cut);
            progress::report(format_args!("the search was cut short {cut}: there may be more"));
        }
        Ok(())
    })
}

/// Prints a record and what it led to; `first` stands before its line, `rest` before the lines below.
fn print(
    node: &LineageNode,
    paint: ColorChoice,
    first: &str,
    rest: &str,
    out: &mut dyn Write,
) -> Result<(), VerbFailure> {
    writeln!(out, "{first}{}", line(node, paint))?;
    let last = node.effects.len().saturating_sub(1);
    for (index, effect) in node.effects.iter().enumerate() {
        let (first, below) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        print(effect, paint, &format!("{rest}{first}"), &format!("{rest}{below}"), out)?;
    }
    Ok(())
}

fn line(node: &LineageNode, paint: ColorChoice) -> String {
    let place = format!("{}/{}/{}", shown(&node.topic), node.partition, node.offset);
    let mut parts = vec![match node.kind {
        NodeKind::Event => place,
        NodeKind::DeadLetter => paint.red(&format!("✗ {place}")),
        NodeKind::Missing => paint.dim(&format!("{place} (no longer there)")),
        NodeKind::Call => "a call over HTTP".to_owned(),
    }];
    parts.extend(node.type_.as_deref().map(shown));
    parts.extend(node.id.as_deref().map(|id| format!("id={}", shown(id))));
    if let (Some(function), Some(revision)) = (&node.function, node.revision) {
        let attempt = node.attempt.filter(|attempt| *attempt > 1).map(|attempt| format!(", attempt {attempt}"));
        parts.push(format!("by {}@{revision}{}", shown(function), attempt.unwrap_or_default()));
    }
    if node.redriven {
        parts.push("redriven".to_owned());
    }
    parts.extend(node.after_ms.map(|ms| paint.dim(&format!("{ms:+} ms"))));
    parts.extend(node.fault.as_ref().map(|fault| format!("{}: {}", shown(&fault.class), shown(&fault.message))));
    if node.asked {
        parts.push(paint.yellow("◄"));
    }
    parts.join("  ")
}

/// The start of a text that others wrote.
fn shown(text: &str) -> String {
    escape_for_terminal(&text.chars().take(200).collect::<String>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    const ANSWER: &str = r#"{"root":{"kind":"event","topic":"bids","partition":0,"offset":3,"id":"7","type":"bid","effects":[
        {"kind":"event","topic":"accepted","partition":1,"offset":9,"type":"ok\u001b[2J","function":"place-bid","revision":2,
         "attempt":2,"after_ms":12,"asked":true,"effects":[{"kind":"missing","topic":"x","partition":0,"offset":0}]},
        {"kind":"dead_letter","topic":"place-bid.dead","partition":0,"offset":1,"function":"place-bid","revision":1,
         "attempt":1,"after_ms":3,"fault":{"class":"reject","message":"no bid"}}]},
        "scan":{"topics":["accepted"],"records":2,"elapsed_ms":5,"cut":[]}}"#;

    #[test]
    fn a_lineage_is_a_tree() {
        let host = FakeHost::start(vec![CannedAnswer::new(200, ANSWER)]);
        let place = "bids/0/3".parse().unwrap();
        let (whole, records) = (true, Some(5));
        let (window, within) = (Some("2h".to_owned()), None);
        let arguments = TraceArgs { place, whole, window, records, within, output: host.output_args() };
        let mut out = Vec::new();
        run(&arguments, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "bids/0/3  bid  id=7\n\
             ├─ accepted/1/9  ok\\u{1b}[2J  by place-bid@2, attempt 2  +12 ms  ◄\n\
             │  └─ x/0/0 (no longer there)\n\
             └─ ✗ place-bid.dead/0/1  by place-bid@1  +3 ms  reject: no bid\n"
        );
        assert_eq!(
            host.requests()[0].line,
            "GET /v1/lineage?topic=bids&partition=0&offset=3&whole=true&window=2h&records=5 HTTP/1.1"
        );
    }
}
