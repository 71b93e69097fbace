//! `millstream revisions`: the revisions of a function that are kept.

use std::io::Write;

use crate::api::views::{RevisionList, RevisionView};
use crate::cli::failure::VerbFailure;
use crate::cli::function_args::FunctionArgs;
use crate::cli::table::{self, CellAlign, ColorChoice, json_name};

const EXAMPLES: &str = "\
Examples:
  millstream revisions enrich-bid
  millstream revisions enrich-bid --json | jq '.revisions[].digest'";

/// List the stored revisions of a function, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RevisionsArgs {
    #[command(flatten)]
    function: FunctionArgs,
}

pub(crate) fn run(arguments: &RevisionsArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let answer = arguments.function.client()?.get(&["revisions"])?;
    arguments.function.output.show(answer, out, |list, out| print(&list, out))
}

fn print(list: &RevisionList, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let columns = [
        ("REVISION", CellAlign::Right),
        ("LIVE", CellAlign::Left),
        ("SHAPE", CellAlign::Left),
        ("BYTES", CellAlign::Right),
        ("DEPLOYED", CellAlign::Left),
        ("RESTORES", CellAlign::Right),
        ("DIGEST", CellAlign::Left),
    ];
    let rows: Vec<_> = list.revisions.iter().map(row).collect();
    Ok(table::write(out, ColorChoice::Plain, columns, &rows)?)
}

fn row(view: &RevisionView) -> [String; 7] {
    let RevisionView { revision, digest, shape, module_bytes, deployed_at, live, restores } = view;
    let live = if *live { "live" } else { "" }.to_owned();
    let digest = digest.to_string().chars().take("sha256:".len() + 12).collect();
    let restores = restores.map(|restores| restores.to_string()).unwrap_or_default();
    [revision.to_string(), live, json_name(shape), module_bytes.to_string(), deployed_at.clone(), restores, digest]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::testing::{CannedAnswer, FakeHost};

    #[test]
    fn revisions_are_a_table() {
        let (one, other) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4));
        let answer = format!(
            r#"{{"name":"f","revisions":[
            {{"revision":3,"digest":"sha256:{one}","shape":"wasi-http","module_bytes":9,"deployed_at":"now","live":true,"restores":1}},
            {{"revision":2,"digest":"sha256:{other}","shape":"wasi-http","module_bytes":8,"deployed_at":"then","live":false}}]}}"#
        );
        let host = FakeHost::start(vec![CannedAnswer::new(200, &answer)]);
        let mut out = Vec::new();
        run(&RevisionsArgs { function: host.function_args("f") }, &mut out).unwrap();
        let printed = String::from_utf8(out).unwrap();
        let words: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[1], ["3", "live", "wasi-http", "9", "now", "1", "sha256:0123456789ab"], "{printed}");
        assert_eq!(words[2], ["2", "wasi-http", "8", "then", "sha256:fedcba987654"], "{printed}");
    }
}
