//! `millstream usage`: what functions used on a host.

use std::io::Write;

use crate::api::views::{FunctionUsage, UsageView};
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::{print_bytes, print_json, read_answer};
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::table::{self, CellAlign, ColorChoice};
use crate::model::ids::FunctionName;
use crate::terminal::escape_for_terminal;

const EXAMPLES: &str = "\
Examples:
  millstream usage
  millstream usage enrich-bid --from 30d
  millstream usage --from 2026-01-01T00:00:00Z --to 2026-02-01T00:00:00Z --csv > january.csv";

/// Show what functions used on this host
///
/// Each host counts its own usage; add up all hosts for the total. Three hours are stored by the minute, 32 days by the hour.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UsageArgs {
    /// Only this function
    #[arg(value_parser = FunctionName::new)]
    name: Option<FunctionName>,
    /// The start: a time like 2026-01-31T00:00:00Z, or an age like 1d [default: 1h]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// The end, exclusive [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values
    #[arg(long)]
    csv: bool,
}

pub(crate) fn run(arguments: &UsageArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let mut query = Vec::new();
    query.extend(arguments.from.as_ref().map(|from| ("from", from.clone())));
    query.extend(arguments.to.as_ref().map(|to| ("to", to.clone())));
    query.extend(arguments.name.as_ref().map(|name| ("function", name.to_string())));
    query.extend(arguments.csv.then(|| ("format", "csv".to_owned())));
    let answer = client.once(&["v1", "usage"], |http, url| http.get(url).query(&query))?;
    if arguments.csv {
        let csv = answer.bytes().map_err(|error| client.broken_off(&std::io::Error::other(error)))?;
        return print_bytes(&csv, out);
    }
    let answer = client.json_of(answer)?;
    match arguments.json {
        true => print_json(&answer, out),
        false => print(&read_answer(answer)?, out),
    }
}

fn print(usage: &UsageView, out: &mut dyn Write) -> Result<(), VerbFailure> {
    writeln!(out, "{} to {}\n", escape_for_terminal(&usage.from), escape_for_terminal(&usage.to))?;
    let columns = [
        ("FUNCTION", CellAlign::Left),
        ("INVOCATIONS", CellAlign::Right),
        ("CALLS", CellAlign::Right),
        ("GB·S", CellAlign::Right),
        ("CPU S", CellAlign::Right),
        ("IN", CellAlign::Right),
        ("OUT", CellAlign::Right),
    ];
    let rows: Vec<_> = usage.functions.iter().map(row).collect();
    Ok(table::write(out, ColorChoice::Plain, columns, &rows)?)
}

fn row(used: &FunctionUsage) -> [String; 7] {
    let amount = |amount: f64| format!("{amount:.3}");
    let bytes = |bytes: u64| bytesize::ByteSize(bytes).to_string();
    [
        used.function.clone(),
        used.invocations.to_string(),
        used.calls.to_string(),
        amount(used.gb_seconds),
        amount(used.cpu_seconds),
        bytes(used.bytes_in),
        bytes(used.bytes_out),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn usage_is_a_table_or_comma_separated() {
        let json = r#"{"from":"then","to":"now","functions":[{"function":"f","invocations":1000,"calls":10,
            "gb_seconds":0.25,"cpu_seconds":1.5,"wall_seconds":2,"bytes_in":2048,"bytes_out":1}]}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, json), CannedAnswer::new(200, "function,from\r\n")]);
        let mut out = Vec::new();
        for csv in [false, true] {
            let (name, from, to) = (Some(FunctionName::new("f").unwrap()), Some("1d".to_owned()), None);
            run(&UsageArgs { name, from, to, host: host.arguments(), json: false, csv }, &mut out).unwrap();
        }
        let printed = String::from_utf8(out).unwrap();
        let words: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["then", "to", "now"]);
        assert_eq!(words[3], ["f", "1000", "10", "0.250", "1.500", "2.0", "KiB", "1", "B"], "{printed}");
        assert!(printed.ends_with("function,from\r\n"), "{printed}");
        let requests = host.requests();
        assert_eq!(requests[0].line, "GET /v1/usage?from=1d&function=f HTTP/1.1");
        assert_eq!(requests[1].line, "GET /v1/usage?from=1d&function=f&format=csv HTTP/1.1");
    }
}
