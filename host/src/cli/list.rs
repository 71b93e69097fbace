//! `millstream list`: what is deployed.

use std::io::{IsTerminal, Write};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::Value;

use crate::cli::failure::VerbFailure;
use crate::cli::host_client::{HostArguments, HostClient};
use crate::cli::table::{self, CellAlign, ColorChoice};
use crate::error_code::ErrorCode;

const EXAMPLES: &str = "\
Examples:
  millstream list
  millstream list --json | jq -r '.functions[].name'";

/// List the functions that are deployed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    host: HostArguments,
    /// Print the host's answer as it is
    #[arg(long)]
    json: bool,
}

/// What a host tells of one function; unknown fields of later versions do no harm.
#[derive(Debug, Deserialize)]
struct ListedFunction {
    name: String,
    revision: u64,
    shape: String,
    state: String,
    #[serde(default)]
    topics: Vec<String>,
    /// Text, or milliseconds since the Unix epoch.
    #[serde(default)]
    deployed_at: Value,
}

#[derive(Debug, Deserialize)]
struct FunctionList {
    functions: Vec<ListedFunction>,
}

pub(crate) fn run(arguments: &ListArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let answer = HostClient::new(&arguments.host)?.get(&["v1", "functions"])?;
    if arguments.json {
        return Ok(writeln!(out, "{answer:#}")?);
    }
    let list: FunctionList = serde_json::from_value(answer)
        .map_err(|error| VerbFailure::new(ErrorCode::UnexpectedAnswer, error.to_string()))?;
    print(&list, ColorChoice::for_stream(std::io::stdout().is_terminal()), out)
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

fn row(function: &ListedFunction) -> [String; 6] {
    let ListedFunction { name, revision, shape, state, topics, deployed_at } = function;
    [name.clone(), state.clone(), revision.to_string(), shape.clone(), topics.join(", "), moment(deployed_at)]
}

fn moment(deployed_at: &Value) -> String {
    let since_epoch = deployed_at.as_u64().map(Duration::from_millis);
    match since_epoch.and_then(|elapsed| SystemTime::UNIX_EPOCH.checked_add(elapsed)) {
        Some(moment) if deployed_at.as_u64() < Some(MOST_MILLISECONDS) => {
            humantime::format_rfc3339_seconds(moment).to_string()
        }
        _ => deployed_at.as_str().unwrap_or("-").to_owned(),
    }
}

/// The year 9999, beyond which no moment is written.
const MOST_MILLISECONDS: u64 = 253_370_764_800_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    const ANSWER: &str = r#"{"functions":[
        {"name":"enrich-bid","revision":12,"digest":"sha256:00","shape":"millstream-batch","state":"running",
         "topics":["bids","late-bids"],"deployed_at":1700000000000,"later":1},
        {"name":"f","revision":1,"digest":"sha256:00","shape":"millstream-typed","state":"starting","topics":["in"],
         "deployed_at":"2023-11-14T22:13:20Z"}]}"#;

    #[test]
    fn functions_stand_in_a_table() {
        let list: FunctionList = serde_json::from_str(ANSWER).unwrap();
        let mut out = Vec::new();
        print(&list, ColorChoice::Plain, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "NAME        STATE     REVISION  SHAPE             TOPICS           DEPLOYED\n\
             enrich-bid  running         12  millstream-batch  bids, late-bids  2023-11-14T22:13:20Z\n\
             f           starting         1  millstream-typed  in               2023-11-14T22:13:20Z\n"
        );
    }

    #[test]
    fn json_is_the_hosts_answer() {
        let host = FakeHost::start(vec![CannedAnswer::new(200, ANSWER)]);
        let mut out = Vec::new();
        run(&ListArgs { host: host.arguments(), json: true }, &mut out).unwrap();
        let printed: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(printed, serde_json::from_str::<Value>(ANSWER).unwrap());
    }

    #[test]
    fn no_moment_is_too_late_to_be_written() {
        assert_eq!(moment(&u64::MAX.into()), "-");
        assert_eq!(moment(&Value::Null), "-");
    }
}
