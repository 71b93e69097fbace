//! `millstream list`: what is deployed.

use std::io::Write;

use crate::api::views::{DeployedView, FunctionList, FunctionView};
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::OutputArgs;
use crate::cli::host_client::HostClient;
use crate::cli::table::{self, CellAlign, ColorChoice, json_name};

const EXAMPLES: &str = "\
Examples:
  millstream list
  millstream list --json | jq -r '.functions[].name'";

/// List the functions that are deployed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(arguments: &ListArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let answer = HostClient::new(&arguments.output.host)?.get(&["v1", "functions"])?;
    arguments.output.show(answer, out, |list, out| print(&list, ColorChoice::for_stdout(), out))
}

fn print(list: &FunctionList, paint: ColorChoice, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let columns = [
        ("NAME", CellAlign::Left),
        ("STATE", CellAlign::State),
        ("REVISION", CellAlign::Right),
        ("SHAPE", CellAlign::Left),
        ("TOPICS", CellAlign::Left),
        ("DEPLOYED", CellAlign::Left),
    ];
    let rows: Vec<[String; 6]> = list.functions.iter().map(row).collect();
    Ok(table::write(out, paint, columns, &rows)?)
}

fn row(function: &FunctionView) -> [String; 6] {
    let DeployedView { name, revision, shape, state, .. } = &function.deployed;
    let topics = function.topics_pattern.clone().unwrap_or_else(|| function.topics.join(", "));
    let deployed_at = function.deployed_at.clone();
    [name.to_string(), json_name(state), revision.to_string(), json_name(shape), topics, deployed_at]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost, function};

    use serde_json::Value;

    fn answer() -> String {
        let (one, other) = (function("enrich-bid"), function("f"));
        let one = one.replace("\"revision\":1", "\"revision\":12").replace("[\"in\"]", "[\"bids\",\"late-bids\"]");
        let other = other
            .replace("\"running\"", "\"starting\"")
            .replace("[\"in\"]", "[],\"topics_pattern\":\"in.*\",\"later\":1");
        format!("{{\"functions\":[{one},{other}]}}")
    }

    #[test]
    fn functions_stand_in_a_table() {
        let list: FunctionList = serde_json::from_str(&answer()).unwrap();
        let mut out = Vec::new();
        print(&list, ColorChoice::Plain, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "NAME        STATE     REVISION  SHAPE             TOPICS           DEPLOYED\n\
             enrich-bid  running         12  millstream-batch  bids, late-bids  2023-11-14T22:13:20.000Z\n\
             f           starting         1  millstream-batch  in.*             2023-11-14T22:13:20.000Z\n"
        );
    }

    #[test]
    fn json_is_the_hosts_answer() {
        let host = FakeHost::start(vec![CannedAnswer::new(200, &answer())]);
        let mut out = Vec::new();
        run(&ListArgs { output: OutputArgs { host: host.arguments(), json: true } }, &mut out).unwrap();
        let printed: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(printed, serde_json::from_str::<Value>(&answer()).unwrap());
    }
}
