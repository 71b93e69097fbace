//! `millstream test`: runs a function's module on fixtures, under the limits that a host would hold it to.

mod case;
mod compare;
mod emitted;
mod fixture;
mod report;
mod update;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::local::{INSTANCES, LocalFunction, LocalRecord};
use crate::cli::build::{self, build_folder};
use crate::cli::failure::VerbFailure;
use crate::cli::project;
use crate::cli::runtime;
use crate::cli::table::ColorChoice;
use crate::error_code::ErrorCode;
use crate::wasm::{EngineOptions, WasmEngine};
use fixture::FixtureFile;
use report::TestReport;

const EXAMPLES: &str = "\
Examples:
  millstream test examples/place-bid
  millstream test . \"no bid\"               # the cases with that in their name
  millstream test . --update               # make what happens now what is expected
  millstream test . --no-build --json | jq '.cases[] | select(.passed | not)'";

/// Build a function and test it against the fixtures in its folder
///
/// Each file tests/*.json holds one case or a list of cases: events that go in, and what is expected to come out. The
/// compiled module runs in the sandbox that a host would give it, under the limits, filters and outputs of its manifest,
/// without host or Kafka; each case has sandboxes of its own. docs/writing-a-function.md describes the fixtures.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TestArgs {
    /// The folder with the function's millstream.toml
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
    /// Only cases with this text in their name or in that of their file
    #[arg(value_name = "NAME")]
    filter: Option<String>,
    /// Take the module as it is
    #[arg(long)]
    no_build: bool,
    /// Write what came out into the fixtures, where it is not what they expect
    #[arg(long)]
    update: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the cases and prints what became of each.
pub(crate) fn run(arguments: &TestArgs, out: &mut dyn Write) -> Result<(), VerbFailure> {
    let folder = &arguments.folder;
    let manifest = project::read_folder(folder)?;
    let files = fixture::read_folder(folder)?;
    let module = match arguments.no_build {
        true => build::built_module(folder, &manifest)?,
        false => build_folder(folder, &manifest)?,
    };
    let module: Arc<[u8]> = std::fs::read(&module)
        .map_err(|error| VerbFailure::new(ErrorCode::ArtifactMissing, format!("{}: {error}", module.display())))?
        .into();
    let paint = if arguments.json { ColorChoice::Plain } else { ColorChoice::for_stdout() };
    let mut report = TestReport::new(paint, !arguments.json);
    runtime::block_on(async {
        let options = EngineOptions { max_instances: 2 * INSTANCES, ..EngineOptions::default() };
        let engine = WasmEngine::new(options).map_err(|error| VerbFailure::new(error.code(), error.to_string()))?;
        let function = LocalFunction::load(&engine, module, manifest.project.manifest).await;
        let function = function.map_err(|error| VerbFailure::new(error.code(), error.to_string()))?;
        for file in &files {
            run_file(file, &function, arguments, &mut report, out).await?;
        }
        Ok::<(), VerbFailure>(())
    })??;
    if report.ran() == 0
        && let Some(filter) = &arguments.filter
    {
        return Err(VerbFailure::new(ErrorCode::InvalidFixture, format!("no case has \"{filter}\" in its name")));
    }
    report.close(out)?;
    if arguments.json {
        writeln!(out, "{:#}", report.to_json())?;
    }
    match report.failed() {
        0 => Ok(()),
        failed => Err(VerbFailure::new(ErrorCode::TestsFailed, format!("{failed} of {} cases failed", report.ran()))),
    }
}

/// The events of all fixtures of the function in `folder`.
pub(crate) fn events_of_folder(folder: &Path) -> Result<Vec<LocalRecord>, VerbFailure> {
    fixture::read_folder(folder)?.iter().map(events).collect::<Result<Vec<_>, _>>().map(|events| events.concat())
}

/// The events of the cases in one file, at least one.
pub(crate) fn events_of_file(path: &Path) -> Result<Vec<LocalRecord>, VerbFailure> {
    events(&FixtureFile::read(path)?)
}

fn events(file: &FixtureFile) -> Result<Vec<LocalRecord>, VerbFailure> {
    let events: Vec<LocalRecord> =
        file.cases()?.into_iter().flat_map(|case| case.steps).map(|step| step.record).collect();
    match events.is_empty() {
        true => Err(VerbFailure::new(ErrorCode::InvalidFixture, format!("{} has no case", file.name))),
        false => Ok(events),
    }
}

async fn run_file(
    file: &FixtureFile,
    function: &LocalFunction,
    arguments: &TestArgs,
    report: &mut TestReport,
    out: &mut dyn Write,
) -> Result<(), VerbFailure> {
    let cases = file.cases()?;
    let mut updates = Vec::new();
    for case in &cases {
        let is_wanted = |filter: &String| case.name.contains(filter) || file.name.contains(filter);
        if !arguments.filter.as_ref().is_none_or(is_wanted) {
            continue;
        }
        let mut result = case::run(case, function).await;
        if arguments.update {
            updates.extend(update::of(case, &mut result));
        }
        report.add(&file.name, case, result, out)?;
    }
    if !updates.is_empty() {
        file.replace(updates)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
