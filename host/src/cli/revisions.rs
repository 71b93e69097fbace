//! `millstream revisions`: the revisions of a function that are kept.

use std::io::Write;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::table::{self, CellAlign, ColorChoice};
use crate::model::ids::FunctionName;

const EXAMPLES: &str = "\
Examples:
  millstream revisions enrich-bid
  millstream revisions enrich-bid --json | jq '.revisions[].digest'";

/// List the revisions of a function that are kept, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RevisionsArgs {
    /// The function's name
    #[arg(value_parser = FunctionName::new)]
    name: FunctionName,
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &RevisionsArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let client = HostClient::new(&arguments.host)?;
    let path = ["v1", "functions", arguments.name.as_str(), "revisions"];
    let answer = client.get(&path).map_err(|failure| client.with_suggestion(failure, &arguments.name))?;
    if arguments.json {
        return Ok(writeln!(out, "{answer:#}")?);
    }
    let columns = [
        ("REVISION", CellAlign::Right),
        ("LIVE", CellAlign::Left),
        ("SHAPE", CellAlign::Left),
        ("BYTES", CellAlign::Right),
        ("DEPLOYED", CellAlign::Left),
        ("RESTORES", CellAlign::Right),
        ("DIGEST", CellAlign::Left),
    ];
    let revisions = answer["revisions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows: Vec<_> = revisions
        .iter()
        .map(|revision| {
            let text = |name: &str| revision[name].as_str().unwrap_or_default().to_owned();
            let number = |name: &str| revision[name].as_u64().map(|number| number.to_string()).unwrap_or_default();
            let live = if revision["live"] == true { "live" } else { "" }.to_owned();
            let digest = text("digest").chars().take("sha256:".len() + 12).collect();
            let (bytes, restores) = (number("module_bytes"), number("restores"));
            [number("revision"), live, text("shape"), bytes, text("deployed_at"), restores, digest]
        })
        .collect();
    Ok(table::write(out, ColorChoice::Plain, columns, &rows)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn revisions_are_a_table() {
        let answer = r#"{"name":"f","revisions":[
            {"revision":3,"digest":"sha256:0123456789abcdef","shape":"wasi-http","module_bytes":9,"deployed_at":"now","live":true,"restores":1},
            {"revision":2,"digest":"sha256:fedcba9876543210","shape":"wasi-http","module_bytes":8,"deployed_at":"then","live":false}]}"#;
        let host = FakeHost::start(vec![CannedAnswer::new(200, answer)]);
        let arguments = RevisionsArgs { name: FunctionName::new("f").unwrap(), host: host.arguments(), json: false };
        let mut out = Vec::new();
        run(&arguments, &mut out).unwrap();
        let printed = String::from_utf8(out).unwrap();
        let words: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["3", "live", "wasi-http", "9", "now", "1", "sha256:0123456789ab"], "{printed}");
        assert_eq!(words[2], ["2", "wasi-http", "8", "then", "sha256:fedcba987654"], "{printed}");
    }
}
